use std::{
    fs,
    path::{Path, PathBuf},
};

use isoscan_learned::{Failure, Family};
use isoscan_nn::{image, read_recipe, read_tensors, values};
use isoscan_sdk::{Call, Config, Descriptor, PluginError, Translator};
use tch::no_grad;

use crate::{Recipe, SuperRes, Trained, cascade::translated};

/// The plugin: the networks of the bundle's `weights/`, or of the folders in it, by name.
#[derive(Debug)]
pub struct Cascade {
    networks: Vec<Trained>,
    threads: i32,
}

impl Translator for Cascade {
    fn descriptor() -> Descriptor {
        SuperRes::descriptor()
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        let mut networks = Vec::new();
        for folder in folders(&config.bundle.join("weights"))? {
            networks.extend(loaded(&folder)?);
        }
        Ok(Self { networks, threads: i32::try_from(config.threads).unwrap_or(i32::MAX).max(1) })
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        // libtorch keeps the number per calling thread.
        tch::set_num_threads(self.threads);
        let (view, params) = (call.image(), call.params);
        let [batch, channels, z, y, x] = view.shape;
        if channels != 1 {
            return Err(PluginError::invalid(format_args!("expected 1 channel, found {channels}")));
        }
        for index in 0..batch {
            let ready = || Ok(call.host.progress(index as f32 / batch as f32)?);
            let coarse = image(view.batch(index), &[1, 1, z, y, x]).map_err(Failure::from)?;
            let fine = no_grad(|| translated(&self.networks, &coarse, params, &ready))?;
            call.output().batch_mut(index).copy_from_slice(&values(&fine).map_err(Failure::from)?);
        }
        Ok(())
    }
}

/// The folder itself where a training wrote it, else those in it.
fn folders(weights: &Path) -> Result<Vec<PathBuf>, PluginError> {
    if weights.join("recipe.json").exists() {
        return Ok(vec![weights.to_owned()]);
    }
    let failed = |error: std::io::Error| PluginError::failed(format_args!("weights: {error}"));
    let entries = fs::read_dir(weights).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path()));
    let mut folders = entries.collect::<Result<Vec<_>, PluginError>>()?;
    folders.sort();
    Ok(folders)
}

fn loaded(folder: &Path) -> Result<Vec<Trained>, Failure> {
    let recipe: Recipe = read_recipe(&folder.join("recipe.json"))?;
    SuperRes::load(&recipe, &read_tensors(&folder.join(format!("{}.safetensors", SuperRes::NAME)))?)
}
