use rand_distr::{Distribution, StandardNormal};

use crate::random::{Purpose, keyed};

/// Density and texture of one tissue of one subject: a Gaussian random field around a mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tissue {
    /// Mean density, HU.
    pub(crate) mean_hu: f64,
    /// Standard deviation of the texture, HU.
    pub(crate) texture_hu: f64,
    /// Full width at half height of the texture's autocorrelation, mm.
    pub(crate) texture_mm: f64,
}

/// Distance between knots over the half width of the autocorrelation: cubic B-splines on white noise have the septic
/// B-spline as autocorrelation, whose full width at half height is 1.94 knots.
const CORRELATION_IN_KNOTS: f64 = 1.94;

/// Half extent of every field along x and y, mm; beyond it the outermost knots go on.
const HALF_MM: [f64; 2] = [190.0, 140.0];

/// A Gaussian random field without mean and with unit variance everywhere: white noise on a lattice, interpolated with
/// cubic B-splines and divided by the root of the sum of squared weights. It holds practically no frequency above
/// half a cycle per knot, and its autocorrelation has fallen to one half at half the correlation length.
///
/// The lattice is fixed in the body and each of its layers has its own stream of numbers, so a field does not depend on
/// the part of it that a grid looks at.
pub(crate) struct RandomField {
    knots: Vec<f32>,
    count: [usize; 3],
    spacing_mm: f64,
    first_mm: [f64; 3],
}

impl RandomField {
    /// A field over `range_mm` of the body axis with the given full width at half height of its autocorrelation.
    pub(crate) fn new(seed: u64, subject: u32, which: u32, range_mm: [f64; 2], width_mm: f64) -> Self {
        let spacing_mm = width_mm / CORRELATION_IN_KNOTS;
        let [columns, rows] = HALF_MM.map(|half| 2 * (half / spacing_mm).ceil() as usize + 3);
        let first_layer = (range_mm[0] / spacing_mm).floor() as i32 - 1;
        let last_layer = (range_mm[1] / spacing_mm).floor() as i32 + 2;
        let knots = (first_layer..=last_layer)
            .flat_map(|layer| {
                let random = keyed(seed, subject, Purpose::Texture(which), layer.cast_unsigned(), 0);
                StandardNormal.sample_iter(random).take(columns * rows)
            })
            .collect();
        let first = |count: usize| -0.5 * (count - 1) as f64 * spacing_mm;
        let first_mm = [first(columns), first(rows), f64::from(first_layer) * spacing_mm];
        Self { knots, count: [columns, rows, (last_layer - first_layer + 1) as usize], spacing_mm, first_mm }
    }

    /// The field at every `xs` of the row (y, z).
    pub(crate) fn row(&self, xs: &[f64], y: f64, z: f64) -> Vec<f32> {
        let [columns, rows, _] = self.count;
        let (j, wy) = self.weights(1, y);
        let (k, wz) = self.weights(2, z);
        let mut line = vec![0.0; columns];
        for (dz, &wz) in wz.iter().enumerate() {
            for (dy, &wy) in wy.iter().enumerate() {
                let start = ((k + dz) * rows + j + dy) * columns;
                for (sum, &knot) in line.iter_mut().zip(&self.knots[start..start + columns]) {
                    *sum += wy * wz * f64::from(knot);
                }
            }
        }
        xs.iter()
            .map(|&x| {
                let (i, wx) = self.weights(0, x);
                wx.iter().zip(&line[i..i + 4]).map(|(w, v)| w * v).sum::<f64>() as f32
            })
            .collect()
    }

    /// The field at one point.
    pub(crate) fn at(&self, [x, y, z]: [f64; 3]) -> f64 {
        let [columns, rows, _] = self.count;
        let [(i, wx), (j, wy), (k, wz)] = [self.weights(0, x), self.weights(1, y), self.weights(2, z)];
        let mut sum = 0.0;
        for (dz, &wz) in wz.iter().enumerate() {
            for (dy, &wy) in wy.iter().enumerate() {
                let start = ((k + dz) * rows + j + dy) * columns + i;
                let line: f64 = wx.iter().zip(&self.knots[start..start + 4]).map(|(w, &v)| w * f64::from(v)).sum();
                sum += wy * wz * line;
            }
        }
        sum
    }

    /// First of four knots along an axis, and their B-spline weights scaled to unit sum of squares.
    fn weights(&self, axis: usize, at_mm: f64) -> (usize, [f64; 4]) {
        let position = (at_mm - self.first_mm[axis]) / self.spacing_mm;
        let base = (position.floor().max(1.0) as usize).min(self.count[axis] - 3);
        let t = (position - base as f64).clamp(0.0, 1.0);
        let s = 1.0 - t;
        let weights = [s * s * s, 4.0 - 6.0 * t * t + 3.0 * t * t * t, 4.0 - 6.0 * s * s + 3.0 * s * s * s, t * t * t];
        let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
        (base - 1, weights.map(|w| w / norm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_has_unit_variance_and_half_correlation_at_half_its_width() {
        let width = 8.0;
        let field = RandomField::new(7, 0, 0, [0.0, 60.0], width);
        let xs: Vec<f64> = (-360..360).map(|i| 0.5 * f64::from(i)).collect();
        let half = (width / 2.0 / 0.5) as usize;
        let (mut square, mut product, mut n) = (0.0, 0.0, 0.0);
        for z in (0..16).map(|k| 4.0 * f64::from(k)) {
            for y in (-13..=13).map(|j| 10.0 * f64::from(j)) {
                let row = field.row(&xs, y, z);
                for pair in row.windows(half + 1) {
                    square += f64::from(pair[0] * pair[0]);
                    product += f64::from(pair[0] * pair[half]);
                    n += 1.0;
                }
            }
        }
        assert!((square / n - 1.0).abs() < 0.05, "variance {}", square / n);
        assert!((product / square - 0.5).abs() < 0.05, "correlation {}", product / square);
    }

    #[test]
    fn field_at_a_point_is_that_of_its_row() {
        let field = RandomField::new(7, 3, 1, [-10.0, 10.0], 6.0);
        let xs = [-30.0, 0.3, 17.0];
        for (&x, row) in xs.iter().zip(field.row(&xs, 4.0, 5.0)) {
            assert!((field.at([x, 4.0, 5.0]) - f64::from(row)).abs() < 1e-6);
        }
    }

    #[test]
    fn field_does_not_depend_on_the_range_that_is_looked_at() {
        let xs = [-30.0, 0.3, 17.0];
        let rows = [[-40.0, 40.0], [-3.0, 12.0]].map(|range| RandomField::new(7, 3, 1, range, 6.0).row(&xs, 4.0, 5.0));
        assert_eq!(rows[0], rows[1]);
    }
}
