//! Brain PET from MR by the reversible network of [`isoscan_reversible`]; `pet-to-mr` runs the same weights the other way.
//!
//! Two plugins, since the contract of version 1 knows one kind of output per plugin: PET in SUV here, MR there. Training is
//! here, from MR as source and PET as target, and learns both ways.
//!
//! ```
//! use isoscan_mr_to_pet::MrToPet;
//! use isoscan_reversible::Side;
//! use isoscan_sdk::{Modality, Unit};
//!
//! let output = MrToPet::descriptor().output;
//! assert_eq!((output.modality, output.unit), (Some(Modality::Pt), Some(Unit::Suv)));
//! ```

use isoscan_learned::{Learned, Learning};
use isoscan_reversible::{RevGan, Side, Way};
use isoscan_sdk::{Descriptor, Input, Modality, Normalize, Output, Region, Unit};

/// MR in, PET out.
#[derive(Debug)]
pub struct MrToPet;

impl Side for MrToPet {
    const WAY: Way = Way::MrToPet;

    fn descriptor() -> Descriptor {
        Descriptor {
            id: "mr-to-pet".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "MR to PET".into(),
            summary: "Makes brain PET of MR by a reversible network; what MR does not show it cannot know".into(),
            family: "revgan".into(),
            inputs: vec![
                mr("image", "brain MR of the sequence that the weights were trained on"),
                Input { optional: true, aligned: true, ..mr("flair", "FLAIR, for weights that were trained with one") },
            ],
            output: Output {
                modality: Some(Modality::Pt),
                unit: Some(Unit::Suv),
                ..Output::like_input("the uptake in SUV")
            },
            patching: Self::patching(),
            params: Vec::new(),
            deterministic: true,
            synthetic: true,
        }
    }
}

fn mr(name: &str, description: &str) -> Input {
    Input {
        modalities: vec![Modality::Mr],
        spacing_mm: Some([[2.5, 3.5]; 3]),
        normalize: Some(Normalize::ZScore { region: Region::Body }),
        ..Input::any(name, description)
    }
}

isoscan_sdk::export_plugin!(Learned<RevGan<MrToPet>>, train = Learning<RevGan<MrToPet>>);

#[cfg(test)]
mod tests;
