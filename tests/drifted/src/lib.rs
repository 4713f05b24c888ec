//! The museum's Rust plugin with one field of another type: same sizes and offsets, so the same layout hash.

pub mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}
#[path = "../../museum/1.0/rust/src/plugin.rs"]
mod plugin;
