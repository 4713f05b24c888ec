//! Brain MR from PET: the weights of `mr-to-pet`, run the other way.
//!
//! The MR has the intensities that `mr-to-pet` is given: 0 the mean of the head, 1 its standard deviation. Weights are trained by
//! `isoscan train mr-to-pet`, which learns both ways; this plugin takes the `weights/` of that bundle.
//!
//! ```
//! use isoscan_pet_to_mr::PetToMr;
//! use isoscan_reversible::Side;
//! use isoscan_sdk::{Modality, Unit};
//!
//! let output = PetToMr::descriptor().output;
//! assert_eq!((output.modality, output.unit), (Some(Modality::Mr), Some(Unit::Normalized)));
//! ```

use isoscan_learned::Learned;
use isoscan_reversible::{RevGan, Side, Way};
use isoscan_sdk::{Descriptor, Input, Modality, Output, Unit};

/// PET in, MR out.
#[derive(Debug)]
pub struct PetToMr;

impl Side for PetToMr {
    const WAY: Way = Way::PetToMr;

    fn descriptor() -> Descriptor {
        Descriptor {
            id: "pet-to-mr".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "PET to MR".into(),
            summary: "Makes brain MR of PET by a reversible network; what PET does not show it cannot know".into(),
            family: "revgan".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Pt],
                units: vec![Unit::Suv],
                spacing_mm: Some([[2.5, 3.5]; 3]),
                ..Input::any("image", "brain PET in SUV")
            }],
            output: Output {
                modality: Some(Modality::Mr),
                unit: Some(Unit::Normalized),
                ..Output::like_input("MR, 0 at the mean of the head and 1 at its standard deviation")
            },
            patching: Self::patching(),
            params: Vec::new(),
            deterministic: true,
            synthetic: true,
        }
    }
}

isoscan_sdk::export_plugin!(Learned<RevGan<PetToMr>>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use isoscan_learned::testing::Bundle;
    use isoscan_sdk::harness::Array;

    use super::*;

    #[test]
    fn the_shipped_weights_are_those_of_mr_to_pet_and_make_a_finite_mr() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let other = own.join("../mr-to-pet");
        for name in ["weights/mr-pet.safetensors", "weights/recipe.json"] {
            assert!(std::fs::read(own.join(name)).unwrap() == std::fs::read(other.join(name)).unwrap(), "{name}");
        }
        let mut plugin = Bundle::<RevGan<PetToMr>>::create_in(own, 1).unwrap();
        let pet = Array::new([1, 1, 8, 8, 8], &[4.0; 512]);
        let made = plugin.run(&[&pet], &[]).unwrap();
        assert!(made.as_slice().iter().all(|value| value.is_finite()));
    }
}
