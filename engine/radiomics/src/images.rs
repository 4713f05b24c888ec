mod cubic;
mod gradient;
mod laplacian;
mod lbp2d;
mod lbp3d;
mod periodic;
mod pointwise;
mod recursive_gaussian;
mod wavelet;

use isoscan_imaging::Wavelet;
use rayon::prelude::*;

use crate::image::{Bounds, Image};
use crate::prepare::Number;
use crate::roi::Roi;
use crate::settings::{ImageType, Sigma};
use crate::{Error, Settings};
use lbp2d::Circle;
use lbp3d::Sphere;

/// Name of the image as it is.
pub(crate) const ORIGINAL: &str = "original";

/// What an image type makes of an image.
pub(crate) struct Derived {
    /// PyRadiomics' name, such as `log-sigma-1-0-mm-3D`.
    pub(crate) name: String,
    /// Type of the intensities.
    pub(crate) number: Number,
    /// Intensities of the voxels that were wanted, x fastest.
    pub(crate) values: Vec<f64>,
}

/// The images of one type, in PyRadiomics' order.
///
/// Only the voxels of `target` are kept. `region` is where LBP3D is defined; elsewhere that image is 0.
///
/// # Errors
/// [`Error::InvalidSetting`] for a wavelet that is not known.
pub(crate) fn derive(
    kind: ImageType,
    image: &Image,
    region: &Roi,
    target: &Roi,
    settings: &Settings,
) -> Result<Vec<Derived>, Error> {
    let bounds = Bounds::of(target);
    let keep = |values: Vec<f64>| target.inside_of(&values);
    let one = |name: &str, number: Number, values: Vec<f64>| {
        vec![Derived { name: name.to_owned(), number, values: keep(values) }]
    };
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
    let by_voxel = |name: &str| one(name, Number::Double, pointwise::pointwise(kind, image, bounds));
    let geometry = image.geometry();
    Ok(match kind {
        ImageType::Original => one(ORIGINAL, image.number(), image.values_in(bounds)),
        ImageType::LoG => settings
            .sigma
            .par_iter()
            .filter(|sigma| laplacian::fits(geometry, sigma.mm))
            .map(|sigma| {
                let values = wide(laplacian::laplacian_of_gaussian(image, target, sigma.mm));
                Derived { name: log_name(sigma), number: Number::Single, values: keep(values) }
            })
            .collect(),
        ImageType::Wavelet => {
            let wavelet: Wavelet = settings.wavelet.parse().map_err(|_| Error::InvalidSetting {
                name: "wavelet".to_owned(),
                expected: "a discrete wavelet of PyWavelets",
                found: settings.wavelet.clone(),
            })?;
            let across = settings.force_2d.then_some(2 - settings.force_2d_dimension);
            let axes: Vec<usize> = (0..3).filter(|&axis| across != Some(axis)).collect();
            let levels = settings.start_level..settings.start_level + settings.level;
            wavelet::wavelet_bands(image, bounds, wavelet, levels, &axes, &keep)
        }
        ImageType::Square => by_voxel("square"),
        ImageType::SquareRoot => by_voxel("squareroot"),
        ImageType::Logarithm => by_voxel("logarithm"),
        ImageType::Exponential => by_voxel("exponential"),
        ImageType::Gradient => {
            let values = gradient::gradient_magnitude(image, bounds, !settings.gradient_use_spacing);
            one("gradient", Number::Single, wide(values))
        }
        ImageType::LBP2D => {
            let circle = Circle {
                radius: settings.lbp_2d_radius,
                samples: settings.lbp_2d_samples,
                method: settings.lbp_2d_method,
            };
            let across = 2 - settings.force_2d_dimension;
            one("lbp-2D", image.number(), lbp2d::local_binary_pattern(image, bounds, across, circle))
        }
        ImageType::LBP3D => {
            let sphere = Sphere {
                radius: settings.lbp_3d_icosphere_radius,
                subdivisions: settings.lbp_3d_icosphere_subdivision,
                levels: settings.lbp_3d_levels,
            };
            let patterns = lbp3d::local_binary_patterns(image, region, sphere);
            let name = |k: usize| if k == patterns.len() - 1 { "k".to_owned() } else { format!("m{}", k + 1) };
            let in_bounds = |values: &[f64]| keep(region.spread(values, bounds));
            let named = patterns.iter().enumerate().map(|(k, values)| Derived {
                name: format!("lbp-3D-{}", name(k)),
                number: Number::Double,
                values: in_bounds(values),
            });
            named.collect()
        }
    })
}

/// Names of the images of a type that the image is too small for, which PyRadiomics leaves out.
pub(crate) fn too_small_for(kind: ImageType, image: &Image, settings: &Settings) -> Vec<String> {
    if kind != ImageType::LoG {
        return Vec::new();
    }
    settings.sigma.iter().filter(|sigma| !laplacian::fits(image.geometry(), sigma.mm)).map(log_name).collect()
}

fn log_name(sigma: &Sigma) -> String {
    format!("log-sigma-{}-mm-3D", sigma.written.replace('.', "-"))
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit, Volume};
    use ndarray::Array3;

    use super::*;

    /// The images of a type of one row of voxels, 2 mm apart.
    fn derived(kind: ImageType, settings: &str, voxels: [f32; 4]) -> Vec<(String, Vec<f64>)> {
        let geometry = Geometry::axis_aligned([4, 1, 1], [2.0; 3]).unwrap();
        let voxels = Array3::from_shape_vec((1, 1, 4), voxels.to_vec()).unwrap();
        let volume = Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap();
        let image = Image::whole(&volume, None, Number::Integer { low: -100.0, high: 100.0 });
        let region = Roi::of_box([0; 3], [4, 1, 1]);
        let settings = Settings::from_json(settings).unwrap();
        let found = derive(kind, &image, &region, &region, &settings).unwrap();
        found.into_iter().map(|derived| (derived.name, derived.values)).collect()
    }

    fn near(found: &[f64], expected: [f64; 4]) -> bool {
        found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12)
    }

    #[test]
    fn pointwise_images_keep_the_range_by_hand() {
        let (root, log) = (2f64.sqrt(), 4.0 * 2f64.ln() / 5f64.ln());
        let rows = [
            (ImageType::Square, "square", [4.0, 0.0, 0.25, 4.0]),
            (ImageType::SquareRoot, "squareroot", [-4.0, 0.0, 2.0, 4.0]),
            (ImageType::Logarithm, "logarithm", [-4.0, 0.0, log, 4.0]),
            (ImageType::Exponential, "exponential", [0.25, 1.0, root, 4.0]),
        ];
        for (kind, name, expected) in rows {
            let found = derived(kind, "{}", [-4.0, 0.0, 1.0, 4.0]);
            assert!(found[0].0 == name && near(&found[0].1, expected), "{found:?}");
        }
    }

    #[test]
    fn gradients_by_hand() {
        for (settings, scale) in [("{}", 1.0), (r#"{"gradientUseSpacing": false}"#, 2.0)] {
            let found = derived(ImageType::Gradient, settings, [1.0, 3.0, 8.0, 0.0]);
            assert!(near(&found[0].1, [0.5, 1.75, 0.75, 2.0].map(|slope| scale * slope)), "{found:?}");
        }
    }

    /// Haar: low `(x[o] + x[o + 1]) / √2`, high `(x[o] - x[o + 1]) / √2`, the row repeats itself; y and z, one voxel
    /// long, gain √2 each and have no detail. A second level filters the first's approximation.
    #[test]
    fn haar_bands_by_hand() {
        let found = derived(ImageType::Wavelet, r#"{"wavelet": "haar", "level": 2}"#, [1.0, 3.0, 8.0, 0.0]);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let first = ["LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH"].map(|band| format!("wavelet-{band}"));
        let second = ["LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH", "LLL"].map(|band| format!("wavelet2-{band}"));
        assert_eq!(names, [&first[..], &second[..]].concat());
        let root = 2f64.sqrt();
        for (index, expected) in [
            (3, [-2.0, -5.0, 8.0, -1.0].map(|v| v * root)),
            (10, [-7.0, 3.0, 7.0, -3.0].map(|v| 2.0 * v)),
            (14, [15.0, 19.0, 9.0, 5.0].map(|v| 2.0 * v)),
            (0, [0.0; 4]),
        ] {
            assert!(near(&found[index].1, expected), "{:?}", found[index]);
        }
    }

    #[test]
    fn an_image_smaller_than_the_filter_is_left_out_by_name() {
        let geometry = Geometry::axis_aligned([4, 4, 5], [1.0; 3]).unwrap();
        let volume = Volume::filled(1.0, geometry, Modality::Ct, Unit::Hounsfield);
        let image = Image::whole(&volume, None, Number::Single);
        let settings = Settings::from_json(r#"{"sigma": [3.0, 3.5, 4]}"#).unwrap();
        let found = too_small_for(ImageType::LoG, &image, &settings);
        assert_eq!(found, ["log-sigma-3-5-mm-3D", "log-sigma-4-mm-3D"]);
    }
}
