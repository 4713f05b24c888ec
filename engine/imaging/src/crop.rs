use ndarray::Array3;
use rayon::prelude::*;

use crate::lines::Edge;
use crate::{Error, Geometry, Mask, Volume};

/// What stands in the voxels that a box has beyond the volume.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PadMode {
    /// One intensity.
    Constant(f32),
    /// The nearest voxel of the volume.
    Edge,
    /// The volume mirrored about the centres of its edge voxels, again and again.
    Mirror,
}

/// The box of `size` voxels whose first voxel is `first` (x, y, z); voxels outside the volume are `fill`.
///
/// `first` may be negative and the box may end beyond the volume, so this also pads. Every kept voxel keeps its value
/// and its place in the patient.
///
/// # Errors
/// [`Error::InvalidGeometry`] for an empty box, [`Error::InvalidArgument`] for a box further than 2⁴⁰ voxels away.
pub fn crop(volume: &Volume, first: [i64; 3], size: [usize; 3], fill: f32) -> Result<Volume, Error> {
    boxed(volume, first, size, PadMode::Constant(fill))
}

/// The volume with `before` and `after` voxels (x, y, z) added at its ends.
///
/// # Errors
/// As [`crop`].
pub fn pad(volume: &Volume, before: [usize; 3], after: [usize; 3], mode: PadMode) -> Result<Volume, Error> {
    let size = volume.geometry().size();
    let wide = std::array::from_fn(|a| size[a].saturating_add(before[a]).saturating_add(after[a]));
    boxed(volume, before.map(|n| -i64::try_from(n).unwrap_or(i64::MAX)), wide, mode)
}

/// The box of `size` voxels around the volume's middle, cut and padded as needed; where an odd number of voxels is to be
/// shared, the far end gets or loses the one more.
///
/// # Errors
/// As [`crop`].
pub fn fit_to_size(volume: &Volume, size: [usize; 3], mode: PadMode) -> Result<Volume, Error> {
    let from = volume.geometry().size();
    let first = std::array::from_fn(|a| (from[a] as i64 - i64::try_from(size[a]).unwrap_or(i64::MAX)) / 2);
    boxed(volume, first, size, mode)
}

/// The smallest box that holds every voxel centre within `margin_mm` of the region along the voxel axes, cut to the
/// volume.
///
/// # Errors
/// [`Error::GeometryMismatch`] when the grids differ by more than 1e-3 mm, [`Error::EmptyMask`],
/// [`Error::InvalidArgument`] for a margin that is negative or not finite.
pub fn crop_to_mask(volume: &Volume, mask: &Mask, margin_mm: f64) -> Result<Volume, Error> {
    volume.geometry().require_same(mask.geometry(), 1e-3)?;
    if !(margin_mm.is_finite() && margin_mm >= 0.0) {
        return Err(Error::InvalidArgument {
            name: "margin",
            expected: "a finite number of mm, at least 0",
            found: margin_mm.to_string(),
        });
    }
    let Some((low, extent)) = mask.bounding_box() else {
        return Err(Error::EmptyMask { voxels: mask.geometry().voxel_count() });
    };
    let (size, spacing) = (volume.geometry().size(), volume.geometry().spacing_mm());
    let margin: [usize; 3] = std::array::from_fn(|a| (margin_mm / spacing[a] + 1e-6) as usize);
    let first: [usize; 3] = std::array::from_fn(|a| low[a].saturating_sub(margin[a]));
    let end: [usize; 3] = std::array::from_fn(|a| (low[a] + extent[a]).saturating_add(margin[a]).min(size[a]));
    boxed(volume, first.map(|f| f as i64), std::array::from_fn(|a| end[a] - first[a]), PadMode::Edge)
}

fn boxed(volume: &Volume, first: [i64; 3], size: [usize; 3], mode: PadMode) -> Result<Volume, Error> {
    let geometry = cropped(volume.geometry(), first, size)?;
    let from = volume.geometry().size();
    let edge = match mode {
        PadMode::Constant(_) => None,
        PadMode::Edge => Some(Edge::Replicate),
        PadMode::Mirror => Some(Edge::Mirror),
    };
    let place = |a: usize, index: usize| match edge {
        None => inside(first[a] + index as i64, from[a]),
        Some(edge) => Some(edge.place(first[a] + index as i64, from[a])),
    };
    let fill = if let PadMode::Constant(fill) = mode { fill } else { 0.0 };
    let [nx, ny, nz] = size;
    let mut voxels = vec![fill; nx * ny * nz];
    let source = volume.as_slice();
    // Columns of the result that lie inside the volume: those are copied, the others looked up one by one.
    let begin = first[0].saturating_neg().clamp(0, nx as i64) as usize;
    let end = (from[0] as i64 - first[0]).clamp(begin as i64, nx as i64) as usize;
    voxels.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
        let (Some(y), Some(z)) = (place(1, row % ny), place(2, row / ny)) else { return };
        let line = &source[(z * from[1] + y) * from[0]..][..from[0]];
        if begin < end {
            let source_begin = (first[0] + begin as i64) as usize;
            out[begin..end].copy_from_slice(&line[source_begin..source_begin + end - begin]);
        }
        if edge.is_some() {
            for i in (0..begin).chain(end..nx) {
                out[i] = place(0, i).map_or(fill, |x| line[x]);
            }
        }
    });
    let voxels = Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel");
    Volume::new(voxels, geometry, volume.modality(), volume.unit())
}

/// The volume with `fill` added behind its last voxel along each axis until the size is a multiple of `multiple`.
///
/// # Errors
/// [`Error::InvalidArgument`] for a multiple of 0, [`Error::InvalidGeometry`] when the result fits no memory.
pub fn pad_to_multiple(volume: &Volume, multiple: [usize; 3], fill: f32) -> Result<Volume, Error> {
    crop(volume, [0; 3], padded_size(volume.geometry().size(), multiple)?, fill)
}

pub(crate) fn padded_size(size: [usize; 3], multiple: [usize; 3]) -> Result<[usize; 3], Error> {
    if multiple.contains(&0) {
        return Err(Error::InvalidArgument {
            name: "multiple",
            expected: "at least 1 along every axis",
            found: format!("{multiple:?}"),
        });
    }
    Ok(std::array::from_fn(|a| size[a].checked_next_multiple_of(multiple[a]).unwrap_or(usize::MAX)))
}

fn cropped(geometry: &Geometry, first: [i64; 3], size: [usize; 3]) -> Result<Geometry, Error> {
    if first.iter().any(|f| f.unsigned_abs() > 1 << 40) {
        return Err(Error::InvalidArgument {
            name: "first voxel",
            expected: "within 2^40 voxels of the volume",
            found: format!("{first:?}"),
        });
    }
    let origin_mm = geometry.world_from_voxel().apply(first.map(|f| f as f64));
    Geometry::new(size, geometry.spacing_mm(), origin_mm, geometry.direction())
}

fn inside(index: i64, size: usize) -> Option<usize> {
    usize::try_from(index).ok().filter(|&i| i < size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Modality, Unit};

    fn ramp() -> Volume {
        let geometry = Geometry::axis_aligned([3, 2, 2], [2.0, 1.0, 1.0]).unwrap();
        let voxels = Array3::from_shape_fn((2, 2, 3), |(k, j, i)| (100 * k + 10 * j + i) as f32);
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn a_box_reaching_outside_pads() {
        let found = crop(&ramp(), [-1, 1, 0], [5, 2, 1], -9.0).unwrap();
        assert_eq!(found.as_slice(), [-9.0, 10.0, 11.0, 12.0, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0]);
        assert_eq!(found.geometry().origin_mm(), [-2.0, 1.0, 0.0]);
    }

    #[test]
    fn a_box_that_misses_the_volume_is_all_fill() {
        for first in [[-5, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 1 << 40], [-(1 << 40), 0, 0]] {
            assert_eq!(crop(&ramp(), first, [2, 1, 1], 7.0).unwrap().as_slice(), [7.0, 7.0]);
        }
    }

    fn row(values: &[f32]) -> Volume {
        let geometry = Geometry::axis_aligned([values.len(), 1, 1], [2.0, 1.0, 1.0]).unwrap();
        let voxels = Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap();
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn padding_beyond_the_edge() {
        let rows: [(PadMode, [f32; 8]); 3] = [
            (PadMode::Constant(-9.0), [-9.0, -9.0, -9.0, 1.0, 2.0, 3.0, -9.0, -9.0]),
            (PadMode::Edge, [1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0]),
            (PadMode::Mirror, [2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]),
        ];
        for (mode, expected) in rows {
            let found = pad(&row(&[1.0, 2.0, 3.0]), [3, 0, 0], [2, 0, 0], mode).unwrap();
            assert_eq!(found.as_slice(), expected, "{mode:?}");
            assert_eq!(found.geometry().origin_mm(), [-6.0, 0.0, 0.0]);
        }
        let huge = pad(&row(&[1.0]), [usize::MAX; 3], [1; 3], PadMode::Edge);
        assert!(matches!(huge, Err(Error::InvalidArgument { .. })), "{huge:?}");
    }

    #[test]
    fn a_size_is_reached_around_the_middle() {
        let source = row(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let rows: [(usize, &[f32]); 4] = [
            (5, &[1.0, 2.0, 3.0, 4.0, 5.0]),
            (3, &[2.0, 3.0, 4.0]),
            (2, &[2.0, 3.0]),
            (8, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0]),
        ];
        for (size, expected) in rows {
            let found = fit_to_size(&source, [size, 1, 1], PadMode::Constant(0.0)).unwrap();
            assert_eq!(found.as_slice(), expected);
        }
    }

    #[test]
    fn a_crop_to_a_region_keeps_a_margin_in_millimetres() {
        let source = row(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mask = crate::threshold(&source, 3.0, 4.0);
        for (margin_mm, expected) in [(0.0, vec![3.0, 4.0]), (1.9, vec![3.0, 4.0]), (2.0, vec![2.0, 3.0, 4.0, 5.0])] {
            let found = crop_to_mask(&source, &mask, margin_mm).unwrap();
            assert_eq!(found.as_slice(), expected, "{margin_mm}");
        }
        assert_eq!(crop_to_mask(&source, &mask, 1e9).unwrap(), source);
        let nothing = crate::threshold(&source, 9.0, 9.0);
        assert_eq!(crop_to_mask(&source, &nothing, 1.0), Err(Error::EmptyMask { voxels: 6 }));
        assert!(matches!(crop_to_mask(&source, &mask, -1.0), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn impossible_boxes_are_refused() {
        assert!(matches!(crop(&ramp(), [0; 3], [0, 1, 1], 0.0), Err(Error::InvalidGeometry { .. })));
        assert!(matches!(crop(&ramp(), [i64::MIN, 0, 0], [1; 3], 0.0), Err(Error::InvalidArgument { .. })));
        assert!(matches!(pad_to_multiple(&ramp(), [4, 0, 4], 0.0), Err(Error::InvalidArgument { .. })));
        assert!(matches!(pad_to_multiple(&ramp(), [usize::MAX; 3], 0.0), Err(Error::InvalidGeometry { .. })));
    }

    #[test]
    fn padding_to_a_multiple_adds_behind_the_last_voxel() {
        let found = pad_to_multiple(&ramp(), [4, 2, 1], 0.5).unwrap();
        assert_eq!(found.geometry().size(), [4, 2, 2]);
        assert_eq!(found.geometry().origin_mm(), [0.0; 3]);
        assert_eq!(found.as_slice()[..8], [0.0, 1.0, 2.0, 0.5, 10.0, 11.0, 12.0, 0.5]);
    }
}
