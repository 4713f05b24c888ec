use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use isoscan_abi::{ABI_MAJOR, ABI_MINOR};

use crate::{
    Abi, Error, HashCache, Level, Manifest,
    hash::{open_plain, sha256_bytes},
    manifest::{MANIFEST, MANIFEST_BYTES, MOST_FILES, SIGNATURE},
};

/// The manifest and its signature cannot list themselves.
pub(crate) const UNLISTED: [&str; 2] = [MANIFEST, SIGNATURE];

/// A plugin on disk, read without loading any of its code.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Absolute path of the plugin's folder.
    pub dir: PathBuf,
    /// Plugin id; for a bare library its file name without `lib` and ending, until the library has been asked.
    pub id: String,
    /// Plugin version; empty for a bare library, until the library has been asked.
    pub version: String,
    /// The shared library.
    pub library: PathBuf,
    /// SHA-256 of the library, 64 hexadecimal digits.
    pub sha256: String,
    /// Folder or file of the weights.
    pub weights: Option<PathBuf>,
    /// SHA-256 of the weights, 64 hexadecimal digits: of the file, or for a folder of the text that `sha256sum` prints
    /// for its files in the order of their names inside the bundle.
    pub weights_sha256: Option<String>,
    /// What `plugin.toml` says; for a bare library its defaults.
    pub manifest: Manifest,
    /// SHA-256 of `plugin.toml`, 64 hexadecimal digits; for a bare library that of the library.
    pub manifest_sha256: String,
    /// The text of `plugin.toml` as it was read; what was judged is what is staged.
    pub(crate) manifest_text: String,
    /// What vouches for the content.
    pub integrity: Integrity,
    /// Who vouches for the bundle; [`Level::Local`] until [`Trust::judge`](crate::Trust::judge) was asked.
    pub level: Level,
}

/// What vouches for a bundle's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Integrity {
    /// Every file has the hash that the manifest lists.
    Hashed,
    /// Nothing: a bare library, or a manifest without a `[files]` table.
    Local,
}

impl Bundle {
    /// True for a library without a manifest.
    pub(crate) fn is_bare(&self) -> bool {
        self.manifest.version.is_empty()
    }
}

/// Reads a bundle folder or a bare library file and verifies its hashes.
///
/// ```
/// use isoscan_host::{Error, Party, open_bundle};
///
/// let refused = open_bundle(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err();
/// assert!(matches!(refused, Error::NotABundle { .. }));
/// assert_eq!(refused.party(), Party::Operator);
/// ```
///
/// # Errors
/// Every variant of [`Error`]; [`Error::party`] says who must act.
pub fn open_bundle(path: &Path) -> Result<Bundle, Error> {
    open_bundle_cached(path, &mut HashCache::default())
}

/// As [`open_bundle`], but does not read again what `cache` knows.
///
/// # Errors
/// As [`open_bundle`].
pub fn open_bundle_cached(path: &Path, cache: &mut HashCache) -> Result<Bundle, Error> {
    let path = path.canonicalize().map_err(|cause| Error::Read { path: path.into(), cause })?;
    if path.join(MANIFEST).symlink_metadata().is_ok() {
        return read_bundle(path, cache);
    }
    if path.is_file() && is_library(&path) {
        return bare_library(path);
    }
    Err(Error::NotABundle { path })
}

/// Everything that is wrong with the files of the bundle in `path`, not only what [`open_bundle`] meets first; nothing
/// for a bundle that can be opened.
pub fn problems(path: &Path) -> Vec<Error> {
    let opened = open_bundle(path);
    let Err(met) = opened else {
        return Vec::new();
    };
    let listed = || -> Result<Vec<Error>, Error> {
        let dir = path.canonicalize().map_err(|cause| Error::Read { path: path.into(), cause })?;
        let (manifest, _) = read_manifest(&dir.join(MANIFEST))?;
        let present = plain_files(&dir, &manifest.id)?;
        let mut errors = incompletions(&dir, &manifest, &present);
        let mut cache = HashCache::default();
        errors.extend(differences(&manifest, |name| hash_of(&mut cache, &dir, &manifest.id, name)));
        // A missing file is told once.
        errors.retain(|e| !matches!(e, Error::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound));
        Ok(errors)
    };
    match listed() {
        Ok(errors) if !errors.is_empty() => errors,
        _ => vec![met],
    }
}

/// Every bundle folder directly in `dir`, by id and version, refused ones last; what has no `plugin.toml` or a name
/// that begins with a dot is not looked at.
pub fn discover(dir: &Path) -> Vec<Result<Bundle, Error>> {
    let folders = match bundle_folders(dir) {
        Ok(folders) => folders,
        Err(e) => return vec![Err(e)],
    };
    let (mut found, refused): (Vec<_>, Vec<_>) =
        folders.into_iter().map(|path| open_bundle(&path)).partition(Result::is_ok);
    found.sort_by_cached_key(|bundle| bundle.as_ref().ok().map(|b| (b.id.clone(), version_key(&b.version))));
    found.extend(refused);
    found
}

/// The folders directly in `dir` that have a `plugin.toml`, by name; names that begin with a dot are left out.
pub(crate) fn bundle_folders(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut folders = list(dir)?;
    folders.retain(|path| !hidden(path) && path.join(MANIFEST).symlink_metadata().is_ok());
    Ok(folders)
}

fn read_bundle(dir: PathBuf, cache: &mut HashCache) -> Result<Bundle, Error> {
    let (manifest, manifest_text) = read_manifest(&dir.join(MANIFEST))?;
    let plugin = &manifest.id;
    let Abi { major, needs } = manifest.abi;
    if major != ABI_MAJOR || needs > ABI_MINOR {
        let (plugin, needs, has) = (plugin.clone(), [major, needs], [ABI_MAJOR, ABI_MINOR]);
        return Err(Error::Contract { plugin, needs, has });
    }
    for name in manifest.named_files().chain(manifest.files.iter().flatten().map(|(name, _)| name.as_str())) {
        inside(plugin, name)?;
    }
    let present = plain_files(&dir, plugin)?;
    cache.keep(&dir, |name| present.contains(name));
    let mut hashed = |name: &str| hash_of(cache, &dir, plugin, name);
    first(incompletions(&dir, &manifest, &present))?;
    first(differences(&manifest, &mut hashed))?;
    let integrity = if manifest.files.is_some() { Integrity::Hashed } else { Integrity::Local };
    let sha256 = hashed(&manifest.library)?;
    let weights_sha256 = match manifest.weights.as_deref() {
        Some(file) if present.contains(file) => Some(hashed(file)?),
        Some(folder) => {
            let lines = below(&present, folder).map(|name| Ok(format!("{}  {name}\n", hashed(name)?)));
            Some(sha256_bytes(lines.collect::<Result<String, Error>>()?.as_bytes()))
        }
        None => None,
    };
    Ok(Bundle {
        id: manifest.id.clone(),
        version: manifest.version.clone(),
        library: dir.join(&manifest.library),
        sha256,
        weights: manifest.weights.as_deref().map(|name| dir.join(name)),
        weights_sha256,
        manifest_sha256: sha256_bytes(manifest_text.as_bytes()),
        manifest_text,
        manifest,
        integrity,
        level: Level::Local,
        dir,
    })
}

pub(crate) fn hash_of(cache: &mut HashCache, dir: &Path, plugin: &str, name: &str) -> Result<String, Error> {
    let hash = cache.sha256(dir, name).map_err(|cause| Error::Read { path: dir.join(name), cause })?;
    hash.ok_or_else(|| Error::NotPlain { plugin: plugin.to_owned(), name: name.to_owned() })
}

/// A manifest and its text, which is read once and at most 1 MiB of it.
pub(crate) fn read_manifest(path: &Path) -> Result<(Manifest, String), Error> {
    let wrong = |message: String| Error::Manifest { path: path.into(), message };
    let not_plain = || wrong("expected a plain file, found a link or device".to_owned());
    let unread = |cause| Error::Read { path: path.into(), cause };
    let file = open_plain(path).map_err(unread)?.ok_or_else(not_plain)?;
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > MANIFEST_BYTES {
        return Err(Error::TooLarge { path: path.into(), what: "bytes", most: MANIFEST_BYTES });
    }
    let text = String::from_utf8(bytes).map_err(|e| wrong(format!("expected UTF-8: {e}")))?;
    let manifest = Manifest::parse(&text).map_err(wrong)?;
    Ok((manifest, text))
}

fn bare_library(library: PathBuf) -> Result<Bundle, Error> {
    let stem = library.file_stem().unwrap_or_default().to_string_lossy();
    let id = stem.strip_prefix("lib").unwrap_or(&stem).to_owned();
    let dir = library.parent().unwrap_or(Path::new("/")).to_owned();
    let read = |cause| Error::Read { path: library.clone(), cause };
    let sha256 = File::open(&library).and_then(|mut file| crate::hash::sha256(&mut file)).map_err(read)?;
    Ok(Bundle {
        dir,
        version: String::new(),
        manifest: Manifest::bare(&id, &library),
        id,
        manifest_sha256: sha256.clone(),
        manifest_text: String::new(),
        sha256,
        library,
        weights: None,
        weights_sha256: None,
        integrity: Integrity::Local,
        level: Level::Local,
    })
}

/// The file `name`, or the files in the folder of that name.
fn below<'a>(present: &'a BTreeSet<String>, name: &str) -> impl Iterator<Item = &'a String> {
    let (name, folder) = (name.to_owned(), format!("{name}/"));
    present.iter().filter(move |file| **file == name || file.starts_with(&folder))
}

/// Every file that the manifest names and is not there, and with a `[files]` table every file there that is not listed.
fn incompletions(dir: &Path, manifest: &Manifest, present: &BTreeSet<String>) -> Vec<Error> {
    let plugin = || manifest.id.clone();
    let missing = |name: &str| Error::MissingFile { plugin: plugin(), name: name.to_owned() };
    let there = |name: &str| below(present, name).next().is_some() || dir.join(name).is_dir();
    let Some(files) = &manifest.files else {
        return manifest.named_files().filter(|name| !there(name)).map(missing).collect();
    };
    let named = manifest.named_files().filter(|name| !files.contains_key(*name) && !there(name));
    let absent = files.keys().filter(|name| !present.contains(*name)).map(String::as_str).chain(named).map(missing);
    let listed = |name: &&String| UNLISTED.contains(&name.as_str()) || files.contains_key(*name);
    let unlisted = present.iter().filter(|name| !listed(name));
    let unlisted = unlisted.map(|name| Error::UnlistedFile { plugin: plugin(), name: name.clone() });
    absent.chain(unlisted).collect()
}

/// Every file whose content is not as listed.
fn differences(manifest: &Manifest, mut hashed: impl FnMut(&str) -> Result<String, Error>) -> Vec<Error> {
    let mut errors = Vec::new();
    for (name, expected) in manifest.files.iter().flatten() {
        match hashed(name).map(|hash| format!("sha256:{hash}")) {
            Ok(found) if found == *expected => {}
            Ok(found) => {
                let (plugin, name, expected) = (manifest.id.clone(), name.clone(), expected.clone());
                errors.push(Error::Mismatch { plugin, name, expected, found });
            }
            Err(e) => errors.push(e),
        }
    }
    errors
}

fn first(errors: Vec<Error>) -> Result<(), Error> {
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// Names of the files below `dir`, with `/` between the parts.
///
/// # Errors
/// [`Error::NotPlain`] for a link, device or the like, [`Error::TooLarge`] for more files and folders than a bundle has.
pub(crate) fn plain_files(dir: &Path, plugin: &str) -> Result<BTreeSet<String>, Error> {
    let mut files = BTreeSet::new();
    let mut folders = vec![String::new()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for path in list(&dir.join(&folder))? {
            seen += 1;
            if seen > MOST_FILES {
                return Err(Error::TooLarge { path: dir.into(), what: "files", most: MOST_FILES });
            }
            let file = path.file_name().unwrap_or_default();
            let name = format!("{folder}{}", file.to_string_lossy());
            let kind = fs::symlink_metadata(&path).map_err(|cause| Error::Read { path: path.clone(), cause })?;
            if kind.is_dir() {
                folders.push(format!("{name}/"));
            } else if !kind.is_file() || file.to_str().is_none() {
                return Err(Error::NotPlain { plugin: plugin.to_owned(), name });
            } else {
                files.insert(name);
            }
        }
    }
    Ok(files)
}

/// A name must be plain parts only, written in the one way that the folder's listing has.
fn inside(plugin: &str, name: &str) -> Result<(), Error> {
    let plain = name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains('\0');
    let escapes = || Error::Escapes { plugin: plugin.to_owned(), name: name.to_owned() };
    plain.then_some(()).ok_or_else(escapes)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>());
    let mut entries = entries.map_err(|cause| Error::Read { path: dir.into(), cause })?;
    entries.sort();
    Ok(entries)
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "so")
}

/// Orders `1.10.0` behind `1.9.0`.
fn version_key(version: &str) -> (Vec<u64>, String) {
    let numbers = version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect();
    (numbers, version.to_owned())
}
