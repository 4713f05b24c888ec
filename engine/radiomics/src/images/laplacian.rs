use std::ops::Range;

use isoscan_imaging::Geometry;
use rayon::prelude::*;

use super::recursive_gaussian::{LANES, Lanes, ORDER, RecursiveGaussian};
use crate::image::{Bounds, Image, Row};
use crate::roi::Roi;

/// Smallest number of voxels along every axis.
const SMALLEST_SIZE: usize = 4;

/// Whether an image is large enough for the Laplacian of a Gaussian of `sigma_mm`: 4 voxels along every axis, and one
/// more than the standard deviation spans.
pub(super) fn fits(geometry: &Geometry, sigma_mm: f64) -> bool {
    let (size, spacing_mm) = (geometry.size(), geometry.spacing_mm());
    (0..3).all(|a| size[a] >= SMALLEST_SIZE && size[a] as f64 >= (sigma_mm / spacing_mm[a]).ceil() + 1.0)
}

/// The Laplacian of a Gaussian of `sigma_mm`, times `sigma_mm²`, at the voxels of `target` in its box, in f32 as ITK computes
/// it; elsewhere in the box it is not followed to the end.
///
/// For each axis: the second derivative along it, then smoothing along the others in order; each pass is rounded to
/// f32, the sum over the axes too. Only voxels that change the target are filtered: see [`Reach`].
pub(super) fn laplacian_of_gaussian(image: &Image, target: &Roi, sigma_mm: f64) -> Vec<f32> {
    let geometry = image.geometry();
    let margin = geometry.spacing_mm().map(|spacing| RecursiveGaussian::reach(sigma_mm / spacing));
    let whole = Bounds::of(target).widened(margin, geometry.size());
    let reach = Reach { target, margin };
    sum_of_derivatives(&|voxel, length| image.row(voxel, length), whole, reach, geometry.spacing_mm(), sigma_mm)
}

/// Reads a number of voxels from one on along x.
type Read<'a> = &'a (dyn Fn([usize; 3], usize) -> Row<'a> + Sync);

fn sum_of_derivatives(read: Read, whole: Bounds, reach: Reach, spacing_mm: [f64; 3], sigma_mm: f64) -> Vec<f32> {
    let of_axis = |axis: usize| {
        let others: Vec<usize> = (0..3).filter(|&other| other != axis).collect();
        let curved = RecursiveGaussian::second_derivative(sigma_mm / spacing_mm[axis], sigma_mm * sigma_mm);
        let mut block = filtered(read, whole, reach, axis, &others, curved);
        for (done, &other) in others.iter().enumerate() {
            let smoothing = RecursiveGaussian::smoothing(sigma_mm / spacing_mm[other]);
            let still = &others[done + 1..];
            block = filtered(&|voxel, length| block.row(voxel, length), block.bounds, reach, other, still, smoothing);
        }
        block.voxels
    };
    let derivatives: Vec<Vec<f32>> = (0..3usize).into_par_iter().map(of_axis).collect();
    let mut sum = vec![0.0f32; Bounds::of(reach.target).count()];
    for (derivative, spacing) in derivatives.iter().zip(spacing_mm) {
        let scale = 1.0 / (spacing * spacing);
        sum.iter_mut().zip(derivative).for_each(|(sum, &v)| *sum = (f64::from(*sum) + f64::from(v) * scale) as f32);
    }
    sum
}

/// Sum of the shares beyond which a voxel is left out. More voxels lie at one distance around a region than before the ends
/// of a line: hence 2^-54 of the influence where [`RecursiveGaussian::reach`] has 2^-50.
const FARTHEST: f64 = 1.08;

/// Which voxels change a result in `target`.
///
/// Along each axis the influence of a voxel falls by the same factor over `margin`, so along several the shares of the
/// margins add up: beyond a sum of [`FARTHEST`] a voxel is left out.
#[derive(Clone, Copy)]
struct Reach<'a> {
    target: &'a Roi,
    margin: [usize; 3],
}

impl Reach<'_> {
    /// For every line of `from` along `axis`, the lower of the other axes fastest: how far it is from the nearest line that
    /// holds a voxel of the target, as the sum of the shares of the margins along the axes `still` to be filtered.
    fn shares(&self, from: Bounds, axis: usize, still: &[usize]) -> Vec<f64> {
        let [fast, slow] = [[1, 2], [0, 2], [0, 1]][axis];
        let width = from.size[fast];
        let [x, y, z]: [usize; 3] = std::array::from_fn(|a| self.target.first[a] - from.first[a]);
        let mut shares = vec![f64::INFINITY; width * from.size[slow]];
        for run in self.target.runs() {
            let (y, z) = (y + run.row % self.target.size[1], z + run.row / self.target.size[1]);
            match axis {
                0 => shares[z * width + y] = 0.0,
                1 => shares[z * width + x..][run.start..run.end].fill(0.0),
                _ => shares[y * width + x..][run.start..run.end].fill(0.0),
            }
        }
        let step = |axis: usize| 1.0 / self.margin[axis] as f64;
        if still.contains(&fast) {
            shares.chunks_exact_mut(width).for_each(|line| spread(line, 1, step(fast)));
        }
        if still.contains(&slow) {
            spread(&mut shares, width, step(slow));
        }
        shares
    }
}

/// Takes each of `shares` down to `step` more than that of either neighbour `stride` away.
fn spread(shares: &mut [f64], stride: usize, step: f64) {
    for at in stride..shares.len() {
        shares[at] = shares[at].min(shares[at - stride] + step);
    }
    for at in (stride..shares.len()).rev() {
        shares[at - stride] = shares[at - stride].min(shares[at] + step);
    }
}

fn least(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(f64::INFINITY, f64::min)
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

/// Filters every line of the box `from` along `axis` that changes the target, with the axes `still` to be filtered after it,
/// and keeps its part in the target's box.
fn filtered(read: Read, from: Bounds, reach: Reach, axis: usize, still: &[usize], filter: RecursiveGaussian) -> Block {
    let mut bounds = from;
    (bounds.first[axis], bounds.size[axis]) = (reach.target.first[axis], reach.target.size[axis]);
    let shares = reach.shares(from, axis, still);
    let lines = Lines { read, axis, from, kept: bounds, margin: reach.margin[axis], shares, filter };
    Block { bounds, voxels: if axis == 0 { lines.along_x() } else { lines.across_x() } }
}

struct Lines<'a> {
    read: Read<'a>,
    axis: usize,
    from: Bounds,
    kept: Bounds,
    margin: usize,
    /// Of every line: see [`Reach::shares`].
    shares: Vec<f64>,
    filter: RecursiveGaussian,
}

/// Part of a line.
struct Part {
    /// Voxels of the image along the axis.
    along: Range<usize>,
    /// Those of them that are kept, counted from the first.
    kept: Range<usize>,
}

impl Lines<'_> {
    /// What changes the target of a line at `share`; `None` when nothing does.
    fn part(&self, share: f64) -> Option<Part> {
        if share > FARTHEST {
            return None;
        }
        let margin = ((self.margin as f64 * (FARTHEST - share)).ceil() as usize).max(ORDER);
        let [first, size] = [self.kept.first[self.axis], self.kept.size[self.axis]];
        let end = self.from.first[self.axis] + self.from.size[self.axis];
        let along = first.saturating_sub(margin).max(self.from.first[self.axis])..(first + size + margin).min(end);
        let kept = first - along.start..first - along.start + size;
        Some(Part { along, kept })
    }

    fn along_x(&self) -> Vec<f32> {
        let (width, ny) = (self.kept.size[0], self.from.size[1]);
        let mut out = vec![0.0f32; self.kept.count()];
        let blocks = out.par_chunks_mut(width * LANES).zip(self.shares.par_chunks(LANES)).enumerate();
        blocks.for_each_init(
            || Scratch::new(self.from.size[0]),
            |scratch, (block, (out, shares))| {
                let Some(Part { along, kept }) = self.part(least(shares)) else { return };
                // Where there are fewer rows left, the last one fills the lanes.
                let read: [Row; LANES] = std::array::from_fn(|lane| {
                    let row = block * LANES + lane.min(shares.len() - 1);
                    (self.read)(
                        [along.start, self.from.first[1] + row % ny, self.from.first[2] + row / ny],
                        along.len(),
                    )
                });
                scratch.set_rows(&read, along.len());
                scratch.run(&self.filter, along.len(), kept.clone());
                let mut results = std::mem::take(&mut scratch.results);
                results.clear();
                results.extend(scratch.results(kept));
                for (lane, out) in out.chunks_exact_mut(width).enumerate() {
                    out.iter_mut().zip(&results).for_each(|(out, lanes)| *out = lanes[lane]);
                }
                scratch.results = results;
            },
        );
        out
    }

    fn across_x(&self) -> Vec<f32> {
        let (axis, other) = (self.axis, 3 - self.axis);
        let (nx, height) = (self.from.size[0], self.kept.size[axis]);
        let filter_plane = |scratch: &mut Scratch, plane: usize| {
            let mut out = vec![0.0f32; nx * height];
            let shares = &self.shares[plane * nx..(plane + 1) * nx];
            let reached = |share: &f64| *share <= FARTHEST;
            let (Some(widest), Some(start), Some(last)) =
                (self.part(least(shares)), shares.iter().position(reached), shares.iter().rposition(reached))
            else {
                return out;
            };
            let plane = plane + self.from.first[other];
            let x = self.from.first[0] + start;
            let start_of = |i: usize| if axis == 1 { [x, i, plane] } else { [x, plane, i] };
            let rows: Vec<Row> = widest.along.clone().map(|i| (self.read)(start_of(i), last + 1 - start)).collect();
            let width = LANES.min(last + 1 - start);
            let last = last + 1 - width;
            for first in (start..last + width).step_by(LANES) {
                // Lines that were filtered before rather than fewer side by side.
                let first = first.min(last);
                let Some(Part { along, kept }) = self.part(least(&shares[first..first + width])) else { continue };
                let piece = first - start..first - start + width;
                let rows = &rows[along.start - widest.along.start..][..along.len()];
                for (lanes, row) in scratch.voxels.iter_mut().zip(rows) {
                    match row {
                        Row::Stored(row) => fill(lanes, &row[piece.clone()]),
                        Row::Computed(row) => lanes[..width].copy_from_slice(&row[piece.clone()]),
                    }
                }
                scratch.run(&self.filter, along.len(), kept.clone());
                for (row, lanes) in out.chunks_exact_mut(nx).zip(scratch.results(kept)) {
                    match row[first..first + width].first_chunk_mut() {
                        Some(row) => *row = lanes,
                        None => row[first..first + width].copy_from_slice(&lanes[..width]),
                    }
                }
            }
            out
        };
        let planes = (0..self.from.size[other]).into_par_iter();
        let filtered: Vec<Vec<f32>> = planes.map_init(|| Scratch::new(self.from.size[axis]), filter_plane).collect();
        if axis == 1 {
            return filtered.concat();
        }
        let mut out = Vec::with_capacity(self.kept.count());
        for z in 0..height {
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

    /// Each of `rows` becomes a line of `length` voxels.
    fn set_rows(&mut self, rows: &[Row; LANES], length: usize) {
        let voxels = &mut self.voxels[..length];
        let stored = rows.each_ref().map(|row| match row {
            Row::Stored(row) => *row,
            Row::Computed(_) => &[],
        });
        if stored.iter().all(|row| row.len() == length) {
            return interleave(stored, voxels);
        }
        for (lane, row) in rows.iter().enumerate() {
            let lanes = voxels.iter_mut();
            match row {
                Row::Stored(row) => lanes.zip(*row).for_each(|(lanes, &v)| lanes[lane] = f64::from(v)),
                Row::Computed(row) => lanes.zip(row).for_each(|(lanes, &v)| lanes[lane] = v),
            }
        }
    }

    /// Filters lines of `length` voxels.
    fn run(&mut self, filter: &RecursiveGaussian, length: usize, kept: Range<usize>) {
        let [voxels, causal, anticausal] = [&mut self.voxels, &mut self.causal, &mut self.anticausal];
        filter.filter(&voxels[..length], kept, &mut causal[..length], &mut anticausal[..length]);
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

    /// The Laplacian of voxels 1 mm apart.
    fn laplacian(voxels: &[f32], size: [usize; 3], target: &Roi, margin: [usize; 3], sigma: f64) -> Vec<f32> {
        let image = Block { bounds: Bounds { first: [0; 3], size }, voxels: voxels.to_vec() };
        let whole = Bounds::of(target).widened(margin, size);
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
        let found = laplacian(&voxels, [41; 3], &Roi::of_box([20; 3], [1; 3]), [1000; 3], sigma);
        let expected = -3e6 / (2.0 * PI).powf(1.5) / sigma.powi(3);
        assert!((f64::from(found[0]) / expected - 1.0).abs() < 3e-2, "{} {expected}", found[0]);
    }

    /// Of a box, and of a bar from one of its corners to the opposite one.
    #[test]
    fn what_lies_beyond_the_reach_changes_nothing() {
        let size = [110, 101, 96];
        let voxels: Vec<f32> =
            (0..110 * 101 * 96).map(|i: usize| ((i * i % 7919) * 31 % 1013) as f32 - 300.0).collect();
        let whole = Roi::of_box([50, 45, 44], [9, 7, 6]);
        let bar =
            (0..9 * 7 * 6usize).map(|i| (i % 9 / 2, i / 9 % 7, i / 63)).map(|(x, y, z)| x.abs_diff(y) <= 1 && y == z);
        let bar = Roi { inside: bar.collect(), ..whole.clone() };
        let reach = RecursiveGaussian::reach(1.0);
        assert!(reach < 44 && bar.count() > 6);
        for target in [whole, bar] {
            let of = |margin: usize| {
                let found = laplacian(&voxels, size, &target, [margin; 3], 1.0);
                target.inside_of(&found.into_iter().map(f64::from).collect::<Vec<_>>())
            };
            assert_eq!(of(reach), of(100_000));
        }
    }
}
