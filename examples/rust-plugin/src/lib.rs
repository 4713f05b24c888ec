//! The smallest useful plugin in Rust: inverts a CT inside a window.

use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Modality, Output, Param, Patching, PluginError, Translator, Unit,
};

/// Mirrors HU at the window centre: `2 center - hu`, with `hu` limited to `center ± width / 2` before.
pub struct Invert;

isoscan_sdk::export_plugin!(Invert);

impl Translator for Invert {
    fn descriptor() -> Descriptor {
        let hu = [-1024.0, 3071.0];
        Descriptor {
            id: "invert".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Invert".into(),
            summary: "Inverts a CT inside a window".into(),
            family: "example".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Ct],
                units: vec![Unit::Hounsfield],
                ..Input::any("image", "the image")
            }],
            output: Output::like_input("the inverted image, in the window's HU"),
            patching: Patching { max_batch: 8, ..Patching::whole(Axes::Slices) },
            params: vec![
                Param::float("center", hu, 40.0, "HU", "window centre"),
                Param::float("width", [1.0, 4096.0], 400.0, "HU", "window width"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let (center, width) = (call.params.float("center")? as f32, call.params.float("width")? as f32);
        let image = call.image();
        for (out, &hu) in call.output().as_mut_slice().iter_mut().zip(image.as_slice()) {
            *out = 2.0 * center - hu.clamp(center - width / 2.0, center + width / 2.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::harness::{Array, Plugin};

    use super::*;

    #[test]
    fn window_is_mirrored_at_its_centre() {
        // Centre 50, width 100: the window is 0 to 100 HU.
        let image = Array::new([1, 1, 1, 1, 5], &[-1000.0, 0.0, 50.0, 80.0, 700.0]);
        let params = [("center", 50.0.into()), ("width", 100.0.into())];
        let inverted = Plugin::<Invert>::create().unwrap().run(&[&image], &params).unwrap();
        assert_eq!(inverted.as_slice(), [100.0, 100.0, 50.0, 20.0, 0.0]);
    }

    #[test]
    fn parameter_outside_its_range_is_refused() {
        let image = Array::zeros([1, 1, 1, 1, 1]);
        let failure = Plugin::<Invert>::create().unwrap().run(&[&image], &[("width", 0.5.into())]).unwrap_err();
        assert_eq!(failure.message, "parameter 'width' must be a number in 1..4096, found 0.5");
    }
}
