use std::{collections::BTreeMap, fs, path::Path};

use isoscan_sdk::{Param, PluginError, TensorView, TensorViewMut, TrainConfig, Trainer};
use serde::{Deserialize, Serialize};

use crate::{
    dictionary::Dictionary,
    neighbourhood::{VALUES, neighbourhood},
};

/// Name of the collected entries in `checkpoint/`.
const STATE: &str = "entries.json";

/// Collects the dictionary of [`crate::PatchRegression`] from paired slices.
#[derive(Debug, Serialize, Deserialize)]
pub struct PatchRegressionTrainer {
    recipe: Recipe,
    next_step: u64,
    neighbourhoods: Vec<f32>,
    hu: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Recipe {
    entries: u64,
    steps: u64,
    seed: u64,
}

impl Recipe {
    /// Entries that there shall be after so many steps.
    fn due(&self, steps: u64) -> usize {
        (u128::from(self.entries) * u128::from(steps) / u128::from(self.steps.max(1))) as usize
    }
}

impl Trainer for PatchRegressionTrainer {
    fn params() -> Vec<Param> {
        vec![Param::int("entries", [64, 65_536], 12_000, "", "neighbourhoods that the dictionary keeps")]
    }

    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError> {
        if !config.context.paired {
            return Err(PluginError::invalid("patch regression learns from pairs: train it with --paired"));
        }
        let recipe = Recipe { entries: config.params.int("entries")? as u64, steps: config.steps, seed: config.seed };
        let Some(folder) = &config.resume else {
            return Ok((Self { recipe, next_step: 0, neighbourhoods: Vec::new(), hu: Vec::new() }, 0));
        };
        let text = fs::read(folder.join(STATE)).map_err(PluginError::failed)?;
        let left: Self = serde_json::from_slice(&text).map_err(PluginError::failed)?;
        if left.recipe != recipe {
            return Err(PluginError::invalid("the checkpoint was made with other parameters, steps or seed"));
        }
        let next_step = left.next_step;
        Ok((left, next_step))
    }

    /// Takes entries at places that depend on the seed and their number alone.
    fn step(
        &mut self,
        step: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError> {
        let [_, channels, _, ny, nx] = source.shape;
        if source.shape != target.shape || channels != 1 {
            return Err(PluginError::invalid(format_args!(
                "expected pairs of one channel and the same size, found {:?} and {:?}",
                source.shape, target.shape
            )));
        }
        let voxels = nx * ny;
        let slices = source.as_slice().len() / voxels.max(1);
        self.next_step = step + 1;
        while slices > 0 && self.hu.len() < self.recipe.due(self.next_step) {
            let place = spread(self.recipe.seed, self.hu.len() as u64) as usize % (slices * voxels);
            let (slice, at) = (place / voxels, [place % voxels % nx, place % voxels / nx]);
            let mr = &source.as_slice()[slice * voxels..][..voxels];
            self.neighbourhoods.extend(neighbourhood(mr, [nx, ny], at));
            self.hu.push(target.as_slice()[place]);
        }
        Ok(BTreeMap::from([("entries".to_owned(), self.hu.len() as f64)]))
    }

    fn translate(&mut self, source: TensorView<'_>, mut output: TensorViewMut<'_>) -> Result<(), PluginError> {
        let dictionary = Dictionary::new(&self.neighbourhoods, &self.hu)?;
        let [_, _, _, ny, nx] = source.shape;
        let pairs = source.as_slice().chunks_exact(nx * ny).zip(output.as_mut_slice().chunks_exact_mut(nx * ny));
        for (slice, out) in pairs {
            dictionary.predict(slice, [nx, ny], 12, out, |_| Ok(()))?;
        }
        Ok(())
    }

    fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), PluginError> {
        let weights = dir.join("weights");
        fs::create_dir_all(&weights).map_err(PluginError::failed)?;
        debug_assert_eq!(self.neighbourhoods.len(), self.hu.len() * VALUES);
        Dictionary::new(&self.neighbourhoods, &self.hu)?.write(&weights)?;
        if checkpoint {
            let folder = dir.join("checkpoint");
            fs::create_dir_all(&folder).map_err(PluginError::failed)?;
            let text = serde_json::to_string(self).map_err(PluginError::failed)?;
            fs::write(folder.join(STATE), text).map_err(PluginError::failed)?;
        }
        Ok(())
    }
}

/// SplitMix64's output function (Steele, Lea and Flood 2014) over a key and a count.
fn spread(key: u64, count: u64) -> u64 {
    let mut z = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (count + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::{
        TrainContext,
        harness::{Array, Plugin, Training},
    };

    use super::*;
    use crate::PatchRegression;

    type Session = Training<PatchRegression, PatchRegressionTrainer>;

    fn begin(steps: u64, resume: Option<&Path>) -> Session {
        let context = TrainContext { paired: true, ..TrainContext::default() };
        Session::begin_with(&[("entries", 3000.into())], 5, steps, resume, &context).unwrap()
    }

    /// A disk of MR 1 (soft) with a ring of 0 (bone) in air of 0, and its CT; moved by the step.
    fn pair(step: u64) -> (Array, Array) {
        let (mut mr, mut ct) = (vec![0.0f32; 1024], vec![-1000.0f32; 1024]);
        for i in 0..1024 {
            let (x, y) = ((i % 32) as f64 - 15.5 - (step % 3) as f64, (i / 32) as f64 - 15.5);
            match x.hypot(y) {
                r if r < 7.0 => (mr[i], ct[i]) = (1.0, 40.0),
                r if r < 9.0 => (mr[i], ct[i]) = (0.0, 1000.0),
                r if r < 11.0 => (mr[i], ct[i]) = (1.5, -80.0),
                _ => {}
            }
        }
        (Array::new([1, 1, 1, 32, 32], &mr), Array::new([1, 1, 1, 32, 32], &ct))
    }

    fn train(session: &mut Session, steps: std::ops::Range<u64>) {
        for step in steps {
            let (mr, ct) = pair(step);
            session.step(step, &mr, &ct).unwrap();
        }
    }

    #[test]
    fn bone_is_told_from_air_by_what_lies_around() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = begin(6, None);
        train(&mut session, 0..6);
        session.save(dir.path(), false).unwrap();
        let mut plugin = Plugin::<PatchRegression>::create_in(dir.path(), 1).unwrap();
        let (mr, ct) = pair(1);
        let made = plugin.run(&[&mr], &[]).unwrap();
        let errors = made.as_slice().iter().zip(ct.as_slice()).map(|(a, b)| f64::from((a - b).abs()));
        let (mean, bone) = (errors.sum::<f64>() / 1024.0, made.as_slice()[16 * 32 + 16 + 8 + 1]);
        assert!(mean < 50.0, "mean absolute error {mean} HU");
        assert!(bone > 500.0, "bone at {bone} HU, where MR is as dark as in air");
    }

    #[test]
    fn session_resumed_from_its_checkpoint_writes_the_same_bytes() {
        let [whole, half] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut session = begin(4, None);
        train(&mut session, 0..4);
        session.save(whole.path(), true).unwrap();
        let mut first = begin(4, None);
        train(&mut first, 0..2);
        first.save(half.path(), true).unwrap();
        let mut second = begin(4, Some(&half.path().join("checkpoint")));
        assert_eq!(second.first_step, 2);
        train(&mut second, 2..4);
        second.save(half.path(), true).unwrap();
        for name in ["weights/dictionary.safetensors", "checkpoint/entries.json"] {
            assert!(fs::read(whole.path().join(name)).unwrap() == fs::read(half.path().join(name)).unwrap(), "{name}");
        }
    }

    #[test]
    fn unpaired_training_is_refused() {
        let refused = Session::begin(&[], 0, 1, None).err().unwrap().message;
        assert_eq!(refused, "patch regression learns from pairs: train it with --paired");
    }
}
