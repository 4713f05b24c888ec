//! One network between MR and PET for both directions, after RevGAN (van der Ouderaa and Worrall, CVPR 2019) in 3D as Lin
//! et al. (Front Neurosci 15, 2021) use it for MR and PET of the brain; layers and weights of the losses are a rebuild.
//!
//! Each image has layers of its own on the way in and on the way out. Between them lies one invertible core of additive
//! couplings, which one direction runs forwards and the other backwards. A [`Side`] is what tells the two plugins of the
//! family apart; both ship the same weights.
//!
//! Invariants: `backward(forward(x)) = x` of the core but for rounding; a voxel depends on its receptive field alone.

mod couplings;
mod family;
mod network;
mod recipe;

pub use couplings::{Couplings, CouplingsRecipe};
pub use family::{RevGan, Side};
pub use network::{Reversible, ReversibleRecipe, Way};
pub use recipe::Recipe;
