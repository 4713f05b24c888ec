//! Making a bundle of what a plugin's author has.

use std::{fs, path::Path};

use crate::{
    Bundle, Error, Fault, Golden, Manifest, Options, Plugin,
    bundle::{UNLISTED, plain_files, read_manifest},
    manifest::MANIFEST,
    open_bundle,
    seal::write_manifest,
    store::{Partial, write_atomically},
};

/// Makes golden vectors of a plugin: writes their files into the bundle folder and gives the manifest's lines for them.
pub type MakeGolden<'a> = &'a dyn Fn(&Plugin, &Path) -> Result<Vec<Golden>, Fault>;

/// Why a bundle could not be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The files are not those of a bundle.
    #[error(transparent)]
    Bundle(#[from] Error),
    /// The plugin could not be opened or tried.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes the bundle `id-version` in `out_dir` of a folder that holds a short `plugin.toml` and the plugin's files, and
/// nothing else but hidden files. What the library says of itself and the hash of every file go into the manifest; a
/// bundle of the same id and version in `out_dir` is replaced.
///
/// Self-tests whose file is there stay. When there is none at all, or a file is missing, `make_golden` makes new ones.
///
/// # Errors
/// [`PackError::Bundle`] for files that make no bundle, [`PackError::Fault`] for a library that cannot be opened or
/// describes another plugin than `plugin.toml`.
pub fn pack_bundle(
    source: &Path,
    out_dir: &Path,
    options: &Options,
    make_golden: Option<MakeGolden<'_>>,
) -> Result<Bundle, PackError> {
    let (mut manifest, _) = read_manifest(&source.join(MANIFEST))?;
    (manifest.files, manifest.descriptor) = (None, None);
    let count = manifest.selftest.len();
    manifest.selftest.retain(|golden| source.join(&golden.file).is_file());
    let incomplete = manifest.selftest.is_empty() || manifest.selftest.len() < count;
    fs::create_dir_all(out_dir).map_err(|cause| Error::Write { path: out_dir.into(), cause })?;
    let target = out_dir.join(format!("{}-{}", manifest.id, manifest.version));
    let mut partial = Partial::make(out_dir)?;
    copy_files(source, &partial.path, &target, &manifest)?;
    let plugin = Plugin::open(&open_bundle(&partial.path)?, options.clone())?;
    manifest.descriptor = Some(plugin.descriptor().clone());
    if let Some(make_golden) = make_golden.filter(|_| incomplete) {
        for golden in make_golden(&plugin, &partial.path)? {
            manifest.selftest.retain(|kept| kept.file != golden.file);
            manifest.selftest.push(golden);
        }
    }
    drop(plugin);
    write_manifest(&partial.path, manifest)?;
    open_bundle(&partial.path)?;
    if partial.settle(&target)?.is_none() {
        let (there, _) = read_manifest(&target.join(MANIFEST))?;
        let packed = read_manifest(&partial.path.join(MANIFEST))?.0;
        if there.id != packed.id {
            return Err(Error::Occupied { plugin: packed.id, version: packed.version, path: target }.into());
        }
        partial.exchange(&target)?;
    }
    Ok(open_bundle(&target)?)
}

/// Every file of the source that is not hidden, nor an earlier bundle of it, beside the manifest without hashes.
fn copy_files(source: &Path, to: &Path, target: &Path, manifest: &Manifest) -> Result<(), Error> {
    let canonical = |path: &Path| path.canonicalize().map_err(|cause| Error::Read { path: path.into(), cause });
    let (source, parent) = (canonical(source)?, canonical(target.parent().unwrap_or(Path::new(".")))?);
    let earlier = parent.join(target.file_name().unwrap_or_default());
    let hidden = |name: &str| name.split('/').any(|part| part.starts_with('.'));
    for name in plain_files(&source, &manifest.id)? {
        let (from, path) = (source.join(&name), to.join(&name));
        if hidden(&name) || UNLISTED.contains(&name.as_str()) || from.starts_with(&earlier) {
            continue;
        }
        let copied = fs::create_dir_all(path.parent().unwrap_or(to)).and_then(|()| {
            fs::copy(&from, &path)?;
            fs::File::open(&path)?.sync_all()
        });
        copied.map_err(|cause| Error::Write { path, cause })?;
    }
    let path = to.join(MANIFEST);
    let text = manifest.to_toml().map_err(|message| Error::Manifest { path: path.clone(), message })?;
    write_atomically(&path, text.as_bytes(), 0o644)
}
