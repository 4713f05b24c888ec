use std::ops::Range;

use super::taps::AxisTaps;
use super::{Interpolation, common_axes, separable, shrink_factors};
use crate::{Error, Geometry};

/// A resampling between two grids that share their axes, done slab by slab of the target; the values are those of
/// [`resample`](crate::resample), bit for bit.
///
/// ```
/// use isoscan_imaging::{Geometry, Interpolation, SlabResampling, with_spacing};
/// let from = Geometry::axis_aligned([4, 4, 9], [1.0; 3])?;
/// let to = with_spacing(&from, [1.0, 1.0, 2.0])?;
/// let slabs = SlabResampling::new(&from, &to, Interpolation::Nearest, 0.0)?;
/// let needed = slabs.needed(2..3);
/// assert_eq!(needed, 4..5);
/// assert_eq!(slabs.resample(2..3, &[7.0; 16]), [7.0; 16]);
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
#[derive(Debug)]
pub struct SlabResampling {
    from: [usize; 3],
    axes: [AxisTaps; 3],
    nearest: [AxisTaps; 3],
    fill: f32,
}

impl SlabResampling {
    /// # Errors
    /// [`Error::InvalidArgument`] when the grids do not share their axes in the same order, or for
    /// [`Interpolation::BSpline`], whose every value depends on the whole volume.
    pub fn new(from: &Geometry, to: &Geometry, way: Interpolation, fill: f32) -> Result<Self, Error> {
        let wrong = |expected, found: String| Error::InvalidArgument { name: "resampling by slabs", expected, found };
        if way == Interpolation::BSpline {
            return Err(wrong("nearest, linear or lanczos", "bspline".to_owned()));
        }
        let voxel_from_target = from.voxel_from_world().after(&to.world_from_voxel());
        if common_axes(&voxel_from_target, to.size()) != Some([0, 1, 2]) {
            return Err(wrong("grids with common axes", format!("{from} and {to}")));
        }
        let shrink = shrink_factors(&voxel_from_target);
        let axes = |way: Interpolation| {
            std::array::from_fn(|a| {
                let (step, start) = (voxel_from_target.matrix[a][a], voxel_from_target.translation[a]);
                let positions = (0..to.size()[a]).map(|i| start + step * i as f64);
                let blur = if way == Interpolation::Nearest { 1.0 } else { shrink[a] };
                AxisTaps::new(positions, from.size()[a], way, shrink[a], blur)
            })
        };
        Ok(Self { from: from.size(), axes: axes(way), nearest: axes(Interpolation::Nearest), fill })
    }

    /// The source slices that the target slices `targets` are made from; empty when all of them lie outside the source.
    pub fn needed(&self, targets: Range<usize>) -> Range<usize> {
        let [wide, near] = [&self.axes, &self.nearest].map(|axes| axes[2].needed_by(targets.clone()));
        if near.is_empty() { wide } else { wide.start.min(near.start)..wide.end.max(near.end) }
    }

    /// The target slices `targets`, x fastest, from the source slices [`needed`](Self::needed).
    ///
    /// # Panics
    /// When `slices` are not as long as those.
    pub fn resample(&self, targets: Range<usize>, slices: &[f32]) -> Vec<f32> {
        let needed = self.needed(targets.clone());
        let size = [self.from[0], self.from[1], needed.len()];
        assert_eq!(slices.len(), size.iter().product::<usize>(), "the slices that are needed");
        let made = |axes: &[AxisTaps; 3], slices: &[f32]| {
            let [x, y, z] = axes;
            let axes = [x.clone(), y.clone(), z.part(targets.clone(), needed.start)];
            separable::evaluate(slices, size, &axes, false, self.fill)
        };
        if slices.iter().all(|v| v.is_finite()) {
            return made(&self.axes, slices);
        }
        let stand_in = if self.fill.is_finite() { self.fill } else { 0.0 };
        let complete: Vec<f32> = slices.iter().map(|&v| if v.is_finite() { v } else { stand_in }).collect();
        let nearest = made(&self.nearest, slices);
        let either = |(smooth, nearest): (f32, f32)| if nearest.is_finite() { smooth } else { nearest };
        made(&self.axes, &complete).into_iter().zip(nearest).map(either).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{Modality, Unit, Volume, resample, with_spacing};

    #[test]
    fn slabs_joined_are_the_whole_resampling_bit_for_bit() {
        let from = Geometry::new([7, 6, 23], [0.9, 1.1, 1.7], [3.0, -2.0, 8.0], tilted()).unwrap();
        let voxels = Array3::from_shape_fn((23, 6, 7), |(z, y, x)| match (x, y, z) {
            (3, 2, 9) => f32::NAN,
            _ => ((x * 31 + y * 17 + z * 7) % 13) as f32,
        });
        let source = Volume::new(voxels, from.clone(), Modality::Mr, Unit::Arbitrary).unwrap();
        let longer = Geometry::new([7, 6, 40], [0.9, 1.1, 1.9], [3.0, -2.0, 8.0], tilted()).unwrap();
        let grids =
            [with_spacing(&from, [1.0, 0.7, 0.6]).unwrap(), with_spacing(&from, [1.3, 2.0, 4.0]).unwrap(), longer];
        for (to, way) in grids.iter().flat_map(|to| {
            [Interpolation::Nearest, Interpolation::Linear, Interpolation::Lanczos3].map(|way| (to, way))
        }) {
            let whole = resample(&source, to, way, -7.0);
            let slabs = SlabResampling::new(&from, to, way, -7.0).unwrap();
            let plane = from.size()[0] * from.size()[1];
            let mut joined = Vec::new();
            for first in (0..to.size()[2]).step_by(5) {
                let targets = first..(first + 5).min(to.size()[2]);
                let needed = slabs.needed(targets.clone());
                let slices = &source.as_slice()[needed.start * plane..needed.end * plane];
                joined.extend(slabs.resample(targets, slices));
            }
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&joined), bits(whole.as_slice()), "{to} {way:?}");
        }
    }

    fn tilted() -> [[f64; 3]; 3] {
        let (c, s) = (0.2f64.cos(), 0.2f64.sin());
        [[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]
    }

    #[test]
    fn what_needs_the_whole_volume_is_refused() {
        let from = Geometry::axis_aligned([4, 4, 4], [1.0; 3]).unwrap();
        let turned = Geometry::new([4, 4, 4], [1.0; 3], [0.0; 3], tilted()).unwrap();
        for (to, way) in [(&from, Interpolation::BSpline), (&turned, Interpolation::Linear)] {
            assert!(matches!(SlabResampling::new(&from, to, way, 0.0), Err(Error::InvalidArgument { .. })));
        }
    }
}
