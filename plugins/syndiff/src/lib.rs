//! One MR contrast from another by the adversarial diffusion of [`isoscan_unpaired_diffusion`]: T2-weighted from T1-weighted
//! with the shipped weights, and back.
//!
//! ```
//! use isoscan_syndiff::MrToMr;
//! use isoscan_unpaired_diffusion::Task;
//!
//! let descriptor = MrToMr::descriptor();
//! assert!(descriptor.synthetic && descriptor.params.iter().any(|param| param.id == "samples"));
//! ```

use isoscan_learned::{Learned, Learning};
use isoscan_sdk::{Descriptor, Input, Modality, Normalize, Output, Region, Unit};
use isoscan_unpaired_diffusion::{SynDiff, Task};

/// Both contrasts from the least intensity to the 98th percentile of the head.
#[derive(Debug)]
pub struct MrToMr;

impl Task for MrToMr {
    const TARGET: [f64; 2] = [0.0, 1.0];
    const BACK: bool = true;

    fn descriptor() -> Descriptor {
        Descriptor {
            id: "syndiff".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "SynDiff".into(),
            summary: "Makes one MR contrast of another by adversarial diffusion, and tells how sure it is".into(),
            family: "diffusion".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Mr],
                units: vec![Unit::Arbitrary],
                spacing_mm: Some([[2.0, 4.0], [2.0, 4.0], [0.5, 10.0]]),
                // From the least intensity, which is 0 in a magnitude image, so that a spread taken back starts at 0.
                normalize: Some(Normalize::Percentile { low: 0.0, high: 98.0, region: Region::Body }),
                ..Input::any("image", "axial slices of a head in the source contrast")
            }],
            output: Output::like_input("the target contrast, or its spread; on the scale of the image's intensities"),
            patching: Self::patching(),
            params: Self::params(),
            deterministic: true,
            synthetic: true,
        }
    }
}

isoscan_sdk::export_plugin!(Learned<SynDiff<MrToMr>>, train = Learning<SynDiff<MrToMr>>);

#[cfg(test)]
mod tests;
