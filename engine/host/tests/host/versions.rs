//! Bundles of `version.c`, and shelves that keep them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use isoscan_host::{Event, Fault, Level, Pin, Plugin, Record, Shelf, ShelfOptions, State, Trust, open_bundle};
use safetensors::{Dtype, tensor::TensorView};
use semver::VersionReq;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::plugins::{built_with, call, options};

/// First voxel of the inputs of jobs; golden vectors begin otherwise.
pub(crate) const TRIGGER: f32 = 12345.0;
/// Nothing here takes longer on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// A bundle to make.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    /// N of its version `1.N.0`, which it adds to every voxel; six digits.
    pub(crate) n: u32,
    /// How `version.c` is compiled.
    pub(crate) flags: &'static [&'static str],
    /// What its golden vector expects beyond N.
    pub(crate) offset: f32,
    /// The drift that it declares.
    pub(crate) drift: Option<f64>,
}

pub(crate) fn made(n: u32) -> Made {
    Made { n, flags: &[], offset: 0.0, drift: None }
}

impl Made {
    /// The files of the bundle by name; `plugin.toml` is one of them.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        files.insert("libversion.so".to_owned(), self.library());
        files.insert("golden/a.safetensors".to_owned(), self.golden());
        let manifest = manifest(self.n, self.drift, &files);
        files.insert("plugin.toml".to_owned(), manifest.into_bytes());
        files
    }

    fn library(&self) -> Vec<u8> {
        static BUILT: Mutex<BTreeMap<Vec<&str>, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let mut built = BUILT.lock().unwrap();
        let library = built.entry(self.flags.to_vec()).or_insert_with(|| {
            let name: String = self.flags.concat().chars().filter(char::is_ascii_alphanumeric).collect();
            let name = format!("libversion-{name}.so");
            fs::read(built_with("engine/host/tests/host/version.c", &name, self.flags)).unwrap()
        });
        let mut bytes = library.clone();
        let (old, new) = (b"\"1.100000.0\"", format!("\"1.{:06}.0\"", self.n));
        let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
        bytes
    }

    fn golden(&self) -> Vec<u8> {
        let image: Vec<f32> = (0..8).map(|i| 10.0 * i as f32).collect();
        let expected: Vec<f32> = image.iter().map(|v| v + self.n as f32 + self.offset).collect();
        vector(&[("image", &image), ("expected", &expected)])
    }

    /// Puts the whole bundle into `dir` at once, as `isoscan plugins install` does.
    pub(crate) fn install(&self, dir: &Path) {
        let unfinished = dir.with_file_name(format!(".{}.unfinished", dir.file_name().unwrap().to_string_lossy()));
        write(&unfinished, &self.files());
        fs::rename(unfinished, dir).unwrap();
    }
}

pub(crate) fn manifest(n: u32, drift: Option<f64>, files: &BTreeMap<String, Vec<u8>>) -> String {
    let drift = drift.map_or_else(String::new, |drift| format!("drift = {drift:?}\n"));
    let selftest = format!("[[selftest]]\nfile = \"golden/a.safetensors\"\ntolerance = 0.001\n{drift}");
    let line = |(name, bytes): (&String, &Vec<u8>)| {
        let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{name}\" = \"sha256:{digits}\"\n")
    };
    let hashes: String = files.iter().map(line).collect();
    format!("id = \"version\"\nversion = \"1.{n:06}.0\"\nlibrary = \"libversion.so\"\n{selftest}[files]\n{hashes}")
}

/// A golden vector of one-row tensors.
pub(crate) fn vector(tensors: &[(&str, &[f32])]) -> Vec<u8> {
    let bytes = |voxels: &[f32]| voxels.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let tensors: Vec<_> = tensors.iter().map(|(name, voxels)| (*name, voxels.len(), bytes(voxels))).collect();
    let view = |len: usize, bytes| TensorView::new(Dtype::F32, vec![1, 1, 1, 1, len], bytes).unwrap();
    let views: Vec<_> = tensors.iter().map(|(name, len, bytes)| (*name, view(*len, bytes))).collect();
    safetensors::serialize(views, None).unwrap()
}

pub(crate) fn write(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The plugin of a bundle, opened where it lies.
pub(crate) fn opened(made: Made) -> (TempDir, Plugin) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &made.files());
    let mut bundle = open_bundle(dir.path()).unwrap();
    bundle.level = Level::BuiltIn;
    let plugin = Plugin::open(&bundle, options()).unwrap();
    (dir, plugin)
}

/// A shelf over one folder, and what it told.
pub(crate) struct Ward {
    pub(crate) shelf: Shelf,
    pub(crate) dir: Arc<TempDir>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Ward {
    /// An eager shelf over an empty folder that sees what changes by events.
    pub(crate) fn new() -> Self {
        Self::with(|options| options.eager = true)
    }

    pub(crate) fn with(adjust: impl FnOnce(&mut ShelfOptions)) -> Self {
        let dir = Arc::new(tempfile::tempdir_in(fast()).unwrap());
        fs::create_dir(dir.path().join("plugins")).unwrap();
        Self::over(dir, adjust)
    }

    /// A shelf over the folder `plugins` and the folder `store` in `dir`.
    pub(crate) fn over(dir: Arc<TempDir>, adjust: impl FnOnce(&mut ShelfOptions)) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let trust = Trust { allow_unsigned: true, ..Trust::default() };
        let host = isoscan_host::Options { workers: 3, ..options() };
        let mut options = ShelfOptions::new(vec![dir.path().join("plugins")], dir.path().join("store"), trust, host);
        options.on_event = Arc::new(move |event| heard.lock().unwrap().push(event.clone()));
        // Scans far apart, so that what is seen is seen by events.
        options.rescan = Duration::from_secs(3600);
        adjust(&mut options);
        Self { shelf: Shelf::open(options).unwrap(), dir, events }
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join("plugins").join(name)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn forget_events(&self) {
        self.events.lock().unwrap().clear();
    }

    pub(crate) fn told(&self) -> String {
        self.events().iter().map(|event| format!("{event}\n")).collect()
    }

    /// Waits until an event fulfils `is_it`.
    pub(crate) fn wait(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        let mut found = None;
        wait_until(|| {
            found = self.events.lock().unwrap().iter().find(|event| is_it(event)).cloned();
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("nothing of the kind among\n{}", self.told()))
    }

    /// Waits until version `1.N.0` serves jobs that ask for no version.
    pub(crate) fn wait_for(&self, n: u32) {
        wait_until(|| self.serving() == Some(n));
        assert_eq!(self.serving(), Some(n), "{}", self.told());
    }

    pub(crate) fn serving(&self) -> Option<u32> {
        let pin = self.shelf.pin("version", &VersionReq::STAR).ok()?;
        Some(number(&pin.version().version))
    }

    pub(crate) fn loaded(&self) -> Vec<u32> {
        let loaded = |event: &Event| match event {
            Event::Loaded { version, .. } => Some(number(&version.version)),
            _ => None,
        };
        self.events().iter().filter_map(loaded).collect()
    }

    pub(crate) fn refused(&self) -> Vec<String> {
        let refused = self.events().into_iter().filter(|event| matches!(event, Event::Refused { .. }));
        refused.map(|event| event.to_string()).collect()
    }

    pub(crate) fn record(&self, n: u32) -> Option<Record> {
        self.shelf.records().into_iter().find(|record| number(&record.version.version) == n)
    }

    pub(crate) fn state(&self, n: u32) -> Option<State> {
        self.record(n).map(|record| record.state)
    }
}

/// A folder where what is made durable costs no disk, if libraries can be mapped from there.
pub(crate) fn fast() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let flags = rustix::fs::statvfs(memory).map(|system| system.f_flag);
    let is_usable = flags.is_ok_and(|flags| !flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC));
    if is_usable { memory.to_owned() } else { std::env::temp_dir() }
}

/// N of version `1.N.0`.
pub(crate) fn number(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// What the pinned version adds to a voxel.
pub(crate) fn adds(pin: &Pin, first: f32) -> Result<f32, Fault> {
    call(pin, &[first, 1.0], None, "S01").map(|reply| reply.output[1] - 1.0)
}

pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() && start.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(2));
    }
}
