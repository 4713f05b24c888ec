use std::{fmt::Debug, marker::PhantomData};

use isoscan_learned::{Failure, Family, Losses, Place, Weights};
use isoscan_nn::{
    ADVERSARIAL_BETAS, Adversarial, Adversary, Dim, DiscriminatorRecipe, Error, Net, Trainee, absolute_difference,
    descend,
};
use isoscan_sdk::{Axes, Descriptor, Param, Patching, PluginError, TrainConfig};
use tch::{Kind, Tensor};

use crate::{Recipe, Reversible, ReversibleRecipe, Way};

/// Voxels to each side that a network may see.
pub(crate) const HALO: usize = 24;
const NETWORK: &str = "network";
const ADVERSARIES: [&str; 2] = ["adversary.mr", "adversary.pet"];
/// Numbers of the networks of one training, which key their random weights.
const NETWORK_NO: u64 = 0;
const ADVERSARY_NO: [u64; 2] = [1, 2];

/// The plugin of the family that a bundle is: which way it translates, and how it describes itself.
pub trait Side: Debug + Send + 'static {
    /// The way of its translations.
    const WAY: Way;

    /// As [`Family::descriptor`], with [`Side::patching`].
    fn descriptor() -> Descriptor;

    /// Volumes in patches with the margin of the deepest network.
    fn patching() -> Patching {
        let multiple = [ReversibleRecipe::MULTIPLE; 3];
        Patching { axes: Axes::Patches, size: [112; 3], multiple, halo: [HALO; 3], max_batch: 1 }
    }
}

/// The family of both plugins. A training learns both ways at once, from MR as source and PET as target.
#[derive(Debug)]
pub struct RevGan<S> {
    network: Trainee<Reversible>,
    /// Of MR, of PET.
    adversaries: Option<[Adversary; 2]>,
    side: PhantomData<S>,
}

impl<S: Side> Family for RevGan<S> {
    type Recipe = Recipe;
    type Networks = Net<Reversible>;
    const NAME: &'static str = "mr-pet";

    fn descriptor() -> Descriptor {
        S::descriptor()
    }

    fn params() -> Vec<Param> {
        Recipe::params()
    }

    fn recipe(config: &TrainConfig) -> Result<Recipe, PluginError> {
        Recipe::of(config)
    }

    fn begin(recipe: &Recipe) -> Result<Self, Failure> {
        recipe.check()?;
        let seed = recipe.schedule.seed;
        let discriminator = DiscriminatorRecipe {
            dim: Dim::Three,
            width: recipe.discriminator_width,
            halvings: 1,
            ..DiscriminatorRecipe::default()
        };
        let adversary = |channels_in: i64, number: u64| {
            let pool = recipe.pool.max(0) as usize;
            let discriminator = DiscriminatorRecipe { channels_in, ..discriminator.clone() };
            Adversary::new(&discriminator, Adversarial::LeastSquares, pool, seed, number)
        };
        let adversaries = match recipe.adversarial_weight > 0.0 {
            true => Some([adversary(recipe.network.contrasts, ADVERSARY_NO[0])?, adversary(1, ADVERSARY_NO[1])?]),
            false => None,
        };
        let network = Trainee::averaged(&recipe.network, seed, NETWORK_NO, ADVERSARIAL_BETAS)?;
        Ok(Self { network, adversaries, side: PhantomData })
    }

    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let descent = recipe.schedule.descent(step);
        let [mr, pet] = [source.shallow_clone(), target.f_div_scalar(recipe.suv_scale)?];
        let network = self.network.live();
        let made_pet = network.forward(&mr, Way::MrToPet)?;
        let made_mr = network.forward(&pet, Way::PetToMr)?;
        let mut losses = Losses::new();
        let mut total = mr.f_sum(None)?.f_mul_scalar(0.0)?;
        let mut add = |name, loss: Tensor, weight: f64| -> Result<(), Failure> {
            losses.push((name, loss.f_double_value(&[])?));
            total = total.f_add(&loss.f_mul_scalar(weight)?)?;
            Ok(())
        };
        if recipe.paired {
            let [pattern, level] = uptake_losses(&made_pet, &pet, recipe)?;
            add("pet", pattern, recipe.paired_weight)?;
            if recipe.level_weight > 0.0 {
                add("level", level, recipe.paired_weight * recipe.level_weight)?;
            }
            add("mr", absolute_difference(&made_mr, &mr)?, recipe.paired_weight)?;
        }
        if recipe.cycle_weight > 0.0 {
            let back_mr = network.forward(&made_pet, Way::PetToMr)?;
            let back_pet = network.forward(&made_mr, Way::MrToPet)?;
            add("cycle_mr", absolute_difference(&back_mr, &mr)?, recipe.cycle_weight)?;
            add("cycle_pet", absolute_difference(&back_pet, &pet)?, recipe.cycle_weight)?;
        }
        if let Some([of_mr, of_pet]) = &self.adversaries {
            add("adversarial_mr", of_mr.judge(&made_mr)?, recipe.adversarial_weight)?;
            add("adversarial_pet", of_pet.judge(&made_pet)?, recipe.adversarial_weight)?;
        }
        descend(&total, &mut [self.network.parts()], descent)?;
        self.network.average_in(recipe.schedule.average_decay, step)?;
        if let Some([of_mr, of_pet]) = &mut self.adversaries {
            losses.push(("discriminator_mr", of_mr.learn(&mr, &made_mr, descent)?));
            losses.push(("discriminator_pet", of_pet.learn(&pet, &made_pet, descent)?));
        }
        Ok(losses)
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.network.kept().parameters().named(NETWORK)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut all = self.network.named(NETWORK);
        for (adversary, name) in self.adversaries.iter().flatten().zip(ADVERSARIES) {
            all.extend(adversary.named(name));
        }
        all
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        self.network.load(NETWORK, state)?;
        for (adversary, name) in self.adversaries.iter_mut().flatten().zip(ADVERSARIES) {
            adversary.load(name, state)?;
        }
        Ok(())
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Net<Reversible>, Failure> {
        let mut network = Net::<Reversible>::new(&recipe.network, 0, NETWORK_NO)?;
        network.parameters_mut().load(NETWORK, weights)?;
        Ok(network)
    }

    /// The contrasts that the weights were trained with must be given; those beyond are left aside.
    fn translate(
        network: &Net<Reversible>,
        recipe: &Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure> {
        let contrasts = recipe.network.contrasts;
        match S::WAY {
            Way::MrToPet => {
                let given = place.given.iter().take_while(|given| **given).count();
                if (given as i64) < contrasts {
                    let message =
                        format_args!("these weights need {contrasts} MR contrasts, found {given}: give flair too");
                    return Err(PluginError::invalid(message).into());
                }
                let mr = image.f_narrow(1, 0, contrasts)?;
                Ok(network.forward(&mr, S::WAY)?.f_mul_scalar(recipe.suv_scale)?)
            }
            Way::PetToMr => Ok(network.forward(&image.f_div_scalar(recipe.suv_scale)?, S::WAY)?.f_narrow(1, 0, 1)?),
        }
    }
}

/// How far made uptake is from true uptake: in its pattern, and in its mean over each patch. Scalar tensors.
///
/// The pattern is the L1 loss in which a voxel counts `1 + uptake_weight · truth`, over the mean of these weights. Where
/// levels are told apart, made patches are first multiplied to the mean of the true ones: no MR tells how much a subject
/// takes up in all, and uptake ratios do not ask.
fn uptake_losses(made: &Tensor, truth: &Tensor, recipe: &Recipe) -> Result<[Tensor; 2], Error> {
    let mean = |image: &Tensor| image.f_mean_dim(&[1i64, 2, 3, 4][..], true, Kind::Float);
    let (mean_made, mean_truth) = (mean(made)?, mean(truth)?);
    let level = absolute_difference(&mean_made, &mean_truth)?;
    let scaled = match recipe.level_weight > 0.0 {
        true => {
            // A made patch without uptake has no level to bring to the true one. Without gradient, so that the factor is
            // not what is learned.
            let least = mean_truth.f_mul_scalar(0.2)?.f_clamp_min(1e-3)?;
            made.f_mul(&mean_truth.f_div(&mean_made.f_maximum(&least)?)?.f_detach()?)?
        }
        false => made.shallow_clone(),
    };
    let weight = truth.f_abs()?.f_mul_scalar(recipe.uptake_weight)?.f_add_scalar(1.0)?;
    let pattern = scaled.f_sub(truth)?.f_abs()?.f_mul(&weight)?.f_mean(None)?.f_div(&weight.f_mean(None)?)?;
    Ok([pattern, level])
}

#[cfg(test)]
mod tests {
    use isoscan_learned::Schedule;
    use isoscan_nn::image;

    use super::*;

    fn losses(made: [f32; 2], truth: [f32; 2], level_weight: f64, uptake_weight: f64) -> [f64; 2] {
        let recipe = Recipe { level_weight, uptake_weight, ..recipe() };
        let [made, truth] = [made, truth].map(|values| image(&values, &[1, 1, 1, 1, 2]).unwrap());
        uptake_losses(&made, &truth, &recipe).unwrap().map(|loss| loss.double_value(&[]))
    }

    fn recipe() -> Recipe {
        Recipe {
            schedule: Schedule { seed: 1, steps: 1, learning_rate: 1e-3, constant_share: 0.5, average_decay: 0.9 },
            network: ReversibleRecipe { contrasts: 1, width: 2, depth: 1 },
            paired: true,
            suv_scale: 5.0,
            paired_weight: 1.0,
            level_weight: 0.0,
            uptake_weight: 0.0,
            cycle_weight: 0.0,
            adversarial_weight: 0.0,
            discriminator_width: 2,
            pool: 0,
        }
    }

    #[test]
    fn pattern_and_level_of_uptake_by_hand() {
        let close = |found: [f64; 2], expected: [f64; 2]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} for {expected:?}");
        };
        close(losses([1.0, 1.0], [0.0, 4.0], 0.0, 0.0), [2.0, 1.0]);
        // Voxels count 1 and 3: (1·1 + 3·3) / 4.
        close(losses([1.0, 1.0], [0.0, 4.0], 0.0, 0.5), [2.5, 1.0]);
        // The same pattern at half of the level.
        close(losses([0.5, 1.5], [1.0, 3.0], 1.0, 0.0), [0.0, 1.0]);
        close(losses([0.0, 0.0], [1.0, 3.0], 1.0, 0.0), [2.0, 2.0]);
    }
}
