//! Agreement and similarity statistics with their definitions named.
//!
//! Agreement says whether two measurements of the same subjects are interchangeable: [`ccc`], [`icc`],
//! [`bland_altman`], [`repeatability`], and [`share_gain`], which asks whether more features agree after a step than before it.
//! Similarity compares two volumes voxel by voxel: [`similarity`], [`ssim`]. Every sum is f64 and runs in a fixed
//! order; every definition that differs between tools is named in the result.
//!
//! ```
//! use isoscan_metrics::{ccc, share_at_or_above};
//! let agreement = ccc(&[1.0, 2.0, 3.0, 4.0, 5.0], &[11.0, 12.0, 13.0, 14.0, 15.0])?;
//! assert!((agreement.estimate - 4.0 / 104.0).abs() < 1e-15);
//! assert_eq!(share_at_or_above(&[0.9, 0.8, 0.2, f64::NAN], 0.80), 0.5);
//! # Ok::<(), isoscan_metrics::Error>(())
//! ```

mod bland_altman;
mod concordance;
mod error;
mod icc;
mod quantile;
mod repeatability;
mod share;
mod similarity;
mod ssim;

pub use bland_altman::{BlandAltman, bland_altman};
pub use concordance::{Ccc, CiReason, ccc};
pub use error::Error;
pub use icc::{Icc, icc};
pub use repeatability::{Logarithmic, Relative, Repeatability, repeatability};
pub use share::{RESAMPLES, ShareGain, share_at_or_above, share_gain, share_gain_resampled};
pub use similarity::{PsnrRange, Similarity, similarity};
pub use ssim::{SsimDimensions, SsimWindow, ssim};
