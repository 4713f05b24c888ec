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
    let along = Along { source, size, voxel_from_target, shrink, fill };
    let [nx, ny, nz] = target_size;
    let mut voxels = vec![0.0; nx * ny * nz];
    voxels.par_chunks_mut(nx).enumerate().for_each(|(row, out)| match interpolation {
        Interpolation::Nearest => along.row::<1>(row % ny, row / ny, interpolation, out),
        Interpolation::Linear => along.row::<2>(row % ny, row / ny, interpolation, out),
        Interpolation::BSpline => along.row::<4>(row % ny, row / ny, interpolation, out),
    });
    voxels
}

/// What every row of the target needs.
struct Along<'a> {
    source: &'a [f32],
    size: [usize; 3],
    voxel_from_target: &'a Affine3,
    shrink: [f64; 3],
    fill: f32,
}

impl Along<'_> {
    /// Fills one row of the target; `SPAN` is the number of source voxels per axis that `interpolation` reads.
    fn row<const SPAN: usize>(&self, j: usize, k: usize, interpolation: Interpolation, out: &mut [f32]) {
        for (i, out) in out.iter_mut().enumerate() {
            let position = self.voxel_from_target.apply([i as f64, j as f64, k as f64]);
            let inside = (0..3).all(|a| taps::is_inside(position[a], self.size[a], self.shrink[a]));
            *out = if inside { self.at::<SPAN>(position, interpolation) } else { self.fill };
        }
    }

    /// The value at an inside position.
    #[inline(always)]
    fn at<const SPAN: usize>(&self, position: [f64; 3], interpolation: Interpolation) -> f32 {
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
                let line: f32 = (0..SPAN).map(|a| weights[0][a] * self.source[start + places[0][a]]).sum();
                sum += weights[2][c] * weights[1][b] * line;
            }
        }
        sum
    }
}
