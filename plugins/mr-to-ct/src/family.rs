use isoscan_learned::{Failure, Family, Losses, Place, Weights};
use isoscan_nn::{
    ADVERSARIAL_BETAS, Adversarial, Adversary, Descent, DiscriminatorRecipe, Error, Net, Trainee, absolute_difference,
    descend,
};
use isoscan_sdk::{
    Axes, Descriptor, Input, Modality, Normalize, Output, Param, Patching, PluginError, Region, TrainConfig, Unit,
};
use tch::{Kind, Reduction, Tensor};

use crate::{Dimensions, Recipe, Registration, Synthesis, roughness, warped};

/// Voxels to each side that a network may see in the plane of slices.
pub(crate) const HALO: usize = 36;
/// What becomes of voxels without tissue.
const AIR_HU: f64 = -1000.0;
const GENERATOR: &str = "generator";
const REGISTRATION: &str = "registration";
const ADVERSARY: &str = "adversary";
/// Numbers of the networks of one training, which key their random weights.
const GENERATOR_NO: u64 = 0;
const REGISTRATION_NO: u64 = 1;
const ADVERSARY_NO: u64 = 2;

/// CT from MR.
#[derive(Debug)]
pub struct MrToCt {
    generator: Trainee<Synthesis>,
    registration: Option<Trainee<Registration>>,
    adversary: Option<Adversary>,
}

impl Family for MrToCt {
    type Recipe = Recipe;
    type Networks = Net<Synthesis>;
    const NAME: &'static str = "mr-to-ct";

    /// All slices at once, so that stacks and volumes need no margin along z.
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "mr-to-ct".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "MR to CT".into(),
            summary: "Makes CT of MR by a trained network; what is no tissue becomes air".into(),
            family: "regression-gan".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Mr],
                spacing_mm: Some([[1.6, 2.4], [1.6, 2.4], [0.5, 10.0]]),
                normalize: Some(Normalize::ZScore { region: Region::Body }),
                ..Input::any("image", "MR of the sequence that the weights were trained on")
            }],
            output: Output {
                modality: Some(Modality::Ct),
                unit: Some(Unit::Hounsfield),
                ..Output::like_input("the image in HU")
            },
            patching: Patching {
                axes: Axes::Patches,
                size: [256, 256, 0],
                multiple: [8, 8, 8],
                halo: [HALO.next_multiple_of(8), HALO.next_multiple_of(8), 0],
                max_batch: 1,
            },
            params: vec![Param::bool("mask", true, "make air, -1000 HU, of what the network holds for no tissue")],
            deterministic: true,
            synthetic: true,
        }
    }

    fn params() -> Vec<Param> {
        Recipe::params()
    }

    fn recipe(config: &TrainConfig) -> Result<Recipe, PluginError> {
        Recipe::of(config)
    }

    fn begin(recipe: &Recipe) -> Result<Self, Failure> {
        recipe.check()?;
        let (seed, dim) = (recipe.schedule.seed, recipe.network.dimensions.dim());
        let registration = match recipe.registration {
            true => Some(Trainee::new(&dim, seed, REGISTRATION_NO, ADVERSARIAL_BETAS)?),
            false => None,
        };
        let discriminator =
            DiscriminatorRecipe { dim, width: recipe.discriminator_width, ..DiscriminatorRecipe::default() };
        let adversary = match recipe.adversarial_weight > 0.0 {
            true => {
                let pool = recipe.pool.max(0) as usize;
                Some(Adversary::new(&discriminator, Adversarial::LeastSquares, pool, seed, ADVERSARY_NO)?)
            }
            false => None,
        };
        let generator = Trainee::averaged(&recipe.network, seed, GENERATOR_NO, ADVERSARIAL_BETAS)?;
        Ok(Self { generator, registration, adversary })
    }

    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let descent = recipe.schedule.descent(step);
        let [made, real] = self.predicted(recipe, source, target)?;
        let hu = made.f_narrow(1, 0, 1)?;
        let field = self.registration.as_ref().map(|trainee| trainee.live().field(&hu, &real)).transpose()?;
        let aligned = match &field {
            Some(field) => warped(&made, field)?,
            None => made,
        };
        let l1 = absolute_difference(&aligned.f_narrow(1, 0, 1)?, &real)?;
        let tissue = tissue_loss(&aligned.f_narrow(1, 1, 1)?, &real, recipe)?;
        let mut losses = vec![("l1", l1.f_double_value(&[])?), ("tissue", tissue.f_double_value(&[])?)];
        let mut total = l1.f_add(&tissue.f_mul_scalar(recipe.tissue_weight)?)?;
        if let Some(field) = &field {
            let smoothness = roughness(field)?;
            losses.push(("smoothness", smoothness.f_double_value(&[])?));
            total = total.f_add(&smoothness.f_mul_scalar(recipe.smoothness_weight)?)?;
        }
        if let Some(adversary) = &self.adversary {
            let judged = adversary.judge(&hu)?;
            losses.push(("adversarial", judged.f_double_value(&[])?));
            total = total.f_add(&judged.f_mul_scalar(recipe.adversarial_weight)?)?;
        }
        self.descend(&total, descent)?;
        self.generator.average_in(recipe.schedule.average_decay, step)?;
        if let Some(adversary) = &mut self.adversary {
            losses.push(("discriminator", adversary.learn(&real, &hu, descent)?));
        }
        Ok(losses)
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.generator.kept().parameters().named(GENERATOR)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut all = self.generator.named(GENERATOR);
        all.extend(self.registration.iter().flat_map(|trainee| trainee.named(REGISTRATION)));
        all.extend(self.adversary.iter().flat_map(|adversary| adversary.named(ADVERSARY)));
        all
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        self.generator.load(GENERATOR, state)?;
        if let Some(registration) = &mut self.registration {
            registration.load(REGISTRATION, state)?;
        }
        if let Some(adversary) = &mut self.adversary {
            adversary.load(ADVERSARY, state)?;
        }
        Ok(())
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Net<Synthesis>, Failure> {
        Ok(Net::loaded(&recipe.network, GENERATOR, weights)?)
    }

    fn translate(
        network: &Net<Synthesis>,
        recipe: &Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure> {
        let made = network.by_slices(image, place.progress)?;
        let hu = made.f_narrow(1, 0, 1)?.f_mul_scalar(recipe.hu_scale)?;
        if !place.params.bool("mask")? {
            return Ok(hu);
        }
        Ok(hu.f_masked_fill(&made.f_narrow(1, 1, 1)?.f_lt(0.0)?, AIR_HU)?)
    }
}

impl MrToCt {
    /// What the generator makes of a batch and what it should be, as the networks take them; of stacks only the slices that
    /// have all their neighbours.
    fn predicted(&self, recipe: &Recipe, source: &Tensor, target: &Tensor) -> Result<[Tensor; 2], Error> {
        let dimensions = recipe.network.dimensions;
        let made = self.generator.live().forward(source)?;
        let real = target.f_div_scalar(recipe.hu_scale)?;
        let (reach, deep) = (dimensions.reach(recipe.network.neighbours), source.size()[2]);
        let whole = |tensor: &Tensor| -> Result<Tensor, Error> {
            let inner = tensor.f_narrow(2, reach, deep - 2 * reach)?;
            match dimensions {
                Dimensions::Volumes => Ok(inner),
                Dimensions::Slices | Dimensions::Stacks => Ok(isoscan_learned::into_slices(&inner)?),
            }
        };
        Ok([whole(&made)?, whole(&real)?])
    }

    fn descend(&mut self, loss: &Tensor, descent: Descent) -> Result<(), Error> {
        let mut parts = vec![self.generator.parts()];
        parts.extend(self.registration.iter_mut().map(Trainee::parts));
        descend(loss, &mut parts, descent)
    }
}

/// Cross-entropy of the logit against whether the CT is tissue. A scalar tensor.
fn tissue_loss(logit: &Tensor, real: &Tensor, recipe: &Recipe) -> Result<Tensor, Error> {
    let tissue = real.f_gt(recipe.tissue_hu / recipe.hu_scale)?.f_to_kind(Kind::Float)?;
    Ok(logit.f_binary_cross_entropy_with_logits(&tissue, None::<Tensor>, None::<Tensor>, Reduction::Mean)?)
}

#[cfg(test)]
mod tests;
