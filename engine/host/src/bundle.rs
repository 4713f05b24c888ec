use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Error;

pub(crate) const MANIFEST: &str = "plugin.toml";
/// The manifest and its signature cannot list themselves.
pub(crate) const UNLISTED: [&str; 2] = [MANIFEST, "plugin.toml.minisig"];

/// A plugin on disk, read without loading any of its code.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What vouches for the content.
    pub integrity: Integrity,
}

/// What vouches for a bundle's content. A signed level joins these when manifests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Integrity {
    /// Every file has the hash that the manifest lists.
    Hashed,
    /// Nothing: a bare library, or a manifest without a `[files]` table.
    Local,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    id: String,
    version: String,
    library: String,
    weights: Option<String>,
    files: Option<BTreeMap<String, String>>,
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
    let path = path.canonicalize().map_err(|cause| Error::Read { path: path.into(), cause })?;
    if path.join(MANIFEST).is_file() {
        return read_bundle(path);
    }
    if path.is_file() && is_library(&path) {
        return bare_library(path);
    }
    Err(Error::NotABundle { path })
}

/// Every bundle folder and bare library directly in `dir`, by id and version; other entries are not plugins.
pub fn discover(dir: &Path) -> Vec<Result<Bundle, Error>> {
    let entries = match list(dir) {
        Ok(entries) => entries,
        Err(e) => return vec![Err(e)],
    };
    let candidates = entries.into_iter().filter(|path| path.join(MANIFEST).is_file() || is_library(path));
    let (mut found, refused): (Vec<_>, Vec<_>) = candidates.map(|path| open_bundle(&path)).partition(Result::is_ok);
    found.sort_by_cached_key(|bundle| bundle.as_ref().ok().map(|b| (b.id.clone(), version_key(&b.version))));
    found.extend(refused);
    found
}

fn read_bundle(dir: PathBuf) -> Result<Bundle, Error> {
    let manifest_path = dir.join(MANIFEST);
    let text =
        fs::read_to_string(&manifest_path).map_err(|cause| Error::Read { path: manifest_path.clone(), cause })?;
    let manifest: Manifest = toml::from_str(&text)
        .map_err(|e| Error::Manifest { path: manifest_path.clone(), message: first_lines(&e.to_string()) })?;
    let plugin = &manifest.id;
    let library = inside(&dir, plugin, &manifest.library)?;
    let weights = manifest.weights.as_deref().map(|name| inside(&dir, plugin, name)).transpose()?;
    for (name, path) in
        [Some((&manifest.library, &library)), manifest.weights.as_ref().zip(weights.as_ref())].into_iter().flatten()
    {
        if !path.exists() {
            return Err(Error::MissingFile { plugin: plugin.clone(), name: name.clone() });
        }
    }
    let integrity = match &manifest.files {
        Some(files) => verify(&dir, plugin, files)?,
        None => Integrity::Local,
    };
    let sha256 = sha256_file(&library)?;
    let weights_sha256 = weights.as_deref().map(|path| sha256_tree(&dir, plugin, path)).transpose()?;
    let Manifest { id, version, .. } = manifest;
    Ok(Bundle { dir, id, version, library, sha256, weights, weights_sha256, integrity })
}

fn bare_library(library: PathBuf) -> Result<Bundle, Error> {
    let stem = library.file_stem().unwrap_or_default().to_string_lossy();
    let id = stem.strip_prefix("lib").unwrap_or(&stem).to_owned();
    Ok(Bundle {
        dir: library.parent().unwrap_or(Path::new("/")).to_owned(),
        id,
        version: String::new(),
        sha256: sha256_file(&library)?,
        library,
        weights: None,
        weights_sha256: None,
        integrity: Integrity::Local,
    })
}

/// Every file listed, every listed file present, and every content as listed.
fn verify(dir: &Path, plugin: &str, files: &BTreeMap<String, String>) -> Result<Integrity, Error> {
    for name in files.keys() {
        inside(dir, plugin, name)?;
    }
    let present = plain_files(dir, plugin, dir)?;
    if let Some(name) = files.keys().find(|name| !present.contains_key(*name)) {
        return Err(Error::MissingFile { plugin: plugin.to_owned(), name: name.clone() });
    }
    for (name, path) in present.iter().filter(|(name, _)| !UNLISTED.contains(&name.as_str())) {
        let Some(expected) = files.get(name) else {
            return Err(Error::UnlistedFile { plugin: plugin.to_owned(), name: name.clone() });
        };
        let found = format!("sha256:{}", sha256_file(path)?);
        if found != *expected {
            let (plugin, name, expected) = (plugin.to_owned(), name.clone(), expected.clone());
            return Err(Error::Mismatch { plugin, name, expected, found });
        }
    }
    Ok(Integrity::Hashed)
}

/// Files below `folder` by their name inside `dir`, with `/` between the parts.
pub(crate) fn plain_files(dir: &Path, plugin: &str, folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for path in list(folder)? {
        let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
        let kind = fs::symlink_metadata(&path).map_err(|cause| Error::Read { path: path.clone(), cause })?.file_type();
        if kind.is_dir() {
            files.extend(plain_files(dir, plugin, &path)?);
        } else if kind.is_file() {
            files.insert(name, path);
        } else {
            return Err(Error::NotPlain { plugin: plugin.to_owned(), name });
        }
    }
    Ok(files)
}

/// The path of `name`, which must be plain parts only.
fn inside(dir: &Path, plugin: &str, name: &str) -> Result<PathBuf, Error> {
    let plain = !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let escapes = || Error::Escapes { plugin: plugin.to_owned(), name: name.to_owned() };
    plain.then(|| dir.join(name)).ok_or_else(escapes)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>());
    let mut entries = entries.map_err(|cause| Error::Read { path: dir.into(), cause })?;
    entries.sort();
    Ok(entries)
}

fn sha256_tree(dir: &Path, plugin: &str, path: &Path) -> Result<String, Error> {
    if path.is_file() {
        return sha256_file(path);
    }
    let mut hasher = Sha256::new();
    for (name, file) in plain_files(dir, plugin, path)? {
        hasher.update(format!("{}  {name}\n", sha256_file(&file)?));
    }
    Ok(hex(&hasher.finalize()))
}

pub(crate) fn sha256_file(path: &Path) -> Result<String, Error> {
    let hash = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(hex(&hasher.finalize())),
                n => hasher.update(&piece[..n]),
            }
        }
    };
    hash().map_err(|cause| Error::Read { path: path.into(), cause })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "so")
}

/// Orders `1.10.0` behind `1.9.0`.
fn version_key(version: &str) -> (Vec<u64>, String) {
    let numbers = version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect();
    (numbers, version.to_owned())
}

fn first_lines(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
