//! Diagnostics against PyRadiomics 3.1.0, read from the shared reference folder beside the repository.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "reference/images.rs"]
mod images;

use std::collections::BTreeMap;
use std::path::Path;

use isoscan_radiomics::{Settings, diagnose};
use serde_json::{Value, json};

/// Cases whose label files hold one label, so that the hash of the mask is that of the file.
const CASES: [&str; 9] = [
    "brain1__s01_default",
    "brain1__s25_combined",
    "breast1__s06_resample_bspline",
    "breast1__s11_reseg_sigma",
    "STS_002_PET__s07_resample_linear",
    "STS_002_MR__s08_resample_inplane",
    "ibsi1_digital__s25_combined",
    "synth_small__s09_resample_nearest",
    "x_brain1_othergrid_correctMask",
];

#[test]
fn diagnostics_have_the_names_and_values_of_pyradiomics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics");
    if !folder.is_dir() {
        println!("skipped: no reference folder beside the repository");
        return;
    }
    let (mut checked, mut wrong) = (0, Vec::new());
    for name in CASES {
        let text =
            std::fs::read_to_string(folder.join(format!("values/{name}.json"))).unwrap().replace(": NaN", ": null");
        let case: Value = serde_json::from_str(&text).unwrap();
        let image = images::read(&folder.join(case["image"].as_str().unwrap()));
        let mask = images::read_mask(&folder.join(case["label"].as_str().unwrap()), 1);
        let mut settings = Settings::from_json(&json!({"setting": case["settings"]}).to_string()).unwrap();
        settings.set("storedType", &json!(image.stored_type)).unwrap();
        let found = diagnose(&image.volume, &mask, &settings).unwrap().rows();
        let by_name: BTreeMap<&str, &str> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = case["diagnostics"].as_object().unwrap();
        for (row, value) in expected {
            checked += 1;
            let found = by_name.get(row.as_str()).copied().unwrap_or("nothing");
            let same = match value {
                Value::String(text) => text == found || same_numbers(text, found),
                number => same_numbers(&number.to_string(), found),
            };
            if !same {
                wrong.push(format!("{name} {row}: {found}, expected {value}"));
            }
        }
        let order = |rows: Vec<&str>| rows.into_iter().filter(|row| expected.contains_key(*row)).collect::<String>();
        assert_eq!(
            order(found.iter().map(|(n, _)| n.as_str()).collect()),
            order(expected.keys().map(|n| n.as_str()).collect())
        );
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 200, "only {checked} rows found");
}

/// Whether two numbers, or two tuples of them, agree to 13 digits.
fn same_numbers(a: &str, b: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<f64>> {
        text.trim_matches(['(', ')']).split(", ").map(|number| number.parse().ok()).collect()
    };
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-13 * a.abs().max(b.abs());
    match (numbers(a), numbers(b)) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(near),
        _ => false,
    }
}
