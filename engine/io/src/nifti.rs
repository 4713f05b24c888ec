//! NIfTI-1 and NIfTI-2: headers, grids, voxels, writing.

mod forms;
mod gzip;
mod header;
mod meaning;
mod read;
mod voxels;
mod write;

pub(crate) use meaning::default_unit;
pub use read::NiftiSource;
pub(crate) use read::{is_nifti, read_nifti, summarize};
pub use write::write_nifti;
