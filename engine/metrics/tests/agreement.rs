//! Agreement statistics against values of R epiR, R psych and pingouin, read from the shared reference folder.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says when it is skipped")]

use std::path::Path;

use isoscan_metrics::{CiReason, Error, bland_altman, ccc, icc, repeatability};
use serde_json::Value;

fn reference() -> Option<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/stats/agreement.json");
    let Ok(text) = std::fs::read_to_string(file) else {
        println!("skipped: no reference folder beside the repository");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// `rows`: what is compared, found, expected (skipped where the reference has none).
fn compare(name: &str, tolerance: f64, rows: &[(&str, f64, &Value)]) {
    for (what, found, expected) in rows {
        let Some(expected) = expected.as_f64() else { continue };
        let difference = (found - expected).abs();
        assert!(difference <= tolerance * expected.abs().max(1.0), "{name} {what}: {found}, expected {expected}");
    }
}

#[test]
fn concordance_of_epi_ccc() {
    let Some(reference) = reference() else { return };
    for (name, case) in reference["ccc"].as_object().unwrap() {
        let (x, y, expected) = (numbers(&case["x"]), numbers(&case["y"]), &case["expected"]);
        if expected["ccc"].is_null() {
            assert_eq!(ccc(&x, &y), Err(Error::NoVariation { value: x[0] }), "{name}");
            continue;
        }
        let found = ccc(&x, &y).unwrap();
        compare(name, 1e-12, &[("ccc", found.estimate, &expected["ccc"])]);
        let interval = [("low", found.ci95[0], &expected["ci_lo"]), ("high", found.ci95[1], &expected["ci_hi"])];
        compare(name, 1e-12, &interval);
        let reason = match name.as_str() {
            "identical" => Some(CiReason::Perfect),
            "const_y" => Some(CiReason::OneMeasurementConstant),
            _ => None,
        };
        assert_eq!(found.ci_reason, reason, "{name}");
    }
}

#[test]
fn limits_of_agreement() {
    let Some(reference) = reference() else { return };
    for (name, case) in reference["bland_altman"].as_object().unwrap() {
        let expected = &case["expected"];
        let found = bland_altman(&numbers(&case["x"]), &numbers(&case["y"])).unwrap();
        let rows = [
            ("mean", found.mean_difference, &expected["mean_diff"]),
            ("sd", found.sd_difference, &expected["sd_diff"]),
            ("lower limit", found.limits[0], &expected["loa_lo"]),
            ("upper limit", found.limits[1], &expected["loa_hi"]),
            ("mean low", found.mean_ci95[0], &expected["mean_ci"][0]),
            ("mean high", found.mean_ci95[1], &expected["mean_ci"][1]),
            ("lower limit low", found.lower_limit_ci95[0], &expected["loa_lo_ci"][0]),
            ("lower limit high", found.lower_limit_ci95[1], &expected["loa_lo_ci"][1]),
            ("upper limit low", found.upper_limit_ci95[0], &expected["loa_hi_ci"][0]),
            ("upper limit high", found.upper_limit_ci95[1], &expected["loa_hi_ci"][1]),
        ];
        compare(name, 1e-12, &rows);
    }
}

#[test]
fn intraclass_correlation() {
    let Some(reference) = reference() else { return };
    for (name, case) in reference["icc"].as_object().unwrap() {
        let ratings: Vec<Vec<f64>> = case["M"].as_array().unwrap().iter().map(numbers).collect();
        let expected = &case["expected"];
        let found = icc(&ratings).unwrap();
        let rows = [
            ("ICC(1,1)", found.single_one_way, &expected["ICC11"]),
            ("ICC(2,1)", found.single_agreement, &expected["ICC21"]),
            ("ICC(3,1)", found.single_consistency, &expected["ICC31"]),
            ("ICC(1,k)", found.average_one_way, &expected["ICC1k"]),
            ("ICC(2,k)", found.average_agreement, &expected["ICC2k"]),
            ("ICC(3,k)", found.average_consistency, &expected["ICC3k"]),
            ("ICC(2,1) low", found.single_agreement_ci95[0], &expected["ICC21_ci"][0]),
            ("ICC(2,1) high", found.single_agreement_ci95[1], &expected["ICC21_ci"][1]),
            ("ICC(3,1) low", found.single_consistency_ci95[0], &expected["ICC31_ci"][0]),
            ("ICC(3,1) high", found.single_consistency_ci95[1], &expected["ICC31_ci"][1]),
        ];
        compare(name, 1e-12, &rows);
    }
}

#[test]
fn repeatability_of_qiba() {
    let Some(reference) = reference() else { return };
    for (name, case) in reference["repeatability"].as_object().unwrap() {
        let measurements: Vec<Vec<f64>> = case["M"].as_array().unwrap().iter().map(numbers).collect();
        let expected = &case["expected"];
        let found = repeatability(&measurements).unwrap();
        let (relative, logarithmic) = (found.relative.unwrap(), found.logarithmic.unwrap());
        let rows = [
            ("wSD", found.within_sd, &expected["wSD"]),
            ("RC", found.coefficient, &expected["RC"]),
            ("RC low", found.coefficient_ci95[0], &expected["RC_ci"][0]),
            ("RC high", found.coefficient_ci95[1], &expected["RC_ci"][1]),
            ("wCV", relative.within_cv, &expected["wCV"]),
            ("%RC", relative.coefficient_percent, &expected["RC_pct"]),
            ("log wSD", logarithmic.within_sd, &expected["wSD_log"]),
            ("log RC low", logarithmic.limits_percent[0], &expected["RC_log_pct"][0]),
            ("log RC high", logarithmic.limits_percent[1], &expected["RC_log_pct"][1]),
        ];
        compare(name, 1e-12, &rows);
        // exp(wSD²) - 1, as the reference computes it, rounds to 0 for the data around 1e8.
        if name != "large_offset" {
            compare(name, 1e-12, &[("log wCV", logarithmic.within_cv, &expected["wCV_log"])]);
        }
    }
}
