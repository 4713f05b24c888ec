use nalgebra::{DMatrix, DVector, SymmetricEigen};

use crate::first_order::EPSILON;

/// Eigenvalues closer than this to the second largest are corrected together.
const CLUSTER: f64 = 1e-4;

/// Steps of the QR iteration before it is given up.
const MOST_STEPS: usize = 100_000;

/// Maximal correlation coefficient: the root of the second largest eigenvalue of
/// `Q(i,j) = Σ_k p(i,k) p(j,k) / (px(i) py(k) + ε)`; 1 for a single level.
///
/// Without ε, Q is similar to the symmetric `S = A Aᵀ`, `A(i,k) = p(i,k) / √(px(i) py(k))`, whose eigenvalues are exact to
/// rounding. As px·py may be as small as 1e-14, ε moves them by up to 4e-8: so the eigenvectors of S near the second
/// largest eigenvalue are put into Q, which is exact to the square of that. NaN when the iteration does not converge.
pub(super) fn maximal_correlation(p: &[f64], px: &[f64], py: &[f64]) -> f64 {
    let side = px.len();
    if side < 2 {
        return 1.0;
    }
    // A level without a neighbour in this direction adds a row and a column of zeros.
    let rows: Vec<usize> = (0..side).filter(|&i| px[i] > 0.0).collect();
    let columns: Vec<usize> = (0..side).filter(|&k| py[k] > 0.0).collect();
    if rows.len() < 2 {
        return 0.0;
    }
    let a = DMatrix::from_fn(rows.len(), columns.len(), |i, k| {
        let (i, k) = (rows[i], columns[k]);
        p[i * side + k] / (px[i] * py[k]).sqrt()
    });
    let Some(eigen) = SymmetricEigen::try_new(&a * a.transpose(), EPSILON, MOST_STEPS) else {
        return f64::NAN;
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]));
    let second = eigen.eigenvalues[order[1]];
    let above = order.iter().filter(|&&i| eigen.eigenvalues[i] >= second + CLUSTER).count();
    let cluster: Vec<usize> = order.into_iter().filter(|&i| (eigen.eigenvalues[i] - second).abs() < CLUSTER).collect();
    let images: Vec<DVector<f64>> = cluster
        .iter()
        .map(|&i| {
            let vector = eigen.eigenvectors.column(i);
            let scaled: Vec<f64> = rows.iter().zip(&vector).map(|(&i, v)| v / px[i].sqrt()).collect();
            let inner: Vec<f64> =
                columns.iter().map(|&k| rows.iter().zip(&scaled).map(|(&j, s)| p[j * side + k] * s).sum()).collect();
            DVector::from_iterator(
                rows.len(),
                rows.iter().map(|&i| {
                    let terms =
                        columns.iter().zip(&inner).map(|(&k, t)| p[i * side + k] * t / (px[i] * py[k] + EPSILON));
                    px[i].sqrt() * terms.sum::<f64>()
                }),
            )
        })
        .collect();
    let element = |i: usize, j: usize| eigen.eigenvectors.column(cluster[i]).dot(&images[j]);
    let restricted = DMatrix::from_fn(cluster.len(), cluster.len(), |i, j| (element(i, j) + element(j, i)) / 2.0);
    let mut corrected: Vec<f64> = restricted.symmetric_eigenvalues().iter().copied().collect();
    corrected.sort_by(|a, b| b.total_cmp(a));
    corrected.get(1 - above.min(1)).map_or(f64::NAN, |value| value.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For two levels Q has the eigenvalues 1 and the square of the correlation: p = 3/8 1/8 / 1/8 3/8 has correlation
    /// (3/8 - 1/8)/(1/2) = 1/2.
    #[test]
    fn two_levels_give_their_correlation() {
        let found = maximal_correlation(&[0.375, 0.125, 0.125, 0.375], &[0.5, 0.5], &[0.5, 0.5]);
        assert!((found - 0.5).abs() < 1e-12, "{found}");
    }

    #[test]
    fn levels_that_never_meet_are_perfectly_correlated() {
        let found = maximal_correlation(&[0.5, 0.0, 0.0, 0.5], &[0.5, 0.5], &[0.5, 0.5]);
        assert!((found - 1.0).abs() < 1e-12, "{found}");
    }

    #[test]
    fn a_level_without_partners_counts_as_zero() {
        assert_eq!(maximal_correlation(&[1.0, 0.0, 0.0, 0.0], &[1.0, 0.0], &[1.0, 0.0]), 0.0);
    }
}
