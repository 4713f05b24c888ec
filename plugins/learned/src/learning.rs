use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use isoscan_nn::{finite, read_checkpoint, read_recipe, write_checkpoint, write_recipe, write_tensors};
use isoscan_sdk::{Param, Params, PluginError, TensorView, TensorViewMut, TrainConfig, Trainer};
use tch::no_grad;

use crate::{
    Failure, Family, Place,
    patches::{put, tensor},
};

/// Name of the recipe, in `weights/` and `checkpoint/`.
pub(crate) const RECIPE: &str = "recipe.json";
/// Name of the training state in `checkpoint/`.
const STATE: &str = "state.safetensors";

/// The training side of a [`Family`].
#[derive(Debug)]
pub struct Learning<F: Family> {
    recipe: F::Recipe,
    family: F,
    /// What the weights would translate with, until the next step.
    networks: Option<F::Networks>,
    params: Params,
    seed: u64,
    spacing_mm: [f64; 3],
    next_step: u64,
    threads: i32,
}

impl<F: Family> Trainer for Learning<F> {
    fn params() -> Vec<Param> {
        F::params()
    }

    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError> {
        let threads = set_threads(config.threads);
        let recipe = F::recipe(config)?;
        let mut family = F::begin(&recipe)?;
        let mut next_step = 0;
        if let Some(checkpoint) = &config.resume {
            if read_recipe::<F::Recipe>(&checkpoint.join(RECIPE)).map_err(Failure::from)? != recipe {
                return Err(PluginError::invalid("the checkpoint was made with other parameters, data, steps or seed"));
            }
            let (step, state) = read_checkpoint(&checkpoint.join(STATE)).map_err(Failure::from)?;
            family.resume(&state)?;
            next_step = step;
        }
        let descriptor = F::descriptor();
        let params = Params::shared(&config.params, &descriptor.id, &descriptor.params)?;
        let (seed, spacing_mm) = (config.seed, config.context.spacing_mm);
        Ok((Self { recipe, family, networks: None, params, seed, spacing_mm, next_step, threads }, next_step))
    }

    fn step(
        &mut self,
        step: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError> {
        tch::set_num_threads(self.threads);
        let losses = self.family.step(&self.recipe, step, &tensor(&source)?, &tensor(&target)?)?;
        finite(&losses, step).map_err(Failure::from)?;
        self.networks = None;
        self.next_step = step + 1;
        Ok(losses.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn translate(&mut self, source: TensorView<'_>, mut output: TensorViewMut<'_>) -> Result<(), PluginError> {
        tch::set_num_threads(self.threads);
        let networks = match self.networks.take() {
            Some(networks) => networks,
            None => F::load(&self.recipe, &self.family.weights().into_iter().collect())?,
        };
        let [batch, channels, ..] = source.shape;
        let all = tensor(&source)?;
        for index in 0..batch {
            let place = Place {
                params: &self.params,
                seed: self.seed,
                origin: [0, 0, index as i64],
                spacing_mm: self.spacing_mm,
                given: vec![true; channels],
                progress: &|_| Ok(()),
            };
            let image = all.f_narrow(0, index as i64, 1).map_err(Failure::from)?;
            let made = no_grad(|| F::translate(&networks, &self.recipe, &image, &place))?;
            put(&mut output, index, &made)?;
        }
        self.networks = Some(networks);
        Ok(())
    }

    fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), PluginError> {
        let weights = folder(dir, "weights")?;
        let write = |folder: &Path| write_recipe(&folder.join(RECIPE), &self.recipe).map_err(Failure::from);
        write_tensors(&weights.join(format!("{}.safetensors", F::NAME)), &self.family.weights())
            .map_err(Failure::from)?;
        write(&weights)?;
        if checkpoint {
            let state = folder(dir, "checkpoint")?;
            write_checkpoint(&state.join(STATE), self.next_step, self.family.state()).map_err(Failure::from)?;
            write(&state)?;
        }
        Ok(())
    }
}

/// Gives libtorch this many threads; gives back the number as it takes it.
pub(crate) fn set_threads(threads: usize) -> i32 {
    let threads = i32::try_from(threads).unwrap_or(i32::MAX).max(1);
    tch::set_num_threads(threads);
    threads
}

fn folder(dir: &Path, name: &str) -> Result<PathBuf, PluginError> {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).map_err(|error| PluginError::failed(format_args!("{error}: {}", folder.display())))?;
    Ok(folder)
}
