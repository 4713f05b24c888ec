use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use isoscan_abi::{ParamValue, Refine, TrainContext};

use crate::{
    Fault, Origin, TensorBuf,
    hand::{self, Hand},
    instance::{Answer, Order},
    memory::{BufferPool, Use},
    worker::Watch,
};

/// How a training session starts.
#[derive(Debug, Clone)]
pub struct TrainConfig {
    /// Values checked by [`Descriptor::check_params`](isoscan_abi::Descriptor::check_params).
    pub params: BTreeMap<String, ParamValue>,
    /// Seed of the run.
    pub seed: u64,
    /// Threads the plugin may use.
    pub threads: usize,
    /// Number of steps in all, also when resumed.
    pub steps: u64,
    /// A `checkpoint` folder that [`TrainSession::save`] wrote, to go on from it.
    pub resume: Option<PathBuf>,
    /// The existing folder in which [`TrainSession::save`] may write; the plugin can write nowhere else.
    pub folder: PathBuf,
    /// What the patches are.
    pub context: TrainContext,
}

/// A plugin that learns, in a worker of its own.
pub struct TrainSession {
    /// `None` once a fault has cost the worker.
    hand: Option<Hand>,
    first_step: u64,
    refine: [usize; 3],
    limit: Duration,
    buffers: Arc<BufferPool>,
    origin: Origin,
}

impl TrainSession {
    pub(crate) fn begin(
        mut hand: Hand,
        config: &TrainConfig,
        limit: Duration,
        buffers: Arc<BufferPool>,
        origin: Origin,
    ) -> Result<Self, Fault> {
        let TrainConfig { params, seed, threads, steps, resume, folder: _, context } = config;
        let mut config = serde_json::json!({
            "params": params, "seed": seed, "threads": threads, "steps": steps, "resume": resume,
        });
        if let (Some(config), serde_json::Value::Object(told)) = (config.as_object_mut(), serde_json::json!(context)) {
            config.extend(told);
        }
        let watch = Watch::of(limit);
        let done = hand.execute(&Order::Begin { config: &config.to_string() }, &watch, &origin)?;
        hand::started(&done.answer, &origin)?;
        Ok(Self { hand: Some(hand), first_step: done.answer.value, refine: context.refine, limit, buffers, origin })
    }

    /// The step to go on with: 0 for a fresh session.
    pub fn first_step(&self) -> u64 {
        self.first_step
    }

    /// A shared-memory tensor `[batch, channel, z, y, x]` of unspecified content for source or target patches.
    ///
    /// # Errors
    /// As for [`Plugin::buffer`](crate::Plugin::buffer).
    pub fn buffer(&self, shape: [usize; 5]) -> Result<TensorBuf, Fault> {
        TensorBuf::take(&self.buffers, shape, Use::Input, &self.origin)
    }

    /// One optimisation step on patches `[batch, channel, z, y, x]` in the declared units; gives the losses by name,
    /// where NaN tells that the training has diverged.
    ///
    /// # Errors
    /// Every variant of [`Fault`] that a call has; after one that cost the worker the session is lost.
    pub fn step(&mut self, step: u64, source: &TensorBuf, target: &TensorBuf) -> Result<BTreeMap<String, f64>, Fault> {
        let losses = self.execute(&Order::Step { step, source, target })?.text;
        if losses.is_empty() {
            return Ok(BTreeMap::new());
        }
        // JSON writes NaN as null.
        let losses: BTreeMap<String, Option<f64>> = serde_json::from_str(&losses).map_err(|e| Fault::Protocol {
            origin: self.origin.boxed(),
            breach: format!("expected losses as an object of numbers: {e}"),
        })?;
        Ok(losses.into_iter().map(|(name, loss)| (name, loss.unwrap_or(f64::NAN))).collect())
    }

    /// Translates a batch with the present weights; the output has one channel and the source's voxels, times
    /// [`TrainContext::refine`].
    ///
    /// # Errors
    /// As for [`TrainSession::step`].
    pub fn translate(&mut self, source: &TensorBuf) -> Result<TensorBuf, Fault> {
        let shape = Refine::output_shape(self.refine, source.shape());
        let mut output = TensorBuf::take(&self.buffers, shape, Use::Output, &self.origin)?;
        output.clear();
        match self.execute(&Order::Preview { source, output: &output }) {
            Ok(_) => Ok(output),
            Err(fault) => {
                output.retire();
                Err(fault)
            }
        }
    }

    /// Writes `weights/` and, when `checkpoint`, `checkpoint/` into the existing folder `dir`, which must be
    /// [`TrainConfig::folder`] or lie beneath it.
    ///
    /// # Errors
    /// As for [`TrainSession::step`].
    pub fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), Fault> {
        let dir = dir.to_string_lossy();
        self.execute(&Order::Save { dir: &dir, checkpoint }).map(|_| ())
    }

    fn execute(&mut self, order: &Order<'_, &TensorBuf>) -> Result<Answer, Fault> {
        let Some(mut hand) = self.hand.take() else {
            let reason = "the training session was lost with its worker".to_owned();
            return Err(Fault::Request { origin: self.origin.boxed(), reason });
        };
        let watch = Watch::of(self.limit);
        let done = hand.execute(order, &watch, &self.origin)?;
        self.hand = Some(hand);
        hand::accepted(&done.answer, &watch, &self.origin)?;
        Ok(done.answer)
    }
}
