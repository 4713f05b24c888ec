//! Chest radiographs from one vendor's processing to another's, learned from unpaired images of different subjects.
//!
//! The same networks as `cyclegan`, which takes CT; here the generator sees much farther, because a workstation's processing
//! weighs structures of centimetres.
//!
//! ```
//! use isoscan_cycle::Task;
//! use isoscan_cyclegan_dx::Radiographs;
//! use isoscan_sdk::{Modality, Unit};
//!
//! let input = &Radiographs::descriptor().inputs[0];
//! assert_eq!((&input.modalities[..], &input.units[..]), (&[Modality::Dx, Modality::Cr][..], &[Unit::Arbitrary][..]));
//! ```

use isoscan_cycle::{CycleGan, Defaults, Task};
use isoscan_learned::{Learned, Learning};
use isoscan_nn::GeneratorRecipe;
use isoscan_sdk::{Axes, Descriptor, Input, Modality, Output, Patching, Unit};

/// Processed radiographs in grey values of 12 bit.
#[derive(Debug)]
pub struct Radiographs;

impl Task for Radiographs {
    /// The whole radiograph in one call: in the patient's frame its plane is x and z, not that of slices.
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "cyclegan-dx".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "CycleGAN of radiographs".into(),
            summary: "Gives chest radiographs the look of another vendor, learned from unpaired images".into(),
            family: "cyclegan".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Dx, Modality::Cr],
                units: vec![Unit::Arbitrary],
                spacing_mm: Some([[1.6, 2.5]; 3]),
                range: Some([0.0, 4095.0]),
                ..Input::any("image", "frontal chest radiograph as the source vendor shows it, 0 to 4095")
            }],
            output: Output::like_input("the radiograph as the target vendor would show it"),
            patching: Patching::whole(Axes::Volume),
            params: Self::params(),
            deterministic: true,
            synthetic: true,
        }
    }

    fn defaults() -> Defaults {
        let generator = GeneratorRecipe { kernel: 5, halvings: 1, ..GeneratorRecipe::default() };
        Defaults { unit: "", zero: 1000.0, scale: 1000.0, generator }
    }
}

isoscan_sdk::export_plugin!(Learned<CycleGan<Radiographs>>, train = Learning<CycleGan<Radiographs>>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use isoscan_learned::testing::Bundle;
    use isoscan_sdk::harness::Array;

    use super::*;

    #[test]
    fn shipped_weights_fit_their_recipe_and_change_a_radiograph() {
        let mut plugin = Bundle::<CycleGan<Radiographs>>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
        let ramp: Vec<f32> = (0..32 * 30).map(|i| 60.0 * (i % 30) as f32).collect();
        let source = Array::new([1, 1, 32, 1, 30], &ramp);
        let made = plugin.run(&[&source], &[]).unwrap();
        assert!(made.as_slice().iter().all(|grey| grey.is_finite()));
        assert_ne!(made.as_slice(), source.as_slice());
    }
}
