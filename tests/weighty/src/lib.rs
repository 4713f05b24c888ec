//! A plugin with large weights, for the tests: adds the sum of the bytes of `weights.bin`, modulo 1000.

use isoscan_sdk::{Axes, Call, Config, Descriptor, Input, Mapped, Output, Patching, PluginError, Translator};

/// Its weights, mapped.
pub struct Weighty(Mapped);

isoscan_sdk::export_plugin!(Weighty);

impl Translator for Weighty {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "weighty".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Weighty".into(),
            summary: "Adds the sum of its weights".into(),
            family: "test".into(),
            inputs: vec![Input::any("image", "the image")],
            output: Output::like_input("the image and the sum"),
            patching: Patching::whole(Axes::Volume),
            params: Vec::new(),
            deterministic: true,
            synthetic: false,
        }
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        Ok(Self(config.map("weights.bin")?))
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let sum: u64 = self.0.iter().map(|&byte| u64::from(byte)).sum();
        let image = call.image();
        for (out, &voxel) in call.output().as_mut_slice().iter_mut().zip(image.as_slice()) {
            *out = voxel + (sum % 1000) as f32;
        }
        Ok(())
    }
}
