//! Radiomic features by IBSI and PyRadiomics definitions.
//!
//! [`extract`] takes a [`Volume`](isoscan_imaging::Volume), a [`Mask`](isoscan_imaging::Mask) and [`Settings`] and gives
//! a [`FeatureTable`]: shape in 3-D and 2-D, first-order statistics and the five texture families, of the image as it is
//! and of the images derived from it (LoG, wavelet, ...). [`maps`] gives the same features around every voxel. Names,
//! settings and values are those of PyRadiomics 3.1; [`Settings::from_text`] reads its parameter files. Each [`Feature`]
//! carries its IBSI code where IBSI defines the same quantity. Known deviations of PyRadiomics from IBSI are kept:
//! kurtosis is not an excess, axis lengths use the covariance over N.
//!
//! [`ibsi::extract`] is the other mode: definitions, processing scheme, tags and aggregations of IBSI-1.
//!
//! [`filters`] has the convolutional filters of IBSI-2, [`perturb`](fn@perturb) disturbs image and region to see which features
//! stay. Results do not depend on the number of threads.
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
mod directions;
mod discretise;
#[cfg(test)]
mod dumps;
mod error;
mod extent;
mod extract;
mod families;
mod family;
mod field;
pub mod filters;
mod first_order;
mod glcm;
mod gldm;
mod glrlm;
mod glszm;
pub mod ibsi;
mod image;
mod images;
mod interpolate;
mod maps;
mod mode;
mod neighbourhoods;
mod ngtdm;
mod perturb;
mod prepare;
mod roi;
mod runs;
mod settings;
mod shape;
mod shape2d;
mod size_matrix;
mod spelling;
mod table;
mod zones;

pub use diagnostics::{Diagnostics, ImageStage, Intensities, Stage, diagnose};
pub use discretise::Discretisation;
pub use error::Error;
pub use extract::{extract, extract_all};
pub use family::FeatureFamily;
pub use maps::{FeatureMap, maps};
pub use mode::{Mode, read_parameters};
pub use perturb::{Perturbation, Perturbations, ROBUST, noise_level, perturb};
pub use roi::Resegmentation;
pub use settings::{
    ImageType, Interpolator, LbpMethod, ResegmentMode, Settings, Sigma, SincWindow, StoredType, WeightingNorm,
};
pub use spelling::suggestion;
pub use table::{Feature, FeatureTable, NanReason};
