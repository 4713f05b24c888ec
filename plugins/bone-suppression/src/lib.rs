//! Bone suppression of one radiograph: a U-Net on Haar bands predicts the bone image, and the soft tissue is the rest.
//!
//! Projections add in log attenuation, so `soft = input - bone` leaves the lung as it is wherever no bone is seen. The
//! network follows Bae et al. (Korean J Radiol 2022) and Oh and Yun (arXiv 1811.02628), which give the Haar bands, the
//! conditional adversarial training and dual-energy pairs as its data; layers and weights of the losses are a rebuild.
//!
//! ```
//! use isoscan_bone_suppression::BoneSuppression;
//! use isoscan_learned::Family;
//!
//! let descriptor = BoneSuppression::descriptor();
//! let params: Vec<&str> = descriptor.params.iter().map(|p| p.id.as_str()).collect();
//! assert_eq!(params, ["keep", "strength"]);
//! ```

mod bands;
mod family;
mod recipe;
mod spheres;

pub use bands::{BandNet, BandRecipe};
pub use family::BoneSuppression;
pub use recipe::Recipe;

isoscan_sdk::export_plugin!(isoscan_learned::Learned<BoneSuppression>, train = isoscan_learned::Learning<BoneSuppression>);
