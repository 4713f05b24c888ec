//! Real plugins in real worker processes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod bundles;
mod calls;
mod check;
mod corpus;
mod examples;
mod faults;
mod golden;
mod life;
mod limits;
mod museum;
mod plugins;
mod refusals;
mod reload;
mod retry;
mod sandbox;
mod served;
mod store;
mod training;
mod trust;
mod versions;
mod weights;
