//! Adversarial diffusion between two kinds of image, learned unpaired, after SynDiff (Ozbey et al., IEEE Trans Med Imaging
//! 2023; arXiv:2207.08208).
//!
//! Two couples learn together. The rough one is a CycleGAN; it guesses for every training image what the other kind would
//! look like. The diffusive one learns to make an image from noise beside that guess, in few large steps, each judged by a
//! critic that knows the time. To translate, the scan itself stands in the place of the guess. A [`Task`] is what tells the
//! plugins of the family apart.
//!
//! Invariants: a slice gives the same bytes alone and among others; every random number follows from seed, number of the
//! draw and place of the voxel.

mod couples;
mod critic;
mod drawing;
mod family;
mod recipe;
mod structure;

pub use couples::Couples;
pub use critic::{Critic, CriticRecipe};
pub use family::{Networks, SynDiff, Task};
pub use recipe::Recipe;
