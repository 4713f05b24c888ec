use std::f64::consts::TAU;

use rayon::prelude::*;

use crate::image::{Bounds, Image};
use crate::prepare::Number;
use crate::settings::LbpMethod;

/// What is sampled around each voxel of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circle {
    /// In voxels.
    pub(super) radius: f64,
    pub(super) samples: u32,
    pub(super) method: LbpMethod,
}

/// Local binary patterns slice by slice across the axis `across`, on a box, in the image's own type: an integer image
/// loses the fraction of a variance.
///
/// Sample i of P lies at the angle `2π i / P` from the second axis of the slice towards the first one's start, bilinear
/// between voxels, 0 outside the image; its bit is set when it is at least the voxel itself. T. Ojala, M. Pietikäinen
/// and T. Mäenpää, Multiresolution gray-scale and rotation invariant texture classification with local binary patterns,
/// IEEE PAMI 24 (2002), with the samples of scikit-image.
pub(super) fn local_binary_pattern(image: &Image, bounds: Bounds, across: usize, circle: Circle) -> Vec<f64> {
    // PyRadiomics swaps the axis across with z.
    let (row_axis, column_axis) = [(1, 2), (2, 0), (1, 0)][across];
    let offsets: Vec<(f64, f64)> = (0..circle.samples)
        .map(|i| {
            let angle = TAU * f64::from(i) / f64::from(circle.samples);
            let rounded = |x: f64| (x * 1e5).round_ties_even() / 1e5;
            (rounded(-circle.radius * angle.sin()), rounded(circle.radius * angle.cos()))
        })
        .collect();
    let mut margin = [0; 3];
    (margin[column_axis], margin[row_axis]) = (circle.radius.ceil() as usize + 1, circle.radius.ceil() as usize + 1);
    let near = bounds.widened(margin, image.geometry().size());
    let values = image.values_in(near);
    let strides = [1, near.size[0], near.size[0] * near.size[1]];
    let [nx, ny, _] = bounds.size;
    let number = image.number();
    let mut out = vec![0.0; bounds.count()];
    out.par_chunks_mut(nx).enumerate().for_each_init(
        || vec![0.0; offsets.len()],
        |texture, (index, out)| {
            for (x, out) in out.iter_mut().enumerate() {
                let place = [x, index % ny, index / ny];
                let place: [usize; 3] = std::array::from_fn(|a| place[a] + bounds.first[a] - near.first[a]);
                let plane = place[across] * strides[across];
                let voxel = |row: i64, column: i64| {
                    let is_inside = |i: i64, axis: usize| (0..near.size[axis] as i64).contains(&i);
                    if is_inside(row, row_axis) && is_inside(column, column_axis) {
                        values[plane + row as usize * strides[row_axis] + column as usize * strides[column_axis]]
                    } else {
                        0.0
                    }
                };
                let (row, column) = (place[row_axis], place[column_axis]);
                // Positions are those of the whole image: their rounding decides ties.
                let (row_start, column_start) = (near.first[row_axis] as i64, near.first[column_axis] as i64);
                for (texture, (down, right)) in texture.iter_mut().zip(&offsets) {
                    let r = (row + near.first[row_axis]) as f64 + down;
                    let c = (column + near.first[column_axis]) as f64 + right;
                    let (top, left) = (r.floor() as i64 - row_start, c.floor() as i64 - column_start);
                    let (bottom, end) = (r.ceil() as i64 - row_start, c.ceil() as i64 - column_start);
                    let (dr, dc) = (r - r.floor(), c - c.floor());
                    let upper = (1.0 - dc) * voxel(top, left) + dc * voxel(top, end);
                    let lower = (1.0 - dc) * voxel(bottom, left) + dc * voxel(bottom, end);
                    *texture = (1.0 - dr) * upper + dr * lower;
                }
                *out = stored(pattern(texture, voxel(row as i64, column as i64), circle.method), number);
            }
        },
    );
    out
}

/// The pattern of the samples around a voxel; NaN for a variance of 0.
fn pattern(texture: &[f64], centre: f64, method: LbpMethod) -> f64 {
    let n = texture.len();
    let bit = |i: usize| texture[i] - centre >= 0.0;
    let bits = || (0..n).map(bit);
    match method {
        LbpMethod::Uniform => {
            let changes = (1..n).filter(|&i| bit(i) != bit(i - 1)).count();
            if changes <= 2 { bits().filter(|&set| set).count() as f64 } else { (n + 1) as f64 }
        }
        LbpMethod::Default => bits().enumerate().map(|(i, set)| if set { 2f64.powi(i as i32) } else { 0.0 }).sum(),
        LbpMethod::Ror => {
            let rotation = |start: usize| (0..n).filter(|&i| bit((i + start) % n)).map(|i| 2f64.powi(i as i32)).sum();
            (0..n).map(rotation).fold(f64::INFINITY, f64::min)
        }
        LbpMethod::Var => {
            let (sum, squares) = texture.iter().fold((0.0, 0.0), |(s, q), t| (s + t, q + t * t));
            let variance = (squares - sum * sum / n as f64) / n as f64;
            if variance == 0.0 { f64::NAN } else { variance }
        }
    }
}

/// `value` in the image's type, where an integer type holds 0 for NaN.
fn stored(value: f64, number: Number) -> f64 {
    match number {
        Number::Integer { .. } if value.is_nan() => 0.0,
        _ => number.store(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples 5 1 9 7 around 6 set the bits 2 and 3: 4 + 8, turned 1 + 2; the changes are one; the mean is 5.5 and the
    /// mean square 39.
    #[test]
    fn four_samples_by_hand() {
        let rows = [
            (LbpMethod::Default, 12.0),
            (LbpMethod::Ror, 3.0),
            (LbpMethod::Uniform, 2.0),
            (LbpMethod::Var, 39.0 - 30.25),
        ];
        for (method, expected) in rows {
            assert_eq!(pattern(&[5.0, 1.0, 9.0, 7.0], 6.0, method), expected, "{method:?}");
        }
        assert_eq!(pattern(&[5.0, 7.0, 5.0, 7.0], 6.0, LbpMethod::Uniform), 5.0);
    }

    #[test]
    fn an_integer_image_cuts_a_variance() {
        let number = Number::Integer { low: 0.0, high: 255.0 };
        assert_eq!((stored(8.75, number), stored(f64::NAN, number), stored(8.75, Number::Double)), (8.0, 0.0, 8.75));
    }
}
