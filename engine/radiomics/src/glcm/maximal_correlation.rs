use nalgebra::DMatrix;

use crate::first_order::EPSILON;

/// Steps of the QR iteration before it is given up.
const MOST_STEPS: usize = 10_000;

/// Maximal correlation coefficient: the root of the second largest eigenvalue of
/// `Q(i,j) = Σ_k p(i,k) p(j,k) / (px(i) py(k) + ε)`; 1 for a single level.
///
/// The guard ε makes Q unsymmetric, and px·py may be as small as 1e-14, so the symmetric matrix without it is off by up
/// to 4e-8 and cannot replace it. NaN when the eigenvalue is negative by rounding or the iteration does not converge.
pub(super) fn maximal_correlation(p: &[f64], px: &[f64], py: &[f64]) -> f64 {
    let side = px.len();
    if side < 2 {
        return 1.0;
    }
    let weighted = DMatrix::from_fn(side, side, |i, k| p[i * side + k] / (px[i] * py[k] + EPSILON));
    let joint = DMatrix::from_row_slice(side, side, p);
    let q = weighted * joint.transpose();
    let Some(schur) = q.try_schur(EPSILON, MOST_STEPS) else {
        return f64::NAN;
    };
    let mut eigenvalues: Vec<f64> = schur.complex_eigenvalues().iter().map(|value| value.re).collect();
    eigenvalues.sort_by(f64::total_cmp);
    eigenvalues[side - 2].sqrt()
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
}
