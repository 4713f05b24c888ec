//! CT kernel conversion by a radial linear filter: the baseline of learned kernel conversion.
//!
//! Each axial slice is multiplied, in the frequency domain, with a gain that depends on the spatial frequency alone:
//! the ratio of the transfer functions of target and source kernel, or the ratio of amplitude spectra that training
//! measured between two sets of scans. `gain` defines both, `filter` applies them.
//!
//! ```
//! use isoscan_refilter::Refilter;
//! use isoscan_sdk::Translator;
//!
//! let descriptor = Refilter::descriptor();
//! assert_eq!(descriptor.params[0].id, "method");
//! ```

mod filter;
mod gain;
mod spectrum;
mod trainer;

use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Modality, Output, Param, Patching, PluginError, Translator, Unit,
};

use filter::filter_slice;
use gain::{Gain, Transfer};
pub use trainer::RefilterTrainer;

/// Voxels by which a slice is mirrored at its edges before it is transformed.
const MARGIN: usize = 32;

/// The kernel conversion plugin.
pub struct Refilter {
    measured: Option<Gain>,
}

isoscan_sdk::export_plugin!(Refilter, train = RefilterTrainer);

impl Translator for Refilter {
    fn descriptor() -> Descriptor {
        let frequency = |id: &str, default: f64, text: &str| Param::float(id, [0.01, 100.0], default, "lp/cm", text);
        Descriptor {
            id: "refilter".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Kernel conversion by a linear filter".into(),
            summary: "Gives CT slices the frequency response of another kernel".into(),
            family: "classical".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Ct],
                units: vec![Unit::Hounsfield],
                ..Input::any("image", "CT slices of the source kernel in HU")
            }],
            output: Output::like_input("the slices with the target's response, HU"),
            patching: Patching { max_batch: 8, ..Patching::whole(Axes::Slices) },
            params: vec![
                Param::choice(
                    "method",
                    &["measured", "mtf"],
                    "measured: the bundle's spectrum ratio; mtf: the numbers below",
                ),
                frequency("source_mtf50", 3.4, "mtf: where the source kernel transfers 50 %"),
                frequency("source_mtf10", 6.0, "mtf: where it transfers 10 %"),
                frequency("target_mtf50", 1.7, "mtf: where the target kernel transfers 50 %"),
                frequency("target_mtf10", 2.8, "mtf: where it transfers 10 %"),
                Param::float("max_gain", [1.0, 100.0], 4.0, "", "largest gain at any frequency: caps the noise"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        Ok(Self { measured: Gain::read(&config.bundle.join("weights"))? })
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let (image, params, host) = (call.image(), call.params, call.host);
        let max_gain = params.float("max_gain")?;
        let transfer = |side: &str| {
            Transfer::new(params.float(&format!("{side}_mtf50"))?, params.float(&format!("{side}_mtf10"))?)
        };
        let gain: Box<dyn Fn(f64) -> f64> = if params.choice("method")? == "mtf" {
            let (source, target) = (transfer("source")?, transfer("target")?);
            Box::new(move |frequency| target.over(&source, frequency))
        } else {
            let measured = self.measured.as_ref().ok_or_else(|| {
                PluginError::invalid("the bundle has no measured spectrum: train it, or say method mtf")
            })?;
            Box::new(move |frequency| measured.at(frequency))
        };
        let [_, _, _, ny, nx] = image.shape;
        let spacing_mm = [call.context.spacing_mm[0], call.context.spacing_mm[1]];
        let slices = image.as_slice().len() / (nx * ny).max(1);
        let mut output = call.output();
        let pairs = image.as_slice().chunks_exact(nx * ny).zip(output.as_mut_slice().chunks_exact_mut(nx * ny));
        for (index, (slice, out)) in pairs.enumerate() {
            host.progress(index as f32 / slices as f32)?;
            filter_slice(slice, [nx, ny], spacing_mm, MARGIN, |frequency| gain(frequency).min(max_gain), out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::harness::{Array, Failure, Plugin};

    use super::*;

    /// `amplitude · cos(2π f x)` on a slice of 96 x 64 voxels of 1 mm, `f` in lp/cm.
    fn wave(frequency_per_cm: f64, amplitude: f64) -> Array {
        let value = |x: usize| amplitude * (std::f64::consts::TAU * frequency_per_cm / 10.0 * (x as f64 + 0.5)).cos();
        Array::new([1, 1, 1, 64, 96], &(0..96 * 64).map(|i| value(i % 96) as f32).collect::<Vec<_>>())
    }

    fn run(image: &Array, params: &[(&str, isoscan_sdk::ParamValue)]) -> Result<Array, Failure> {
        Plugin::<Refilter>::create()?.run(&[image], params)
    }

    fn mtf(source: [f64; 2], target: [f64; 2]) -> Vec<(&'static str, isoscan_sdk::ParamValue)> {
        vec![
            ("method", "mtf".into()),
            ("source_mtf50", source[0].into()),
            ("source_mtf10", source[1].into()),
            ("target_mtf50", target[0].into()),
            ("target_mtf10", target[1].into()),
        ]
    }

    #[test]
    fn same_kernel_changes_nothing() {
        let image = wave(1.25, 100.0);
        let made = run(&image, &mtf([3.0, 5.0], [3.0, 5.0])).unwrap();
        for (found, expected) in made.as_slice().iter().zip(image.as_slice()) {
            assert!((found - expected).abs() < 1e-3, "{found} for {expected}");
        }
    }

    #[test]
    fn wave_at_half_transfer_of_the_target_is_halved() {
        // A source kernel far beyond the wave transfers it whole; the period of 8 voxels divides slice and margin.
        let made = run(&wave(1.25, 100.0), &mtf([50.0, 90.0], [1.25, 2.5])).unwrap();
        for (found, source) in made.as_slice().iter().zip(wave(1.25, 50.0).as_slice()) {
            assert!((found - source).abs() < 0.2, "{found} for {source}");
        }
    }

    #[test]
    fn sharper_target_gains_no_more_than_the_cap() {
        let mut params = mtf([0.5, 1.0], [4.0, 8.0]);
        params.push(("max_gain", 2.0.into()));
        let made = run(&wave(1.25, 100.0), &params).unwrap();
        for (found, source) in made.as_slice().iter().zip(wave(1.25, 200.0).as_slice()) {
            assert!((found - source).abs() < 0.5, "{found} for {source}");
        }
    }

    #[test]
    fn impossible_requests_are_refused() {
        let image = wave(1.25, 1.0);
        let empty = tempfile::tempdir().unwrap();
        let mut plugin = Plugin::<Refilter>::create_in(empty.path(), 1).unwrap();
        let refused = plugin.run(&[&image], &[]).unwrap_err();
        assert_eq!(refused.message, "the bundle has no measured spectrum: train it, or say method mtf");
        let refused = run(&image, &mtf([3.0, 2.0], [1.0, 2.0])).err().unwrap();
        assert_eq!(refused.message, "a kernel's 10 % frequency must lie above its 50 % frequency, found 2 and 3 lp/cm");
    }
}
