//! What a bundle declares of its own exported network, and how patches pass through it.
//!
//! A user's network needs no code of its own: the table `[network]` of the bundle's `plugin.toml` says what goes in and
//! what comes out ([`Declaration`]), and a library that can run a kind of file ([`Network`]) becomes a plugin for any such
//! bundle ([`Runner`]). Where the bundle does not say how far the network sees, that is measured ([`reach`]).
//!
//! ```
//! use isoscan_network::{Declaration, Dims};
//!
//! let text = "id = 'smooth'\nversion = '1.0.0'\nweights = 'smooth.onnx'\n[network]\ndims = '2d'\n";
//! let declared = Declaration::parse(text).unwrap();
//! assert_eq!((declared.file.as_str(), declared.network.dims), ("smooth.onnx", Dims::Two));
//! assert_eq!(declared.network.inputs.len(), 1);
//! ```
//!
//! It knows no file format of networks, and it is not the place for training.

mod check;
mod declaration;
mod descriptor;
mod layout;
mod pass;
mod reach;
mod runner;

pub use declaration::{Declaration, Dims, Feed, Halo, InputDeclaration, NetworkDeclaration, OutputDeclaration};
pub use layout::Layout;
pub use reach::{Reach, reach};
pub use runner::{Array, Network, Runner};
