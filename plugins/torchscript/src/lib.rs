//! Runs a user's own network, exported as TorchScript, from a bundle: nothing is compiled.
//!
//! The bundle's `plugin.toml` declares what goes in and comes out (see `isoscan-network`). The network runs by libtorch on
//! the processor, in f32 and in evaluation mode, without gradients.
//!
//! It is not the place for what a declaration cannot say: such a plugin is written with the SDK.

mod module;

pub use module::Module;

/// The plugin.
pub type TorchScript = isoscan_network::Runner<Module>;

isoscan_sdk::export_plugin!(TorchScript, bundle);
