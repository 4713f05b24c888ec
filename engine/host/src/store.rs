//! The content-addressed store: the only place that libraries are mapped from.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use crate::{
    Bundle, Error, HashCache,
    bundle::open_bundle_cached,
    hash::{copy_hashed, open_plain, sha256},
    manifest::{MANIFEST, SIGNATURE},
    trust::SIGNATURE_BYTES,
};

/// Begin of the names of folders that are not, or no longer, a staged bundle.
const PARTIAL: &str = ".partial-";
/// How often a bundle is staged anew when others remove it at the same time.
const TRIES: usize = 10;

/// Staged bundles by the hash of their manifest, and the versions that were withdrawn.
///
/// Below its root, `store/<manifest sha256>/` is a bundle whose files are read-only, and
/// `withdrawn/<manifest sha256>.toml` a [`Withdrawal`]. Any number of threads and processes may use one root at once.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// What this process has verified in the store.
    verified: Arc<Mutex<HashCache>>,
}

/// A bundle in the store; its folder cannot be removed from there while this lives.
#[derive(Debug)]
pub struct Staged {
    /// The bundle, its paths inside the store.
    pub bundle: Bundle,
    /// Holds the shared lock of the folder.
    _lock: File,
}

/// A version that must not serve until its content changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// Plugin id.
    pub id: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    /// Why, in one sentence.
    pub reason: String,
}

impl Store {
    /// Opens the store in `root`, which is made when missing.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        for folder in ["store", "withdrawn"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|cause| Error::Write { path, cause })?;
        }
        let root = root.canonicalize().map_err(|cause| Error::Write { path: root.into(), cause })?;
        Ok(Self { root, verified: Arc::default() })
    }

    /// Copies `bundle` into the store, unless it is there, checking every hash on the way. What is staged is the
    /// manifest that was read when the bundle was opened, and the files that it lists. The level stays.
    ///
    /// # Errors
    /// [`Error::Unhashed`] for a bundle without hashes; [`Error::Mismatch`], [`Error::MissingFile`],
    /// [`Error::NotPlain`] when the bundle changed since it was opened; [`Error::Read`], [`Error::Write`].
    pub fn stage(&self, bundle: &Bundle) -> Result<Staged, Error> {
        if bundle.manifest.files.is_none() {
            return Err(Error::Unhashed { plugin: bundle.id.clone() });
        }
        let target = self.root.join("store").join(&bundle.manifest_sha256);
        let write = |cause| Error::Write { path: target.clone(), cause };
        for _ in 0..TRIES {
            let Some(lock) = hold(&target).map_err(write)? else {
                if let Some(lock) = self.copy(bundle, &target)? {
                    return Ok(Staged { bundle: moved(bundle, &target), _lock: lock });
                }
                continue;
            };
            if let Ok(staged) = self.verify(bundle, &target) {
                return Ok(Staged { bundle: staged, _lock: lock });
            }
            drop(lock);
            self.discard(&target).map_err(write)?;
        }
        let cause = io::Error::other("it was removed or damaged each time it was staged");
        Err(Error::Write { path: target.clone(), cause })
    }

    /// Removes staged bundles that nobody holds and that are not in `keep` (manifest hashes), and copies that were left
    /// unfinished.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn sweep(&self, keep: &[&str]) -> Result<(), Error> {
        for path in entries(&self.root.join("store"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if keep.contains(&name.as_str()) {
                continue;
            }
            let removed =
                if name.starts_with(PARTIAL) { remove_unheld(&path).map(|_| ()) } else { self.discard_unheld(&path) };
            removed.map_err(|cause| Error::Write { path, cause })?;
        }
        Ok(())
    }

    /// Notes that a version must not serve.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn withdraw(&self, withdrawal: &Withdrawal) -> Result<(), Error> {
        let path = self.withdrawal_path(&withdrawal.manifest_sha256);
        let text = toml::to_string(withdrawal)
            .map_err(|e| Error::Write { path: path.clone(), cause: io::Error::other(e.to_string()) })?;
        write_atomically(&path, text.as_bytes(), 0o644)
    }

    /// Lets every withdrawn version of `id` serve again.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn restore(&self, id: &str) -> Result<(), Error> {
        for withdrawal in self.withdrawn()?.iter().filter(|withdrawal| withdrawal.id == id) {
            let path = self.withdrawal_path(&withdrawal.manifest_sha256);
            match fs::remove_file(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(Error::Write { path, cause }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Every withdrawn version, by the hash of its manifest.
    ///
    /// # Errors
    /// [`Error::Read`], and [`Error::Manifest`] for a note that is none.
    pub fn withdrawn(&self) -> Result<Vec<Withdrawal>, Error> {
        let mut notes = entries(&self.root.join("withdrawn"))?;
        notes.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        let mut withdrawn = Vec::with_capacity(notes.len());
        for path in notes {
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(Error::Read { path, cause }),
            };
            withdrawn.push(toml::from_str(&text).map_err(|e| Error::Manifest { path, message: e.to_string() })?);
        }
        Ok(withdrawn)
    }

    fn withdrawal_path(&self, manifest_sha256: &str) -> PathBuf {
        self.root.join("withdrawn").join(format!("{manifest_sha256}.toml"))
    }

    /// The bundle in the store, every file as its manifest says.
    fn verify(&self, bundle: &Bundle, target: &Path) -> Result<Bundle, Error> {
        let mut cache = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let staged = open_bundle_cached(target, &mut cache)?;
        if staged.manifest_sha256 != bundle.manifest_sha256 {
            let (expected, found) = (bundle.manifest_sha256.clone(), staged.manifest_sha256);
            return Err(Error::Mismatch { plugin: staged.id, name: MANIFEST.to_owned(), expected, found });
        }
        Ok(Bundle { level: bundle.level.clone(), ..staged })
    }

    /// Copies into a folder of its own, and moves it to its place unless another was faster; the lock if it was not.
    fn copy(&self, bundle: &Bundle, target: &Path) -> Result<Option<File>, Error> {
        let mut partial = Partial::make(&self.root.join("store"))?;
        let files = bundle.manifest.files.iter().flatten();
        for (name, expected) in files {
            copy_file(bundle, name, expected, &partial.path.join(name), 0o444)?;
        }
        write_new(&partial.path.join(MANIFEST), bundle.manifest_text.as_bytes(), 0o444)?;
        add_signature(&bundle.dir, &partial.path, 0o444)?;
        partial.settle(target)
    }

    /// Takes a damaged bundle out of its place; workers that have its files mapped keep them.
    fn discard(&self, path: &Path) -> io::Result<()> {
        let away = partial_name(&self.root.join("store"));
        match fs::rename(path, &away) {
            Ok(()) => remove_unheld(&away).map(|_| ()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Removes a staged bundle unless somebody holds it.
    fn discard_unheld(&self, path: &Path) -> io::Result<()> {
        let Some(_lock) = lock_exclusively(path)? else {
            return Ok(());
        };
        let away = partial_name(&self.root.join("store"));
        fs::rename(path, &away)?;
        fs::remove_dir_all(&away)
    }
}

/// A folder that becomes a bundle, or goes away with this.
pub(crate) struct Partial {
    pub(crate) path: PathBuf,
    /// So that nobody takes it for one that was left behind.
    lock: Option<File>,
}

impl Partial {
    /// Makes one in `parent`.
    pub(crate) fn make(parent: &Path) -> Result<Self, Error> {
        loop {
            let path = partial_name(parent);
            match fs::create_dir(&path).and_then(|()| hold(&path)) {
                Ok(Some(folder)) => return Ok(Self { path, lock: Some(folder) }),
                Ok(None) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(Error::Write { path, cause }),
            }
        }
    }

    /// Moves the folder to `target` once it is safe on disk, and gives its lock; where something is already, that stays.
    pub(crate) fn settle(&mut self, target: &Path) -> Result<Option<File>, Error> {
        let moved = sync_folders(&self.path).and_then(|()| fs::rename(&self.path, target));
        match moved {
            Ok(()) => {
                let lock = self.lock.take();
                sync_parent(target).map_err(|cause| Error::Write { path: target.into(), cause })?;
                Ok(lock)
            }
            Err(e) if matches!(e.raw_os_error(), Some(libc::EEXIST | libc::ENOTEMPTY)) => Ok(None),
            Err(cause) => Err(Error::Write { path: target.into(), cause }),
        }
    }

    /// Exchanges the folder with what lies at `target`, which goes away.
    pub(crate) fn exchange(self, target: &Path) -> Result<(), Error> {
        let write = |cause: io::Error| Error::Write { path: target.into(), cause };
        sync_folders(&self.path).map_err(write)?;
        renameat_with(CWD, &self.path, CWD, target, RenameFlags::EXCHANGE).map_err(|e| write(e.into()))?;
        sync_parent(target).map_err(write)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.lock.is_some() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A name in `parent` that no other thread or process takes.
pub(crate) fn partial_name(parent: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    parent.join(format!("{PARTIAL}{}-{number}", std::process::id()))
}

/// The shared lock of the folder that lies at `path` now; `None` when there is none.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let folder = match File::open(path) {
        Ok(folder) => folder,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    folder.lock_shared()?;
    let held = folder.metadata()?;
    let same = fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
    Ok(same.then_some(folder))
}

/// The exclusive lock of a folder; `None` when somebody holds it or it is gone.
fn lock_exclusively(path: &Path) -> io::Result<Option<File>> {
    let folder = match File::open(path) {
        Ok(folder) => folder,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

/// Removes a folder that is no staged bundle, unless somebody still holds it; tells whether it is gone.
fn remove_unheld(path: &Path) -> io::Result<bool> {
    let Some(_lock) = lock_exclusively(path)? else {
        return Ok(false);
    };
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(true),
    }
}

/// `bundle` as it is in `dir`, where every file was found to be as its manifest says.
fn moved(bundle: &Bundle, dir: &Path) -> Bundle {
    let Bundle { manifest, .. } = bundle;
    Bundle {
        dir: dir.to_owned(),
        library: dir.join(&manifest.library),
        weights: manifest.weights.as_ref().map(|name| dir.join(name)),
        ..bundle.clone()
    }
}

/// Copies one file of the bundle, which must have the hash that its manifest lists.
pub(crate) fn copy_file(bundle: &Bundle, name: &str, expected: &str, to: &Path, mode: u32) -> Result<(), Error> {
    let from = bundle.dir.join(name);
    let plugin = || bundle.id.clone();
    let mut source = match open_plain(&from) {
        Ok(file) => file.ok_or_else(|| Error::NotPlain { plugin: plugin(), name: name.to_owned() })?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(Error::MissingFile { plugin: plugin(), name: name.to_owned() });
        }
        Err(cause) => return Err(Error::Read { path: from, cause }),
    };
    let write = |cause| Error::Write { path: to.into(), cause };
    fs::create_dir_all(to.parent().unwrap_or(Path::new("/"))).map_err(write)?;
    let mut target = new_file(to, mode).map_err(write)?;
    let shared = rustix::fs::ioctl_ficlone(&target, &source).is_ok();
    let found = if shared {
        File::open(to).and_then(|mut copy| sha256(&mut copy))
    } else {
        copy_hashed(&mut source, &mut target)
    };
    let found = format!("sha256:{}", found.map_err(write)?);
    if found != expected {
        return Err(Error::Mismatch { plugin: plugin(), name: name.to_owned(), expected: expected.to_owned(), found });
    }
    target.sync_all().map_err(write)
}

/// Puts the signature of the bundle in `from` beside the manifest in `to`: the staged bundle can then be judged like the
/// one it was copied from.
pub(crate) fn add_signature(from: &Path, to: &Path, mode: u32) -> Result<(), Error> {
    let read = open_plain(&from.join(SIGNATURE)).and_then(|file| file.map(read_all).transpose());
    match read {
        Ok(Some(signature)) => write_new(&to.join(SIGNATURE), &signature, mode),
        _ => Ok(()),
    }
}

fn read_all(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(SIGNATURE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file that is not there yet, safe on disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let written = new_file(path, mode).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|cause| Error::Write { path: path.into(), cause })
}

/// Writes a file, or exchanges it, so that readers find the old one or the whole new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let unfinished = partial_name(path.parent().unwrap_or(Path::new("/")));
    match fs::remove_file(&unfinished) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(Error::Write { path: unfinished, cause }),
        _ => {}
    }
    write_new(&unfinished, bytes, mode)?;
    let written = fs::rename(&unfinished, path).and_then(|()| sync_parent(path));
    written.map_err(|cause| {
        let _ = fs::remove_file(&unfinished);
        Error::Write { path: path.into(), cause }
    })
}

pub(crate) fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Makes the entries of a folder and of those in it safe on disk.
fn sync_folders(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(path)?.sync_all()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = fs::read_dir(folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>());
    let mut paths = read.map_err(|cause| Error::Read { path: folder.into(), cause })?;
    paths.sort();
    Ok(paths)
}
