//! The only reader and writer of image formats, and provenance.
//!
//! [`read`] takes a NIfTI or DICOM file or a folder and gives a [`Series`]: a volume in LPS mm whose f32 voxels carry
//! all rescaling of the file, and the [`Source`] from which a derived image can be written. [`list`] tells several series
//! of a folder apart. [`write_nifti`] and [`write_dicom`] write a file or a folder whole or not at all, label derived
//! images as such and put their [`Derivation`] into them. The same input gives the same bytes: no clock and no random
//! number enters an output, and UIDs follow from content.
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

mod dicom;
mod error;
mod labels;
mod nifti;
mod open;
mod provenance;
mod publish;
mod series;

pub use dicom::{DicomSource, NewSeries, write_dicom, write_dicom_new};
pub use error::Error;
pub use labels::{read_labels, read_mask};
pub use nifti::{NiftiSource, write_nifti};
pub use open::{list, read, read_as, read_series};
pub use provenance::{Derivation, sha256, sha256_file};
pub use publish::{publish_folder, write_atomically};
pub use series::{Series, SeriesKind, SeriesSummary, Source, Warning};
