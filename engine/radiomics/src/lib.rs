//! Radiomic features by IBSI and PyRadiomics definitions.
//!
//! [`extract`] takes a [`Volume`](isoscan_imaging::Volume), a [`Mask`](isoscan_imaging::Mask) and [`Settings`] and gives
//! a [`FeatureTable`]: first-order statistics, 3-D shape, and the grey level co-occurrence matrix (GLCM). Names, settings
//! and values are those of PyRadiomics 3.1; each [`Feature`] carries its IBSI code where IBSI defines the same quantity.
//! Known deviations of PyRadiomics from IBSI are kept: kurtosis is not an excess, axis lengths use the covariance over N.
//!
//! Derived image types (LoG, wavelet, ...) and the other texture families parse and are refused by
//! [`Error::NotImplemented`]. Results do not depend on the number of threads.
//!
//! ```
//! use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
//! use isoscan_radiomics::{Settings, extract};
//! use ndarray::Array3;
//!
//! let geometry = Geometry::axis_aligned([4, 2, 2], [1.0, 1.0, 3.0])?;
//! let voxels = Array3::from_shape_fn((2, 2, 4), |(z, y, x)| (10 * x + 20 * y + 40 * z) as f32);
//! let volume = Volume::new(voxels, geometry.clone(), Modality::Ct, Unit::Hounsfield)?;
//! let mask = Mask::new(Array3::from_elem((2, 2, 4), true), geometry)?;
//! let table = extract(&volume, &mask, &Settings::from_json(r#"{"binWidth": 10}"#)?)?;
//! assert_eq!(table.get("original_firstorder_Mean"), Some(45.0));
//! assert_eq!(table.get("original_shape_VoxelVolume"), Some(48.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod diagnostics;
mod discretise;
mod error;
mod extract;
mod family;
mod first_order;
mod glcm;
mod interpolate;
mod prepare;
mod roi;
mod settings;
mod shape;
mod table;

pub use diagnostics::{Diagnostics, Stage};
pub use discretise::Discretisation;
pub use error::Error;
pub use extract::extract;
pub use family::FeatureFamily;
pub use roi::Resegmentation;
pub use settings::{ImageType, Interpolator, ResegmentMode, Settings, StoredType, WeightingNorm};
pub use table::{Feature, FeatureTable, NanReason};
