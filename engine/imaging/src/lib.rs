//! Volumes with geometry and every pure operation on them.
//!
//! A [`Volume`] is f32 voxels on a [`Geometry`], with the [`Modality`] and the [`Unit`] of its intensities. Inside
//! Isoscan all positions are DICOM patient coordinates (LPS) in millimetres, and arrays are indexed `[z, y, x]` with x
//! fastest; a voxel index is written `[i, j, k]` = (x, y, z). This crate knows no file, plugin, script or clock: every
//! function takes values and returns a value.
//!
//! ```
//! use isoscan_imaging::{Geometry, Modality, Unit, Volume};
//! let geometry = Geometry::axis_aligned([4, 3, 2], [0.5, 0.5, 2.0])?;
//! let volume = Volume::filled(-1000.0, geometry, Modality::Ct, Unit::Hounsfield);
//! assert_eq!(volume.voxels().dim(), (2, 3, 4));
//! assert_eq!(volume.geometry().world_from_voxel().apply([1.0, 0.0, 1.0]), [0.5, 0.0, 2.0]);
//! # Ok::<(), isoscan_imaging::Error>(())
//! ```

mod error;
mod geometry;
mod mask;
mod volume;

pub use error::Error;
pub use geometry::{Affine3, Geometry};
pub use mask::Mask;
pub use volume::{Modality, Unit, Volume};
