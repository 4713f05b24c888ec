use statrs::distribution::FisherSnedecor;

use crate::Error;
use crate::quantile::polished;

/// Intraclass correlation coefficients of a table of n subjects by k raters (Shrout and Fleiss 1979).
///
/// `single_*` is the reliability of one rating, `average_*` that of the mean of k. One way: raters are not the same
/// people for every subject, ICC(1,1); agreement: the same random raters, absolute agreement, ICC(2,1) = ICC(A,1);
/// consistency: the same raters up to an offset each, ICC(3,1) = ICC(C,1).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Icc {
    /// ICC(1,1).
    pub single_one_way: f64,
    /// 95 % interval of [`single_one_way`](Self::single_one_way).
    pub single_one_way_ci95: [f64; 2],
    /// ICC(2,1), absolute agreement.
    pub single_agreement: f64,
    /// 95 % interval of [`single_agreement`](Self::single_agreement) (McGraw and Wong 1996).
    pub single_agreement_ci95: [f64; 2],
    /// ICC(3,1), consistency.
    pub single_consistency: f64,
    /// 95 % interval of [`single_consistency`](Self::single_consistency).
    pub single_consistency_ci95: [f64; 2],
    /// ICC(1,k).
    pub average_one_way: f64,
    /// ICC(2,k).
    pub average_agreement: f64,
    /// ICC(3,k).
    pub average_consistency: f64,
    /// Number of subjects.
    pub n: usize,
    /// Number of raters.
    pub k: usize,
}

/// Intraclass correlation of `ratings[subject][rater]`.
///
/// With the mean squares of rows R, columns C, residual E and within rows W:
/// `ICC(1,1) = (R-W)/(R+(k-1)W)`, `ICC(2,1) = (R-E)/(R+(k-1)E+k(C-E)/n)`, `ICC(3,1) = (R-E)/(R+(k-1)E)`, and
/// the k-forms `(R-W)/R`, `(R-E)/(R+(C-E)/n)`, `(R-E)/R`.
///
/// # Errors
/// [`Error::TooFewSubjects`] below 2 subjects or 2 raters, [`Error::LengthMismatch`] for a ragged table,
/// [`Error::NotFinite`], [`Error::NoVariation`] when every rating is the same.
pub fn icc(ratings: &[Vec<f64>]) -> Result<Icc, Error> {
    let (n, k) = require_table(ratings)?;
    let MeanSquares { rows, columns, residual, within } = MeanSquares::of(ratings, n, k);
    if rows == 0.0 && within == 0.0 {
        return Err(Error::NoVariation { value: ratings[0][0] });
    }
    let (nf, kf) = (n as f64, k as f64);
    let agreement = (rows - residual) / (rows + (kf - 1.0) * residual + kf * (columns - residual) / nf);
    Ok(Icc {
        single_one_way: (rows - within) / (rows + (kf - 1.0) * within),
        single_one_way_ci95: ratio_interval(rows / within, nf - 1.0, nf * (kf - 1.0), kf),
        single_agreement: agreement,
        single_agreement_ci95: agreement_interval(agreement, rows, columns, residual, nf, kf),
        single_consistency: (rows - residual) / (rows + (kf - 1.0) * residual),
        single_consistency_ci95: ratio_interval(rows / residual, nf - 1.0, (nf - 1.0) * (kf - 1.0), kf),
        average_one_way: (rows - within) / rows,
        average_agreement: (rows - residual) / (rows + (columns - residual) / nf),
        average_consistency: (rows - residual) / rows,
        n,
        k,
    })
}

struct MeanSquares {
    rows: f64,
    columns: f64,
    residual: f64,
    within: f64,
}

impl MeanSquares {
    fn of(ratings: &[Vec<f64>], n: usize, k: usize) -> Self {
        let (nf, kf) = (n as f64, k as f64);
        let grand = ratings.iter().flatten().sum::<f64>() / (nf * kf);
        let row_means: Vec<f64> = ratings.iter().map(|row| row.iter().sum::<f64>() / kf).collect();
        let column_means: Vec<f64> =
            (0..k).map(|rater| ratings.iter().map(|row| row[rater]).sum::<f64>() / nf).collect();
        let square = |x: f64| x * x;
        let between_rows = kf * row_means.iter().map(|m| square(m - grand)).sum::<f64>();
        let between_columns = nf * column_means.iter().map(|m| square(m - grand)).sum::<f64>();
        let (mut within, mut residual) = (0.0, 0.0);
        for (row, row_mean) in ratings.iter().zip(&row_means) {
            for (value, column_mean) in row.iter().zip(&column_means) {
                within += square(value - row_mean);
                residual += square(value - row_mean - column_mean + grand);
            }
        }
        Self {
            rows: between_rows / (nf - 1.0),
            columns: between_columns / (kf - 1.0),
            residual: residual / ((nf - 1.0) * (kf - 1.0)),
            within: within / (nf * (kf - 1.0)),
        }
    }
}

fn agreement_interval(icc: f64, rows: f64, columns: f64, residual: f64, n: f64, k: f64) -> [f64; 2] {
    if icc >= 1.0 {
        return [1.0; 2];
    }
    let a = k * icc / (n * (1.0 - icc));
    let b = 1.0 + k * icc * (n - 1.0) / (n * (1.0 - icc));
    let freedom = (a * columns + b * residual).powi(2)
        / ((a * columns).powi(2) / (k - 1.0) + (b * residual).powi(2) / ((n - 1.0) * (k - 1.0)));
    let (low, high) = (fisher_975(n - 1.0, freedom), fisher_975(freedom, n - 1.0));
    let error = k * columns + (k * n - k - n) * residual;
    [n * (rows - low * residual) / (low * error + n * rows), n * (high * rows - residual) / (error + n * high * rows)]
}

/// Interval of `(F - 1) / (F + k - 1)` for a ratio F of mean squares with these degrees of freedom.
fn ratio_interval(ratio: f64, freedom: f64, residual_freedom: f64, k: f64) -> [f64; 2] {
    if !ratio.is_finite() {
        return [1.0; 2];
    }
    let low = ratio / fisher_975(freedom, residual_freedom);
    let high = ratio * fisher_975(residual_freedom, freedom);
    [low, high].map(|f| (f - 1.0) / (f + k - 1.0))
}

/// 97.5th percentile of Fisher's F; NaN when a degree of freedom is not positive.
fn fisher_975(numerator: f64, denominator: f64) -> f64 {
    FisherSnedecor::new(numerator, denominator).map_or(f64::NAN, |f| polished(&f, 0.975))
}

/// Number of subjects and of ratings of each, at least two of both.
pub(crate) fn require_table(ratings: &[Vec<f64>]) -> Result<(usize, usize), Error> {
    let n = ratings.len();
    let k = ratings.first().map_or(0, Vec::len);
    if n < 2 || k < 2 {
        return Err(Error::TooFewSubjects { needed: 2, found: n.min(k) });
    }
    if let Some(odd) = ratings.iter().find(|row| row.len() != k) {
        return Err(Error::LengthMismatch { x: k, y: odd.len() });
    }
    if let Some((index, &value)) = ratings.iter().flatten().enumerate().find(|(_, v)| !v.is_finite()) {
        return Err(Error::NotFinite { index, value });
    }
    Ok((n, k))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shrout and Fleiss 1979, table 2: .17 .29 .71 .44 .62 .91.
    #[test]
    fn shrout_and_fleiss_1979() {
        let ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]];
        let table: Vec<Vec<f64>> = ratings.iter().map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect();
        let found = icc(&table).unwrap();
        let rows = [
            (found.single_one_way, 0.17),
            (found.single_agreement, 0.29),
            (found.single_consistency, 0.71),
            (found.average_one_way, 0.44),
            (found.average_agreement, 0.62),
            (found.average_consistency, 0.91),
        ];
        for (value, expected) in rows {
            assert!((value - expected).abs() < 0.005, "{value} {expected}");
        }
    }

    #[test]
    fn tables_without_variation_or_shape_are_refused() {
        assert_eq!(icc(&[vec![3.0, 3.0], vec![3.0, 3.0]]), Err(Error::NoVariation { value: 3.0 }));
        assert_eq!(icc(&[vec![3.0, 3.0], vec![3.0]]), Err(Error::LengthMismatch { x: 2, y: 1 }));
        assert_eq!(icc(&[vec![3.0], vec![3.0]]), Err(Error::TooFewSubjects { needed: 2, found: 1 }));
    }
}
