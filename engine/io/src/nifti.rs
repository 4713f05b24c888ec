//! NIfTI-1 and NIfTI-2: headers, grids, voxels, writing.

mod fields;
mod forms;
mod gzip;
mod head;
mod header;
mod load;
mod meaning;
mod read;
mod scaled;
mod slices;
mod voxels;
mod write;

pub(crate) use fields::fields;
pub(crate) use gzip::{PART, deflate, write_gzip};
pub(crate) use meaning::{Comment, Meaning, default_unit, meaning};
pub use read::NiftiSource;
pub(crate) use read::{header_of, is_nifti, read_label_map, read_nifti, read_nifti_volume, summarize};
pub(crate) use slices::open_slices;
pub use slices::write_nifti_slices;
pub(crate) use voxels::Stored;
pub use write::{NiftiOptions, NiftiStored, NiftiWritten, write_nifti, write_nifti_volumes};
