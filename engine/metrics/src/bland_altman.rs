use statrs::distribution::StudentsT;

use crate::Error;
use crate::concordance::require_pairs;

/// Multiple of the standard deviation that bounds the limits of agreement (Bland and Altman 1986).
const LIMIT: f64 = 1.96;

/// Bland-Altman limits of agreement of paired measurements.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BlandAltman {
    /// Mean of `x - y`.
    pub mean_difference: f64,
    /// 95 % interval of the mean difference, Student's t.
    pub mean_ci95: [f64; 2],
    /// Standard deviation of the differences, n - 1.
    pub sd_difference: f64,
    /// Limits of agreement: mean ± 1.96 standard deviations.
    pub limits: [f64; 2],
    /// 95 % interval of the lower limit.
    pub lower_limit_ci95: [f64; 2],
    /// 95 % interval of the upper limit.
    pub upper_limit_ci95: [f64; 2],
    /// Number of subjects.
    pub n: usize,
}

/// Limits of agreement between `x` and `y` with their intervals (Bland and Altman 1999).
///
/// Differences are `d = x - y`; limits `d̄ ± 1.96 SD`; intervals use Student's t with n - 1 degrees of freedom, with
/// standard error `SD/√n` for the mean and `SD √(1/n + 1.96²/(2(n-1)))` for a limit.
///
/// # Errors
/// [`Error::LengthMismatch`], [`Error::TooFewSubjects`] below 2, [`Error::NotFinite`].
pub fn bland_altman(x: &[f64], y: &[f64]) -> Result<BlandAltman, Error> {
    require_pairs(x, y, 2)?;
    let n = x.len() as f64;
    let differences: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
    let mean = differences.iter().sum::<f64>() / n;
    let sd = (differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let t = student_975(n - 1.0);
    let around = |centre: f64, error: f64| [centre - t * error, centre + t * error];
    let limit_error = sd * (1.0 / n + LIMIT * LIMIT / (2.0 * (n - 1.0))).sqrt();
    let limits = [mean - LIMIT * sd, mean + LIMIT * sd];
    Ok(BlandAltman {
        mean_difference: mean,
        mean_ci95: around(mean, sd / n.sqrt()),
        sd_difference: sd,
        limits,
        lower_limit_ci95: around(limits[0], limit_error),
        upper_limit_ci95: around(limits[1], limit_error),
        n: x.len(),
    })
}

/// 97.5th percentile of Student's t, polished by Newton steps on the distribution function.
fn student_975(freedom: f64) -> f64 {
    let distribution = StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are at least 1");
    crate::quantile::polished(&distribution, 0.975)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_pure_shift_are_the_shift() {
        let found = bland_altman(&[1.0, 2.0, 3.0], &[11.0, 12.0, 13.0]).unwrap();
        assert_eq!((found.mean_difference, found.limits, found.sd_difference), (-10.0, [-10.0, -10.0], 0.0));
    }

    #[test]
    fn student_quantiles_match_the_table() {
        for (freedom, expected) in
            [(1.0, 12.706_204_736_174_7), (9.0, 2.262_157_162_798_2), (29.0, 2.045_229_642_132_7)]
        {
            assert!((student_975(freedom) / expected - 1.0).abs() < 1e-12, "{freedom}: {}", student_975(freedom));
        }
    }
}
