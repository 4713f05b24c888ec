//! Unpaired CT translation with a residual CycleGAN: same anatomy, the texture of another protocol.
//!
//! The generator adds a residual to the slice (`output = input + strength * residual`), so HU are kept where it has
//! nothing to change, and works without normalisation over space, so a voxel depends on its receptive field alone.
//! Weights and the numbers of their architecture lie in the bundle's `weights/` and are made by the plugin's own
//! training side.
//!
//! ```
//! use isoscan_cyclegan::CycleGanTranslator;
//! use isoscan_sdk::Translator;
//!
//! let descriptor = CycleGanTranslator::descriptor();
//! let params: Vec<&str> = descriptor.params.iter().map(|p| p.id.as_str()).collect();
//! assert_eq!(params, ["direction", "strength"]);
//! ```

mod recipe;
mod scale;
mod trainer;
mod translator;

pub use recipe::Recipe;
pub use trainer::CycleGanTrainer;
pub use translator::CycleGanTranslator;

isoscan_sdk::export_plugin!(CycleGanTranslator, train = CycleGanTrainer);
