//! CT slices from one protocol to another, learned from unpaired scans: the same anatomy, another texture.
//!
//! Weights and the numbers of their architecture lie in the bundle's `weights/` and are made by the plugin's own
//! training side.
//!
//! ```
//! use isoscan_cycle::Task;
//! use isoscan_cyclegan::CtProtocols;
//!
//! let descriptor = CtProtocols::descriptor();
//! let params: Vec<&str> = descriptor.params.iter().map(|p| p.id.as_str()).collect();
//! assert_eq!(params, ["direction", "strength"]);
//! ```

use isoscan_cycle::{CycleGan, Defaults, Task};
use isoscan_learned::{Learned, Learning};
use isoscan_nn::GeneratorRecipe;
use isoscan_sdk::{Axes, Descriptor, Input, Modality, Output, Patching, Unit};

/// CT slices in HU.
#[derive(Debug)]
pub struct CtProtocols;

impl Task for CtProtocols {
    /// Whole slices, so that the result does not depend on how a slice is cut; the halo is the receptive field of the
    /// default architecture.
    fn descriptor() -> Descriptor {
        let halo = GeneratorRecipe::default().halo();
        Descriptor {
            id: "cyclegan".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "CycleGAN".into(),
            summary: "Gives CT slices the texture of another protocol, learned from unpaired scans".into(),
            family: "cyclegan".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Ct],
                units: vec![Unit::Hounsfield],
                spacing_mm: Some([[1.2, 1.8], [1.2, 1.8], [0.5, 10.0]]),
                range: Some([-1100.0, 3100.0]),
                ..Input::any("image", "CT slices of the source protocol in HU")
            }],
            output: Output::like_input("the slices in the target protocol's texture, HU"),
            patching: Patching {
                axes: Axes::Slices,
                size: [0, 0, 1],
                multiple: [4, 4, 1],
                halo: [halo, halo, 0],
                max_batch: 8,
            },
            params: Self::params(),
            deterministic: true,
            synthetic: true,
        }
    }

    fn defaults() -> Defaults {
        Defaults { unit: "HU", zero: 0.0, scale: 200.0, generator: GeneratorRecipe::default() }
    }
}

isoscan_sdk::export_plugin!(Learned<CycleGan<CtProtocols>>, train = Learning<CycleGan<CtProtocols>>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use isoscan_learned::testing::Bundle;
    use isoscan_sdk::harness::Array;

    use super::*;

    #[test]
    fn shipped_weights_fit_their_recipe_and_change_a_slice() {
        let mut plugin = Bundle::<CycleGan<CtProtocols>>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
        let checkerboard: Vec<f32> = (0..256).map(|i| if (i + i / 16) % 2 == 0 { 40.0 } else { -40.0 }).collect();
        let source = Array::new([1, 1, 1, 16, 16], &checkerboard);
        let made = plugin.run(&[&source], &[]).unwrap();
        assert!(made.as_slice().iter().all(|hu| hu.is_finite()));
        assert_ne!(made.as_slice(), source.as_slice());
    }
}
