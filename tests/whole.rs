//! Whole-program tests: the program `isoscan` as its users start it.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and says what it skips")]

#[path = "whole/fixture.rs"]
mod fixture;

#[path = "whole/bad_input.rs"]
mod bad_input;
#[path = "whole/bids.rs"]
mod bids;
#[path = "whole/commands.rs"]
mod commands;
#[path = "whole/comparison.rs"]
mod comparison;
#[path = "whole/faults.rs"]
mod faults;
#[path = "whole/import.rs"]
mod import;
#[path = "whole/phantom.rs"]
mod phantom;
#[path = "whole/radiomics.rs"]
mod radiomics;
#[path = "whole/real_images.rs"]
mod real_images;
#[path = "whole/slabs.rs"]
mod slabs;
#[path = "whole/study.rs"]
mod study;
#[path = "whole/train.rs"]
mod train;
#[path = "whole/vendor.rs"]
mod vendor;
#[path = "whole/verbs.rs"]
mod verbs;
#[path = "whole/watch.rs"]
mod watch;
