use std::f64::consts::PI;

use super::Sampler;
use crate::settings::SincWindow;

/// Voxels on either side of a position that its value depends on.
pub(super) const RADIUS: usize = 5;

/// The sum of the voxels around `index`, each weighted by `window(x) sinc(x)` of its distance x along every axis; beyond
/// the image its border goes on. Weights are not made to sum to 1: a flat image does not stay flat to the last bit.
///
/// E. Meijering, W. Niessen, M. Viergever, Quantitative evaluation of convolution-based methods for medical image
/// interpolation, Medical Image Analysis 5 (2001) 111; radius and order of the sums are ITK's.
pub(super) fn value(sampler: &Sampler, index: [f64; 3], window: SincWindow) -> f64 {
    let base = index.map(f64::floor);
    let weights: [[f64; 2 * RADIUS]; 3] = std::array::from_fn(|a| axis_weights(index[a] - base[a], window));
    let places: [[usize; 2 * RADIUS]; 3] = std::array::from_fn(|a| {
        std::array::from_fn(|k| sampler.clamped(a, base[a] as i64 + k as i64 + 1 - RADIUS as i64))
    });
    // A voxel of weight 0 leaves every sum as it is unless it is NaN or infinite.
    let on_voxel = |a: usize| sampler.is_finite && index[a] == base[a];
    let [xs, ys, zs] = std::array::from_fn(|a| if on_voxel(a) { RADIUS - 1..RADIUS } else { 0..2 * RADIUS });
    let mut sum = 0.0;
    for k in zs {
        for j in ys.clone() {
            let row = (places[2][k] * sampler.size[1] + places[1][j]) * sampler.size[0];
            for i in xs.clone() {
                sum += sampler.values[row + places[0][i]] * weights[0][i] * weights[1][j] * weights[2][k];
            }
        }
    }
    sum
}

/// Weights of the voxels at 1 - [`RADIUS`] to [`RADIUS`] for a position `share` of a voxel beyond the one at 0.
fn axis_weights(share: f64, window: SincWindow) -> [f64; 2 * RADIUS] {
    if share == 0.0 {
        return std::array::from_fn(|k| if k == RADIUS - 1 { 1.0 } else { 0.0 });
    }
    // Steps of 1 from one end, as ITK takes them, so that rounding is the same.
    let mut x = share + RADIUS as f64;
    std::array::from_fn(|_| {
        x -= 1.0;
        taper(window, x) * sinc(PI * x)
    })
}

fn taper(window: SincWindow, x: f64) -> f64 {
    const REACH: f64 = RADIUS as f64;
    match window {
        SincWindow::Hamming => 0.54 + 0.46 * (x * (PI / REACH)).cos(),
        SincWindow::Cosine => (x * (PI / (2.0 * REACH))).cos(),
        SincWindow::Welch => 1.0 - x * (1.0 / (REACH * REACH)) * x,
        SincWindow::Lanczos => sinc(PI / REACH * x),
        SincWindow::Blackman => 0.42 + 0.5 * (x * (PI / REACH)).cos() + 0.08 * (x * (2.0 * PI / REACH)).cos(),
    }
}

/// `sin(x) / x`.
fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half way, sinc(½) = 2/π; of the windows at ½ in a radius of 5 only Welch's is a fraction, 0.99.
    #[test]
    fn weights_half_way_between_voxels() {
        let angle = PI / 10.0;
        let rows = [
            (SincWindow::Hamming, 0.54 + 0.46 * angle.cos()),
            (SincWindow::Cosine, (angle / 2.0).cos()),
            (SincWindow::Welch, 0.99),
            (SincWindow::Lanczos, angle.sin() / angle),
            (SincWindow::Blackman, 0.42 + 0.5 * angle.cos() + 0.08 * (2.0 * angle).cos()),
        ];
        for (window, expected) in rows {
            let weights = axis_weights(0.5, window);
            for place in [RADIUS - 1, RADIUS] {
                assert!((weights[place] - expected * 2.0 / PI).abs() < 1e-15, "{window:?}: {weights:?}");
            }
            let is_even = (0..RADIUS).all(|k| (weights[k] - weights[2 * RADIUS - 1 - k]).abs() < 1e-15);
            assert!(is_even, "{window:?}: {weights:?}");
        }
    }

    #[test]
    fn on_a_voxel_no_other_counts() {
        let weights = axis_weights(0.0, SincWindow::Hamming);
        assert_eq!(weights, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
