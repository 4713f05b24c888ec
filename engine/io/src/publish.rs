use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Writes a file so that its name shows either the whole content or nothing of it: the bytes go to a file beside it,
/// are flushed to the disk and then take the name. An existing file is replaced.
///
/// # Errors
/// [`Error::Io`] when any step fails, a full disk included; the unfinished file is removed.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let failed = |source| Error::Io { action: "write", path: path.to_owned(), source };
    publish_file(path, |unfinished| write_synced(unfinished, write).map_err(failed))
}

/// Lets `fill` make a file beside `path` which then takes the name, unless `fill` fails.
pub(crate) fn publish_file(path: &Path, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let unfinished = sibling(path);
    let failed = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let published = fill(&unfinished).and_then(|()| fs::rename(&unfinished, path).map_err(failed));
    if published.is_err() {
        let _ = fs::remove_file(&unfinished);
        return published;
    }
    sync_parent(path);
    Ok(())
}

/// Makes a folder that appears whole under its name or not at all: `fill` writes into a folder beside it, which then
/// takes the name. Missing parents are made.
///
/// # Errors
/// [`Error::OutputExists`] when the folder is there and not empty, [`Error::Io`] when a step fails, and any error of
/// `fill`; the unfinished folder is removed.
pub fn publish_folder<T, E: From<Error>>(dir: &Path, fill: impl FnOnce(&Path) -> Result<T, E>) -> Result<T, E> {
    let failed = |action, source| Error::Io { action, path: dir.to_owned(), source };
    require_vacant(dir)?;
    let unfinished = sibling(dir);
    fs::create_dir_all(&unfinished).map_err(|source| failed("make folder", source))?;
    let published = fill(&unfinished).and_then(|value| {
        match fs::remove_dir(dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("replace empty folder", e).into()),
            _ => {}
        }
        fs::rename(&unfinished, dir).map_err(|source| failed("publish folder", source))?;
        Ok(value)
    });
    if published.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
        return published;
    }
    sync_parent(dir);
    published
}

/// Writes a file and waits until it is on the disk; for files inside a folder that is still being filled.
pub(crate) fn write_synced(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut buffered = BufWriter::with_capacity(1 << 18, file);
    write(&mut buffered)?;
    buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()
}

fn require_vacant(dir: &Path) -> Result<(), Error> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::OutputExists { path: dir.to_owned() }),
        },
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Io { action: "look into output folder", path: dir.to_owned(), source }),
    }
}

/// A name beside `path` that no other writer uses: hidden, with the process and a running number.
fn sibling(path: &Path) -> PathBuf {
    static RUNNING: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = RUNNING.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{number}.part", std::process::id()))
}

/// A rename is on the disk only when its folder is; some file systems refuse to sync a folder, which loses nothing else.
fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(parent).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.1.2.csv");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let full = |out: &mut dyn Write| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        assert!(
            matches!(write_atomically(&path, full), Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull)
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all_and_never_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("made/series");
        let fail = |_: &Path| Err::<(), _>(Error::NotAnImage { path: PathBuf::new() });
        assert!(matches!(publish_folder(&target, fail), Err(Error::NotAnImage { .. })));
        assert!(!target.exists());
        publish_folder(&target, |unfinished| {
            assert!(!target.exists());
            write_synced(&unfinished.join("1.dcm"), |out| out.write_all(b"x")).map_err(|source| Error::Io {
                action: "write",
                path: PathBuf::new(),
                source,
            })
        })
        .unwrap();
        assert_eq!(fs::read(target.join("1.dcm")).unwrap(), b"x");
        assert!(matches!(publish_folder(&target, |_| Ok::<_, Error>(())), Err(Error::OutputExists { .. })));
        assert_eq!(fs::read_dir(dir.path().join("made")).unwrap().count(), 1);
    }
}
