//! Filtered, normalised and resampled images, voxel by voxel.

#[path = "../../tests/reference/images.rs"]
mod files;

use std::path::Path;
use std::sync::Arc;

use isoscan_imaging::Mask;
use serde_json::{Value, json};

use super::{CASES, array, arrays, reference};
use crate::image::{Bounds, Image};
use crate::images::derive;
use crate::prepare::{prepare, whole_image};
use crate::roi::Roi;
use crate::{ImageType, Settings};

/// The image of a case, its mask, and settings by PyRadiomics' names with the stored type set.
fn case(folder: &Path, name: &str, settings: Value) -> (files::Stored, Mask, Settings) {
    let data = folder.join("data/pyradiomics");
    let image = files::read(&data.join(format!("{name}_image.nrrd")));
    let mask = files::read_mask(&data.join(format!("{name}_label.nrrd")), 1);
    let mut settings = Settings::from_json(&settings.to_string()).unwrap();
    settings.set("storedType", &json!(image.stored_type)).unwrap();
    (image, mask, settings)
}

/// The region's box and two voxels around it.
fn padded(region: &Roi, image: &Image) -> Bounds {
    Bounds::of(region).widened([2; 3], image.geometry().size())
}

/// LoG, gradient and patterns of slices are equal bit by bit. Sums of many products and transcendental functions agree to
/// 1e-12 of the largest value; patterns in space do so in the region, where alone they are defined.
#[test]
fn filtered_images_of_pyradiomics() {
    let Some(folder) = reference() else { return };
    let types = json!({
        "LoG": {"sigma": [1.0, 3.0]}, "Wavelet": {}, "Square": {}, "SquareRoot": {}, "Logarithm": {}, "Exponential": {},
        "Gradient": {}, "LBP2D": {}, "LBP3D": {},
    });
    for name in CASES {
        let dump = arrays(&std::fs::read(folder.join(format!("values/dump/{name}_filters_pad2.npz"))).unwrap());
        let (stored, mask, settings) = case(&folder, name, json!({"imageType": types}));
        let image = whole_image(&stored.volume, &settings).unwrap();
        let region = Roi::of(&mask).unwrap();
        let bounds = padded(&region, &image);
        let target = Roi::of_box(bounds.first, bounds.size);
        let [nx, ny, nz] = bounds.size;
        let inside = region.spread(&vec![1.0; region.count()], bounds);
        let mut compared = 0;
        for (kind, own) in settings.images().unwrap() {
            for found in derive(kind, &image, &region, &target, &own).unwrap() {
                let expected = &dump[&found.name];
                assert_eq!(expected.shape, [nz, ny, nx], "{name} {}", found.name);
                let is_exact = ["log-", "gradient", "lbp-2D"].iter().any(|exact| found.name.starts_with(exact));
                let largest = expected.values.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
                let tolerance = if is_exact { 0.0 } else { 1e-12 * largest };
                let voxels = found.values.iter().zip(&expected.values).zip(&inside);
                let defined = voxels.filter(|(_, inside)| kind != ImageType::LBP3D || **inside > 0.0);
                let worst = defined.map(|((a, b), _)| (a - b).abs()).fold(0.0, f64::max);
                println!("{name} {}: {worst:e} of {largest}", found.name);
                assert!(worst <= tolerance, "{name} {}: {worst:e} of {largest}", found.name);
                compared += 1;
            }
        }
        assert_eq!(compared, dump.len(), "{name}");
    }
}

#[test]
fn normalised_images_of_pyradiomics() {
    let Some(folder) = reference() else { return };
    for name in CASES {
        let expected = array(&std::fs::read(folder.join(format!("values/dump/{name}_normalized_pad2.npy"))).unwrap());
        let (stored, mask, settings) =
            case(&folder, name, json!({"normalize": true, "normalizeScale": 100, "removeOutliers": 3}));
        let image = whole_image(&stored.volume, &settings).unwrap();
        let found = image.values_in(padded(&Roi::of(&mask).unwrap(), &image));
        assert!(found == expected.values, "{name}");
    }
}

/// To 1 × 1 × 3 mm by B-spline: grid, image and mask.
#[test]
fn resampled_images_of_pyradiomics() {
    let Some(folder) = reference() else { return };
    for name in CASES {
        let (stored, mask, settings) = case(&folder, name, json!({"resampledPixelSpacing": [1, 1, 3]}));
        let whole = Arc::new(whole_image(&stored.volume, &settings).unwrap());
        let prepared = prepare(&whole, &mask, &settings).unwrap();
        let dump = |part: &str| folder.join(format!("values/dump/{name}_resampled113_{part}.nrrd"));
        let expected = files::read(&dump("image")).volume;
        prepared.image.geometry().require_same(expected.geometry(), 1e-9).unwrap();
        let found = prepared.image.all_values();
        let differing = found.iter().zip(expected.as_slice()).filter(|(a, b)| **a != f64::from(**b));
        assert_eq!(differing.count(), 0, "{name}");
        let expected = Roi::of(&files::read_mask(&dump("label"), 1)).unwrap();
        assert!(prepared.region.voxels().eq(expected.voxels()), "{name}");
    }
}
