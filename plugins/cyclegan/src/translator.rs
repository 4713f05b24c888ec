use isoscan_nn::{Generator, GeneratorRecipe, Net, read_tensors, values};
use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Modality, Output, Param, Patching, PluginError, Translator, Unit,
};
use tch::no_grad;

use crate::{
    Recipe,
    recipe::WEIGHTS,
    scale::{failed, network_scale},
};

/// Translates axial CT slices with the generators of the bundle's `weights/`.
#[derive(Debug)]
pub struct CycleGanTranslator {
    forward: Net<Generator>,
    backward: Net<Generator>,
    hu_scale: f64,
    threads: i32,
}

impl Translator for CycleGanTranslator {
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
                name: "image".into(),
                modalities: vec![Modality::Ct],
                units: vec![Unit::Hounsfield],
                spacing_mm: Some([[1.2, 1.8], [1.2, 1.8], [0.5, 10.0]]),
                range: Some([-1100.0, 3100.0]),
                optional: false,
                aligned: false,
                normalize: None,
                text: "CT slices of the source protocol in HU".into(),
            }],
            output: Output::like_input("the slices in the target protocol's texture, HU"),
            patching: Patching {
                axes: Axes::Slices,
                size: [0, 0, 1],
                multiple: [4, 4, 1],
                halo: [halo, halo, 0],
                max_batch: 8,
            },
            params: vec![
                Param::choice("direction", &["forward", "backward"], "forward: source to target protocol"),
                Param::float("strength", [0.0, 1.0], 1.0, "", "share of the change that is applied"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        let folder = config.bundle.join("weights");
        let recipe = Recipe::read(&folder)?;
        let file = read_tensors(&folder.join(WEIGHTS)).map_err(failed)?;
        let load = |prefix| {
            let mut generator = Net::<Generator>::new(&recipe.cyclegan.generator, 0, 0)?;
            generator.parameters_mut().load(prefix, &file)?;
            Ok(generator)
        };
        Ok(Self {
            forward: load("forward").map_err(failed)?,
            backward: load("backward").map_err(failed)?,
            hu_scale: recipe.hu_scale,
            threads: i32::try_from(config.threads).unwrap_or(i32::MAX).max(1),
        })
    }

    /// Slice by slice, so that the bytes do not depend on which slices share a call.
    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        // libtorch keeps the number per calling thread.
        tch::set_num_threads(self.threads);
        let strength = call.params.float("strength")? as f32;
        let generator = if call.params.choice("direction")? == "backward" { &self.backward } else { &self.forward };
        let image = call.image();
        let [batch, channels, z, y, x] = image.shape;
        if channels != 1 {
            return Err(PluginError::invalid(format_args!("expected 1 channel, found {channels}")));
        }
        for (index, slice) in image.as_slice().chunks_exact(y * x).enumerate() {
            call.host.progress(index as f32 / (batch * z) as f32)?;
            let scaled = network_scale(slice, [1, 1, y, x], self.hu_scale)?;
            let residual = no_grad(|| generator.residual(&scaled)).and_then(|t| values(&t)).map_err(failed)?;
            let gain = strength * self.hu_scale as f32;
            let mut output = call.output();
            let made = &mut output.as_mut_slice()[index * y * x..][..y * x];
            for ((made, &hu), residual) in made.iter_mut().zip(slice).zip(residual) {
                *made = hu + gain * residual;
            }
        }
        Ok(())
    }
}
