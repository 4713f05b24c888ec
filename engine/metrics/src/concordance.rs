use crate::Error;

/// Half width of a 95 % interval in standard normal units: the 97.5th percentile.
const Z_975: f64 = 1.959_963_984_540_054;

/// Lin's concordance correlation coefficient of paired measurements.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ccc {
    /// The coefficient, in -1..=1.
    pub estimate: f64,
    /// 95 % interval by Fisher's z; NaN where [`ci_reason`](Self::ci_reason) says that it is undefined.
    pub ci95: [f64; 2],
    /// Number of subjects.
    pub n: usize,
    /// Why the interval is degenerate or undefined.
    pub ci_reason: Option<CiReason>,
}

/// Why the interval of a [`Ccc`] is not an ordinary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CiReason {
    /// The standard error divides by n - 2.
    FewerThanThreeSubjects,
    /// One measurement is the same for every subject, so the correlation is undefined.
    OneMeasurementConstant,
    /// Agreement is exactly 1 or -1: the interval shrinks to the estimate.
    Perfect,
}

/// Lin's concordance correlation coefficient with its 95 % interval.
///
/// `ρc = 2 s_xy / (s_x² + s_y² + (x̄ - ȳ)²)` with 1/n variances (Lin 1989). The interval is `tanh(z ± 1.96 se_z)` with
/// `z = atanh(ρc)`, `se_z = se / (1 - ρc²)` and
///
/// `se² = [(1-ρ²)ρc²(1-ρc²)/ρ² + 2ρc³(1-ρc)u²/ρ - ρc⁴u⁴/(2ρ²)] / (n-2)`,
///
/// `u = (x̄ - ȳ)/√(s_x s_y)`, ρ Pearson's correlation. Because `ρc/ρ` is the bias correction
/// `C = 2 s_x s_y / (s_x² + s_y² + (x̄ - ȳ)²)`, it is evaluated without dividing by ρ, which may be 0.
///
/// Worked case: `y = x + 10` on 1..5 has variances 2, covariance 2 and mean difference -10, so `ρc = 4/104`.
///
/// # Errors
/// [`Error::LengthMismatch`], [`Error::TooFewSubjects`] below 2, [`Error::NotFinite`], and [`Error::NoVariation`] when
/// both lists hold one and the same value.
pub fn ccc(x: &[f64], y: &[f64]) -> Result<Ccc, Error> {
    require_pairs(x, y, 2)?;
    let moments = Moments::of(x.iter().copied().zip(y.iter().copied()));
    let estimate = moments.ccc().ok_or(Error::NoVariation { value: x[0] })?;
    let (ci95, ci_reason) = interval(&moments, estimate);
    Ok(Ccc { estimate, ci95, n: x.len(), ci_reason })
}

fn interval(moments: &Moments, estimate: f64) -> ([f64; 2], Option<CiReason>) {
    let undefined = [f64::NAN; 2];
    if moments.var_x == 0.0 || moments.var_y == 0.0 {
        return (undefined, Some(CiReason::OneMeasurementConstant));
    }
    if estimate.abs() >= 1.0 {
        return ([estimate; 2], Some(CiReason::Perfect));
    }
    if moments.n < 3.0 {
        return (undefined, Some(CiReason::FewerThanThreeSubjects));
    }
    let deviations = (moments.var_x * moments.var_y).sqrt();
    let pearson = moments.covariance / deviations;
    let bias = 2.0 * deviations / moments.spread();
    let u2 = moments.mean_difference.powi(2) / deviations;
    let square = estimate * estimate;
    let variance = ((1.0 - pearson * pearson) * bias * bias * (1.0 - square)
        + 2.0 * square * bias * (1.0 - estimate) * u2
        - square * bias * bias * u2 * u2 / 2.0)
        / (moments.n - 2.0);
    let z = estimate.atanh();
    let half_width = Z_975 * variance.max(0.0).sqrt() / (1.0 - square);
    ([(z - half_width).tanh(), (z + half_width).tanh()], None)
}

/// Two-pass moments with 1/n variances. The sums for the means start from the first pair, so that each mean is rounded
/// once and an offset of 1e8 leaves ten digits.
pub(crate) struct Moments {
    n: f64,
    mean_difference: f64,
    var_x: f64,
    var_y: f64,
    covariance: f64,
}

impl Moments {
    pub(crate) fn of(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let (x0, y0) = pairs.clone().next().unwrap_or_default();
        let (mut n, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
        for (x, y) in pairs.clone() {
            n += 1.0;
            sum_x += x - x0;
            sum_y += y - y0;
        }
        let (mean_x, mean_y) = (x0 + sum_x / n, y0 + sum_y / n);
        let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
        for (x, y) in pairs {
            let (dx, dy) = (x - mean_x, y - mean_y);
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
        Self { n, mean_difference: mean_x - mean_y, var_x: xx / n, var_y: yy / n, covariance: xy / n }
    }

    fn spread(&self) -> f64 {
        self.var_x + self.var_y + self.mean_difference.powi(2)
    }

    /// `None` when neither measurement varies and their means agree.
    pub(crate) fn ccc(&self) -> Option<f64> {
        let spread = self.spread();
        (spread > 0.0).then(|| 2.0 * self.covariance / spread)
    }
}

/// Requires two finite lists of one length, at least `needed` long.
pub(crate) fn require_pairs(x: &[f64], y: &[f64], needed: usize) -> Result<(), Error> {
    if x.len() != y.len() {
        return Err(Error::LengthMismatch { x: x.len(), y: y.len() });
    }
    if x.len() < needed {
        return Err(Error::TooFewSubjects { needed, found: x.len() });
    }
    for list in [x, y] {
        if let Some(index) = list.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite { index, value: list[index] });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_of_ten_leaves_four_in_a_hundred_and_four() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        let found = ccc(&x, &x.map(|v| v + 10.0)).unwrap();
        assert!((found.estimate - 4.0 / 104.0).abs() < 1e-15);
        assert_eq!(found.ci_reason, None);
    }

    #[test]
    fn degenerate_lists_are_named() {
        let rising = [1.0, 2.0, 3.0, 4.0];
        let perfect = ccc(&rising, &rising).unwrap();
        assert_eq!((perfect.estimate, perfect.ci95, perfect.ci_reason), (1.0, [1.0, 1.0], Some(CiReason::Perfect)));
        let constant = ccc(&rising, &[2.0; 4]).unwrap();
        assert_eq!((constant.estimate, constant.ci_reason), (0.0, Some(CiReason::OneMeasurementConstant)));
        assert!(constant.ci95[0].is_nan() && constant.ci95[1].is_nan());
        let two = ccc(&[1.0, 2.0], &[1.0, 2.5]).unwrap();
        assert_eq!(two.ci_reason, Some(CiReason::FewerThanThreeSubjects));
        assert_eq!(ccc(&[2.0; 3], &[2.0; 3]), Err(Error::NoVariation { value: 2.0 }));
        assert_eq!(ccc(&[2.0; 3], &[2.0; 2]), Err(Error::LengthMismatch { x: 3, y: 2 }));
        assert_eq!(ccc(&[2.0], &[2.0]), Err(Error::TooFewSubjects { needed: 2, found: 1 }));
        assert!(matches!(ccc(&[2.0, f64::INFINITY], &[2.0, 1.0]), Err(Error::NotFinite { index: 1, .. })));
    }

    #[test]
    fn uncorrelated_measurements_have_a_finite_interval() {
        let found = ccc(&[-1.0, 0.0, 1.0, 0.0], &[0.0, 1.0, 0.0, -1.0]).unwrap();
        assert_eq!(found.estimate, 0.0);
        assert!(found.ci95[0] < -0.5 && found.ci95[1] > 0.5);
    }
}
