//! CT slices from any protocol to any of K protocols with one network: a shared encoder, a routable decoder, and a routing
//! vector that chooses the protocol or a mixture of two.
//!
//! The design follows RouteGAN (Kim et al., Phys Med Biol 2022;67:215002), which has no public code: layers, losses and
//! their weights are a rebuild. The network adds a residual to the slice (`output = input + strength * residual`), so HU
//! are kept where it has nothing to change, and by default works without statistics over space, so a voxel depends
//! on its receptive field alone.
//!
//! ```
//! use isoscan_learned::Family;
//! use isoscan_routegan::RouteGan;
//!
//! let descriptor = RouteGan::descriptor();
//! let params: Vec<&str> = descriptor.params.iter().map(|p| p.id.as_str()).collect();
//! assert_eq!(params, ["target", "mix_with", "mix", "strength"]);
//! ```

mod family;
mod network;
mod recipe;
mod route;
mod training;

pub use network::{Conditioning, RoutedNet, RoutedRecipe};
pub use recipe::Recipe;
pub use route::{mixed, one_hot};
pub use training::RouteGan;

isoscan_sdk::export_plugin!(isoscan_learned::Learned<RouteGan>, train = isoscan_learned::Learning<RouteGan>);
