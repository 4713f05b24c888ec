//! Features of derived images against PyRadiomics 3.1.0, read from the shared reference folder beside the repository.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says when it is skipped")]

#[path = "reference/images.rs"]
mod images;

use std::path::{Path, PathBuf};

use isoscan_radiomics::{Error, FeatureTable, Settings, extract};
use serde_json::{Map, Value, json};

/// Relative tolerance to PyRadiomics, and the floor below which values are rounding noise.
const RELATIVE: f64 = 1e-9;
const FLOOR: f64 = 1e-12;

/// Relative difference that one voxel on the other side of a bin edge makes, in f32 images.
const ONE_VOXEL: f64 = 2e-4;

/// Values that rounding alone decides: patterns that are turns of each other have the same strength up to its last bits, and
/// where a percentile falls among them, those bits say which belong to the robust range. PyRadiomics itself gives other
/// values with another NumPy.
const UNDECIDED: [(&str, &str); 1] = [("STS_002_MR__s23_lbp3d", "lbp-3D-m2_firstorder_RobustMeanAbsoluteDeviation")];

/// The folder of values and images: that in the environment variable RADIOMICS_REFERENCE, or the shared one.
fn reference() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("RADIOMICS_REFERENCE") {
        return Some(folder.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no reference folder beside the repository");
    None
}

/// The cases with derived images, by name.
fn cases(folder: &Path) -> Vec<(String, Value)> {
    let files = std::fs::read_dir(folder.join("values")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    let read = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        // The files hold NaN, which JSON does not know.
        let text = std::fs::read_to_string(&file).unwrap().replace(": NaN", ": null");
        (name, serde_json::from_str(&text).unwrap())
    };
    files
        .into_iter()
        .map(read)
        .filter(|(name, case): &(String, Value)| {
            let types = case["imageTypes"].as_object();
            !name.starts_with("voxel_") && types.is_some_and(|types| types.keys().any(|kind| kind != "Original"))
        })
        .collect()
}

fn run(folder: &Path, case: &Value) -> Result<FeatureTable, Error> {
    let image = images::read(&folder.join(case["image"].as_str().unwrap()));
    let label = case.get("label_value").and_then(Value::as_i64).unwrap_or(1) as i32;
    let mask = images::read_mask(&folder.join(case["label"].as_str().unwrap()), label);
    let families: Map<String, Value> = match &case["featureClass"] {
        Value::Array(names) => names.iter().map(|name| (name.as_str().unwrap().to_owned(), Value::Null)).collect(),
        other => other.as_object().unwrap().clone(),
    };
    let file = json!({"setting": case["settings"], "featureClass": families, "imageType": case["imageTypes"]});
    let mut settings = Settings::from_json(&file.to_string()).unwrap();
    settings.set("storedType", &json!(image.stored_type)).unwrap();
    extract(&image.volume, &mask, &settings)
}

#[test]
fn features_of_derived_images_are_those_of_pyradiomics() {
    let Some(folder) = reference() else { return };
    let (mut checked, mut exact, mut wrong) = (0, 0, Vec::new());
    for (name, case) in cases(&folder) {
        let table = match (run(&folder, &case), case["error"].as_str()) {
            (Ok(table), None) => table,
            (Err(_), Some(_)) => continue,
            (found, expected) => {
                wrong.push(format!("{name}: {:?}, expected {expected:?}", found.map(|_| "features")));
                continue;
            }
        };
        let expected: Vec<(&String, &Value)> = case["features"].as_object().unwrap().iter().collect();
        let (mut worst, mut outside) = ((0.0f64, String::new()), 0);
        for (feature, value) in &expected {
            if UNDECIDED.contains(&(name.as_str(), feature.as_str())) {
                continue;
            }
            checked += 1;
            let Some(found) = table.get(feature) else {
                wrong.push(format!("{name} has no {feature}"));
                continue;
            };
            let Some(value) = value.as_f64() else {
                exact += usize::from(found.is_nan());
                if !found.is_nan() {
                    wrong.push(format!("{name} {feature}: {found}, expected NaN"));
                }
                continue;
            };
            let difference = (found - value).abs();
            let relative = if difference <= FLOOR { 0.0 } else { difference / value.abs() };
            exact += usize::from(relative <= RELATIVE);
            outside += usize::from(relative > RELATIVE);
            if relative > worst.0 || relative.is_nan() {
                worst = (relative, format!("{feature}: {found}, expected {value}"));
            }
            if relative.is_nan() || relative > ONE_VOXEL {
                wrong.push(format!("{name} {feature}: {found}, expected {value} ({relative:.1e})"));
            }
        }
        if outside > 0 {
            println!("{name}: {outside} of {} beyond {RELATIVE:e}; {:.1e} {}", expected.len(), worst.0, worst.1);
        }
        let order: Vec<&str> = table.features.iter().map(|feature| feature.name.as_str()).collect();
        let expected_images: Vec<&str> = images_of(expected.iter().map(|(feature, _)| feature.as_str()));
        if images_of(order.into_iter()) != expected_images {
            wrong.push(format!("{name}: images in another order than {expected_images:?}"));
        }
    }
    println!("{checked} values, {} beyond {RELATIVE:e}", checked - exact);
    let shown = wrong.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {checked} values differ:\n{shown}", wrong.len());
    assert!(exact as f64 >= 0.999 * checked as f64, "{exact} of {checked} within {RELATIVE:e}");
    assert!(checked > 10_000, "only {checked} values found");
}

/// Names of the images of features, each once where its features begin.
fn images_of<'a>(features: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = features.filter_map(|feature| feature.split('_').next()).collect();
    found.dedup();
    found
}
