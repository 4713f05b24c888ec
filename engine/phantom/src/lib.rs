//! Physics phantoms with exact truth.
