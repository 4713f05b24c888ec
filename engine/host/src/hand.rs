//! Whatever carries out orders: a worker process or an instance in the engine's own process.

use std::{
    sync::{Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use isoscan_abi::{IsoTensor, STATUS_CANCELLED, STATUS_INVALID, STATUS_OK, STATUS_PANICKED};

use crate::{
    Bundle, Fault, Isolation, LogLine, Options, Origin, Party, Step, TensorBuf, Traffic,
    batch::Part,
    instance::{Answer, Hearing, Instance, Order},
    library,
    sandbox::Reach,
    worker::{Done, Watch, Worker},
};

/// Loading a library and its weights may take this long, or the plugin's deadline if that is longer.
const LOADING: Duration = Duration::from_secs(10);

pub(crate) enum Hand {
    Worker(Box<Worker>),
    Local(Box<Local>),
}

/// A plugin in the engine's own process.
pub(crate) struct Local {
    instance: Instance,
    descriptor: String,
    trains: bool,
    batches: bool,
    compared: bool,
}

impl Hand {
    /// Opens the bundle's library and compares its contract; makes no instance yet.
    pub(crate) fn start(bundle: &Bundle, options: &Options, reach: &Reach, origin: &Origin) -> Result<Self, Fault> {
        let limit = options.limit(bundle).max(LOADING);
        if options.isolation == Isolation::Worker {
            let (threads, program) = (options.threads_for(bundle), &options.worker_program);
            return Ok(Self::Worker(Box::new(Worker::start(reach, threads, program, limit, origin)?)));
        }
        let library = library::open(&bundle.library, &bundle.dir).map_err(|refusal| Fault::Rejected {
            origin: origin.boxed(),
            step: refusal.step,
            party: refusal.party,
            reason: refusal.reason,
        })?;
        let (descriptor, compared) = (library.text.clone(), library.compared);
        let (trains, batches) = (library.train.is_some(), library.batch.is_some());
        Ok(Self::Local(Box::new(Local { instance: Instance::new(library), descriptor, trains, batches, compared })))
    }

    pub(crate) fn descriptor(&self) -> &str {
        match self {
            Self::Worker(worker) => &worker.descriptor,
            Self::Local(local) => &local.descriptor,
        }
    }

    /// True when the plugin offers training.
    pub(crate) fn trains(&self) -> bool {
        match self {
            Self::Worker(worker) => worker.trains,
            Self::Local(local) => local.trains,
        }
    }

    /// True when the plugin takes several calls at once.
    pub(crate) fn batches(&self) -> bool {
        match self {
            Self::Worker(worker) => worker.batches,
            Self::Local(local) => local.batches,
        }
    }

    /// True when its types were compared field by field.
    pub(crate) fn compared(&self) -> bool {
        match self {
            Self::Worker(worker) => worker.compared,
            Self::Local(local) => local.compared,
        }
    }

    /// Promises that its sandbox cannot keep.
    pub(crate) fn unkept(&self) -> &[String] {
        match self {
            Self::Worker(worker) => &worker.unkept,
            Self::Local(_) => &[],
        }
    }

    /// The worker's process id; `None` in the engine's own process.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Worker(worker) => worker.pid(),
            Self::Local(_) => None,
        }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        match self {
            Self::Worker(worker) => worker.is_alive(),
            Self::Local(_) => true,
        }
    }

    /// Makes an instance unless there is one.
    pub(crate) fn create(&mut self, bundle: &Bundle, options: &Options, origin: &Origin) -> Result<(), Fault> {
        let is_created = match self {
            Self::Worker(worker) => worker.is_created,
            Self::Local(local) => local.instance.is_created(),
        };
        if is_created {
            return Ok(());
        }
        let config = config_of(bundle, options);
        let watch = Watch::of(options.limit(bundle).max(LOADING));
        let done = self.execute(&Order::Create { config: &config }, &watch, origin)?;
        started(&done.answer, origin)
    }

    /// Carries out an order. After a fault the hand is lost; a status other than OK is no fault yet.
    pub(crate) fn execute(
        &mut self,
        order: &Order<'_, &TensorBuf>,
        watch: &Watch<'_>,
        origin: &Origin,
    ) -> Result<Done, Fault> {
        match self {
            Self::Worker(worker) => worker.execute(order, watch, origin),
            Self::Local(local) => Ok(local.execute(order, watch)),
        }
    }
}

impl Local {
    /// Calls the plugin on this thread; only a plugin that reports progress can be stopped.
    fn execute(&mut self, order: &Order<'_, &TensorBuf>, watch: &Watch<'_>) -> Done {
        let start = Instant::now();
        let lines = Mutex::new(Vec::new());
        let log = |level: u32, text: &str| {
            let line = LogLine { level: level.clamp(1, 4), text: text.to_owned() };
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        };
        let progress = |fraction: f32| {
            if let Some(tell) = watch.progress {
                tell(fraction.clamp(0.0, 1.0));
            }
            let cancelled = watch.cancel.is_some_and(|cancel| cancel.load(Ordering::Acquire));
            cancelled || start.elapsed() >= watch.limit
        };
        let answer = self.instance.execute(&viewed(order), &Hearing::new(&progress, &log));
        let log = lines.into_inner().unwrap_or_else(PoisonError::into_inner);
        Done { answer, log, traffic: Traffic::default() }
    }
}

/// What an instance is made from, JSON.
pub(crate) fn config_of(bundle: &Bundle, options: &Options) -> String {
    serde_json::json!({ "bundle": bundle.dir, "threads": options.threads_for(bundle) }).to_string()
}

/// The same order with views of the engine's own mappings.
fn viewed<'a>(order: &Order<'a, &TensorBuf>) -> Order<'a, IsoTensor> {
    let view = |tensor: &TensorBuf| IsoTensor::contiguous(tensor.data(), tensor.shape().map(|extent| extent as u64));
    match *order {
        Order::Describe => Order::Describe,
        Order::Create { config } => Order::Create { config },
        Order::Begin { config } => Order::Begin { config },
        Order::Save { dir, checkpoint } => Order::Save { dir, checkpoint },
        Order::Step { step, source, target } => Order::Step { step, source: view(source), target: view(target) },
        Order::Preview { source, output } => Order::Preview { source: view(source), output: view(output) },
        Order::Run { ref inputs, output, params, context } => {
            let inputs = inputs.iter().map(|input| view(input)).collect();
            Order::Run { inputs, output: view(output), params, context }
        }
        Order::Batch { ref parts } => Order::Batch {
            parts: parts
                .iter()
                .map(|part| Part {
                    inputs: part.inputs.iter().map(|input| view(input)).collect(),
                    output: view(part.output),
                    params: part.params,
                    context: part.context,
                })
                .collect(),
        },
    }
}

/// Turns the status of an answer into a fault.
pub(crate) fn accepted(answer: &Answer, watch: &Watch<'_>, origin: &Origin) -> Result<(), Fault> {
    let (origin, message) = (origin.boxed(), answer.text.clone());
    let cancelled = watch.cancel.is_some_and(|cancel| cancel.load(Ordering::Acquire));
    Err(match answer.status {
        STATUS_OK => return Ok(()),
        STATUS_CANCELLED if cancelled => Fault::Cancelled { origin },
        STATUS_CANCELLED if answer.spent >= watch.limit => Fault::Deadline { origin, limit: watch.limit },
        STATUS_PANICKED => Fault::Panicked { origin, message },
        code => Fault::Plugin { origin, code, message },
    })
}

/// Turns the status of a start into a refusal.
pub(crate) fn started(answer: &Answer, origin: &Origin) -> Result<(), Fault> {
    if answer.status == STATUS_OK {
        return Ok(());
    }
    // What `create` and `begin` do not accept was given by the operator: weights, parameters, a checkpoint.
    let party = if answer.status == STATUS_INVALID { Party::Operator } else { Party::PluginAuthor };
    Err(Fault::Rejected { origin: origin.boxed(), step: Step::Create, party, reason: answer.text.clone() })
}
