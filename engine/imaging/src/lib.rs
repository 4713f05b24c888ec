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

mod blend;
mod components;
mod crop;
mod error;
mod geometry;
mod intensity;
mod mask;
mod morphology;
mod orientation;
mod patch;
mod resample;
mod restoration;
mod threshold;
mod volume;

pub use blend::{Blend, Blender};
pub use components::{fill_holes, largest_component};
pub use crop::{crop, pad_to_multiple};
pub use error::Error;
pub use geometry::{Affine3, Geometry, with_spacing};
pub use intensity::{IntensityScale, Normalization, clip, normalize, window};
pub use mask::{Mask, difference, intersection, union};
pub use morphology::{dilate, erode};
pub use orientation::{Orientation, reorient, reorient_mask};
pub use patch::{Patch, PatchGrid, gather};
pub use resample::{Interpolation, resample, resample_mask};
pub use restoration::Restoration;
pub use threshold::{body, otsu, threshold};
pub use volume::{Modality, Unit, Volume};
