//! Archives of bundles: `id-version.tar.gz` with one folder `id-version`.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use tar::{Archive, Builder, Entry, EntryType, Header};

use crate::{
    Bundle, Error,
    bundle::plain_files,
    manifest::MOST_FILES,
    store::{new_file, partial_name},
};

/// Most bytes that an archive may unpack to.
const MOST_BYTES: u64 = 16 << 30;
/// Most bytes of a name that stands in an entry of its own.
const LONGEST_NAME: u64 = 1 << 12;

/// Writes `id-version.tar.gz` of a bundle into `folder` and gives its path. The same files give the same bytes.
///
/// # Errors
/// [`Error::Read`], [`Error::NotPlain`], [`Error::Write`].
pub fn archive_bundle(bundle: &Bundle, folder: &Path) -> Result<PathBuf, Error> {
    let top = format!("{}-{}", bundle.id, bundle.version);
    let path = folder.join(format!("{top}.tar.gz"));
    let names = plain_files(&bundle.dir, &bundle.id)?;
    let unfinished = partial_name(folder);
    let written = write_tar(bundle, &top, names.iter(), &unfinished).and_then(|()| fs::rename(&unfinished, &path));
    written.map_err(|cause| {
        let _ = fs::remove_file(&unfinished);
        Error::Write { path: path.clone(), cause }
    })?;
    Ok(path)
}

fn write_tar<'a>(bundle: &Bundle, top: &str, names: impl Iterator<Item = &'a String>, to: &Path) -> io::Result<()> {
    let mut tar = Builder::new(GzBuilder::new().write(new_file(to, 0o644)?, Compression::default()));
    for name in names {
        let file = File::open(bundle.dir.join(name))?;
        let mut header = Header::new_gnu();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, format!("{top}/{name}"), file)?;
    }
    tar.into_inner()?.finish()?.sync_all()
}

/// Unpacks an archive with one folder of plain files into `dir`, without that folder, and makes the files safe on disk.
///
/// # Errors
/// [`Error::Read`]; [`Error::Archive`] for what is no archive, for entries other than plain files and folders, names that
/// are absolute, lead out, stand beside the one folder or come twice; [`Error::TooLarge`]; [`Error::Write`].
pub(crate) fn unpack(archive: &Path, dir: &Path) -> Result<(), Error> {
    let wrong = |message: String| Error::Archive { path: archive.into(), message };
    let broken = |e: io::Error| wrong(format!("expected a .tar.gz archive: {e}"));
    let too_large = |what, most| Error::TooLarge { path: archive.into(), what, most };
    let file = File::open(archive).map_err(|cause| Error::Read { path: archive.into(), cause })?;
    let mut tar = Archive::new(GzDecoder::new(file));
    let (mut top, mut long_name, mut bytes) = (None::<String>, None, 0_u64);
    // Raw entries: the reader would otherwise take names of any length into memory.
    for (at, entry) in tar.entries().map_err(broken)?.raw(true).enumerate() {
        let mut entry = entry.map_err(broken)?;
        bytes = bytes.saturating_add(entry.size());
        if at as u64 >= MOST_FILES {
            return Err(too_large("entries", MOST_FILES));
        }
        if bytes > MOST_BYTES {
            return Err(too_large("bytes", MOST_BYTES));
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XGlobalHeader => continue,
            EntryType::GNULongName | EntryType::XHeader => {
                long_name = name_in(&mut entry, kind).map_err(wrong)?;
                continue;
            }
            _ => {}
        }
        let name = match long_name.take() {
            Some(name) => name,
            None => String::from_utf8(entry.path_bytes().into_owned())
                .map_err(|e| wrong(format!("expected names in UTF-8: {e}")))?,
        };
        if !matches!(kind, EntryType::Regular | EntryType::Directory) {
            return Err(wrong(format!("expected plain files and folders, found '{name}' ({kind:?})")));
        }
        let Some((folder, inside)) = parts_of(&name).map_err(wrong)? else {
            continue;
        };
        if *top.get_or_insert_with(|| folder.to_owned()) != *folder {
            let first = top.unwrap_or_default();
            return Err(wrong(format!("expected one folder, found '{first}' and '{folder}'")));
        }
        match (kind, inside) {
            (EntryType::Directory, Some(inside)) => make_folder(&dir.join(inside)).map_err(wrong)?,
            (EntryType::Directory, None) => {}
            (_, Some(inside)) => write_entry(&mut entry, &dir.join(&inside), &name).map_err(wrong)?,
            (_, None) => return Err(wrong(format!("expected every file in one folder, found '{name}' beside it"))),
        }
    }
    top.map(|_| ()).ok_or_else(|| wrong("expected a folder, found nothing".to_owned()))
}

/// The name of the next entry where it stands in an entry of its own.
fn name_in(entry: &mut Entry<'_, impl Read>, kind: EntryType) -> Result<Option<String>, String> {
    let (size, mut text) = (entry.size(), String::new());
    if size > LONGEST_NAME {
        return Err(format!("expected names of at most {LONGEST_NAME} bytes, found {size}"));
    }
    entry.read_to_string(&mut text).map_err(|e| format!("expected a name: {e}"))?;
    if kind == EntryType::GNULongName {
        return Ok(Some(text.trim_end_matches('\0').to_owned()));
    }
    // Records are `length key=value`; a size there would contradict the header that was read.
    let records = || text.lines().filter_map(|record| record.split_once(' ')?.1.split_once('='));
    if records().any(|(key, _)| key == "size" || key.starts_with("GNU.sparse")) {
        return Err("expected files below 8 GiB that are written whole".to_owned());
    }
    Ok(records().find(|(key, _)| *key == "path").map(|(_, name)| name.to_owned()))
}

/// The top folder of a name and what is inside it; `None` for the folder around it, `.`.
fn parts_of(name: &str) -> Result<Option<(&str, Option<String>)>, String> {
    if name.starts_with('/') {
        return Err(format!("expected relative names, found '{name}'"));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") || name.contains('\0') {
        return Err(format!("expected names that stay inside, found '{name}'"));
    }
    let Some((folder, inside)) = parts.split_first() else {
        return Ok(None);
    };
    Ok(Some((folder, (!inside.is_empty()).then(|| inside.join("/")))))
}

fn make_folder(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|e| format!("cannot make {}: {e}", path.display()))
}

fn write_entry(entry: &mut Entry<'_, impl Read>, path: &Path, name: &str) -> Result<(), String> {
    make_folder(path.parent().unwrap_or(Path::new("/")))?;
    let expected = entry.size();
    let written = new_file(path, 0o644).and_then(|mut file| {
        let written = io::copy(entry, &mut file)?;
        file.sync_all()?;
        Ok(written)
    });
    match written {
        Ok(bytes) if bytes == expected => Ok(()),
        Ok(bytes) => Err(format!("'{name}': expected {expected} bytes, found {bytes}")),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(format!("'{name}' is in it twice")),
        Err(e) => Err(format!("'{name}' cannot be unpacked: {e}")),
    }
}
