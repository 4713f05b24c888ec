//! Layouts record the package of their types: the released plugins took them from `isoscan-abi` 0.1.0.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=CARGO_PKG_NAME=isoscan-abi");
    println!("cargo::rustc-env=CARGO_PKG_VERSION=0.1.0");
}
