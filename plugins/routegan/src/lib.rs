//! CT slices of the chest from any protocol to any of K protocols with one network, learned from unpaired scans.
//!
//! The design follows RouteGAN (Kim et al., Phys Med Biol 2022;67:215002), which has no public code: the network is a
//! rebuild.
//!
//! ```
//! use isoscan_route::Task;
//! use isoscan_routegan::ChestProtocols;
//!
//! let descriptor = ChestProtocols::descriptor();
//! let params: Vec<&str> = descriptor.params.iter().map(|p| p.id.as_str()).collect();
//! assert_eq!(params, ["target", "mix_with", "mix", "strength"]);
//! ```

use isoscan_learned::{Learned, Learning};
use isoscan_route::{Defaults, RouteGan, Task, of_ct};
use isoscan_sdk::Descriptor;

/// CT slices in HU; the shipped weights know seven protocols of the chest.
#[derive(Debug)]
pub struct ChestProtocols;

impl Task for ChestProtocols {
    fn descriptor() -> Descriptor {
        let summary = "Gives CT slices of any protocol the texture of one of many, or of a mixture of two";
        of_ct("routegan", "RouteGAN", summary)
    }

    fn defaults() -> Defaults {
        Defaults { unit: "HU", zero: 0.0, scale: 200.0 }
    }
}

isoscan_sdk::export_plugin!(Learned<RouteGan<ChestProtocols>>, train = Learning<RouteGan<ChestProtocols>>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use isoscan_learned::testing::Bundle;
    use isoscan_sdk::harness::Array;

    use super::*;

    #[test]
    fn shipped_weights_fit_their_recipe_and_change_a_slice() {
        let mut plugin =
            Bundle::<RouteGan<ChestProtocols>>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
        let checkerboard: Vec<f32> = (0..256).map(|i| if (i + i / 16) % 2 == 0 { 40.0 } else { -40.0 }).collect();
        let source = Array::new([1, 1, 1, 16, 16], &checkerboard);
        let made = plugin.run(&[&source], &[]).unwrap();
        assert!(made.as_slice().iter().all(|hu| hu.is_finite()));
        assert_ne!(made.as_slice(), source.as_slice());
    }
}
