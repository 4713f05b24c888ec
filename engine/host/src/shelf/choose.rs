//! Which version serves a slot, and the steps by which it comes there.

use std::{
    cmp::Reverse,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use semver::VersionReq;

use super::{Inner, Table, refusal};
use crate::{
    Bundle, Drift, Error, Event, Fault, HashCache, Level, Named, Origin, Party, Pin, Plugin, Step,
    golden::{accept, measure_canary, measure_golden},
    open_bundle_cached,
    place::{Finding, Head, Waiting},
    slot::{Generation, Slot},
};

/// Something else than a missing or unfinished file is told when nothing has changed for so long: a signature may be
/// copied after the rest.
const SETTLING: Duration = Duration::from_secs(2);
/// Most versions that a refusal lists.
const LISTED: usize = 20;

/// What may serve a slot.
enum Choice {
    /// What is in a folder.
    Content(PathBuf, Head),
    /// What serves already, its folder having changed or gone a moment ago.
    Incumbent,
}

/// What came of a content.
enum Loading {
    Loaded(Arc<Generation>),
    /// Not as it is now.
    Waiting(Waiting),
    /// Not before it changes.
    Refused(Fault, Level, Vec<Drift>),
}

impl Inner {
    /// Pins a version for a requirement that nothing serves yet.
    pub(super) fn pin_first(&self, id: &str, requirement: &VersionReq) -> Result<Pin, Fault> {
        let mut table = self.table();
        self.look(&mut table);
        let is_known = table.places.heads().any(|head| head.named.id == id && requirement.matches(&head.version));
        if !is_known && self.slots_of(id).is_empty() {
            self.doubt(&mut table);
            return Err(unreadable(&table, id).unwrap_or_else(|| self.unknown(&table, id, requirement)));
        }
        let slot = self.slot(id, requirement);
        let refusal = if slot.current().is_none() { self.choose(&mut table, &slot) } else { None };
        let pin = slot.pin(self.options.shadow);
        let pin = pin.ok_or_else(|| refusal.unwrap_or_else(|| self.unknown(&table, id, requirement)));
        self.forget_slots();
        drop(table);
        self.settle();
        pin
    }

    /// Lets the best version serve `slot` that can; gives the refusal of the best one that cannot.
    pub(super) fn choose(&self, table: &mut Table, slot: &Slot) -> Option<Fault> {
        let mut refusal = None;
        for choice in choices(table, slot) {
            let Choice::Content(folder, head) = choice else {
                return refusal;
            };
            if let Some(withdrawal) = table.withdrawn.get(&head.named.manifest_sha256) {
                let reason = format!("it was withdrawn: {}", withdrawal.reason);
                let (origin, party) = (origin_of(&head.named).boxed(), Party::Operator);
                refusal.get_or_insert(Fault::Rejected { origin, step: Step::Serve, party, reason });
                continue;
            }
            match self.take(table, slot, &folder, &head) {
                Ok(generation) => {
                    self.bring_in(slot, generation);
                    return refusal;
                }
                Err(fault) if !self.options.eager => return Some(fault),
                Err(fault) => drop(refusal.get_or_insert(fault)),
            }
        }
        if slot.current().is_some() {
            slot.clear();
        }
        refusal
    }

    /// The version of a folder's content, loaded unless it is or was refused.
    fn take(&self, table: &mut Table, slot: &Slot, folder: &Path, head: &Head) -> Result<Arc<Generation>, Fault> {
        let content = &head.named.manifest_sha256;
        let Table { places, refused, hashes, .. } = table;
        let Some(place) = places.by_path.get_mut(folder) else {
            return Err(self.unknown(table, &head.named.id, &slot.requirement));
        };
        if let Some(loaded) = self.alive().into_iter().find(|generation| generation.named.manifest_sha256 == *content) {
            place.finding = Finding::Settled;
            return Ok(loaded);
        }
        if let Some((fault, _)) = refused.get(content) {
            place.finding = Finding::Settled;
            return Err(fault.clone());
        }
        if let Finding::Waiting(waiting) = &place.finding {
            return Err(waiting.fault.clone());
        }
        match self.load(slot, folder, head, hashes) {
            Loading::Loaded(generation) => {
                place.finding = Finding::Settled;
                Ok(generation)
            }
            Loading::Waiting(waiting) => {
                let fault = waiting.fault.clone();
                place.finding = Finding::Waiting(Box::new(waiting));
                Err(fault)
            }
            Loading::Refused(fault, level, drifts) => {
                place.finding = Finding::Settled;
                refused.insert(content.clone(), (fault.clone(), Some(level)));
                self.tell(Event::Refused { fault: fault.clone(), manifest_sha256: content.clone(), drifts });
                Err(fault)
            }
        }
    }

    /// Complete, trusted, staged, probed, tested.
    fn load(&self, slot: &Slot, folder: &Path, head: &Head, hashes: &mut HashCache) -> Loading {
        let start = Instant::now();
        let waiting = |fault, patience, is_copy| Waiting::new(fault, patience, is_copy, 2 * start.elapsed());
        let unread = |error: &Error| {
            let is_copy = matches!(error, Error::Read { .. } | Error::MissingFile { .. } | Error::Mismatch { .. });
            let patience = match error {
                _ if !error.may_be_unfinished() => Duration::ZERO,
                _ if is_copy => self.options.patience,
                _ => SETTLING,
            };
            Loading::Waiting(waiting(refusal(origin_of(&head.named), error), patience, is_copy))
        };
        let bundle = match open_bundle_cached(folder, hashes) {
            Ok(bundle) if bundle.manifest_sha256 == head.named.manifest_sha256 => bundle,
            Ok(_) => {
                let cause = std::io::Error::other("it changes");
                return unread(&Error::Read { path: folder.to_owned(), cause });
            }
            Err(error) => return unread(&error),
        };
        let level = match self.options.trust.judge(&bundle) {
            Ok(level) => level,
            Err(error) => return unread(&error),
        };
        let mut staged = match self.store.stage(&bundle) {
            Ok(staged) => staged,
            Err(error) => return unread(&error),
        };
        staged.bundle.level = level.clone();
        let mut drifts = Vec::new();
        match self.test(slot, &staged.bundle, &mut drifts).map_err(as_refusal) {
            Ok(plugin) => {
                let (version, took) = (head.named.clone(), start.elapsed());
                for promise in plugin.unkept_promises() {
                    self.tell(Event::Unprotected { version: version.clone(), promise: promise.clone() });
                }
                self.tell(Event::Loaded { version, took });
                let Head { named, version } = head.clone();
                Loading::Loaded(Generation::new(named, version, folder.to_owned(), plugin, staged, self.me.clone()))
            }
            Err(fault @ (Fault::Worker { .. } | Fault::Memory { .. } | Fault::Request { .. })) => {
                let mut waiting = Waiting::new(fault, Duration::ZERO, false, self.options.rescan);
                waiting.has_changed = true;
                Loading::Waiting(waiting)
            }
            Err(fault) => Loading::Refused(fault, level, drifts),
        }
    }

    /// Opens the plugin and tests it against its golden vectors and the serving version; `drifts` are those that were
    /// measured last.
    fn test(&self, slot: &Slot, bundle: &Bundle, drifts: &mut Vec<Drift>) -> Result<Plugin, Fault> {
        let plugin = Plugin::open(bundle, self.options.host.clone())?;
        *drifts = measure_golden(&plugin, bundle)?;
        accept(drifts, &plugin, "what is expected")?;
        if !self.options.eager {
            return Ok(plugin);
        }
        if let Some(current) = slot.current() {
            *drifts = measure_canary(&plugin, &current.plugin)?;
            accept(drifts, &plugin, &format!("version {}", current.named.version))?;
        }
        plugin.warm_all()?;
        Ok(plugin)
    }

    fn bring_in(&self, slot: &Slot, generation: Arc<Generation>) {
        let is_it = |other: Option<Arc<Generation>>| other.is_some_and(|other| Arc::ptr_eq(&other, &generation));
        if is_it(slot.current()) || is_it(slot.candidate()) {
            return;
        }
        if self.options.shadow > 0.0 && slot.current().is_some() {
            if slot.try_out(Arc::clone(&generation)) {
                self.tell(Event::Candidate { version: generation.named.clone() });
            }
        } else {
            self.install(slot, Arc::clone(&generation));
        }
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if !alive.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(&generation))) {
            alive.push(Arc::downgrade(&generation));
        }
    }

    /// Folders whose manifest cannot be read wait for their next change.
    pub(super) fn doubt(&self, table: &mut Table) {
        for (folder, place) in &mut table.places.by_path {
            if place.head.is_some() || !matches!(place.finding, Finding::Unknown) {
                continue;
            }
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let origin = Origin { plugin: name, ..Origin::default() };
            let fault = match open_bundle_cached(folder, &mut table.hashes) {
                Err(error) => refusal(origin, &error),
                Ok(bundle) => {
                    let reason = format!("expected a version like 1.2.3, found '{}'", bundle.version);
                    let party = Party::PluginAuthor;
                    Fault::Rejected { origin: origin.boxed(), step: Step::Read, party, reason }
                }
            };
            place.finding = Finding::Waiting(Box::new(Waiting::new(fault, SETTLING, false, Duration::ZERO)));
        }
    }

    /// Nothing fulfils the requirement.
    pub(super) fn unknown(&self, table: &Table, id: &str, requirement: &VersionReq) -> Fault {
        let mut known: Vec<String> =
            table.places.heads().map(|head| format!("{} {}", head.named.id, head.named.version)).collect();
        known.sort();
        known.dedup();
        let more = known.len().saturating_sub(LISTED);
        known.truncate(LISTED);
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let folders: Vec<String> = self.options.folders.iter().map(|folder| folder.display().to_string()).collect();
        let reason = format!("expected version {requirement} of it, found {known}{more} in {}", folders.join(", "));
        let origin = Origin { plugin: id.to_owned(), ..Origin::default() };
        Fault::Rejected { origin: origin.boxed(), step: Step::Read, party: Party::Operator, reason }
    }
}

/// What may serve `slot`, best first: the newest version, of equal ones the content that was seen last.
fn choices(table: &Table, slot: &Slot) -> Vec<Choice> {
    let fits = |head: &Head| head.named.id == slot.id && slot.requirement.matches(&head.version);
    let mut ranked = Vec::new();
    for (path, place) in &table.places.by_path {
        if let Some(head) = place.head.as_ref().filter(|head| fits(head) && !place.is_missing()) {
            let key = (head.version.clone(), place.seen, Reverse(place.rank), true);
            ranked.push((key, Choice::Content(path.clone(), head.clone())));
        }
    }
    let is_withdrawn = |content: &String| table.withdrawn.contains_key(content);
    let incumbent = slot.current().filter(|current| !is_withdrawn(&current.named.manifest_sha256));
    if let Some((current, place)) =
        incumbent.and_then(|current| table.places.by_path.get(&current.folder).map(|place| (current, place)))
    {
        let head = place.head.as_ref();
        let own = |head: &&Head| head.named.manifest_sha256 == current.named.manifest_sha256;
        let accepted = |head: &&Head| {
            let content = &head.named.manifest_sha256;
            matches!(place.finding, Finding::Settled) && !table.refused.contains_key(content) && !is_withdrawn(content)
        };
        let gave_way = head.is_some_and(|head| !own(&head) && !fits(head) && accepted(&head));
        let is_listed = head.is_some_and(|head| own(&head) && !place.is_missing());
        if !gave_way && !is_listed {
            // Where its folder holds another version, it is second to that one.
            let version = head.filter(|head| fits(head)).map_or(&current.version, |head| &head.version);
            ranked.push(((version.clone(), place.seen, Reverse(place.rank), false), Choice::Incumbent));
        }
    }
    ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
    ranked.into_iter().map(|(_, choice)| choice).collect()
}

/// The refusal of a folder `id-version` whose manifest cannot be read.
fn unreadable(table: &Table, id: &str) -> Option<Fault> {
    let is_of_it = |folder: &Path| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(id).is_some_and(|rest| rest.starts_with('-'))
    };
    table.places.by_path.iter().find_map(|(folder, place)| match &place.finding {
        Finding::Waiting(waiting) if place.head.is_none() && is_of_it(folder) => Some(waiting.fault.clone()),
        _ => None,
    })
}

/// What met a version before it serves is a refusal of it, unless it is not its doing.
fn as_refusal(fault: Fault) -> Fault {
    match fault {
        Fault::Worker { .. } | Fault::Memory { .. } | Fault::Request { .. } | Fault::Rejected { .. } => fault,
        fault => {
            let told = fault.to_string();
            let reason = told.strip_prefix(&format!("{}: ", fault.origin())).unwrap_or(&told).to_owned();
            let origin = fault.origin().boxed();
            Fault::Rejected { origin, step: Step::Create, party: Party::PluginAuthor, reason }
        }
    }
}

fn origin_of(named: &Named) -> Origin {
    Origin { plugin: named.id.clone(), version: named.version.clone(), job: String::new() }
}
