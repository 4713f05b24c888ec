//! Intensity-based statistics.

use super::Region;
use crate::discretise::Discretised;
use crate::family::Named;
use crate::first_order::FirstOrder;
use crate::table::{Outcome, quotient};

/// In the order of the reference tables.
pub(crate) const NAMES: [Named; 18] = [
    ("stat_mean", Some("Q4LE")),
    ("stat_var", Some("ECT3")),
    ("stat_skew", Some("KE2A")),
    ("stat_kurt", Some("IPH6")),
    ("stat_median", Some("Y12H")),
    ("stat_min", Some("1GSF")),
    ("stat_p10", Some("QG58")),
    ("stat_p90", Some("8DWT")),
    ("stat_max", Some("84IY")),
    ("stat_iqr", Some("SALO")),
    ("stat_range", Some("2OJQ")),
    ("stat_mad", Some("4FUA")),
    ("stat_rmad", Some("1128")),
    ("stat_medad", Some("N72L")),
    ("stat_cov", Some("7TET")),
    ("stat_qcod", Some("9S40")),
    ("stat_energy", Some("N8CA")),
    ("stat_rms", Some("5ZWQ")),
];

/// Statistics of the intensities of the intensity mask, IBSI manual 3.3.
///
/// With N intensities X, mean μ and population variance σ²: skewness `m₃/σ³` and excess kurtosis `m₄/σ⁴ - 3` of the
/// central moments, both 0 where σ is 0; percentiles linear between order statistics; robust mean absolute deviation over
/// the closed range P10 to P90; median absolute deviation `Σ|X - median|/N`; coefficient of variation `σ/μ`; quartile
/// coefficient of dispersion `(P75 - P25)/(P75 + P25)`; energy `ΣX²`; root mean square `√(ΣX²/N)`.
///
/// The coefficients are [`Undefined`](crate::NanReason::Undefined) where their denominator is 0, and the robust deviation of two different
/// voxels is [`NoVoxelBetweenPercentiles`](crate::NanReason::NoVoxelBetweenPercentiles).
pub(crate) fn features(region: &Region) -> [Outcome; NAMES.len()] {
    let statistics = FirstOrder::of(&region.intensities, &region.levels, 0.0, 1.0);
    let spread = Spread::of(&statistics);
    let [mean, var, skew, kurt, median, min, p10, p90, max] = spread.location;
    let [iqr, range, mad, rmad, medad, cov, qcod] = spread.dispersion;
    let (energy, rms) = (statistics.feature("Energy"), statistics.feature("RootMeanSquared"));
    [mean, var, skew, kurt, median, min, p10, p90, max, iqr, range, mad, rmad, medad, cov, qcod, energy, rms]
}

/// The statistics that intensities and grey levels share.
pub(super) struct Spread {
    /// Mean, variance, skewness, kurtosis, median, minimum, P10, P90, maximum.
    pub(super) location: [Outcome; 9],
    /// Interquartile range, range, mean, robust mean and median absolute deviation, coefficient of variation, quartile
    /// coefficient of dispersion.
    pub(super) dispersion: [Outcome; 7],
}

impl Spread {
    pub(super) fn of(statistics: &FirstOrder) -> Self {
        let of = |name: &str| statistics.feature(name);
        let number = |name: &str| of(name).unwrap_or(f64::NAN);
        let variance = number("Variance");
        let excess = if variance == 0.0 { 0.0 } else { number("Kurtosis") - 3.0 };
        let median = number("Median");
        let quartile = |share: f64| statistics.percentile(share);
        let location = [
            of("Mean"),
            of("Variance"),
            of("Skewness"),
            Ok(excess),
            of("Median"),
            of("Minimum"),
            of("10Percentile"),
            of("90Percentile"),
            of("Maximum"),
        ];
        let dispersion = [
            of("InterquartileRange"),
            of("Range"),
            of("MeanAbsoluteDeviation"),
            of("RobustMeanAbsoluteDeviation"),
            Ok(statistics.mean_distance_from(median)),
            quotient(variance.sqrt(), number("Mean")),
            quotient(quartile(0.75) - quartile(0.25), quartile(0.75) + quartile(0.25)),
        ];
        Self { location, dispersion }
    }
}

/// The spread of the grey levels of a region.
pub(super) fn spread_of_levels(levels: &Discretised) -> Spread {
    let grey: Vec<f64> = levels.levels.iter().map(|&level| f64::from(levels.grey[usize::from(level) - 1])).collect();
    Spread::of(&FirstOrder::of(&grey, levels, 0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::region_of;
    use super::*;
    use crate::NanReason;

    fn value(values: &[f64], tag: &str) -> Outcome {
        let region = region_of([values.len(), 1, 1], values);
        features(&region)[NAMES.iter().position(|(name, _)| *name == tag).unwrap()]
    }

    /// 1 2 4 9: mean 4, deviations -3 -2 0 5, variance 38/4, median 3, distances from it 2 1 1 6; quartiles 1.75, 5.25.
    #[test]
    fn four_voxels_by_hand() {
        let rows = [
            ("stat_mean", 4.0),
            ("stat_var", 9.5),
            ("stat_kurt", 180.5 / 90.25 - 3.0),
            ("stat_medad", 2.5),
            ("stat_cov", 9.5f64.sqrt() / 4.0),
            ("stat_qcod", 3.5 / 7.0),
            ("stat_energy", 102.0),
            ("stat_rms", 25.5f64.sqrt()),
        ];
        for (tag, expected) in rows {
            let found = value(&[4.0, 1.0, 9.0, 2.0], tag).unwrap();
            assert!((found - expected).abs() < 1e-12, "{tag}: {found} {expected}");
        }
    }

    #[test]
    fn a_flat_region_has_no_skewness_and_no_excess_kurtosis() {
        for tag in
            ["stat_var", "stat_skew", "stat_kurt", "stat_mad", "stat_rmad", "stat_medad", "stat_cov", "stat_qcod"]
        {
            assert_eq!(value(&[5.0; 7], tag), Ok(0.0), "{tag}");
        }
    }

    #[test]
    fn coefficients_around_zero_are_undefined() {
        assert_eq!(value(&[-2.0, 2.0], "stat_cov"), Err(NanReason::Undefined));
        assert_eq!(value(&[-2.0, 2.0], "stat_qcod"), Err(NanReason::Undefined));
        assert_eq!(value(&[1.0, 2.0], "stat_rmad"), Err(NanReason::NoVoxelBetweenPercentiles));
    }
}
