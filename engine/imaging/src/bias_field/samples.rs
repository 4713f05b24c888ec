use rayon::prelude::*;

use super::lattice::{Axis, Lattice, Place};
use super::sharpen::Sharpening;
use crate::{Error, Mask, Volume};

/// The voxels that a field is fitted to, slice by slice.
pub(super) struct Samples {
    slices: Vec<Slice>,
    /// Size of the volume.
    size: [usize; 3],
    /// First voxel and step along x, y, z.
    steps: [(usize, usize); 3],
    range: (f32, f32),
}

/// The samples of one slice in x, y order, as columns.
#[derive(Default)]
struct Slice {
    /// Samples before the end of each row.
    row_ends: Vec<usize>,
    columns: Vec<u32>,
    logs: Vec<f32>,
    fields: Vec<f32>,
    /// By which factor the last step changed the field.
    changes: Vec<f32>,
    /// Empty when all weights are 1.
    weights: Vec<f32>,
}

impl Samples {
    pub(super) fn new(
        volume: &Volume,
        mask: Option<&Mask>,
        weights: Option<&Volume>,
        shrink: [usize; 3],
    ) -> Result<Self, Error> {
        if let Some(mask) = mask {
            volume.geometry().require_same(mask.geometry(), 1e-3)?;
            mask.require_any()?;
        }
        if let Some(weights) = weights {
            volume.geometry().require_same(weights.geometry(), 1e-3)?;
        }
        let size = volume.geometry().size();
        let steps: [(usize, usize); 3] = std::array::from_fn(|a| centred_steps(size[a], shrink[a]));
        let positions = |a: usize| (steps[a].0..size[a]).step_by(steps[a].1);
        let voxels = volume.voxels();
        let slice = |k: usize| {
            let mut slice = Slice::default();
            for j in positions(1) {
                for (column, i) in positions(0).enumerate() {
                    let weight = weights.map_or(1.0, |w| w.voxels()[[k, j, i]]);
                    let inside = mask.is_none_or(|m| m.inside()[[k, j, i]]);
                    let voxel = voxels[[k, j, i]];
                    if inside && voxel > 0.0 && voxel.is_finite() && weight > 0.0 && weight.is_finite() {
                        slice.columns.push(column as u32);
                        slice.logs.push(f64::from(voxel).ln() as f32);
                        if weights.is_some() {
                            slice.weights.push(weight);
                        }
                    }
                }
                slice.row_ends.push(slice.columns.len());
            }
            slice.fields = vec![0.0; slice.columns.len()];
            slice.changes = vec![1.0; slice.columns.len()];
            slice
        };
        let slices = positions(2).collect::<Vec<_>>().into_par_iter().map(slice).collect::<Vec<_>>();
        if slices.iter().all(|s| s.columns.is_empty()) {
            return Err(Error::NoPositiveIntensity { voxels: volume.as_slice().len() });
        }
        let range = joined(slices.iter().map(|s| range(s.logs.iter().copied())));
        if range.0 >= range.1 {
            return Err(Error::FlatIntensities { value: f64::from(range.0).exp() as f32 });
        }
        Ok(Self { slices, size, steps, range })
    }

    /// Smallest and largest corrected logarithm.
    pub(super) fn range(&self) -> (f32, f32) {
        self.range
    }

    /// The places of the samples in a lattice of this size.
    pub(super) fn axes(&self, points: [usize; 3]) -> [Axis; 3] {
        std::array::from_fn(|a| {
            let (first, step) = self.steps[a];
            Axis::new(points[a], self.size[a], (first..self.size[a]).step_by(step))
        })
    }

    /// The histogram of corrected logarithms over `bins` places from the smallest to the largest, `width` apart; each
    /// sample is shared between the two places beside it.
    pub(super) fn histogram(&self, bins: usize, width: f64) -> Vec<f64> {
        let low = f64::from(self.range.0);
        let of_slice = |slice: &Slice| {
            let mut histogram = vec![0.0; bins + 1];
            for (log, field) in slice.logs.iter().zip(&slice.fields) {
                let place = (f64::from(log - field) - low) / width;
                let bin = (place as usize).min(bins - 1);
                let part = place - bin as f64;
                histogram[bin] += 1.0 - part;
                histogram[bin + 1] += part;
            }
            histogram
        };
        let mut sum = summed(self.slices.par_iter().map(of_slice).collect(), bins + 1);
        sum.truncate(bins);
        sum
    }

    /// `Σ weight · w²` of every control point.
    pub(super) fn sums_of_squares(&self, axes: &[Axis; 3]) -> Vec<f64> {
        self.gathered(axes, Place::squares, |_, _| 1.0)
    }

    /// The lattice that approximates what sharpening leaves over, each point `Σ weight · w³ r / Σ w² over Σ weight · w²`.
    pub(super) fn fit_residual(&self, axes: &[Axis; 3], sharpening: &Sharpening, squares: &[f64]) -> Vec<f64> {
        let sums = self.gathered(axes, Place::shares, |log, field| sharpening.residual(log - field));
        sums.iter().zip(squares).map(|(sum, squares)| if *squares > 0.0 { sum / squares } else { 0.0 }).collect()
    }

    /// Sums `value(log, field)` of the samples to the control points by the products of `weights` along each axis.
    fn gathered(
        &self,
        axes: &[Axis; 3],
        weights: impl Fn(&Place) -> [f64; 4] + Sync,
        value: impl Fn(f32, f32) -> f64 + Sync,
    ) -> Vec<f64> {
        let [nx, ny, nz] = [axes[0].points, axes[1].points, axes[2].points];
        let table = |a: usize, n: usize| {
            (0..n).map(|p| (axes[a].at(p).first, weights(&axes[a].at(p)))).collect::<Vec<(usize, [f64; 4])>>()
        };
        let along_x = table(0, count(self.steps[0], self.size[0]));
        let along_y = table(1, count(self.steps[1], self.size[1]));
        let along_z = table(2, self.slices.len());
        let plane = |slice: &Slice| {
            let mut plane = vec![0.0; nx * ny];
            for (j, samples) in slice.rows().enumerate() {
                if samples.is_empty() {
                    continue;
                }
                let mut row = vec![0.0; nx];
                for s in samples {
                    let (first, weights) = along_x[slice.columns[s] as usize];
                    let value = value(slice.logs[s], slice.fields[s]) * slice.weight(s);
                    let reached: &mut [f64; 4] = (&mut row[first..first + 4]).try_into().expect("four points");
                    reached.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * value);
                }
                spread(&mut plane, &row, along_y[j]);
            }
            plane
        };
        let planes = self.slices.par_iter().map(plane).collect::<Vec<_>>();
        let mut lattice = vec![0.0; nx * ny * nz];
        planes.iter().zip(along_z).for_each(|(plane, place)| spread(&mut lattice, plane, place));
        lattice
    }

    /// Takes the lattice's field, and gives the coefficient of variation of the factor by which it changed.
    pub(super) fn update_field(&mut self, axes: &[Axis; 3], lattice: &Lattice) -> f64 {
        let of_slice = |(k, slice): (usize, &mut Slice)| {
            let plane = lattice.plane(&axes[2], k);
            let mut start = 0;
            for (j, &end) in slice.row_ends.iter().enumerate() {
                if start == end {
                    continue;
                }
                let row = plane.row(&axes[1], j);
                let fields = slice.fields[start..end].iter_mut().zip(&mut slice.changes[start..end]);
                for (column, (field, change)) in slice.columns[start..end].iter().zip(fields) {
                    let value = axes[0].at(*column as usize).value(&row) as f32;
                    *change = f64::from(*field - value).exp() as f32;
                    *field = value;
                }
                start = end;
            }
            range(slice.logs.iter().zip(&slice.fields).map(|(log, field)| log - field))
        };
        let ranges = self.slices.par_iter_mut().enumerate().map(of_slice).collect::<Vec<_>>();
        self.range = joined(ranges.into_iter());
        coefficient_of_variation(self.slices.iter().flat_map(|slice| &slice.changes))
    }
}

/// Standard deviation (over n - 1) over mean, by running sums rounded to f32 after every sample.
///
/// ITK decides by this number when a level ends. Its rounding moves it by some percent, so a better sum would often end
/// a level an iteration earlier or later, which shifts the field's overall factor by about as much.
fn coefficient_of_variation<'a>(samples: impl Iterator<Item = &'a f32>) -> f64 {
    let (mut n, mut mean, mut squares) = (0.0f32, 0.0f32, 0.0f32);
    for &sample in samples {
        n += 1.0;
        let count = f64::from(n);
        if n > 1.0 {
            let distance = sample - mean;
            squares = (f64::from(squares) + f64::from(distance * distance) * (count - 1.0) / count) as f32;
        }
        mean = (f64::from(mean) * (1.0 - 1.0 / count) + f64::from(sample / n)) as f32;
    }
    f64::from((f64::from(squares) / (f64::from(n) - 1.0).max(1.0)).sqrt() as f32 / mean)
}

impl Slice {
    fn rows(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        std::iter::once(0).chain(self.row_ends.iter().copied()).zip(&self.row_ends).map(|(start, end)| start..*end)
    }

    fn weight(&self, sample: usize) -> f64 {
        self.weights.get(sample).map_or(1.0, |w| f64::from(*w))
    }
}

/// First position and step of every `shrink`-th voxel, centred (half a voxel up where that is impossible).
fn centred_steps(length: usize, shrink: usize) -> (usize, usize) {
    let step = shrink.min(length);
    let count = length / step;
    (((length - 1) - (count - 1) * step).div_ceil(2), step)
}

fn count((first, step): (usize, usize), length: usize) -> usize {
    (length - first).div_ceil(step)
}

fn spread(sums: &mut [f64], values: &[f64], (first, weights): (usize, [f64; 4])) {
    for (layer, weight) in weights.into_iter().enumerate() {
        let sums = &mut sums[(first + layer) * values.len()..][..values.len()];
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
    }
}

fn summed(parts: Vec<Vec<f64>>, length: usize) -> Vec<f64> {
    let mut sum = vec![0.0; length];
    parts.iter().for_each(|part| sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value));
    sum
}

fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

fn joined(ranges: impl Iterator<Item = (f32, f32)>) -> (f32, f32) {
    ranges.fold((f32::INFINITY, f32::NEG_INFINITY), |a, b| (a.0.min(b.0), a.1.max(b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrunk_positions_are_centred() {
        // Lengths 115 and 90 by 2: 57 positions from 1, 45 from 1 (half a voxel up); 7 by 3: 2 and 5.
        let rows = [(115, 2, (1, 2), 57), (90, 2, (1, 2), 45), (7, 3, (2, 3), 2), (3, 5, (1, 3), 1), (1, 4, (0, 1), 1)];
        for (length, shrink, expected, positions) in rows {
            let found = centred_steps(length, shrink);
            assert_eq!((found, count(found, length)), (expected, positions), "{length} by {shrink}");
        }
    }
}
