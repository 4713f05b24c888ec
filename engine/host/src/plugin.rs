use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use isoscan_abi::{Context, Descriptor, ParamValue};
use serde::Serialize;

use crate::{
    Bundle, Fault, Origin, Party, Step, TensorBuf, TrainConfig, TrainSession, descriptor,
    hand::{self, Hand},
    instance::Order,
    memory::{BufferPool, Use},
    pool::{Loan, Pool},
    worker::Watch,
};

/// Idle buffers of a plugin beyond two per worker and this many bytes go back to the system.
const IDLE_BYTES: usize = 256 << 20;

/// Where a plugin's code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In worker processes: the engine survives whatever the plugin does.
    Worker,
    /// In the engine's own process: a crash or a hang of the plugin is one of the engine.
    InProcess,
}

/// How a plugin is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the code runs.
    pub isolation: Isolation,
    /// Most calls at the same time: number of worker processes, or of instances in the engine's process; at least 1.
    pub workers: usize,
    /// Threads that each of them may use inside a call; at least 1.
    pub threads: usize,
    /// Longest time of one call or training step.
    pub deadline: Duration,
    /// Program of the workers, called as `PROGRAM plugin-worker`; its main function passes that on to
    /// [`plugin_worker`](crate::plugin_worker).
    pub worker_program: PathBuf,
}

/// One translation, `[batch, channel, z, y, x]` tensors in and out.
pub struct Request<'a> {
    /// Tensors in the order of the descriptor's inputs; optional ones may be left out from the end.
    pub inputs: Vec<TensorBuf>,
    /// Shape of the output.
    pub output_shape: [usize; 5],
    /// Values checked by [`Descriptor::check_params`].
    pub params: &'a BTreeMap<String, ParamValue>,
    /// Where the patches come from.
    pub context: &'a Context,
    /// Set it from anywhere to end the call with [`Fault::Cancelled`].
    pub cancel: &'a AtomicBool,
    /// Name of the work in faults.
    pub job: &'a str,
    /// Told the fraction 0..=1 that is done whenever the plugin reports another one.
    pub progress: Option<&'a (dyn Fn(f32) + Sync)>,
}

/// What a call gives back.
#[derive(Debug)]
pub struct Reply {
    /// The tensor the plugin filled.
    pub output: TensorBuf,
    /// The inputs, for the next call; dropped, they go back to the pool.
    pub inputs: Vec<TensorBuf>,
    /// Time inside the plugin, measured beside it.
    pub seconds: f64,
    /// What the plugin logged.
    pub log: Vec<LogLine>,
    /// What the call cost between the processes.
    pub traffic: Traffic,
}

/// A line that a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// 1 error, 2 warning, 3 info, 4 debug.
    pub level: u32,
    /// The text.
    pub text: String,
}

/// What a call moved between engine and worker; voxels are in shared memory and never among it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that went through the socket, both ways.
    pub message_bytes: usize,
    /// Buffers that the worker mapped for this call; 0 once it knows them.
    pub mapped_buffers: usize,
}

/// An opened plugin: cheap to clone, callable from any thread.
///
/// Each clone is the same one version of the plugin: a job that keeps its clone never meets another. Exchanging
/// versions while the engine runs, and trying a new one beside the old, belong to a slot in front of this type.
#[derive(Clone)]
pub struct Plugin {
    shared: Arc<Shared>,
}

struct Shared {
    bundle: Bundle,
    descriptor: Descriptor,
    trains: bool,
    types_compared: bool,
    options: Options,
    buffers: Arc<BufferPool>,
    pool: Pool,
}

impl Plugin {
    /// Opens the bundle's library, compares its contract with the engine's, and reads its descriptor.
    ///
    /// No instance is made yet, so that a plugin whose weights are still to be trained can be opened.
    ///
    /// # Errors
    /// [`Fault::Rejected`] with the step and who must act; [`Fault::Worker`] when the worker program is not one;
    /// [`Fault::Request`] when `options` ask for no worker or no thread.
    pub fn open(bundle: &Bundle, options: Options) -> Result<Self, Fault> {
        let mut bundle = bundle.clone();
        let origin = Origin { plugin: bundle.id.clone(), version: bundle.version.clone(), job: String::new() };
        if options.workers == 0 || options.threads == 0 {
            let reason =
                format!("expected at least 1 worker of 1 thread, found {} of {}", options.workers, options.threads);
            return Err(Fault::Request { origin: origin.boxed(), reason });
        }
        let hand = Hand::start(&bundle, &options, &origin)?;
        let descriptor = descriptor::parse(hand.descriptor())
            .and_then(|descriptor| agree(&bundle, &descriptor).map(|()| descriptor))
            .map_err(|reason| refused(&origin, Step::Describe, reason))?;
        (bundle.id, bundle.version) = (descriptor.id.clone(), descriptor.version.clone());
        let buffers = Arc::new(BufferPool::new(2 * options.workers, IDLE_BYTES));
        let (trains, types_compared) = (hand.trains(), hand.compared());
        let pool = Pool::new(options.workers, hand);
        let shared = Shared { bundle, descriptor, trains, types_compared, options, buffers, pool };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the plugin says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.shared.descriptor
    }

    /// Where it comes from.
    pub fn bundle(&self) -> &Bundle {
        &self.shared.bundle
    }

    /// True when it can be trained.
    pub fn offers_training(&self) -> bool {
        self.shared.trains
    }

    /// True when its types were compared field by field at load, as those of Rust plugins are; false when the hash over
    /// sizes and offsets vouches for them.
    pub fn types_compared(&self) -> bool {
        self.shared.types_compared
    }

    /// A shared-memory tensor `[batch, channel, z, y, x]` of unspecified content, from the pool where it has one.
    ///
    /// # Errors
    /// [`Fault::Request`] for an empty or impossible shape, [`Fault::Memory`] when the system refuses.
    pub fn buffer(&self, shape: [usize; 5]) -> Result<TensorBuf, Fault> {
        TensorBuf::take(&self.shared.buffers, shape, Use::Input, &self.origin(""))
    }

    /// Makes an instance in one worker, so that missing weights and the like show before the first call.
    ///
    /// # Errors
    /// [`Fault::Rejected`] with the plugin's message, or the fault that met it.
    pub fn warm(&self) -> Result<(), Fault> {
        let origin = self.origin("");
        let (loan, hand) = self.created(&origin, || Ok(()))?;
        loan.give_back(hand);
        Ok(())
    }

    /// Translates; blocks until a worker is free and has answered.
    ///
    /// A fault that may have harmed the worker costs it, and the next call gets a fresh one. A second try of the same
    /// job, and the quarantine of jobs that kill every worker, belong here.
    ///
    /// # Errors
    /// Every variant of [`Fault`]; the output then does not exist.
    pub fn call(&self, request: Request<'_>) -> Result<Reply, Fault> {
        let Request { inputs, output_shape, params, context, cancel, job, progress } = request;
        let origin = self.origin(job);
        self.check_inputs(&inputs, &origin)?;
        let [params, context] = [json(params, &origin)?, json(context, &origin)?];
        let goes_on = || {
            let cancelled = cancel.load(Ordering::Acquire);
            if cancelled { Err(Fault::Cancelled { origin: origin.boxed() }) } else { Ok(()) }
        };
        goes_on()?;
        let (loan, mut hand) = self.created(&origin, goes_on)?;
        let mut output = TensorBuf::take(&self.shared.buffers, output_shape, Use::Output, &origin)?;
        output.clear();
        let order = Order::Run { inputs: inputs.iter().collect(), output: &output, params: &params, context: &context };
        let watch = Watch { limit: self.shared.options.deadline, cancel: Some(cancel), progress };
        let done = match hand.execute(&order, &watch, &origin) {
            Ok(done) => done,
            Err(fault) => {
                output.retire();
                return Err(fault);
            }
        };
        let accepted = hand::accepted(&done.answer, &watch, &origin);
        // What a panic left behind in the instance is unknown.
        if !matches!(accepted, Err(Fault::Panicked { .. })) {
            loan.give_back(hand);
        }
        accepted?;
        check_output(&output, &inputs, &origin)?;
        let seconds = done.answer.spent.as_secs_f64();
        Ok(Reply { output, inputs, seconds, log: done.log, traffic: done.traffic })
    }

    /// Starts training in a worker of its own, beside those of the calls.
    ///
    /// # Errors
    /// [`Fault::Rejected`] when the plugin does not offer `isoscan.train/1` or does not accept `config`.
    pub fn train(&self, config: &TrainConfig) -> Result<TrainSession, Fault> {
        let origin = self.origin("training");
        if !self.shared.trains {
            return Err(refused(&origin, Step::Create, "it does not offer isoscan.train/1".to_owned()));
        }
        let options = Options { threads: config.threads, ..self.shared.options.clone() };
        let hand = Hand::start(&self.shared.bundle, &options, &origin)?;
        TrainSession::begin(hand, config, options.deadline, Arc::clone(&self.shared.buffers), origin)
    }

    fn origin(&self, job: &str) -> Origin {
        let Bundle { id, version, .. } = &self.shared.bundle;
        Origin { plugin: id.clone(), version: version.clone(), job: job.to_owned() }
    }

    /// A lent hand that has an instance.
    fn created(&self, origin: &Origin, goes_on: impl Fn() -> Result<(), Fault>) -> Result<(Loan<'_>, Hand), Fault> {
        let Shared { bundle, options, pool, .. } = &*self.shared;
        let (loan, mut hand) = pool.lend(|| Hand::start(bundle, options, origin), goes_on)?;
        hand.create(bundle, options, origin)?;
        Ok((loan, hand))
    }

    fn check_inputs(&self, inputs: &[TensorBuf], origin: &Origin) -> Result<(), Fault> {
        let declared = &self.shared.descriptor.inputs;
        let required = declared.iter().filter(|input| !input.optional).count();
        if (required..=declared.len()).contains(&inputs.len()) {
            return Ok(());
        }
        let names: Vec<&str> = declared.iter().map(|input| input.name.as_str()).collect();
        let reason =
            format!("expected {required} to {} inputs ({}), found {}", declared.len(), names.join(", "), inputs.len());
        Err(Fault::Request { origin: origin.boxed(), reason })
    }
}

/// The manifest and the library must speak of the same plugin; a bare library has no manifest to differ from.
fn agree(bundle: &Bundle, descriptor: &Descriptor) -> Result<(), String> {
    let Bundle { id, version, .. } = bundle;
    if version.is_empty() || (*id == descriptor.id && *version == descriptor.version) {
        return Ok(());
    }
    let Descriptor { id: found, version: found_version, .. } = descriptor;
    Err(format!("expected {id} {version} as plugin.toml says, found {found} {found_version}"))
}

/// Non-finite voxels are the plugin's doing unless an input has some too.
fn check_output(output: &TensorBuf, inputs: &[TensorBuf], origin: &Origin) -> Result<(), Fault> {
    if !output.surroundings_are_clear() {
        return Err(Fault::Outside { origin: origin.boxed() });
    }
    let count = non_finite(output);
    if count > 0 && inputs.iter().all(|input| non_finite(input) == 0) {
        return Err(Fault::Output { origin: origin.boxed(), count });
    }
    Ok(())
}

fn non_finite(voxels: &[f32]) -> usize {
    // Counts of 32 bits per run of voxels keep the inner loop as wide as the voxels are.
    let in_run = |run: &[f32]| run.iter().map(|voxel| u32::from(!voxel.is_finite())).sum::<u32>();
    voxels.chunks(1 << 16).map(|run| in_run(run) as usize).sum()
}

fn json(value: &impl Serialize, origin: &Origin) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| Fault::Request { origin: origin.boxed(), reason: e.to_string() })
}

fn refused(origin: &Origin, step: Step, reason: String) -> Fault {
    Fault::Rejected { origin: origin.boxed(), step, party: Party::PluginAuthor, reason }
}
