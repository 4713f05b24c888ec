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

mod bias_field;
mod bilateral;
mod blend;
mod brain;
mod components;
mod crop;
mod distance;
mod error;
mod gaussian;
mod geometry;
mod gradient;
mod histogram;
mod histogram_matching;
mod intensity;
mod laplacian;
mod lines;
mod mask;
mod median;
mod morphology;
mod nlm;
mod nyul;
mod orientation;
mod patch;
mod registration;
mod resample;
mod restoration;
mod slices;
mod straighten;
mod threshold;
mod volume;
mod wavelet;
mod white_stripe;

pub use bias_field::{BiasCorrection, BiasFieldSettings, FittingLevel, correct_bias_field};
pub use bilateral::bilateral;
pub use blend::{Blend, Blender};
pub use brain::brain;
pub use components::{Components, Connectivity, components, fill_cavities, fill_holes, largest_component};
pub use crop::{PadMode, crop, crop_to_mask, fit_to_size, pad, pad_to_multiple};
pub use distance::{distance, signed_distance};
pub use error::Error;
pub use gaussian::{gaussian, shrink};
pub use geometry::{Affine3, Geometry, refined, with_spacing};
pub use gradient::{gradient, gradient_magnitude};
pub use histogram_matching::{HistogramMatching, match_histogram};
pub use intensity::{IntensityCurve, IntensityScale, Normalization, clip, normalize, window};
pub use laplacian::laplacian_of_gaussian;
pub use mask::{Mask, difference, intersection, union};
pub use median::median;
pub use morphology::{close, dilate, erode, grey_close, grey_dilate, grey_erode, grey_open, open};
pub use nlm::{NonLocalMeans, noise_sigma, non_local_means};
pub use nyul::{StandardScale, standardize};
pub use orientation::{Orientation, reorient, reorient_mask, reoriented};
pub use patch::{Patch, PatchGrid, gather};
pub use registration::{Freedom, Registration, RegistrationSettings, Start, move_by, register, resample_moved};
pub use resample::{
    Interpolation, LabelInterpolation, SlabResampling, interpolate, resample, resample_labels, resample_mask,
};
pub use restoration::{Restoration, background};
pub use slices::{Slices, SlicesMut, StorageError, turn_slices};
pub use straighten::{straighten, straightened};
pub use threshold::{body, otsu, otsu_levels, threshold};
pub use volume::{Modality, Unit, Volume};
pub use wavelet::{Wavelet, WaveletBand, wavelet_bands};
pub use white_stripe::TissueMode;
