use statrs::distribution::ChiSquared;

use crate::Error;
use crate::icc::require_table;
use crate::quantile::polished;

/// Multiple of the standard deviation of a difference that 95 % of differences stay within.
const LIMIT: f64 = 1.96;

/// How far repeated measurements of one subject differ (Raunig et al. 2015, the definitions of QIBA).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Repeatability {
    /// Within-subject standard deviation, in the unit of the measurements.
    pub within_sd: f64,
    /// Repeatability coefficient: 95 % of the differences between two measurements of a subject are smaller.
    pub coefficient: f64,
    /// 95 % interval of [`coefficient`](Self::coefficient).
    pub coefficient_ci95: [f64; 2],
    /// Relative to the subject's mean; `None` when a subject's mean is 0.
    pub relative: Option<Relative>,
    /// On logarithms; `None` when a measurement is not positive.
    pub logarithmic: Option<Logarithmic>,
    /// Number of subjects.
    pub n: usize,
    /// Number of measurements of each.
    pub k: usize,
}

/// Repeatability relative to the subjects' means.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Relative {
    /// Within-subject coefficient of variation, as a share.
    pub within_cv: f64,
    /// Repeatability coefficient, %.
    pub coefficient_percent: f64,
}

/// Repeatability of the logarithms, for measurements whose error grows with them.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Logarithmic {
    /// Within-subject standard deviation of the natural logarithms.
    pub within_sd: f64,
    /// Within-subject coefficient of variation that goes with it, as a share.
    pub within_cv: f64,
    /// Lower and upper repeatability limit of a relative change, %; not symmetric.
    pub limits_percent: [f64; 2],
}

/// Repeatability of `measurements[subject][repetition]`.
///
/// With the variance (k - 1) and the mean of each subject: `wSD = √mean(varᵢ)`; `RC = 1.96 √2 wSD`, its interval
/// `RC √(f/χ²)` from the quantiles of χ² with `f = n(k - 1)` degrees of freedom; `wCV = √mean(varᵢ/meanᵢ²)` and
/// `%RC = 196 √2 wCV`. On logarithms `wCV = √(exp(wSD²) - 1)` and the limits are `100 (exp(∓1.96 √2 wSD) - 1)`.
///
/// ```
/// let found = isoscan_metrics::repeatability(&[vec![10.0, 12.0], vec![20.0, 20.0]])?;
/// assert_eq!(found.within_sd, 1.0);
/// assert!((found.coefficient - 1.96 * 2f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), isoscan_metrics::Error>(())
/// ```
///
/// # Errors
/// [`Error::TooFewSubjects`] below 2 subjects or 2 measurements, [`Error::LengthMismatch`] for a ragged table,
/// [`Error::NotFinite`].
pub fn repeatability(measurements: &[Vec<f64>]) -> Result<Repeatability, Error> {
    let (n, k) = require_table(measurements)?;
    let moments: Vec<(f64, f64)> = measurements.iter().map(|subject| mean_and_variance(subject)).collect();
    let within_sd = root_mean(moments.iter().map(|(_, variance)| *variance), n);
    let coefficient = LIMIT * 2f64.sqrt() * within_sd;
    let freedom = (n * (k - 1)) as f64;
    let bound = |q: f64| {
        let quantile = ChiSquared::new(freedom).map_or(f64::NAN, |distribution| polished(&distribution, q));
        coefficient * (freedom / quantile).sqrt()
    };
    let relative = moments.iter().all(|(mean, _)| *mean != 0.0).then(|| {
        let within_cv = root_mean(moments.iter().map(|(mean, variance)| variance / (mean * mean)), n);
        Relative { within_cv, coefficient_percent: 100.0 * LIMIT * 2f64.sqrt() * within_cv }
    });
    let positive = measurements.iter().flatten().all(|&value| value > 0.0);
    Ok(Repeatability {
        within_sd,
        coefficient,
        coefficient_ci95: [bound(0.975), bound(0.025)],
        relative,
        logarithmic: positive.then(|| logarithmic(measurements, n)),
        n,
        k,
    })
}

fn logarithmic(measurements: &[Vec<f64>], n: usize) -> Logarithmic {
    let variance = |subject: &Vec<f64>| mean_and_variance(&subject.iter().map(|v| v.ln()).collect::<Vec<f64>>()).1;
    let within_sd = root_mean(measurements.iter().map(variance), n);
    let reach = LIMIT * 2f64.sqrt() * within_sd;
    Logarithmic {
        within_sd,
        within_cv: (within_sd * within_sd).exp_m1().sqrt(),
        limits_percent: [-reach, reach].map(|reach| 100.0 * reach.exp_m1()),
    }
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let k = values.len() as f64;
    let mean = values.iter().sum::<f64>() / k;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (k - 1.0))
}

fn root_mean(values: impl Iterator<Item = f64>, n: usize) -> f64 {
    (values.sum::<f64>() / n as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variances 2 and 0, means 11 and 20: wSD 1, wCV √((2/121)/2).
    #[test]
    fn two_subjects_by_hand() {
        let found = repeatability(&[vec![10.0, 12.0], vec![20.0, 20.0]]).unwrap();
        assert_eq!((found.within_sd, found.n, found.k), (1.0, 2, 2));
        assert!((found.relative.unwrap().within_cv - 1.0 / 11.0).abs() < 1e-15);
        // χ² with 2 degrees of freedom has the quantile -2 ln(1 - q).
        let bounds = [0.975f64, 0.025].map(|q| found.coefficient * (2.0 / (-2.0 * (1.0 - q).ln())).sqrt());
        for (found, expected) in found.coefficient_ci95.iter().zip(bounds) {
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn what_is_not_positive_has_no_logarithm_and_a_mean_of_zero_nothing_relative() {
        let found = repeatability(&[vec![-1.0, 1.0], vec![2.0, 3.0]]).unwrap();
        assert_eq!((found.relative, found.logarithmic), (None, None));
        let found = repeatability(&[vec![-1.0, 2.0], vec![2.0, 3.0]]).unwrap();
        assert!(found.relative.is_some() && found.logarithmic.is_none());
    }

    #[test]
    fn a_small_variation_does_not_round_to_none() {
        let found = repeatability(&[vec![1e8, 1e8 + 1.0], vec![1e8, 1e8 + 1.0]]).unwrap();
        let within_cv = found.logarithmic.unwrap().within_cv;
        assert!((within_cv / (0.5f64.sqrt() * 1e-8) - 1.0).abs() < 1e-6, "{within_cv}");
    }
}
