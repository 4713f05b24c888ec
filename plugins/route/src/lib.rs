//! Translation of slices and radiographs from any domain to any of K domains with one network: a shared encoder, a routable
//! decoder, and a routing vector that chooses the domain or a mixture of two.
//!
//! The design follows RouteGAN (Kim et al., Phys Med Biol 2022;67:215002), which has no public code: layers, losses and
//! their weights are a rebuild. The network adds a residual to the image (`output = input + strength * residual`), so
//! intensities are kept where it has nothing to change, and by default works without statistics over space, so a voxel
//! depends on its receptive field alone. A [`Task`] is what tells the plugins of the family apart.

mod family;
mod network;
mod recipe;
mod route;
mod task;
mod training;

pub use family::RouteGan;
pub use network::{Conditioning, RoutedNet, RoutedRecipe};
pub use recipe::Recipe;
pub use route::{mixed, one_hot};
pub use task::{Defaults, Task, of_ct};
