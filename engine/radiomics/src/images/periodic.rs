use std::ops::{AddAssign, Mul};

use rayon::prelude::*;

use crate::image::{Bounds, Image};

/// The numbers that a filter computes in.
pub(super) trait Real: Copy + Default + Send + Sync + AddAssign + Mul<Output = Self> {
    const IS_SINGLE: bool;
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
}

impl Real for f32 {
    const IS_SINGLE: bool = true;

    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const IS_SINGLE: bool = false;

    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

/// A window on an image that repeats itself beyond its ends, x fastest.
#[derive(Clone)]
pub(super) struct Periodic<T> {
    /// Voxel of the image that the window starts at; may be negative.
    first: [i64; 3],
    size: [usize; 3],
    /// Length after which the image repeats itself along each axis.
    period: [usize; 3],
    values: Vec<T>,
}

impl<T: Real> Periodic<T> {
    /// The window that `levels` passes of a filter of `taps` along each of `axes` shrink to `bounds`; all of an axis that
    /// is no longer than that. An axis with an odd number of voxels repeats its first voxel once more at its end.
    pub(super) fn around(image: &Image, bounds: Bounds, axes: &[usize], taps: usize, levels: usize) -> Self {
        let image_size = image.geometry().size();
        let period = image_size.map(|n| n + n % 2);
        let (first, size) = window(bounds, axes, taps, levels, period);
        let place = |axis: usize, index: usize| {
            (first[axis] + index as i64).rem_euclid(period[axis] as i64) as usize % image_size[axis]
        };
        let columns: Vec<usize> = (0..size[0]).map(|x| place(0, x)).collect();
        let mut values = vec![T::default(); size.iter().product()];
        values.par_chunks_mut(size[0]).enumerate().for_each_init(
            || vec![0.0; image_size[0]],
            |row_values, (row, out)| {
                let (y, z) = (place(1, row % size[1]), place(2, row / size[1]));
                let (least, most) = columns.iter().fold((usize::MAX, 0), |(l, m), &x| (l.min(x), m.max(x)));
                image.copy_row([least, y, z], &mut row_values[least..=most]);
                out.iter_mut().zip(&columns).for_each(|(out, &x)| *out = T::of(row_values[x]));
            },
        );
        Self { first, size, period, values }
    }

    /// The part that one pass of a filter of `taps` along each of `axes` shrinks to `bounds`.
    pub(super) fn near(&self, bounds: Bounds, axes: &[usize], taps: usize) -> Self {
        let (first, size) = window(bounds, axes, taps, 1, self.period);
        let is_circular = |axis: usize| self.size[axis] == self.period[axis];
        let first = std::array::from_fn(|a| if is_circular(a) { self.first[a] } else { first[a] });
        let size = std::array::from_fn(|a| if is_circular(a) { self.size[a] } else { size[a] });
        let values = self.cut(first, size);
        Self { first, size, values, ..*self }
    }

    /// The values in a box of the image.
    pub(super) fn values_in(&self, bounds: Bounds) -> Vec<f64> {
        self.cut(bounds.first.map(|i| i as i64), bounds.size).into_iter().map(Real::wide).collect()
    }

    fn cut(&self, first: [i64; 3], size: [usize; 3]) -> Vec<T> {
        let offset: [usize; 3] = std::array::from_fn(|a| (first[a] - self.first[a]) as usize);
        let mut values = Vec::with_capacity(size.iter().product());
        for z in offset[2]..offset[2] + size[2] {
            for y in offset[1]..offset[1] + size[1] {
                values.extend_from_slice(&self.values[(z * self.size[1] + y) * self.size[0] + offset[0]..][..size[0]]);
            }
        }
        values
    }

    /// Convolves every line along `axis`: `out[o] = Σ_t taps[t] x[o + F / 2 - t]`. The window shrinks by `F - 1` unless
    /// it holds all of the axis.
    pub(super) fn filtered(&self, axis: usize, taps: &[T]) -> Self {
        let is_circular = self.size[axis] == self.period[axis];
        let (mut first, mut size) = (self.first, self.size);
        if !is_circular {
            size[axis] -= taps.len() - 1;
            first[axis] += (taps.len() - 1 - taps.len() / 2) as i64;
        }
        let plan: Vec<Vec<(usize, T)>> = (0..size[axis])
            .map(|o| {
                let position = (first[axis] + o as i64).rem_euclid(self.period[axis] as i64) as usize;
                terms(position, taps, self.period[axis])
                    .map(|t| {
                        let from = if is_circular {
                            (o + taps.len() / 2 + self.size[axis] * taps.len() - t) % self.size[axis]
                        } else {
                            o + taps.len() - 1 - t
                        };
                        (from, taps[t])
                    })
                    .collect()
            })
            .collect();
        let values = if axis == 0 { self.along_x(size, &plan) } else { self.across_x(axis, size, &plan) };
        Self { first, size, values, ..*self }
    }

    fn along_x(&self, size: [usize; 3], plan: &[Vec<(usize, T)>]) -> Vec<T> {
        let mut out = vec![T::default(); size.iter().product()];
        out.par_chunks_mut(size[0]).zip(self.values.par_chunks(self.size[0])).for_each(|(out, row)| {
            for (out, terms) in out.iter_mut().zip(plan) {
                let mut sum = T::default();
                terms.iter().for_each(|&(from, tap)| sum += tap * row[from]);
                *out = sum;
            }
        });
        out
    }

    fn across_x(&self, axis: usize, size: [usize; 3], plan: &[Vec<(usize, T)>]) -> Vec<T> {
        let nx = size[0];
        let mut out = vec![T::default(); size.iter().product()];
        out.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
            let (y, z) = (row % size[1], row / size[1]);
            for &(from, tap) in &plan[if axis == 1 { y } else { z }] {
                let source = if axis == 1 { z * self.size[1] + from } else { from * self.size[1] + y };
                let source = &self.values[source * nx..(source + 1) * nx];
                out.iter_mut().zip(source).for_each(|(out, &v)| *out += tap * v);
            }
        });
        out
    }
}

/// First voxel and size of the window that `levels` passes shrink to `bounds`, or the whole period.
fn window(bounds: Bounds, axes: &[usize], taps: usize, levels: usize, period: [usize; 3]) -> ([i64; 3], [usize; 3]) {
    let (mut first, mut size) = (bounds.first.map(|i| i as i64), bounds.size);
    for &axis in axes {
        let widened = size[axis] + levels * (taps - 1);
        if widened >= period[axis] {
            (first[axis], size[axis]) = (0, period[axis]);
        } else {
            first[axis] -= (levels * (taps - 1 - taps / 2)) as i64;
            size[axis] = widened;
        }
    }
    (first, size)
}

/// The order in which PyWavelets adds the products of the voxel at `position`, which an f32 sum depends on: the taps
/// that reach over the end of the line come first, backwards.
fn terms<T>(position: usize, taps: &[T], period: usize) -> impl Iterator<Item = usize> + use<T> {
    let over = (position + taps.len() / 2 + 1).saturating_sub(period).min(taps.len());
    (0..over).rev().chain(over..taps.len())
}
