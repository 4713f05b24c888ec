//! The reference response maps and feature values of IBSI-2 (CC0), in `../shared/reference/radiomics/data/ibsi`; skipped
//! where that folder is missing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says when it is skipped")]

#[expect(dead_code, reason = "shared with tests that also read stored types")]
#[path = "reference/images.rs"]
mod images;

use std::path::{Path, PathBuf};

use isoscan_radiomics::filters::{Filter, response};
use isoscan_radiomics::ibsi::{Settings, extract};

fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics/data/ibsi");
    if !folder.is_dir() {
        println!("skipped: {} is missing", folder.display());
        return None;
    }
    Some(folder)
}

/// Response map, phantom and filter.
const MAPS: &[(&str, &str, &str)] = &[
    ("1_a_1", "checkerboard", r#"{"mean": {"support": 15, "dimensions": "3D", "boundary": "zero"}}"#),
    ("1_a_2", "checkerboard", r#"{"mean": {"support": 15, "dimensions": "3D", "boundary": "nearest"}}"#),
    ("1_a_3", "checkerboard", r#"{"mean": {"support": 15, "dimensions": "3D", "boundary": "periodic"}}"#),
    ("1_a_4", "checkerboard", r#"{"mean": {"support": 15, "dimensions": "3D", "boundary": "mirror"}}"#),
    ("1_b_1", "impulse", r#"{"mean": {"support": 15, "dimensions": "2D", "boundary": "zero"}}"#),
    (
        "2_a",
        "impulse",
        r#"{"laplacian_of_gaussian": {"sigma_mm": 3, "cutoff": 4, "dimensions": "3D", "boundary": "zero"}}"#,
    ),
    (
        "2_b",
        "checkerboard",
        r#"{"laplacian_of_gaussian": {"sigma_mm": 5, "cutoff": 4, "dimensions": "3D", "boundary": "mirror"}}"#,
    ),
    (
        "2_c",
        "checkerboard",
        r#"{"laplacian_of_gaussian": {"sigma_mm": 5, "cutoff": 4, "dimensions": "2D", "boundary": "mirror"}}"#,
    ),
    ("3_a_1", "impulse", r#"{"laws": {"kernels": "E5L5S5", "boundary": "zero"}}"#),
    ("3_a_2", "impulse", r#"{"laws": {"kernels": "E5L5S5", "rotations": "max", "boundary": "zero"}}"#),
    (
        "3_a_3",
        "impulse",
        r#"{"laws": {"kernels": "E5L5S5", "rotations": "max", "energy_distance": 7, "boundary": "zero"}}"#,
    ),
    ("3_b_1", "checkerboard", r#"{"laws": {"kernels": "E3W5R5", "boundary": "mirror"}}"#),
    ("3_b_2", "checkerboard", r#"{"laws": {"kernels": "E3W5R5", "rotations": "max", "boundary": "mirror"}}"#),
    (
        "3_b_3",
        "checkerboard",
        r#"{"laws": {"kernels": "E3W5R5", "rotations": "max", "energy_distance": 7, "boundary": "mirror"}}"#,
    ),
    ("3_c_1", "checkerboard", r#"{"laws": {"kernels": "L5S5", "boundary": "mirror"}}"#),
    ("3_c_2", "checkerboard", r#"{"laws": {"kernels": "L5S5", "rotations": "max", "boundary": "mirror"}}"#),
    (
        "3_c_3",
        "checkerboard",
        r#"{"laws": {"kernels": "L5S5", "rotations": "max", "energy_distance": 7, "boundary": "mirror"}}"#,
    ),
    (
        "4_a_1",
        "impulse",
        r#"{"gabor": {"sigma_mm": 10, "wavelength_mm": 4, "gamma": 0.5, "theta_rad": 1.0471975511965976, "boundary": "zero"}}"#,
    ),
    (
        "4_a_2",
        "impulse",
        r#"{"gabor": {"sigma_mm": 10, "wavelength_mm": 4, "gamma": 0.5, "theta_rad": 0, "theta_step_rad": 0.7853981633974483, "orthogonal_planes": true, "boundary": "zero"}}"#,
    ),
    (
        "4_b_1",
        "sphere",
        r#"{"gabor": {"sigma_mm": 20, "wavelength_mm": 8, "gamma": 2.5, "theta_rad": 3.9269908169872414, "boundary": "mirror"}}"#,
    ),
    (
        "4_b_2",
        "sphere",
        r#"{"gabor": {"sigma_mm": 20, "wavelength_mm": 8, "gamma": 2.5, "theta_rad": 0, "theta_step_rad": 0.39269908169872414, "orthogonal_planes": true, "boundary": "mirror"}}"#,
    ),
    ("5_a_1", "impulse", r#"{"separable_wavelet": {"wavelet": "db2", "band": "LHL", "level": 1, "boundary": "zero"}}"#),
    (
        "5_a_2",
        "impulse",
        r#"{"separable_wavelet": {"wavelet": "db2", "band": "LHL", "level": 1, "rotations": "average", "boundary": "zero"}}"#,
    ),
    (
        "6_a_1",
        "sphere",
        r#"{"separable_wavelet": {"wavelet": "coif1", "band": "HHL", "level": 1, "boundary": "periodic"}}"#,
    ),
    (
        "6_a_2",
        "sphere",
        r#"{"separable_wavelet": {"wavelet": "coif1", "band": "HHL", "level": 1, "rotations": "average", "boundary": "periodic"}}"#,
    ),
    (
        "7_a_1",
        "checkerboard",
        r#"{"separable_wavelet": {"wavelet": "haar", "band": "LLL", "level": 2, "rotations": "average", "boundary": "mirror"}}"#,
    ),
    (
        "7_a_2",
        "checkerboard",
        r#"{"separable_wavelet": {"wavelet": "haar", "band": "HHH", "level": 2, "rotations": "average", "boundary": "mirror"}}"#,
    ),
    (
        "8_a_1",
        "checkerboard",
        r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 1, "dimensions": "3D"}}"#,
    ),
    (
        "8_a_2",
        "checkerboard",
        r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 2, "dimensions": "3D"}}"#,
    ),
    (
        "8_a_3",
        "checkerboard",
        r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 3, "dimensions": "3D"}}"#,
    ),
    (
        "9_a",
        "impulse",
        r#"{"laplacian_of_gaussian": {"sigma_mm": 3, "cutoff": 4, "dimensions": "3D", "boundary": "zero", "riesz": [1, 0, 0]}}"#,
    ),
    (
        "9_b_1",
        "sphere",
        r#"{"laplacian_of_gaussian": {"sigma_mm": 3, "cutoff": 4, "dimensions": "3D", "boundary": "zero", "riesz": [0, 2, 0]}}"#,
    ),
    (
        "10_b_1",
        "pattern_1",
        r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 1, "dimensions": "3D", "boundary": "nearest", "riesz": [0, 2, 0]}}"#,
    ),
];

/// Filter of the feature values: in slices (A) and in the volume (B).
const FILTERS: [(&str, [&str; 2]); 9] = [
    ("1", ["null", "null"]),
    (
        "2",
        [
            r#"{"mean": {"support": 5, "dimensions": "2D", "boundary": "mirror"}}"#,
            r#"{"mean": {"support": 5, "dimensions": "3D", "boundary": "mirror"}}"#,
        ],
    ),
    (
        "3",
        [
            r#"{"laplacian_of_gaussian": {"sigma_mm": 1.5, "dimensions": "2D", "boundary": "mirror"}}"#,
            r#"{"laplacian_of_gaussian": {"sigma_mm": 1.5, "dimensions": "3D", "boundary": "mirror"}}"#,
        ],
    ),
    (
        "4",
        [
            r#"{"laws": {"kernels": "L5E5", "rotations": "max", "energy_distance": 7, "boundary": "mirror"}}"#,
            r#"{"laws": {"kernels": "L5E5E5", "rotations": "max", "energy_distance": 7, "boundary": "mirror"}}"#,
        ],
    ),
    (
        "5",
        [
            r#"{"gabor": {"sigma_mm": 5, "wavelength_mm": 2, "gamma": 1.5, "theta_step_rad": 0.39269908169872414, "boundary": "mirror"}}"#,
            r#"{"gabor": {"sigma_mm": 5, "wavelength_mm": 2, "gamma": 1.5, "theta_step_rad": 0.39269908169872414, "orthogonal_planes": true, "boundary": "mirror"}}"#,
        ],
    ),
    (
        "6",
        [
            r#"{"separable_wavelet": {"wavelet": "db3", "band": "LH", "rotations": "average", "boundary": "mirror"}}"#,
            r#"{"separable_wavelet": {"wavelet": "db3", "band": "LLH", "rotations": "average", "boundary": "mirror"}}"#,
        ],
    ),
    (
        "7",
        [
            r#"{"separable_wavelet": {"wavelet": "db3", "band": "HH", "level": 2, "rotations": "average", "boundary": "mirror"}}"#,
            r#"{"separable_wavelet": {"wavelet": "db3", "band": "HHH", "level": 2, "rotations": "average", "boundary": "mirror"}}"#,
        ],
    ),
    (
        "8",
        [
            r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 1, "dimensions": "2D"}}"#,
            r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 1, "dimensions": "3D"}}"#,
        ],
    ),
    (
        "9",
        [
            r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 2, "dimensions": "2D"}}"#,
            r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 2, "dimensions": "3D"}}"#,
        ],
    ),
];

/// A: the image as it is. B: interpolated to 1 mm.
const PREPARATIONS: [(&str, &str); 2] =
    [("A", ""), ("B", "resampling: {spacing_mm: [1, 1, 1], image: cubic_spline, round: true}")];

#[test]
fn reference_feature_values() {
    let Some(data) = data() else { return };
    let phantom = data.join("ibsi_1_ct_radiomics_phantom/nifti");
    let image = images::read(&phantom.join("image/phantom.nii.gz")).volume;
    let mask = images::read_mask(&phantom.join("mask/mask.nii.gz"), 1);
    let table =
        std::fs::read_to_string(data.join("ibsi_2_reference_data/reference_feature_values/reference_values.csv"));
    let table = table.unwrap();
    let (mut checked, mut without_consensus, mut outside) = (0, 0, Vec::new());
    for (number, filters) in FILTERS {
        for ((letter, preparation), filter) in PREPARATIONS.into_iter().zip(filters) {
            let text = format!(
                "{preparation}\nresegmentation: {{range: [-1000, 400]}}\nfamilies: [firstorder]\nfilter: {filter}"
            );
            let settings = Settings::from_text(&text).unwrap();
            let found = extract(&image, &mask, &settings).unwrap();
            let prefix = settings.filter.map_or(String::new(), |filter| format!("{}_", filter.prefix()));
            for row in table.lines().filter(|row| row.starts_with(&format!("{number}.{letter};"))) {
                let fields: Vec<&str> = row.split(';').collect();
                let value = found.get(&format!("{prefix}{}", fields[2])).unwrap();
                if fields[3].is_empty() {
                    without_consensus += 1;
                    continue;
                }
                let (expected, tolerance): (f64, f64) = (fields[3].parse().unwrap(), fields[4].parse().unwrap());
                checked += 1;
                if (value - expected).abs() > tolerance {
                    outside.push(format!("{row}: {value}"));
                }
            }
        }
    }
    assert_eq!((checked, without_consensus, outside), (323, 1, Vec::<String>::new()));
}

#[test]
fn reference_response_maps() {
    let Some(data) = data() else { return };
    let mut outside = Vec::new();
    for (map, phantom, filter) in MAPS {
        let reference =
            images::read(&data.join(format!("ibsi_2_reference_data/reference_response_maps/{map}-ValidCRM.nii.gz")));
        let image = images::read(&data.join(format!("ibsi_2_digital_phantom/nifti/{phantom}/image/{phantom}.nii.gz")));
        let filter: Filter = serde_json::from_str(filter).unwrap();
        let found = response(&image.volume, &filter).unwrap();
        let expected = reference.volume.as_slice();
        let (low, high) = expected.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        let largest = found.as_slice().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let share = largest / (high - low);
        if share.is_nan() || share > 0.01 {
            outside.push(format!("{map}: {} % of the range", 100.0 * share));
        }
    }
    assert_eq!(outside, Vec::<String>::new());
}
