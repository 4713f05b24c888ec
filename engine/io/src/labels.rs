use std::path::Path;

use isoscan_imaging::{Mask, Modality, Unit, Volume};
use ndarray::Zip;

use crate::{Error, read_as};

/// Reads an image of whole numbers as a label map (modality SEG, unit label).
///
/// # Errors
/// Those of [`read`](crate::read), and [`Error::NotALabelMap`] when a voxel is no whole number.
pub fn read_labels(path: &Path) -> Result<Volume, Error> {
    let volume = read_as(path, Some(Modality::Seg), Some(Unit::Label))?.volume;
    match volume.as_slice().iter().find(|v| v.fract() != 0.0 || !v.is_finite()) {
        Some(&found) => Err(Error::NotALabelMap { found, path: path.to_owned() }),
        None => Ok(volume),
    }
}

/// Reads a region of interest: the voxels that equal `label`, or without one every voxel that is not 0.
///
/// # Errors
/// Those of [`read_labels`]. An empty mask is no error here.
pub fn read_mask(path: &Path, label: Option<i32>) -> Result<Mask, Error> {
    let labels = read_labels(path)?;
    let inside = match label {
        Some(label) => return Ok(Mask::of_label(&labels, label)),
        None => Zip::from(labels.voxels()).map_collect(|&v| v != 0.0),
    };
    Mask::new(inside, labels.geometry().clone()).map_err(|source| Error::Image { source, path: path.to_owned() })
}
