//! CT slices of the abdomen from any protocol to any of K protocols with one network: `routegan` with other weights.
//!
//! ```
//! use isoscan_route::Task;
//! use isoscan_routegan_abdomen::AbdomenProtocols;
//!
//! assert_eq!(AbdomenProtocols::descriptor().id, "routegan-abdomen");
//! ```

use isoscan_learned::{Learned, Learning};
use isoscan_route::{Defaults, RouteGan, Task, of_ct};
use isoscan_sdk::Descriptor;

/// CT slices in HU; the shipped weights know eight protocols of the abdomen.
#[derive(Debug)]
pub struct AbdomenProtocols;

impl Task for AbdomenProtocols {
    fn descriptor() -> Descriptor {
        let summary = "Gives abdomen CT of any protocol the texture of one of many, or of a mixture of two";
        of_ct("routegan-abdomen", "RouteGAN of the abdomen", summary)
    }

    fn defaults() -> Defaults {
        Defaults { unit: "HU", zero: 0.0, scale: 200.0 }
    }
}

isoscan_sdk::export_plugin!(Learned<RouteGan<AbdomenProtocols>>, train = Learning<RouteGan<AbdomenProtocols>>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use isoscan_learned::testing::Bundle;
    use isoscan_sdk::harness::Array;

    use super::*;

    #[test]
    fn shipped_weights_fit_their_recipe_and_change_a_slice() {
        let mut plugin =
            Bundle::<RouteGan<AbdomenProtocols>>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
        let checkerboard: Vec<f32> = (0..256).map(|i| if (i + i / 16) % 2 == 0 { 40.0 } else { -40.0 }).collect();
        let source = Array::new([1, 1, 1, 16, 16], &checkerboard);
        let made = plugin.run(&[&source], &[]).unwrap();
        assert!(made.as_slice().iter().all(|hu| hu.is_finite()));
        assert_ne!(made.as_slice(), source.as_slice());
    }
}
