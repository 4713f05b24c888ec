//! CT of MR by a trained network: HU and, beside them, where there is tissue at all.
//!
//! A U-Net or ResNet learns HU by L1 and adversarial loss, after Emami et al. (Med Phys 45, 2018: a ResNet against a
//! discriminator); what is not in those papers' abstracts is a rebuild. A second output says where there is tissue;
//! the rest of the image becomes air, -1000 HU. `dimensions` trains networks on slices, on slices with their
//! neighbours or on volumes. `registration` learns from pairs that do not lie exactly on each other, after
//! Kong et al. (NeurIPS 2021, RegGAN).
//!
//! ```
//! use isoscan_learned::Family;
//! use isoscan_mr_to_ct::MrToCt;
//! use isoscan_sdk::{Modality, Unit};
//!
//! let output = MrToCt::descriptor().output;
//! assert_eq!((output.modality, output.unit), (Some(Modality::Ct), Some(Unit::Hounsfield)));
//! ```

mod arrangement;
mod family;
mod network;
mod recipe;
mod registration;

pub use arrangement::Dimensions;
pub use family::MrToCt;
pub use network::{Backbone, Synthesis, SynthesisRecipe};
pub use recipe::Recipe;
pub use registration::{Registration, roughness, warped};

isoscan_sdk::export_plugin!(isoscan_learned::Learned<MrToCt>, train = isoscan_learned::Learning<MrToCt>);
