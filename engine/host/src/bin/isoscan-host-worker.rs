//! A worker program for hosts without a command line of their own, and for the tests.

use std::process::exit;

fn main() {
    exit(isoscan_host::plugin_worker())
}
