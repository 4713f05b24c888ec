//! Bringing a bundle into a folder of plugins.

use std::{fs, path::Path};

use crate::{
    Bundle, Error,
    archive::unpack,
    manifest::{MANIFEST, SIGNATURE},
    open_bundle,
    store::{Partial, add_signature, copy_file, write_new},
};

/// Brings the bundle in the folder or `.tar.gz` archive `source` into the folder `plugins` as `id-version`, and gives it
/// as it lies there. It appears whole or not at all. The same content is left as it is.
///
/// # Errors
/// Those of [`open_bundle`] and of an archive; [`Error::Unhashed`] for a bundle without hashes; [`Error::Occupied`] where
/// another content of the same id and version lies, unless `replace`; [`Error::Write`].
pub fn install_bundle(source: &Path, plugins: &Path, replace: bool) -> Result<Bundle, Error> {
    fs::create_dir_all(plugins).map_err(|cause| Error::Write { path: plugins.into(), cause })?;
    let mut partial = Partial::make(plugins)?;
    if source.is_dir() {
        copy(&open_bundle(source)?, &partial.path)?;
    } else {
        unpack(source, &partial.path)?;
    }
    let bundle = open_bundle(&partial.path)?;
    if bundle.manifest.files.is_none() {
        return Err(Error::Unhashed { plugin: bundle.id });
    }
    let target = plugins.join(format!("{}-{}", bundle.id, bundle.version));
    if partial.settle(&target)?.is_some() {
        return open_bundle(&target);
    }
    let content = |dir: &Path, name: &str| fs::read(dir.join(name)).ok();
    let same = |name: &str| content(&target, name) == content(&partial.path, name);
    if same(MANIFEST)
        && same(SIGNATURE)
        && let Ok(there) = open_bundle(&target)
    {
        return Ok(there);
    }
    if !replace && !same(MANIFEST) {
        let Bundle { id: plugin, version, .. } = bundle;
        return Err(Error::Occupied { plugin, version, path: target });
    }
    partial.exchange(&target)?;
    open_bundle(&target)
}

/// Copies what the manifest lists, the manifest and the signature.
pub(crate) fn copy(bundle: &Bundle, to: &Path) -> Result<(), Error> {
    let Some(files) = &bundle.manifest.files else {
        return Err(Error::Unhashed { plugin: bundle.id.clone() });
    };
    for (name, expected) in files {
        copy_file(bundle, name, expected, &to.join(name), 0o644)?;
    }
    write_new(&to.join(MANIFEST), bundle.manifest_text.as_bytes(), 0o644)?;
    add_signature(&bundle.dir, to, 0o644)
}
