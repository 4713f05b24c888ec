use std::{collections::BTreeMap, fs, path::Path};

use isoscan_nn::{CycleGan, Direction, values};
use isoscan_sdk::{Param, PluginError, TensorView, TensorViewMut, TrainConfig, Trainer};
use tch::no_grad;

use crate::{
    Recipe,
    recipe::{STATE, WEIGHTS},
    scale::{failed, slices},
};

/// Learns the weights of [`crate::CycleGanTranslator`] from unpaired slices of two protocols.
#[derive(Debug)]
pub struct CycleGanTrainer {
    recipe: Recipe,
    training: CycleGan,
    next_step: u64,
    threads: i32,
}

impl Trainer for CycleGanTrainer {
    fn params() -> Vec<Param> {
        Recipe::params()
    }

    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError> {
        let threads = i32::try_from(config.threads).unwrap_or(i32::MAX).max(1);
        tch::set_num_threads(threads);
        let recipe = Recipe::from_params(&config.params, config.seed, config.steps)?;
        let mut training = CycleGan::new(&recipe.cyclegan, recipe.seed).map_err(failed)?;
        let mut next_step = 0;
        if let Some(checkpoint) = &config.resume {
            if Recipe::read(checkpoint)? != recipe {
                return Err(PluginError::invalid("the checkpoint was made with other parameters, steps or seed"));
            }
            next_step = training.resume(&checkpoint.join(STATE)).map_err(failed)?;
        }
        Ok((Self { recipe, training, next_step, threads }, next_step))
    }

    fn step(
        &mut self,
        step: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError> {
        tch::set_num_threads(self.threads);
        let [source, target] = [slices(&source, self.recipe.hu_scale)?, slices(&target, self.recipe.hu_scale)?];
        let losses = self.training.step(step, &source, &target).map_err(failed)?;
        self.next_step = step + 1;
        Ok(losses.named().into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn translate(&mut self, source: TensorView<'_>, mut output: TensorViewMut<'_>) -> Result<(), PluginError> {
        let scaled = slices(&source, self.recipe.hu_scale)?;
        let generator = self.training.averaged(Direction::Forward);
        let residual = no_grad(|| generator.residual(&scaled)).and_then(|t| values(&t)).map_err(failed)?;
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

fn folder(dir: &Path, name: &str) -> Result<std::path::PathBuf, PluginError> {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).map_err(|error| PluginError::failed(format_args!("{error}: {}", folder.display())))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::{
        ParamValue,
        harness::{Array, Plugin, Training},
    };

    use super::*;
    use crate::CycleGanTranslator;

    type Session = Training<CycleGanTranslator, CycleGanTrainer>;

    fn tiny() -> Vec<(&'static str, ParamValue)> {
        vec![
            ("width", ParamValue::Int(4)),
            ("blocks", ParamValue::Int(1)),
            ("discriminator_width", ParamValue::Int(4)),
            ("discriminator_halvings", ParamValue::Int(1)),
            ("learning_rate", ParamValue::Float(1e-3)),
            ("pool", ParamValue::Int(2)),
        ]
    }

    /// A checkerboard of 40 HU on a plane that rises by 1 HU per voxel along x, moved by the step.
    fn patches(amplitude: f32, step: u64) -> Array {
        let voxels = (0..2 * 16 * 16).map(|i| {
            let (y, x) = (i / 16 % 16, i % 16);
            let sign = if (x + y + step as usize).is_multiple_of(2) { 1.0 } else { -1.0 };
            x as f32 + sign * amplitude
        });
        Array::new([2, 1, 1, 16, 16], &voxels.collect::<Vec<_>>())
    }

    fn train(session: &mut Session, steps: std::ops::Range<u64>) {
        for step in steps {
            let losses = session.step(step, &patches(40.0, step), &patches(10.0, step)).unwrap();
            assert_eq!(losses.keys().collect::<Vec<_>>(), ["adversarial", "cycle", "discriminator", "identity"]);
        }
    }

    fn file(dir: &Path, name: &str) -> Vec<u8> {
        fs::read(dir.join(name)).unwrap()
    }

    #[test]
    fn session_resumed_from_its_checkpoint_writes_the_same_bytes() {
        let [whole, half] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut session = Session::begin(&tiny(), 3, 6, None).unwrap();
        train(&mut session, 0..6);
        session.save(whole.path(), true).unwrap();

        let mut first = Session::begin(&tiny(), 3, 6, None).unwrap();
        train(&mut first, 0..4);
        first.save(half.path(), true).unwrap();
        let mut second = Session::begin(&tiny(), 3, 6, Some(&half.path().join("checkpoint"))).unwrap();
        assert_eq!(second.first_step, 4);
        train(&mut second, 4..6);
        second.save(half.path(), true).unwrap();
        for name in ["weights/cyclegan.safetensors", "weights/recipe.json", "checkpoint/state.safetensors"] {
            assert!(file(whole.path(), name) == file(half.path(), name), "{name}");
        }
    }

    #[test]
    fn checkpoint_of_another_recipe_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Session::begin(&tiny(), 3, 6, None).unwrap().save(dir.path(), true).unwrap();
        let refused = Session::begin(&tiny(), 4, 6, Some(&dir.path().join("checkpoint")));
        let message = refused.err().unwrap().message;
        assert_eq!(message, "the checkpoint was made with other parameters, steps or seed");
    }

    #[test]
    fn saved_bundle_translates_as_the_session_did() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::begin(&tiny(), 3, 6, None).unwrap();
        train(&mut session, 0..6);
        session.save(dir.path(), false).unwrap();
        let source = patches(40.0, 9);
        let preview = session.translate(&source).unwrap();

        let mut plugin = Plugin::<CycleGanTranslator>::create_in(dir.path(), 1).unwrap();
        let made = plugin.run(&[&source], &[]).unwrap();
        let farthest = made.as_slice().iter().zip(preview.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(farthest < 1e-3, "{farthest} HU");
        assert_ne!(made.as_slice(), source.as_slice());

        let off = plugin.run(&[&source], &[("strength", ParamValue::Float(0.0))]).unwrap();
        assert_eq!(off.as_slice(), source.as_slice(), "strength 0 returns the input bit for bit");
        let back = plugin.run(&[&source], &[("direction", ParamValue::Choice("backward".into()))]).unwrap();
        assert_ne!(back.as_slice(), made.as_slice());
    }

    #[test]
    fn a_slice_gives_the_same_bytes_alone_and_in_a_batch() {
        let dir = tempfile::tempdir().unwrap();
        Session::begin(&tiny(), 3, 6, None).unwrap().save(dir.path(), false).unwrap();
        let mut plugin = Plugin::<CycleGanTranslator>::create_in(dir.path(), 1).unwrap();
        let both = patches(40.0, 0);
        let alone = Array::new([1, 1, 1, 16, 16], &both.as_slice()[256..]);
        let (both, alone) = (plugin.run(&[&both], &[]).unwrap(), plugin.run(&[&alone], &[]).unwrap());
        assert_eq!(&both.as_slice()[256..], alone.as_slice());
    }

    #[test]
    fn shipped_weights_fit_their_recipe_and_change_a_slice() {
        let mut plugin = Plugin::<CycleGanTranslator>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
        let source = patches(40.0, 0);
        let made = plugin.run(&[&source], &[]).unwrap();
        assert!(made.as_slice().iter().all(|hu| hu.is_finite()));
        assert_ne!(made.as_slice(), source.as_slice());
    }

    #[test]
    fn bundles_and_slices_that_cannot_be_used_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = Plugin::<CycleGanTranslator>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("recipe: No such file"), "{}", refused.message);

        Session::begin(&tiny(), 3, 6, None).unwrap().save(dir.path(), false).unwrap();
        let mut plugin = Plugin::<CycleGanTranslator>::create_in(dir.path(), 1).unwrap();
        let refused = plugin.run(&[&Array::zeros([1, 2, 1, 16, 16])], &[]).unwrap_err();
        assert_eq!(refused.message, "expected 1 channel, found 2");
        let refused = plugin.run(&[&Array::zeros([1, 1, 1, 1, 16])], &[]).unwrap_err();
        assert!(refused.message.starts_with("libtorch: "), "{}", refused.message);

        fs::write(dir.path().join("weights").join(WEIGHTS), b"").unwrap();
        let refused = Plugin::<CycleGanTranslator>::create_in(dir.path(), 1).err().unwrap();
        assert!(refused.message.starts_with("not a safetensors file: "), "{}", refused.message);
    }
}
