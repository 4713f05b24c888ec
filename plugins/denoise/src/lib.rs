//! Classical denoising: the baselines of every learned denoiser.
//!
//! The filters are those of `isoscan-imaging`; this crate chooses one, finds the noise where it is not told, and works
//! slab by slab so that a long volume reports its progress. A slab carries the slices that its filter reaches, so the
//! result is that of the whole volume.
//!
//! ```
//! use isoscan_denoise::Denoise;
//! use isoscan_sdk::harness::{Array, Plugin};
//!
//! let mut spike = Array::zeros([1, 1, 1, 5, 5]);
//! spike.as_mut_slice()[12] = 9.0;
//! let mut plugin = Plugin::<Denoise>::create().unwrap();
//! let made = plugin.run(&[&spike], &[("method", "median".into())]).unwrap();
//! assert!(made.as_slice().iter().all(|&value| value == 0.0));
//! ```

use isoscan_imaging::{
    Error, Geometry, Modality, NonLocalMeans, Unit, Volume, bilateral, gaussian, median, noise_sigma, non_local_means,
};
use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Output, Param, Params, Patching, PluginError, Translator, export_plugin,
};
use ndarray::Array3;

/// Slices between two reports of progress.
const SLAB: usize = 4;

/// The denoising plugin.
pub struct Denoise;

export_plugin!(Denoise);

impl Translator for Denoise {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "denoise".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Classical denoising".into(),
            summary: "Removes noise by non-local means, a bilateral, a Gaussian or a median filter".into(),
            family: "classical".into(),
            inputs: vec![Input::any("image", "the image to denoise")],
            output: Output::like_input("the image with less noise"),
            patching: Patching::whole(Axes::Volume),
            params: vec![
                Param::choice("method", &["non-local-means", "bilateral", "gaussian", "median"], "the filter"),
                Param::float(
                    "sigma",
                    [0.0, 1e9],
                    0.0,
                    "intensity",
                    "standard deviation of the noise; 0 measures it in the image",
                ),
                Param::float(
                    "strength",
                    [0.01, 100.0],
                    1.0,
                    "",
                    "non-local means: how unlike patches may be, in sigmas",
                ),
                Param::int("patch_radius", [1, 5], 1, "voxel", "non-local means: reach of a patch"),
                Param::int("search_radius", [1, 10], 3, "voxel", "non-local means: reach of the search"),
                Param::bool("rician", false, "non-local means: magnitudes of complex noise, as in MR"),
                Param::float("sigma_mm", [0.01, 100.0], 1.5, "mm", "bilateral, gaussian: width in space"),
                Param::float("range", [0.01, 100.0], 2.0, "", "bilateral: width in intensity, in sigmas"),
                Param::int("radius", [1, 5], 1, "voxel", "median: reach of the window"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let (image, host, params, spacing_mm) = (call.image(), call.host, call.params, call.context.spacing_mm);
        let [_, _, nz, ny, nx] = image.shape;
        let plane = nx * ny;
        let mut output = call.output();
        for (image, out) in image.as_slice().chunks(nz * plane).zip(output.as_mut_slice().chunks_mut(nz * plane)) {
            let whole = volume(image, [nx, ny, nz], spacing_mm)?;
            let filter = Filter::from_params(params, &whole)?;
            let margin = filter.reach(spacing_mm[2]);
            for first in (0..nz).step_by(SLAB) {
                host.progress(first as f32 / nz as f32)?;
                let end = (first + SLAB).min(nz);
                let (low, high) = (first.saturating_sub(margin), (end + margin).min(nz));
                let slab = volume(&image[low * plane..high * plane], [nx, ny, high - low], spacing_mm)?;
                let made = filter.apply(&slab).map_err(PluginError::failed)?;
                let kept = (first - low) * plane..(end - low) * plane;
                out[first * plane..end * plane].copy_from_slice(&made.as_slice()[kept]);
            }
        }
        Ok(())
    }
}

enum Filter {
    NonLocalMeans(NonLocalMeans),
    Bilateral { sigma_mm: f64, sigma_intensity: f64 },
    Gaussian { sigma_mm: f64 },
    Median { radius: usize },
}

impl Filter {
    fn from_params(params: &Params, image: &Volume) -> Result<Self, PluginError> {
        let sigma = || match params.float("sigma")? {
            0.0 => noise_sigma(image).map_err(PluginError::failed).and_then(|sigma| {
                let free = "the image shows no noise: give 'sigma'";
                if sigma > 0.0 { Ok(sigma) } else { Err(PluginError::invalid(free)) }
            }),
            sigma => Ok(sigma),
        };
        let sigma_mm = params.float("sigma_mm")?;
        Ok(match params.choice("method")? {
            "non-local-means" => Self::NonLocalMeans(NonLocalMeans {
                patch_radius: params.int("patch_radius")? as usize,
                search_radius: params.int("search_radius")? as usize,
                sigma: sigma()?,
                strength: params.float("strength")?,
                rician: params.bool("rician")?,
            }),
            "bilateral" => Self::Bilateral { sigma_mm, sigma_intensity: params.float("range")? * sigma()? },
            "gaussian" => Self::Gaussian { sigma_mm },
            _ => Self::Median { radius: params.int("radius")? as usize },
        })
    }

    /// Slices to either side that the filter looks at.
    fn reach(&self, spacing_mm: f64) -> usize {
        match self {
            Self::NonLocalMeans(settings) => settings.patch_radius + settings.search_radius,
            Self::Bilateral { sigma_mm, .. } => (2.5 * sigma_mm / spacing_mm).ceil() as usize,
            Self::Gaussian { sigma_mm } => (4.0 * sigma_mm / spacing_mm).ceil() as usize,
            Self::Median { radius } => *radius,
        }
    }

    fn apply(&self, slab: &Volume) -> Result<Volume, Error> {
        match *self {
            Self::NonLocalMeans(settings) => non_local_means(slab, settings),
            Self::Bilateral { sigma_mm, sigma_intensity } => bilateral(slab, sigma_mm, sigma_intensity),
            Self::Gaussian { sigma_mm } => gaussian(slab, [sigma_mm; 3]),
            Self::Median { radius } => {
                median(slab, slab.geometry().size().map(|extent| if extent > 1 { radius } else { 0 }))
            }
        }
    }
}

/// One patch as a volume; the filters ask neither for its modality nor for its unit.
fn volume(voxels: &[f32], size: [usize; 3], spacing_mm: [f64; 3]) -> Result<Volume, PluginError> {
    let geometry = Geometry::axis_aligned(size, spacing_mm).map_err(PluginError::failed)?;
    let voxels = Array3::from_shape_vec((size[2], size[1], size[0]), voxels.to_vec()).map_err(PluginError::failed)?;
    Volume::new(voxels, geometry, Modality::Ot, Unit::Arbitrary).map_err(PluginError::failed)
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::{
        ParamValue,
        harness::{Array, Plugin},
    };

    use super::*;

    /// A ramp along x with noise of standard deviation 5 (the sum of twelve uniform numbers, less six, times 5).
    fn noisy_ramp(shape: [usize; 5]) -> Array {
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        let count: usize = shape.iter().product();
        let values: Vec<f32> =
            (0..count).map(|i| (i % shape[4]) as f32 + 5.0 * ((0..12).map(|_| uniform()).sum::<f32>() - 6.0)).collect();
        Array::new(shape, &values)
    }

    fn deviation_from_ramp(array: &Array) -> f64 {
        let nx = array.shape()[4];
        let squares = array.as_slice().iter().enumerate().map(|(i, v)| f64::from(v - (i % nx) as f32).powi(2));
        (squares.sum::<f64>() / array.as_slice().len() as f64).sqrt()
    }

    #[test]
    fn every_method_takes_noise_off_a_ramp() {
        let noisy = noisy_ramp([1, 1, 9, 24, 24]);
        let before = deviation_from_ramp(&noisy);
        for method in ["non-local-means", "bilateral", "gaussian", "median"] {
            let mut plugin = Plugin::<Denoise>::create().unwrap();
            let made = plugin.run(&[&noisy], &[("method", method.into())]).unwrap();
            let after = deviation_from_ramp(&made);
            assert!(after < 0.6 * before, "{method}: {before} to {after}");
        }
    }

    #[test]
    fn slabs_give_what_the_whole_volume_gives() {
        let noisy = noisy_ramp([1, 1, 11, 12, 12]);
        let whole = volume(noisy.as_slice(), [12, 12, 11], [1.0; 3]).unwrap();
        let settings = NonLocalMeans { patch_radius: 1, search_radius: 2, sigma: 5.0, strength: 1.0, rician: false };
        let rows: [(&str, Volume); 4] = [
            ("non-local-means", non_local_means(&whole, settings).unwrap()),
            ("bilateral", bilateral(&whole, 1.0, 10.0).unwrap()),
            ("gaussian", gaussian(&whole, [1.0; 3]).unwrap()),
            ("median", median(&whole, [1; 3]).unwrap()),
        ];
        for (method, expected) in rows {
            let params: [(&str, ParamValue); 4] = [
                ("method", method.into()),
                ("sigma", 5.0.into()),
                ("search_radius", 2.into()),
                ("sigma_mm", 1.0.into()),
            ];
            let made = Plugin::<Denoise>::create().unwrap().run(&[&noisy], &params).unwrap();
            assert_eq!(made.as_slice(), expected.as_slice(), "{method}");
        }
    }

    #[test]
    fn image_without_noise_needs_a_sigma() {
        let flat = Array::zeros([1, 1, 4, 4, 4]);
        let mut plugin = Plugin::<Denoise>::create().unwrap();
        assert_eq!(plugin.run(&[&flat], &[]).unwrap_err().message, "the image shows no noise: give 'sigma'");
        let made = plugin.run(&[&flat], &[("sigma", 1.0.into())]).unwrap();
        assert_eq!(made.as_slice(), flat.as_slice());
    }

    #[test]
    fn cancelled_call_stops() {
        let mut plugin = Plugin::<Denoise>::create().unwrap();
        plugin.cancel();
        let noisy = noisy_ramp([1, 1, 4, 8, 8]);
        assert_eq!(plugin.run(&[&noisy], &[]).unwrap_err().message, "cancelled by the host");
    }
}
