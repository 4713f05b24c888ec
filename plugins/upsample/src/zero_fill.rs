use rustfft::{FftPlanner, num_complex::Complex64};

/// Interpolates a volume of `size` (x, y, z) voxels by `factors`, zero filling its discrete spectrum axis by axis.
///
/// `x(t) = 1/N Σ_k X_k e^(2πi k t / N)` at `t = (m + 1/2) / f - 1/2`, `k` from `-N/2` to `N/2`; for even `N` the highest
/// frequency counts half at either end.
pub(crate) fn zero_fill(values: &[f32], size: [usize; 3], factors: [usize; 3]) -> Vec<f32> {
    let mut made: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
    let mut size = size;
    for axis in 0..3 {
        if factors[axis] > 1 {
            made = along(&made, size, axis, factors[axis]);
            size[axis] *= factors[axis];
        }
    }
    made.into_iter().map(|v| v as f32).collect()
}

fn along(values: &[f64], size: [usize; 3], axis: usize, factor: usize) -> Vec<f64> {
    let count = size[axis];
    let stride: usize = size[..axis].iter().product();
    let mut planner = FftPlanner::new();
    let (forward, backward) = (planner.plan_fft_forward(count), planner.plan_fft_inverse(count * factor));
    let shift = 0.5 * (1.0 / factor as f64 - 1.0);
    let mut made = vec![0.0; values.len() * factor];
    let (mut coarse, mut fine) = (vec![Complex64::default(); count], vec![Complex64::default(); count * factor]);
    for line in 0..values.len() / count.max(1) {
        let (outer, inner) = (line / stride, line % stride);
        for (i, value) in coarse.iter_mut().enumerate() {
            *value = Complex64::new(values[(outer * count + i) * stride + inner], 0.0);
        }
        forward.process(&mut coarse);
        fine.fill(Complex64::default());
        for (k, value) in coarse.iter().enumerate() {
            let both = 2 * k == count;
            for wave in
                [(2 * k <= count).then_some(k as isize), (2 * k >= count).then_some(k as isize - count as isize)]
            {
                let Some(wave) = wave else { continue };
                let phase = std::f64::consts::TAU * wave as f64 * shift / count as f64;
                let share = if both { 0.5 } else { 1.0 } / count as f64;
                fine[wave.rem_euclid((count * factor) as isize) as usize] +=
                    value * Complex64::from_polar(share, phase);
            }
        }
        backward.process(&mut fine);
        for (m, value) in fine.iter().enumerate() {
            made[(outer * count * factor + m) * stride + inner] = value.re;
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_is_kept_along_every_axis_of_odd_and_even_extent() {
        let values: Vec<f32> = (0..60).map(|i| ((i * 13) % 17) as f32).collect();
        let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        for factors in [[2, 1, 1], [1, 3, 1], [1, 1, 4], [2, 2, 2]] {
            let made = zero_fill(&values, [3, 4, 5], factors);
            assert!((mean(&made) - mean(&values)).abs() < 1e-5, "{factors:?}");
        }
    }

    #[test]
    fn odd_factor_keeps_the_coarse_voxels_in_the_middle() {
        let values = [3.0, -1.0, 4.0, 1.0, -5.0];
        let made = zero_fill(&values, [5, 1, 1], [3, 1, 1]);
        for (i, value) in values.iter().enumerate() {
            assert!((made[3 * i + 1] - value).abs() < 1e-5, "{made:?}");
        }
    }
}
