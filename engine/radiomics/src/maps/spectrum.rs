/// Steps of the QR iteration for one eigenvalue before it is given up.
const MOST_STEPS: usize = 60;

/// The largest magnitude of the eigenvalues of a symmetric matrix of `side` rows, which it overwrites; NaN when the
/// iteration does not converge.
///
/// Householder's reduction to a tridiagonal matrix, then the implicit QL iteration without eigenvectors (Wilkinson and
/// Reinsch, Handbook for Automatic Computation II, 1971). For the few rows of a kernel this is several times faster than
/// a general solver, which also finds eigenvectors.
pub(super) fn spectral_radius(matrix: &mut [f64], side: usize, off: &mut Vec<f64>) -> f64 {
    off.clear();
    off.resize(side, 0.0);
    tridiagonalise(matrix, side, off);
    let mut largest = 0.0f64;
    for first in 0..side {
        let Some(value) = eigenvalue(matrix, side, off, first) else {
            return f64::NAN;
        };
        largest = largest.max(value.abs());
    }
    largest
}

/// Leaves the diagonal in the matrix and the elements beside it in `off[0..side - 1]`.
fn tridiagonalise(a: &mut [f64], side: usize, off: &mut [f64]) {
    for k in 0..side.saturating_sub(1) {
        let norm = (k + 1..side).map(|i| a[i * side + k].powi(2)).sum::<f64>().sqrt();
        let below = a[(k + 1) * side + k];
        if norm == 0.0 || k + 2 == side {
            off[k] = below;
            continue;
        }
        let alpha = if below > 0.0 { -norm } else { norm };
        off[k] = alpha;
        // v = column + its norm along the first axis, scaled so that H = 1 - v vᵀ.
        let scale = (norm * (norm + below.abs())).sqrt();
        a[(k + 1) * side + k] = below - alpha;
        for i in k + 1..side {
            a[i * side + k] /= scale;
        }
        // w = A v - (vᵀ A v / 2) v, kept in row k, which is not needed any more.
        let mut half = 0.0;
        for i in k + 1..side {
            let product: f64 = (k + 1..side).map(|j| a[i.max(j) * side + i.min(j)] * a[j * side + k]).sum();
            a[k * side + i] = product;
            half += product * a[i * side + k] / 2.0;
        }
        for i in k + 1..side {
            a[k * side + i] -= half * a[i * side + k];
        }
        for i in k + 1..side {
            for j in k + 1..=i {
                a[i * side + j] -= a[i * side + k] * a[k * side + j] + a[k * side + i] * a[j * side + k];
            }
        }
    }
}

/// Deflates one eigenvalue at position `first` of the tridiagonal matrix.
fn eigenvalue(a: &mut [f64], side: usize, off: &mut [f64], first: usize) -> Option<f64> {
    for _ in 0..MOST_STEPS {
        let diagonal = |a: &[f64], i: usize| a[i * side + i];
        let is_split = |i: &usize| {
            let scale = diagonal(a, *i).abs() + diagonal(a, i + 1).abs();
            off[*i].abs() <= f64::EPSILON * scale || off[*i].abs() < 1e-30
        };
        let last = (first..side - 1).find(is_split).unwrap_or(side - 1);
        if last == first {
            return Some(diagonal(a, first));
        }
        let slope = (diagonal(a, first + 1) - diagonal(a, first)) / (2.0 * off[first]);
        let length = slope.hypot(1.0);
        let mut g = diagonal(a, last) - diagonal(a, first) + off[first] / (slope + length.copysign(slope));
        let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
        let mut vanished = false;
        for i in (first..last).rev() {
            let f = sine * off[i];
            let b = cosine * off[i];
            let r = (f * f + g * g).sqrt();
            off[i + 1] = r;
            if r == 0.0 {
                a[(i + 1) * side + i + 1] -= p;
                off[last] = 0.0;
                vanished = true;
                break;
            }
            sine = f / r;
            cosine = g / r;
            g = diagonal(a, i + 1) - p;
            let t = (diagonal(a, i) - g) * sine + 2.0 * cosine * b;
            p = sine * t;
            a[(i + 1) * side + i + 1] = g + p;
            g = cosine * t - b;
        }
        if !vanished {
            a[first * side + first] -= p;
            off[first] = g;
            off[last] = 0.0;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;

    fn radius(matrix: &DMatrix<f64>) -> f64 {
        spectral_radius(&mut matrix.as_slice().to_vec(), matrix.nrows(), &mut Vec::new())
    }

    #[test]
    fn small_matrices_by_hand() {
        let rows: [(usize, &[f64], f64); 5] = [
            (1, &[-3.0], 3.0),
            (2, &[2.0, 1.0, 1.0, 2.0], 3.0),
            (2, &[0.0, -5.0, -5.0, 0.0], 5.0),
            (3, &[2.0, 0.0, 0.0, 0.0, 3.0, 4.0, 0.0, 4.0, 9.0], 11.0),
            (3, &[0.0; 9], 0.0),
        ];
        for (side, elements, expected) in rows {
            let found = radius(&DMatrix::from_row_slice(side, side, elements));
            assert!((found - expected).abs() < 1e-14 * expected.max(1.0), "{found} {expected}");
        }
    }

    #[test]
    fn larger_ones_as_a_general_solver_finds_them() {
        for side in 2..40usize {
            let element = |i: usize, j: usize| ((i * 37 + j * 37 + i * j * 11) % 23) as f64 / 23.0 - 0.4;
            let matrix = DMatrix::from_fn(side, side, element);
            let expected =
                matrix.symmetric_eigenvalues().iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            assert!((radius(&matrix) - expected).abs() < 1e-12 * expected, "{side}");
        }
    }
}
