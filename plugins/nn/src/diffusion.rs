//! Diffusion: schedules, targets, posterior, samplers, guidance, and noise that depends on the voxel alone.
//!
//! Times count from 0, the clean image, to [`Diffusion::steps`], noise alone:
//! `x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps`. A network predicts one [`Target`]; the samplers ask it by a closure
//! `predict(x_t, t)`, so that any condition, guidance or analytic predictor fits.
//!
//! ```
//! use isoscan_nn::diffusion::{Diffusion, NoiseSchedule};
//!
//! let diffusion = Diffusion::new(&NoiseSchedule::Linear { steps: 1000, first: 1e-4, last: 0.02 })?;
//! assert_eq!((diffusion.alpha_bar(0), diffusion.steps()), (1.0, 1000));
//! assert!((diffusion.alpha_bar(1) - 0.9999).abs() < 1e-12);
//! assert_eq!(diffusion.path(500, 4), [500, 375, 250, 125, 0]);
//! # Ok::<(), isoscan_nn::Error>(())
//! ```
//!
//! Invariant: noise is a function of (seed, volume, step, sample, voxel), so tiling, batches, threads and resuming do not
//! change it.

mod denoiser;
mod guidance;
mod noise;
mod process;
mod sampler;
mod simplex;
mod target;

pub use denoiser::{Denoiser, DenoiserRecipe};
pub use guidance::{away_from_unconditional, towards_class};
pub use noise::{Extent, NoiseField, VoxelNoise};
pub use process::{Diffusion, NoiseSchedule, Posterior};
pub use sampler::{Trajectory, Variance, ancestral, ddim, inverted};
pub use simplex::Simplex;
pub use target::Target;
