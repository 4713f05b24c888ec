//! SHA-256 of files that others may be changing, opened so that no link, pipe or device is followed.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

const PIECE: usize = 1 << 20;
/// A file changed this recently may change again without showing it in its times, which are as coarse as the clock's
/// ticks, or the seconds of some file systems.
const SETTLED: Duration = Duration::from_secs(2);

/// The hashes of files that were read before, so that a folder that did not change is not read again.
///
/// A hash counts as long as the file's device, inode, length and times of change are the same.
#[derive(Debug, Default, Clone)]
pub struct HashCache {
    /// By bundle folder, then by name inside.
    bundles: BTreeMap<PathBuf, BTreeMap<String, (Stamp, String)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: [i64; 2],
    changed: [i64; 2],
}

impl HashCache {
    /// The hash of the file `name` in `dir`, 64 hexadecimal digits; `None` for what is no plain file.
    pub(crate) fn sha256(&mut self, dir: &Path, name: &str) -> io::Result<Option<String>> {
        let Some(mut file) = open_plain(&dir.join(name))? else {
            return Ok(None);
        };
        let before = Stamp::of(&file.metadata()?);
        let known = self.bundles.get(dir).and_then(|files| files.get(name));
        if let Some((_, hash)) = known.filter(|(stamp, _)| *stamp == before) {
            return Ok(Some(hash.clone()));
        }
        let hash = sha256(&mut file)?;
        let after = file.metadata()?;
        if Stamp::of(&after) == before && settled(&after) {
            self.files_of(dir).insert(name.to_owned(), (before, hash.clone()));
        } else if let Some(files) = self.bundles.get_mut(dir) {
            files.remove(name);
        }
        Ok(Some(hash))
    }

    /// Forgets what `files` of `dir` no longer has.
    pub(crate) fn keep(&mut self, dir: &Path, present: impl Fn(&str) -> bool) {
        if let Some(files) = self.bundles.get_mut(dir) {
            files.retain(|name, _| present(name));
        }
    }

    fn files_of(&mut self, dir: &Path) -> &mut BTreeMap<String, (Stamp, String)> {
        if !self.bundles.contains_key(dir) {
            self.bundles.retain(|dir, _| dir.exists());
        }
        self.bundles.entry(dir.to_owned()).or_default()
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: [metadata.mtime(), metadata.mtime_nsec()],
            changed: [metadata.ctime(), metadata.ctime_nsec()],
        }
    }
}

/// False as well for a file from the future, whose times say nothing.
fn settled(metadata: &Metadata) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let changed = Duration::from_secs(metadata.ctime().max(metadata.mtime()).try_into().unwrap_or(0));
    now.checked_sub(changed).is_some_and(|age| age > SETTLED + Duration::from_secs(1))
}

/// Opens a plain file for reading; `None` when a link, folder, pipe or device lies there.
pub(crate) fn open_plain(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if matches!(e.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => return Ok(None),
        Err(e) => return Err(e),
    };
    let plain = file.metadata()?.is_file();
    Ok(plain.then_some(file))
}

/// Hash of the rest of `file`, 64 hexadecimal digits.
pub(crate) fn sha256(file: &mut File) -> io::Result<String> {
    copy_hashed(file, &mut io::sink())
}

/// Copies the rest of `from` and tells the hash of what was written.
pub(crate) fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(n) => {
                hasher.update(&piece[..n]);
                to.write_all(&piece[..n])?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Hash of bytes in memory, 64 hexadecimal digits.
pub(crate) fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
