//! Unpaired CT translation with a residual CycleGAN: same anatomy, the texture of another protocol.
//!
//! The generator adds a residual to the slice (`output = input + strength * residual`), so HU are kept where it has
//! nothing to change, and works without normalisation over space, so a voxel depends on its receptive field alone.
//! Weights and the numbers of their architecture lie in the bundle's `weights/` and are made by the plugin's own
//! training side.
//!
//! ```
//! use isoscan_cyclegan::CycleGan;
//! use isoscan_learned::Family;
//!
//! let descriptor = CycleGan::descriptor();
//! let params: Vec<&str> = descriptor.params.iter().map(|p| p.id.as_str()).collect();
//! assert_eq!(params, ["direction", "strength"]);
//! ```

mod family;
mod recipe;
mod training;

pub use recipe::Recipe;
pub use training::CycleGan;

isoscan_sdk::export_plugin!(isoscan_learned::Learned<CycleGan>, train = isoscan_learned::Learning<CycleGan>);
