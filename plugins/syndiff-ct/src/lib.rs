//! CT from MR by the adversarial diffusion of [`isoscan_unpaired_diffusion`], learned of scans of different heads.
//!
//! ```
//! use isoscan_sdk::{Modality, Unit};
//! use isoscan_syndiff_ct::MrToCt;
//! use isoscan_unpaired_diffusion::Task;
//!
//! let output = MrToCt::descriptor().output;
//! assert_eq!((output.modality, output.unit), (Some(Modality::Ct), Some(Unit::Hounsfield)));
//! ```

use isoscan_learned::{Learned, Learning};
use isoscan_sdk::{Descriptor, Input, Modality, Normalize, Output, Region, Unit};
use isoscan_unpaired_diffusion::{SynDiff, Task};

/// MR in, CT out.
#[derive(Debug)]
pub struct MrToCt;

impl Task for MrToCt {
    const TARGET: [f64; 2] = [-1000.0, 1000.0];
    const BACK: bool = false;

    fn descriptor() -> Descriptor {
        Descriptor {
            id: "syndiff-ct".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "SynDiff for CT".into(),
            summary: "Makes CT of MR by adversarial diffusion learned without pairs, and tells how sure it is".into(),
            family: "diffusion".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Mr],
                spacing_mm: Some([[1.6, 2.4], [1.6, 2.4], [0.5, 10.0]]),
                normalize: Some(Normalize::Percentile { low: 0.0, high: 98.0, region: Region::Body }),
                ..Input::any("image", "axial slices of a head, MR of the sequence that the weights were trained on")
            }],
            output: Output {
                modality: Some(Modality::Ct),
                unit: Some(Unit::Hounsfield),
                ..Output::like_input("the image in HU, or its spread")
            },
            patching: Self::patching(),
            params: Self::params(),
            deterministic: true,
            synthetic: true,
        }
    }
}

isoscan_sdk::export_plugin!(Learned<SynDiff<MrToCt>>, train = Learning<SynDiff<MrToCt>>);

#[cfg(test)]
mod tests;
