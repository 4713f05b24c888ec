//! A Rust plugin of contract 1.0: doubles every voxel and adds one.
//!
//! `contract` is that contract as it was released, so that today's host meets the layouts of then.

pub mod contract;
mod plugin;
