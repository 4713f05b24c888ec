//! Network blocks, losses and trainers shared by the learned plugins, on libtorch.
//!
//! Images are `[batch, channel, y, x]` or `[batch, channel, z, y, x]` f32 tensors in the plugin's own scale; a [`Dim`] says
//! which, and every block and network serves both. Nothing here knows the engine, files other than weights and recipes,
//! or units: a plugin scales its image, calls a network and scales back.
//!
//! A network is an [`Architecture`] built from its recipe; [`Net`] holds it with its weights, [`Trainee`] with what
//! training needs, and [`write_checkpoint`] what a resumed training needs. Networks: [`Generator`] (ResNet), [`UNet`],
//! [`Edsr`], [`PatchGan`], [`DomainGan`]; each recipe of a translating network tells its receptive field as `halo()`.
//!
//! ```
//! use isoscan_nn::{Generator, GeneratorRecipe, Net};
//! use tch::{Kind, Device, Tensor};
//!
//! let recipe = GeneratorRecipe { width: 4, kernel: 7, blocks: 1, ..GeneratorRecipe::default() };
//! assert_eq!(recipe.halo(), 8); // 3 + 2 + 3: the stem, one block of two 3x3, the head
//! let generator = Net::<Generator>::new(&recipe, 1, 0)?;
//! let image = Tensor::zeros([1, 1, 16, 16], (Kind::Float, Device::Cpu));
//! assert_eq!(generator.forward(&image)?.size(), [1, 1, 16, 16]);
//! # Ok::<(), isoscan_nn::Error>(())
//! ```
//!
//! Invariants: every random number is a function of (seed, purpose, counter), so the same seed gives the same weights
//! and a resumed training gives the bytes of an uninterrupted one, on the same machine with the same number of threads;
//! bad input is an [`Error`], never a panic.

mod adam;
mod adversary;
mod attention;
mod block;
mod conv;
pub mod diffusion;
mod dim;
mod discriminator;
mod edsr;
mod error;
mod generator;
mod losses;
mod modulation;
mod net;
mod norm;
mod parameters;
mod pool;
#[cfg(test)]
mod probe;
mod random;
mod recipe;
mod resample;
mod schedule;
mod tensors;
mod trainee;
mod unet;
mod wavelet;

pub use adam::{ADVERSARIAL_BETAS, Adam, PUBLISHED_BETAS};
pub use adversary::Adversary;
pub use attention::Attention;
pub use block::{ConvBlock, ResidualBlock, ResidualShape};
pub use conv::{Conv, ConvShape, Edge, Linear};
pub use dim::Dim;
pub use discriminator::{DiscriminatorRecipe, DomainGan, DomainGanRecipe, PatchGan};
pub use edsr::{Edsr, EdsrRecipe};
pub use error::Error;
pub use generator::{Generator, GeneratorRecipe};
pub use losses::{
    Adversarial, SsimWindow, absolute_difference, charbonnier, flat_regions, gradient_difference, gradient_penalty,
    haar_difference, least_squares, log_magnitude_difference, masked_absolute_difference, ms_ssim,
    noise_power_difference, spectrum_difference, ssim, total_variation,
};
pub use modulation::{Modulation, TimeEmbedding, adain, sinusoids};
pub use net::{Architecture, Net};
pub use norm::{Activation, Norm, leaky_relu};
pub use parameters::Parameters;
pub use pool::ImagePool;
pub use random::Random;
pub use recipe::{in_range, read_recipe, write_recipe};
pub use resample::{Up, UpKind, blurred_down, enlarged, polyphase_merge, polyphase_split};
pub use schedule::{average_decay, cosine_decay, linear_decay, warm_up};
pub use tensors::{image, read_tensors, values, write_tensors};
pub use trainee::{Descent, Trainee, descend, finite, read_checkpoint, write_checkpoint};
pub use unet::{UNet, UNetRecipe};
pub use wavelet::{haar_analysis, haar_synthesis};
