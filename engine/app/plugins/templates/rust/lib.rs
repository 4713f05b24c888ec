//! {{summary}}.

use isoscan_sdk::{Axes, Call, Config, Descriptor, Input, Output, Param, Patching, PluginError, Translator};

/// Moves every voxel towards the mean of its 3 x 3 neighbours in the slice.
pub struct Plugin;

isoscan_sdk::export_plugin!(Plugin);

impl Translator for Plugin {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "{{id}}".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "{{id}}".into(),
            summary: "{{summary}}".into(),
            family: "classical".into(),
            inputs: vec![Input::any("image", "the image")],
            output: Output::like_input("the image, moved towards its local mean"),
            patching: Patching { axes: Axes::Slices, size: [256, 256, 1], multiple: [1; 3], halo: [1, 1, 0], max_batch: 8 },
            params: vec![Param::float("strength", [-1.0, 1.0], {{strength}}, "", "0 changes nothing, below 0 sharpens")],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let strength = call.params.float("strength")? as f32;
        let (host, image) = (call.host, call.image());
        let [batch, channels, depth, height, width] = image.shape;
        let rows = batch * channels * depth * height;
        let mut output = call.output();
        for (row, out) in output.as_mut_slice().chunks_exact_mut(width).enumerate() {
            if row % 64 == 0 {
                host.progress(row as f32 / rows as f32)?;
            }
            let slice = &image.as_slice()[row / height * height * width..][..height * width];
            for (x, out) in out.iter_mut().enumerate() {
                let voxel = slice[row % height * width + x];
                *out = voxel + strength * (mean(slice, width, x, row % height) - voxel);
            }
        }
        Ok(())
    }
}

/// Mean of the voxels around (x, y); outside, the outermost ones are repeated.
fn mean(slice: &[f32], width: usize, x: usize, y: usize) -> f32 {
    let height = slice.len() / width;
    let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
    let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
    rows.iter().flat_map(|row| columns.map(|column| slice[row * width + column])).sum::<f32>() / 9.0
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::harness::{self, Array};

    use super::*;

    fn run(voxels: [f32; 9], strength: f64) -> Vec<f32> {
        let image = Array::new([1, 1, 1, 3, 3], &voxels);
        let mut plugin = harness::Plugin::<Plugin>::create().unwrap();
        plugin.run(&[&image], &[("strength", strength.into())]).unwrap().as_slice().to_vec()
    }

    #[test]
    fn a_single_bright_voxel_is_spread_over_its_neighbours() {
        let spike = [0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(run(spike, 1.0), [1.0; 9]);
        assert_eq!(run(spike, 0.0), spike);
        assert_eq!(run(spike, -1.0)[4], 17.0);
    }

    #[test]
    fn a_flat_image_stays_as_it_is() {
        assert_eq!(run([40.0; 9], 0.5), [40.0; 9]);
    }
}
