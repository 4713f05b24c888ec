//! Where the values of PyRadiomics leave the definitions of the IBSI, measured with both modes; the README lists them.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says when it is skipped")]

#[path = "reference/images.rs"]
#[expect(dead_code, reason = "whole voxels are detected as such")]
mod images;
#[path = "reference/readme.rs"]
mod readme;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
use isoscan_radiomics::{Feature, FeatureFamily, FeatureTable, Settings, extract, ibsi};
use ndarray::Array3;

fn ibsi_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics/data/ibsi");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no reference folder beside the repository");
    None
}

fn digital_phantom(folder: &Path) -> (Volume, Mask) {
    let phantom = folder.join("ibsi_1_digital_phantom/nifti");
    let image = images::read(&phantom.join("image/phantom.nii.gz")).volume;
    (image, images::read_mask(&phantom.join("mask/mask.nii.gz"), 1))
}

/// A small image at 2 mm, z slowest; the region is where there is no -1.
fn region(size: [usize; 3], intensities: &[f32]) -> (Volume, Mask) {
    let geometry = Geometry::axis_aligned(size, [2.0; 3]).unwrap();
    let voxels = Array3::from_shape_vec((size[2], size[1], size[0]), intensities.to_vec()).unwrap();
    let inside = voxels.map(|&v| v >= 0.0);
    let volume = Volume::new(voxels, geometry.clone(), Modality::Ot, Unit::Arbitrary).unwrap();
    (volume, Mask::new(inside, geometry).unwrap())
}

/// Settings of PyRadiomics, and what the IBSI calls that aggregation with and without directions.
const AGGREGATIONS: [(&str, &str, &str); 4] = [
    (r#"{"binWidth": 1}"#, "3D_avg", "3D"),
    (r#"{"binWidth": 1, "weightingNorm": "no_weighting"}"#, "3D_comb", "3D"),
    (r#"{"binWidth": 1, "force2D": true}"#, "2_5D_avg", "2_5D"),
    (r#"{"binWidth": 1, "force2D": true, "weightingNorm": "no_weighting"}"#, "2_5D_comb", "2_5D"),
];

/// The family under which the IBSI has a feature of PyRadiomics, and whether its matrices have directions.
fn ibsi_family(family: FeatureFamily, name: &str) -> (FeatureFamily, Option<bool>) {
    match family {
        FeatureFamily::FirstOrder if name.ends_with("Entropy") || name.ends_with("Uniformity") => {
            (FeatureFamily::IntensityHistogram, None)
        }
        FeatureFamily::Glcm | FeatureFamily::Glrlm => (family, Some(true)),
        FeatureFamily::Gldm => (FeatureFamily::Ngldm, Some(false)),
        FeatureFamily::Glszm | FeatureFamily::Ngtdm => (family, Some(false)),
        other => (other, None),
    }
}

/// The same quantity in the IBSI mode, by family, code and aggregation.
fn counterpart<'a>(feature: &Feature, table: &'a FeatureTable, with_directions: &str, without: &str) -> &'a Feature {
    let (family, directions) = ibsi_family(feature.family, &feature.name);
    let suffix = directions.map(|directions| if directions { with_directions } else { without });
    let same = table.features.iter().find(|other| {
        let ends = suffix.is_none_or(|suffix| other.name.ends_with(&format!("_{suffix}")));
        other.family == family && other.ibsi == feature.ibsi && ends
    });
    same.unwrap_or_else(|| panic!("{} ({:?}) has no counterpart", feature.name, feature.ibsi))
}

/// `value;tolerance;tag`, by tag.
fn reference_values(folder: &Path) -> BTreeMap<String, (String, f64)> {
    let text = std::fs::read_to_string(folder.join("ibsi_1_reference_values/ibsi_1_dig_phantom.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.trim().split(';').collect::<Vec<_>>());
    rows.filter_map(|f| Some((f[2].to_owned(), (f[0].to_owned(), f[1].parse().ok()?)))).collect()
}

/// Whether a value equals the printed one within the tolerance, or within the digits printed, of which there are three.
fn is_within(found: f64, printed: &str, tolerance: f64) -> bool {
    let expected: f64 = printed.parse().unwrap();
    let digit = if expected == 0.0 { 0.0 } else { 10f64.powf(expected.abs().log10().floor() - 2.0) };
    (found - expected).abs() <= tolerance + 0.500_000_1 * digit
}

/// Rows of features whose value on the digital phantom lies outside the tolerance, and how many were compared.
fn outside_tolerance(folder: &Path) -> (Vec<String>, usize) {
    let (volume, mask) = digital_phantom(folder);
    let by_ibsi = ibsi::extract(&volume, &mask, &ibsi::Settings::default()).unwrap();
    let reference = reference_values(folder);
    let (mut rows, mut compared) = (BTreeMap::new(), 0);
    for (json, with_directions, without) in AGGREGATIONS {
        let table = extract(&volume, &mask, &Settings::from_json(json).unwrap()).unwrap();
        for feature in table.features.iter().filter(|feature| feature.ibsi.is_some()) {
            let same = counterpart(feature, &by_ibsi, with_directions, without);
            let (printed, tolerance) = &reference[&same.name];
            compared += 1;
            if !is_within(feature.value, printed, *tolerance) {
                let row = format!(
                    "| `{}` | {} | {} | {printed} ± {tolerance} |",
                    feature.name.trim_start_matches("original_"),
                    rounded(feature.value),
                    rounded(same.value),
                );
                rows.insert(same.name.clone(), row);
            }
        }
    }
    (rows.into_values().collect(), compared)
}

fn rounded(value: f64) -> String {
    let digits = 5 - value.abs().log10().floor().clamp(-4.0, 5.0) as i32;
    let text = format!("{value:.*}", digits.max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[test]
fn values_outside_the_reference_tolerance_are_those_of_the_readme() {
    let Some(folder) = ibsi_folder() else { return };
    let (rows, compared) = outside_tolerance(&folder);
    println!("{compared} values compared");
    readme::require_table("Values outside the reference tolerance", &rows);
    assert!(compared > 350, "only {compared} values compared");
}

/// A deviation of processing: what it is, the region, the settings of both modes, and the feature in both.
struct Deviation {
    what: &'static str,
    region: (Volume, Mask),
    pyradiomics: &'static str,
    ibsi: &'static str,
    feature: &'static str,
    tag: &'static str,
}

fn deviations(folder: &Path) -> Vec<Deviation> {
    let phantom = || digital_phantom(folder);
    let of =
        |what, region, (pyradiomics, feature), (ibsi, tag)| Deviation { what, region, pyradiomics, ibsi, feature, tag };
    let coarse = r#"{"resampledPixelSpacing": [3, 3, 3], "interpolator": "sitkLinear", "binWidth": 1}"#;
    let coarse_ibsi = "{resampling: {spacing_mm: [3, 3, 3]}, discretisation: {fixed_bin_size: 1}}";
    let apart = [1.0, 2.0, 2.0, -1.0, -1.0, 3.0, 1.0, 3.0, 1.0, -1.0, -1.0, -1.0];
    let slice = [1.0, 1.0, 2.0, 1.0, 2.0, 2.0, 3.0, 3.0, 1.0];
    let high = r#"{"resegmentRange": [4, 9], "binWidth": 1}"#;
    let high_ibsi = "{resegmentation: {range: [4, 9]}, discretisation: {fixed_bin_size: 1}}";
    vec![
        of(
            "bins of fixed width 2 start at a multiple of 2, not at the minimum",
            phantom(),
            (r#"{"binWidth": 2}"#, "firstorder_Entropy"),
            ("{discretisation: {fixed_bin_size: 2}}", "ih_entropy"),
        ),
        of(
            "grid of 3 mm aligned to the first voxel's corner, not to the centre; mask nearest, not linear",
            phantom(),
            (coarse, "shape_VoxelVolume"),
            (coarse_ibsi, "morph_vol_approx"),
        ),
        of(
            "intensities interpolated to that grid are truncated",
            phantom(),
            (coarse, "firstorder_Mean"),
            (coarse_ibsi, "stat_mean"),
        ),
        of(
            "a voxel without any neighbour counts in the NGTDM",
            region([6, 2, 1], &apart),
            (r#"{"binWidth": 1}"#, "ngtdm_Coarseness"),
            ("", "ngt_coarseness_3D"),
        ),
        of(
            "directions in which no run is longer than a voxel are left out of the GLRLM average (one slice)",
            region([3, 3, 1], &slice),
            (r#"{"binWidth": 1}"#, "glrlm_ShortRunEmphasis"),
            ("", "rlm_sre_3D_avg"),
        ),
        of(
            "after resegmentation to 4 .. 9 the shape mask is cut to the box of what is left",
            phantom(),
            (high, "shape_VoxelVolume"),
            (high_ibsi, "morph_vol_approx"),
        ),
    ]
}

#[test]
fn deviations_of_processing_are_those_of_the_readme() {
    let Some(folder) = ibsi_folder() else { return };
    let row = |d: &Deviation| {
        let (volume, mask) = &d.region;
        let pyradiomics = extract(volume, mask, &Settings::from_json(d.pyradiomics).unwrap()).unwrap();
        let by_ibsi = ibsi::extract(volume, mask, &ibsi::Settings::from_text(d.ibsi).unwrap()).unwrap();
        let found = pyradiomics.get(&format!("original_{}", d.feature)).unwrap();
        let expected = by_ibsi.get(d.tag).unwrap_or_else(|| panic!("no {}", d.tag));
        assert!((found - expected).abs() > 1e-6 * expected.abs(), "no deviation: {}", d.what);
        format!("| {} | `{}` | {} | {} |", d.what, d.feature, rounded(found), rounded(expected))
    };
    let rows: Vec<String> = deviations(&folder).iter().map(row).collect();
    readme::require_table("Deviations of processing", &rows);
}

/// What is left when processing is the same: bins of fixed number, no resampling, no resegmentation, every voxel with
/// neighbours in every direction.
#[test]
fn nothing_else_deviates() {
    let size = [15, 13, 9];
    let inside =
        |p: [usize; 3]| (0..3).map(|a| ((2 * p[a]) as f64 / (size[a] - 1) as f64 - 1.0).powi(2)).sum::<f64>() < 1.0;
    let intensities: Vec<f32> = (0..15 * 13 * 9)
        .map(|i| {
            let p = [i % 15, i / 15 % 13, i / (15 * 13)];
            let texture = (p[0] * p[0] * 7 + p[1] * 31 + p[2] * p[2] * 13 + p[0] * p[1] * p[2]) % 53;
            if inside(p) { texture as f32 + 0.25 } else { -1.0 }
        })
        .collect();
    let (volume, mask) = region(size, &intensities);
    let by_ibsi = ibsi::Settings::from_text("{discretisation: {fixed_bin_number: 8}}").unwrap();
    let by_ibsi = ibsi::extract(&volume, &mask, &by_ibsi).unwrap();
    let mut deviating = Vec::new();
    for (json, with_directions, without) in AGGREGATIONS {
        let json = json.replace(r#""binWidth": 1"#, r#""binCount": 8"#);
        let table = extract(&volume, &mask, &Settings::from_json(&json).unwrap()).unwrap();
        for feature in table.features.iter().filter(|feature| feature.ibsi.is_some()) {
            let same = counterpart(feature, &by_ibsi, with_directions, without);
            if (feature.value - same.value).abs() > 1e-9 * same.value.abs() + 1e-12 {
                deviating.push(feature.name.trim_start_matches("original_").to_owned());
            }
        }
    }
    deviating.sort_unstable();
    deviating.dedup();
    let expected = ["firstorder_Kurtosis", "shape_LeastAxisLength", "shape_MajorAxisLength", "shape_MinorAxisLength"];
    assert_eq!(deviating, expected);
}
