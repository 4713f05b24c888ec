//! Runs a user's own network, exported as ONNX, from a bundle: nothing is compiled and nothing has to be installed.
//!
//! The bundle's `plugin.toml` declares what goes in and comes out (see `isoscan-network`). The network runs on the
//! processor in f32 by tract. Operators that tract does not know are refused by name when the bundle is opened.
//!
//! It is not the place for what a declaration cannot say: such a plugin is written with the SDK.

mod graph;

pub use graph::Graph;

/// The plugin.
pub type Onnx = isoscan_network::Runner<Graph>;

isoscan_sdk::export_plugin!(Onnx, bundle);
