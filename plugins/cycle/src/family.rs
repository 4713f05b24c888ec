use std::marker::PhantomData;

use isoscan_learned::{Failure, Family, Losses, Place, Plane, Weights, into_slices};
use isoscan_nn::{Generator, Net};
use isoscan_sdk::{Descriptor, Param, PluginError, TrainConfig};
use tch::Tensor;

use crate::{
    Recipe, Task,
    training::{Couple, GENERATORS},
};

/// The family of residual CycleGANs.
#[derive(Debug)]
pub struct CycleGan<T> {
    couple: Couple,
    task: PhantomData<T>,
}

impl<T: Task> Family for CycleGan<T> {
    type Recipe = Recipe;
    /// Forward and backward.
    type Networks = [Net<Generator>; 2];
    const NAME: &'static str = "cyclegan";

    fn descriptor() -> Descriptor {
        T::descriptor()
    }

    fn params() -> Vec<Param> {
        Recipe::params::<T>()
    }

    fn recipe(config: &TrainConfig) -> Result<Recipe, PluginError> {
        Recipe::of(config)
    }

    fn begin(recipe: &Recipe) -> Result<Self, Failure> {
        Ok(Self { couple: Couple::new(recipe)?, task: PhantomData })
    }

    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let [source, target] = [source, target].map(|side| scaled(recipe, &Plane::of(side).turned(side)?));
        self.couple.update(recipe, step, [&source?, &target?])
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.couple.kept()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.couple.named()
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        Ok(self.couple.take(state)?)
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Self::Networks, Failure> {
        let [forward, backward] = GENERATORS.map(|name| Net::loaded(&recipe.generator, name, weights));
        Ok([forward?, backward?])
    }

    fn translate(
        [forward, backward]: &Self::Networks,
        recipe: &Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure> {
        let generator = if place.params.choice("direction")? == "backward" { backward } else { forward };
        let residual = place.in_planes(image, recipe.generator.multiple(), |slices| {
            Ok(generator.residual(&slices.f_sub_scalar(recipe.zero)?.f_div_scalar(recipe.scale)?)?)
        })?;
        let residual = residual.f_mul_scalar(place.params.float("strength")? * recipe.scale)?;
        Ok(image.f_add(&residual)?)
    }
}

/// Axial slices `[batch * z, 1, y, x]` in the scale of the networks.
fn scaled(recipe: &Recipe, image: &Tensor) -> Result<Tensor, tch::TchError> {
    into_slices(image)?.f_sub_scalar(recipe.zero)?.f_div_scalar(recipe.scale)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use isoscan_learned::testing::{Bundle, Session, resumed_difference};
    use isoscan_nn::GeneratorRecipe;
    use isoscan_sdk::{Axes, Input, Output, ParamValue, Patching, TrainContext, harness::Array};

    use super::*;
    use crate::Defaults;

    #[derive(Debug)]
    struct Any;

    impl Task for Any {
        fn descriptor() -> Descriptor {
            Descriptor {
                id: "any".into(),
                version: "1.0.0".into(),
                name: "Any".into(),
                summary: "Any images".into(),
                family: "cyclegan".into(),
                inputs: vec![Input::any("image", "any image")],
                output: Output::like_input("another image"),
                patching: Patching::whole(Axes::Volume),
                params: Self::params(),
                deterministic: true,
                synthetic: true,
            }
        }

        fn defaults() -> Defaults {
            Defaults { unit: "", zero: 0.0, scale: 200.0, generator: GeneratorRecipe::default() }
        }
    }

    type Tested = CycleGan<Any>;

    fn tiny() -> Vec<(&'static str, ParamValue)> {
        vec![
            ("width", ParamValue::Int(4)),
            ("blocks", ParamValue::Int(1)),
            ("discriminator_width", ParamValue::Int(4)),
            ("discriminator_halvings", ParamValue::Int(1)),
            ("learning_rate", ParamValue::Float(2e-3)),
            ("cycle_weight", ParamValue::Float(1.0)),
            ("identity_weight", ParamValue::Float(0.5)),
            ("average_decay", ParamValue::Float(0.95)),
            ("pool", ParamValue::Int(2)),
        ]
    }

    /// A checkerboard of `amplitude` HU on a plane that rises by 1 HU per voxel along x, moved by the step.
    fn patches(amplitude: f32, step: u64) -> Array {
        let voxels = (0..2 * 16 * 16).map(|i| {
            let (y, x) = (i / 16 % 16, i % 16);
            let sign = if (x + y + step as usize).is_multiple_of(2) { 1.0 } else { -1.0 };
            x as f32 + sign * amplitude
        });
        Array::new([2, 1, 1, 16, 16], &voxels.collect::<Vec<_>>())
    }

    fn begin(seed: u64, resume: Option<&Path>) -> Result<Session<Tested>, isoscan_sdk::harness::Failure> {
        Session::<Tested>::begin(&tiny(), seed, 6, resume)
    }

    #[test]
    fn session_resumed_from_its_checkpoint_writes_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let sides = |step| (patches(40.0, step), patches(10.0, step));
        let (differing, _) =
            resumed_difference::<Tested>(dir.path(), &tiny(), &TrainContext::default(), 6, sides).unwrap();
        assert!(differing.is_empty(), "{differing:?}");
    }

    #[test]
    fn checkpoint_of_another_recipe_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        begin(3, None).unwrap().save(dir.path(), true).unwrap();
        let message = begin(4, Some(&dir.path().join("checkpoint"))).err().unwrap().message;
        assert_eq!(message, "the checkpoint was made with other parameters, data, steps or seed");
    }

    #[test]
    fn training_closes_the_gap_between_two_textures_and_the_bundle_translates_as_the_session() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::<Tested>::begin(&tiny(), 1, 300, None).unwrap();
        for step in 0..300 {
            let losses = session.step(step, &patches(40.0, step), &patches(10.0, step + 1)).unwrap();
            assert_eq!(losses.keys().collect::<Vec<_>>(), ["adversarial", "cycle", "discriminator", "identity"]);
        }
        session.save(dir.path(), false).unwrap();
        let source = patches(40.0, 1000);
        let preview = session.translate(&source).unwrap();
        let mut plugin = Bundle::<Tested>::create_in(dir.path(), 1).unwrap();
        let made = plugin.run(&[&source], &[]).unwrap();
        assert_eq!(made.as_slice(), preview.as_slice());

        let roughness = |array: &Array| {
            let slice = array.as_slice();
            slice.windows(2).map(|pair| f64::from((pair[0] - pair[1]).abs())).sum::<f64>() / slice.len() as f64
        };
        let target = patches(10.0, 1000);
        let gap = |array: &Array| (roughness(array) / roughness(&target)).ln().abs();
        assert!(gap(&made) < 0.7 * gap(&source), "{} to {}", gap(&source), gap(&made));

        let off = plugin.run(&[&source], &[("strength", ParamValue::Float(0.0))]).unwrap();
        assert_eq!(off.as_slice(), source.as_slice(), "strength 0 returns the input bit for bit");
        let back = plugin.run(&[&source], &[("direction", ParamValue::Choice("backward".into()))]).unwrap();
        assert_ne!(back.as_slice(), made.as_slice());
        let alone = Array::new([1, 1, 1, 16, 16], &source.as_slice()[256..]);
        let alone = plugin.run(&[&alone], &[]).unwrap();
        assert_eq!(&made.as_slice()[256..], alone.as_slice(), "a slice gives the same bytes alone and in a batch");
    }

    #[test]
    fn a_frontal_radiograph_is_translated_as_the_same_axial_slice() {
        let dir = tempfile::tempdir().unwrap();
        let halved = [tiny(), vec![("halvings", ParamValue::Int(2)), ("zero", ParamValue::Float(20.0))]].concat();
        let mut session = Session::<Tested>::begin(&halved, 1, 2, None).unwrap();
        session.step(0, &patches(40.0, 0), &patches(10.0, 1)).unwrap();
        session.save(dir.path(), false).unwrap();
        let mut plugin = Bundle::<Tested>::create_in(dir.path(), 1).unwrap();
        let voxels = patches(40.0, 9).as_slice()[..11 * 14].to_vec();
        let axial = plugin.run(&[&Array::new([1, 1, 1, 11, 14], &voxels)], &[]).unwrap();
        let frontal = plugin.run(&[&Array::new([1, 1, 11, 1, 14], &voxels)], &[]).unwrap();
        assert_eq!(axial.as_slice(), frontal.as_slice());
        assert_ne!(axial.as_slice(), voxels);
    }

    #[test]
    fn recipes_bundles_and_slices_that_cannot_be_used_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = Bundle::<Tested>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("recipe: No such file"), "{}", refused.message);

        let mut session = begin(3, None).unwrap();
        session.save(dir.path(), false).unwrap();
        let nan = Array::new([1, 1, 1, 16, 16], &[f32::NAN; 256]);
        let refused = session.step(0, &nan, &nan).unwrap_err();
        assert!(refused.message.contains("step 0"), "{}", refused.message);
        let mut plugin = Bundle::<Tested>::create_in(dir.path(), 1).unwrap();
        let refused = plugin.run(&[&Array::zeros([1, 2, 1, 16, 16])], &[]).unwrap_err();
        assert_eq!(refused.message, "expected 1 channel, found 2");
        let refused = plugin.run(&[&Array::zeros([1, 1, 1, 1, 16])], &[]).unwrap_err();
        assert!(refused.message.starts_with("libtorch: "), "{}", refused.message);

        fs::write(dir.path().join("weights/cyclegan.safetensors"), b"").unwrap();
        let refused = Bundle::<Tested>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("not a safetensors file: "), "{}", refused.message);
    }
}
