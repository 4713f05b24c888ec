use std::fmt::Debug;

use isoscan_nn::GeneratorRecipe;
use isoscan_sdk::{Descriptor, Param};

/// The plugin of the family that a bundle is: which images it takes.
pub trait Task: Debug + Send + 'static {
    /// As [`isoscan_learned::Family::descriptor`], with [`Task::params`].
    fn descriptor() -> Descriptor;

    /// What a training starts from unless it is told otherwise.
    fn defaults() -> Defaults;

    /// The parameters of a translation.
    fn params() -> Vec<Param> {
        vec![
            Param::choice("direction", &["forward", "backward"], "forward: source to target"),
            Param::float("strength", [0.0, 1.0], 1.0, "", "share of the change that is applied"),
        ]
    }
}

/// Defaults of training parameters that differ between tasks. The networks see `(value - zero) / scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// Unit of `zero` and `scale`.
    pub unit: &'static str,
    /// The value that is 0 to the networks.
    pub zero: f64,
    /// The difference that is 1 to the networks.
    pub scale: f64,
    /// Both generators.
    pub generator: GeneratorRecipe,
}
