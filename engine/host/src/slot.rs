//! The versions of a plugin that are loaded, and which of them gets the next job.

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use semver::VersionReq;

use crate::{
    Fault, Named, Plugin, Record, Staged, State,
    job::{Outcome, PinnedJob},
    shelf::Inner,
};

/// A new version is on probation for so many jobs.
const PROBATION: u64 = 50;
/// It is withdrawn when more jobs than this crash meanwhile,
const CRASHES: u64 = 3;
/// or when one job in five fails once there are this many.
const ENOUGH: u64 = 10;

/// One version of a plugin held by one job: whatever happens meanwhile, the job never meets another.
///
/// It is a [`Plugin`]. Calls through it, and through clones of the plugin, are counted for its version; the job ends
/// when the last of them is dropped.
#[derive(Clone)]
pub struct Pin {
    plugin: Plugin,
    job: Arc<PinnedJob>,
}

/// A loaded version. Dropped, its processes end.
pub(crate) struct Generation {
    pub(crate) named: Named,
    pub(crate) version: semver::Version,
    /// The folder in which it was found.
    pub(crate) folder: PathBuf,
    pub(crate) plugin: Plugin,
    /// Keeps its files in the store.
    _staged: Staged,
    pub(crate) tally: Tally,
    trial: Mutex<Trial>,
    pub(crate) is_withdrawn: AtomicBool,
    pub(crate) is_draining: AtomicBool,
    shelf: Weak<Inner>,
}

/// What a version did so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) jobs: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) crashes: AtomicU64,
    pub(crate) in_flight: AtomicUsize,
}

/// The jobs of the probation.
#[derive(Default)]
struct Trial {
    jobs: u64,
    faulted: u64,
    crashed: u64,
}

/// The versions that jobs of one plugin and one requirement get.
pub(crate) struct Slot {
    pub(crate) id: String,
    pub(crate) requirement: VersionReq,
    current: ArcSwapOption<Generation>,
    previous: ArcSwapOption<Generation>,
    candidate: ArcSwapOption<Generation>,
    /// Held while versions are exchanged.
    turn: Mutex<Turn>,
    jobs: AtomicU64,
    clean: AtomicU64,
    start: Instant,
    /// Milliseconds from the start to the last pin.
    pinned_ms: AtomicU64,
}

struct Turn {
    replaced: Instant,
}

impl Pin {
    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Which version it is.
    pub fn version(&self) -> &Named {
        &self.job.generation.named
    }

    pub(crate) fn new(slot: &Arc<Slot>, generation: Arc<Generation>, shadow: Option<Arc<Generation>>) -> Self {
        let bare = generation.plugin.clone();
        let job = Arc::new(PinnedJob::new(slot, generation, shadow));
        Self { plugin: bare.on_behalf_of(Arc::clone(&job)), job }
    }

    /// Lets the job no longer count for or against its version: it failed on another one as well.
    pub fn excuse(&self) {
        self.job.note(Outcome::Excused);
    }

    /// The version that could do the whole job instead after `fault`, where that may be the doing of a version on
    /// probation. [`Shelf::job`](crate::Shelf::job) does that by itself.
    pub fn alternative(&self, fault: &Fault) -> Option<Self> {
        let generation = &self.job.generation;
        self.job.note(Outcome::of(fault)?);
        if !generation.is_on_probation() && !generation.is_withdrawn.load(Ordering::Acquire) {
            return None;
        }
        let slot = self.job.slot.upgrade()?;
        let is_other =
            |other: &Arc<Generation>| !Arc::ptr_eq(other, generation) && !other.is_withdrawn.load(Ordering::Acquire);
        let other = slot.current().filter(is_other).or_else(|| slot.previous().filter(is_other))?;
        Some(Self::new(&slot, other, None))
    }
}

impl Deref for Pin {
    type Target = Plugin;

    fn deref(&self) -> &Plugin {
        &self.plugin
    }
}

impl Generation {
    pub(crate) fn new(
        named: Named,
        version: semver::Version,
        folder: PathBuf,
        plugin: Plugin,
        staged: Staged,
        shelf: Weak<Inner>,
    ) -> Arc<Self> {
        Arc::new(Self {
            named,
            version,
            folder,
            plugin,
            _staged: staged,
            tally: Tally::default(),
            trial: Mutex::default(),
            is_withdrawn: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            shelf,
        })
    }

    pub(crate) fn shelf(&self) -> Option<Arc<Inner>> {
        self.shelf.upgrade()
    }

    fn trial(&self) -> MutexGuard<'_, Trial> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_on_probation(&self) -> bool {
        self.trial().jobs < PROBATION
    }

    /// Counts a job of the probation; gives the reason when the version should be withdrawn for what it did so far.
    pub(crate) fn judge(&self, outcome: Outcome) -> Option<String> {
        let mut trial = self.trial();
        if trial.jobs >= PROBATION || !outcome.counts() {
            return None;
        }
        trial.jobs += 1;
        trial.faulted += u64::from(outcome != Outcome::Fine);
        trial.crashed += u64::from(outcome == Outcome::Crashed);
        let Trial { jobs, faulted, crashed } = *trial;
        if crashed > CRASHES {
            return Some(format!("{crashed} of its first {jobs} jobs crashed"));
        }
        (jobs >= ENOUGH && 5 * faulted > jobs).then(|| format!("{faulted} of its first {jobs} jobs failed"))
    }

    pub(crate) fn record(&self, state: State) -> Record {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Record {
            version: self.named.clone(),
            folder: self.folder.clone(),
            state,
            level: Some(self.plugin.bundle().level.clone()),
            jobs: count(&self.tally.jobs),
            calls: count(&self.tally.calls),
            faults: count(&self.tally.faults),
            crashes: count(&self.tally.crashes),
            rejection: None,
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if let Some(shelf) = self.shelf() {
            shelf.is_gone(self.record(State::Gone));
        }
    }
}

impl Slot {
    pub(crate) fn new(id: &str, requirement: &VersionReq) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            requirement: requirement.clone(),
            current: ArcSwapOption::empty(),
            previous: ArcSwapOption::empty(),
            candidate: ArcSwapOption::empty(),
            turn: Mutex::new(Turn { replaced: Instant::now() }),
            jobs: AtomicU64::new(0),
            clean: AtomicU64::new(0),
            start: Instant::now(),
            pinned_ms: AtomicU64::new(0),
        })
    }

    /// The version that serves now, for one job; one in `1 / shadow` jobs is done by the candidate as well.
    pub(crate) fn pin(self: &Arc<Self>, shadow: f64) -> Option<Pin> {
        let generation = self.current()?;
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.pinned_ms.store(now_ms, Ordering::Relaxed);
        let job = self.jobs.fetch_add(1, Ordering::Relaxed);
        let share = |jobs: u64| (jobs as f64 * shadow).floor();
        let candidate = if share(job + 1) > share(job) { self.candidate() } else { None };
        Some(Pin::new(self, generation, candidate))
    }

    pub(crate) fn is_unused_for(&self, limit: Duration) -> bool {
        let pinned = self.start + Duration::from_millis(self.pinned_ms.load(Ordering::Relaxed));
        pinned.elapsed() > limit
    }

    pub(crate) fn current(&self) -> Option<Arc<Generation>> {
        self.current.load_full()
    }

    pub(crate) fn previous(&self) -> Option<Arc<Generation>> {
        self.previous.load_full()
    }

    pub(crate) fn candidate(&self) -> Option<Arc<Generation>> {
        self.candidate.load_full()
    }

    /// Lets `generation` serve unless it is withdrawn; the one before it stays as the previous one. Gives the time that
    /// the exchange took.
    pub(crate) fn install(&self, generation: Arc<Generation>) -> Option<Duration> {
        let mut turn = self.turn();
        if generation.is_withdrawn.load(Ordering::Acquire) {
            return None;
        }
        let start = Instant::now();
        let replaced = self.current.swap(Some(generation));
        let took = start.elapsed();
        turn.replaced = Instant::now();
        self.candidate.store(None);
        self.previous.store(replaced);
        Some(took)
    }

    /// Tries `generation` beside the serving version unless it is withdrawn; false when it is.
    pub(crate) fn try_out(&self, generation: Arc<Generation>) -> bool {
        let _turn = self.turn();
        let may = !generation.is_withdrawn.load(Ordering::Acquire);
        if may {
            self.clean.store(0, Ordering::Relaxed);
            self.candidate.store(Some(generation));
        }
        may
    }

    /// Counts a job that the candidate did as well; gives how many clean ones it did in a row.
    pub(crate) fn count_shadow(&self, is_clean: bool) -> u64 {
        if is_clean {
            return self.clean.fetch_add(1, Ordering::Relaxed) + 1;
        }
        self.clean.store(0, Ordering::Relaxed);
        0
    }

    /// Takes `generation`, which was marked as withdrawn, out and lets the previous version serve again where it served; true when it was here.
    pub(crate) fn retreat_from(&self, generation: &Generation) -> bool {
        let _turn = self.turn();
        let is_it = |other: Option<Arc<Generation>>| other.is_some_and(|other| std::ptr::eq(&*other, generation));
        let was_current = is_it(self.current());
        if was_current {
            self.current.store(self.previous.swap(None));
        }
        let was_candidate = is_it(self.candidate());
        if was_candidate {
            self.candidate.store(None);
        }
        if is_it(self.previous()) {
            self.previous.store(None);
        }
        was_current || was_candidate
    }

    /// Lets nothing serve.
    pub(crate) fn clear(&self) {
        let _turn = self.turn();
        [&self.current, &self.previous, &self.candidate].into_iter().for_each(|place| place.store(None));
    }

    /// Lets the previous version go when it was replaced longer than `warm` ago, and it and the candidate when their
    /// folder is gone.
    pub(crate) fn forget(&self, warm: Duration, is_there: impl Fn(&PathBuf) -> bool) {
        let turn = self.turn();
        let is_over = |previous: Arc<Generation>| turn.replaced.elapsed() > warm || !is_there(&previous.folder);
        if self.previous().is_some_and(is_over) {
            self.previous.store(None);
        }
        if self.candidate().is_some_and(|candidate| !is_there(&candidate.folder)) {
            self.candidate.store(None);
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
