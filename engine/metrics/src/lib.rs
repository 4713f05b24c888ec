//! Agreement and similarity statistics with their definitions named.
//!
//! Agreement says whether two measurements of the same subjects are interchangeable: [`ccc`], [`icc`],
//! [`bland_altman`], [`repeatability`], and [`share_gain`], which asks whether more features agree after a step than before it.
//! Similarity compares two volumes voxel by voxel: [`similarity`], [`ssim`], [`edge_sharpness`], and [`counted_truth`], which
//! counts what an image invented and lost. Regions and readers are scored by [`overlap`], [`contrast_to_noise`],
//! [`auroc`], [`afroc`] with the automatic reader [`blob_marks`], and [`spearman`]; [`LinearDiscriminant`] classifies cases by
//! numbers that describe them; [`bootstrap_mean`] and [`paired_difference`] say how sure a mean over subjects is.
//! Every sum is f64 and runs in a fixed order; every definition that differs between tools is named in the result.
//!
//! ```
//! use isoscan_metrics::{ccc, share_at_or_above};
//! let agreement = ccc(&[1.0, 2.0, 3.0, 4.0, 5.0], &[11.0, 12.0, 13.0, 14.0, 15.0])?;
//! assert!((agreement.estimate - 4.0 / 104.0).abs() < 1e-15);
//! assert_eq!(share_at_or_above(&[0.9, 0.8, 0.2, f64::NAN], 0.80), 0.5);
//! # Ok::<(), isoscan_metrics::Error>(())
//! ```

mod bland_altman;
mod bootstrap;
mod comparison;
mod concordance;
mod detection;
mod error;
mod icc;
mod linear_discriminant;
mod overlap;
mod quantile;
mod reader;
mod repeatability;
mod share;
mod sharpness;
mod similarity;
mod ssim;
mod structures;
mod texture_quantifier;
mod water_path;

pub use bland_altman::{BlandAltman, bland_altman};
pub use bootstrap::{Estimate, RESAMPLES, bootstrap_mean};
pub use comparison::{Better, Judgement, paired_difference};
pub use concordance::{Ccc, CiReason, ccc};
pub use detection::{ReadCase, afroc, auroc, auroc_gain, spearman};
pub use error::Error;
pub use icc::{Icc, icc};
pub use linear_discriminant::LinearDiscriminant;
pub use overlap::{Overlap, contrast_to_noise, overlap};
pub use reader::{BlobCriteria, Mark, blob_marks, read_case};
pub use repeatability::{Logarithmic, Relative, Repeatability, repeatability};
pub use share::{
    ShareGain, share_at_or_above, share_gain, share_gain_by_subject, share_gain_by_unit, share_gain_resampled,
};
pub use sharpness::edge_sharpness;
pub use similarity::{PsnrRange, Similarity, VoxelErrors, similarity, voxel_errors};
pub use ssim::{SsimDimensions, SsimWindow, ssim};
pub use structures::{CountedTruth, StructureCriteria, counted_truth};
pub use texture_quantifier::TextureQuantifier;
pub use water_path::{StoppingPower, water_path_error};
