//! The program `isoscan`.
fn main() {}
