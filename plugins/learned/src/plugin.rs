use isoscan_nn::{read_recipe, read_tensors};
use isoscan_sdk::{Call, Config, Descriptor, PluginError, TensorView, Translator};
use tch::no_grad;

use crate::{
    Failure, Family, Place,
    learning::{RECIPE, set_threads},
    patches::{put, stacked},
};

/// The plugin of a [`Family`]: the networks of the bundle's `weights/`.
#[derive(Debug)]
pub struct Learned<F: Family> {
    recipe: F::Recipe,
    networks: F::Networks,
    /// How many the descriptor declares.
    inputs: usize,
    threads: i32,
}

impl<F: Family> Translator for Learned<F> {
    fn descriptor() -> Descriptor {
        F::descriptor()
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        let folder = config.bundle.join("weights");
        let read = || {
            let recipe = read_recipe(&folder.join(RECIPE))?;
            let networks = F::load(&recipe, &read_tensors(&folder.join(format!("{}.safetensors", F::NAME)))?)?;
            Ok::<_, Failure>((recipe, networks))
        };
        let (recipe, networks) = read()?;
        Ok(Self { recipe, networks, inputs: F::descriptor().inputs.len(), threads: set_threads(config.threads) })
    }

    /// Patch by patch, so that the bytes do not depend on which patches share a call.
    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        // libtorch keeps the number per calling thread.
        tch::set_num_threads(self.threads);
        let inputs: Vec<Option<TensorView<'_>>> = (0..self.inputs).map(|input| call.input(input)).collect();
        let batch = call.image().shape[0];
        for index in 0..batch {
            let progress = |share: f32| Ok(call.host.progress((index as f32 + share) / batch as f32)?);
            progress(0.0)?;
            let place = Place {
                params: call.params,
                seed: call.context.seed,
                origin: call.context.patch_origins.get(index).copied().unwrap_or_default(),
                spacing_mm: call.context.spacing_mm,
                given: inputs.iter().map(Option::is_some).collect(),
                progress: &progress,
            };
            let image = stacked(&inputs, index)?;
            let made = no_grad(|| F::translate(&self.networks, &self.recipe, &image, &place))?;
            put(&mut call.output(), index, &made)?;
        }
        Ok(())
    }
}
