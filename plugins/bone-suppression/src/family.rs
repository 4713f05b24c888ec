use std::f64::consts::LN_10;

use isoscan_learned::{Failure, Family, Losses, Place, Plane, Weights, into_slices};
use isoscan_nn::{
    ADVERSARIAL_BETAS, Adversarial, Adversary, Error, Net, Random, Trainee, absolute_difference, descend,
    haar_difference,
};
use isoscan_sdk::{Axes, Descriptor, Input, Modality, Output, Param, Patching, PluginError, TrainConfig, Unit};
use tch::Tensor;

use crate::spheres::spheres;
use crate::{BandNet, Recipe};

/// A training of bone suppression.
#[derive(Debug)]
pub struct BoneSuppression {
    network: Trainee<BandNet>,
    adversary: Adversary,
}

/// Names of the networks in files, and numbers of their random streams.
const FILE: &str = "network";
const ADVERSARY: &str = "adversary";
const NUMBERS: [u64; 2] = [0, 1];
const SPHERES: u64 = 2;
/// Images that the discriminator looks back on.
const POOL: usize = 50;

impl Family for BoneSuppression {
    type Recipe = Recipe;
    type Networks = Net<BandNet>;
    const NAME: &'static str = "bone-suppression";

    /// The whole radiograph in one call: in the patient's frame its plane is x and z, not that of slices.
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "bone-suppression".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Bone suppression".into(),
            summary: "Takes ribs and clavicles off one frontal chest radiograph".into(),
            family: "bone-suppression".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Dx, Modality::Cr],
                units: vec![Unit::OpticalDensity],
                spacing_mm: Some([[1.2, 2.0]; 3]),
                ..Input::any("image", "log attenuation of a frontal chest radiograph")
            }],
            output: Output::like_input("log attenuation without bone, or of the bone that was taken off"),
            patching: Patching::whole(Axes::Volume),
            params: vec![
                Param::choice("keep", &["soft", "bone"], "soft: the input less its bone; bone: what is taken off"),
                Param::float("strength", [0.0, 1.0], 1.0, "", "share of the bone that is taken off"),
            ],
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
        let seed = recipe.schedule.seed;
        Ok(Self {
            network: Trainee::averaged(&recipe.network, seed, NUMBERS[0], ADVERSARIAL_BETAS)?,
            adversary: Adversary::new(&recipe.discriminator, Adversarial::LeastSquares, POOL, seed, NUMBERS[1])?,
        })
    }

    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let plane = Plane::of(source);
        let scaled = |image: &Tensor| -> Result<Tensor, Error> {
            let slices = into_slices(&plane.turned(image)?)?;
            let planted = spheres(&slices, recipe.planted, Random::new(recipe.schedule.seed, &[SPHERES, step]))?;
            Ok(slices.f_add(&planted)?.f_div_scalar(recipe.density_scale)?)
        };
        let (source, target) = (scaled(source)?, scaled(target)?);
        let made = source.f_sub(&self.network.live().forward(&source)?)?;
        let exposure = source.f_mul_scalar(-recipe.exposure_power * recipe.density_scale * LN_10)?.f_exp()?;
        let (seen, wanted) = (made.f_mul(&exposure)?, target.f_mul(&exposure)?);
        let bands = [recipe.low_band_weight, recipe.other_band_weight];
        let mut terms = vec![("image", recipe.image_weight, absolute_difference(&seen, &wanted)?)];
        if bands != [0.0; 2] {
            terms.push(("bands", 1.0, haar_difference(&seen, &wanted, bands)?));
        }
        if recipe.adversarial_weight > 0.0 {
            let judged = self.adversary.judge(&beside(&source, &made)?)?;
            terms.push(("adversarial", recipe.adversarial_weight, judged));
        }
        let weighted = terms.iter().map(|(_, weight, term)| Ok(term.f_mul_scalar(*weight)?));
        let total = Tensor::f_stack(&weighted.collect::<Result<Vec<_>, Error>>()?, 0)?.f_sum(None)?;
        let descent = recipe.schedule.descent(step);
        descend(&total, &mut [self.network.parts()], descent)?;
        self.network.average_in(recipe.schedule.average_decay, step)?;
        let values = terms.iter().map(|(name, _, term)| Ok((*name, term.f_double_value(&[])?)));
        let mut losses = values.collect::<Result<Losses, Error>>()?;
        if recipe.adversarial_weight > 0.0 {
            let (real, made) = (beside(&source, &target)?, beside(&source, &made.f_detach()?)?);
            losses.push(("discriminator", self.adversary.learn(&real, &made, descent)?));
        }
        Ok(losses)
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.network.kept().parameters().named(FILE)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.network.named(FILE);
        state.extend(self.adversary.named(ADVERSARY));
        state
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        self.network.load(FILE, state)?;
        self.adversary.load(ADVERSARY, state)?;
        Ok(())
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Net<BandNet>, Failure> {
        Ok(Net::loaded(&recipe.network, FILE, weights)?)
    }

    fn translate(
        network: &Net<BandNet>,
        recipe: &Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure> {
        let bone = place.in_planes(image, recipe.network.multiple(), |slices| {
            Ok(network.forward(&slices.f_div_scalar(recipe.density_scale)?)?)
        })?;
        let bone = bone.f_mul_scalar(recipe.density_scale * place.params.float("strength")?)?;
        Ok(if place.params.choice("keep")? == "bone" { bone } else { image.f_sub(&bone)? })
    }
}

fn beside(radiograph: &Tensor, soft: &Tensor) -> Result<Tensor, Error> {
    Ok(Tensor::f_cat(&[radiograph, soft], 1)?)
}

#[cfg(test)]
mod tests {
    use isoscan_learned::testing::{Bundle, Session, resumed_difference};
    use isoscan_nn::Random;
    use isoscan_sdk::{ParamValue, TrainContext, harness::Array};

    use super::*;

    const CONTEXT: TrainContext = TrainContext {
        paired: true,
        domains: Vec::new(),
        target_domain: None,
        patch: [16, 16, 1],
        inputs: 1,
        refine: [1; 3],
        spacing_mm: [1.0; 3],
    };

    fn tiny() -> Vec<(&'static str, ParamValue)> {
        vec![
            ("width", 3.into()),
            ("levels", 2.into()),
            ("discriminator_width", 2.into()),
            ("discriminator_halvings", 1.into()),
            ("contrast_gain", 10.into()),
            ("learning_rate", 5e-3.into()),
        ]
    }

    /// Two slow soft waves with a bright band across: a rib.
    fn ribs(step: u64) -> (Array, Array) {
        let random = Random::new(5, &[step]);
        let soft = |i: usize| {
            let phase = 6.0 * random.uniform((i / 256) as u64);
            (2.0 + (0.2 * (i % 16) as f64 + phase).sin()) as f32
        };
        let first = |item: usize| (12.0 * random.uniform(9 + item as u64)) as usize;
        let rib = |i: usize| if (i / 16 % 16).wrapping_sub(first(i / 256)) < 3 { 0.8 } else { 0.0 };
        let target: Vec<f32> = (0..512).map(soft).collect();
        let source: Vec<f32> = (0..512).map(|i| soft(i) + rib(i)).collect();
        (Array::new([2, 1, 1, 16, 16], &source), Array::new([2, 1, 1, 16, 16], &target))
    }

    fn item(array: &Array) -> Array {
        Array::new([1, 1, 1, 16, 16], &array.as_slice()[..256])
    }

    fn rms(a: &[f32], b: &[f32]) -> f64 {
        let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        (squares / a.len() as f64).sqrt()
    }

    #[test]
    fn resumed_training_equals_an_uninterrupted_one_and_soft_and_bone_add_up_at_every_strength() {
        let dir = tempfile::tempdir().unwrap();
        let (differing, mut bundle) =
            resumed_difference::<BoneSuppression>(dir.path(), &tiny(), &CONTEXT, 4, ribs).unwrap();
        assert_eq!(differing, Vec::<String>::new());
        let source = item(&ribs(9).0);
        let mut full = Vec::new();
        for strength in [1.0, 0.5, 0.0] {
            let at = |keep: &str| [("keep", ParamValue::from(keep)), ("strength", strength.into())];
            let soft = bundle.run(&[&source], &at("soft")).unwrap();
            let bone = bundle.run(&[&source], &at("bone")).unwrap();
            let sum: Vec<f32> = soft.as_slice().iter().zip(bone.as_slice()).map(|(s, b)| s + b).collect();
            assert!(rms(&sum, source.as_slice()) < 1e-6, "{strength}");
            if full.is_empty() {
                full = bone.as_slice().to_vec();
            }
            let share: Vec<f32> = full.iter().map(|b| strength as f32 * b).collect();
            assert!(rms(&share, bone.as_slice()) < 1e-6, "{strength}");
        }
        assert!(full.iter().any(|b| *b != 0.0));
    }

    #[test]
    fn a_trained_network_takes_off_bands_across() {
        let dir = tempfile::tempdir().unwrap();
        let mut params = tiny();
        params[0] = ("width", 6.into());
        let mut session = Session::<BoneSuppression>::begin_with(&params, 1, 250, None, &CONTEXT).unwrap();
        for step in 0..250 {
            let (source, target) = ribs(step);
            let losses = session.step(step, &source, &target).unwrap();
            assert_eq!(losses.keys().collect::<Vec<_>>(), ["adversarial", "bands", "discriminator", "image"]);
        }
        session.save(dir.path(), false).unwrap();
        let mut bundle = Bundle::<BoneSuppression>::create_in(dir.path(), 1).unwrap();
        let (source, target) = ribs(1000);
        let (source, target) = (item(&source), item(&target));
        let made = bundle.run(&[&source], &[]).unwrap();
        let [made, plain] = [made.as_slice(), source.as_slice()].map(|image| rms(image, target.as_slice()));
        assert!(made < 0.5 * plain, "{made} {plain}");
    }

    #[test]
    fn a_frontal_radiograph_gives_the_same_in_the_patients_frame_and_of_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::<BoneSuppression>::begin_with(&tiny(), 1, 1, None, &CONTEXT).unwrap();
        let (source, target) = ribs(0);
        session.step(0, &source, &target).unwrap();
        session.save(dir.path(), false).unwrap();
        let mut bundle = Bundle::<BoneSuppression>::create_in(dir.path(), 1).unwrap();
        let values = &source.as_slice()[..13 * 7];
        let made = [[1, 1, 1, 13, 7], [1, 1, 13, 1, 7], [1, 1, 7, 13, 1]].map(|shape| {
            let made = bundle.run(&[&Array::new(shape, values)], &[]).unwrap();
            assert_eq!(made.shape(), shape);
            made.as_slice().to_vec()
        });
        assert_eq!(made[0], made[1]);
        assert_ne!(made[0], values);
    }

    #[test]
    fn exposure_weighs_differences_and_planted_spheres_are_no_bone() {
        let (_, target) = ribs(0);
        let image_loss = |source: &Array, further: &[(&'static str, ParamValue)]| {
            let params = [tiny(), further.to_vec()].concat();
            let mut session = Session::<BoneSuppression>::begin_with(&params, 1, 1, None, &CONTEXT).unwrap();
            session.step(0, source, &target).unwrap()["image"]
        };
        let plain = image_loss(&target, &[]);
        // The soft waves lie between log attenuations of 1 and 3.
        let exposed = image_loss(&target, &[("exposure_power", 1.0.into())]);
        assert!(exposed < 0.1 * plain && exposed > 0.001 * plain, "{exposed} {plain}");
        let planted = image_loss(&target, &[("planted", 8.into())]);
        assert!(planted != plain && planted < 2.0 * plain, "{planted} {plain}");
    }

    #[test]
    fn patches_in_the_patients_frame_teach_the_same() {
        let (source, target) = ribs(0);
        let losses = [[2, 1, 1, 16, 16], [2, 1, 16, 1, 16]].map(|shape| {
            let mut session = Session::<BoneSuppression>::begin_with(&tiny(), 1, 1, None, &CONTEXT).unwrap();
            let [source, target] = [&source, &target].map(|patch| Array::new(shape, patch.as_slice()));
            session.step(0, &source, &target).unwrap()
        });
        assert_eq!(losses[0], losses[1]);
        assert!(losses[0]["image"] > 0.0);
    }

    #[test]
    fn pairs_are_needed_and_patches_that_cannot_be_halved_are_refused() {
        let begin = |context: &TrainContext| {
            Session::<BoneSuppression>::begin_with(&[], 1, 1, None, context).err().unwrap().message
        };
        let unpaired = begin(&TrainContext { paired: false, ..CONTEXT });
        assert_eq!(unpaired, "bone suppression learns from pairs: train it with --paired");
        let odd = begin(&TrainContext { patch: [36, 1, 36], ..CONTEXT });
        assert_eq!(
            odd,
            "patches of 36x1x36 voxels are no multiples of 8 in their plane: choose others, or fewer levels"
        );
    }
}
