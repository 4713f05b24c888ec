//! Whole-program tests: the program `isoscan` as its users start it.

#[path = "whole/fixture.rs"]
mod fixture;

#[path = "whole/bad_input.rs"]
mod bad_input;
#[path = "whole/commands.rs"]
mod commands;
#[path = "whole/faults.rs"]
mod faults;
#[path = "whole/real_images.rs"]
mod real_images;
#[path = "whole/study.rs"]
mod study;
