use std::fmt::Debug;

use isoscan_sdk::{Axes, Descriptor, Input, Modality, Output, Param, Patching, Unit};

use crate::recipe::GENERATOR;

/// The plugin of the family that a bundle is: which images it takes.
pub trait Task: Debug + Send + 'static {
    /// As [`isoscan_learned::Family::descriptor`]; [`of_ct`] gives that of CT.
    fn descriptor() -> Descriptor;

    /// What a training starts from unless it is told otherwise.
    fn defaults() -> Defaults;
}

/// Defaults of training parameters that differ between tasks. The networks see `(value - zero) / scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Unit of `zero` and `scale`.
    pub unit: &'static str,
    /// The value that is 0 to the networks.
    pub zero: f64,
    /// The difference that is 1 to the networks.
    pub scale: f64,
}

/// A descriptor of CT slices in HU, whole, so that the result does not depend on how a slice is cut; the halo is the
/// receptive field of the default architecture.
pub fn of_ct(id: &str, name: &str, summary: &str) -> Descriptor {
    let halo = GENERATOR.halo();
    Descriptor {
        id: id.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        name: name.into(),
        summary: summary.into(),
        family: "routegan".into(),
        inputs: vec![Input {
            modalities: vec![Modality::Ct],
            units: vec![Unit::Hounsfield],
            spacing_mm: Some([[1.2, 1.8], [1.2, 1.8], [0.5, 10.0]]),
            range: Some([-1100.0, 3100.0]),
            ..Input::any("image", "CT slices of any protocol in HU")
        }],
        output: Output::like_input("the slices in the texture of the target domain, HU"),
        patching: Patching {
            axes: Axes::Slices,
            size: [0, 0, 1],
            multiple: [8, 8, 1],
            halo: [halo, halo, 0],
            max_batch: 8,
        },
        params: params(),
        deterministic: true,
        synthetic: true,
    }
}

/// The parameters of a translation.
fn params() -> Vec<Param> {
    let target = "number of the domain in weights/recipe.json, from 0; -1: the one trained towards";
    vec![
        Param::int("target", [-1, 63], -1, "", target),
        Param::int("mix_with", [-1, 63], -1, "", "number of a second domain, as target"),
        Param::float("mix", [0.0, 1.0], 0.0, "", "share of the second domain in the route"),
        Param::float("strength", [0.0, 1.0], 1.0, "", "share of the change that is applied"),
    ]
}
