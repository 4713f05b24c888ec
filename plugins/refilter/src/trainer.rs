use std::{collections::BTreeMap, fs, path::Path};

use isoscan_sdk::{Param, PluginError, TensorView, TensorViewMut, TrainConfig, Trainer};
use serde::{Deserialize, Serialize};

use crate::{MARGIN, filter::filter_slice, gain::Gain, spectrum::Spectrum};

/// Name of the sums in `checkpoint/`.
const STATE: &str = "spectra.json";

/// Measures the ratio of the amplitude spectra of two sets of scans.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefilterTrainer {
    size: [usize; 2],
    #[serde(skip)]
    spacing_mm: [f64; 2],
    next_step: u64,
    source: Spectrum,
    target: Spectrum,
}

impl RefilterTrainer {
    fn gain(&self) -> Gain {
        Gain { step_per_cm: self.source.step_per_cm(), gain: self.source.ratio_to(&self.target) }
    }
}

impl Trainer for RefilterTrainer {
    fn params() -> Vec<Param> {
        Vec::new()
    }

    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError> {
        let ([nx, ny, nz], [dx, dy, _]) = (config.context.patch, config.context.spacing_mm);
        if nx < 8 || ny < 8 || nz != 1 || !(dx > 0.0 && dy > 0.0) {
            return Err(PluginError::invalid(format_args!(
                "expected slices of 8 x 8 voxels or more with their spacing, found {nx} x {ny} x {nz} of {dx} x {dy} mm"
            )));
        }
        let (size, spacing_mm) = ([nx, ny], [dx, dy]);
        let empty = Spectrum::new(size, spacing_mm);
        if let Some(folder) = &config.resume {
            let path = folder.join(STATE);
            let text = fs::read(&path).map_err(PluginError::failed)?;
            let left: Self = serde_json::from_slice(&text).map_err(PluginError::failed)?;
            let sums = [left.source, left.target].map(|sums| sums.in_rings_of(&empty));
            let [Some(source), Some(target)] = sums.map(|sums| sums.filter(|_| left.size == size)) else {
                return Err(PluginError::invalid("the checkpoint was made with other patches"));
            };
            return Ok((Self { size, spacing_mm, next_step: left.next_step, source, target }, left.next_step));
        }
        Ok((Self { size, spacing_mm, next_step: 0, source: empty.clone(), target: empty }, 0))
    }

    fn step(
        &mut self,
        step: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError> {
        for (view, spectrum) in [(source, &mut self.source), (target, &mut self.target)] {
            let [_, channels, _, ny, nx] = view.shape;
            if channels != 1 || [nx, ny] != self.size {
                return Err(PluginError::invalid(format_args!(
                    "expected slices of {:?} voxels in 1 channel, found {nx} x {ny} in {channels}",
                    self.size
                )));
            }
            for slice in view.as_slice().chunks_exact(nx * ny) {
                spectrum.add(slice, self.size, self.spacing_mm);
            }
        }
        self.next_step = step + 1;
        let gain = self.gain().gain;
        let distance = gain.iter().map(|g| g.max(1e-12).ln().abs()).sum::<f64>() / gain.len() as f64;
        Ok(BTreeMap::from([("spectrum_distance".to_owned(), distance)]))
    }

    fn translate(&mut self, source: TensorView<'_>, mut output: TensorViewMut<'_>) -> Result<(), PluginError> {
        let gain = self.gain();
        let voxels = self.size[0] * self.size[1];
        for (slice, out) in source.as_slice().chunks_exact(voxels).zip(output.as_mut_slice().chunks_exact_mut(voxels)) {
            filter_slice(slice, self.size, self.spacing_mm, MARGIN, |frequency| gain.at(frequency), out);
        }
        Ok(())
    }

    fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), PluginError> {
        let weights = dir.join("weights");
        fs::create_dir_all(&weights).map_err(PluginError::failed)?;
        self.gain().write(&weights)?;
        if checkpoint {
            let folder = dir.join("checkpoint");
            fs::create_dir_all(&folder).map_err(PluginError::failed)?;
            let text = serde_json::to_string(self).map_err(PluginError::failed)?;
            fs::write(folder.join(STATE), text).map_err(PluginError::failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::{
        TrainContext,
        harness::{Array, Plugin, Training},
    };

    use super::*;
    use crate::Refilter;

    type Session = Training<Refilter, RefilterTrainer>;

    fn context() -> TrainContext {
        TrainContext { patch: [32, 32, 1], spacing_mm: [1.0; 3], ..TrainContext::default() }
    }

    /// Waves of 4, 2 and 1 lp/cm along x, moved by the step, with these amplitudes.
    fn waves(amplitudes: [f64; 3], step: u64) -> Array {
        let value = |x: f64| -> f64 {
            let wave = |periods: f64, amplitude: f64| amplitude * (std::f64::consts::TAU * periods * x / 32.0).cos();
            wave(12.0, amplitudes[0]) + wave(6.0, amplitudes[1]) + wave(3.0, amplitudes[2])
        };
        let values: Vec<f32> = (0..1024).map(|i| value((i % 32) as f64 + 0.3 * step as f64) as f32).collect();
        Array::new([1, 1, 1, 32, 32], &values)
    }

    fn train(session: &mut Session, steps: std::ops::Range<u64>) {
        for step in steps {
            session.step(step, &waves([10.0, 10.0, 10.0], step), &waves([1.0, 5.0, 10.0], step + 1)).unwrap();
        }
    }

    #[test]
    fn measured_filter_gives_each_frequency_the_amplitude_of_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::begin_with(&[], 0, 4, None, &context()).unwrap();
        train(&mut session, 0..4);
        session.save(dir.path(), false).unwrap();
        let gain = Gain::read(&dir.path().join("weights")).unwrap().unwrap();
        for (frequency, expected) in [(3.75, 0.1), (1.875, 0.5), (0.9375, 1.0)] {
            let found = gain.at(frequency);
            assert!((found / expected - 1.0).abs() < 0.05, "{found} at {frequency} lp/cm for {expected}");
        }
        let mut plugin = Plugin::<Refilter>::create_in(dir.path(), 1).unwrap();
        let made = plugin.run(&[&waves([10.0; 3], 0)], &[]).unwrap();
        assert_eq!(made.as_slice(), session.translate(&waves([10.0; 3], 0)).unwrap().as_slice());
    }

    #[test]
    fn session_resumed_from_its_checkpoint_measures_the_same() {
        let [whole, half] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut session = Session::begin_with(&[], 0, 4, None, &context()).unwrap();
        train(&mut session, 0..4);
        session.save(whole.path(), true).unwrap();
        let mut first = Session::begin_with(&[], 0, 4, None, &context()).unwrap();
        train(&mut first, 0..2);
        first.save(half.path(), true).unwrap();
        let mut second = Session::begin_with(&[], 0, 4, Some(&half.path().join("checkpoint")), &context()).unwrap();
        assert_eq!(second.first_step, 2);
        train(&mut second, 2..4);
        second.save(half.path(), true).unwrap();
        for name in ["weights/gain.json", "checkpoint/spectra.json"] {
            assert_eq!(fs::read(whole.path().join(name)).unwrap(), fs::read(half.path().join(name)).unwrap(), "{name}");
        }
    }

    #[test]
    fn patches_without_spacing_are_refused() {
        let refused = Session::begin(&[], 0, 1, None).err().unwrap().message;
        assert!(refused.starts_with("expected slices of 8 x 8 voxels or more"), "{refused}");
    }
}
