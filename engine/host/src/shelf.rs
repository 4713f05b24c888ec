//! Plugins of watched folders in service.

mod choose;
mod records;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use semver::VersionReq;

use crate::{
    Error, Event, Fault, HashCache, Level, Named, Options, Origin, Party, Pin, Record, Step, Store, Trust, Withdrawal,
    place::{Finding, Places},
    slot::{Generation, Slot},
    watch::{Order, Watch},
};

/// Most versions that are remembered after they are gone.
const PAST: usize = 32;
/// How often the store is swept after a version is gone.
const SWEEPS: u8 = 3;

/// How a [`Shelf`] is kept.
#[derive(Clone)]
pub struct ShelfOptions {
    /// Folders whose subfolders are bundles; they may come and go. Where two hold the same version, the content that
    /// was seen last serves, and of contents seen at once that of the first folder.
    pub folders: Vec<PathBuf>,
    /// Root of the store that plugins are run from.
    pub store: PathBuf,
    /// What the operator trusts.
    pub trust: Trust,
    /// How plugins are run.
    pub host: Options,
    /// True for an engine that stays running: the newest version that passes serves, at once and whenever the folders
    /// change. False for one command: nothing is loaded until it is pinned, the newest version must then serve, and
    /// what was pinned first stays.
    pub eager: bool,
    /// Time between two scans of the folders, 5 s as a rule; file events only make them earlier. A version whose folder
    /// is gone for twice as long is let go.
    pub rescan: Duration,
    /// How long a replaced version stays ready to take over again, 10 minutes as a rule.
    pub warm: Duration,
    /// How long a bundle may stay incomplete before that is told, 60 s as a rule.
    pub patience: Duration,
    /// Share of jobs, 0 to 1, that a new version does beside the old one before it takes over; 0 lets it take over at
    /// once.
    pub shadow: f64,
    /// Told what happens, on whatever thread it happens; it must not call the shelf.
    pub on_event: Arc<dyn Fn(&Event) + Send + Sync>,
}

/// The plugins of some folders, in service.
///
/// A version comes into service when its bundle is complete, trusted, staged, opened, and right about its golden
/// vectors. Jobs that hold the version before it end with that one.
pub struct Shelf {
    /// Ends before the rest.
    _watch: Option<Watch>,
    inner: Arc<Inner>,
}

/// What threads share.
pub(crate) struct Inner {
    options: ShelfOptions,
    store: Store,
    /// By plugin id and requirement.
    slots: ArcSwap<BTreeMap<(String, String), Arc<Slot>>>,
    /// Held while folders are compared with what is in service.
    table: Mutex<Table>,
    alive: Mutex<Vec<Weak<Generation>>>,
    past: Mutex<VecDeque<Record>>,
    /// How often the store is still to be swept: what a version held is let go a moment after it is gone.
    sweeps: AtomicU8,
    orders: OnceLock<Sender<Order>>,
    me: Weak<Self>,
}

#[derive(Default)]
struct Table {
    places: Places,
    /// Refusals by manifest hash.
    refused: BTreeMap<String, (Fault, Option<Level>)>,
    /// Withdrawals by manifest hash.
    withdrawn: BTreeMap<String, Withdrawal>,
    hashes: HashCache,
}

impl ShelfOptions {
    /// The usual times, no shadow, no listener, nothing loaded before it is pinned.
    pub fn new(folders: Vec<PathBuf>, store: PathBuf, trust: Trust, host: Options) -> Self {
        Self {
            folders,
            store,
            trust,
            host,
            eager: false,
            rescan: Duration::from_secs(5),
            warm: Duration::from_secs(600),
            patience: Duration::from_secs(60),
            shadow: 0.0,
            on_event: Arc::new(|_| ()),
        }
    }
}

impl Shelf {
    /// Opens the store and, when [`ShelfOptions::eager`], brings what is in the folders into service and watches them.
    ///
    /// # Errors
    /// [`Fault::Rejected`] of the step Stage when the store cannot be made.
    pub fn open(options: ShelfOptions) -> Result<Self, Fault> {
        let store = Store::open(&options.store).map_err(|error| refusal(Origin::default(), &error))?;
        let inner = Arc::new_cyclic(|me| Inner {
            options,
            store,
            slots: ArcSwap::default(),
            table: Mutex::default(),
            alive: Mutex::default(),
            past: Mutex::default(),
            sweeps: AtomicU8::new(SWEEPS),
            orders: OnceLock::new(),
            me: me.clone(),
        });
        let mut watch = None;
        if inner.options.eager {
            inner.reconcile();
            let ShelfOptions { folders, rescan, .. } = &inner.options;
            let started = Watch::start(Arc::downgrade(&inner), folders.clone(), *rescan);
            let _ = inner.orders.set(started.orders());
            watch = Some(started);
        }
        Ok(Self { _watch: watch, inner })
    }

    /// A version of plugin `id` that fulfils `requirement`, for one job.
    ///
    /// # Errors
    /// [`Fault::Rejected`] with the ids and versions that are known, or with the refusal of the version that would have
    /// served.
    pub fn pin(&self, id: &str, requirement: &VersionReq) -> Result<Pin, Fault> {
        let inner = &*self.inner;
        let slot = inner.slots.load().get(&(id.to_owned(), requirement.to_string())).cloned();
        if let Some(pin) = slot.and_then(|slot| slot.pin(inner.options.shadow)) {
            return Ok(pin);
        }
        inner.pin_first(id, requirement)
    }

    /// Does a job on a pinned version, and once more on another version where a new one failed in a way that may be its
    /// own doing: `work` is then called a second time and must start from the beginning.
    ///
    /// # Errors
    /// Those of [`Shelf::pin`] and of `work`.
    pub fn job<T>(
        &self,
        id: &str,
        requirement: &VersionReq,
        mut work: impl FnMut(&Pin) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let pin = self.pin(id, requirement)?;
        let fault = match work(&pin) {
            Ok(done) => return Ok(done),
            Err(fault) => fault,
        };
        let Some(other) = pin.alternative(&fault) else {
            return Err(fault);
        };
        let again = work(&other);
        if again.is_err() {
            pin.excuse();
        } else {
            let (version, by) = (pin.version().clone(), other.version().clone());
            self.inner.tell(Event::Retried { version, fault, by });
        }
        again
    }

    /// Compares what is in the folders with what is in service and puts that right; without [`ShelfOptions::eager`] it
    /// only looks.
    pub fn reconcile(&self) {
        self.inner.reconcile();
    }

    /// Every version that is known, by id and version.
    pub fn records(&self) -> Vec<Record> {
        self.inner.records()
    }

    /// Withdraws the serving version of plugin `id`, which the one before it replaces.
    ///
    /// # Errors
    /// [`Fault::Rejected`] when there is none to withdraw or none before it.
    pub fn rollback(&self, id: &str) -> Result<Named, Fault> {
        self.inner.rollback(id)
    }

    /// Lets the withdrawn versions of plugin `id` serve again, and tries its refused ones again.
    ///
    /// # Errors
    /// [`Fault::Rejected`] when the store cannot note it.
    pub fn restore(&self, id: &str) -> Result<(), Fault> {
        self.inner.restore(id)
    }
}

impl Inner {
    pub(crate) fn tell(&self, event: Event) {
        (self.options.on_event)(&event);
    }

    /// Looks at the folders and at what time has changed; gives when to do so again at the latest.
    pub(crate) fn reconcile(&self) -> Option<Instant> {
        let grace = 2 * self.options.rescan;
        let mut table = self.table();
        self.look(&mut table);
        if self.options.eager {
            let newest = VersionReq::STAR;
            let ids: BTreeSet<String> = table.places.heads().map(|head| head.named.id.clone()).collect();
            ids.iter().for_each(|id| drop(self.slot(id, &newest)));
            for slot in self.slots.load().values() {
                let is_there = |folder: &PathBuf| table.places.by_path.contains_key(folder);
                slot.forget(self.options.warm, is_there);
                self.choose(&mut table, slot);
            }
            self.forget_slots();
        }
        self.doubt(&mut table);
        self.tell_of_waiting(&mut table);
        let next = table.places.next_look(grace);
        drop(table);
        self.settle();
        next
    }

    fn look(&self, table: &mut Table) {
        table.places.scan(&self.options.folders, 2 * self.options.rescan);
        let contents: BTreeSet<&String> = table.places.heads().map(|head| &head.named.manifest_sha256).collect();
        table.refused.retain(|content, _| contents.contains(content));
        match self.store.withdrawn() {
            Ok(withdrawn) => {
                table.withdrawn = withdrawn.into_iter().map(|w| (w.manifest_sha256.clone(), w)).collect();
            }
            Err(e) => self.tell(Event::Store { reason: e.to_string() }),
        }
        for generation in self.alive() {
            if table.withdrawn.contains_key(&generation.named.manifest_sha256) {
                generation.is_withdrawn.store(true, Ordering::Release);
                for slot in self.slots_of(&generation.named.id) {
                    slot.retreat_from(&generation);
                }
            }
        }
    }

    fn tell_of_waiting(&self, table: &mut Table) {
        for (folder, place) in &mut table.places.by_path {
            let since = place.changed;
            if let Finding::Waiting(waiting) = &mut place.finding
                && !waiting.is_told
                && since.elapsed() >= waiting.patience
            {
                waiting.is_told = true;
                let fault = waiting.fault.clone();
                self.tell(if waiting.is_copy {
                    Event::Incomplete { folder: folder.clone(), reason: fault.to_string() }
                } else {
                    let content = place.head.as_ref().map(|head| head.named.manifest_sha256.clone());
                    Event::Refused { fault, manifest_sha256: content.unwrap_or_default(), drifts: Vec::new() }
                });
            }
        }
    }

    /// The slot for a requirement, made when there is none.
    fn slot(&self, id: &str, requirement: &VersionReq) -> Arc<Slot> {
        let key = (id.to_owned(), requirement.to_string());
        if let Some(slot) = self.slots.load().get(&key) {
            return Arc::clone(slot);
        }
        let slot = Slot::new(id, requirement);
        self.slots.rcu(|slots| {
            let mut slots = BTreeMap::clone(slots);
            slots.insert(key.clone(), Arc::clone(&slot));
            slots
        });
        slot
    }

    /// Drops slots that hold nothing, and requirements of their own that nobody asked for lately.
    fn forget_slots(&self) {
        let stays = |slot: &Slot| !self.options.eager || slot.requirement == VersionReq::STAR;
        let is_needed =
            |slot: &Slot| slot.current().is_some() && (stays(slot) || !slot.is_unused_for(self.options.warm));
        if self.slots.load().values().all(|slot| is_needed(slot)) {
            return;
        }
        self.slots.rcu(|slots| {
            let mut slots = BTreeMap::clone(slots);
            slots.retain(|_, slot| is_needed(slot));
            slots
        });
    }

    /// Brings in order what follows from an exchange of versions: which keep all their workers, which one, and which
    /// are done.
    fn settle(&self) {
        let slots = self.slots.load();
        let stands = |generation: &Arc<Generation>, place: fn(&Slot) -> Option<Arc<Generation>>| {
            slots.values().any(|slot| place(slot).is_some_and(|other| Arc::ptr_eq(&other, generation)))
        };
        for generation in self.alive() {
            let works = stands(&generation, Slot::current) || stands(&generation, Slot::candidate);
            if works {
                generation.plugin.keep_warm(usize::MAX);
                generation.is_draining.store(false, Ordering::Release);
            } else if stands(&generation, Slot::previous) {
                let in_flight = generation.tally.in_flight.load(Ordering::Acquire);
                generation.plugin.keep_warm(in_flight.max(1));
            } else if !generation.is_draining.swap(true, Ordering::AcqRel) {
                self.tell(Event::Draining { version: generation.named.clone() });
            }
        }
        let counted = |left: u8| left.checked_sub(1);
        if self.options.eager && self.sweeps.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted).is_ok() {
            self.sweep();
        }
    }

    fn sweep(&self) {
        let table = self.table();
        let alive = self.alive();
        let needed = table.places.heads().map(|head| head.named.manifest_sha256.as_str());
        let keep: Vec<&str> = needed.chain(alive.iter().map(|g| g.named.manifest_sha256.as_str())).collect();
        if let Err(e) = self.store.sweep(&keep) {
            self.tell(Event::Store { reason: e.to_string() });
        }
    }

    /// Takes a version that fails in service out of it where another can do its jobs.
    pub(crate) fn retreat(&self, generation: &Arc<Generation>, reason: &str) {
        let slots = self.slots_of(&generation.named.id);
        let is_it = |other: Option<Arc<Generation>>| other.is_some_and(|other| Arc::ptr_eq(&other, generation));
        let can =
            slots.iter().any(|slot| is_it(slot.candidate()) || is_it(slot.current()) && slot.previous().is_some());
        if can {
            self.withdraw(generation, reason);
        }
    }

    /// Withdraws `generation` once; gives what serves instead.
    fn withdraw(&self, generation: &Arc<Generation>, reason: &str) -> Option<Named> {
        if generation.is_withdrawn.swap(true, Ordering::AcqRel) {
            return None;
        }
        let slots = self.slots_of(&generation.named.id);
        let left: Vec<_> = slots.iter().filter(|slot| slot.retreat_from(generation)).collect();
        let to = left.iter().find_map(|slot| Some(slot.current()?.named.clone()));
        let Named { id, version, manifest_sha256 } = generation.named.clone();
        let withdrawal = Withdrawal { id, version, manifest_sha256, reason: reason.to_owned() };
        if let Err(e) = self.store.withdraw(&withdrawal) {
            self.tell(Event::Store { reason: e.to_string() });
        }
        let (version, reason) = (generation.named.clone(), reason.to_owned());
        self.tell(Event::RolledBack { version, reason, to: to.clone() });
        if let Some(orders) = self.orders.get() {
            let _ = orders.send(Order::Look);
        }
        to
    }

    /// Lets a candidate serve.
    pub(crate) fn promote(&self, slot: &Slot, candidate: &Arc<Generation>) {
        if slot.candidate().is_some_and(|other| Arc::ptr_eq(&other, candidate)) {
            self.install(slot, Arc::clone(candidate));
            if let Some(orders) = self.orders.get() {
                let _ = orders.send(Order::Look);
            }
        }
    }

    fn install(&self, slot: &Slot, generation: Arc<Generation>) {
        let version = generation.named.clone();
        let replaced = slot.current().map(|old| old.named.clone());
        if let Some(took) = slot.install(generation) {
            self.tell(Event::Serving { version, requirement: slot.requirement.to_string(), replaced, took });
        }
    }

    fn rollback(&self, id: &str) -> Result<Named, Fault> {
        let slot = self.slots.load().get(&(id.to_owned(), VersionReq::STAR.to_string())).cloned();
        let Some((slot, current)) = slot.and_then(|slot| slot.current().map(|current| (slot, current))) else {
            return Err(self.unknown(&self.table(), id, &VersionReq::STAR));
        };
        let Some(previous) = slot.previous() else {
            let Named { id, version, .. } = current.named.clone();
            let origin = Origin { plugin: id, version, job: String::new() };
            let reason = "no version before it is ready to serve instead".to_owned();
            return Err(Fault::Rejected { origin: origin.boxed(), step: Step::Serve, party: Party::Operator, reason });
        };
        let to = self.withdraw(&current, "by the operator").unwrap_or_else(|| previous.named.clone());
        self.settle();
        Ok(to)
    }

    fn restore(&self, id: &str) -> Result<(), Fault> {
        let origin = Origin { plugin: id.to_owned(), ..Origin::default() };
        let mut table = self.table();
        self.store.restore(id).map_err(|error| refusal(origin, &error))?;
        for generation in self.alive().iter().filter(|generation| generation.named.id == id) {
            generation.is_withdrawn.store(false, Ordering::Release);
        }
        let Table { places, refused, .. } = &mut *table;
        for place in places.by_path.values_mut() {
            let Some(head) = place.head.as_ref().filter(|head| head.named.id == id) else {
                continue;
            };
            refused.remove(&head.named.manifest_sha256);
            place.finding = Finding::Unknown;
        }
        drop(table);
        self.reconcile();
        Ok(())
    }

    /// A version's processes are ending.
    pub(crate) fn is_gone(&self, record: Record) {
        let version = record.version.clone();
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.retain(|older| older.version != version);
        past.push_back(record);
        if past.len() > PAST {
            past.pop_front();
        }
        drop(past);
        self.sweeps.store(SWEEPS, Ordering::Release);
        self.tell(Event::Gone { version });
    }

    fn slots_of(&self, id: &str) -> Vec<Arc<Slot>> {
        self.slots.load().values().filter(|slot| slot.id == id).cloned().collect()
    }

    /// Every version whose processes run.
    fn alive(&self) -> Vec<Arc<Generation>> {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.retain(|generation| generation.strong_count() > 0);
        alive.iter().filter_map(Weak::upgrade).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bundle's error as the refusal of its plugin.
fn refusal(origin: Origin, error: &Error) -> Fault {
    let told = error.to_string();
    let reason = told.strip_prefix(&format!("plugin {}: ", origin.plugin)).unwrap_or(&told).to_owned();
    Fault::Rejected { origin: origin.boxed(), step: error.step(), party: error.party(), reason }
}
