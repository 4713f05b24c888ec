//! How far features stay the same when image and mask are perturbed.

use std::{collections::BTreeMap, path::Path};

use isoscan_metrics::{Error, Icc, icc};

use super::{
    row::{Cell, Row},
    table::{Format, Stream},
};
use crate::failure::Failure;

/// Values of every feature: one list for each region, one value for each perturbation.
#[derive(Debug, Default)]
pub(crate) struct Ratings {
    features: Vec<String>,
    values: BTreeMap<String, BTreeMap<(usize, String), Vec<f64>>>,
}

impl Ratings {
    /// Takes a row of a case.
    pub(crate) fn take(&mut self, case: usize, row: &Row) {
        let region = ["Label", "ROI"].map(|name| row.get(name).map(Cell::text).unwrap_or_default()).join(" ");
        for (name, cell) in &row.0 {
            let Cell::Number(value) = cell else { continue };
            if name.starts_with("diagnostics_") {
                continue;
            }
            if !self.values.contains_key(name) {
                self.features.push(name.clone());
            }
            let of_feature = self.values.entry(name.clone()).or_default();
            of_feature.entry((case, region.clone())).or_default().push(*value);
        }
    }

    /// A row for each feature: ICC(1,1), (2,1) and (3,1) with their 95 % intervals, and whether the feature is robust from
    /// `threshold` on; a feature without these has the reason.
    pub(crate) fn rows(&self, perturbations: usize, threshold: f64) -> Vec<Row> {
        self.features.iter().map(|name| self.row(name, perturbations, threshold)).collect()
    }

    fn row(&self, name: &str, perturbations: usize, threshold: f64) -> Row {
        let complete = |ratings: &&Vec<f64>| ratings.len() == perturbations && ratings.iter().all(|v| v.is_finite());
        let all = self.values.get(name);
        let ratings: Vec<Vec<f64>> = all.into_iter().flat_map(BTreeMap::values).filter(complete).cloned().collect();
        let left_out = all.map_or(0, BTreeMap::len) - ratings.len();
        let mut row = Row::default();
        row.set("Feature", Cell::Text(name.to_owned()));
        match icc(&ratings) {
            Ok(found) => fill(&mut row, &found, threshold),
            Err(error) => row.set("Reason", Cell::Text(reason(&error))),
        }
        row.set("Regions", Cell::Whole(ratings.len() as i64));
        row.set("RegionsLeftOut", Cell::Whole(left_out as i64));
        row.set("Perturbations", Cell::Whole(perturbations as i64));
        row
    }
}

fn fill(row: &mut Row, found: &Icc, threshold: f64) {
    let rows = [
        ("ICC11", found.single_one_way, found.single_one_way_ci95),
        ("ICC21", found.single_agreement, found.single_agreement_ci95),
        ("ICC31", found.single_consistency, found.single_consistency_ci95),
    ];
    for (name, estimate, [low, high]) in rows {
        row.set(name, Cell::Number(estimate));
        row.set(&format!("{name}_low"), Cell::Number(low));
        row.set(&format!("{name}_high"), Cell::Number(high));
    }
    let robust = found.single_one_way_ci95[0] >= threshold;
    row.set("Robust", Cell::Text(if robust { "robust" } else { "not robust" }.to_owned()));
}

fn reason(error: &Error) -> String {
    match error {
        Error::TooFewSubjects { .. } => "fewer than 2 regions with a value under every perturbation".to_owned(),
        Error::NoVariation { .. } => "the value is the same everywhere".to_owned(),
        other => other.to_string(),
    }
}

/// Columns of the table of stability.
const COLUMNS: [&str; 15] = [
    "Feature",
    "ICC11",
    "ICC11_low",
    "ICC11_high",
    "ICC21",
    "ICC21_low",
    "ICC21_high",
    "ICC31",
    "ICC31_low",
    "ICC31_high",
    "Robust",
    "Reason",
    "Regions",
    "RegionsLeftOut",
    "Perturbations",
];

/// Writes the table of stability.
pub(crate) fn write(path: &Path, rows: &[Row]) -> Result<(), Failure> {
    let mut stream = Stream::begin(path, Format::Csv, COLUMNS.map(str::to_owned).to_vec())?;
    for row in rows {
        stream.add(row)?;
    }
    stream.publish(path)
}

#[cfg(test)]
mod tests {
    use isoscan_radiomics::ROBUST;

    use super::*;

    fn row(label: i64, values: &[(&str, f64)]) -> Row {
        let mut row = Row::default();
        row.set("Label", Cell::Whole(label));
        row.set("diagnostics_Mask-original_VoxelNum", Cell::Text("7".into()));
        values.iter().for_each(|(name, value)| row.set(name, Cell::Number(*value)));
        row
    }

    /// Shrout and Fleiss 1979, table 2: ICC(1,1) is 0.17, ICC(2,1) 0.29, ICC(3,1) 0.71.
    #[test]
    fn perturbations_are_raters_and_regions_subjects() {
        let table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]];
        let mut ratings = Ratings::default();
        for (case, values) in table.iter().enumerate() {
            for value in values.map(f64::from) {
                let gap = if case == 0 { f64::NAN } else { 1.0 };
                ratings.take(case, &row(1, &[("noisy", value), ("steady", case as f64), ("flat", gap)]));
            }
        }
        let rows = ratings.rows(4, ROBUST);
        let text = |row: usize, name: &str| rows[row].get(name).map(Cell::text).unwrap_or_default();
        assert!(text(0, "ICC11").starts_with("0.16") && text(0, "ICC31").starts_with("0.71"));
        assert_eq!((text(0, "Robust"), text(1, "Robust")), ("not robust".into(), "robust".into()));
        assert_eq!((text(2, "Reason"), text(2, "Regions")), ("the value is the same everywhere".into(), "5".into()));
        assert_eq!(text(2, "RegionsLeftOut"), "1");
    }
}
