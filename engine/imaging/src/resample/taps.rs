use std::ops::Range;

use super::{Interpolation, spline};

/// Where each target voxel of one axis takes its value: `width` neighbouring source voxels and their weights.
///
/// Blur and interpolation kernel are folded into one row of weights; what falls outside the axis is folded back by
/// mirroring about the centres of the edge voxels.
#[derive(Debug, Clone)]
pub(super) struct AxisTaps {
    pub(super) width: usize,
    /// First source voxel for each target voxel; `start + width` is within the axis.
    pub(super) start: Vec<usize>,
    /// `width` weights for each target voxel.
    pub(super) weights: Vec<f32>,
    /// The target voxels that lie inside the source axis.
    pub(super) inside: Range<usize>,
}

impl AxisTaps {
    /// `positions` are source voxel coordinates, monotonic; `size` the source voxels of the axis; `shrink` the width of
    /// a target voxel in source voxels, at least 1; `blur` the width that a source voxel is blurred to first.
    pub(super) fn new(
        positions: impl Iterator<Item = f64>,
        size: usize,
        interpolation: Interpolation,
        shrink: f64,
        blur: f64,
    ) -> Self {
        Self::with_bell(positions, size, interpolation, shrink, &bell(blur, size))
    }

    /// [`AxisTaps::new`] for samples instead of B-spline coefficients: the inverse filter, cut at 1e-8, is in the weights.
    pub(super) fn with_inverse(positions: impl Iterator<Item = f64>, size: usize, shrink: f64, blur: f64) -> Self {
        let (bell, inverse) = (bell(blur, size), spline::inverse());
        let at = |half: &[f64], i: i64| half.get(i.unsigned_abs() as usize).copied().unwrap_or(0.0);
        let reach = (bell.len() + inverse.len() - 2) as i64;
        let far = bell.len() as i64 - 1;
        let both = (0..=reach).map(|i| (-far..=far).map(|j| at(&bell, j) * at(&inverse, i - j)).sum());
        Self::with_bell(positions, size, Interpolation::BSpline, shrink, &both.collect::<Vec<f64>>())
    }

    /// The target voxels are the source voxels: only the blur remains.
    pub(super) fn blur(size: usize, shrink: f64) -> Self {
        Self::with_bell((0..size).map(|i| i as f64), size, Interpolation::Nearest, 1.0, &bell(shrink, size))
    }

    fn with_bell(
        positions: impl Iterator<Item = f64>,
        size: usize,
        interpolation: Interpolation,
        shrink: f64,
        bell: &[f64],
    ) -> Self {
        let reach = bell.len() - 1;
        let span = span(interpolation);
        let width = (span + 2 * reach).min(size);
        let mut taps = Self { width, start: Vec::new(), weights: Vec::new(), inside: 0..0 };
        let mut row = vec![0.0; width];
        for (target, position) in positions.enumerate() {
            if !is_inside(position, size, shrink) {
                taps.start.push(0);
                taps.weights.extend(std::iter::repeat_n(0.0, width));
                continue;
            }
            if taps.inside.is_empty() {
                taps.inside = target..target;
            }
            taps.inside.end = target + 1;
            let (first, kernel) = kernel(position, size, interpolation);
            let start = (first - reach as i64).clamp(0, (size - width) as i64) as usize;
            row.fill(0.0);
            for (i, weight) in kernel[..span].iter().enumerate() {
                for offset in -(reach as i64)..=reach as i64 {
                    let voxel = mirrored(first + i as i64 + offset, size);
                    row[voxel - start] += weight * bell[offset.unsigned_abs() as usize];
                }
            }
            taps.start.push(start);
            taps.weights.extend(row.iter().map(|w| *w as f32));
        }
        taps
    }

    /// The target voxels `targets` alone, on source voxels counted from `first`.
    pub(super) fn part(&self, targets: Range<usize>, first: usize) -> Self {
        let shifted = |range: &Range<usize>| {
            let within = |i: usize| i.clamp(targets.start, targets.end) - targets.start;
            within(range.start)..within(range.end)
        };
        Self {
            width: self.width,
            start: self.start[targets.clone()].iter().map(|start| start.saturating_sub(first)).collect(),
            weights: self.weights[targets.start * self.width..targets.end * self.width].to_vec(),
            inside: shifted(&self.inside),
        }
    }

    pub(super) fn weights_of(&self, target: usize) -> &[f32] {
        &self.weights[target * self.width..][..self.width]
    }

    /// The source voxels that any inside target voxel of `targets` reads.
    pub(super) fn needed_by(&self, targets: Range<usize>) -> Range<usize> {
        let (first, end) = (targets.start.max(self.inside.start), targets.end.min(self.inside.end));
        let starts = &self.start[first..end.max(first)];
        let (Some(first), Some(last)) = (starts.iter().min(), starts.iter().max()) else { return 0..0 };
        *first..*last + self.width
    }
}

/// Number of source voxels that an interpolation reads along an axis.
pub(super) fn span(interpolation: Interpolation) -> usize {
    match interpolation {
        Interpolation::Nearest => 1,
        Interpolation::Linear => 2,
        Interpolation::BSpline => 4,
        Interpolation::Lanczos3 => 6,
        Interpolation::Lanczos4 => 8,
        Interpolation::Lanczos5 => MAX_SPAN,
    }
}

/// The largest span.
pub(super) const MAX_SPAN: usize = 10;

/// Whether a target voxel at `position` belongs to the axis; a millionth of a voxel is left for rounding.
#[inline(always)]
pub(super) fn is_inside(position: f64, size: usize, shrink: f64) -> bool {
    let edge = 0.5 * shrink + 1e-6;
    position >= -edge && position <= size as f64 - 1.0 + edge
}

/// First voxel and weights of the interpolation at an inside `position`; the voxels may lie beyond the axis.
#[inline(always)]
pub(super) fn kernel(position: f64, size: usize, interpolation: Interpolation) -> (i64, [f64; MAX_SPAN]) {
    let last = (size - 1) as f64;
    let mut weights = [0.0; MAX_SPAN];
    let first = match interpolation {
        Interpolation::Nearest => {
            weights[0] = 1.0;
            // The shift makes a tie that suffers from rounding still a tie.
            floor(position + 0.5 + 1e-9).clamp(0, size as i64 - 1)
        }
        Interpolation::Linear => {
            let clamped = position.clamp(0.0, last);
            // From the last centre the two voxels are the last two; an axis of one voxel mirrors onto itself.
            let first = floor(clamped).min((size as i64 - 2).max(0));
            let part = clamped - first as f64;
            weights[..2].copy_from_slice(&[1.0 - part, part]);
            first
        }
        Interpolation::BSpline => {
            let floor = floor(position);
            let t = position - floor as f64;
            let s = 1.0 - t;
            let middle = |u: f64| 2.0 / 3.0 - u * u * (1.0 - u / 2.0);
            weights[..4].copy_from_slice(&[s * s * s / 6.0, middle(t), middle(s), t * t * t / 6.0]);
            floor - 1
        }
        Interpolation::Lanczos3 | Interpolation::Lanczos4 | Interpolation::Lanczos5 => {
            let floor = floor(position);
            let lobes = span(interpolation) / 2;
            lanczos(position - floor as f64, lobes, &mut weights[..2 * lobes]);
            floor + 1 - lobes as i64
        }
    };
    (first, weights)
}

/// `L(x) = sinc(x) sinc(x / a)` at the `2 a` voxels around a point `part` behind voxel `a - 1` of them, sum one.
fn lanczos(part: f64, lobes: usize, weights: &mut [f64]) {
    use std::f64::consts::PI;
    let sinc = |x: f64| if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) };
    for (tap, weight) in weights.iter_mut().enumerate() {
        let x = part + (lobes - 1) as f64 - tap as f64;
        *weight = sinc(x) * sinc(x / lobes as f64);
    }
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
}

/// `f64::floor` is a library call on the oldest x86-64 processors; this is not.
#[inline(always)]
fn floor(position: f64) -> i64 {
    let toward_zero = position as i64;
    toward_zero - i64::from(position < toward_zero as f64)
}

/// The voxel that `index` mirrors to about the centres of the edge voxels: `2 1 | 0 1 2 | 1 0`.
#[inline(always)]
pub(super) fn mirrored(index: i64, size: usize) -> usize {
    let last = size as i64 - 1;
    if (0..=last).contains(&index) {
        return index as usize;
    }
    if last == 0 {
        return 0;
    }
    let place = index.rem_euclid(2 * last);
    place.min(2 * last - place) as usize
}

/// One side of the sampled Gaussian that widens a voxel `shrink` times, centre first; the two sides together sum to one.
fn bell(shrink: f64, size: usize) -> Vec<f64> {
    let variance = (shrink * shrink - 1.0) / (8.0 * std::f64::consts::LN_2);
    let weight = |i: usize| (-0.5 * (i * i) as f64 / variance).exp();
    // Beyond twice the axis the mirror image only repeats itself.
    let reach = if variance > 0.0 { ((4.0 * variance.sqrt()).ceil() as usize).min(2 * size) } else { 0 };
    let mut bell: Vec<f64> = std::iter::once(1.0).chain((1..=reach).map(weight).take_while(|w| *w >= 1e-6)).collect();
    let total = 1.0 + 2.0 * bell[1..].iter().sum::<f64>();
    bell.iter_mut().for_each(|w| *w /= total);
    bell
}
