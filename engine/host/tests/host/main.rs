//! Real plugins in real worker processes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundles;
mod calls;
mod faults;
mod plugins;
mod refusals;
mod training;
