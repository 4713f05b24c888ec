//! DICOM files: parsing, grouping into volumes, stacking, and writing derived and new series.

mod attributes;
mod compressed;
mod derive;
mod encode;
mod group;
mod header;
mod module;
mod output;
mod pixels;
mod rle;
mod scan;
mod stack;
mod uid;

pub use derive::write_dicom;
pub(crate) use group::{group, summary_of};
pub(crate) use header::{Slice, read_headers};
pub use module::{NewSeries, write_dicom_new};
pub use stack::DicomSource;
pub(crate) use stack::stack;
