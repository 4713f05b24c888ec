//! Intensity histogram.

use super::Region;
use super::statistics::spread_of_levels;
use crate::discretise::Discretised;
use crate::family::Named;
use crate::table::{NanReason, Outcome};

/// In the order of the reference tables.
pub(crate) const NAMES: [Named; 23] = [
    ("ih_mean", Some("X6K6")),
    ("ih_var", Some("CH89")),
    ("ih_skew", Some("88K1")),
    ("ih_kurt", Some("C3I7")),
    ("ih_median", Some("WIFQ")),
    ("ih_min", Some("1PR8")),
    ("ih_p10", Some("GPMT")),
    ("ih_p90", Some("OZ0C")),
    ("ih_max", Some("3NCY")),
    ("ih_mode", Some("AMMC")),
    ("ih_iqr", Some("WR0O")),
    ("ih_range", Some("5Z3W")),
    ("ih_mad", Some("D2ZX")),
    ("ih_rmad", Some("WRZB")),
    ("ih_medad", Some("4RNL")),
    ("ih_cov", Some("CWYJ")),
    ("ih_qcod", Some("SLWD")),
    ("ih_entropy", Some("TLU2")),
    ("ih_uniformity", Some("BJ5W")),
    ("ih_max_grad", Some("12CE")),
    ("ih_max_grad_g", Some("8E6O")),
    ("ih_min_grad", Some("VQB3")),
    ("ih_min_grad_g", Some("RHQZ")),
];

/// Statistics of the grey levels of the intensity mask, IBSI manual 3.4.
///
/// The statistics are those of the intensities, of grey levels. With `nᵢ` voxels of N at level i, i from 1 to the highest
/// occupied level: entropy `-Σ pᵢ log₂ pᵢ` and uniformity `Σ pᵢ²` of `pᵢ = nᵢ/N`; the mode is the fullest level, of equally
/// full ones the nearest to the mean, of equally near ones the lower.
///
/// The gradient is `n₂ - n₁` at the lowest level, `n_Ng - n_Ng₋₁` at the highest and `(nᵢ₊₁ - nᵢ₋₁)/2` between; of several
/// levels with the extreme gradient the lowest counts. With a single level it is [`NanReason::OneLevel`].
pub(crate) fn features(region: &Region) -> [Outcome; NAMES.len()] {
    let levels = &region.levels;
    let spread = spread_of_levels(levels);
    let [mean, var, skew, kurt, median, min, p10, p90, max] = spread.location;
    let [iqr, range, mad, rmad, medad, cov, qcod] = spread.dispersion;
    let voxels = levels.counts.iter().sum::<usize>() as f64;
    let share = |&count: &usize| count as f64 / voxels;
    let entropy = Ok(levels.counts.iter().map(share).map(|p| -p * p.log2()).sum::<f64>() + 0.0);
    let uniformity = Ok(levels.counts.iter().map(share).map(|p| p * p).sum());
    let mode = mean.map(|mean| mode(levels, mean));
    let (steepest, flattest) = (extreme_gradient(levels, 1.0), extreme_gradient(levels, -1.0));
    let gradient = |extreme: Result<(f64, f64), NanReason>| (extreme.map(|e| e.0), extreme.map(|e| e.1));
    let ((max_grad, max_grad_g), (min_grad, min_grad_g)) = (gradient(steepest), gradient(flattest));
    [
        mean, var, skew, kurt, median, min, p10, p90, max, mode, iqr, range, mad, rmad, medad, cov, qcod, entropy,
        uniformity, max_grad, max_grad_g, min_grad, min_grad_g,
    ]
}

fn mode(levels: &Discretised, mean: f64) -> f64 {
    let fullest = levels.counts.iter().copied().max().unwrap_or(0);
    let candidates = levels.grey.iter().zip(&levels.counts).filter(|(_, count)| **count == fullest);
    let candidates = candidates.map(|(&level, _)| f64::from(level));
    candidates.min_by(|a, b| (a - mean).abs().total_cmp(&(b - mean).abs())).unwrap_or(mean)
}

/// The gradient with the largest `sign · gradient`, and its level. Only levels beside or at an occupied one can hold it,
/// and the lowest.
fn extreme_gradient(levels: &Discretised, sign: f64) -> Result<(f64, f64), NanReason> {
    let highest = levels.highest();
    if highest < 2 {
        return Err(NanReason::OneLevel);
    }
    let count = |level: u32| levels.grey.binary_search(&level).map_or(0.0, |index| levels.counts[index] as f64);
    let gradient = |level: u32| match level {
        1 => count(2) - count(1),
        _ if level == highest => count(level) - count(level - 1),
        _ => (count(level + 1) - count(level - 1)) / 2.0,
    };
    let around = levels.grey.iter().flat_map(|&level| level.saturating_sub(1)..=level + 2);
    let candidates = (1..4).chain(around).filter(|level| (1..=highest).contains(level));
    let found = candidates.map(|level| (gradient(level), level));
    let extreme = found.reduce(|best, next| {
        let better = sign * next.0 > sign * best.0 || (next.0 == best.0 && next.1 < best.1);
        if better { next } else { best }
    });
    extreme.map(|(gradient, level)| (gradient, f64::from(level))).ok_or(NanReason::OneLevel)
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::region_of;
    use super::*;

    fn value(values: &[f64], tag: &str) -> Outcome {
        let region = region_of([values.len(), 1, 1], values);
        features(&region)[NAMES.iter().position(|(name, _)| *name == tag).unwrap()]
    }

    /// Levels 3 3 4 7 7 9 12 of twelve: gradient 1 first at level 2, (2 - 0)/2; -1 first at level 4, (0 - 2)/2. Levels 3
    /// and 7 hold two voxels each; the mean is 45/7.
    #[test]
    fn gaps_between_levels_are_bins_too() {
        let levels = [3.0, 3.0, 4.0, 7.0, 7.0, 9.0, 12.0];
        let entropy = -(2.0 * 2.0 / 7.0 * (2.0f64 / 7.0).log2() + 3.0 / 7.0 * (1.0f64 / 7.0).log2());
        let rows = [
            ("ih_mean", 45.0 / 7.0),
            ("ih_mode", 7.0),
            ("ih_entropy", entropy),
            ("ih_uniformity", 11.0 / 49.0),
            ("ih_max_grad", 1.0),
            ("ih_max_grad_g", 2.0),
            ("ih_min_grad", -1.0),
            ("ih_min_grad_g", 4.0),
        ];
        for (tag, expected) in rows {
            let found = value(&levels, tag).unwrap();
            assert!((found - expected).abs() < 1e-12, "{tag}: {found} {expected}");
        }
    }

    #[test]
    fn of_equally_full_levels_the_mode_is_nearest_to_the_mean() {
        assert_eq!(value(&[1.0, 1.0, 2.0, 4.0, 4.0], "ih_mode"), Ok(1.0));
        assert_eq!(value(&[1.0, 1.0, 3.0, 4.0, 4.0], "ih_mode"), Ok(4.0));
        assert_eq!(value(&[1.0, 3.0], "ih_mode"), Ok(1.0));
    }

    #[test]
    fn one_level_has_no_gradient() {
        assert_eq!(value(&[1.0; 5], "ih_max_grad"), Err(NanReason::OneLevel));
        assert_eq!(value(&[1.0; 5], "ih_entropy"), Ok(0.0));
        assert_eq!((value(&[2.0; 5], "ih_max_grad"), value(&[2.0; 5], "ih_min_grad_g")), (Ok(5.0), Ok(1.0)));
    }
}
