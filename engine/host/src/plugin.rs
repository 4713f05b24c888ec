mod batch;

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
    Bundle, Death, Fault, Integrity, Level, Origin, Party, Step, TensorBuf, TrainConfig, TrainSession, descriptor,
    hand::{self, Hand},
    instance::Order,
    job::PinnedJob,
    memory::{BufferPool, Use},
    pool::{Loan, Pool},
    sandbox::Reach,
    worker::{Done, Watch},
};

/// Idle buffers of a plugin beyond two per worker and this many bytes go back to the system.
const IDLE_BYTES: usize = 256 << 20;
/// Longest time of a call where neither operator nor manifest says one.
const DEADLINE: Duration = Duration::from_secs(120);

/// Where a plugin's code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In worker processes: the engine survives whatever the plugin does.
    Worker,
    /// In the engine's own process: a crash or a hang of the plugin is one of the engine, and nothing limits what it
    /// reaches. Refused for unsigned plugins.
    InProcess,
}

/// What to do where the kernel lacks what the sandbox needs. Unsigned plugins are refused there in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Refuse the plugin.
    Required,
    /// Run it with what there is, and say which promise is not kept.
    BestEffort,
}

/// How a plugin is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the code runs.
    pub isolation: Isolation,
    /// Most calls at the same time: number of worker processes, or of instances in the engine's process; at least 1.
    pub workers: usize,
    /// Threads that each of them may use inside a call, at least 1; the manifest may say fewer.
    pub threads: usize,
    /// Longest time of one call or training step; `None` takes the manifest's, or 120 s.
    pub deadline: Option<Duration>,
    /// What to do where the kernel cannot enforce the sandbox.
    pub sandbox: Policy,
    /// Keeps one worker more than `workers` ready for the job of one that died. It is made in the background, first
    /// when the first worker has its instance.
    pub spare: bool,
    /// Program of the workers, called as `PROGRAM plugin-worker`; its main function passes that on to
    /// [`plugin_worker`](crate::plugin_worker).
    pub worker_program: PathBuf,
}

impl Options {
    /// Threads of one of the bundle's workers.
    pub(crate) fn threads_for(&self, bundle: &Bundle) -> usize {
        bundle.manifest.limits.threads.unwrap_or(usize::MAX).clamp(1, self.threads)
    }

    /// Longest time of one call to the bundle's plugin.
    pub(crate) fn limit(&self, bundle: &Bundle) -> Duration {
        self.deadline.or(bundle.manifest.limits.deadline()).unwrap_or(DEADLINE)
    }
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
    /// How the workers died that tried it before, oldest first.
    pub deaths: Vec<Death>,
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
/// Each clone is the same one version of the plugin: a job that keeps its clone never meets another. A
/// [`Shelf`](crate::Shelf) exchanges versions while the engine runs.
#[derive(Clone)]
pub struct Plugin {
    shared: Arc<Shared>,
    /// The job that its calls belong to, where it is pinned.
    job: Option<Arc<PinnedJob>>,
}

struct Shared {
    bundle: Bundle,
    descriptor: Descriptor,
    trains: bool,
    batches: bool,
    types_compared: bool,
    options: Options,
    reach: Reach,
    /// Promises that the sandbox cannot keep.
    unkept: Vec<String>,
    /// Longest time of one call.
    limit: Duration,
    buffers: Arc<BufferPool>,
    pool: Pool,
}

/// What every try of a job has in common.
struct Job<'a> {
    inputs: &'a [TensorBuf],
    output_shape: [usize; 5],
    params: String,
    context: String,
    watch: Watch<'a>,
    origin: Origin,
}

/// How often a job is tried whose worker dies.
const TRIES: usize = 2;

impl Plugin {
    /// Opens the bundle's library, compares its contract with the engine's, and reads its descriptor.
    ///
    /// No instance is made yet, so that a plugin whose weights are still to be trained can be opened.
    ///
    /// # Errors
    /// [`Fault::Rejected`] with the step and who must act, also where the kernel cannot close the sandbox and either
    /// `options` require it or nobody vouches for the bundle; [`Fault::Worker`] when the worker program is not one;
    /// [`Fault::Request`] when `options` ask for no worker or no thread.
    pub fn open(bundle: &Bundle, options: Options) -> Result<Self, Fault> {
        let mut bundle = bundle.clone();
        let origin = Origin { plugin: bundle.id.clone(), version: bundle.version.clone(), job: String::new() };
        if options.workers == 0 || options.threads == 0 {
            let reason =
                format!("expected at least 1 worker of 1 thread, found {} of {}", options.workers, options.threads);
            return Err(Fault::Request { origin: origin.boxed(), reason });
        }
        if options.isolation == Isolation::InProcess && bundle.level == Level::Local {
            let reason = "expected a signed or built-in plugin, found an unsigned one: it may run in a worker only";
            let (origin, step) = (origin.boxed(), Step::Sandbox);
            return Err(Fault::Rejected { origin, step, party: Party::Operator, reason: reason.to_owned() });
        }
        let reach = Reach::of(&bundle, &options, &origin)?;
        let hand = Hand::start(&bundle, &options, &reach, &origin).map_err(|fault| blamed(fault, &bundle))?;
        let descriptor = descriptor::parse(hand.descriptor())
            .and_then(|descriptor| agree(&bundle, &descriptor).map(|()| descriptor))
            .map_err(|reason| refused(&origin, Step::Describe, reason))?;
        (bundle.id, bundle.version) = (descriptor.id.clone(), descriptor.version.clone());
        let buffers = Arc::new(BufferPool::new(2 * options.workers, IDLE_BYTES));
        let (trains, batches, types_compared) = (hand.trains(), hand.batches(), hand.compared());
        let unkept = hand.unkept().to_owned();
        let pool = Pool::new(options.workers, hand);
        let limit = options.limit(&bundle);
        let shared = Shared {
            bundle,
            descriptor,
            trains,
            batches,
            types_compared,
            options,
            reach,
            unkept,
            limit,
            buffers,
            pool,
        };
        Ok(Self { shared: Arc::new(shared), job: None })
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

    /// What the kernel cannot keep this plugin's workers from, one sentence each; none unless
    /// [`Policy::BestEffort`] let them run all the same.
    ///
    /// In the engine's own process nothing is promised, and nothing said here.
    pub fn unkept_promises(&self) -> &[String] {
        &self.shared.unkept
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

    /// The same plugin, its calls being counted and shadowed by `job`.
    pub(crate) fn on_behalf_of(self, job: Arc<PinnedJob>) -> Self {
        Self { job: Some(job), ..self }
    }

    /// Makes an instance in every worker, so that none is started during a call.
    pub(crate) fn warm_all(&self) -> Result<(), Fault> {
        let origin = self.origin("");
        let hands = 0..self.shared.options.workers;
        let lent = hands.map(|_| self.created(&origin, || Ok(()))).collect::<Result<Vec<_>, _>>()?;
        lent.into_iter().for_each(|(loan, hand)| loan.give_back(hand));
        Ok(())
    }

    /// Ends idle workers beyond `workers`, now and whenever one comes back from a call.
    pub(crate) fn keep_warm(&self, workers: usize) {
        self.shared.pool.keep(workers);
    }

    /// Translates; blocks until a worker is free and has answered.
    ///
    /// A fault that may have harmed the worker costs it, and the next call gets a fresh one. A job whose worker died is
    /// tried once more, with the same inputs, which no worker can change, and a fresh output.
    ///
    /// # Errors
    /// Every variant of [`Fault`]; the output then does not exist. A job whose second worker dies too is
    /// [`Fault::Poisoned`]; [`Fault::Crashed`] tells of a worker that died before it began the job.
    pub fn call(&self, request: Request<'_>) -> Result<Reply, Fault> {
        match &self.job {
            Some(job) => job.call(self, request),
            None => self.run(request),
        }
    }

    /// [`Plugin::call`] for nobody's job.
    pub(crate) fn run(&self, request: Request<'_>) -> Result<Reply, Fault> {
        let Request { inputs, output_shape, params, context, cancel, job, progress } = request;
        let origin = self.origin(job);
        self.check_inputs(&inputs, &origin)?;
        let [params, context] = [json(params, &origin)?, json(context, &origin)?];
        let goes_on = |origin: &Origin| {
            let cancelled = cancel.load(Ordering::Acquire);
            if cancelled { Err(Fault::Cancelled { origin: origin.boxed() }) } else { Ok(()) }
        };
        let silence = self.shared.bundle.manifest.limits.max_silence();
        let watch = Watch { limit: self.shared.limit, silence, cancel: Some(cancel), progress };
        let job = Job { inputs: &inputs, output_shape, params, context, watch, origin };
        let mut deaths = Vec::new();
        goes_on(&job.origin)?;
        let (loan, mut hand) = self.created(&job.origin, || goes_on(&job.origin))?;
        let (output, done) = loop {
            match self.attempt(&job, &mut hand) {
                Ok(done) => break done,
                Err(fault) => Self::bear(fault, &mut deaths)?,
            }
            goes_on(&job.origin)?;
            // Not another worker that has served before: what ails this one may ail all of them.
            hand = self.replacement(&job.origin)?;
        };
        let accepted = hand::accepted(&done.answer, &job.watch, &job.origin);
        // What a panic left behind in the instance is unknown.
        if !matches!(accepted, Err(Fault::Panicked { .. })) {
            loan.give_back(hand);
        }
        accepted?;
        check_output(&output, &inputs, &job.origin)?;
        let seconds = done.answer.spent.as_secs_f64();
        Ok(Reply { output, inputs, seconds, log: done.log, traffic: done.traffic, deaths })
    }

    /// One try of a job; a fault costs the hand.
    fn attempt(&self, job: &Job<'_>, hand: &mut Hand) -> Result<(TensorBuf, Done), Fault> {
        let Job { inputs, output_shape, params, context, watch, origin } = job;
        let mut output = TensorBuf::take(&self.shared.buffers, *output_shape, Use::Output, origin)?;
        output.clear();
        let order = Order::Run { inputs: inputs.iter().collect(), output: &output, params, context };
        match hand.execute(&order, watch, origin) {
            Ok(done) => Ok((output, done)),
            Err(fault) => {
                output.retire();
                Err(fault)
            }
        }
    }

    /// Accepts the death of a worker for another try; the last one sets the job aside.
    fn bear(fault: Fault, deaths: &mut Vec<Death>) -> Result<(), Fault> {
        let (origin, death, last_words) = match fault {
            Fault::Crashed { origin, death, last_words } => (origin, death, last_words),
            Fault::Protocol { origin, breach } => (origin, Death::Breach { breach }, Vec::new()),
            other => return Err(other),
        };
        deaths.push(death);
        if deaths.len() < TRIES {
            return Ok(());
        }
        Err(Fault::Poisoned { origin, deaths: std::mem::take(deaths), last_words })
    }

    /// Starts training in a worker of its own, beside those of the calls.
    ///
    /// # Errors
    /// [`Fault::Rejected`] when the plugin does not offer `isoscan.train/1` or does not accept `config`, or when there is
    /// no such folder to write into.
    pub fn train(&self, config: &TrainConfig) -> Result<TrainSession, Fault> {
        let origin = self.origin("training");
        if !self.shared.trains {
            return Err(refused(&origin, Step::Create, "it does not offer isoscan.train/1".to_owned()));
        }
        let options = Options { threads: config.threads, ..self.shared.options.clone() };
        let reach = self.shared.reach.for_training(config, &origin)?;
        let hand = Hand::start(&self.shared.bundle, &options, &reach, &origin)?;
        TrainSession::begin(hand, config, self.shared.limit, Arc::clone(&self.shared.buffers), origin)
    }

    fn origin(&self, job: &str) -> Origin {
        let Bundle { id, version, .. } = &self.shared.bundle;
        Origin { plugin: id.clone(), version: version.clone(), job: job.to_owned() }
    }

    /// A lent hand that has an instance.
    fn created(&self, origin: &Origin, goes_on: impl Fn() -> Result<(), Fault>) -> Result<(Loan<'_>, Hand), Fault> {
        let Shared { bundle, options, reach, pool, .. } = &*self.shared;
        let (loan, mut hand) = pool.lend(|| Hand::start(bundle, options, reach, origin), goes_on)?;
        hand.create(bundle, options, origin)?;
        self.keep_spare();
        Ok((loan, hand))
    }

    /// The spare, or a fresh hand, with an instance.
    fn replacement(&self, origin: &Origin) -> Result<Hand, Fault> {
        let Shared { bundle, options, reach, pool, .. } = &*self.shared;
        let mut hand = pool.take_spare().map_or_else(|| Hand::start(bundle, options, reach, origin), Ok)?;
        hand.create(bundle, options, origin)?;
        self.keep_spare();
        Ok(hand)
    }

    /// Makes a spare worker in the background unless there is one. What goes wrong there is met again, and reported,
    /// by the call that needs a worker.
    fn keep_spare(&self) {
        let Shared { options, pool, .. } = &*self.shared;
        if !options.spare || options.isolation != Isolation::Worker || !pool.wants_spare() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let origin = self.origin("");
        let making = std::thread::Builder::new().name("isoscan-spare".to_owned()).spawn(move || {
            let Shared { bundle, options, reach, pool, .. } = &*shared;
            let made = Hand::start(bundle, options, reach, &origin)
                .and_then(|mut hand| hand.create(bundle, options, &origin).map(|()| hand));
            pool.put_spare(made.ok());
        });
        if making.is_err() {
            pool.put_spare(None);
        }
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

/// A library that has the hash its author listed was not cut short on its way here.
fn blamed(fault: Fault, bundle: &Bundle) -> Fault {
    const OF_THE_MACHINE: [&str; 3] =
        ["cannot open shared object file", "not found (required by", "failed to map segment"];
    match fault {
        Fault::Rejected { origin, step: Step::Open, party: Party::Operator, reason }
            if bundle.integrity == Integrity::Hashed && !OF_THE_MACHINE.iter().any(|words| reason.contains(words)) =>
        {
            Fault::Rejected { origin, step: Step::Open, party: Party::PluginAuthor, reason }
        }
        other => other,
    }
}

/// The manifest and the library must speak of the same plugin; a bare library has no manifest to differ from.
fn agree(bundle: &Bundle, descriptor: &Descriptor) -> Result<(), String> {
    let Bundle { id, version, manifest, .. } = bundle;
    if version.is_empty() {
        return Ok(());
    }
    let Descriptor { id: found, version: found_version, .. } = descriptor;
    if id != found || version != found_version {
        return Err(format!("expected {id} {version} as plugin.toml says, found {found} {found_version}"));
    }
    manifest.descriptor.as_ref().map_or(Ok(()), |said| descriptor::agree(said, descriptor))
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
