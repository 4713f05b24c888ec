//! The reference values of IBSI-1: the digital phantom and configurations A to E of the CT phantom.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says when it is skipped")]

#[path = "reference/images.rs"]
mod images;

use std::path::{Path, PathBuf};

use isoscan_imaging::{Mask, Volume};
use isoscan_radiomics::ibsi::{Settings, extract};

/// A published value with the deviation that the initiative allows, as printed.
struct Row {
    value: String,
    tolerance: f64,
    tag: String,
}

/// A reference table, the image it is of, the settings, and how many rows it has: with a value, and without.
struct Configuration {
    table: &'static str,
    image: &'static str,
    settings: &'static str,
    rows: usize,
    without_value: usize,
}

const DIGITAL: &str = "ibsi_1_digital_phantom";
const CHEST: &str = "ibsi_1_ct_radiomics_phantom";

const CONFIGURATIONS: [Configuration; 6] = [
    Configuration { table: "ibsi_1_dig_phantom", image: DIGITAL, settings: "", rows: 487, without_value: 5 },
    Configuration {
        table: "ibsi_1_chest_config_a",
        image: CHEST,
        settings: "
            resegmentation: {range: [-500, 400]}
            discretisation: {fixed_bin_size: 25}
            aggregations: [2D_avg, 2D_comb, 2_5D_avg, 2_5D_comb]",
        rows: 411,
        without_value: 5,
    },
    Configuration {
        table: "ibsi_1_chest_config_b",
        image: CHEST,
        settings: "
            resampling: {spacing_mm: [2, 2, 0], image: linear, round: true}
            resegmentation: {range: [-500, 400]}
            discretisation: {fixed_bin_number: 32}
            aggregations: [2D_avg, 2D_comb, 2_5D_avg, 2_5D_comb]",
        rows: 411,
        without_value: 5,
    },
    Configuration {
        table: "ibsi_1_chest_config_c",
        image: CHEST,
        settings: "
            resampling: {spacing_mm: [2, 2, 2], image: linear, round: true}
            resegmentation: {range: [-1000, 400]}
            discretisation: {fixed_bin_size: 25}
            volume_histogram: {fixed_bin_size: 2.5}
            aggregations: [3D_avg, 3D_comb]",
        rows: 275,
        without_value: 5,
    },
    Configuration {
        table: "ibsi_1_chest_config_d",
        image: CHEST,
        settings: "
            resampling: {spacing_mm: [2, 2, 2], image: linear, round: true}
            resegmentation: {outliers_sd: 3}
            discretisation: {fixed_bin_number: 32}
            aggregations: [3D_avg, 3D_comb]",
        rows: 275,
        without_value: 5,
    },
    Configuration {
        table: "ibsi_1_chest_config_e",
        image: CHEST,
        settings: "
            resampling: {spacing_mm: [2, 2, 2], image: cubic_spline, round: true}
            resegmentation: {range: [-1000, 400], outliers_sd: 3}
            discretisation: {fixed_bin_number: 32}
            volume_histogram: {fixed_bin_number: 1000}
            aggregations: [3D_avg, 3D_comb]",
        rows: 275,
        without_value: 5,
    },
];

#[test]
fn every_reference_value_is_met() {
    let Some(folder) = folder() else { return };
    let (mut checked, mut without_value) = (0, 0);
    let mut outside = Vec::new();
    for configuration in &CONFIGURATIONS {
        let rows = read_rows(&folder.join(format!("ibsi_1_reference_values/{}.csv", configuration.table)));
        assert_eq!(rows.len(), configuration.rows, "{}", configuration.table);
        let (volume, mask) = read_phantom(&folder.join(configuration.image));
        let table = extract(&volume, &mask, &Settings::from_text(configuration.settings).unwrap()).unwrap();
        let mut deviations = Vec::new();
        for row in &rows {
            let found = table.features.iter().find(|feature| feature.name == row.tag);
            let Some(feature) = found else {
                outside.push(format!("{} {}: not computed", configuration.table, row.tag));
                continue;
            };
            assert_eq!(feature.value.is_nan(), feature.reason.is_some(), "{}", row.tag);
            if row.value.is_empty() {
                without_value += 1;
                continue;
            }
            checked += 1;
            let deviation = deviation(feature.value, row);
            if deviation.is_nan() || deviation > 1.0 {
                outside.push(format!(
                    "{} {}: {} ± {}, found {}",
                    configuration.table, row.tag, row.value, row.tolerance, feature.value
                ));
            }
            deviations.push((deviation, row.tag.as_str()));
        }
        deviations.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (name, count, largest) = (configuration.table, deviations.len(), &deviations[..4]);
        println!("{name}: {count} values; largest deviations as shares of the tolerance {largest:.2?}");
    }
    println!("{checked} values checked, {without_value} rows have none");
    assert!(outside.is_empty(), "{} outside:\n{}", outside.len(), outside.join("\n"));
    assert_eq!(without_value, CONFIGURATIONS.iter().map(|c| c.without_value).sum::<usize>());
    assert_eq!(checked + without_value, 2134);
}

/// Distance of the value, rounded to the printed digits, from the reference as a share of the tolerance. A tolerance of
/// 0 asks for the printed digits themselves: the share is then 0 or infinite.
fn deviation(found: f64, row: &Row) -> f64 {
    let reference: f64 = row.value.parse().unwrap();
    let distance = (rounded(found, significant_digits(&row.value)) - reference).abs();
    let noise = 1e-9 * reference.abs();
    if distance <= noise { 0.0 } else { (distance - noise) / row.tolerance }
}

/// Digits printed; values have at least three, of which zeros at the end are left out.
fn significant_digits(printed: &str) -> usize {
    let mantissa = printed.split('E').next().unwrap();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    let digits = if mantissa.contains('.') { digits } else { digits.trim_end_matches('0') };
    digits.len().max(3)
}

fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap()
}

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics/data/ibsi");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is absent", folder.display());
    None
}

fn read_rows(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.trim().split(';').collect();
        let tolerance = if fields[1].is_empty() { 0.0 } else { fields[1].parse().unwrap() };
        Row { value: fields[0].to_owned(), tolerance, tag: fields[2].to_owned() }
    };
    text.lines().skip(1).filter(|line| !line.trim().is_empty()).map(row).collect()
}

fn read_phantom(folder: &Path) -> (Volume, Mask) {
    let image = images::read(&folder.join("nifti/image/phantom.nii.gz"));
    println!("{} stores {}", folder.display(), image.stored_type);
    (image.volume, images::read_mask(&folder.join("nifti/mask/mask.nii.gz"), 1))
}

#[test]
fn values_are_compared_at_the_printed_digits() {
    for (printed, digits) in
        [("-46.9", 3), ("125256", 6), ("358000", 3), ("9E-05", 3), ("0.0288", 3), ("1", 3), ("3065", 4)]
    {
        assert_eq!(significant_digits(printed), digits, "{printed}");
    }
    let row = |value: &str, tolerance| Row { value: value.to_owned(), tolerance, tag: String::new() };
    assert_eq!(deviation(2.154, &row("2.15", 0.0)), 0.0);
    assert_eq!(deviation(2.156, &row("2.15", 0.0)), f64::INFINITY);
    assert!((deviation(2.1751, &row("2.15", 0.1)) - 0.3).abs() < 1e-6);
    assert!(deviation(f64::NAN, &row("2.15", 0.1)).is_nan());
}
