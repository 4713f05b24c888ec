//! File events and the clock: both only say when to look.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::{Event, shelf::Inner};

/// Events so close together are one.
const TOGETHER: Duration = Duration::from_millis(20);
/// Files written into a folder before it is watched give no event: after an event there is another look this much later,
/// and others, each after four times as long, until the periodic scan comes sooner.
const ONCE_MORE: Duration = Duration::from_millis(250);

/// A thread that reconciles a shelf. Dropped, it ends.
pub(crate) struct Watch {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) enum Order {
    /// Something may have changed.
    Look,
    Stop,
}

/// What is watched, and as which folder.
struct Eyes {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, (RecursiveMode, Identity)>,
    /// The folders themselves without links, for the thread that hears the events.
    real: Arc<Mutex<Vec<PathBuf>>>,
}

/// Tells a folder from another one that was made in its place, also where that got the same number.
type Identity = (u64, u64, Option<SystemTime>);

impl Watch {
    /// Watches `folders`, and looks every `rescan` in any case.
    pub(crate) fn start(shelf: Weak<Inner>, folders: Vec<PathBuf>, rescan: Duration) -> Self {
        let (orders, inbox) = channel();
        let sender = orders.clone();
        let work = move || {
            if let Some(eyes) = shelf.upgrade().map(|shelf| Eyes::open(&folders, sender, &shelf)) {
                watch(&shelf, eyes, &folders, rescan, &inbox);
            }
        };
        let thread = thread::Builder::new().name("isoscan-watch".to_owned()).spawn(work).ok();
        Self { orders, thread }
    }

    /// Asks for a look.
    pub(crate) fn orders(&self) -> Sender<Order> {
        self.orders.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A plugin's last job may end the shelf on this very thread.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn watch(shelf: &Weak<Inner>, mut eyes: Eyes, folders: &[PathBuf], rescan: Duration, inbox: &Receiver<Order>) {
    let mut scan = Instant::now() + rescan;
    // What changed between the first look and the start of watching.
    let mut early = Some(Instant::now());
    let mut again = None;
    loop {
        let next = early.map_or(scan, |early: Instant| early.min(scan));
        let is_event = match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Order::Look) => true,
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => false,
        };
        if is_event && gather(inbox).is_err() {
            return;
        }
        let Some(shelf) = shelf.upgrade() else {
            return;
        };
        eyes.adjust(folders, &shelf);
        let now = Instant::now();
        let wished = shelf.reconcile();
        if now >= scan {
            scan = now + rescan;
        }
        again = if is_event { Some(ONCE_MORE) } else { again.map(|wait| 4 * wait).filter(|&wait| wait < rescan) };
        early = wished.into_iter().chain(again.map(|wait: Duration| now + wait)).min();
    }
}

/// Takes what else comes within [`TOGETHER`].
fn gather(inbox: &Receiver<Order>) -> Result<(), ()> {
    let end = Instant::now() + TOGETHER;
    loop {
        match inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Order::Look) => {}
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(()),
            Err(RecvTimeoutError::Timeout) => return Ok(()),
        }
    }
}

impl Eyes {
    fn open(folders: &[PathBuf], orders: Sender<Order>, shelf: &Inner) -> Self {
        let real = Arc::default();
        let (heard, its_real) = (folders.to_owned(), Arc::clone(&real));
        let hear = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| matters(&event, &heard, &its_real)) {
                let _ = orders.send(Order::Look);
            }
        };
        let watcher = notify::recommended_watcher(hear);
        if let Err(e) = &watcher {
            folders.iter().for_each(|folder| shelf.tell(unwatched(folder, e)));
        }
        Self { watcher: watcher.ok(), watched: BTreeMap::new(), real }
    }

    /// Watches the folders as they are now: one may have been removed, made again, or linked elsewhere. The parent of
    /// each tells when that happens, from the moment it is watched: what happened before is seen by looking again.
    fn adjust(&mut self, folders: &[PathBuf], shelf: &Inner) {
        while self.watch_what_is_there(folders, shelf) {}
    }

    /// True when something is watched that was not before.
    fn watch_what_is_there(&mut self, folders: &[PathBuf], shelf: &Inner) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let parents = folders.iter().filter_map(|folder| folder.parent());
        let parents = parents.map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
        let parents = parents.filter_map(|parent| identified(parent, RecursiveMode::NonRecursive));
        let own: Vec<_> = folders.iter().filter_map(|folder| identified(folder, RecursiveMode::Recursive)).collect();
        *self.real.lock().unwrap_or_else(PoisonError::into_inner) = own.iter().map(|(path, _)| path.clone()).collect();
        let wanted: BTreeMap<_, _> = parents.chain(own).collect();
        self.watched.retain(|path, how| {
            let stays = wanted.get(path) == Some(how);
            if !stays {
                // Fails where the folder is gone, and its watch with it.
                let _ = watcher.unwatch(path);
            }
            stays
        });
        let unwatched_yet: Vec<_> = wanted.into_iter().filter(|(path, _)| !self.watched.contains_key(path)).collect();
        let is_new = !unwatched_yet.is_empty();
        for (path, how) in unwatched_yet {
            if let Err(e) = watcher.watch(&path, how.0) {
                shelf.tell(unwatched(&path, &e));
            }
            // Also where that failed, so that it is told once.
            self.watched.insert(path, how);
        }
        is_new
    }
}

/// The folder behind `path`.
fn identified(path: &Path, mode: RecursiveMode) -> Option<(PathBuf, (RecursiveMode, Identity))> {
    let (real, meta) = (path.canonicalize().ok()?, fs::metadata(path).ok()?);
    Some((real, (mode, (meta.dev(), meta.ino(), meta.created().ok()))))
}

/// Everything in the folders but reading, and in their parents only what concerns the folders.
fn matters(event: &notify::Event, folders: &[PathBuf], real: &Mutex<Vec<PathBuf>>) -> bool {
    if event.need_rescan() || event.paths.is_empty() {
        return true;
    }
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    let real = real.lock().unwrap_or_else(PoisonError::into_inner);
    event.paths.iter().any(|path| {
        let is_folder = folders.iter().any(|folder| folder.file_name() == path.file_name());
        is_folder || real.iter().any(|folder| path.starts_with(folder))
    })
}

fn unwatched(folder: &Path, error: &notify::Error) -> Event {
    Event::Unwatched { folder: folder.to_owned(), reason: error.to_string() }
}
