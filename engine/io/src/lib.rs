//! The only reader and writer of image formats, and provenance.
//!
//! [`read`] takes a file or folder of DICOM, NIfTI, NRRD, MetaImage, grey PNG or TIFF and gives a [`Series`]: a volume in
//! LPS mm whose f32 voxels carry all rescaling of the file, and the [`Source`] from which a derived image can be written.
//! [`list`] tells several series of a folder and several volumes of a file apart; [`open_slices`] opens one that is larger
//! than memory. [`read_mask_on`] puts a region of a structure set, DICOM segmentation or label map onto an image's grid,
//! and [`read_bids`] finds the images of a BIDS dataset.
//!
//! [`write()`] and the functions of the single formats write a file or a folder whole or not at all, label derived images
//! as such and put their [`Derivation`] into them. Every DICOM output passes [`check_dicom`] before it takes its name. The
//! same input gives the same bytes: no clock and no random number enters an output, and UIDs follow from content.
//! [`diff()`] tells what changed from one image to another.
//!
//! ```
//! use isoscan_imaging::{Geometry, Modality, Unit, Volume};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("water.nii.gz");
//! let geometry = Geometry::axis_aligned([4, 3, 2], [0.5, 0.5, 2.0])?;
//! let water = Volume::filled(0.0, geometry, Modality::Ct, Unit::Hounsfield);
//! isoscan_io::write_nifti(&path, &water, None, None)?;
//! let series = isoscan_io::read(&path)?;
//! assert_eq!(series.volume, water);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bids;
mod dicom;
mod diff;
mod error;
mod file;
mod inflate;
mod label_map;
mod labels;
mod metaimage;
mod nifti;
mod nrrd;
mod open;
mod provenance;
mod publish;
mod raster;
mod rtstruct;
mod samples;
mod seg;
mod series;
mod slabs;
mod spool;
mod transform;
mod write;

pub use bids::{BidsDataset, BidsImage, is_bids, read_bids, read_bids_masks, write_bids_derivative};
pub use dicom::{
    Code, DicomSource, DxTechnique, Finding, MrTechnique, NewSeries, PtTechnique, Quantity, Rule, Segment, Severity,
    Technique, check_dicom, check_rules, write_dicom, write_dicom_enhanced, write_dicom_new, write_dicom_slices,
    write_parametric_map, write_segmentation,
};
pub use diff::{Diff, GeometryChange, HeaderChange, Range, VoxelChange, diff};
pub use error::Error;
pub use file::FileSource;
pub use label_map::{LabelMap, read_label_map};
pub use labels::{Region, RegionFile, RegionKind, Selector, list_regions, read_labels, read_mask, read_mask_on};
pub use metaimage::write_metaimage;
pub use nifti::{
    NiftiOptions, NiftiSource, NiftiStored, NiftiWritten, write_nifti, write_nifti_slices, write_nifti_volumes,
};
pub use nrrd::write_nrrd;
pub use open::{ReadOptions, Uneven, list, read, read_series, read_series_with, read_with};
pub use provenance::{Derivation, sha256, sha256_file};
pub use publish::{publish_folder, write_atomically};
pub use raster::{IntegerScale, write_png, write_tiff};
pub use rtstruct::{RoiSummary, list_rois, read_rtstruct};
pub use seg::{CodedTerm, SegmentSummary, list_segments, read_segment};
pub use series::{Series, SeriesKind, SeriesSummary, Source, Warning};
pub use slabs::{StoredSeries, open_slices, write_slices};
pub use spool::Spool;
pub use transform::{read_transform, write_transform};
pub use write::{Written, write};
