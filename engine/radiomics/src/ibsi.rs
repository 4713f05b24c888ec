//! Features by the definitions of the Image Biomarker Standardisation Initiative: the mode that
//! [`extract`](crate::extract) deviates from.
//!
//! [`extract`] follows the processing scheme of IBSI-1 (arXiv:1612.07003): interpolate image and mask on a grid with the
//! same centre, round, form a morphological and an intensity mask, resegment the latter by range and outliers, discretise
//! it. Features carry the tags of the initiative's reference values, all of which are met. They are not PyRadiomics'
//! features under other names: entropies are without a guard, the kurtosis is an excess, bins start at the range or at the
//! minimum, and texture matrices are aggregated over slices and directions in the ways of [`Aggregation`].
//!
//! The reference manual's 4 x 4 image, worked by hand. Its zones (voxels of one level that touch at faces or corners) by
//! level and size, and by level and distance to the border of the region:
//!
//! ```text
//! 1 2 2 3      size       1 2 3 4 5      distance   1 2
//! 1 2 3 3      level 1    2 1 . . .      level 1    3 .
//! 4 2 4 1      level 2    . . . . 1      level 2    1 .
//! 4 1 2 3      level 3    1 . 1 . .      level 3    2 .
//!              level 4    1 1 . . .      level 4    1 1
//! ```
//!
//! ```
//! use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
//! use isoscan_radiomics::ibsi::{Settings, extract};
//! use ndarray::Array3;
//!
//! let geometry = Geometry::axis_aligned([4, 4, 1], [1.0; 3])?;
//! let levels = [1, 2, 2, 3, 1, 2, 3, 3, 4, 2, 4, 1, 4, 1, 2, 3];
//! let voxels = Array3::from_shape_vec((1, 4, 4), levels.map(|level| level as f32).to_vec())?;
//! let volume = Volume::new(voxels, geometry.clone(), Modality::Ot, Unit::Arbitrary)?;
//! let mask = Mask::new(Array3::from_elem((1, 4, 4), true), geometry)?;
//!
//! let table = extract(&volume, &mask, &Settings::from_text("aggregations: [2D_avg]")?)?;
//! let is = |name: &str, expected: f64| (table.get(name).unwrap_or(f64::NAN) - expected).abs() < 1e-12;
//! assert!(is("szm_sze_2D", (4.0 + 2.0 / 4.0 + 1.0 / 9.0 + 1.0 / 25.0) / 8.0));
//! assert!(is("szm_lze_2D", (4.0 + 2.0 * 4.0 + 9.0 + 25.0) / 8.0));
//! assert!(is("szm_z_perc_2D", 8.0 / 16.0));
//! assert!(is("dzm_sde_2D", (7.0 + 1.0 / 4.0) / 8.0));
//! assert!(is("dzm_ldhge_2D", (3.0 * 1.0 + 4.0 + 2.0 * 9.0 + 16.0 + 4.0 * 16.0) / 8.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aggregate;
mod diagnostics;
mod discretise;
mod distance;
mod extract;
mod glcm;
mod histogram;
mod local_intensity;
mod morphology;
mod ngtdm;
mod parse;
mod prepare;
mod region;
mod resample;
mod settings;
mod sizes;
mod statistics;
mod textures;
mod volume_histogram;

pub use extract::extract;
pub(crate) use region::{Neighbourhood, Region};
pub use settings::{
    Aggregation, Discretisation, ImageInterpolation, MaskInterpolation, Resampling, Resegmentation, Settings,
};
