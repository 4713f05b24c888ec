use ndarray::Array3;
use rayon::prelude::*;

use crate::{Error, Geometry, Volume};

/// The box of `size` voxels whose first voxel is `first` (x, y, z); voxels outside the volume are `fill`.
///
/// `first` may be negative and the box may end beyond the volume, so this also pads. Every kept voxel keeps its value
/// and its place in the patient.
///
/// # Errors
/// [`Error::InvalidGeometry`] for an empty box, [`Error::InvalidArgument`] for a box further than 2⁴⁰ voxels away.
pub fn crop(volume: &Volume, first: [i64; 3], size: [usize; 3], fill: f32) -> Result<Volume, Error> {
    let geometry = cropped(volume.geometry(), first, size)?;
    let [nx, ny, nz] = size;
    let mut voxels = vec![fill; nx * ny * nz];
    let [source_nx, source_ny, source_nz] = volume.geometry().size();
    let source = volume.as_slice();
    // Columns of the result that lie inside the volume, and the source column of the first of them.
    let begin = (-first[0]).clamp(0, nx as i64) as usize;
    let end = (source_nx as i64 - first[0]).clamp(begin as i64, nx as i64) as usize;
    if begin < end {
        let source_begin = (first[0] + begin as i64) as usize;
        voxels.par_chunks_mut(nx * ny).enumerate().for_each(|(k, slice)| {
            let Some(z) = inside(first[2] + k as i64, source_nz) else { return };
            for (j, row) in slice.chunks_exact_mut(nx).enumerate() {
                let Some(y) = inside(first[1] + j as i64, source_ny) else { continue };
                let start = (z * source_ny + y) * source_nx + source_begin;
                row[begin..end].copy_from_slice(&source[start..start + end - begin]);
            }
        });
    }
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
