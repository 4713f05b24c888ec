//! Returns the image unchanged: the control of every comparison.
//!
//! ```
//! use isoscan_identity::Identity;
//! use isoscan_sdk::harness::{Array, Plugin};
//!
//! let image = Array::new([1, 1, 1, 2, 2], &[-1000.0, 0.0, 40.5, f32::MAX]);
//! assert_eq!(Plugin::<Identity>::create().unwrap().run(&[&image], &[]).unwrap(), image);
//! ```

use isoscan_sdk::{Axes, Call, Config, Descriptor, Input, Output, Patching, PluginError, Translator};

/// The identity translation: any modality and unit, bit for bit.
pub struct Identity;

isoscan_sdk::export_plugin!(Identity, batch);

impl Translator for Identity {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "identity".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Identity".into(),
            summary: "Returns the image unchanged".into(),
            family: "identity".into(),
            inputs: vec![Input::any("image", "the image")],
            output: Output::like_input("the same image"),
            patching: Patching { max_batch: 2, ..Patching::whole(Axes::Slices) },
            params: Vec::new(),
            deterministic: true,
            synthetic: false,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let image = call.image();
        call.output().as_mut_slice().copy_from_slice(image.as_slice());
        Ok(())
    }
}
