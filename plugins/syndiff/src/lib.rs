//! One MR contrast from another, learned unpaired by adversarial diffusion in four steps, after SynDiff (Ozbey et al., IEEE
//! Trans Med Imaging 2023; arXiv:2207.08208).
//!
//! Two couples learn together. The rough one is a CycleGAN; it guesses for every training image what the other contrast
//! would look like. The diffusive one learns to make an image from noise beside that guess, in few large steps, each
//! judged by a critic that knows the time. To translate, the scan itself stands in the place of the guess.
//!
//! ```
//! use isoscan_learned::Family;
//! use isoscan_syndiff::SynDiff;
//!
//! let descriptor = SynDiff::descriptor();
//! assert!(descriptor.synthetic && descriptor.params.iter().any(|param| param.id == "samples"));
//! ```

mod couples;
mod critic;
mod drawing;
mod family;
mod recipe;
#[cfg(test)]
mod tests;

pub use couples::Couples;
pub use critic::{Critic, CriticRecipe};
pub use family::{Networks, SynDiff};
pub use recipe::Recipe;

isoscan_sdk::export_plugin!(isoscan_learned::Learned<SynDiff>, train = isoscan_learned::Learning<SynDiff>);
