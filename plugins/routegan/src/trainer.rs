use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use isoscan_nn::values;
use isoscan_sdk::{Param, PluginError, TensorView, TensorViewMut, TrainConfig, Trainer};
use tch::{Tensor, no_grad};

use crate::{
    Recipe, RouteGan, one_hot,
    recipe::{STATE, WEIGHTS},
    scale::{failed, slices},
};

/// Learns the weights of [`crate::RouteGanTranslator`] from unpaired slices of K domains, or of two sides.
#[derive(Debug)]
pub struct RouteGanTrainer {
    recipe: Recipe,
    training: RouteGan,
    two_sided: bool,
    next_step: u64,
    threads: i32,
}

impl Trainer for RouteGanTrainer {
    fn params() -> Vec<Param> {
        Recipe::params()
    }

    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError> {
        let threads = i32::try_from(config.threads).unwrap_or(i32::MAX).max(1);
        tch::set_num_threads(threads);
        if config.context.paired {
            return Err(PluginError::invalid("routegan learns from unpaired scans"));
        }
        let recipe = Recipe::of(config)?;
        let mut training = RouteGan::new(&recipe.routegan, recipe.seed).map_err(failed)?;
        let mut next_step = 0;
        if let Some(checkpoint) = &config.resume {
            if Recipe::read(checkpoint)? != recipe {
                return Err(PluginError::invalid(
                    "the checkpoint was made with other parameters, domains, steps or seed",
                ));
            }
            next_step = training.resume(&checkpoint.join(STATE)).map_err(failed)?;
        }
        let two_sided = config.context.domains.is_empty();
        Ok((Self { recipe, training, two_sided, next_step, threads }, next_step))
    }

    fn step(
        &mut self,
        step: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError> {
        tch::set_num_threads(self.threads);
        let mut source = slices(&source, self.recipe.hu_scale)?;
        let mut real = slices(&target, self.recipe.hu_scale)?;
        if self.two_sided {
            let both = Tensor::f_cat(&[source, real], 0).map_err(|error| failed(error.into()))?;
            (source, real) = (both.shallow_clone(), both);
        }
        let losses = self.training.step(step, &source, &real).map_err(failed)?;
        self.next_step = step + 1;
        Ok(losses.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn translate(&mut self, source: TensorView<'_>, mut output: TensorViewMut<'_>) -> Result<(), PluginError> {
        tch::set_num_threads(self.threads);
        let scaled = slices(&source, self.recipe.hu_scale)?;
        let route = one_hot(&[self.recipe.target], self.recipe.domains.len()).map_err(failed)?;
        let generator = self.training.averaged();
        let residual = no_grad(|| generator.residual(&scaled, &route)).and_then(|t| values(&t)).map_err(failed)?;
        let gain = self.recipe.hu_scale as f32;
        for ((made, hu), residual) in output.as_mut_slice().iter_mut().zip(source.as_slice()).zip(residual) {
            *made = hu + gain * residual;
        }
        Ok(())
    }

    fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), PluginError> {
        let weights = folder(dir, "weights")?;
        self.training.save_weights(&weights.join(WEIGHTS)).map_err(failed)?;
        self.recipe.write(&weights)?;
        if checkpoint {
            let state = folder(dir, "checkpoint")?;
            self.training.save_checkpoint(&state.join(STATE), self.next_step).map_err(failed)?;
            self.recipe.write(&state)?;
        }
        Ok(())
    }
}

fn folder(dir: &Path, name: &str) -> Result<PathBuf, PluginError> {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).map_err(|error| PluginError::failed(format_args!("{error}: {}", folder.display())))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::{
        ParamValue, TrainContext,
        harness::{Array, Plugin, Training},
    };

    use super::*;
    use crate::RouteGanTranslator;

    type Session = Training<RouteGanTranslator, RouteGanTrainer>;

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

    fn begin(seed: u64, resume: Option<&Path>) -> Result<Session, isoscan_sdk::harness::Failure> {
        Session::begin_with(&tiny(), seed, 6, resume, &three())
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

    fn train(session: &mut Session, steps: std::ops::Range<u64>) {
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
        for step in steps {
            let losses = session.step(step, &patches(step), &patches(step + 1)).unwrap();
            assert_eq!(losses.keys().collect::<Vec<_>>(), names);
        }
    }

    fn trained(dir: &Path) -> (Session, Plugin<RouteGanTranslator>) {
        let mut session = begin(3, None).unwrap();
        train(&mut session, 0..6);
        session.save(dir, false).unwrap();
        (session, Plugin::create_in(dir, 1).unwrap())
    }

    fn farthest(a: &Array, b: &Array) -> f32 {
        a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn session_resumed_from_its_checkpoint_writes_the_same_bytes() {
        let [whole, half] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut session = begin(3, None).unwrap();
        train(&mut session, 0..6);
        session.save(whole.path(), true).unwrap();

        let mut first = begin(3, None).unwrap();
        train(&mut first, 0..4);
        first.translate(&patches(9)).unwrap();
        first.save(half.path(), true).unwrap();
        let mut second = begin(3, Some(&half.path().join("checkpoint"))).unwrap();
        assert_eq!(second.first_step, 4);
        train(&mut second, 4..6);
        second.save(half.path(), true).unwrap();
        for name in ["weights/routegan.safetensors", "weights/recipe.json", "checkpoint/state.safetensors"] {
            let [a, b] = [&whole, &half].map(|dir| fs::read(dir.path().join(name)).unwrap());
            assert!(a == b, "{name}");
        }
    }

    #[test]
    fn checkpoints_of_another_recipe_and_paired_scans_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        begin(3, None).unwrap().save(dir.path(), true).unwrap();
        let refused = begin(4, Some(&dir.path().join("checkpoint"))).err().unwrap();
        assert_eq!(refused.message, "the checkpoint was made with other parameters, domains, steps or seed");
        let paired = TrainContext { paired: true, ..three() };
        let refused = Session::begin_with(&tiny(), 3, 6, None, &paired).err().unwrap();
        assert_eq!(refused.message, "routegan learns from unpaired scans");
        let elsewhere = TrainContext { target_domain: Some("ultra".into()), ..three() };
        let refused = Session::begin_with(&tiny(), 3, 6, None, &elsewhere).err().unwrap();
        assert_eq!(refused.message, "target domain 'ultra' is not one of soft, medium, sharp");
    }

    #[test]
    fn saved_bundle_translates_to_its_target_as_the_session_did_and_strength_0_returns_the_input() {
        let dir = tempfile::tempdir().unwrap();
        let (mut session, mut plugin) = trained(dir.path());
        let source = patches(9);
        let preview = session.translate(&source).unwrap();
        let made = plugin.run(&[&source], &[]).unwrap();
        assert!(farthest(&made, &preview) < 1e-3, "{} HU", farthest(&made, &preview));
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
        let mut session = Session::begin(&tiny(), 1, 2, None).unwrap();
        session.step(0, &patches(0), &patches(1)).unwrap();
        session.save(dir.path(), false).unwrap();
        let recipe = Recipe::read(&dir.path().join("weights")).unwrap();
        assert_eq!((recipe.domains, recipe.target), (vec!["source".to_owned(), "target".to_owned()], 1));
    }

    #[test]
    fn shipped_weights_fit_their_recipe_and_change_a_slice() {
        let mut plugin = Plugin::<RouteGanTranslator>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
        let source = patches(0);
        let made = plugin.run(&[&source], &[]).unwrap();
        assert!(made.as_slice().iter().all(|hu| hu.is_finite()));
        assert_ne!(made.as_slice(), source.as_slice());
    }

    #[test]
    fn domains_bundles_and_slices_that_cannot_be_used_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = Plugin::<RouteGanTranslator>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("recipe: No such file"), "{}", refused.message);
        let (_, mut plugin) = trained(dir.path());
        let refused = plugin.run(&[&patches(0)], &[("target", ParamValue::Int(3))]).unwrap_err();
        assert_eq!(refused.message, "the weights know no domain 3, they know 0 soft, 1 medium, 2 sharp");
        let refused = plugin.run(&[&Array::zeros([1, 2, 1, 16, 16])], &[]).unwrap_err();
        assert_eq!(refused.message, "expected 1 channel, found 2");
        let refused = plugin.run(&[&Array::zeros([1, 1, 1, 15, 16])], &[]).unwrap_err();
        assert!(refused.message.starts_with("image must be [batch, 1, y, x] with y and x multiples of 2"));

        fs::write(dir.path().join("weights").join(WEIGHTS), b"").unwrap();
        let refused = Plugin::<RouteGanTranslator>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("not a safetensors file: "), "{}", refused.message);
    }
}
