use isoscan_learned::{Failure, Family, Losses, Place, Weights, into_slices};
use isoscan_nn::{
    ADVERSARIAL_BETAS, Adversarial, Adversary, Error, Net, Random, Trainee, absolute_difference, descend,
    log_magnitude_difference,
};
use isoscan_sdk::{Axes, Descriptor, Input, Modality, Output, Param, Patching, PluginError, Refine, TrainConfig, Unit};
use tch::{Kind, Tensor, no_grad};

use crate::{
    Doubling, Forward, Recipe, SCALES, Trained,
    cascade::{enlarged, statistics},
    doubling::refined,
};

/// A training of super-resolution.
#[derive(Debug)]
pub struct SuperRes {
    network: Trainee<Doubling>,
    adversary: Adversary,
}

/// Names of the networks in files, and numbers of their random streams.
const NETWORK: &str = "network";
const ADVERSARY: &str = "adversary";
const NUMBERS: [u64; 2] = [0, 1];
/// Images that the discriminator looks back on.
const POOL: usize = 50;
/// Purpose of the random numbers that vary contrast and brightness.
const CONTRAST: u64 = 7;

pub(crate) fn scale() -> Param {
    Param::choice("scale", &SCALES.map(|(name, _)| name), "fine voxels per coarse one along x, y, z")
}

pub(crate) fn forward() -> Param {
    Param::choice(
        "forward",
        &Forward::WORDS,
        "how the coarse image came about: middle of k-space in-plane and thick slices, or one of both along every axis",
    )
}

impl Family for SuperRes {
    type Recipe = Recipe;
    type Networks = Vec<Trained>;
    const NAME: &'static str = "superres";

    /// The whole volume in one call: intensities are scaled by its mean and deviation, and k-space is of the whole.
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "superres".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Super-resolution".into(),
            summary: "Gives MR or CT a finer grid, in-plane, through-plane or both, with learned detail".into(),
            family: "superres".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Mr, Modality::Ct],
                units: vec![Unit::Arbitrary, Unit::Normalized, Unit::Hounsfield],
                ..Input::any("image", "the coarse image")
            }],
            output: Output {
                refine: Refine::chosen("scale", &SCALES),
                ..Output::like_input("the image on the finer grid")
            },
            patching: Patching::whole(Axes::Volume),
            params: vec![
                scale(),
                Param::choice(
                    "consistency",
                    &["project", "off"],
                    "project: the output degrades to the input exactly, noise and all, by the model `forward`",
                ),
                forward(),
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
        let (source, target) = varied(source, target, recipe, step)?;
        let made = refined(self.network.live(), &source, recipe.factors, &|| Ok(()))?;
        let (made_planes, real_planes) = (planes(&made, recipe.factors)?, planes(&target, recipe.factors)?);
        let pixel = absolute_difference(&made, &target)?;
        let mut losses = vec![("pixel", pixel.f_double_value(&[])?)];
        let mut total = pixel.f_mul_scalar(recipe.pixel_weight)?;
        if recipe.frequency_weight > 0.0 {
            let frequency = log_magnitude_difference(&made_planes, &real_planes)?;
            losses.push(("frequency", frequency.f_double_value(&[])?));
            total = total.f_add(&frequency.f_mul_scalar(recipe.frequency_weight)?)?;
        }
        let descent = recipe.schedule.descent(step);
        if recipe.adversarial_weight > 0.0 {
            let adversarial = self.adversary.judge(&made_planes)?;
            losses.push(("adversarial", adversarial.f_double_value(&[])?));
            total = total.f_add(&adversarial.f_mul_scalar(recipe.adversarial_weight)?)?;
        }
        descend(&total, &mut [self.network.parts()], descent)?;
        self.network.average_in(recipe.schedule.average_decay, step)?;
        let made = made.f_detach()?;
        if recipe.adversarial_weight > 0.0 {
            let discriminator = self.adversary.learn(&real_planes, &planes(&made, recipe.factors)?, descent)?;
            losses.push(("discriminator", discriminator));
        }
        let again = no_grad(|| recipe.forward.degraded(&made, recipe.factors))?;
        let residual = again.f_sub(&source)?.f_square()?.f_mean(Kind::Float)?.f_sqrt()?;
        losses.push(("consistency", residual.f_double_value(&[])?));
        Ok(losses)
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.network.kept().parameters().named(NETWORK)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.network.named(NETWORK);
        state.extend(self.adversary.named(ADVERSARY));
        state
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        self.network.load(NETWORK, state)?;
        self.adversary.load(ADVERSARY, state)?;
        Ok(())
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Vec<Trained>, Failure> {
        let network = Net::loaded(&recipe.network, NETWORK, weights)?;
        Ok(vec![Trained { factors: recipe.factors, network }])
    }

    /// Without projection, which a patch of a larger image does not allow: k-space is of the whole.
    fn translate(
        networks: &Vec<Trained>,
        _recipe: &Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure> {
        enlarged(networks, image, place.params, &|| (place.progress)(0.0))
    }
}

/// A batch and its truth on the scale of the former, with contrast and brightness changed by chance: a patch has not
/// the mean and deviation that its volume has.
fn varied(source: &Tensor, target: &Tensor, recipe: &Recipe, step: u64) -> Result<(Tensor, Tensor), Error> {
    let random = Random::new(recipe.schedule.seed, &[CONTRAST, step]);
    let chance = |i: i64| 2.0 * random.uniform(i as u64) - 1.0;
    let batch = source.size().first().copied().unwrap_or(0);
    let row = |value: &dyn Fn(i64) -> f64| -> Result<Tensor, Error> {
        let values: Vec<f32> = (0..batch).map(|item| value(item) as f32).collect();
        Ok(Tensor::f_from_slice(&values)?.f_view([batch, 1, 1, 1, 1])?)
    };
    let contrast = row(&|item| recipe.contrast.powf(chance(2 * item)))?;
    let brightness = row(&|item| (recipe.contrast - 1.0) * chance(2 * item + 1))?;
    let [mean, deviation] = statistics(source)?;
    let change = |image: &Tensor| -> Result<Tensor, Error> {
        Ok(image.f_sub(&mean)?.f_div(&deviation)?.f_mul(&contrast)?.f_add(&brightness)?)
    };
    Ok((change(source)?, change(target)?))
}

/// The planes that show what was refined, `[n, 1, rows, columns]`: axial ones, or coronal ones of through-plane scales.
fn planes(image: &Tensor, factors: [i64; 3]) -> Result<Tensor, Error> {
    match factors {
        [_, 1, 1] => Ok(into_slices(&image.f_transpose(2, 3)?)?),
        _ => Ok(into_slices(image)?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use isoscan_learned::testing::{Session, resumed_difference};
    use isoscan_sdk::{
        ParamValue, TrainContext,
        harness::{Array, Plugin},
    };

    use super::*;
    use crate::Cascade;

    const CONTEXT: TrainContext = TrainContext {
        paired: true,
        domains: Vec::new(),
        target_domain: None,
        patch: [16, 16, 1],
        inputs: 1,
        refine: [2, 2, 1],
        spacing_mm: [1.0, 1.0, 2.0],
    };

    fn tiny(variant: &str) -> Vec<(&'static str, ParamValue)> {
        vec![
            ("variant", variant.into()),
            ("width", 3.into()),
            ("blocks", 1.into()),
            ("discriminator_width", 2.into()),
            ("discriminator_halvings", 1.into()),
            ("learning_rate", 3e-3.into()),
        ]
    }

    /// Two noisy squares with their blocks' means: fine ones have sharp edges, coarse ones have not.
    fn squares(step: u64) -> (Array, Array) {
        let random = Random::new(5, &[step]);
        let edge = |item: usize, axis: u64| (8.0 + 14.0 * random.uniform(2 * item as u64 + axis)) as usize;
        let value = |item: usize, y: usize, x: usize| {
            let inside = x < edge(item, 0) && y < edge(item, 1);
            let noise = random.normal((item * 1024 + y * 32 + x) as u64 + 10);
            (if inside { 500.0 } else { 100.0 } + 2.0 * noise) as f32
        };
        let fine = |item: usize, y: usize, x: usize| value(item, y, x);
        let target: Vec<f32> = (0..2 * 1024).map(|i| fine(i / 1024, i / 32 % 32, i % 32)).collect();
        let mean = |item: usize, y: usize, x: usize| {
            (0..4).map(|i| fine(item, 2 * y + i / 2, 2 * x + i % 2)).sum::<f32>() / 4.0
        };
        let source: Vec<f32> = (0..2 * 256).map(|i| mean(i / 256, i / 16 % 16, i % 16)).collect();
        (Array::new([2, 1, 1, 16, 16], &source), Array::new([2, 1, 1, 32, 32], &target))
    }

    fn trained(variant: &str, steps: u64) -> (Vec<String>, Plugin<Cascade>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (differing, _) =
            resumed_difference::<SuperRes>(dir.path(), &tiny(variant), &CONTEXT, steps, squares).unwrap();
        let plugin = Plugin::create_in(&dir.path().join("whole"), 1).unwrap();
        (differing, plugin, dir)
    }

    fn item(array: &Array) -> Array {
        let [_, c, z, y, x] = array.shape();
        Array::new([1, c, z, y, x], &array.as_slice()[..c * z * y * x])
    }

    fn rms(a: &[f32], b: &[f32]) -> f64 {
        let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        (squares / a.len() as f64).sqrt()
    }

    #[test]
    fn resumed_training_of_both_variants_equals_an_uninterrupted_one() {
        for variant in ["edsr", "hybrid"] {
            let (differing, ..) = trained(variant, 4);
            assert_eq!(differing, Vec::<String>::new(), "{variant}");
        }
    }

    #[test]
    fn every_scale_has_its_size_and_a_constant_stays_constant() {
        let (_, mut bundle, _dir) = trained("edsr", 2);
        let image = Array::new([1, 1, 3, 5, 4], &[7.5; 60]);
        for (name, [x, y, z]) in SCALES {
            let made = bundle.run(&[&image], &[("scale", name.into())]).unwrap();
            assert_eq!(made.shape(), [1, 1, 3 * z, 5 * y, 4 * x], "{name}");
            assert!(made.as_slice().iter().all(|v| (v - 7.5).abs() < 1e-3), "{name}");
        }
    }

    #[test]
    fn training_brings_the_output_nearer_to_the_truth_and_to_its_input() {
        let mut session = Session::<SuperRes>::begin_with(&tiny("edsr"), 1, 100, None, &CONTEXT).unwrap();
        let losses: Vec<_> = (0..100)
            .map(|step| {
                let (source, target) = squares(step);
                session.step(step, &source, &target).unwrap()
            })
            .collect();
        for name in ["pixel", "consistency"] {
            let mean = |part: &[std::collections::BTreeMap<String, f64>]| {
                part.iter().map(|losses| losses[name]).sum::<f64>() / part.len() as f64
            };
            let (first, last) = (mean(&losses[..10]), mean(&losses[90..]));
            assert!(last < 0.5 * first, "{name}: {first} {last}");
        }
    }

    #[test]
    fn a_projected_output_degrades_to_its_input() {
        let (_, mut bundle, _dir) = trained("hybrid", 2);
        let source = item(&squares(3).0);
        for forward in Forward::WORDS {
            let params = [("consistency", "project".into()), ("forward", forward.into())];
            let made = bundle.run(&[&source], &params).unwrap();
            let made = isoscan_nn::image(made.as_slice(), &made.shape()).unwrap();
            let again = isoscan_nn::values(&Forward::of(forward).degraded(&made, [1, 2, 2]).unwrap()).unwrap();
            assert!(rms(&again, source.as_slice()) < 1e-3, "{forward}");
        }
    }

    #[test]
    fn brighter_images_of_more_contrast_come_out_alike() {
        let (_, mut bundle, _dir) = trained("edsr", 2);
        let source = item(&squares(3).0);
        let values: Vec<f32> = source.as_slice().iter().map(|v| 4.0 * v - 1000.0).collect();
        let loud = bundle.run(&[&Array::new(source.shape(), &values)], &[]).unwrap();
        let plain = bundle.run(&[&source], &[]).unwrap();
        let expected: Vec<f32> = plain.as_slice().iter().map(|v| 4.0 * v - 1000.0).collect();
        assert!(rms(loud.as_slice(), &expected) < 1e-2);
    }

    #[test]
    fn pairs_are_needed_and_a_scale_of_one_is_refused() {
        let begin = |context: &TrainContext| {
            Session::<SuperRes>::begin_with(&tiny("edsr"), 1, 1, None, context).err().unwrap().message
        };
        let unpaired = begin(&TrainContext { paired: false, ..CONTEXT });
        assert_eq!(unpaired, "super-resolution learns from pairs: train it with --paired");
        let same = begin(&TrainContext { refine: [1; 3], ..CONTEXT });
        assert_eq!(same, "recipe: scale must be in the scales finer than the input, found 1");
    }

    #[test]
    fn each_axis_is_doubled_by_the_network_that_learned_it() {
        let (_, mut in_plane, dir) = trained("edsr", 4);
        let through = TrainContext { refine: [1, 1, 2], patch: [16, 1, 16], ..CONTEXT };
        let mut session = Session::<SuperRes>::begin_with(&tiny("hybrid"), 2, 1, None, &through).unwrap();
        let (coarse, fine) = squares(1);
        let upright = |values: &[f32], z: usize| Array::new([2, 1, z, 1, 16], values);
        let half: Vec<f32> = fine.as_slice().chunks(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect();
        session.step(0, &upright(coarse.as_slice(), 16), &upright(&half, 32)).unwrap();
        session.save(&dir.path().join("through"), false).unwrap();
        let mut through_plane = Plugin::<Cascade>::create_in(&dir.path().join("through"), 1).unwrap();

        let both = dir.path().join("both/weights");
        for (name, from) in [("in-plane", "whole"), ("through-plane", "through")] {
            fs::create_dir_all(both.join(name)).unwrap();
            for file in fs::read_dir(dir.path().join(from).join("weights")).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), both.join(name).join(file.file_name())).unwrap();
            }
        }
        let mut joined = Plugin::<Cascade>::create_in(&dir.path().join("both"), 1).unwrap();
        let image = Array::new([1, 1, 4, 16, 4], item(&coarse).as_slice());
        let of = |plugin: &mut Plugin<Cascade>, scale: &str| {
            plugin.run(&[&image], &[("scale", scale.into())]).unwrap().as_slice().to_vec()
        };
        assert_eq!(of(&mut joined, "2x2x1"), of(&mut in_plane, "2x2x1"));
        assert_eq!(of(&mut joined, "1x1x2"), of(&mut through_plane, "1x1x2"));
        assert_ne!(of(&mut joined, "1x1x2"), of(&mut in_plane, "1x1x2"));
    }

    #[test]
    fn an_untrained_scale_is_refused_with_those_that_are_there() {
        let (_, mut plugin, _dir) = trained("edsr", 2);
        let refused = plugin.run(&[&item(&squares(1).0)], &[("scale", "4x4x1".into())]).unwrap_err().message;
        assert!(refused.contains("2x2x1") && refused.contains("1x1x2"), "{refused}");
    }
}
