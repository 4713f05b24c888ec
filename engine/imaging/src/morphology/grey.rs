use ndarray::Array3;
use rayon::prelude::*;

use super::{Chord, ball};
use crate::{Error, Volume};

/// The largest intensity within `radius_mm` of each voxel centre, distances in patient space; what lies beyond the grid
/// does not count, nor do voxels that are no number.
///
/// # Errors
/// [`Error::InvalidArgument`] for a radius that is negative or not finite.
pub fn grey_dilate(volume: &Volume, radius_mm: f64) -> Result<Volume, Error> {
    extreme(volume, radius_mm, f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// The smallest intensity within `radius_mm` of each voxel centre; see [`grey_dilate`].
///
/// # Errors
/// As [`grey_dilate`].
pub fn grey_erode(volume: &Volume, radius_mm: f64) -> Result<Volume, Error> {
    extreme(volume, radius_mm, f32::INFINITY, |a, b| if b < a { b } else { a })
}

/// [`grey_erode`], then [`grey_dilate`]: removes bright details that no ball of `radius_mm` fits into.
///
/// # Errors
/// As [`grey_dilate`].
pub fn grey_open(volume: &Volume, radius_mm: f64) -> Result<Volume, Error> {
    grey_dilate(&grey_erode(volume, radius_mm)?, radius_mm)
}

/// [`grey_dilate`], then [`grey_erode`]: removes dark details that no ball of `radius_mm` fits into.
///
/// # Errors
/// As [`grey_dilate`].
pub fn grey_close(volume: &Volume, radius_mm: f64) -> Result<Volume, Error> {
    grey_erode(&grey_dilate(volume, radius_mm)?, radius_mm)
}

/// `pick` over the ball around each voxel, from `start` on.
fn extreme(
    volume: &Volume,
    radius_mm: f64,
    start: f32,
    pick: impl Fn(f32, f32) -> f32 + Sync,
) -> Result<Volume, Error> {
    let chords = ball(volume.geometry(), radius_mm)?;
    let [nx, ny, nz] = volume.geometry().size();
    let source = volume.as_slice();
    let mut voxels = vec![start; source.len()];
    voxels.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
        let (y, z) = ((row % ny) as i64, (row / ny) as i64);
        for &Chord { y: step_y, z: step_z, low, high } in &chords {
            let (source_y, source_z) = (y + step_y, z + step_z);
            if !(0..ny as i64).contains(&source_y) || !(0..nz as i64).contains(&source_z) {
                continue;
            }
            let line = &source[(source_z as usize * ny + source_y as usize) * nx..][..nx];
            for step in low.max(1 - nx as i64)..=high.min(nx as i64 - 1) {
                let far = step.unsigned_abs() as usize;
                let (out, line) =
                    if step < 0 { (&mut out[far..], &line[..nx - far]) } else { (&mut out[..nx - far], &line[far..]) };
                out.iter_mut().zip(line).for_each(|(out, v)| *out = pick(*out, *v));
            }
        }
    });
    volume.with_voxels(Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Mask, Modality, Unit, dilate, erode};

    #[test]
    fn a_region_as_intensities_changes_as_the_region_does() {
        let geometry = Geometry::axis_aligned([11, 9, 6], [1.0, 1.2, 2.5]).unwrap();
        let inside = Array3::from_shape_fn((6, 9, 11), |(k, j, i)| (i * 7 + j * 5 + k * 3) % 11 < 6);
        let region = Mask::new(inside, geometry).unwrap();
        let grey = region.to_volume();
        for radius in [0.0, 1.0, 2.4, 3.1, 100.0] {
            assert_eq!(grey_dilate(&grey, radius).unwrap(), dilate(&region, radius).unwrap().to_volume());
            assert_eq!(grey_erode(&grey, radius).unwrap(), erode(&region, radius).unwrap().to_volume());
        }
    }

    #[test]
    fn opening_removes_a_bright_voxel_and_closing_a_dark_one() {
        let geometry = Geometry::axis_aligned([7, 7, 7], [1.0; 3]).unwrap();
        let flat = Volume::filled(5.0, geometry, Modality::Ct, Unit::Hounsfield);
        for (value, change) in [(9.0, grey_open as fn(&Volume, f64) -> _), (1.0, grey_close)] {
            let mut voxels = flat.voxels().to_owned();
            voxels[[3, 3, 3]] = value;
            let spot = flat.with_voxels(voxels).unwrap();
            assert_eq!(change(&spot, 1.0), Ok(flat.clone()));
        }
        assert!(matches!(grey_open(&flat, -1.0), Err(Error::InvalidArgument { .. })));
    }
}
