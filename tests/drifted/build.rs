//! Takes contract 1.0 from the museum and changes the type of one field to one of the same size.

use std::path::Path;

const CONTRACT: &str = "../museum/1.0/rust/src/contract.rs";
const RELEASED: &str = "pub input_count: u32,";
const DRIFTED: &str = "pub input_count: i32,";

fn main() {
    println!("cargo::rerun-if-changed={CONTRACT}");
    // The package that the released layouts name; the museum says the same.
    println!("cargo::rustc-env=CARGO_PKG_NAME=isoscan-abi");
    println!("cargo::rustc-env=CARGO_PKG_VERSION=0.1.0");
    let contract = std::fs::read_to_string(CONTRACT).expect("the museum's contract");
    assert_eq!(contract.matches(RELEASED).count(), 1, "{RELEASED}");
    let folder = std::env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&folder).join("contract.rs"), contract.replace(RELEASED, DRIFTED))
        .expect("a writable folder");
}
