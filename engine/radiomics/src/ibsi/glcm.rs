use std::collections::BTreeSet;

use super::aggregate::{Fields, Found, Matrix, by_direction};
use super::settings::Aggregation;
use crate::directions::directions;
use crate::family::Named;
use crate::glcm::{Contents, Joint};

/// Tag of the reference values without the aggregation, and code; in the order of the reference values.
pub(crate) const NAMES: [Named; 25] = [
    ("cm_joint_max", Some("GYBY")),
    ("cm_joint_avg", Some("60VM")),
    ("cm_joint_var", Some("UR99")),
    ("cm_joint_entr", Some("TU9B")),
    ("cm_diff_avg", Some("TF7R")),
    ("cm_diff_var", Some("D3YU")),
    ("cm_diff_entr", Some("NTRS")),
    ("cm_sum_avg", Some("ZGXS")),
    ("cm_sum_var", Some("OEEB")),
    ("cm_sum_entr", Some("P6QZ")),
    ("cm_energy", Some("8ZQL")),
    ("cm_contrast", Some("ACUI")),
    ("cm_dissimilarity", Some("8S9J")),
    ("cm_inv_diff", Some("IB1Z")),
    ("cm_inv_diff_norm", Some("NDRX")),
    ("cm_inv_diff_mom", Some("WF0Z")),
    ("cm_inv_diff_mom_norm", Some("1QCO")),
    ("cm_inv_var", Some("E8JP")),
    ("cm_corr", Some("NI2N")),
    ("cm_auto_corr", Some("QWB0")),
    ("cm_clust_tend", Some("DG8W")),
    ("cm_clust_shade", Some("7NFM")),
    ("cm_clust_prom", Some("AE86")),
    ("cm_info_corr1", Some("R8DG")),
    ("cm_info_corr2", Some("JN9H")),
];

/// Features of the co-occurrence of levels at `distance` voxels, in the order of [`NAMES`]; `highest` is the highest
/// level of the region.
pub(super) fn features(
    fields: &Fields,
    highest: u32,
    distance: u32,
    wanted: &BTreeSet<Aggregation>,
) -> Vec<(Aggregation, Vec<f64>)> {
    by_direction(fields, &directions(fields.volume.region.size, &[distance], None), wanted, |field, step| Pairs {
        counts: field.pairs(step),
        grey: field.grey.iter().map(|&level| f64::from(level)).collect(),
        highest,
    })
}

/// Pairs of the levels `grey`, counted one way.
struct Pairs {
    counts: Vec<f64>,
    grey: Vec<f64>,
    highest: u32,
}

impl Matrix for Pairs {
    /// Parts hold the same levels.
    fn merged(parts: &[Self]) -> Self {
        let (grey, highest) = parts.first().map_or((Vec::new(), 0), |part| (part.grey.clone(), part.highest));
        let mut counts = vec![0.0; grey.len() * grey.len()];
        for part in parts {
            counts.iter_mut().zip(&part.counts).for_each(|(sum, count)| *sum += count);
        }
        Self { counts, grey, highest }
    }

    fn features(&self) -> Found {
        let found = Joint::of(&self.counts, &self.grey, true)?.contents(self.highest, 0.0);
        Some(in_order(&found).to_vec())
    }
}

/// The contents in the order of [`NAMES`]. The sum variance is the cluster tendency, the dissimilarity the difference
/// average, by definition.
fn in_order(contents: &Contents) -> [f64; NAMES.len()] {
    [
        contents.joint_maximum,
        contents.joint_average,
        contents.joint_variance,
        contents.joint_entropy,
        contents.difference_average,
        contents.difference_variance,
        contents.difference_entropy,
        contents.sum_average,
        contents.cluster_tendency,
        contents.sum_entropy,
        contents.joint_energy,
        contents.contrast,
        contents.difference_average,
        contents.inverse_difference,
        contents.inverse_difference_normalised,
        contents.inverse_difference_moment,
        contents.inverse_difference_moment_normalised,
        contents.inverse_variance,
        contents.correlation,
        contents.autocorrelation,
        contents.cluster_tendency,
        contents.cluster_shade,
        contents.cluster_prominence,
        contents.first_information,
        contents.second_information,
    ]
}
