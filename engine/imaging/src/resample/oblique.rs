use rayon::prelude::*;

use super::taps::{self, AxisTaps};
use super::{Interpolation, separable};
use crate::Affine3;

/// Resamples voxel by voxel onto a grid with other axes.
pub(super) fn evaluate(
    source: &[f32],
    size: [usize; 3],
    voxel_from_target: &Affine3,
    target_size: [usize; 3],
    interpolation: Interpolation,
    shrink: [f64; 3],
    fill: f32,
) -> Vec<f32> {
    let spline = interpolation == Interpolation::BSpline;
    let blurs = interpolation != Interpolation::Nearest;
    let blur = std::array::from_fn(|a| AxisTaps::blur(size[a], if blurs { shrink[a] } else { 1.0 }));
    let filtered = (spline || blur.iter().any(|axis| axis.width > 1))
        .then(|| separable::evaluate(source, size, &blur, spline, fill));
    let source = filtered.as_deref().unwrap_or(source);
    let [nx, ny, nz] = target_size;
    let mut voxels = vec![0.0; nx * ny * nz];
    voxels.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
        let [j, k] = [row % ny, row / ny].map(|index| index as f64);
        for (i, out) in out.iter_mut().enumerate() {
            let position = voxel_from_target.apply([i as f64, j, k]);
            *out = at(source, size, position, interpolation, shrink).unwrap_or(fill);
        }
    });
    voxels
}

/// The interpolated value at a voxel position, or `None` outside.
#[inline(always)]
fn at(
    source: &[f32],
    size: [usize; 3],
    position: [f64; 3],
    interpolation: Interpolation,
    shrink: [f64; 3],
) -> Option<f32> {
    if (0..3).any(|a| !taps::is_inside(position[a], size[a], shrink[a])) {
        return None;
    }
    let span = taps::span(interpolation);
    let kernels: [(i64, [f64; 4]); 3] = std::array::from_fn(|a| taps::kernel(position[a], size[a], interpolation));
    let place = |a: usize, tap: usize| taps::mirrored(kernels[a].0 + tap as i64, size[a]);
    let columns: [usize; 4] = std::array::from_fn(|tap| if tap < span { place(0, tap) } else { 0 });
    let mut sum = 0.0;
    for c in 0..span {
        let mut slice = 0.0;
        for b in 0..span {
            let row = &source[(place(2, c) * size[1] + place(1, b)) * size[0]..][..size[0]];
            let line: f64 = (0..span).map(|a| kernels[0].1[a] * f64::from(row[columns[a]])).sum();
            slice += kernels[1].1[b] * line;
        }
        sum += kernels[2].1[c] * slice;
    }
    Some(sum as f32)
}
