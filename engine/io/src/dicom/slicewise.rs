//! Looks at every slice of an image with a few of them in memory.

use std::path::Path;

use isoscan_imaging::Slices;
use rayon::prelude::*;

use crate::Error;

/// Voxels that are read at once, unless one slice has more.
const TOGETHER: usize = 1 << 22;

/// Shows the slices in their order, a group at a time: its first slice and its voxels.
///
/// # Errors
/// [`Error::Storage`] for slices that cannot be read, with the output's path; any error of `look`.
pub(crate) fn for_groups(
    image: &dyn Slices,
    output: &Path,
    mut look: impl FnMut(usize, &[f32]) -> Result<(), Error>,
) -> Result<(), Error> {
    let [nx, ny, nz] = image.geometry().size();
    let depth = (TOGETHER / (nx * ny)).clamp(1, nz);
    let mut voxels = vec![0.0; depth * nx * ny];
    for first in (0..nz).step_by(depth) {
        let group = &mut voxels[..depth.min(nz - first) * nx * ny];
        image.read(first, group).map_err(|source| Error::Storage { source, path: output.to_owned() })?;
        look(first, group)?;
    }
    Ok(())
}

/// What `make` gives for each slice, all cores at work on those in memory.
///
/// # Errors
/// Those of [`for_groups`]; of the slices that fail together, the first one's.
pub(crate) fn map_slices<T: Send>(
    image: &dyn Slices,
    output: &Path,
    make: impl Fn(usize, &[f32]) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let [nx, ny, nz] = image.geometry().size();
    let mut all = Vec::with_capacity(nz);
    for_groups(image, output, |first, voxels| {
        let made: Vec<_> = voxels.par_chunks(nx * ny).enumerate().map(|(k, plane)| make(first + k, plane)).collect();
        made.into_iter().try_for_each(|one| one.map(|one| all.push(one)))
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use isoscan_imaging::{Geometry, Modality, Unit, Volume};

    #[test]
    fn every_slice_of_every_group_is_seen_once_and_in_order() {
        let geometry = Geometry::axis_aligned([TOGETHER / 2, 1, 5], [1.0; 3]).unwrap();
        let image = Volume::filled(1.0, geometry, Modality::Ct, Unit::Hounsfield);
        let mut groups = Vec::new();
        for_groups(&image, Path::new(""), |first, voxels| {
            groups.push((first, voxels.len() / (TOGETHER / 2)));
            Ok(())
        })
        .unwrap();
        assert_eq!(groups, [(0, 2), (2, 2), (4, 1)]);
        let seen = map_slices(&image, Path::new(""), |k, plane| Ok((k, plane.len()))).unwrap();
        assert_eq!(seen, [0, 1, 2, 3, 4].map(|k| (k, TOGETHER / 2)));
    }
}
