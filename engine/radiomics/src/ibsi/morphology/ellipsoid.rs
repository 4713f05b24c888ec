use std::f64::consts::PI;

use nalgebra::{Matrix3, Matrix4, SymmetricEigen, Vector3, Vector4};

use crate::table::NanReason;

/// Terms of the series for an ellipsoid's area that the IBSI manual sums.
const AREA_TERMS: u32 = 20;

/// The enclosing ellipsoid's weights are taken as found when its volume can shrink by no more than this share.
const TOLERANCE: f64 = 1e-7;
const MOST_STEPS: usize = 100_000;

/// An ellipsoid by its semi-axes in mm, longest first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ellipsoid {
    pub(super) semi_axes_mm: [f64; 3],
}

impl Ellipsoid {
    pub(super) fn volume_mm3(&self) -> f64 {
        4.0 / 3.0 * PI * self.semi_axes_mm.iter().product::<f64>()
    }

    /// Surface area by the manual's series, `4πab Σ_ν (αβ)^ν/(1 - 4ν²) P_ν((α² + β²)/2αβ)` for ν from 0 to 20, with
    /// `α = √(1 - b²/a²)`, `β = √(1 - c²/a²)` and Legendre polynomials P.
    ///
    /// With these eccentricities the sum is the area of a sphere only; for semi-axes 3, 3, 2 it is 14 % above the area,
    /// which `√(1 - c²/a²)` and `√(1 - c²/b²)` would give (Maas 1994). The reference values are those of the manual's.
    pub(super) fn area_mm2(&self) -> f64 {
        let [a, b, c] = self.semi_axes_mm;
        if a == 0.0 {
            return 0.0;
        }
        let (alpha_squared, beta_squared) = (1.0 - b * b / (a * a), 1.0 - c * c / (a * a));
        let (product, middle) = (alpha_squared * beta_squared, 0.5 * (alpha_squared + beta_squared));
        // (αβ)^ν P_ν is a polynomial in αβ and its argument, so α = 0 needs no limit:
        // (ν + 1) Q_ν₊₁ = (2ν + 1) m Q_ν - ν (αβ)² Q_ν₋₁ with m = (α² + β²)/2.
        let (mut before, mut term, mut sum) = (0.0, 1.0, 0.0);
        for order in 0..=AREA_TERMS {
            let nu = f64::from(order);
            sum += term / (1.0 - 4.0 * nu * nu);
            (before, term) = (term, ((2.0 * nu + 1.0) * middle * term - nu * product * before) / (nu + 1.0));
        }
        4.0 * PI * a * b * sum
    }
}

/// Semi-axes of the smallest ellipsoid around points that span a volume (Khachiyan 1996, with the steps away from a point
/// of Todd and Yildirim 2007).
///
/// # Errors
/// [`NanReason::NoConvergence`].
pub(super) fn enclosing(points: &[[f64; 3]]) -> Result<Ellipsoid, NanReason> {
    let lifted: Vec<Vector4<f64>> = centred(points).into_iter().map(|p| Vector4::new(p[0], p[1], p[2], 1.0)).collect();
    let mut weights = on_extremes(&lifted);
    if moments(&lifted, &weights).try_inverse().is_none() {
        weights.fill(1.0 / points.len() as f64);
    }
    for _ in 0..MOST_STEPS {
        let inverse = moments(&lifted, &weights).try_inverse().ok_or(NanReason::NoConvergence)?;
        let distances: Vec<f64> = lifted.iter().map(|q| q.dot(&(inverse * q))).collect();
        let (mut farthest, mut nearest) = ((0, f64::NEG_INFINITY), (0, f64::INFINITY));
        for (index, &distance) in distances.iter().enumerate() {
            if distance > farthest.1 {
                farthest = (index, distance);
            }
            if weights[index] > 0.0 && distance < nearest.1 {
                nearest = (index, distance);
            }
        }
        let (excess, lack) = (farthest.1 / 4.0 - 1.0, 1.0 - nearest.1 / 4.0);
        if excess < TOLERANCE && lack < TOLERANCE {
            return Ok(around(&lifted, &weights, farthest.1));
        }
        let (index, step) = if excess >= lack {
            (farthest.0, (farthest.1 - 4.0) / (4.0 * (farthest.1 - 1.0)))
        } else {
            let most = weights[nearest.0] / (1.0 - weights[nearest.0]);
            let wanted = (4.0 - nearest.1) / (4.0 * (nearest.1 - 1.0));
            (nearest.0, -if wanted > 0.0 { wanted.min(most) } else { most })
        };
        weights.iter_mut().for_each(|w| *w *= 1.0 - step);
        weights[index] = (weights[index] + step).max(0.0);
    }
    Err(NanReason::NoConvergence)
}

fn moments(lifted: &[Vector4<f64>], weights: &[f64]) -> Matrix4<f64> {
    let weighted = lifted.iter().zip(weights).filter(|(_, w)| **w > 0.0);
    weighted.fold(Matrix4::zeros(), |sum, (q, &w)| sum + q * q.transpose() * w)
}

/// Equal weights on the outermost points along the axes and the diagonals: near enough to the answer that few points have
/// to lose their weight again.
fn on_extremes(lifted: &[Vector4<f64>]) -> Vec<f64> {
    let step = |k: i32, digit: u32| f64::from(k / 3i32.pow(digit) % 3 - 1);
    let directions = (0..27).filter(|k| *k != 13).map(|k| Vector4::new(step(k, 0), step(k, 1), step(k, 2), 0.0));
    let outermost = directions.map(|direction| {
        let along = |index: &usize| lifted[*index].dot(&direction);
        (0..lifted.len()).max_by(|a, b| along(a).total_cmp(&along(b))).unwrap_or(0)
    });
    let mut outermost: Vec<usize> = outermost.collect();
    outermost.sort_unstable();
    outermost.dedup();
    let mut weights = vec![0.0; lifted.len()];
    for &index in &outermost {
        weights[index] = 1.0 / outermost.len() as f64;
    }
    weights
}

/// The ellipsoid of the weights, widened to the farthest point.
fn around(lifted: &[Vector4<f64>], weights: &[f64], farthest: f64) -> Ellipsoid {
    let centre = lifted.iter().zip(weights).fold(Vector3::zeros(), |sum, (q, &w)| sum + q.xyz() * w);
    let spread = lifted.iter().zip(weights).fold(Matrix3::zeros(), |sum, (q, &w)| {
        let from_centre = q.xyz() - centre;
        sum + from_centre * from_centre.transpose() * w
    });
    let mut eigenvalues: [f64; 3] = SymmetricEigen::new(spread).eigenvalues.into();
    eigenvalues.sort_by(|a, b| b.total_cmp(a));
    Ellipsoid { semi_axes_mm: eigenvalues.map(|v| ((farthest - 1.0) * v.max(0.0)).sqrt()) }
}

fn centred(points: &[[f64; 3]]) -> Vec<[f64; 3]> {
    let n = points.len() as f64;
    let mean: [f64; 3] = std::array::from_fn(|a| points.iter().map(|p| p[a]).sum::<f64>() / n);
    points.iter().map(|p| std::array::from_fn(|a| p[a] - mean[a])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The series in closed form: `(√(1 - β²) + asin β/β)/2` for α = 0, `(1 + (1 - α²)/α artanh α)/2` for α = β.
    #[test]
    fn areas_of_spheroids_by_the_manual() {
        let beta = (5.0f64 / 9.0).sqrt();
        let oblate = 2.0 * PI * 9.0 * ((1.0 - beta * beta).sqrt() + beta.asin() / beta);
        let alpha = 0.75f64.sqrt();
        let prolate = 2.0 * PI * 8.0 * (1.0 + (1.0 - alpha * alpha) / alpha * alpha.atanh());
        let rows = [([2.0, 2.0, 2.0], 16.0 * PI), ([3.0, 3.0, 2.0], oblate), ([4.0, 2.0, 2.0], prolate)];
        for (semi_axes_mm, expected) in rows {
            let found = Ellipsoid { semi_axes_mm }.area_mm2();
            assert!((found - expected).abs() < 1e-5 * expected, "{semi_axes_mm:?}: {found} {expected}");
        }
    }

    /// Around the corners of a cuboid with half sides h the smallest ellipsoid has semi-axes √3 h.
    #[test]
    fn a_cuboid_has_its_corners_on_the_enclosing_ellipsoid() {
        let corners: Vec<[f64; 3]> = (0..8)
            .map(|k| [(k & 1) as f64 * 4.0 + 100.0, (k >> 1 & 1) as f64 * 2.0, (k >> 2) as f64 * 6.0 - 50.0])
            .collect();
        let found = enclosing(&corners).unwrap().semi_axes_mm;
        for (found, half) in found.iter().zip([3.0, 2.0, 1.0]) {
            assert!((found - 3f64.sqrt() * half).abs() < 1e-6, "{found}");
        }
    }

    /// Points well inside do not change it: a regular octahedron's is the sphere around it.
    #[test]
    fn inner_points_lose_their_weight() {
        let mut points = vec![[0.3, 0.2, 0.1], [-0.4, 0.1, 0.3], [0.1, -0.5, 0.2], [0.0, 0.0, 0.0]];
        for axis in 0..3 {
            for sign in [-1.0, 1.0] {
                let mut point = [0.0; 3];
                point[axis] = sign * 2.0;
                points.push(point);
            }
        }
        for semi_axis in enclosing(&points).unwrap().semi_axes_mm {
            assert!((semi_axis - 2.0).abs() < 1e-6, "{semi_axis}");
        }
    }
}
