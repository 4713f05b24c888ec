//! Comma-separated tables; numbers are printed so that reading them back gives the same number.

use isoscan_metrics::Ccc;

use crate::error::Error;
use crate::model::{FeatureRow, MethodResult, Stage};

/// Writes `features.csv`: one line per subject, ROI and stage, one column per feature.
///
/// Columns are `subject, roi, stage, method`, then every feature name in order of first appearance. `method` is empty
/// but for translated images. A feature that a row does not have is an empty cell; an undefined one is `NaN`.
///
/// # Errors
/// [`Error::Csv`] only if the writer refuses, which no value causes.
pub fn features_csv(rows: &[FeatureRow]) -> Result<String, Error> {
    let mut names: Vec<&str> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (name, _) in rows.iter().flat_map(|row| &row.values) {
        if seen.insert(name.as_str()) {
            names.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["subject", "roi", "stage", "method"].iter().chain(&names))?;
    for row in rows {
        let (stage, method) = match &row.stage {
            Stage::Source => ("source", ""),
            Stage::Translated(method) => ("translated", method.as_str()),
            Stage::Reference => ("reference", ""),
        };
        let mut record = vec![row.subject.clone(), row.roi.clone(), stage.to_owned(), method.to_owned()];
        let values: std::collections::BTreeMap<&str, f64> =
            row.values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        record.extend(names.iter().map(|name| values.get(name).map(|&value| number(value)).unwrap_or_default()));
        writer.write_record(&record)?;
    }
    finish(writer)
}

/// Writes `ccc.csv`: one line per method, ROI and feature, with the agreement before and after and its 95 % interval.
///
/// Columns are `method, roi, feature, before, before_ci_low, before_ci_high, after, after_ci_low, after_ci_high, n,
/// got_worse, reason`. `n` is the number of subjects; `got_worse` is `true` when the estimate fell, and empty when one
/// of the two is missing, for the reason in the last column.
///
/// # Errors
/// [`Error::Csv`] only if the writer refuses, which no value causes.
pub fn ccc_csv(methods: &[MethodResult]) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "method",
        "roi",
        "feature",
        "before",
        "before_ci_low",
        "before_ci_high",
        "after",
        "after_ci_low",
        "after_ci_high",
        "n",
        "got_worse",
        "reason",
    ])?;
    for method in methods {
        for row in &method.ccc {
            let mut record = vec![method.name.clone(), row.roi.clone(), row.feature.clone()];
            record.extend(agreement(row.before.as_ref()));
            record.extend(agreement(row.after.as_ref()));
            let counted = row.after.as_ref().or(row.before.as_ref());
            record.push(counted.map(|ccc| ccc.n.to_string()).unwrap_or_default());
            record.push(row.got_worse().map(|worse| worse.to_string()).unwrap_or_default());
            record.push(row.reason.clone().unwrap_or_default());
            writer.write_record(&record)?;
        }
    }
    finish(writer)
}

/// Writes the features of one region as a table of one line: the `named` columns, then one column per feature.
///
/// # Errors
/// [`Error::Csv`] only if the writer refuses, which no value causes.
pub fn features_table_csv(named: &[(&str, String)], features: &[(String, f64)]) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = named.iter().map(|(name, _)| *name).chain(features.iter().map(|(name, _)| name.as_str()));
    writer.write_record(names)?;
    let values = named.iter().map(|(_, value)| value.clone()).chain(features.iter().map(|(_, value)| number(*value)));
    writer.write_record(values)?;
    finish(writer)
}

fn agreement(ccc: Option<&Ccc>) -> [String; 3] {
    ccc.map(|ccc| [number(ccc.estimate), number(ccc.ci95[0]), number(ccc.ci95[1])]).unwrap_or_default()
}

/// The shortest decimal text that reads back as the same number.
pub(crate) fn number(value: f64) -> String {
    format!("{value:?}")
}

pub(crate) fn finish(writer: csv::Writer<Vec<u8>>) -> Result<String, Error> {
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn features_have_one_line_per_subject_roi_and_stage() {
        let row = |stage, values: &[(&str, f64)]| FeatureRow {
            subject: "S-01".into(),
            roi: "liver, left".into(),
            stage,
            values: values.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
        };
        let rows = [
            row(Stage::Source, &[("original_firstorder_Mean", 0.1 + 0.2), ("original_glcm_Contrast", 1e-300)]),
            row(Stage::Translated("cyclegan".into()), &[("original_firstorder_Mean", f64::NAN)]),
            row(Stage::Reference, &[("original_shape_Volume", 7.0)]),
        ];
        let expected = "\
subject,roi,stage,method,original_firstorder_Mean,original_glcm_Contrast,original_shape_Volume
S-01,\"liver, left\",source,,0.30000000000000004,1e-300,
S-01,\"liver, left\",translated,cyclegan,NaN,,
S-01,\"liver, left\",reference,,,,7.0
";
        assert_eq!(features_csv(&rows).unwrap(), expected);
    }

    #[test]
    fn one_region_is_one_line() {
        let features = [("original_firstorder_Mean".to_owned(), -0.1), ("original_shape_Volume".to_owned(), 1e6)];
        let expected = "image,original_firstorder_Mean,original_shape_Volume\n\"a,b.nii\",-0.1,1000000.0\n";
        assert_eq!(features_table_csv(&[("image", "a,b.nii".into())], &features).unwrap(), expected);
    }

    #[test]
    fn agreement_has_one_line_per_method_roi_and_feature() {
        let mut method = sample::method("cyclegan", None);
        method.ccc = vec![
            sample::ccc_row("original_firstorder_Mean", "liver", Some(0.5), Some(0.9)),
            sample::ccc_row("original_glcm_Contrast", "liver", Some(0.5), Some(0.25)),
            sample::ccc_row("original_glcm_Id", "liver", Some(0.5), None),
        ];
        let expected = "\
method,roi,feature,before,before_ci_low,before_ci_high,after,after_ci_low,after_ci_high,n,got_worse,reason
cyclegan,liver,original_firstorder_Mean,0.5,0.375,0.625,0.9,0.775,1.0,12,false,
cyclegan,liver,original_glcm_Contrast,0.5,0.375,0.625,0.25,0.125,0.375,12,true,
cyclegan,liver,original_glcm_Id,0.5,0.375,0.625,,,,12,,both constant
";
        assert_eq!(ccc_csv(&[method]).unwrap(), expected);
    }
}
