use std::ops::Range;

use isoscan_imaging::Geometry;
use rayon::prelude::*;

use super::recursive_gaussian::{LANES, Lanes, RecursiveGaussian};
use crate::image::{Bounds, Image, Row};

/// Smallest number of voxels along every axis.
const SMALLEST_SIZE: usize = 4;

/// Whether an image is large enough for the Laplacian of a Gaussian of `sigma_mm`: 4 voxels along every axis, and one
/// more than the standard deviation spans.
pub(super) fn fits(geometry: &Geometry, sigma_mm: f64) -> bool {
    let (size, spacing_mm) = (geometry.size(), geometry.spacing_mm());
    (0..3).all(|a| size[a] >= SMALLEST_SIZE && size[a] as f64 >= (sigma_mm / spacing_mm[a]).ceil() + 1.0)
}

/// The Laplacian of a Gaussian of `sigma_mm`, times `sigma_mm²`, on the box `bounds`, in f32 as ITK computes it.
///
/// For each axis: the second derivative along it, then smoothing along the others in order; each pass is rounded to
/// f32, the sum over the axes too. Only voxels that change the box are filtered: see [`Reach`].
pub(super) fn laplacian_of_gaussian(image: &Image, bounds: Bounds, sigma_mm: f64) -> Vec<f32> {
    let geometry = image.geometry();
    let margin = geometry.spacing_mm().map(|spacing| RecursiveGaussian::reach(sigma_mm / spacing));
    let whole = bounds.widened(margin, geometry.size());
    let reach = Reach { target: bounds, margin };
    sum_of_derivatives(&|voxel, length| image.row(voxel, length), whole, reach, geometry.spacing_mm(), sigma_mm)
}

/// Reads a number of voxels from one on along x.
type Read<'a> = &'a (dyn Fn([usize; 3], usize) -> Row<'a> + Sync);

fn sum_of_derivatives(read: Read, whole: Bounds, reach: Reach, spacing_mm: [f64; 3], sigma_mm: f64) -> Vec<f32> {
    let of_axis = |axis: usize| {
        let curved = RecursiveGaussian::second_derivative(sigma_mm / spacing_mm[axis], sigma_mm * sigma_mm);
        let mut block = filtered(read, whole, reach, axis, curved);
        for other in (0..3).filter(|&other| other != axis) {
            let smoothing = RecursiveGaussian::smoothing(sigma_mm / spacing_mm[other]);
            block = filtered(&|voxel, length| block.row(voxel, length), block.bounds, reach, other, smoothing);
        }
        block.voxels
    };
    let derivatives: Vec<Vec<f32>> = (0..3usize).into_par_iter().map(of_axis).collect();
    let mut sum = vec![0.0f32; reach.target.count()];
    for (derivative, spacing) in derivatives.iter().zip(spacing_mm) {
        let scale = 1.0 / (spacing * spacing);
        sum.iter_mut().zip(derivative).for_each(|(sum, &v)| *sum = (f64::from(*sum) + f64::from(v) * scale) as f32);
    }
    sum
}

/// Which voxels change a result in `target`.
///
/// Along each axis the influence of a voxel falls by the same factor over `margin`, so along several the shares of the
/// margins add up: beyond a sum of 1 a voxel is left out.
#[derive(Clone, Copy)]
struct Reach {
    target: Bounds,
    margin: [usize; 3],
}

impl Reach {
    /// Distance from the target along `axis` as a share of the margin.
    fn share(&self, axis: usize, index: usize) -> f64 {
        let (first, end) = (self.target.first[axis], self.target.first[axis] + self.target.size[axis]);
        (first.saturating_sub(index) + (index + 1).saturating_sub(end)) as f64 / self.margin[axis] as f64
    }

    /// Columns of `within` that change the target from a plane at `share` of the margin.
    fn columns(&self, within: Bounds, share: f64) -> Range<usize> {
        let margin = (self.margin[0] as f64 * (1.0 - share)).ceil().max(0.0) as usize;
        let first = self.target.first[0].saturating_sub(margin).max(within.first[0]);
        first..(self.target.first[0] + self.target.size[0] + margin).min(within.first[0] + within.size[0])
    }
}

/// Voxels of a box, x fastest.
struct Block {
    bounds: Bounds,
    voxels: Vec<f32>,
}

impl Block {
    fn row(&self, voxel: [usize; 3], length: usize) -> Row<'_> {
        let [x, y, z]: [usize; 3] = std::array::from_fn(|a| voxel[a] - self.bounds.first[a]);
        let start = (z * self.bounds.size[1] + y) * self.bounds.size[0] + x;
        Row::Stored(&self.voxels[start..start + length])
    }
}

/// Filters every line of the box `from` along `axis` that changes the target, and keeps its part in the target.
fn filtered(read: Read, from: Bounds, reach: Reach, axis: usize, filter: RecursiveGaussian) -> Block {
    let mut bounds = from;
    (bounds.first[axis], bounds.size[axis]) = (reach.target.first[axis], reach.target.size[axis]);
    let lines = Lines { read, from, kept: bounds, reach, filter };
    Block { bounds, voxels: if axis == 0 { lines.along_x() } else { lines.across_x(axis) } }
}

struct Lines<'a> {
    read: Read<'a>,
    from: Bounds,
    kept: Bounds,
    reach: Reach,
    filter: RecursiveGaussian,
}

impl Lines<'_> {
    /// Positions on the lines along `axis` that are kept.
    fn kept_along(&self, axis: usize) -> Range<usize> {
        let start = self.kept.first[axis] - self.from.first[axis];
        start..start + self.kept.size[axis]
    }

    fn along_x(&self) -> Vec<f32> {
        let (length, width) = (self.from.size[0], self.kept.size[0]);
        let kept = self.kept_along(0);
        let place =
            |row: usize| [1, 2].map(|a| [row % self.from.size[1], row / self.from.size[1]][a - 1] + self.from.first[a]);
        let rows: Vec<[usize; 2]> = (0..self.from.size[1] * self.from.size[2]).map(place).collect();
        let mut out = vec![0.0f32; self.kept.count()];
        let scratch = || Scratch::new(length);
        out.par_chunks_mut(width * LANES).zip(rows.par_chunks(LANES)).for_each_init(scratch, |scratch, (out, rows)| {
            if rows.iter().all(|&[y, z]| self.reach.share(1, y) + self.reach.share(2, z) > 1.0) {
                return;
            }
            // Where there are fewer rows left, the last one fills the lanes.
            let read: [Row; LANES] = std::array::from_fn(|lane| {
                let [y, z] = rows[lane.min(rows.len() - 1)];
                (self.read)([self.from.first[0], y, z], length)
            });
            scratch.set_rows(&read);
            scratch.run(&self.filter, kept.clone());
            let mut results = std::mem::take(&mut scratch.results);
            results.clear();
            results.extend(scratch.results(kept.clone()));
            for (lane, out) in out.chunks_exact_mut(width).enumerate() {
                out.iter_mut().zip(&results).for_each(|(out, lanes)| *out = lanes[lane]);
            }
            scratch.results = results;
        });
        out
    }

    fn across_x(&self, axis: usize) -> Vec<f32> {
        let other = 3 - axis;
        let (length, nx) = (self.from.size[axis], self.from.size[0]);
        let kept = self.kept_along(axis);
        let filter_plane = |scratch: &mut Scratch, plane: usize| {
            let mut out = vec![0.0f32; nx * kept.len()];
            let plane = plane + self.from.first[other];
            let columns = self.reach.columns(self.from, self.reach.share(other, plane));
            let along = self.from.first[axis]..self.from.first[axis] + length;
            let start_of = |i: usize| if axis == 1 { [columns.start, i, plane] } else { [columns.start, plane, i] };
            let rows: Vec<Row> = along.map(|i| (self.read)(start_of(i), columns.len())).collect();
            let last = columns.end.saturating_sub(LANES).max(columns.start);
            for first in columns.clone().step_by(LANES) {
                // Lines that were filtered before rather than fewer side by side.
                let first = first.min(last);
                let width = LANES.min(columns.end - first);
                let piece = first - columns.start..first - columns.start + width;
                for (lanes, row) in scratch.voxels.iter_mut().zip(&rows) {
                    match row {
                        Row::Stored(row) => fill(lanes, &row[piece.clone()]),
                        Row::Computed(row) => lanes[..width].copy_from_slice(&row[piece.clone()]),
                    }
                }
                scratch.run(&self.filter, kept.clone());
                let first = first - self.from.first[0];
                for (row, lanes) in out.chunks_exact_mut(nx).zip(scratch.results(kept.clone())) {
                    match row[first..first + width].first_chunk_mut() {
                        Some(row) => *row = lanes,
                        None => row[first..first + width].copy_from_slice(&lanes[..width]),
                    }
                }
            }
            out
        };
        let planes = (0..self.from.size[other]).into_par_iter();
        let filtered: Vec<Vec<f32>> = planes.map_init(|| Scratch::new(length), filter_plane).collect();
        if axis == 1 {
            return filtered.concat();
        }
        let mut out = Vec::with_capacity(self.kept.count());
        for z in 0..kept.len() {
            filtered.iter().for_each(|plane| out.extend_from_slice(&plane[z * nx..(z + 1) * nx]));
        }
        out
    }
}

/// Neighbouring voxels into as many lanes.
fn fill(lanes: &mut Lanes, voxels: &[f32]) {
    match voxels.first_chunk() {
        Some(voxels) => *lanes = voxels.map(f64::from),
        None => lanes.iter_mut().zip(voxels).for_each(|(lane, &v)| *lane = f64::from(v)),
    }
}

/// Lines side by side and room for their results.
struct Scratch {
    voxels: Vec<Lanes>,
    causal: Vec<Lanes>,
    anticausal: Vec<Lanes>,
    results: Vec<[f32; LANES]>,
}

impl Scratch {
    fn new(length: usize) -> Self {
        let lines = || vec![[0.0; LANES]; length];
        Self { voxels: lines(), causal: lines(), anticausal: lines(), results: Vec::new() }
    }

    /// Each of `rows` becomes a line.
    fn set_rows(&mut self, rows: &[Row; LANES]) {
        let stored = rows.each_ref().map(|row| match row {
            Row::Stored(row) => *row,
            Row::Computed(_) => &[],
        });
        if stored.iter().all(|row| row.len() == self.voxels.len()) {
            return interleave(stored, &mut self.voxels);
        }
        for (lane, row) in rows.iter().enumerate() {
            let lanes = self.voxels.iter_mut();
            match row {
                Row::Stored(row) => lanes.zip(*row).for_each(|(lanes, &v)| lanes[lane] = f64::from(v)),
                Row::Computed(row) => lanes.zip(row).for_each(|(lanes, &v)| lanes[lane] = v),
            }
        }
    }

    fn run(&mut self, filter: &RecursiveGaussian, kept: Range<usize>) {
        filter.filter(&self.voxels, kept, &mut self.causal, &mut self.anticausal);
    }

    /// The results at the positions `kept`, rounded to f32.
    fn results(&self, kept: Range<usize>) -> impl Iterator<Item = [f32; LANES]> + '_ {
        let pairs = self.causal[kept.clone()].iter().zip(&self.anticausal[kept]);
        pairs.map(|(causal, anticausal)| std::array::from_fn(|lane| (causal[lane] + anticausal[lane]) as f32))
    }
}

fn interleave(rows: [&[f32]; LANES], lines: &mut [Lanes]) {
    let rows = rows.map(|row| &row[..lines.len()]);
    for (i, lanes) in lines.iter_mut().enumerate() {
        *lanes = std::array::from_fn(|lane| f64::from(rows[lane][i]));
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    /// The Laplacian of the voxels of a box.
    fn laplacian(voxels: &[f32], size: [usize; 3], target: Bounds, margin: [usize; 3], sigma: f64) -> Vec<f32> {
        let image = Block { bounds: Bounds { first: [0; 3], size }, voxels: voxels.to_vec() };
        let whole = target.widened(margin, size);
        let reach = Reach { target, margin };
        sum_of_derivatives(&|voxel, length| image.row(voxel, length), whole, reach, [1.0; 3], sigma)
    }

    /// The value at the centre of a single bright voxel is that of the kernel, `-3 / (2π)^(3/2) / σ³` in 3-D times σ², to
    /// the 2 % that the recursive filter is good for.
    #[test]
    fn a_bright_voxel_gives_the_kernel() {
        let sigma = 3.0;
        let mut voxels = vec![0.0f32; 41 * 41 * 41];
        voxels[(20 * 41 + 20) * 41 + 20] = 1e6;
        let found = laplacian(&voxels, [41; 3], Bounds { first: [20; 3], size: [1; 3] }, [1000; 3], sigma);
        let expected = -3e6 / (2.0 * PI).powf(1.5) / sigma.powi(3);
        assert!((f64::from(found[0]) / expected - 1.0).abs() < 3e-2, "{} {expected}", found[0]);
    }

    #[test]
    fn what_lies_beyond_the_reach_changes_nothing() {
        let size = [110, 101, 96];
        let voxels: Vec<f32> =
            (0..110 * 101 * 96).map(|i: usize| ((i * i % 7919) * 31 % 1013) as f32 - 300.0).collect();
        let target = Bounds { first: [50, 45, 44], size: [9, 7, 6] };
        let reach = RecursiveGaussian::reach(1.0);
        assert!(reach < 44);
        assert_eq!(
            laplacian(&voxels, size, target, [reach; 3], 1.0),
            laplacian(&voxels, size, target, [100_000; 3], 1.0)
        );
    }
}
