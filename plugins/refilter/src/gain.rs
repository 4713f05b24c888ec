use std::{fs, path::Path};

use isoscan_sdk::PluginError;
use serde::{Deserialize, Serialize};

/// Name of the measured gain in `weights/`.
const FILE: &str = "gain.json";

/// A transfer function through two measured points: `MTF(f) = exp(-ln 2 · (f / f50)^p)`, `p` such that
/// `MTF(f10) = 1/10`.
pub(crate) struct Transfer {
    f50: f64,
    power: f64,
}

impl Transfer {
    /// From the frequencies, in lp/cm, where it is 50 % and 10 %.
    pub(crate) fn new(f50: f64, f10: f64) -> Result<Self, PluginError> {
        if f10 <= f50 {
            return Err(PluginError::invalid(format_args!(
                "a kernel's 10 % frequency must lie above its 50 % frequency, found {f10} and {f50} lp/cm"
            )));
        }
        Ok(Self { f50, power: (10f64.ln() / 2f64.ln()).ln() / (f10 / f50).ln() })
    }

    /// This transfer over that of `source` at a frequency; both as logarithms, so that neither underflows alone.
    pub(crate) fn over(&self, source: &Self, frequency: f64) -> f64 {
        (self.log(frequency) - source.log(frequency)).exp()
    }

    fn log(&self, frequency: f64) -> f64 {
        -(2f64.ln()) * (frequency / self.f50).powf(self.power)
    }
}

/// A gain measured at equally spaced frequencies: `weights/gain.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gain {
    /// Distance of the frequencies, lp/cm; the first gain is that of 0.
    pub(crate) step_per_cm: f64,
    /// Amplitude out over amplitude in.
    pub(crate) gain: Vec<f64>,
}

impl Gain {
    /// `None` when the folder has none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, PluginError> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let failed = |fact: &dyn std::fmt::Display| PluginError::failed(format_args!("{fact}: {}", path.display()));
        let text = fs::read(&path).map_err(|error| failed(&error))?;
        let read: Self = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        let sound =
            read.step_per_cm > 0.0 && !read.gain.is_empty() && read.gain.iter().all(|g| *g >= 0.0 && g.is_finite());
        if !sound {
            return Err(failed(&"expected a positive step and finite gains of zero or more"));
        }
        Ok(Some(read))
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), PluginError> {
        let text = serde_json::to_string_pretty(self).map_err(PluginError::failed)?;
        fs::write(folder.join(FILE), text + "\n").map_err(PluginError::failed)
    }

    /// The gain at a frequency in lp/cm, linear between the measured ones, the last one beyond them.
    pub(crate) fn at(&self, frequency: f64) -> f64 {
        let place = frequency / self.step_per_cm;
        let below = (place.floor() as usize).min(self.gain.len() - 1);
        let above = (below + 1).min(self.gain.len() - 1);
        self.gain[below] + (place - below as f64).min(1.0) * (self.gain[above] - self.gain[below])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_goes_through_its_two_points() {
        let (one, kernel) = (Transfer::new(1e6, 2e6).unwrap(), Transfer::new(3.0, 5.5).unwrap());
        for (frequency, expected) in [(0.0, 1.0), (3.0, 0.5), (5.5, 0.1)] {
            assert!((kernel.over(&one, frequency) - expected).abs() < 1e-9, "{frequency}");
        }
    }

    #[test]
    fn gain_is_linear_between_and_constant_beyond() {
        let gain = Gain { step_per_cm: 0.5, gain: vec![1.0, 0.8, 0.2] };
        for (frequency, expected) in [(0.0, 1.0), (0.25, 0.9), (0.5, 0.8), (0.75, 0.5), (1.0, 0.2), (9.0, 0.2)] {
            assert!((gain.at(frequency) - expected).abs() < 1e-12, "{frequency}");
        }
    }

    #[test]
    fn written_gain_is_read_back_and_a_broken_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Gain::read(dir.path()).unwrap(), None);
        let gain = Gain { step_per_cm: 0.5, gain: vec![1.0, 0.8] };
        gain.write(dir.path()).unwrap();
        assert_eq!(Gain::read(dir.path()).unwrap(), Some(gain));
        fs::write(dir.path().join(FILE), r#"{"step_per_cm": 0, "gain": [1]}"#).unwrap();
        let refused = Gain::read(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("expected a positive step"), "{refused}");
    }
}
