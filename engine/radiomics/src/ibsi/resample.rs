use isoscan_imaging::{Geometry, Mask, Volume};
use rayon::prelude::*;

use super::settings::{ImageInterpolation, MaskInterpolation, Resampling};
use crate::Error;
use crate::interpolate::{SPLINE_REACH, filter_axis, mirror, spline_weights};
use crate::roi::Roi;

/// Room for rounding in the comparison of an interpolated mask with its threshold.
const THRESHOLD_TOLERANCE: f64 = 1e-9;

/// Corner and size of a box of voxels, x, y, z.
pub(super) type Box3 = ([usize; 3], [usize; 3]);

/// The grid interpolated to and its axes on the old one.
pub(super) struct NewGrid {
    pub(super) geometry: Geometry,
    axes: [Axis; 3],
}

/// Voxel i of the new axis lies at the old index `offset + i * ratio`.
#[derive(Debug, Clone, Copy)]
struct Axis {
    old: usize,
    new: usize,
    ratio: f64,
    offset: f64,
}

impl Axis {
    /// ⌈n·s/s'⌉ voxels around the common centre. The quotient is rounded at 1e-9 first, so that 10 voxels of 0.3 mm are
    /// exactly 3 of 1 mm.
    fn new(old: usize, spacing_mm: f64, new_spacing_mm: f64) -> Self {
        if new_spacing_mm == 0.0 || new_spacing_mm == spacing_mm {
            return Self { old, new: old, ratio: 1.0, offset: 0.0 };
        }
        let ratio = new_spacing_mm / spacing_mm;
        let new = ((old as f64 / ratio - 1e-9).ceil() as usize).max(1);
        Self { old, new, ratio, offset: ((old as f64 - 1.0) - (new as f64 - 1.0) * ratio) / 2.0 }
    }

    fn is_kept(&self) -> bool {
        self.ratio == 1.0
    }

    fn position(&self, index: usize) -> f64 {
        self.offset + index as f64 * self.ratio
    }

    /// New voxels that lie less than one old voxel from the old voxels `first..first + size`.
    fn around(&self, first: usize, size: usize) -> (usize, usize) {
        let index = |old: f64| (old - self.offset) / self.ratio;
        let low = index(first as f64 - 1.0).ceil().clamp(0.0, self.new as f64 - 1.0) as usize;
        let high = index((first + size) as f64).floor().clamp(0.0, self.new as f64 - 1.0) as usize;
        (low, high.max(low) - low + 1)
    }

    /// Old voxels that the new voxels `first..first + size` are computed from, reaching `margin` further.
    fn source(&self, first: usize, size: usize, margin: i64) -> (usize, usize) {
        let last = self.old as i64 - 1;
        let margin = if self.is_kept() { 0 } else { margin };
        let low = (self.position(first).floor() as i64 - margin).clamp(0, last);
        let high = (self.position(first + size - 1).ceil() as i64 + margin).clamp(0, last);
        (low as usize, (high - low + 1) as usize)
    }

    /// Weights of the old voxels, counted from `source_first`, for each of the new voxels `first..first + size`.
    fn taps(&self, method: ImageInterpolation, target: (usize, usize), source_first: usize) -> Taps {
        let last = self.old as f64 - 1.0;
        let voxel = |index: i64, weight: f64| (mirror(index, self.old as i64) as usize - source_first, weight);
        let of = |index: usize| {
            let position = self.position(index);
            if self.is_kept() {
                return vec![(index - source_first, 1.0)];
            }
            let base = position.floor();
            match method {
                ImageInterpolation::Nearest => vec![voxel((position.clamp(0.0, last) + 0.5).floor() as i64, 1.0)],
                ImageInterpolation::Linear => {
                    let position = position.clamp(0.0, last);
                    let (base, share) = (position.floor(), position.fract());
                    let pair = [(base as i64, 1.0 - share), (base as i64 + 1, share)];
                    pair.into_iter().filter(|(_, w)| *w > 0.0).map(|(i, w)| voxel(i, w)).collect()
                }
                ImageInterpolation::CubicSpline => {
                    let weights = spline_weights(position - base);
                    (-1..).zip(weights).map(|(step, w)| voxel(base as i64 + step, w)).collect()
                }
            }
        };
        Taps((target.0..target.0 + target.1).map(of).collect())
    }
}

/// For each new voxel the old voxels it is a weighted sum of.
struct Taps(Vec<Vec<(usize, f64)>>);

impl NewGrid {
    /// # Errors
    /// [`Error::Imaging`] when no such grid can exist.
    pub(super) fn of(old: &Geometry, resampling: &Resampling) -> Result<Self, Error> {
        let (size, spacing) = (old.size(), old.spacing_mm());
        let axes: [Axis; 3] = std::array::from_fn(|a| Axis::new(size[a], spacing[a], resampling.spacing_mm[a]));
        let origin_mm = old.world_from_voxel().apply(axes.map(|axis| axis.offset));
        let new_spacing =
            std::array::from_fn(|a| if axes[a].is_kept() { spacing[a] } else { resampling.spacing_mm[a] });
        let geometry = Geometry::new(axes.map(|axis| axis.new), new_spacing, origin_mm, old.direction())?;
        Ok(Self { geometry, axes })
    }

    /// The image in the box `target` of the new grid, x fastest.
    pub(super) fn image(&self, volume: &Volume, target: Box3, resampling: &Resampling) -> Vec<f64> {
        let is_spline = resampling.image == ImageInterpolation::CubicSpline;
        let source = self.source(target, if is_spline { SPLINE_REACH } else { 1 });
        let mut values = block(volume.as_slice(), volume.geometry().size(), source, f64::from);
        if is_spline {
            let changed = (0..3).filter(|&axis| !self.axes[axis].is_kept());
            changed.for_each(|axis| filter_axis(&mut values, source.1, axis));
        }
        let mut values = self.interpolate(values, source, target, resampling.image);
        if resampling.round {
            values.iter_mut().for_each(|value| *value = value.round_ties_even());
        }
        values
    }

    /// The region on the new grid, or `None` when no new voxel reaches the threshold.
    pub(super) fn region(&self, mask: &Mask, region: &Roi, resampling: &Resampling) -> Option<Roi> {
        let around: [(usize, usize); 3] = std::array::from_fn(|a| self.axes[a].around(region.first[a], region.size[a]));
        let target: Box3 = (around.map(|(first, _)| first), around.map(|(_, size)| size));
        let source = self.source(target, 1);
        let inside = mask.inside();
        let inside = inside.as_slice().expect("a mask is contiguous by construction");
        let values = block(inside, mask.geometry().size(), source, |inside| f64::from(u8::from(inside)));
        let (method, threshold) = match resampling.mask {
            MaskInterpolation::Nearest => (ImageInterpolation::Nearest, 0.5),
            MaskInterpolation::Linear => (ImageInterpolation::Linear, resampling.mask_threshold),
        };
        let shares = self.interpolate(values, source, target, method);
        let grid: Vec<bool> = shares.iter().map(|&share| share >= threshold - THRESHOLD_TOLERANCE).collect();
        let part = Roi::within(&grid, target.1)?;
        Some(Roi { first: std::array::from_fn(|a| target.0[a] + part.first[a]), ..part })
    }

    fn source(&self, target: Box3, margin: i64) -> Box3 {
        let ranges: [(usize, usize); 3] =
            std::array::from_fn(|a| self.axes[a].source(target.0[a], target.1[a], margin));
        (ranges.map(|(first, _)| first), ranges.map(|(_, size)| size))
    }

    fn interpolate(&self, mut values: Vec<f64>, source: Box3, target: Box3, method: ImageInterpolation) -> Vec<f64> {
        let mut size = source.1;
        for axis in 0..3 {
            if self.axes[axis].is_kept() {
                continue;
            }
            let taps = self.axes[axis].taps(method, (target.0[axis], target.1[axis]), source.0[axis]);
            values = along(&values, size, axis, &taps);
            size[axis] = target.1[axis];
        }
        values
    }
}

/// The voxels of a box, x fastest.
pub(super) fn block<T: Copy, U>(
    voxels: &[T],
    size: [usize; 3],
    (first, box_size): Box3,
    of: impl Fn(T) -> U,
) -> Vec<U> {
    let mut found = Vec::with_capacity(box_size.iter().product());
    for z in first[2]..first[2] + box_size[2] {
        for y in first[1]..first[1] + box_size[1] {
            let start = (z * size[1] + y) * size[0] + first[0];
            found.extend(voxels[start..start + box_size[0]].iter().map(|&voxel| of(voxel)));
        }
    }
    found
}

/// Replaces one axis by the weighted sums of `taps`.
fn along(values: &[f64], size: [usize; 3], axis: usize, taps: &Taps) -> Vec<f64> {
    let length: usize = size[..axis].iter().product();
    let old_lines = size[axis] * length;
    let new_lines = taps.0.len() * length;
    let mut found = vec![0.0; new_lines * values.len() / old_lines.max(1)];
    found.par_chunks_mut(new_lines).zip(values.par_chunks(old_lines)).for_each(|(new, old)| {
        for (line, taps) in new.chunks_exact_mut(length).zip(&taps.0) {
            for &(index, weight) in taps {
                let source = &old[index * length..(index + 1) * length];
                line.iter_mut().zip(source).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Modality, Unit};
    use ndarray::Array3;

    use super::*;

    fn grid(size: [usize; 3], spacing_mm: [f64; 3], resampling: &Resampling) -> NewGrid {
        NewGrid::of(&Geometry::axis_aligned(size, spacing_mm).unwrap(), resampling).unwrap()
    }

    fn linear(spacing_mm: [f64; 3]) -> Resampling {
        Resampling { spacing_mm, ..Resampling::default() }
    }

    /// The IBSI manual's example: 4 voxels of 3 mm become 6 of 2 mm around the same centre, the first at
    /// (3·3 - 5·2)/2 = -0.5 mm.
    #[test]
    fn grids_share_their_centre() {
        let grid = grid([4, 4, 7], [3.0, 3.0, 1.5], &linear([2.0, 2.0, 0.0]));
        assert_eq!(grid.geometry.size(), [6, 6, 7]);
        assert_eq!(grid.geometry.spacing_mm(), [2.0, 2.0, 1.5]);
        let origin_mm = grid.geometry.origin_mm();
        assert!(origin_mm.iter().zip([-0.5, -0.5, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{origin_mm:?}");
    }

    #[test]
    fn a_whole_number_of_voxels_is_not_rounded_up() {
        assert_eq!(grid([10, 10, 10], [0.3; 3], &linear([1.0; 3])).geometry.size(), [3; 3]);
    }

    #[test]
    fn every_method_returns_x_on_a_ramp() {
        let geometry = Geometry::axis_aligned([40, 3, 3], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_fn((3, 3, 40), |(_, _, x)| x as f32);
        let volume = Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap();
        for (image, expected) in [
            (ImageInterpolation::Nearest, [15.0, 17.0, 18.0]),
            (ImageInterpolation::Linear, [15.0, 16.5, 18.0]),
            (ImageInterpolation::CubicSpline, [15.0, 16.5, 18.0]),
        ] {
            let resampling = Resampling { image, ..linear([1.5, 0.0, 0.0]) };
            let grid = grid([40, 3, 3], [1.0; 3], &resampling);
            let found = grid.image(&volume, ([10, 1, 1], [3, 1, 1]), &resampling);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{image:?} {found:?}");
        }
    }

    /// Half of the voxel at 2·k + 0.5 belongs to a region of two voxels shifted by one: it is inside.
    #[test]
    fn half_a_voxel_is_inside() {
        let geometry = Geometry::axis_aligned([8, 1, 1], [1.0; 3]).unwrap();
        let mask = Mask::new(Array3::from_shape_fn((1, 1, 8), |(_, _, x)| x == 3 || x == 4), geometry).unwrap();
        let region = Roi::of(&mask).unwrap();
        let half = linear([2.0, 0.0, 0.0]);
        let grid = grid([8, 1, 1], [1.0; 3], &half);
        let found = grid.region(&mask, &region, &half).unwrap();
        assert_eq!((found.first, found.size), ([1, 0, 0], [2, 1, 1]));
        assert_eq!(grid.region(&mask, &region, &Resampling { mask_threshold: 0.6, ..half }), None);
    }
}
