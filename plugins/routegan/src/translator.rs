use isoscan_nn::{Net, read_tensors, values};
use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Modality, Output, Param, Patching, PluginError, Translator, Unit,
};
use tch::no_grad;

use crate::{
    Recipe, RoutedNet, mixed,
    recipe::{GENERATOR, WEIGHTS},
    scale::{failed, network_scale},
    training,
};

/// Translates axial CT slices along a route, with the generator of the bundle's `weights/`.
#[derive(Debug)]
pub struct RouteGanTranslator {
    generator: Net<RoutedNet>,
    recipe: Recipe,
    threads: i32,
}

impl Translator for RouteGanTranslator {
    /// Whole slices, so that the result does not depend on how a slice is cut; the halo is the receptive field of the
    /// default architecture.
    fn descriptor() -> Descriptor {
        let halo = GENERATOR.halo();
        Descriptor {
            id: "routegan".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "RouteGAN".into(),
            summary: "Gives CT slices of any protocol the texture of one of many, or of a mixture of two".into(),
            family: "routegan".into(),
            inputs: vec![Input {
                name: "image".into(),
                modalities: vec![Modality::Ct],
                units: vec![Unit::Hounsfield],
                spacing_mm: Some([[1.2, 1.8], [1.2, 1.8], [0.5, 10.0]]),
                range: Some([-1100.0, 3100.0]),
                optional: false,
                aligned: false,
                normalize: None,
                text: "CT slices of any protocol in HU".into(),
            }],
            output: Output::like_input("the slices in the texture of the target domain, HU"),
            patching: Patching {
                axes: Axes::Slices,
                size: [0, 0, 1],
                multiple: [8, 8, 1],
                halo: [halo, halo, 0],
                max_batch: 8,
            },
            params: vec![
                Param::int(
                    "target",
                    [-1, 63],
                    -1,
                    "",
                    "number of the domain in weights/recipe.json, from 0; -1: the one trained towards",
                ),
                Param::int("mix_with", [-1, 63], -1, "", "number of a second domain, as target"),
                Param::float("mix", [0.0, 1.0], 0.0, "", "share of the second domain in the route"),
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
        let mut generator = Net::<RoutedNet>::new(&recipe.routegan.generator, 0, 0).map_err(failed)?;
        generator.parameters_mut().load(training::GENERATOR, &file).map_err(failed)?;
        let threads = i32::try_from(config.threads).unwrap_or(i32::MAX).max(1);
        Ok(Self { generator, recipe, threads })
    }

    /// Slice by slice, so that the bytes do not depend on which slices share a call.
    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        // libtorch keeps the number per calling thread.
        tch::set_num_threads(self.threads);
        let [target, mix_with] = [self.domain(call, "target")?, self.domain(call, "mix_with")?];
        let count = self.recipe.domains.len();
        let route = mixed(target, mix_with, call.params.float("mix")?, count).map_err(failed)?;
        let gain = call.params.float("strength")? as f32 * self.recipe.hu_scale as f32;
        let image = call.image();
        let [batch, channels, z, y, x] = image.shape;
        if channels != 1 {
            return Err(PluginError::invalid(format_args!("expected 1 channel, found {channels}")));
        }
        for (index, slice) in image.as_slice().chunks_exact(y * x).enumerate() {
            call.host.progress(index as f32 / (batch * z) as f32)?;
            let scaled = network_scale(slice, [1, 1, y, x], self.recipe.hu_scale)?;
            let residual =
                no_grad(|| self.generator.residual(&scaled, &route)).and_then(|t| values(&t)).map_err(failed)?;
            let mut output = call.output();
            let made = &mut output.as_mut_slice()[index * y * x..][..y * x];
            for ((made, &hu), residual) in made.iter_mut().zip(slice).zip(residual) {
                *made = hu + gain * residual;
            }
        }
        Ok(())
    }
}

impl RouteGanTranslator {
    fn domain(&self, call: &Call<'_>, param: &str) -> Result<usize, PluginError> {
        self.recipe.domain(call.params.int(param)?)
    }
}
