//! Feature maps of PyRadiomics 3.1.0, read from the shared reference folder beside the repository.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "the reader of images serves several tests")]

#[path = "reference/images.rs"]
mod images;

use std::path::Path;

use isoscan_radiomics::{FeatureMap, Settings, maps};
use serde_json::{Value, json};

const RELATIVE: f64 = 1e-9;
const FLOOR: f64 = 1e-12;

/// Rows of a two-dimensional array of f64 in NumPy's format.
fn rows(path: &Path) -> Vec<Vec<f64>> {
    let bytes = std::fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.contains("'<f8'") && header.contains("'fortran_order': True"), "{header}");
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let count: usize = shape.split(", ").next().unwrap().parse().unwrap();
    let values: Vec<f64> = bytes[start..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    (0..count).map(|row| values[row..].iter().step_by(count).copied().collect()).collect()
}

/// Values of a map at the voxels of the region, z slowest.
fn inside(map: &FeatureMap, mask: &isoscan_imaging::Mask) -> Vec<f64> {
    let first = mask.geometry().voxel_from_world().apply(map.geometry.origin_mm()).map(|c| c.round() as usize);
    let grid = mask.inside();
    let voxels = grid.indexed_iter().filter(|(_, inside)| **inside);
    voxels.map(|((z, y, x), _)| map.values[[z - first[2], y - first[1], x - first[0]]]).collect()
}

#[test]
fn pyradiomics_maps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics");
    if !folder.is_dir() {
        println!("skipped: no reference folder beside the repository");
        return;
    }
    let data = folder.join("data/synthetic");
    let image = images::read(&data.join("synth_small_image.nrrd"));
    let mask = images::read_mask(&data.join("synth_small_label.nrrd"), 1);
    let (mut checked, mut worst, mut wrong) = (0, 0.0f64, Vec::new());
    for case in ["masked", "unmasked", "2D"] {
        let path = folder.join(format!("values/voxel_synth_small_r1_{case}"));
        let reference: Value =
            serde_json::from_str(&std::fs::read_to_string(path.with_extension("json")).unwrap()).unwrap();
        let mut settings = Settings::from_json(&reference["settings"].to_string()).unwrap();
        settings.set("storedType", &json!(image.stored_type)).unwrap();
        let found = maps(&image.volume, &mask, &settings).unwrap();
        let names = reference["features"].as_array().unwrap();
        assert_eq!(found.len(), names.len());
        for (name, expected) in names.iter().zip(rows(&path.with_extension("npy"))) {
            let map = found.iter().find(|map| map.name == name.as_str().unwrap()).unwrap();
            assert_eq!((map.undefined, map.reason), (0, None));
            let first_mm = map.geometry.origin_mm();
            let first = mask.geometry().voxel_from_world().apply(first_mm).map(|c| c.round() as u64);
            assert_eq!(json!(first), reference["crop_offset_xyz"]);
            assert_eq!(json!(map.geometry.size()), reference["crop_size_xyz"]);
            for (found, expected) in inside(map, &mask).into_iter().zip(expected) {
                checked += 1;
                let difference = (found - expected).abs();
                if difference > FLOOR {
                    worst = worst.max(difference / expected.abs());
                }
                if difference.is_nan() || difference > RELATIVE * expected.abs() + FLOOR {
                    wrong.push(format!("{case} {name}: {found}, expected {expected}"));
                }
            }
        }
    }
    println!("{checked} values, largest relative difference {worst:.1e}");
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} of {checked} values differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(60)].join("\n")
    );
    assert_eq!(checked, 3 * 93 * 1685);
}
