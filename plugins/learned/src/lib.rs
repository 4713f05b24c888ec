//! What every plugin with trained networks shares, between the plugin contract and the network kit.
//!
//! A [`Family`] says what its networks are, how one step trains them and how they translate one patch; [`Learned`] makes
//! the plugin of it and [`Learning`] its training side:
//!
//! ```text
//! isoscan_sdk::export_plugin!(Learned<SuperRes>, train = Learning<SuperRes>);
//! ```
//!
//! Invariants: weights, recipe and checkpoint are written and read here alone, as `weights/<NAME>.safetensors`,
//! `weights/recipe.json` and `checkpoint/`; a patch gives the same bytes alone and in a batch; training translates with
//! the weights it would ship; a resumed training equals an uninterrupted one.

mod failure;
mod family;
mod learning;
mod patches;
mod plane;
mod plugin;
mod schedule;
pub mod testing;

pub use failure::Failure;
pub use family::{Family, Losses, Place, Weights};
pub use learning::Learning;
pub use patches::{from_slices, into_slices};
pub use plane::Plane;
pub use plugin::Learned;
pub use schedule::Schedule;
