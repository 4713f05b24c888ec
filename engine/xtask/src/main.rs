//! The two set-up commands.
fn main() {}
