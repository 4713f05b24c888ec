use std::marker::PhantomData;

use isoscan_learned::{Failure, Family, Losses, Place, Plane, Weights, into_slices};
use isoscan_nn::Net;
use isoscan_sdk::{Descriptor, Param, PluginError, TrainConfig};
use tch::Tensor;

use crate::{
    Recipe, RoutedNet, Task, mixed,
    training::{GENERATOR, Learner},
};

/// The family of routable networks.
#[derive(Debug)]
pub struct RouteGan<T> {
    learner: Learner,
    task: PhantomData<T>,
}

impl<T: Task> Family for RouteGan<T> {
    type Recipe = Recipe;
    type Networks = Net<RoutedNet>;
    const NAME: &'static str = "routegan";

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
        Ok(Self { learner: Learner::new(recipe)?, task: PhantomData })
    }

    /// Two sides without names are two domains: both draws then hold the source and the target.
    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let [source, target] = [source, target].map(|side| scaled(recipe, &Plane::of(side).turned(side)?));
        let (mut source, mut target) = (source?, target?);
        if recipe.two_sided {
            source = Tensor::f_cat(&[source, target], 0)?;
            target = source.shallow_clone();
        }
        Ok(self.learner.update(recipe, step, &source, &target)?)
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.learner.kept()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.learner.named()
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        Ok(self.learner.take(state)?)
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Self::Networks, Failure> {
        Ok(Net::loaded(&recipe.generator, GENERATOR, weights)?)
    }

    fn translate(
        generator: &Self::Networks,
        recipe: &Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure> {
        let params = place.params;
        let [target, mix_with] = ["target", "mix_with"].map(|id| recipe.domain(params.int(id)?));
        let route = mixed(target?, mix_with?, params.float("mix")?, recipe.domains.len())?;
        let residual = place.in_planes(image, recipe.generator.multiple(), |slices| {
            let scaled = slices.f_sub_scalar(recipe.zero)?.f_div_scalar(recipe.scale)?;
            Ok(generator.residual(&scaled, &route)?)
        })?;
        let residual = residual.f_mul_scalar(params.float("strength")? * recipe.scale)?;
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
    use isoscan_sdk::{
        ParamValue, TrainContext,
        harness::{Array, Failure},
    };

    use super::*;
    use crate::{Defaults, of_ct};

    #[derive(Debug)]
    struct Any;

    impl Task for Any {
        fn descriptor() -> Descriptor {
            of_ct("any", "Any", "Any images")
        }

        fn defaults() -> Defaults {
            Defaults { unit: "", zero: 0.0, scale: 200.0 }
        }
    }

    type Tested = RouteGan<Any>;

    fn tiny() -> Vec<(&'static str, ParamValue)> {
        vec![
            ("width", ParamValue::Int(2)),
            ("levels", ParamValue::Int(1)),
            ("routes", ParamValue::Int(2)),
            ("discriminator_width", ParamValue::Int(2)),
            ("discriminator_halvings", ParamValue::Int(1)),
            ("pool", ParamValue::Int(2)),
        ]
    }

    fn three() -> TrainContext {
        let domains = ["soft", "medium", "sharp"].map(str::to_owned).to_vec();
        TrainContext { domains, target_domain: Some("medium".into()), ..TrainContext::default() }
    }

    fn begin(seed: u64, resume: Option<&Path>) -> Result<Session<Tested>, Failure> {
        Session::<Tested>::begin_with(&tiny(), seed, 6, resume, &three())
    }

    /// One 16x16 slice per domain: a ramp of 1 HU per voxel with a checkerboard of 10, 40 and 80 HU.
    fn patches(step: u64) -> Array {
        let voxels = (0..3 * 16 * 16).map(|i| {
            let (y, x) = (i / 16 % 16, i % 16);
            let sign = if (x + y + step as usize).is_multiple_of(2) { 1.0 } else { -1.0 };
            x as f32 + sign * [10.0, 40.0, 80.0][i / 256]
        });
        Array::new([3, 1, 1, 16, 16], &voxels.collect::<Vec<_>>())
    }

    fn trained(dir: &Path) -> (Session<Tested>, Bundle<Tested>) {
        let names = [
            "adversarial",
            "agreement",
            "content",
            "cycle",
            "discriminator",
            "discriminator_domain",
            "domain",
            "identity",
            "noise",
        ];
        let mut session = begin(3, None).unwrap();
        for step in 0..6 {
            let losses = session.step(step, &patches(step), &patches(step + 1)).unwrap();
            assert_eq!(losses.keys().collect::<Vec<_>>(), names);
        }
        session.save(dir, false).unwrap();
        (session, Bundle::<Tested>::create_in(dir, 1).unwrap())
    }

    fn farthest(a: &Array, b: &Array) -> f32 {
        a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn session_resumed_from_its_checkpoint_writes_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let sides = |step| (patches(step), patches(step + 1));
        let (differing, _) = resumed_difference::<Tested>(dir.path(), &tiny(), &three(), 6, sides).unwrap();
        assert!(differing.is_empty(), "{differing:?}");
    }

    #[test]
    fn checkpoints_of_another_recipe_and_paired_scans_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        begin(3, None).unwrap().save(dir.path(), true).unwrap();
        let refused = begin(4, Some(&dir.path().join("checkpoint"))).err().unwrap();
        assert_eq!(refused.message, "the checkpoint was made with other parameters, data, steps or seed");
        let begin = |context| Session::<Tested>::begin_with(&tiny(), 3, 6, None, &context).err().unwrap().message;
        assert_eq!(begin(TrainContext { paired: true, ..three() }), "it learns from unpaired images");
        let elsewhere = TrainContext { target_domain: Some("ultra".into()), ..three() };
        assert_eq!(begin(elsewhere), "target domain 'ultra' is not one of soft, medium, sharp");
    }

    #[test]
    fn saved_bundle_translates_to_its_target_as_the_session_did_and_strength_0_returns_the_input() {
        let dir = tempfile::tempdir().unwrap();
        let (mut session, mut plugin) = trained(dir.path());
        let source = patches(9);
        let made = plugin.run(&[&source], &[]).unwrap();
        assert_eq!(made.as_slice(), session.translate(&source).unwrap().as_slice());
        let named = plugin.run(&[&source], &[("target", ParamValue::Int(1))]).unwrap();
        assert_eq!(named.as_slice(), made.as_slice());
        let off = plugin.run(&[&source], &[("strength", ParamValue::Float(0.0))]).unwrap();
        assert_eq!(off.as_slice(), source.as_slice());
    }

    #[test]
    fn each_domain_gives_its_own_slice_and_a_small_share_of_another_moves_it_a_little() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut plugin) = trained(dir.path());
        let source = patches(9);
        let mut made = |target, mix_with, mix| {
            let params = [
                ("target", ParamValue::Int(target)),
                ("mix_with", ParamValue::Int(mix_with)),
                ("mix", ParamValue::Float(mix)),
            ];
            plugin.run(&[&source], &params).unwrap()
        };
        let [soft, medium, sharp] = [0, 1, 2].map(|target| made(target, target, 0.0));
        assert!(farthest(&soft, &medium) > 0.0 && farthest(&medium, &sharp) > 0.0 && farthest(&soft, &sharp) > 0.0);
        assert_eq!(made(0, 2, 0.0).as_slice(), soft.as_slice());
        assert_eq!(made(0, 2, 1.0).as_slice(), sharp.as_slice());
        let near = made(0, 2, 0.02);
        assert!(farthest(&near, &soft) > 0.0 && farthest(&near, &soft) < 0.2 * farthest(&sharp, &soft));
    }

    #[test]
    fn a_slice_gives_the_same_bytes_alone_and_in_a_batch() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut plugin) = trained(dir.path());
        let all = patches(0);
        let alone = Array::new([1, 1, 1, 16, 16], &all.as_slice()[256..512]);
        let (all, alone) = (plugin.run(&[&all], &[]).unwrap(), plugin.run(&[&alone], &[]).unwrap());
        assert_eq!(&all.as_slice()[256..512], alone.as_slice());
    }

    #[test]
    fn two_sides_without_names_are_two_domains() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::<Tested>::begin(&tiny(), 1, 2, None).unwrap();
        session.step(0, &patches(0), &patches(1)).unwrap();
        session.save(dir.path(), false).unwrap();
        let recipe: Recipe = isoscan_nn::read_recipe(&dir.path().join("weights/recipe.json")).unwrap();
        assert_eq!((recipe.domains, recipe.target), (vec!["source".to_owned(), "target".to_owned()], 1));
    }

    #[test]
    fn a_frontal_radiograph_is_translated_as_the_same_axial_slice() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut plugin) = trained(dir.path());
        let voxels = patches(9).as_slice()[..11 * 13].to_vec();
        let axial = plugin.run(&[&Array::new([1, 1, 1, 11, 13], &voxels)], &[]).unwrap();
        let frontal = plugin.run(&[&Array::new([1, 1, 11, 1, 13], &voxels)], &[]).unwrap();
        assert_eq!(axial.as_slice(), frontal.as_slice());
        assert_ne!(axial.as_slice(), voxels);
    }

    #[test]
    fn domains_bundles_and_slices_that_cannot_be_used_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = Bundle::<Tested>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("recipe: No such file"), "{}", refused.message);
        let (_, mut plugin) = trained(dir.path());
        let refused = plugin.run(&[&patches(0)], &[("target", ParamValue::Int(3))]).unwrap_err();
        assert_eq!(refused.message, "the weights know no domain 3, they know 0 soft, 1 medium, 2 sharp");
        let refused = plugin.run(&[&Array::zeros([1, 2, 1, 16, 16])], &[]).unwrap_err();
        assert_eq!(refused.message, "expected 1 channel, found 2");

        fs::write(dir.path().join("weights/routegan.safetensors"), b"").unwrap();
        let refused = Bundle::<Tested>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("not a safetensors file: "), "{}", refused.message);
    }
}
