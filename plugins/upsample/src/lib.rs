//! Interpolation onto a finer grid: the baselines of learned super-resolution.
//!
//! The fine voxels fill the coarse one, so their centres lie at `(m + 1/2) / f - 1/2` coarse voxels. B-spline, Lanczos
//! and linear interpolation are those of `isoscan-imaging`; `zero_fill` extends the discrete spectrum; `nearest` repeats the
//! coarse voxel, which is no interpolation at all.
//!
//! ```
//! use isoscan_sdk::harness::{Array, Plugin};
//! use isoscan_upsample::Upsample;
//!
//! let coarse = Array::new([1, 1, 1, 1, 4], &[0.0, 4.0, 8.0, 12.0]);
//! let mut plugin = Plugin::<Upsample>::create().unwrap();
//! let fine = plugin.run(&[&coarse], &[("method", "linear".into()), ("factor", "2x1x1".into())]).unwrap();
//! assert_eq!(fine.as_slice(), [0.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 12.0]);
//! ```

mod zero_fill;

use isoscan_imaging::{Geometry, Interpolation, Modality, Unit, Volume, interpolate};
use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Output, Param, Patching, PluginError, Refine, Translator, export_plugin,
};
use ndarray::Array3;

use zero_fill::zero_fill;

/// Factors along x, y, z, by the choice of the parameter `factor`.
const FACTORS: [(&str, [usize; 3]); 11] = [
    ("2x2x1", [2, 2, 1]),
    ("3x3x1", [3, 3, 1]),
    ("4x4x1", [4, 4, 1]),
    ("2x1x1", [2, 1, 1]),
    ("1x2x1", [1, 2, 1]),
    ("1x1x2", [1, 1, 2]),
    ("1x1x3", [1, 1, 3]),
    ("1x1x4", [1, 1, 4]),
    ("1x1x5", [1, 1, 5]),
    ("2x2x2", [2, 2, 2]),
    ("4x4x4", [4, 4, 4]),
];

/// The interpolation plugin.
pub struct Upsample;

export_plugin!(Upsample);

impl Translator for Upsample {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "upsample".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Interpolation".into(),
            summary: "Interpolates an image onto a finer grid".into(),
            family: "classical".into(),
            inputs: vec![Input::any("image", "the coarse image")],
            output: Output {
                refine: Refine::chosen("factor", &FACTORS),
                ..Output::like_input("the image on the finer grid")
            },
            patching: Patching::whole(Axes::Volume),
            params: vec![
                Param::choice(
                    "method",
                    &["bspline", "lanczos3", "linear", "zero-fill", "nearest"],
                    "how values between are found",
                ),
                Param::choice("factor", &FACTORS.map(|(name, _)| name), "fine voxels per coarse one along x, y, z"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let chosen = call.params.choice("factor")?;
        let known = FACTORS.iter().find(|(name, _)| *name == chosen);
        let (_, factors) = known.ok_or_else(|| PluginError::invalid(format_args!("unknown factor {chosen}")))?;
        let method = call.params.choice("method")?;
        let (image, host) = (call.image(), call.host);
        let [_, _, nz, ny, nx] = image.shape;
        let size = [nx, ny, nz];
        let voxels = nx * ny * nz;
        let mut output = call.output();
        let fine = output.as_mut_slice().chunks_exact_mut(voxels * factors.iter().product::<usize>());
        for (index, (coarse, fine)) in image.as_slice().chunks_exact(voxels).zip(fine).enumerate() {
            host.progress(index as f32 / image.shape[0] as f32)?;
            let made = match method {
                "zero-fill" => zero_fill(coarse, size, *factors),
                word => interpolated(coarse, size, *factors, word.parse().map_err(PluginError::failed)?)?,
            };
            fine.copy_from_slice(&made);
        }
        Ok(())
    }
}

fn interpolated(
    coarse: &[f32],
    size: [usize; 3],
    factors: [usize; 3],
    way: Interpolation,
) -> Result<Vec<f32>, PluginError> {
    let from = Geometry::axis_aligned(size, [1.0; 3]).map_err(PluginError::failed)?;
    let spacing = factors.map(|f| 1.0 / f as f64);
    let finer = std::array::from_fn(|axis| size[axis] * factors[axis]);
    let origin = spacing.map(|s| 0.5 * (s - 1.0));
    let to = Geometry::new(finer, spacing, origin, from.direction()).map_err(PluginError::failed)?;
    let voxels = Array3::from_shape_vec((size[2], size[1], size[0]), coarse.to_vec()).map_err(PluginError::failed)?;
    let volume = Volume::new(voxels, from, Modality::Ot, Unit::Arbitrary).map_err(PluginError::failed)?;
    Ok(interpolate(&volume, &to, way, 0.0).as_slice().to_vec())
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::{
        ParamValue,
        harness::{Array, Plugin},
    };

    use super::*;

    fn run(image: &Array, method: &str, factor: &str) -> Array {
        let params: [(&str, ParamValue); 2] = [("method", method.into()), ("factor", factor.into())];
        Plugin::<Upsample>::create().unwrap().run(&[image], &params).unwrap()
    }

    #[test]
    fn constant_image_stays_constant_by_every_method_and_factor() {
        let image = Array::new([1, 1, 2, 3, 4], &[7.5; 24]);
        for method in ["bspline", "lanczos3", "linear", "zero-fill", "nearest"] {
            for (factor, [fx, fy, fz]) in FACTORS {
                let made = run(&image, method, factor);
                assert_eq!(made.shape(), [1, 1, 2 * fz, 3 * fy, 4 * fx], "{method} {factor}");
                assert!(made.as_slice().iter().all(|v| (v - 7.5).abs() < 1e-4), "{method} {factor}");
            }
        }
    }

    #[test]
    fn nearest_repeats_the_coarse_voxels() {
        let made = run(&Array::new([1, 1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]), "nearest", "2x1x1");
        assert_eq!(made.as_slice(), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        let made = run(&Array::new([1, 1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]), "nearest", "1x1x3");
        assert_eq!(made.as_slice(), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0]);
    }

    #[test]
    fn periodic_wave_is_continued_between_the_voxels_and_past_the_ends_by_zero_filling_alone() {
        let wave = |t: f64| (std::f64::consts::TAU * t / 16.0).cos();
        let values: Vec<f32> = (0..256).map(|i| wave((i % 16) as f64) as f32).collect();
        for (method, tolerance, edge) in
            [("zero-fill", 1e-6, 0), ("bspline", 0.01, 6), ("lanczos3", 0.02, 6), ("linear", 0.05, 2)]
        {
            let made = run(&Array::new([1, 1, 1, 16, 16], &values), method, "2x2x1");
            for (m, value) in made.as_slice()[..32].iter().enumerate().skip(edge).take(32 - 2 * edge) {
                let expected = wave((m as f64 + 0.5) / 2.0 - 0.5);
                assert!((f64::from(*value) - expected).abs() < tolerance, "{method} at {m}: {value} for {expected}");
            }
        }
    }
}
