use std::path::Path;

use isoscan_imaging::Mask;
use isoscan_io::Series;
use isoscan_radiomics::{Perturbation, Perturbations, perturb, read_parameters};

use super::{
    extraction::{Files, Plan, filled, refusal},
    row::{Cell, Row},
};
use crate::failure::Failure;

/// Perturbations under which every region is measured.
#[derive(Debug, Clone)]
pub(crate) struct Perturbed {
    given: Perturbations,
    pub(crate) chain: Vec<Perturbation>,
    seed: u64,
}

impl Perturbed {
    /// Reads perturbations from YAML or JSON.
    pub(crate) fn read(path: &Path, seed: u64) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{error}: {}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let given: Perturbations = serde_json::from_value(read_parameters(&text)?).map_err(|error| failed(&error))?;
        let chain = given.chain();
        if chain.len() < 2 {
            return Err(failed(&"stability needs at least 2 perturbations, found 1"));
        }
        Ok(Self { given, chain, seed })
    }

    /// The perturbations as they stand in the provenance.
    pub(crate) fn told(&self) -> serde_json::Value {
        serde_json::json!({ "perturbations": self.given, "seed": self.seed })
    }

    /// A row for each perturbation of a region, and the first failure.
    pub(crate) fn rows(
        &self,
        row: &Row,
        files: &Files,
        mask: &Mask,
        plan: &Plan,
    ) -> (Vec<Row>, Option<(String, Option<String>)>) {
        let mut rows = Vec::new();
        let mut failure = None;
        for perturbation in &self.chain {
            let mut row = row.clone();
            row.set("Perturbation", Cell::Text(name(perturbation)));
            match self.table(perturbation, &files.image, mask, plan) {
                Ok(table) => rows.push(filled(row, &files.diagnostics, &table)),
                Err(error) => {
                    let refused = refusal(row, &error.into());
                    failure = failure.or(refused.failure);
                    rows.extend(refused.rows);
                }
            }
        }
        (rows, failure)
    }

    fn table(
        &self,
        perturbation: &Perturbation,
        image: &Series,
        mask: &Mask,
        plan: &Plan,
    ) -> Result<isoscan_radiomics::FeatureTable, isoscan_radiomics::Error> {
        let mut mode = if perturbation.changes_intensities() { plan.mode.clone() } else { plan.mode_for(image) };
        mode.widen_bins(perturbation.bin_width_factor);
        if perturbation.keeps_image_and_region() {
            return mode.extract(&image.volume, mask);
        }
        let (volume, mask) = perturb(&image.volume, mask, perturbation, self.seed)?;
        mode.extract(&volume, &mask)
    }
}

/// What is changed, in words; `none` for the identity.
fn name(of: &Perturbation) -> String {
    let [x, y, z] = of.shift_voxels;
    let parts = [
        of.noise.map(|n| format!("noise {n}")),
        (of.angle_deg != 0.0).then(|| format!("rotation {} deg", of.angle_deg)),
        (of.shift_voxels != [0.0; 3]).then(|| format!("shift {x} {y} {z} voxels")),
        (of.growth != 0.0).then(|| format!("growth {}", of.growth)),
        of.contour.map(|n| format!("contour {n}")),
        (of.bin_width_factor != 1.0).then(|| format!("bin width x {}", of.bin_width_factor)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}
