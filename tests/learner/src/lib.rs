//! A plugin for the tests that learns `gain * image + second * other + offset` and repeats voxels on a finer grid.

mod trainer;

use std::path::Path;

use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Output, Param, Patching, PluginError, Refine, TensorView, TensorViewMut,
    Translator,
};
use serde::{Deserialize, Serialize};
pub use trainer::LineTrainer;

/// Where the weights lie in `weights/`.
pub(crate) const FILE: &str = "line.json";

/// The weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Factor of the image.
    pub gain: f64,
    /// Factor of the second image.
    pub second: f64,
    /// Added to both.
    pub offset: f64,
}

isoscan_sdk::export_plugin!(Line, train = LineTrainer);

impl Translator for Line {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "learner".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Learner".into(),
            summary: "Learns a line".into(),
            family: "test".into(),
            inputs: vec![
                Input::any("image", "the image"),
                Input { optional: true, aligned: true, ..Input::any("other", "another image of the same place") },
            ],
            output: Output {
                refine: Refine::chosen("scale", &[("1", [1, 1, 1]), ("2", [2, 3, 1])]),
                ..Output::like_input("the line of the images")
            },
            patching: Patching { axes: Axes::Slices, size: [16, 16, 1], multiple: [1; 3], halo: [0; 3], max_batch: 3 },
            params: vec![Self::scale()],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        Self::read(&config.bundle.join("weights"))
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let (image, other) = (call.image(), call.input("other"));
        self.fill(image, other, call.output());
        Ok(())
    }
}

impl Line {
    pub(crate) fn scale() -> Param {
        Param::choice("scale", &["1", "2"], "2: twice the voxels along x and three times those along y")
    }

    pub(crate) fn read(folder: &Path) -> Result<Self, PluginError> {
        let text = std::fs::read(folder.join(FILE)).map_err(PluginError::failed)?;
        serde_json::from_slice(&text).map_err(PluginError::failed)
    }

    pub(crate) fn of(&self, image: f32, other: f32) -> f32 {
        (self.gain * f64::from(image) + self.second * f64::from(other) + self.offset) as f32
    }

    fn fill(&self, image: TensorView<'_>, other: Option<TensorView<'_>>, mut output: TensorViewMut<'_>) {
        let values: Vec<f32> = match other {
            None => image.as_slice().iter().map(|&image| self.of(image, 0.0)).collect(),
            Some(other) => image.as_slice().iter().zip(other.as_slice()).map(|(&a, &b)| self.of(a, b)).collect(),
        };
        repeat(&values, image.shape, output.shape, output.as_mut_slice());
    }
}

/// Repeats each voxel of `[batch, 1, z, y, x]` values as often as the output's shape has it.
pub(crate) fn repeat(values: &[f32], from: [usize; 5], to: [usize; 5], out: &mut [f32]) {
    let [_, _, nz, ny, nx] = from;
    let [_, _, mz, my, mx] = to;
    for (at, out) in out.iter_mut().enumerate() {
        let (x, y, z, item) = (at % mx, at / mx % my, at / (mx * my) % mz, at / (mx * my * mz));
        *out = values[((item * nz + z * nz / mz) * ny + y * ny / my) * nx + x * nx / mx];
    }
}
