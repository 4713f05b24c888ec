//! Values of PyRadiomics 3.1.0 and of the IBSI, read from the shared reference folder beside the repository.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says when it is skipped")]

#[path = "reference/images.rs"]
mod images;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isoscan_radiomics::{Error, FeatureTable, Settings, extract};
use serde_json::{Value, json};

/// Relative tolerance to PyRadiomics, and the floor below which values are rounding noise.
const RELATIVE: f64 = 1e-9;
const FLOOR: f64 = 1e-12;

fn reference() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no reference folder beside the repository");
    None
}

/// A reference case: its JSON and its name.
fn cases(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("values")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            // The files hold NaN, which JSON does not know.
            let text = std::fs::read_to_string(&file).unwrap().replace(": NaN", ": null");
            (name, serde_json::from_str(&text).unwrap())
        })
        .filter(|(name, case): &(String, Value)| {
            !name.starts_with("voxel_") && case["imageTypes"].get("Original").is_some()
        })
        .collect()
}

/// Expected values of the image as it is.
fn expected(case: &Value) -> BTreeMap<String, Option<f64>> {
    let features = case["features"].as_object().unwrap().iter();
    let original = features.filter(|(name, _)| name.starts_with("original_"));
    original.map(|(name, value)| (name.clone(), value.as_f64())).collect()
}

/// The settings of a case, for the image as it is.
fn settings(case: &Value, stored_type: &str) -> Settings {
    let families = if case["featureClass"] == "default" { &Value::Null } else { &case["featureClass"] };
    let file = json!({ "setting": case["settings"], "featureClass": families, "imageType": {"Original": {}} });
    let mut settings = Settings::from_json(&file.to_string()).unwrap();
    settings.set("storedType", &json!(stored_type)).unwrap();
    if case["diagnostics"]["diagnostics_Image-original_Dimensionality"] == "2D" {
        // PyRadiomics numbers the axes of a 2-D image from y, those of a volume from z.
        settings.force_2d_dimension += 1;
    }
    settings
}

fn run(folder: &Path, case: &Value) -> Result<FeatureTable, Error> {
    let image = images::read(&folder.join(case["image"].as_str().unwrap()));
    let label = case.get("label_value").and_then(Value::as_i64).unwrap_or(1) as i32;
    let mask = images::read_mask(&folder.join(case["label"].as_str().unwrap()), label);
    extract(&image.volume, &mask, &settings(case, image.stored_type))
}

#[test]
fn pyradiomics_values() {
    let Some(folder) = reference() else { return };
    let (mut checked, mut worst, mut wrong) = (0, 0.0f64, Vec::new());
    for (name, case) in cases(&folder).iter().filter(|(_, case)| !case["error"].is_string()) {
        let table = match run(&folder, case) {
            Ok(table) => table,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let expected = expected(case);
        assert_eq!(table.features.len(), expected.len(), "{name}");
        for (feature, value) in expected {
            let found = table.get(&feature).unwrap_or_else(|| panic!("{name} has no {feature}"));
            let Some(value) = value else {
                if !found.is_nan() {
                    wrong.push(format!("{name} {feature}: {found}, expected NaN"));
                }
                continue;
            };
            let difference = (found - value).abs();
            checked += 1;
            if difference > FLOOR {
                worst = worst.max(difference / value.abs());
            }
            if found.is_nan() || difference > RELATIVE * value.abs() + FLOOR {
                wrong.push(format!("{name} {feature}: {found}, expected {value} ({:.1e})", difference / value.abs()));
            }
        }
    }
    println!("{checked} values, largest relative difference {worst:.1e}");
    assert!(wrong.is_empty(), "{} of {checked} values differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 4000, "only {checked} values found");
}

#[test]
fn pyradiomics_diagnostics() {
    let Some(folder) = reference() else { return };
    let (mut checked, mut wrong) = (0, Vec::new());
    for (name, case) in cases(&folder).iter().filter(|(_, case)| !case["error"].is_string()) {
        let Ok(table) = run(&folder, case) else { continue };
        for stage in &table.diagnostics.stages {
            let entry = |key: &str| &case["diagnostics"][format!("diagnostics_Mask-{}_{key}", stage.name)];
            let numbers = |key: &str| -> Option<Vec<f64>> {
                let text = entry(key).as_str()?.trim_matches(['(', ')']);
                Some(text.split(", ").map(|number| number.parse().unwrap()).collect())
            };
            let Some(bounding_box) = numbers("BoundingBox").filter(|b| b.len() == 6) else { continue };
            checked += 1;
            let found: Vec<f64> = stage.first.iter().chain(&stage.size).map(|&n| n as f64).collect();
            let voxels = entry("VoxelNum").as_u64().unwrap() as usize;
            let parts = entry("VolumeNum").as_u64().unwrap() as usize;
            let centre = numbers("CenterOfMassIndex").unwrap();
            let near = stage.centre_of_mass_index.iter().zip(&centre).all(|(a, b)| (a - b).abs() < 1e-9);
            if found != bounding_box || stage.voxels != voxels || stage.parts != parts || !near {
                wrong.push(format!(
                    "{name} {}: {found:?} {} {}, expected {bounding_box:?} {voxels} {parts}",
                    stage.name, stage.voxels, stage.parts
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} stages differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 150, "only {checked} stages found");
}

#[test]
fn what_pyradiomics_refuses_is_refused_by_name() {
    let Some(folder) = reference() else { return };
    type Check = fn(&Error) -> bool;
    let rows: [(&str, Check); 7] = [
        ("x_brain1_label_missing", |e| matches!(e, Error::EmptyMask { .. })),
        ("x_brain1_line3_mindim2", |e| *e == Error::TooFewDimensions { needed: 2, found: 1 }),
        ("x_brain1_minsize_error", |e| *e == Error::RegionTooSmall { needed: 1000, found: 120 }),
        ("x_brain1_one_voxel", |e| *e == Error::SingleVoxel),
        (
            "x_brain1_othergrid_error",
            |e| matches!(e, Error::GeometryMismatch { distance_mm, .. } if distance_mm.is_infinite()),
        ),
        ("x_brain1_reseg_empty_error", |e| matches!(e, Error::ResegmentedAway { voxels: 4137, kept: 0, .. })),
        (
            "x_brain1_shift2e-4_error",
            |e| matches!(e, Error::GeometryMismatch { distance_mm, .. } if (distance_mm - 2e-4).abs() < 1e-9),
        ),
    ];
    let cases = cases(&folder);
    let refused: Vec<&str> = cases.iter().filter(|(_, c)| c["error"].is_string()).map(|(n, _)| n.as_str()).collect();
    assert_eq!(refused, rows.map(|(name, _)| name));
    for (name, is_expected) in rows {
        let case = &cases.iter().find(|(n, _)| n == name).unwrap().1;
        let error = run(&folder, case).unwrap_err();
        assert!(is_expected(&error), "{name}: {error}");
    }
}

/// IBSI's tag of each feature, as its reference table writes it for the digital phantom.
const IBSI_TAGS: [(&str, &str); 46] = [
    ("shape_MeshVolume", "morph_volume"),
    ("shape_VoxelVolume", "morph_vol_approx"),
    ("shape_SurfaceArea", "morph_area_mesh"),
    ("shape_SurfaceVolumeRatio", "morph_av"),
    ("shape_Sphericity", "morph_sphericity"),
    ("shape_Maximum3DDiameter", "morph_diam"),
    ("shape_MajorAxisLength", "morph_pca_maj_axis"),
    ("shape_MinorAxisLength", "morph_pca_min_axis"),
    ("shape_LeastAxisLength", "morph_pca_least_axis"),
    ("shape_Elongation", "morph_pca_elongation"),
    ("shape_Flatness", "morph_pca_flatness"),
    ("firstorder_Mean", "stat_mean"),
    ("firstorder_Variance", "stat_var"),
    ("firstorder_Skewness", "stat_skew"),
    ("firstorder_Kurtosis", "stat_kurt"),
    ("firstorder_Median", "stat_median"),
    ("firstorder_Minimum", "stat_min"),
    ("firstorder_10Percentile", "stat_p10"),
    ("firstorder_90Percentile", "stat_p90"),
    ("firstorder_Maximum", "stat_max"),
    ("firstorder_InterquartileRange", "stat_iqr"),
    ("firstorder_Range", "stat_range"),
    ("firstorder_MeanAbsoluteDeviation", "stat_mad"),
    ("firstorder_RobustMeanAbsoluteDeviation", "stat_rmad"),
    ("firstorder_Energy", "stat_energy"),
    ("firstorder_RootMeanSquared", "stat_rms"),
    ("glcm_MaximumProbability", "cm_joint_max"),
    ("glcm_JointAverage", "cm_joint_avg"),
    ("glcm_SumSquares", "cm_joint_var"),
    ("glcm_JointEntropy", "cm_joint_entr"),
    ("glcm_DifferenceAverage", "cm_diff_avg"),
    ("glcm_DifferenceVariance", "cm_diff_var"),
    ("glcm_DifferenceEntropy", "cm_diff_entr"),
    ("glcm_SumAverage", "cm_sum_avg"),
    ("glcm_SumEntropy", "cm_sum_entr"),
    ("glcm_JointEnergy", "cm_energy"),
    ("glcm_Contrast", "cm_contrast"),
    ("glcm_Id", "cm_inv_diff"),
    ("glcm_Idn", "cm_inv_diff_norm"),
    ("glcm_Idm", "cm_inv_diff_mom"),
    ("glcm_Idmn", "cm_inv_diff_mom_norm"),
    ("glcm_InverseVariance", "cm_inv_var"),
    ("glcm_Correlation", "cm_corr"),
    ("glcm_Autocorrelation", "cm_auto_corr"),
    ("glcm_ClusterTendency", "cm_clust_tend"),
    ("glcm_ClusterProminence", "cm_clust_prom"),
];

/// The remaining features, whose tags do not fit the table's rule, and the two that IBSI lists under intensity histogram.
const MORE_IBSI_TAGS: [(&str, &str); 5] = [
    ("glcm_ClusterShade", "cm_clust_shade"),
    ("glcm_Imc1", "cm_info_corr1"),
    ("glcm_Imc2", "cm_info_corr2"),
    ("firstorder_Entropy", "ih_entropy"),
    ("firstorder_Uniformity", "ih_uniformity"),
];

/// PyRadiomics' kurtosis is not an excess, and its axis lengths divide the covariance by N where IBSI divides by N - 1.
const KNOWN_DEVIATIONS: [&str; 3] = ["firstorder_Kurtosis", "shape_LeastAxisLength", "shape_MinorAxisLength"];

#[test]
fn ibsi_1_digital_phantom() {
    let Some(folder) = reference() else { return };
    let csv = folder.join("data/ibsi/ibsi_1_reference_values/ibsi_1_dig_phantom.csv");
    let csv = std::fs::read_to_string(csv).unwrap();
    let row = |tag: &str| csv.lines().find(|line| line.ends_with(&format!(";{tag}")));
    let phantom = folder.join("data/ibsi/ibsi_1_digital_phantom/nifti");
    let image = images::read(&phantom.join("image/phantom.nii.gz")).volume;
    let mask = images::read_mask(&phantom.join("mask/mask.nii.gz"), 1);
    let aggregations =
        [("3D_avg", r#"{"binWidth": 1}"#), ("3D_comb", r#"{"binWidth": 1, "weightingNorm": "no_weighting"}"#)];
    let (mut checked, mut deviating) = (0, Vec::new());
    for (aggregation, settings) in aggregations {
        let table = extract(&image, &mask, &Settings::from_json(settings).unwrap()).unwrap();
        for (name, tag) in IBSI_TAGS.into_iter().chain(MORE_IBSI_TAGS) {
            let tag = if tag.starts_with("cm_") { format!("{tag}_{aggregation}") } else { tag.to_owned() };
            let fields: Vec<&str> = row(&tag).unwrap_or_else(|| panic!("no tag {tag}")).split(';').collect();
            let (expected, tolerance): (f64, f64) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
            let found = table.get(&format!("original_{name}")).unwrap();
            checked += 1;
            // A tolerance of 0 means equal to the digits printed, which are three.
            let digit = 10f64.powf(expected.abs().log10().floor() - 2.0);
            if (found - expected).abs() > tolerance.max(0.5000001 * digit) && !deviating.contains(&name) {
                deviating.push(name);
            }
        }
    }
    deviating.sort_unstable();
    assert_eq!(deviating, KNOWN_DEVIATIONS);
    assert_eq!(checked, 2 * (IBSI_TAGS.len() + MORE_IBSI_TAGS.len()));
}
