//! Intensity standardisation onto a reference image: the baselines of learned harmonisation.
//!
//! Each method is one of `isoscan-imaging`'s, fitted to the image and to the reference; the image goes through the one
//! and back through the other, so the unit stays.
//!
//! ```
//! use isoscan_intensity::Intensity;
//! use isoscan_sdk::harness::{Array, Plugin};
//!
//! let image = Array::new([1, 1, 1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
//! let reference = Array::new([1, 1, 1, 1, 4], &[10.0, 20.0, 30.0, 40.0]);
//! let mut plugin = Plugin::<Intensity>::create().unwrap();
//! let params = [("method", "z-score".into()), ("region", "all".into())];
//! let made = plugin.run(&[&image, &reference], &params).unwrap();
//! assert!(made.as_slice().iter().zip(reference.as_slice()).all(|(found, expected)| (found - expected).abs() < 1e-4));
//! ```

use isoscan_imaging::{
    Geometry, IntensityScale, Mask, Modality, Normalization, StandardScale, TissueMode, Unit, Volume, body, normalize,
    standardize,
};
use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Output, Param, Params, Patching, PluginError, TensorView, Translator,
    export_plugin,
};
use ndarray::Array3;

/// The intensity standardisation plugin.
pub struct Intensity;

export_plugin!(Intensity);

impl Translator for Intensity {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "intensity".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Intensity standardisation".into(),
            summary: "Brings an image onto the intensity scale of a reference".into(),
            family: "classical".into(),
            inputs: vec![
                Input::any("image", "the image to change"),
                Input::any("reference", "an image on the wanted scale, same unit, any size"),
            ],
            output: Output::like_input("the image on the reference's scale"),
            patching: Patching::whole(Axes::Volume),
            params: vec![
                Param::choice(
                    "method",
                    &["nyul", "white-stripe", "z-score", "robust-z-score"],
                    "nyul: percentiles 1, 10 to 90, 99; white-stripe: one tissue; z-score: mean and deviation",
                ),
                Param::choice("region", &["body", "all"], "voxels that the map is fitted to; white-stripe: above 0"),
                Param::choice(
                    "tissue",
                    &["last", "largest", "first"],
                    "white-stripe: the peak; last is T1's white matter",
                ),
                Param::float("width", [0.001, 0.5], 0.05, "", "white-stripe: half width as a share of the region"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let (host, params) = (call.host, call.params);
        let reference = call.input("reference").ok_or_else(|| PluginError::invalid("there is no 'reference'"))?;
        let (image, reference) = (volume(call.image())?, volume(reference)?);
        host.progress(0.1)?;
        let made = match Linear::from_params(params)? {
            Some(linear) => {
                let [from, to] =
                    [("image", &image), ("reference", &reference)].map(|(name, v)| linear.fit(name, v, params));
                let (from, to) = (from?, to?);
                host.progress(0.7)?;
                to.undo(&from.apply(&image), Unit::Arbitrary)
            }
            None => {
                let scale = percentiles(&reference, params)?;
                host.progress(0.5)?;
                let mask = region(&image, params, "image")?;
                standardize(&image, mask.as_ref(), &scale).map_err(failed("image"))?.0
            }
        };
        call.output().as_mut_slice().copy_from_slice(made.as_slice());
        Ok(())
    }
}

/// A method that is one linear change per image.
struct Linear(Normalization);

impl Linear {
    /// `None` for the method that is a curve.
    fn from_params(params: &Params) -> Result<Option<Self>, PluginError> {
        let mode = match params.choice("tissue")? {
            "first" => TissueMode::First,
            "largest" => TissueMode::Largest,
            _ => TissueMode::Last,
        };
        Ok(match params.choice("method")? {
            "white-stripe" => Some(Self(Normalization::WhiteStripe { mode, width: params.float("width")? })),
            "z-score" => Some(Self(Normalization::ZScore)),
            "robust-z-score" => Some(Self(Normalization::RobustZScore)),
            _ => None,
        })
    }

    fn fit(&self, name: &'static str, volume: &Volume, params: &Params) -> Result<IntensityScale, PluginError> {
        let mask = match self.0 {
            Normalization::WhiteStripe { .. } => None,
            _ => region(volume, params, name)?,
        };
        Ok(normalize(volume, mask.as_ref(), self.0).map_err(failed(name))?.1)
    }
}

/// The reference's own percentiles: a scale trained on it alone whose ends are its outermost percentiles.
fn percentiles(reference: &Volume, params: &Params) -> Result<StandardScale, PluginError> {
    let mask = region(reference, params, "reference")?;
    let at = StandardScale::PERCENTILES;
    let outermost = Normalization::Percentile { low: at[0], high: at[at.len() - 1] };
    let (_, ends) = normalize(reference, mask.as_ref(), outermost).map_err(failed("reference"))?;
    let ends = [ends.offset(), ends.offset() + ends.scale()];
    StandardScale::train(&[(reference, mask.as_ref())], &at, ends).map_err(failed("reference"))
}

fn region(volume: &Volume, params: &Params, name: &'static str) -> Result<Option<Mask>, PluginError> {
    Ok(match params.choice("region")? {
        "body" => Some(body(volume).map_err(failed(name))?),
        _ => None,
    })
}

fn failed(name: &'static str) -> impl Fn(isoscan_imaging::Error) -> PluginError {
    move |error| PluginError::failed(format_args!("'{name}': {error}"))
}

/// The first channel of the first patch; methods ask for no spacing, modality or unit.
fn volume(view: TensorView<'_>) -> Result<Volume, PluginError> {
    let [batch, channels, nz, ny, nx] = view.shape;
    if batch * channels != 1 {
        return Err(PluginError::invalid(format_args!("expected 1 patch of 1 channel, found {batch} of {channels}")));
    }
    let geometry = Geometry::axis_aligned([nx, ny, nz], [1.0; 3]).map_err(PluginError::failed)?;
    let voxels = Array3::from_shape_vec((nz, ny, nx), view.as_slice().to_vec()).map_err(PluginError::failed)?;
    Volume::new(voxels, geometry, Modality::Ot, Unit::Arbitrary).map_err(PluginError::failed)
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::{
        ParamValue,
        harness::{Array, Failure, Plugin},
    };

    use super::*;

    fn run(image: &[f32], reference: &[f32], method: &str) -> Result<Vec<f32>, Failure> {
        let array = |values: &[f32]| Array::new([1, 1, 1, 1, values.len()], values);
        let params: [(&str, ParamValue); 2] = [("method", method.into()), ("region", "all".into())];
        let mut plugin = Plugin::<Intensity>::create()?;
        Ok(plugin.run(&[&array(image), &array(reference)], &params)?.as_slice().to_vec())
    }

    /// Two tissues, 60 and 40 voxels, each voxel of its own intensity, without background.
    fn tissues(gain: f32, offset: f32) -> Vec<f32> {
        let voxel = |i: usize| if i < 60 { 20.0 + 0.1 * i as f32 } else { 80.0 + 0.1 * i as f32 };
        (0..100).map(|i| gain * voxel(i) + offset).collect()
    }

    #[test]
    fn linear_change_of_an_image_is_undone_by_every_method() {
        let reference = tissues(1.0, 0.0);
        for method in ["nyul", "white-stripe", "z-score", "robust-z-score"] {
            for (found, expected) in run(&tissues(3.0, 7.0), &reference, method).unwrap().iter().zip(&reference) {
                assert!((found - expected).abs() < 1e-3, "{method}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn nyul_brings_every_decile_to_the_reference() {
        let image: Vec<f32> = (0..=100).map(|i| (i as f32).powi(2)).collect();
        let reference: Vec<f32> = (0..=100).map(|i| 5.0 * i as f32).collect();
        let made = run(&image, &reference, "nyul").unwrap();
        for percent in [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99] {
            assert!((made[percent] - reference[percent]).abs() < 1e-3, "{percent} %: {}", made[percent]);
        }
    }

    #[test]
    fn body_alone_decides_where_the_region_is_the_body() {
        let mut voxels = vec![0.0f32; 20 * 20];
        for (i, voxel) in voxels.iter_mut().enumerate() {
            let (y, x) = (i / 20, i % 20);
            if (5..15).contains(&y) && (5..15).contains(&x) {
                *voxel = 50.0 + (i % 7) as f32;
            }
        }
        let array = |values: &[f32]| Array::new([1, 1, 1, 20, 20], values);
        let doubled: Vec<f32> = voxels.iter().map(|v| 2.0 * v).collect();
        let params: [(&str, ParamValue); 1] = [("method", "z-score".into())];
        let made = Plugin::<Intensity>::create().unwrap().run(&[&array(&doubled), &array(&voxels)], &params).unwrap();
        for (found, expected) in made.as_slice().iter().zip(&voxels) {
            assert!((found - expected).abs() < 1e-3, "{found} for {expected}");
        }
    }

    #[test]
    fn flat_images_are_refused_by_name() {
        for method in ["nyul", "z-score"] {
            let refused = run(&[1.0, 1.0], &[1.0, 2.0], method).unwrap_err().message;
            assert!(refused.starts_with("'image': "), "{refused}");
            let refused = run(&[1.0, 2.0], &[1.0, 1.0], method).unwrap_err().message;
            assert!(refused.starts_with("'reference': "), "{refused}");
        }
    }
}
