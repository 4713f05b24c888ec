//! Tests of image processing against formulas, other programs and real images.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests stop at the unexpected, say what they skip, and print what they measure"
)]

#[path = "imaging/fixture.rs"]
mod fixture;

#[path = "imaging/brain.rs"]
mod brain;
#[path = "imaging/filters.rs"]
mod filters;
#[path = "imaging/intensity.rs"]
mod intensity;
#[path = "imaging/peers.rs"]
mod peers;
#[path = "imaging/registration.rs"]
mod registration;
