use std::f64::consts::SQRT_2;
use std::ops::Range;

use super::Sampler;

/// A Gaussian as wide as SimpleITK makes it, in voxels of each axis.
#[derive(Clone, Copy)]
struct Kernel {
    /// Standard deviation, in voxels.
    sigma: f64,
    /// Standard deviations up to which voxels count.
    cutoff: f64,
}

/// Of `sitkGaussian`.
const SMOOTH: Kernel = Kernel { sigma: 0.8, cutoff: 4.0 };

/// Of `sitkLabelGaussian`.
const LABEL: Kernel = Kernel { sigma: 1.0, cutoff: 1.0 };

/// Voxels on either side of a position that its value may depend on.
pub(super) const REACH: i64 = 4;

/// The mean of the voxels around `index` inside the image, each weighted by the share of a Gaussian that falls on it.
/// P. A. Yushkevich's interpolator in ITK, with SimpleITK's width.
pub(super) fn mean(sampler: &Sampler, index: [f64; 3]) -> f64 {
    let (mut weighted, mut total) = (0.0, 0.0);
    for_each_voxel(sampler, index, SMOOTH, |value, weight| {
        weighted += value * weight;
        total += weight;
    });
    weighted / total
}

/// The value that holds the largest share of a Gaussian around `index`; the first to reach it among equals.
/// N. J. Tustison's label interpolator in ITK, with SimpleITK's width.
pub(super) fn most_frequent(sampler: &Sampler, index: [f64; 3]) -> f64 {
    let mut shares: Vec<(f64, f64)> = Vec::with_capacity(27);
    let (mut largest, mut found) = (0.0, 0.0);
    for_each_voxel(sampler, index, LABEL, |value, weight| {
        let position = shares.iter().position(|(known, _)| *known == value).unwrap_or(shares.len());
        if position == shares.len() {
            shares.push((value, 0.0));
        }
        shares[position].1 += weight;
        if shares[position].1 > largest {
            (largest, found) = (shares[position].1, value);
        }
    });
    found
}

/// Calls `visit` with the value and the weight of every voxel within the cutoff, x fastest.
fn for_each_voxel(sampler: &Sampler, index: [f64; 3], kernel: Kernel, mut visit: impl FnMut(f64, f64)) {
    let axes: [(Range<usize>, Vec<f64>); 3] =
        std::array::from_fn(|a| axis_weights(index[a], sampler.image_size[a], sampler.spacing_mm[a], kernel));
    let [(xs, along_x), (ys, along_y), (zs, along_z)] = &axes;
    for (z, wz) in zs.clone().zip(along_z) {
        for (y, wy) in ys.clone().zip(along_y) {
            let row = (sampler.clamped(2, z as i64) * sampler.size[1] + sampler.clamped(1, y as i64)) * sampler.size[0];
            for (x, wx) in xs.clone().zip(along_x) {
                visit(sampler.values[row + sampler.clamped(0, x as i64)], wx * wy * wz);
            }
        }
    }
}

/// The voxels of a line of `size` within the cutoff of `position` and twice the share of the Gaussian on each.
///
/// Widths go through mm and back as in ITK, so that a cutoff that should fall on a voxel's border falls on ITK's side.
fn axis_weights(position: f64, size: usize, spacing_mm: f64, kernel: Kernel) -> (Range<usize>, Vec<f64>) {
    let sigma_mm = kernel.sigma * spacing_mm;
    let per_voxel = 1.0 / (SQRT_2 * sigma_mm / spacing_mm);
    let cutoff = sigma_mm * kernel.cutoff / spacing_mm;
    let first = ((position + 0.5 - cutoff).floor().max(0.0)) as usize;
    let end = (((position + 0.5 + cutoff).ceil()) as usize).min(size);
    let mut border = (-0.5 - position + first as f64) * per_voxel;
    let mut below = error_function(border);
    let weights = (first..end).map(|_| {
        border += per_voxel;
        let above = error_function(border);
        let share = above - below;
        below = above;
        share
    });
    (first..end, weights.collect())
}

/// erf as ITK computes it, good to 3e-7: weights follow its error, whole numbers that are truncated its last bit.
///
/// `erf(x) = ± P(1/2, x²)` with the regularised incomplete gamma function P by its series below 3/2 and by the continued
/// fraction of 1 - P above (Abramowitz and Stegun 6.5.29, 6.5.31; Lentz's method), either ended at the same tolerance.
fn error_function(x: f64) -> f64 {
    let square = x * x;
    let magnitude = if square < 1.5 { lower_gamma(square) } else { 1.0 - upper_gamma(square) };
    if x < 0.0 { -magnitude } else { magnitude }
}

/// Relative size of the last term or factor that counts.
const TOLERANCE: f64 = 3.0e-7;
const MOST_TERMS: u32 = 100;

/// `exp(-x) √x / Γ(1/2)`, with ITK's approximation of ln Γ(1/2), two bits from ln √π.
fn common_factor(x: f64) -> f64 {
    const LOG_GAMMA_HALF: f64 = 0.572_364_942_924_847;
    (-x + 0.5 * x.ln() - LOG_GAMMA_HALF).exp()
}

/// P(1/2, x).
fn lower_gamma(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let (mut denominator, mut term, mut sum) = (0.5, 2.0, 2.0);
    for _ in 0..MOST_TERMS {
        denominator += 1.0;
        term *= x / denominator;
        sum += term;
        if term.abs() < sum * TOLERANCE {
            break;
        }
    }
    sum * common_factor(x)
}

/// 1 - P(1/2, x).
fn upper_gamma(x: f64) -> f64 {
    let mut b = x + 0.5;
    let mut c = 1.0 / 1.0e-30;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for i in 1..=MOST_TERMS {
        let a = f64::from(i) * (0.5 - f64::from(i));
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        let factor = d * c;
        fraction *= factor;
        if (factor - 1.0).abs() < TOLERANCE {
            break;
        }
    }
    common_factor(x) * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz and Stegun, table 7.1.
    #[test]
    fn error_function_of_the_table() {
        for (x, expected) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (1.5, 0.966_105_146_5),
            (2.5, 0.999_593_048_0),
        ] {
            assert!((error_function(x) - expected).abs() < 4e-7, "{x}: {}", error_function(x));
            assert_eq!(error_function(-x), -error_function(x));
        }
    }

    /// Around the middle of a long line the cutoff of 3.2 voxels holds seven voxels, less their tails at both ends.
    #[test]
    fn the_weights_are_the_gaussian_on_each_voxel() {
        let (voxels, weights) = axis_weights(10.0, 21, 2.5, SMOOTH);
        assert_eq!(voxels, 7..14);
        assert!((weights[3] - 2.0 * 0.468_028_8).abs() < 1e-6, "{weights:?}");
        assert!((weights.iter().sum::<f64>() - 2.0).abs() < 3e-5, "{weights:?}");
        assert_eq!(axis_weights(0.2, 21, 1.0, LABEL).0, 0..2);
    }
}
