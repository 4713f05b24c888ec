//! Network blocks, losses and trainers shared by the learned plugins, on libtorch.
//!
//! Images are `[batch, channel, y, x]` f32 tensors in the plugin's own scale. Nothing here knows the engine, files other
//! than weights, or units: a plugin scales its image, calls a network and scales back.
//!
//! ```
//! use isoscan_nn::{Generator, GeneratorRecipe, Norm};
//! use tch::{Kind, Device, Tensor};
//!
//! let recipe = GeneratorRecipe { width: 4, kernel: 7, halvings: 0, blocks: 1, norm: Norm::None };
//! assert_eq!(recipe.halo(), 8); // 3 + 2 + 3: the stem, one block of two 3x3, the head
//! let generator = Generator::new(&recipe, 1, 0)?;
//! let image = Tensor::zeros([1, 1, 16, 16], (Kind::Float, Device::Cpu));
//! assert_eq!(generator.forward(&image)?.size(), [1, 1, 16, 16]);
//! # Ok::<(), isoscan_nn::Error>(())
//! ```
//!
//! Invariants: every random number is a function of (seed, purpose, counter), so the same seed gives the same weights
//! and a resumed training gives the bytes of an uninterrupted one, on the same machine with the same number of threads;
//! bad input is an [`Error`], never a panic.

mod adam;
mod conv;
mod cyclegan;
mod discriminator;
mod error;
mod generator;
mod losses;
mod parameters;
mod pool;
mod random;
mod schedule;
mod tensors;

pub use adam::Adam;
pub use cyclegan::{CycleGan, CycleGanRecipe, Direction, Losses};
pub use discriminator::{DiscriminatorRecipe, PatchGan};
pub use error::Error;
pub use generator::{Generator, GeneratorRecipe, Norm};
pub use losses::{absolute_difference, least_squares};
pub use parameters::Parameters;
pub use pool::ImagePool;
pub use random::Random;
pub use schedule::linear_decay;
pub use tensors::{read_tensors, write_tensors};
