//! Folders that may hold a bundle, and what was made of them.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use semver::Version;

use crate::{
    Fault, Manifest, Named,
    bundle::{bundle_folders, read_manifest},
    hash::sha256_bytes,
    manifest::MANIFEST,
};

/// Every folder that may hold a bundle.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) by_path: BTreeMap<PathBuf, Place>,
    scans: u64,
}

/// A folder that holds a bundle or did a moment ago.
pub(crate) struct Place {
    /// Changes with the name, size or time of any file in it.
    print: u64,
    /// What its manifest says; `None` where that cannot be read.
    pub(crate) head: Option<Head>,
    /// The scan in which its content was first seen.
    pub(crate) seen: u64,
    /// Which of the watched folders it lies in.
    pub(crate) rank: usize,
    pub(crate) changed: Instant,
    missing_since: Option<Instant>,
    pub(crate) finding: Finding,
}

/// Id, version and content, as a manifest says.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) named: Named,
    pub(crate) version: Version,
}

/// What was made of a content.
pub(crate) enum Finding {
    /// It was not tried yet.
    Unknown,
    /// It may be a copy that still runs.
    Waiting(Box<Waiting>),
    /// It was loaded or refused once.
    Settled,
}

/// A content that cannot serve as it is now.
pub(crate) struct Waiting {
    /// What is wrong with it.
    pub(crate) fault: Fault,
    /// How long it may stay so before that is told.
    pub(crate) patience: Duration,
    /// True when a copy that still runs looks like this.
    pub(crate) is_copy: bool,
    pub(crate) is_told: bool,
    /// It is not read again before, however often it changes.
    until: Instant,
    pub(crate) has_changed: bool,
}

impl Waiting {
    /// Reads again on the next change, but not before `pause` is over.
    pub(crate) fn new(fault: Fault, patience: Duration, is_copy: bool, pause: Duration) -> Self {
        Self { fault, patience, is_copy, is_told: false, until: Instant::now() + pause, has_changed: false }
    }
}

impl Places {
    /// Looks at every subfolder of `folders`; one that is gone is forgotten after `grace`.
    pub(crate) fn scan(&mut self, folders: &[PathBuf], grace: Duration) {
        self.scans += 1;
        let now = Instant::now();
        let mut found = BTreeMap::new();
        for (rank, folder) in folders.iter().enumerate() {
            for path in bundle_folders(folder).unwrap_or_default() {
                found.entry(path).or_insert(rank);
            }
        }
        for (path, &rank) in &found {
            let print = print_of(path);
            match self.by_path.get_mut(path) {
                Some(place) => place.meet(path, print, self.scans, now),
                None => drop(self.by_path.insert(path.clone(), Place::new(path, print, self.scans, rank, now))),
            }
        }
        self.by_path.retain(|path, place| {
            found.contains_key(path) || now.duration_since(*place.missing_since.get_or_insert(now)) < grace
        });
    }

    /// What the manifests say that can be read.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Head> {
        self.by_path.values().filter_map(|place| place.head.as_ref())
    }

    /// When something here changes without any file doing so.
    pub(crate) fn next_look(&self, grace: Duration) -> Option<Instant> {
        self.by_path.values().filter_map(|place| place.next_look(grace)).min()
    }
}

impl Place {
    fn new(path: &Path, print: u64, scan: u64, rank: usize, now: Instant) -> Self {
        let (head, finding) = (Head::read(path), Finding::Unknown);
        Self { print, head, seen: scan, rank, changed: now, missing_since: None, finding }
    }

    fn meet(&mut self, path: &Path, print: u64, scan: u64, now: Instant) {
        self.missing_since = None;
        let has_changed = print != self.print;
        if has_changed {
            let content = |head: &Option<Head>| head.as_ref().map(|head| head.named.manifest_sha256.clone());
            let head = Head::read(path);
            if content(&head) != content(&self.head) {
                self.seen = scan;
            }
            (self.print, self.head, self.changed) = (print, head, now);
        }
        match &mut self.finding {
            Finding::Waiting(waiting) => {
                waiting.has_changed |= has_changed;
                if waiting.has_changed && now >= waiting.until {
                    self.finding = Finding::Unknown;
                }
            }
            finding if has_changed => *finding = Finding::Unknown,
            _ => {}
        }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.missing_since.is_some()
    }

    fn next_look(&self, grace: Duration) -> Option<Instant> {
        if let Some(since) = self.missing_since {
            return Some(since + grace);
        }
        let Finding::Waiting(waiting) = &self.finding else {
            return None;
        };
        let again = waiting.has_changed.then_some(waiting.until);
        let tell = (!waiting.is_told).then(|| self.changed + waiting.patience);
        again.into_iter().chain(tell).min()
    }
}

impl Head {
    fn read(folder: &Path) -> Option<Self> {
        let (Manifest { id, version, .. }, text) = read_manifest(&folder.join(MANIFEST)).ok()?;
        let manifest_sha256 = sha256_bytes(text.as_bytes());
        Some(Self { version: Version::parse(&version).ok()?, named: Named { id, version, manifest_sha256 } })
    }
}

/// A number that changes with the name, size, times or identity of any file below `folder`.
fn print_of(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    if add_print(folder, &mut hasher).is_err() {
        // A file went away meanwhile: the next look finds another number.
        "incomplete".hash(&mut hasher);
    }
    hasher.finish()
}

fn add_print(folder: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let meta = fs::symlink_metadata(&path)?;
        path.hash(hasher);
        (meta.dev(), meta.ino(), meta.mode()).hash(hasher);
        if meta.is_dir() {
            add_print(&path, hasher)?;
        } else {
            (meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()).hash(hasher);
        }
    }
    Ok(())
}
