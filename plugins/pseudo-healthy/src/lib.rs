//! What a brain would look like without its lesions, by diffusion learned on healthy brains, and where it differs.
//!
//! The image is taken part of the way to noise and back by a network that knows healthy brains alone (Wyatt et al. 2022;
//! Wolleb et al. 2022; Bercea et al. 2023): what it has never seen comes back as something healthy. `recipe` is what
//! training fixes, `healing` the way there and back.
//!
//! ```
//! use isoscan_learned::Family;
//! use isoscan_pseudo_healthy::PseudoHealthy;
//!
//! let descriptor = PseudoHealthy::descriptor();
//! assert!(descriptor.synthetic && descriptor.params.iter().any(|param| param.id == "level"));
//! ```

mod family;
mod healing;
mod recipe;
#[cfg(test)]
mod tests;

pub use family::PseudoHealthy;
pub use healing::{Encoding, Healing};
pub use recipe::Recipe;

isoscan_sdk::export_plugin!(
    isoscan_learned::Learned<PseudoHealthy>,
    train = isoscan_learned::Learning<PseudoHealthy>
);
