/// The pole of the cubic B-spline's inverse filter, √3 - 2.
const POLE: f32 = -0.267_949_2;

/// Terms of the pole's powers that count in f64: |pole|^30 < 1e-17.
const HORIZON: usize = 30;

/// Turns samples into cubic B-spline coefficients, in place, along columns: `data` is rows of `width` values, and each
/// column is one signal, mirrored about its first and last sample.
///
/// The inverse of the sampled B-spline `(1 4 1) / 6` is a causal and an anticausal recursion with pole `z = √3 - 2`:
/// ```text
/// c⁺[k] = 6 s[k] + z c⁺[k-1]              c⁺[0] = Σ_k z^k 6 s[k] over the mirrored signal
/// c[k]  = z (c[k+1] - c⁺[k])              c[n-1] = z / (z² - 1) (c⁺[n-1] + z c⁺[n-2])
/// ```
/// M. Unser, A. Aldroubi, M. Eden, B-spline signal processing, part II, IEEE Trans. SP 41 (1993) 834-848. Worked case:
/// the samples 0 1 0 have the coefficients -1 2 -1.
pub(super) fn prefilter(data: &mut [f32], width: usize) {
    let rows = data.len() / width;
    if rows < 2 {
        return;
    }
    data.iter_mut().for_each(|v| *v *= 6.0);
    let start = causal_start(data, width, rows);
    data[..width].copy_from_slice(&start);
    for k in 1..rows {
        let (before, here) = data[(k - 1) * width..(k + 1) * width].split_at_mut(width);
        here.iter_mut().zip(before).for_each(|(c, previous)| *c += POLE * *previous);
    }
    let (before, last) = data[(rows - 2) * width..rows * width].split_at_mut(width);
    let gain = POLE / (POLE * POLE - 1.0);
    last.iter_mut().zip(before).for_each(|(c, previous)| *c = gain * (*c + POLE * *previous));
    for k in (0..rows - 1).rev() {
        let (here, after) = data[k * width..(k + 2) * width].split_at_mut(width);
        here.iter_mut().zip(after).for_each(|(c, next)| *c = POLE * (*next - *c));
    }
}

/// One side of the inverse filter itself, `h[k] = √3 z^|k|`, up to 1e-8 of its top.
pub(super) fn inverse() -> Vec<f64> {
    let z = 3f64.sqrt() - 2.0;
    (0..15).map(|k| 3f64.sqrt() * z.powi(k)).collect()
}

/// `c⁺[0]` of every column: the mirrored signal has period 2n - 2.
fn causal_start(data: &[f32], width: usize, rows: usize) -> Vec<f32> {
    let z = 3f64.sqrt() - 2.0;
    let period = 2 * rows - 2;
    let weight = |k: usize| {
        let again = if k == 0 || k == rows - 1 { 0.0 } else { z.powi((period - k) as i32) };
        ((z.powi(k as i32) + again) / (1.0 - z.powi(period as i32))) as f32
    };
    let mut start = vec![0.0; width];
    for k in 0..rows.min(HORIZON) {
        let w = if rows > HORIZON { z.powi(k as i32) as f32 } else { weight(k) };
        start.iter_mut().zip(&data[k * width..]).for_each(|(sum, v)| *sum += w * v);
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_give_back_the_samples() {
        for n in [1usize, 2, 3, 5, 29, 30, 31, 80] {
            let samples: Vec<f32> = (0..2 * n).map(|i| ((i * 37 + 11) % 97) as f32).collect();
            let mut c = samples.clone();
            prefilter(&mut c, 2);
            let at = |k: i64, column: usize| c[super::super::taps::mirrored(k, n) * 2 + column];
            for k in 0..n as i64 {
                for column in 0..2 {
                    let back = if n == 1 {
                        at(0, column)
                    } else {
                        (at(k - 1, column) + 4.0 * at(k, column) + at(k + 1, column)) / 6.0
                    };
                    assert!((back - samples[k as usize * 2 + column]).abs() < 1e-4, "n {n} k {k}");
                }
            }
        }
    }

    #[test]
    fn coefficients_of_0_1_0() {
        // By symmetry c = [a, b, a] with (4a + 2b) / 6 = 0 and (2a + 4b) / 6 = 1: b = 2, a = -1.
        let mut c = [0.0, 1.0, 0.0];
        prefilter(&mut c, 1);
        for (found, expected) in c.into_iter().zip([-1.0, 2.0, -1.0]) {
            assert!((found - expected).abs() < 1e-6f32, "{c:?}");
        }
    }
}
