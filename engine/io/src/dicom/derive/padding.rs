//! Padding of the source, put back into an output.

use isoscan_imaging::{Geometry, Modality, Slices, StorageError, Unit};

use super::{Origin, Relation};
use crate::dicom::header::Slice;
use crate::dicom::pixels::Padding;
use crate::dicom::samples::{Layout, SampleFormat};
use crate::dicom::stack::DicomSource;
use crate::dicom::voxels::Voxels;

/// Lowest and highest intensity that a slice declares as padding: Pixel Padding Value (0028,0120) and, with it, Pixel
/// Padding Range Limit (0028,0121).
pub(crate) fn declared(slice: &Slice) -> Option<(f32, f32)> {
    let format = SampleFormat::of(slice).ok()?;
    let Padding { low, high } = Padding::of(slice, &Layout::of(slice).ok()?)?;
    let [one, other] = [low, high].map(|stored| format.intensity(stored as i64));
    Some((one.min(other), one.max(other)))
}

/// An image with the source's own intensities where the source is padding. Only an output of the source's grid
/// and unit can tell which voxels these are; any other stays as it is.
pub(crate) struct Restored<'a> {
    image: &'a dyn Slices,
    source: Option<&'a DicomSource>,
}

impl<'a> Restored<'a> {
    pub(crate) fn of(image: &'a dyn Slices, origin: &Origin<'a>, relation: &Relation) -> Self {
        Self { image, source: origin.alike(relation) }
    }
}

impl Slices for Restored<'_> {
    fn geometry(&self) -> &Geometry {
        self.image.geometry()
    }

    fn modality(&self) -> Modality {
        self.image.modality()
    }

    fn unit(&self) -> Unit {
        self.image.unit()
    }

    fn read(&self, first: usize, voxels: &mut [f32]) -> Result<(), StorageError> {
        self.image.read(first, voxels)?;
        let [nx, ny, _] = self.geometry().size();
        let some = first..first + voxels.len() / (nx * ny);
        let Some(source) = self.source else { return Ok(()) };
        let Some(Voxels { intensities, padding: Some(padding) }) = source.padded(some.clone())? else { return Ok(()) };
        let planes = voxels.chunks_mut(nx * ny).zip(intensities.outer_iter()).zip(padding.outer_iter());
        for (((plane, intensities), marks), slice) in planes.zip(&source.slices()[some]) {
            if declared(slice).is_some() {
                let pairs = plane.iter_mut().zip(intensities).zip(marks);
                pairs.filter(|(_, marked)| **marked).for_each(|((voxel, &intensity), _)| *voxel = intensity);
            }
        }
        Ok(())
    }
}
