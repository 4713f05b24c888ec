use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isoscan_abi::{Descriptor, Param, TrainContext};
use serde::Deserialize;

use crate::{Call, Params, PluginError, TensorView, TensorViewMut};

/// An image translation: the one trait of a plugin.
pub trait Translator: Send + Sized + 'static {
    /// What the plugin is, takes, gives and can be told. Called once per library; must not fail or depend on anything.
    fn descriptor() -> Descriptor;

    /// What the plugin is in the bundle folder `bundle`: for a library that serves many bundles, which is exported with
    /// [`export_plugin!(T, bundle)`](crate::export_plugin). Any other plugin is the same everywhere.
    ///
    /// # Errors
    /// [`PluginError::Invalid`] when the bundle does not say what it must; the host then refuses the bundle.
    fn descriptor_in(bundle: &Path) -> Result<Descriptor, PluginError> {
        let _ = bundle;
        Ok(Self::descriptor())
    }

    /// Makes an instance: loads weights from `config.bundle`, sets up `config.threads` threads.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when something of the bundle cannot be read.
    fn create(config: &Config) -> Result<Self, PluginError>;

    /// Fills `call.output()` from the inputs. Never entered twice at once on one instance. After a panic the door
    /// drops the instance and makes a new one with the same [`Config`] at the next call.
    ///
    /// # Errors
    /// Any [`PluginError`]; the output is then ignored.
    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError>;

    /// Fills the outputs of independent calls and gives the result of each, in order. Only called where
    /// [`export_plugin!`](crate::export_plugin) names `batch`; calls whose tensors or parameters are not acceptable are
    /// refused before. After a panic the door makes the calls one by one with [`Translator::run`], outputs zeroed.
    fn run_batch(&mut self, calls: &mut [Call<'_>]) -> Vec<Result<(), PluginError>> {
        calls.iter_mut().map(|call| self.run(call)).collect()
    }
}

/// The training side of a plugin: learns weights that [`Translator::create`] loads.
pub trait Trainer: Send + Sized + 'static {
    /// Parameters of training, each declared here once; [`TrainConfig::params`] holds their checked values.
    fn params() -> Vec<Param>;

    /// Starts, or goes on from `config.resume`; gives the trainer and the first step to do (0 when fresh).
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the checkpoint cannot be read, [`PluginError::Invalid`] when it was made with other
    /// parameters.
    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError>;

    /// One optimisation step on a batch of source and target patches `[batch, channel, z, y, x]`, in the unit that the
    /// descriptor declares and laid out as [`TrainContext`] says; gives the named losses, all finite.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the step could not be done.
    fn step(
        &mut self,
        step: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError>;

    /// Translates a batch laid out like the source with the present weights (averaged ones where the plugin keeps them)
    /// into an output of one channel and [`TrainContext::refine`] times the voxels; with domains, to
    /// [`TrainContext::target_domain`]. Validation and previews use it; it must not change what the next step does.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the batch could not be translated.
    fn translate(&mut self, source: TensorView<'_>, output: TensorViewMut<'_>) -> Result<(), PluginError>;

    /// Writes `weights/` (what `create` loads) and, when `checkpoint`, `checkpoint/` (what `begin` resumes from) into
    /// the existing folder `dir`.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when a file cannot be written.
    fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), PluginError>;
}

/// What an instance is made from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Config {
    /// The plugin's own folder, absolute.
    pub bundle: PathBuf,
    /// Threads that the instance may use, at least 1.
    #[serde(default = "one_thread")]
    pub threads: usize,
}

/// What a training session is made from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Values of [`Trainer::params`], checked, defaults filled in.
    pub params: Params,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads that the session may use, at least 1.
    pub threads: usize,
    /// Steps of the whole training, those before a resume included.
    pub steps: u64,
    /// The `checkpoint/` folder that an earlier [`Trainer::save`] wrote.
    pub resume: Option<PathBuf>,
    /// What the patches are.
    pub context: TrainContext,
}

fn one_thread() -> usize {
    1
}
