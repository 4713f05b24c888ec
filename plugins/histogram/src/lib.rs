//! Histogram matching: the classical baseline.
//!
//! Gives `image` the intensity distribution of `reference` by a piecewise linear map through matched quantiles, the
//! rule of Nyúl, Udupa and Zhang (IEEE Trans Med Imaging 19:143, 2000) in the form that the `HistogramMatching` filter
//! of ITK computes. `matching` defines it.
//!
//! ```
//! use isoscan_histogram::HistogramMatching;
//! use isoscan_sdk::harness::{Array, Plugin};
//!
//! let image = Array::new([1, 1, 1, 1, 5], &[0.0, 1.0, 2.0, 3.0, 4.0]);
//! let reference = Array::new([1, 1, 1, 1, 5], &[10.0, 30.0, 50.0, 70.0, 90.0]);
//! let mut plugin = Plugin::<HistogramMatching>::create().unwrap();
//! let matched = plugin.run(&[&image, &reference], &[("threshold_at_mean", false.into())]).unwrap();
//! assert_eq!(matched.as_slice(), reference.as_slice());
//! ```

mod matching;

use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Output, Param, Patching, PluginError, TensorView, Translator,
};

use matching::{Landmarks, Rule};

/// Voxels between two questions to the host whether to go on.
const STRIDE: usize = 1 << 20;

/// The histogram-matching translation.
pub struct HistogramMatching;

isoscan_sdk::export_plugin!(HistogramMatching);

impl Translator for HistogramMatching {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "histogram".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Histogram matching".into(),
            summary: "Gives an image the intensity distribution of a reference".into(),
            family: "classical".into(),
            inputs: vec![
                Input::any("image", "the image to change"),
                Input::any("reference", "an image of the wanted distribution, same unit, any size"),
            ],
            output: Output::like_input("the image with the distribution of the reference"),
            patching: Patching::whole(Axes::Volume),
            params: vec![
                Param::int("levels", [2, 65_536], 1024, "", "bins of each histogram"),
                Param::int("points", [1, 1024], 7, "", "inner quantiles that are matched"),
                Param::bool("threshold_at_mean", true, "match only voxels at or above the mean: leaves out the air"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let rule = Rule {
            levels: call.params.int("levels")? as usize,
            points: call.params.int("points")? as usize,
            threshold_at_mean: call.params.bool("threshold_at_mean")?,
        };
        let (host, image) = (call.host, call.image());
        let reference = call.input("reference").ok_or_else(|| PluginError::invalid("there is no 'reference'"))?;
        let from = landmarks(image, rule, "image")?;
        host.progress(0.3)?;
        let to = landmarks(reference, rule, "reference")?;
        host.progress(0.6)?;
        let map = from.map_to(&to).ok_or_else(|| PluginError::failed("the image has one intensity only"))?;
        let mut output = call.output();
        let voxels = image.as_slice().len();
        let pieces = output.as_mut_slice().chunks_mut(STRIDE).zip(image.as_slice().chunks(STRIDE));
        for (piece, (out, source)) in pieces.enumerate() {
            host.progress(0.6 + 0.4 * (piece * STRIDE) as f32 / voxels as f32)?;
            for (out, &voxel) in out.iter_mut().zip(source) {
                *out = map.at(f64::from(voxel)) as f32;
            }
        }
        Ok(())
    }
}

fn landmarks(view: TensorView<'_>, rule: Rule, name: &str) -> Result<Landmarks, PluginError> {
    Landmarks::of(view.as_slice(), rule)
        .ok_or_else(|| PluginError::failed(format_args!("'{name}' holds a value that is not finite")))
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::harness::{Array, Failure, Plugin};

    use super::*;

    fn run(image: &[f32], reference: &[f32]) -> Result<Vec<f32>, Failure> {
        let array = |values: &[f32]| Array::new([1, 1, 1, 1, values.len()], values);
        let mut plugin = Plugin::<HistogramMatching>::create()?;
        let params = [("threshold_at_mean", false.into()), ("levels", 4.into()), ("points", 1.into())];
        Ok(plugin.run(&[&array(image), &array(reference)], &params)?.as_slice().to_vec())
    }

    #[test]
    fn image_matched_to_itself_stays() {
        let image = [3.0, -7.0, 12.5, 40.0, 0.0, 1.0];
        for (found, expected) in run(&image, &image).unwrap().iter().zip(image) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn unusable_images_are_refused_by_name() {
        let rows: [(&[f32], &[f32], &str); 3] = [
            (&[1.0, f32::NAN], &[1.0, 2.0], "'image' holds a value that is not finite"),
            (&[1.0, 2.0], &[1.0, f32::INFINITY], "'reference' holds a value that is not finite"),
            (&[5.0, 5.0], &[1.0, 2.0], "the image has one intensity only"),
        ];
        for (image, reference, message) in rows {
            assert_eq!(run(image, reference).unwrap_err().message, message);
        }
    }

    #[test]
    fn reference_is_not_optional() {
        let image = Array::zeros([1, 1, 1, 1, 4]);
        let failure = Plugin::<HistogramMatching>::create().unwrap().run(&[&image], &[]).unwrap_err();
        assert_eq!(failure.message, "input 'reference' is missing");
    }

    #[test]
    fn reference_may_have_another_size() {
        assert_eq!(run(&[0.0, 1.0, 2.0], &[10.0, 20.0, 30.0, 40.0, 50.0]).unwrap(), [10.0, 30.0, 50.0]);
    }

    #[test]
    fn cancelled_call_stops() {
        let image = Array::new([1, 1, 1, 1, 2], &[0.0, 1.0]);
        let mut plugin = Plugin::<HistogramMatching>::create().unwrap();
        plugin.cancel();
        assert_eq!(plugin.run(&[&image, &image], &[]).unwrap_err().message, "cancelled by the host");
    }
}
