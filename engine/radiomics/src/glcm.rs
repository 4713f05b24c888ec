mod features;
mod maximal_correlation;

use rayon::prelude::*;

use crate::directions::{directions, length_mm, slice_axis};
use crate::family::Named;
use crate::field::LevelField;
use crate::settings::{Settings, WeightingNorm};
use crate::table::{NanReason, Outcome, mean_of_numbers, or_nan};
pub(crate) use features::{Contents, Joint};
pub(crate) use maximal_correlation::maximal_correlation;

/// Alphabetical.
pub(crate) const NAMES: [Named; 24] = [
    ("Autocorrelation", Some("QWB0")),
    ("ClusterProminence", Some("AE86")),
    ("ClusterShade", Some("7NFM")),
    ("ClusterTendency", Some("DG8W")),
    ("Contrast", Some("ACUI")),
    ("Correlation", Some("NI2N")),
    ("DifferenceAverage", Some("TF7R")),
    ("DifferenceEntropy", Some("NTRS")),
    ("DifferenceVariance", Some("D3YU")),
    ("Id", Some("IB1Z")),
    ("Idm", Some("WF0Z")),
    ("Idmn", Some("1QCO")),
    ("Idn", Some("NDRX")),
    ("Imc1", Some("R8DG")),
    ("Imc2", Some("JN9H")),
    ("InverseVariance", Some("E8JP")),
    ("JointAverage", Some("60VM")),
    ("JointEnergy", Some("8ZQL")),
    ("JointEntropy", Some("TU9B")),
    ("MCC", None),
    ("MaximumProbability", Some("GYBY")),
    ("SumAverage", Some("ZGXS")),
    ("SumEntropy", Some("P6QZ")),
    ("SumSquares", Some("UR99")),
];

/// Features of the grey level co-occurrence matrices of a region.
///
/// A matrix counts, for one direction, the pairs of voxels inside the region with levels i and j; by default both ways.
/// Without a weighting norm every feature is computed per direction and averaged over the directions that hold a pair
/// (IBSI's "averaged"); with one the matrices are added with weights `exp(-d²)`, d in mm (IBSI's "merged" for
/// `no_weighting`).
pub(crate) struct Glcm {
    values: [f64; NAMES.len()],
    empty: bool,
}

impl Glcm {
    pub(crate) fn of(field: &LevelField, spacing_mm: [f64; 3], settings: &Settings) -> Self {
        let directions = directions(field.size, &settings.distances, slice_axis(settings));
        let grey: Vec<f64> = field.grey.iter().map(|&level| f64::from(level)).collect();
        let highest = field.grey.last().copied().unwrap_or(0);
        let features_of =
            |pairs: &[f64]| Joint::of(pairs, &grey, settings.symmetrical_glcm).map(|joint| joint.features(highest));
        let per_matrix: Vec<[f64; NAMES.len()]> = match settings.weighting_norm {
            None => {
                let found: Vec<_> =
                    directions.par_iter().with_max_len(1).map(|&d| features_of(&field.pairs(d))).collect();
                found.into_iter().flatten().collect()
            }
            Some(norm) => {
                let mut sum = vec![0.0; grey.len() * grey.len()];
                for &direction in &directions {
                    let weight = weight(norm, direction, spacing_mm);
                    sum.iter_mut().zip(field.pairs(direction)).for_each(|(sum, pairs)| *sum += weight * pairs);
                }
                features_of(&sum).into_iter().collect()
            }
        };
        let mut values = std::array::from_fn(|k| mean_of_numbers(per_matrix.iter().map(|features| features[k])));
        if per_matrix.is_empty() && grey.len() == 1 {
            // Of one level without a pair PyRadiomics sums over no difference, or calls the region flat before it divides.
            let is_one_matrix = settings.weighting_norm.is_some() || directions.len() == 1;
            let (name, value) = if is_one_matrix { ("InverseVariance", 0.0) } else { ("MCC", 1.0) };
            NAMES.iter().position(|(known, _)| *known == name).into_iter().for_each(|index| values[index] = value);
        }
        Self { values, empty: per_matrix.is_empty() }
    }

    /// The value of one feature of [`NAMES`].
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        let index = NAMES.iter().position(|(known, _)| *known == name).ok_or(NanReason::Undefined)?;
        let reason = match name {
            _ if self.empty => NanReason::NoPairs,
            "Imc2" => NanReason::NegativeInformation,
            "MCC" => NanReason::NoConvergence,
            _ => NanReason::Undefined,
        };
        or_nan(self.values[index], reason)
    }
}

pub(crate) fn weight(norm: WeightingNorm, direction: [i64; 3], spacing_mm: [f64; 3]) -> f64 {
    length_mm(norm, direction, spacing_mm).map_or(1.0, |length| (-length * length).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_with_the_distance_in_mm() {
        let rows = [
            (WeightingNorm::Manhattan, -9.0),
            (WeightingNorm::Euclidean, -5.0),
            (WeightingNorm::Infinity, -4.0),
            (WeightingNorm::NoWeighting, 0.0),
        ];
        for (norm, exponent) in rows {
            let found = weight(norm, [-1, 0, 1], [1.0, 9.0, 2.0]);
            assert!((found / f64::exp(exponent) - 1.0).abs() < 1e-14);
        }
    }
}
