//! What an output is made from, and what it has in common with it.

use std::path::{Path, PathBuf};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Geometry, Slices};
use sha2::{Digest, Sha256};

use crate::dicom::attributes::{code, put, put_items, text};
use crate::dicom::header::Slice;
use crate::dicom::slicewise::for_groups;
use crate::dicom::stack::DicomSource;
use crate::provenance::hexadecimal;
use crate::{Error, Source};

/// Grids whose corners lie closer than this are one grid, mm.
const SAME_MM: f64 = 1e-6;

/// The images that an output is made from.
pub(crate) enum Origin<'a> {
    /// A series with a patient.
    Series(&'a DicomSource),
    /// SHA-256 of an input without patient.
    Nobody(String),
}

/// What an output has in common with its origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relation {
    pub(crate) same_grid: bool,
    pub(crate) same_modality: bool,
    /// Modality and unit both stay.
    pub(crate) same_kind: bool,
    /// The voxel centres are others than the source's.
    pub(crate) resampled: bool,
    /// Spatial Locations Preserved (0028,135A).
    pub(crate) locations: &'static str,
}

impl<'a> Origin<'a> {
    pub(crate) fn of(source: &'a Source, image: &dyn Slices, output: &Path) -> Result<Self, Error> {
        Ok(match source {
            Source::Dicom(series) => Self::Series(series),
            other => Self::Nobody(match other.input_sha256()? {
                Some(input) => input,
                None => voxel_hash(image, output)?,
            }),
        })
    }

    /// The series' UID, or the input's digest.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Series(series) => series.series_uid(),
            Self::Nobody(input) => input,
        }
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Series(series) => series.paths(),
            Self::Nobody(_) => Vec::new(),
        }
    }

    pub(crate) fn relation(&self, image: &dyn Slices) -> Relation {
        let Self::Series(series) = self else {
            return Relation {
                same_grid: false,
                same_modality: false,
                same_kind: false,
                resampled: false,
                locations: "NO",
            };
        };
        let same_grid = series.geometry().corner_distance_mm(image.geometry()) < SAME_MM;
        let same_modality = series.modality() == image.modality();
        let locations = match () {
            () if same_grid => "YES",
            () if reoriented(series.geometry(), image.geometry()) => "REORIENTED_ONLY",
            () => "NO",
        };
        Relation {
            same_grid,
            same_modality,
            same_kind: same_modality && series.unit() == image.unit(),
            resampled: locations == "NO",
            locations,
        }
    }

    /// The series whose grid, modality and unit the output shares slice by slice.
    pub(crate) fn alike(&self, relation: &Relation) -> Option<&'a DicomSource> {
        let Self::Series(series) = self else { return None };
        let slicewise = series.slices().len() == series.geometry().size()[2];
        (relation.same_grid && relation.same_kind && slicewise).then_some(series)
    }

    /// The source's slice at, or nearest to, slice `k` of a grid.
    pub(crate) fn nearest(&self, geometry: &Geometry, k: usize) -> Option<&'a Slice> {
        let Self::Series(series) = self else { return None };
        let [nx, ny, _] = geometry.size();
        let centre = [(nx - 1) as f64 / 2.0, (ny - 1) as f64 / 2.0, k as f64];
        let in_source = series.geometry().voxel_from_world().apply(geometry.world_from_voxel().apply(centre));
        let slices = series.slices();
        slices.get((in_source[2].round().max(0.0) as usize).min(slices.len().saturating_sub(1)))
    }

    /// One item of Source Image Sequence (0008,2112) per image of the source.
    pub(crate) fn source_images(&self, locations: &str) -> Vec<InMemDicomObject> {
        let Self::Series(series) = self else { return Vec::new() };
        series.slices().iter().map(|slice| source_image(slice, locations)).collect()
    }
}

/// A reference to one image that an output was computed from.
pub(crate) fn source_image(slice: &Slice, locations: &str) -> InMemDicomObject {
    let class = text(&slice.object, tags::SOP_CLASS_UID).unwrap_or_else(|| uids::CT_IMAGE_STORAGE.to_owned());
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::REFERENCED_SOP_CLASS_UID, VR::UI, class);
    put(&mut item, tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, slice.sop_instance.clone());
    put(&mut item, tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, locations);
    let purpose = code("121322", "DCM", "Source image for image processing operation");
    put_items(&mut item, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![purpose]);
    item
}

/// Whether two grids hold the same voxel centres in another order of axes.
fn reoriented(a: &Geometry, b: &Geometry) -> bool {
    let sorted = |geometry: &Geometry| {
        let mut size = geometry.size();
        size.sort_unstable();
        size
    };
    let corners = |geometry: &Geometry| -> Vec<[f64; 3]> {
        let [nx, ny, nz] = geometry.size().map(|n| (n - 1) as f64);
        let ends = (0..8).map(|i| [nx * f64::from(i & 1), ny * f64::from(i >> 1 & 1), nz * f64::from(i >> 2)]);
        ends.map(|voxel| geometry.world_from_voxel().apply(voxel)).collect()
    };
    let near = |p: &[f64; 3], q: &[f64; 3]| p.iter().zip(q).all(|(a, b)| (a - b).abs() < SAME_MM);
    let (ours, theirs) = (corners(a), corners(b));
    sorted(a) == sorted(b) && ours.iter().all(|p| theirs.iter().any(|q| near(p, q)))
}

fn voxel_hash(image: &dyn Slices, output: &Path) -> Result<String, Error> {
    let mut digest = Sha256::new();
    for_groups(image, output, |_, voxels| {
        voxels.iter().for_each(|voxel| digest.update(voxel.to_le_bytes()));
        Ok(())
    })?;
    Ok(hexadecimal(&digest.finalize()))
}
