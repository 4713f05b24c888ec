mod count;
mod features;
mod maximal_correlation;

use rayon::prelude::*;

use crate::discretise::Discretised;
use crate::family::GLCM;
use crate::roi::Roi;
use crate::settings::{Settings, WeightingNorm};
use crate::table::{NanReason, Outcome, or_nan};
use count::Levels;
use features::Joint;

/// Features of the grey level co-occurrence matrices of a region.
///
/// A matrix counts, for one direction, the pairs of voxels inside the region with levels i and j; by default both ways.
/// Without a weighting norm every feature is computed per direction and averaged over the directions that hold a pair
/// (IBSI's "averaged"); with one the matrices are added with weights `exp(-d²)`, d in mm (IBSI's "merged" for
/// `no_weighting`).
pub(crate) struct Glcm {
    values: [f64; GLCM.len()],
    empty: bool,
}

impl Glcm {
    pub(crate) fn of(region: &Roi, levels: &Discretised, spacing_mm: [f64; 3], settings: &Settings) -> Self {
        let directions = directions(region.size, settings);
        let field = Levels::of(region, levels);
        let grey: Vec<f64> = levels.grey.iter().map(|&level| f64::from(level)).collect();
        let features_of = |pairs: &[f64]| {
            Joint::of(pairs, &grey, settings.symmetrical_glcm).map(|joint| joint.features(levels.highest()))
        };
        let per_matrix: Vec<[f64; GLCM.len()]> = match settings.weighting_norm {
            None => {
                let found: Vec<_> = directions.par_iter().map(|&d| features_of(&field.pairs(d))).collect();
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
        let values = std::array::from_fn(|k| mean_of_numbers(per_matrix.iter().map(|features| features[k])));
        Self { values, empty: per_matrix.is_empty() }
    }

    /// The value of one feature of [`GLCM`].
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        let index = GLCM.iter().position(|(known, _)| *known == name).ok_or(NanReason::Undefined)?;
        let reason = match name {
            _ if self.empty => NanReason::NoPairs,
            "Imc2" => NanReason::NegativeInformation,
            "MCC" => NanReason::NoConvergence,
            _ => NanReason::Undefined,
        };
        or_nan(self.values[index], reason)
    }
}

/// Steps from a voxel to its partner, x, y, z: one of each opposite pair, at the distances asked for by the maximum norm,
/// inside slices when forced, and short enough to stay in the region's box.
fn directions(size: [usize; 3], settings: &Settings) -> Vec<[i64; 3]> {
    let reach = settings.distances.iter().copied().max().unwrap_or(1);
    let reach = i64::from(reach).min(size.into_iter().max().unwrap_or(1) as i64);
    let across = settings.force_2d.then_some(2 - settings.force_2d_dimension);
    let mut found = Vec::new();
    for z in 0..=reach {
        for y in -reach..=reach {
            for x in -reach..=reach {
                let step = [x, y, z];
                let is_first_of_pair = z > 0 || y > 0 || (y == 0 && x > 0);
                let distance = step.iter().map(|s| s.unsigned_abs() as u32).max().unwrap_or(0);
                let fits = (0..3).all(|a| step[a].unsigned_abs() < size[a] as u64);
                if is_first_of_pair
                    && fits
                    && settings.distances.contains(&distance)
                    && across.is_none_or(|axis| step[axis] == 0)
                {
                    found.push(step);
                }
            }
        }
    }
    found
}

fn weight(norm: WeightingNorm, direction: [i64; 3], spacing_mm: [f64; 3]) -> f64 {
    let step_mm: [f64; 3] = std::array::from_fn(|a| direction[a].abs() as f64 * spacing_mm[a]);
    let squared = match norm {
        WeightingNorm::Manhattan => step_mm.iter().sum::<f64>().powi(2),
        WeightingNorm::Euclidean => step_mm.iter().map(|s| s * s).sum(),
        WeightingNorm::Infinity => step_mm.iter().copied().fold(0.0, f64::max).powi(2),
        WeightingNorm::NoWeighting => 0.0,
    };
    (-squared).exp()
}

/// Mean of the values that are not NaN; NaN when there is none.
fn mean_of_numbers(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.filter(|v| !v.is_nan()).fold((0.0, 0.0), |(n, sum), v| (n + 1.0, sum + v));
    sum / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_neighbours_and_no_step_out_of_the_box() {
        let mut settings = Settings::default();
        assert_eq!(directions([5, 5, 5], &settings).len(), 13);
        assert_eq!(directions([5, 5, 1], &settings).len(), 4);
        assert_eq!(directions([2, 1, 1], &settings), [[1, 0, 0]]);
        settings.distances = vec![1, 2];
        assert_eq!(directions([5, 5, 5], &settings).len(), 62);
        settings.distances = vec![2];
        assert_eq!(directions([5, 5, 5], &settings).len(), 49);
        settings.distances = vec![1];
        settings.force_2d = true;
        settings.force_2d_dimension = 2;
        assert!(directions([5, 5, 5], &settings).iter().all(|step| step[0] == 0));
    }

    #[test]
    fn weights_fall_with_the_distance_in_mm() {
        let rows = [
            (WeightingNorm::Manhattan, -9.0),
            (WeightingNorm::Euclidean, -5.0),
            (WeightingNorm::Infinity, -4.0),
            (WeightingNorm::NoWeighting, 0.0),
        ];
        for (norm, exponent) in rows {
            assert_eq!(weight(norm, [-1, 0, 1], [1.0, 9.0, 2.0]), f64::exp(exponent));
        }
    }
}
