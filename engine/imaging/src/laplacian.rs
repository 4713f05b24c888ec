use rayon::prelude::*;

use crate::lines::{Edge, Lanes, filter_lines};
use crate::{Error, Volume};

/// Laplacian of Gaussian, scaled by `sigma_mm²`: positive in dark blobs of about that size, negative in bright ones.
///
/// ```text
/// LoG = sigma² Σ_a ∂²/∂x_a² (G_sigma * f)
/// ```
/// along the voxel axes in mm, by the fourth-order recursive approximation of R. Deriche (Recursively implementing the
/// Gaussian and its derivatives, INRIA 1893, 1993), whose bell is within 1e-3 of its top for sigma of one voxel and
/// more; beyond the grid the edge voxel is repeated. The constants and normalisations are those of
/// `LaplacianRecursiveGaussian` of SimpleITK with `NormalizeAcrossScale`, as PyRadiomics uses it. A single-voxel axis
/// adds nothing. Passes are f64 inside and round to f32 between.
///
/// # Errors
/// [`Error::InvalidArgument`] for a sigma that is not positive and finite, or beyond 10,000 voxels.
pub fn laplacian_of_gaussian(volume: &Volume, sigma_mm: f64) -> Result<Volume, Error> {
    let (size, spacing) = (volume.geometry().size(), volume.geometry().spacing_mm());
    let sigma = spacing.map(|s| sigma_mm / s);
    if !sigma.iter().all(|s| *s > 0.0 && *s <= 1e4) {
        return Err(Error::InvalidArgument {
            name: "sigma",
            expected: "above 0 mm and at most 10000 voxels along every axis",
            found: format!("{sigma_mm} mm"),
        });
    }
    let mut sum = vec![0.0f32; volume.as_slice().len()];
    for curved in (0..3).filter(|&a| size[a] > 1) {
        let mut term = volume.as_slice().to_vec();
        for axis in [curved, (curved + 1) % 3, (curved + 2) % 3].into_iter().filter(|&a| size[a] > 1) {
            let recursion = if axis == curved {
                Recursion::second_derivative(sigma[axis], sigma[axis] * sigma[axis])
            } else {
                Recursion::smoothing(sigma[axis])
            };
            filter_lines(&mut term, size, axis, [0, 0], Edge::Replicate, |lines, out| recursion.run(lines, out));
        }
        sum.par_iter_mut().zip(term).for_each(|(sum, term)| *sum += term);
    }
    let voxels = ndarray::Array3::from_shape_vec(volume.voxels().dim(), sum).expect("one value per voxel");
    volume.with_voxels(voxels)
}

/// A causal and an anticausal recursion of order 4 whose sum approximates a symmetric kernel:
/// ```text
/// p[i] = Σ_t n[t] x[i-t]   - Σ_t d[t] p[i-1-t]
/// q[i] = Σ_t m[t] x[i+1+t] - Σ_t d[t] q[i+1+t],   y = p + q
/// ```
struct Recursion {
    n: [f64; 4],
    m: [f64; 4],
    d: [f64; 4],
}

/// Deriche's exponentials: `(a cos(w x / s) + b sin(w x / s)) exp(l x / s)`, two of them per kernel.
const W: [f64; 2] = [0.6681, 2.0787];
const L: [f64; 2] = [-1.3932, -1.3732];
const SMOOTH_A: [f64; 2] = [1.3530, -0.3531];
const SMOOTH_B: [f64; 2] = [1.8151, 0.0902];
const SECOND_A: [f64; 2] = [-1.3563, 0.3446];
const SECOND_B: [f64; 2] = [5.2318, -2.2355];

impl Recursion {
    /// The Gaussian, its sum one.
    fn smoothing(sigma: f64) -> Self {
        let d = denominator(sigma);
        let n = numerator(sigma, SMOOTH_A, SMOOTH_B);
        let both_sides = 2.0 * n.iter().sum::<f64>() / (1.0 + d.iter().sum::<f64>()) - n[0];
        Self::symmetric(n.map(|v| v / both_sides), d)
    }

    /// The second derivative of the Gaussian per voxel², times `scale`: 0 for a constant, `2 scale` for `x²`.
    fn second_derivative(sigma: f64, scale: f64) -> Self {
        let d = denominator(sigma);
        let (smooth, second) = (numerator(sigma, SMOOTH_A, SMOOTH_B), numerator(sigma, SECOND_A, SECOND_B));
        let sum = |n: &[f64; 4], power: i32| -> f64 { (0..4).map(|t| n[t as usize] * f64::from(t).powi(power)).sum() };
        let (s_d, d_d, e_d) = (1.0 + d.iter().sum::<f64>(), moment(&d, 1), moment(&d, 2));
        let mixed = -(2.0 * sum(&second, 0) - s_d * second[0]) / (2.0 * sum(&smooth, 0) - s_d * smooth[0]);
        let n: [f64; 4] = std::array::from_fn(|t| second[t] + mixed * smooth[t]);
        let (s_n, d_n, e_n) = (sum(&n, 0), sum(&n, 1), sum(&n, 2));
        let curvature =
            (e_n * s_d * s_d - e_d * s_n * s_d - 2.0 * d_n * d_d * s_d + 2.0 * d_d * d_d * s_n) / (s_d * s_d * s_d);
        Self::symmetric(n.map(|v| v * scale / curvature), d)
    }

    fn symmetric(n: [f64; 4], d: [f64; 4]) -> Self {
        Self { n, m: std::array::from_fn(|t| n.get(t + 1).unwrap_or(&0.0) - d[t] * n[0]), d }
    }

    /// Both recursions over a block, the end voxels repeated for ever.
    fn run(&self, lines: &[Lanes], out: &mut [Lanes]) {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
        let steady = 1.0 + self.d.iter().sum::<f64>();
        let (gain_n, gain_m) = (self.n.iter().sum::<f64>() / steady, self.m.iter().sum::<f64>() / steady);
        let mut x = [*first; 3];
        let mut p = [first.map(|v| v * gain_n); 4];
        for (here, out) in lines.iter().zip(out.iter_mut()) {
            let value = step(&self.n, &[*here, x[0], x[1], x[2]], &self.d, &p);
            (x, p) = ([*here, x[0], x[1]], [value, p[0], p[1], p[2]]);
            *out = value;
        }
        let mut x = [*last; 4];
        let mut q = [last.map(|v| v * gain_m); 4];
        for (here, out) in lines.iter().zip(out).rev() {
            let value = step(&self.m, &x, &self.d, &q);
            (x, q) = ([*here, x[0], x[1], x[2]], [value, q[0], q[1], q[2]]);
            out.iter_mut().zip(value).for_each(|(out, v)| *out += v);
        }
    }
}

/// `Σ_t gains[t] inputs[t] - feedback[t] outputs[t]` in every lane.
#[inline(always)]
fn step(gains: &[f64; 4], inputs: &[Lanes; 4], feedback: &[f64; 4], outputs: &[Lanes; 4]) -> Lanes {
    std::array::from_fn(|lane| (0..4).map(|t| gains[t] * inputs[t][lane] - feedback[t] * outputs[t][lane]).sum::<f64>())
}

fn moment(d: &[f64; 4], power: i32) -> f64 {
    (0..4).map(|t| d[t] * ((t + 1) as f64).powi(power)).sum()
}

fn denominator(sigma: f64) -> [f64; 4] {
    let cos = W.map(|w| (w / sigma).cos());
    let exp = L.map(|l| (l / sigma).exp());
    let square = exp.map(|e| e * e);
    [
        -2.0 * (exp[1] * cos[1] + exp[0] * cos[0]),
        4.0 * cos[0] * cos[1] * exp[0] * exp[1] + square[0] + square[1],
        -2.0 * cos[0] * exp[0] * square[1] - 2.0 * cos[1] * exp[1] * square[0],
        square[0] * square[1],
    ]
}

fn numerator(sigma: f64, a: [f64; 2], b: [f64; 2]) -> [f64; 4] {
    let (sin, cos) = (W.map(|w| (w / sigma).sin()), W.map(|w| (w / sigma).cos()));
    let exp = L.map(|l| (l / sigma).exp());
    [
        a[0] + a[1],
        exp[1] * (b[1] * sin[1] - (a[1] + 2.0 * a[0]) * cos[1])
            + exp[0] * (b[0] * sin[0] - (a[0] + 2.0 * a[1]) * cos[0]),
        2.0 * exp[0] * exp[1] * ((a[0] + a[1]) * cos[1] * cos[0] - b[0] * cos[1] * sin[0] - b[1] * cos[0] * sin[1])
            + a[1] * exp[0] * exp[0]
            + a[0] * exp[1] * exp[1],
        exp[1] * exp[0] * exp[0] * (b[1] * sin[1] - a[1] * cos[1])
            + exp[0] * exp[1] * exp[1] * (b[0] * sin[0] - a[0] * cos[0]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality, Unit};

    fn volume(size: [usize; 3], spacing_mm: [f64; 3], value: impl Fn([f64; 3]) -> f64) -> Volume {
        let geometry = Geometry::axis_aligned(size, spacing_mm).unwrap();
        let world = geometry.world_from_voxel();
        let voxels = ndarray::Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| {
            value(world.apply([i as f64, j as f64, k as f64])) as f32
        });
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn the_curvature_of_a_parabola_is_in_square_millimetres() {
        // ∂²(x²)/∂x² = 2 whatever the spacing, times sigma² = 4; a constant has none.
        let bowl = volume([81, 9, 5], [0.8, 1.0, 2.0], |[x, _, _]| (x - 32.0) * (x - 32.0));
        let found = laplacian_of_gaussian(&bowl, 2.0).unwrap();
        assert!((found.voxels()[[2, 4, 40]] - 8.0).abs() < 1e-2, "{}", found.voxels()[[2, 4, 40]]);
        let flat = laplacian_of_gaussian(&volume([9, 9, 9], [1.0; 3], |_| 100.0), 1.5).unwrap();
        assert!(flat.as_slice().iter().all(|v| v.abs() < 1e-3));
    }

    #[test]
    fn a_bright_ball_is_negative_at_its_centre() {
        let ball = volume([33, 33, 17], [1.0, 1.0, 2.0], |p| {
            let r2: f64 = p.iter().map(|c| (c - 16.0) * (c - 16.0)).sum();
            f64::from(u8::from(r2 <= 36.0)) * 100.0
        });
        let found = laplacian_of_gaussian(&ball, 3.0).unwrap();
        let centre = found.voxels()[[8, 16, 16]];
        assert!(centre < -60.0 && found.as_slice().iter().all(|v| *v >= centre - 1.0), "{centre}");
        assert!(matches!(laplacian_of_gaussian(&ball, 0.0), Err(Error::InvalidArgument { .. })));
    }
}
