use std::ops::Range;

use rayon::prelude::*;

use super::taps::{self, AxisTaps};
use super::{Interpolation, separable};
use crate::Affine3;

/// Resamples voxel by voxel onto a grid with other axes; `blur` is how many source voxels wide the source is made first.
pub(super) fn evaluate(
    source: &[f32],
    size: [usize; 3],
    along: &Along,
    target_size: [usize; 3],
    interpolation: Interpolation,
    blur: [f64; 3],
) -> Vec<f32> {
    let spline = interpolation == Interpolation::BSpline;
    let blur = std::array::from_fn(|a| AxisTaps::blur(size[a], blur[a]));
    let filtered = (spline || blur.iter().any(|axis| axis.width > 1))
        .then(|| separable::evaluate(source, size, &blur, spline, along.fill));
    let grid = Grid { values: filtered.as_deref().unwrap_or(source), size };
    let [nx, ny, nz] = target_size;
    let mut voxels = vec![0.0; nx * ny * nz];
    voxels.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
        let line = along.line(size, row % ny, row / ny);
        match interpolation {
            Interpolation::Nearest => fill_row::<1>(grid, &line, interpolation, out, |p| grid.nearest(p)),
            Interpolation::Linear => fill_row::<2>(grid, &line, interpolation, out, |p| grid.linear(p)),
            Interpolation::BSpline => fill_row::<4>(grid, &line, interpolation, out, |p| grid.spline(p)),
            Interpolation::Lanczos3 => {
                fill_row::<6>(grid, &line, interpolation, out, |p| grid.at::<6>(p, interpolation))
            }
            Interpolation::Lanczos4 => {
                fill_row::<8>(grid, &line, interpolation, out, |p| grid.at::<8>(p, interpolation))
            }
            Interpolation::Lanczos5 => {
                fill_row::<10>(grid, &line, interpolation, out, |p| grid.at::<10>(p, interpolation));
            }
        }
    });
    voxels
}

/// How the target runs through the source.
pub(super) struct Along {
    pub(super) voxel_from_target: Affine3,
    pub(super) shrink: [f64; 3],
    pub(super) fill: f32,
}

impl Along {
    fn line(&self, size: [usize; 3], j: usize, k: usize) -> Line {
        let start = self.voxel_from_target.apply([0.0, j as f64, k as f64]);
        let step = self.voxel_from_target.matrix.map(|row| row[0]);
        Line { start, step, size, shrink: self.shrink, fill: self.fill }
    }
}

/// One row of the target as a line through the source.
struct Line {
    start: [f64; 3],
    step: [f64; 3],
    size: [usize; 3],
    shrink: [f64; 3],
    fill: f32,
}

impl Line {
    #[inline(always)]
    fn position(&self, i: usize) -> [f64; 3] {
        std::array::from_fn(|a| self.start[a] + self.step[a] * i as f64)
    }

    fn is_inside(&self, i: usize) -> bool {
        let position = self.position(i);
        (0..3).all(|a| taps::is_inside(position[a], self.size[a], self.shrink[a]))
    }

    /// The part of `0..count` whose `span` neighbours along each axis all lie in the source.
    fn interior(&self, span: usize, count: usize) -> Range<usize> {
        let before = (span / 2).max(1) as f64 - 1.0;
        // A little less than all: see `floor`.
        let after = span as f64 / 2.0 + 1e-6;
        let fits = |i: usize| {
            let position = self.position(i);
            (0..3).all(|a| position[a] >= before && position[a] < self.size[a] as f64 - after)
        };
        let (mut low, mut high) = (0.0f64, count as f64);
        for a in 0..3 {
            let ends = [before, self.size[a] as f64 - after].map(|end| (end - self.start[a]) / self.step[a]);
            if self.step[a] != 0.0 {
                low = low.max(ends[0].min(ends[1]));
                high = high.min(ends[0].max(ends[1]));
            }
        }
        // Each axis' positions rise or fall along the line, so a range whose ends fit fits as a whole.
        let mut range = low.ceil() as usize..(high.floor() + 1.0).clamp(0.0, count as f64) as usize;
        while !range.is_empty() && !fits(range.start) {
            range.start += 1;
        }
        while !range.is_empty() && !fits(range.end - 1) {
            range.end -= 1;
        }
        if range.is_empty() { 0..0 } else { range }
    }
}

/// Fills a row: `inner` where every neighbour exists, mirrored neighbours near the border, `fill` beyond.
#[inline(always)]
fn fill_row<const SPAN: usize>(
    grid: Grid<'_>,
    line: &Line,
    interpolation: Interpolation,
    out: &mut [f32],
    inner: impl Fn([f64; 3]) -> f32,
) {
    let interior = line.interior(SPAN, out.len());
    let border = |i: usize| {
        if line.is_inside(i) { grid.at::<SPAN>(line.position(i), interpolation) } else { line.fill }
    };
    for i in (0..interior.start).chain(interior.end..out.len()) {
        out[i] = border(i);
    }
    for i in interior {
        out[i] = inner(line.position(i));
    }
}

/// Values `[z, y, x]`, x fastest.
#[derive(Clone, Copy)]
struct Grid<'a> {
    values: &'a [f32],
    size: [usize; 3],
}

impl Grid<'_> {
    /// The value at any inside position.
    #[inline(always)]
    fn at<const SPAN: usize>(self, position: [f64; 3], interpolation: Interpolation) -> f32 {
        let mut weights = [[0.0f32; SPAN]; 3];
        let mut places = [[0usize; SPAN]; 3];
        let strides = [1, self.size[0], self.size[0] * self.size[1]];
        for a in 0..3 {
            let (first, kernel) = taps::kernel(position[a], self.size[a], interpolation);
            for tap in 0..SPAN {
                weights[a][tap] = kernel[tap] as f32;
                places[a][tap] = taps::mirrored(first + tap as i64, self.size[a]) * strides[a];
            }
        }
        let mut sum = 0.0;
        for c in 0..SPAN {
            for b in 0..SPAN {
                let start = places[2][c] + places[1][b];
                let line: f32 = (0..SPAN).map(|a| weights[0][a] * self.values[start + places[0][a]]).sum();
                sum += weights[2][c] * weights[1][b] * line;
            }
        }
        sum
    }

    /// The voxel at `whole` and the rest of an interior position.
    #[inline(always)]
    fn place(self, position: [f64; 3], before: usize) -> (usize, [f32; 3]) {
        let whole = position.map(floor);
        let part = std::array::from_fn(|a| (position[a] - whole[a] as f64) as f32);
        let [x, y, z] = whole.map(|w| w - before);
        ((z * self.size[1] + y) * self.size[0] + x, part)
    }

    #[inline(always)]
    fn nearest(self, position: [f64; 3]) -> f32 {
        // The shift is that of `taps::kernel`.
        self.values[self.place(position.map(|p| p + 0.5 + 1e-9), 0).0]
    }

    #[inline(always)]
    fn linear(self, position: [f64; 3]) -> f32 {
        let (start, [x, y, z]) = self.place(position, 0);
        let (row, slice) = (self.size[0], self.size[0] * self.size[1]);
        let along_x = |start: usize| {
            let pair = &self.values[start..start + 2];
            (1.0 - x) * pair[0] + x * pair[1]
        };
        let along_y = |start: usize| (1.0 - y) * along_x(start) + y * along_x(start + row);
        (1.0 - z) * along_y(start) + z * along_y(start + slice)
    }

    #[inline(always)]
    fn spline(self, position: [f64; 3]) -> f32 {
        let (start, part) = self.place(position, 1);
        let [x, y, z] = part.map(spline_weights);
        let mut sums = [0.0f32; 4];
        for (c, weight_z) in z.into_iter().enumerate() {
            for (b, weight_y) in y.into_iter().enumerate() {
                let first = start + (c * self.size[1] + b) * self.size[0];
                let (weight, line) = (weight_z * weight_y, &self.values[first..first + 4]);
                for a in 0..4 {
                    sums[a] += weight * line[a];
                }
            }
        }
        (sums[0] * x[0] + sums[1] * x[1]) + (sums[2] * x[2] + sums[3] * x[3])
    }
}

/// The whole part of an interior position, of one that is less than 1e-9 below a whole number that number: the sum with
/// 1.5 · 2^52 has it in its low bits, which is far quicker than a checked conversion.
#[inline(always)]
fn floor(position: f64) -> usize {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    (position - (0.5 - 1e-9) + SHIFT).to_bits() as u32 as usize
}

/// The cubic B-spline at `t + 1`, `t`, `1 - t`, `2 - t`.
#[inline(always)]
fn spline_weights(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    let middle = |u: f32| 2.0 / 3.0 - u * u * (1.0 - u / 2.0);
    [s * s * s / 6.0, middle(t), middle(s), t * t * t / 6.0]
}
