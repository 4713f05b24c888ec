//! One job on one version: what its calls say of the version, and the same calls on a candidate.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
};

use isoscan_abi::ParamValue;

use crate::{
    Drift, Event, Fault, Plugin, Reply, Request, TensorBuf,
    golden::compare,
    slot::{Generation, Slot},
};

/// So many jobs in a row without a difference beyond its declared drift make a candidate serve.
const CLEAN_JOBS: u64 = 20;

/// What a job says of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It called nothing.
    Idle,
    /// Nothing against it.
    Fine,
    /// It failed in a way that may be the version's doing.
    Faulted,
    /// It cost a worker process.
    Crashed,
    /// It failed on another version as well and says nothing.
    Excused,
}

/// One job on one version.
pub(crate) struct PinnedJob {
    pub(crate) generation: Arc<Generation>,
    pub(crate) slot: Weak<Slot>,
    outcome: AtomicU8,
    shadow: Option<Shadow>,
}

/// The same job on a candidate.
struct Shadow {
    candidate: Arc<Generation>,
    outcome: AtomicU8,
    /// The largest difference so far and its job.
    worst: Mutex<Option<(String, Drift)>>,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Idle, Self::Fine, Self::Faulted, Self::Crashed, Self::Excused];

    /// True when it says something of the version.
    pub(crate) fn counts(self) -> bool {
        !matches!(self, Self::Idle | Self::Excused)
    }

    /// What `fault` says; `None` where it cannot be the version's doing.
    pub(crate) fn of(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::Crashed { .. } | Fault::Poisoned { .. } => Some(Self::Crashed),
            Fault::Protocol { .. }
            | Fault::Outside { .. }
            | Fault::Output { .. }
            | Fault::Panicked { .. }
            | Fault::Deadline { .. }
            | Fault::Stalled { .. } => Some(Self::Faulted),
            _ => None,
        }
    }

    fn read(place: &AtomicU8) -> Self {
        Self::ALL[usize::from(place.load(Ordering::Acquire)).min(Self::ALL.len() - 1)]
    }
}

impl PinnedJob {
    pub(crate) fn new(slot: &Arc<Slot>, generation: Arc<Generation>, candidate: Option<Arc<Generation>>) -> Self {
        generation.tally.in_flight.fetch_add(1, Ordering::AcqRel);
        let fresh = |candidate| Shadow { candidate, outcome: AtomicU8::new(0), worst: Mutex::new(None) };
        Self { generation, slot: Arc::downgrade(slot), outcome: AtomicU8::new(0), shadow: candidate.map(fresh) }
    }

    /// Keeps the worst of what was noted.
    pub(crate) fn note(&self, outcome: Outcome) {
        self.outcome.fetch_max(outcome as u8, Ordering::AcqRel);
    }

    /// True when a candidate is asked the same.
    pub(crate) fn is_shadowed(&self) -> bool {
        self.shadow.is_some()
    }

    /// Counts the answer to a call that was made without [`PinnedJob::call`].
    pub(crate) fn count(&self, answer: &Result<Reply, Fault>) {
        count(&self.generation, &self.outcome, answer);
    }

    /// A call of this job: `plugin` answers, and the candidate is asked the same where there is one.
    pub(crate) fn call(&self, plugin: &Plugin, request: Request<'_>) -> Result<Reply, Fault> {
        let Request { inputs, output_shape, params, context, cancel, job, progress } = request;
        let reply = plugin.run(Request { inputs, output_shape, params, context, cancel, job, progress });
        count(&self.generation, &self.outcome, &reply);
        if let (Some(shadow), Ok(reply)) = (&self.shadow, &reply) {
            let other = &shadow.candidate.plugin;
            let params = common(params, other);
            let answer = copies(&reply.inputs, other).and_then(|inputs| {
                let progress = None;
                other.run(Request { inputs, output_shape, params: &params, context, cancel, job, progress })
            });
            shadow.note(job, &reply.output, answer);
        }
        reply
    }
}

impl Shadow {
    fn note(&self, job: &str, expected: &[f32], answer: Result<Reply, Fault>) {
        count(&self.candidate, &self.outcome, &answer);
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) => {
                let says = if matches!(fault, Fault::Cancelled { .. }) { Outcome::Excused } else { Outcome::Faulted };
                self.outcome.fetch_max(says as u8, Ordering::AcqRel);
                return;
            }
        };
        let declared = &self.candidate.plugin.bundle().manifest.selftest;
        let tolerance = declared.iter().filter_map(|golden| golden.drift).reduce(f64::max);
        let drift = compare(job, &answer.output, expected, tolerance);
        if !drift.is_within() {
            self.outcome.fetch_max(Outcome::Faulted as u8, Ordering::AcqRel);
        }
        let mut worst = self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        if drift.largest > worst.as_ref().map_or(0.0, |(_, drift)| drift.largest) {
            *worst = Some((job.to_owned(), drift));
        }
    }

    /// Counts for and against the candidate.
    fn end(&mut self, slot: &Slot) {
        let Some(shelf) = self.candidate.shelf() else {
            return;
        };
        if let Some((job, drift)) = self.worst.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            shelf.tell(Event::Differs { version: self.candidate.named.clone(), job, drift });
        }
        let outcome = Outcome::read(&self.outcome);
        if !outcome.counts() {
            return;
        }
        if let Some(reason) = self.candidate.judge(outcome) {
            shelf.retreat(&self.candidate, &reason);
        } else if slot.count_shadow(outcome == Outcome::Fine) >= CLEAN_JOBS {
            shelf.promote(slot, &self.candidate);
        }
    }
}

impl Drop for PinnedJob {
    fn drop(&mut self) {
        let tally = &self.generation.tally;
        tally.in_flight.fetch_sub(1, Ordering::AcqRel);
        let outcome = Outcome::read(&self.outcome);
        tally.jobs.fetch_add(u64::from(outcome != Outcome::Idle), Ordering::Relaxed);
        if let Some(reason) = self.generation.judge(outcome)
            && let Some(shelf) = self.generation.shelf()
        {
            shelf.retreat(&self.generation, &reason);
        }
        if let (Some(shadow), Some(slot)) = (&mut self.shadow, self.slot.upgrade()) {
            shadow.end(&slot);
        }
    }
}

fn count(generation: &Generation, outcome: &AtomicU8, answer: &Result<Reply, Fault>) {
    let says = match answer {
        Ok(reply) if reply.deaths.is_empty() => Outcome::Fine,
        // A second worker did it.
        Ok(_) => Outcome::Crashed,
        Err(fault) => Outcome::of(fault).unwrap_or(Outcome::Fine),
    };
    let tally = &generation.tally;
    tally.calls.fetch_add(1, Ordering::Relaxed);
    tally.faults.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
    tally.crashes.fetch_add(u64::from(says == Outcome::Crashed), Ordering::Relaxed);
    outcome.fetch_max(says as u8, Ordering::AcqRel);
}

/// The parameters that `other` has too, and its defaults for the rest.
fn common(params: &BTreeMap<String, ParamValue>, other: &Plugin) -> BTreeMap<String, ParamValue> {
    let declared = &other.descriptor().params;
    let given = params.iter().filter(|(id, _)| declared.iter().any(|param| param.id == **id));
    let given = given.filter_map(|(id, value)| Some((id.clone(), serde_json::to_value(value).ok()?))).collect();
    other.descriptor().check_params(&given).or_else(|_| other.descriptor().check_params(&[].into())).unwrap_or_default()
}

fn copies(inputs: &[TensorBuf], other: &Plugin) -> Result<Vec<TensorBuf>, Fault> {
    let copy = |input: &TensorBuf| {
        let mut own = other.buffer(input.shape())?;
        own.copy_from_slice(input);
        Ok(own)
    };
    inputs.iter().map(copy).collect()
}
