use crate::first_order::EPSILON;

/// Steps of the iteration before it is given up.
const MOST_STEPS: usize = 1000;

/// Residual, as a share of the eigenvalue, at which the iteration has converged.
const RESIDUAL: f64 = 1e-10;

/// Largest part of the matrix that rounding accounts for.
const ROUNDING: f64 = 1e-15;

/// Elements of a vector that are added side by side.
const BLOCK: usize = 4;

/// Maximal correlation coefficient: the root of the second largest eigenvalue of
/// `Q(i,j) = Σ_k p(i,k) p(j,k) / (px(i) py(k) + ε)`; 1 for a single level.
///
/// Without ε, Q is similar to `A Aᵀ`, `A(i,k) = p(i,k) / √(px(i) py(k))`, whose largest eigenvalue is 1 with eigenvector
/// `√px`. As px·py may be as small as 1e-14, ε moves the eigenvalues by up to 4e-8; it enters by
/// `C(i,k) = A(i,k) ε / (px(i) py(k) + ε)` as `A Aᵀ - (C Aᵀ + A Cᵀ)/2`. The largest eigenvalue of what is orthogonal to
/// `√px` comes from a Lanczos iteration. NaN when it does not converge.
pub(crate) fn maximal_correlation(p: &[f64], px: &[f64], py: &[f64]) -> f64 {
    let side = px.len();
    if side < 2 {
        return 1.0;
    }
    // A level without a neighbour in this direction adds a row and a column of zeros.
    let rows: Vec<usize> = (0..side).filter(|&i| px[i] > 0.0).collect();
    if rows.len() < 2 {
        return 0.0;
    }
    let columns: Vec<usize> = (0..side).filter(|&k| py[k] > 0.0).collect();
    let matrix = Matrix::of(p, px, py, &rows, &columns);
    let trivial: Vec<f64> = rows.iter().map(|&i| px[i].sqrt()).collect();
    let Some((eigenvalue, eigenvector)) = largest_orthogonal(&matrix, &trivial) else {
        return f64::NAN;
    };
    // With ε, √px is no eigenvector any more: the two together are one to the square of that.
    let image = matrix.times(&trivial);
    let norm = dot(&trivial, &trivial);
    let (own, mixed) = (dot(&image, &trivial) / norm, dot(&image, &eigenvector) / norm.sqrt());
    let half_gap = (own - eigenvalue) / 2.0;
    let second = (own + eigenvalue) / 2.0 - half_gap.hypot(mixed);
    second.max(0.0).sqrt()
}

/// The symmetric matrix whose second eigenvalue is sought.
struct Matrix {
    rows: usize,
    columns: usize,
    /// A, row by row, with zeros behind each up to a whole number of blocks.
    a: Vec<f64>,
    /// A, column by column, likewise.
    transposed: Vec<f64>,
    /// Elements of C that count: row, column, value.
    correction: Vec<(usize, usize, f64)>,
}

impl Matrix {
    fn of(p: &[f64], px: &[f64], py: &[f64], rows: &[usize], columns: &[usize]) -> Self {
        let side = px.len();
        let inverse_root: Vec<f64> = columns.iter().map(|&k| 1.0 / py[k].sqrt()).collect();
        let [height, width] = [rows.len(), columns.len()].map(|n| n.next_multiple_of(BLOCK));
        let mut a = vec![0.0; rows.len() * width];
        let mut transposed = vec![0.0; columns.len() * height];
        let mut correction = Vec::new();
        for (i, &row) in rows.iter().enumerate() {
            let scale = 1.0 / px[row].sqrt();
            for (k, &column) in columns.iter().enumerate() {
                let p = p[row * side + column];
                if p == 0.0 {
                    continue;
                }
                let value = p * scale * inverse_root[k];
                let moved = value * EPSILON / (px[row] * py[column] + EPSILON);
                if moved > ROUNDING {
                    correction.push((i, k, moved));
                }
                a[i * width + k] = value;
                transposed[k * height + i] = value;
            }
        }
        Self { rows: rows.len(), columns: columns.len(), a, transposed, correction }
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        let [height, width] = [self.rows, self.columns].map(|n| n.next_multiple_of(BLOCK));
        let mut inner = vec![0.0; width];
        add_all_scaled(&mut inner, x, &self.a);
        let mut corrected = inner.clone();
        self.correction.iter().for_each(|&(i, k, c)| corrected[k] -= c * x[i] / 2.0);
        let mut product = vec![0.0; height];
        add_all_scaled(&mut product, &corrected[..self.columns], &self.transposed);
        product.truncate(self.rows);
        self.correction.iter().for_each(|&(i, k, c)| product[i] -= c * inner[k] / 2.0);
        product
    }
}

/// Largest eigenvalue of the part of `matrix` orthogonal to `trivial`, with its eigenvector of length 1.
fn largest_orthogonal(matrix: &Matrix, trivial: &[f64]) -> Option<(f64, Vec<f64>)> {
    let mut basis = vec![scaled(trivial, 1.0 / dot(trivial, trivial).sqrt())];
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let mut next = start(trivial.len());
    make_orthogonal(&mut next, &basis);
    let length = dot(&next, &next).sqrt();
    basis.push(scaled(&next, 1.0 / length));
    for step in 1..=MOST_STEPS {
        let vector = &basis[step];
        next = matrix.times(vector);
        diagonal.push(dot(&next, vector));
        make_orthogonal(&mut next, &basis);
        let length = dot(&next, &next).sqrt();
        let is_complete = length < ROUNDING || step + 1 == trivial.len();
        if is_complete || step % 4 == 0 {
            let eigenvalue = largest_tridiagonal(&diagonal, &beside);
            let weights = tridiagonal_vector(&diagonal, &beside, eigenvalue);
            if is_complete || length * weights[step - 1].abs() <= RESIDUAL * eigenvalue {
                let mut eigenvector = vec![0.0; trivial.len()];
                basis[1..].iter().zip(&weights).for_each(|(v, &w)| add_scaled(&mut eigenvector, w, v));
                return Some((eigenvalue, eigenvector));
            }
        }
        basis.push(scaled(&next, 1.0 / length));
        beside.push(length);
    }
    None
}

/// A vector that is orthogonal to no eigenvector: fractional parts of multiples of the golden ratio.
fn start(length: usize) -> Vec<f64> {
    (1..=length).map(|k| (k as f64 * 0.618_033_988_749_894_9).fract() - 0.5).collect()
}

/// Takes the part along each of `basis` from `vector`.
fn make_orthogonal(vector: &mut [f64], basis: &[Vec<f64>]) {
    for other in basis.iter().rev() {
        let along = dot(vector, other);
        add_scaled(vector, -along, other);
    }
}

/// Largest eigenvalue of a symmetric tridiagonal matrix, by halving the interval that holds it: `T - x` has a pivot that
/// is not negative as long as an eigenvalue is at or above x.
fn largest_tridiagonal(diagonal: &[f64], beside: &[f64]) -> f64 {
    let n = diagonal.len();
    let radius = |k: usize| {
        let at = |index: Option<usize>| index.and_then(|i| beside.get(i)).copied().unwrap_or(0.0);
        at(k.checked_sub(1)) + at((k + 1 < n).then_some(k))
    };
    let mut low = diagonal.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut high = (0..n).map(|k| diagonal[k] + radius(k)).fold(low, f64::max);
    let reaches = |x: f64| {
        let mut pivot = diagonal[0] - x;
        for (d, b) in diagonal[1..].iter().zip(beside) {
            if pivot >= 0.0 {
                return true;
            }
            pivot = d - x - b * b / pivot;
        }
        pivot >= 0.0
    };
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        *(if reaches(middle) { &mut low } else { &mut high }) = middle;
    }
}

/// Eigenvector of length 1 of a symmetric tridiagonal matrix for its largest eigenvalue, from the last element back: the
/// elements grow in that direction.
fn tridiagonal_vector(diagonal: &[f64], beside: &[f64], eigenvalue: f64) -> Vec<f64> {
    let n = diagonal.len();
    let mut vector = vec![1.0; n];
    for k in (1..n).rev() {
        let after = if k + 1 < n { beside[k] * vector[k + 1] } else { 0.0 };
        vector[k - 1] = ((eigenvalue - diagonal[k]) * vector[k] - after) / beside[k - 1];
        // Only the ratios count.
        if vector[k - 1].abs() > 1e100 {
            vector[k - 1..].iter_mut().for_each(|v| *v *= 1e-100);
        }
    }
    let length = dot(&vector, &vector).sqrt();
    scaled(&vector, 1.0 / length)
}

/// Four sums side by side: a single one would wait for each addition.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sums, (a4, a_rest), (b4, b_rest)) = ([0.0; 4], a.as_chunks::<4>(), b.as_chunks::<4>());
    for (a, b) in a4.iter().zip(b4) {
        (0..4).for_each(|k| sums[k] += a[k] * b[k]);
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

fn add_scaled(sum: &mut [f64], factor: f64, vector: &[f64]) {
    sum.iter_mut().zip(vector).for_each(|(sum, v)| *sum += factor * v);
}

/// Adds one of `vectors` after the other, each times its factor, four in one pass. All are as long as `sum`, a whole number
/// of blocks.
fn add_all_scaled(sum: &mut [f64], factors: &[f64], vectors: &[f64]) {
    let (fours, rest) = factors.as_chunks::<4>();
    let (together, single) = vectors.split_at(4 * sum.len() * fours.len());
    let length = sum.len();
    for (vectors, [i, j, k, l]) in together.chunks_exact(4 * length).zip(fours) {
        let [a, b, c, d] = std::array::from_fn(|n| vectors[n * length..(n + 1) * length].as_chunks::<BLOCK>().0);
        let blocks = sum.as_chunks_mut::<BLOCK>().0.iter_mut();
        for ((sum, (a, b)), (c, d)) in blocks.zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
            *sum = std::array::from_fn(|n| (((sum[n] + i * a[n]) + j * b[n]) + k * c[n]) + l * d[n]);
        }
    }
    single.chunks_exact(length).zip(rest).for_each(|(vector, &factor)| add_scaled(sum, factor, vector));
}

fn scaled(vector: &[f64], factor: f64) -> Vec<f64> {
    vector.iter().map(|v| v * factor).collect()
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;

    fn found(p: &[f64], side: usize) -> f64 {
        let px: Vec<f64> = p.chunks_exact(side).map(|row| row.iter().sum()).collect();
        let py: Vec<f64> = (0..side).map(|k| p.iter().skip(k).step_by(side).sum()).collect();
        maximal_correlation(p, &px, &py)
    }

    /// For two levels Q has the eigenvalues 1 and the square of the correlation: p = 3/8 1/8 / 1/8 3/8 has correlation
    /// (3/8 - 1/8)/(1/2) = 1/2. Levels that never meet are perfectly correlated, and so is one of three blocks. A level
    /// without partners counts as zero, and of independent levels nothing is left.
    #[test]
    fn small_matrices_by_hand() {
        let rows: [(&[f64], f64); 6] = [
            (&[0.375, 0.125, 0.125, 0.375], 0.5),
            (&[0.5, 0.0, 0.0, 0.5], 1.0),
            (&[0.5, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.25], 1.0),
            (&[1.0, 0.0, 0.0, 0.0], 0.0),
            (&[0.25; 4], 0.0),
            (&[1.0 / 9.0; 9], 0.0),
        ];
        for (p, expected) in rows {
            let found = found(p, p.len().isqrt());
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    /// Eigenvalues of Q itself by a dense solver, for neighbouring levels that mix, not all of them equally likely.
    #[test]
    fn as_many_levels_as_a_region_has() {
        for (side, width) in [(3usize, 1.0), (20, 2.0), (60, 5.0), (150, 40.0)] {
            let weight = |i: usize, k: usize| {
                let apart = (i as f64 - k as f64) / width;
                let away = (i + k) as f64 / side as f64 - 0.7;
                ((-apart * apart - 4.0 * away * away).exp() * 1e5).floor() + f64::from(u8::from(i == k))
            };
            let total: f64 = (0..side * side).map(|c| weight(c / side, c % side)).sum();
            let p: Vec<f64> = (0..side * side).map(|c| weight(c / side, c % side) / total).collect();
            let px: Vec<f64> = p.chunks_exact(side).map(|row| row.iter().sum()).collect();
            let q = DMatrix::from_fn(side, side, |i, j| {
                (0..side).map(|k| p[i * side + k] * p[j * side + k] / (px[i] * px[k] + EPSILON)).sum::<f64>()
            });
            let mut expected: Vec<f64> = q.complex_eigenvalues().iter().map(|value| value.re).collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            let found = found(&p, side);
            assert!((found / expected[1].sqrt() - 1.0).abs() < 1e-11, "{side}: {found} {}", expected[1].sqrt());
        }
    }
}
