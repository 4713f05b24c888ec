use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    Error, HashCache, Manifest, Options, PackError, Plugin,
    bundle::{UNLISTED, hash_of, plain_files, read_manifest},
    make_golden,
    manifest::MANIFEST,
    open_bundle,
    store::{Partial, write_atomically},
};

/// Turns the folder `dir` into a bundle of the same plugin as the bundle `like`: writes a `plugin.toml` that says what
/// that of `like` says, with the hash of every file in `dir`. The model card comes along; self-tests do not, because
/// `dir` holds what was trained anew. The manifest comes last and whole, so `dir` is no bundle before it is complete.
///
/// # Errors
/// [`Error::Read`] and [`Error::Manifest`] for `like`, [`Error::NotPlain`] for a link or device in `dir`,
/// [`Error::Write`] when card or manifest cannot be written.
pub fn seal_bundle(like: &Path, dir: &Path) -> Result<(), Error> {
    let (mut manifest, _) = read_manifest(&like.join(MANIFEST))?;
    manifest.selftest.clear();
    if let Some(card) = manifest.card.as_ref().filter(|card| !dir.join(card).exists()) {
        let to = dir.join(card);
        let copied = fs::create_dir_all(to.parent().unwrap_or(dir)).and_then(|()| fs::copy(like.join(card), &to));
        copied.map_err(|cause| Error::Write { path: to, cause })?;
    }
    write_manifest(dir, manifest)
}

/// Lets the plugin of the sealed bundle `dir` make golden vectors, which become part of it.
///
/// # Errors
/// [`PackError::Fault`] for a plugin that cannot be opened or translate them, [`PackError::Bundle`] when they cannot be
/// put into the bundle, which then is as it was.
pub fn add_golden(dir: &Path, options: &Options) -> Result<(), PackError> {
    let bundle = open_bundle(dir)?;
    let plugin = Plugin::open(&bundle, options.clone())?;
    let aside = Partial::make(bundle.dir.parent().unwrap_or(Path::new("/")))?;
    let mut manifest = bundle.manifest.clone();
    manifest.selftest = make_golden(&plugin, &aside.path)?;
    manifest.descriptor = Some(plugin.descriptor().clone());
    for golden in &manifest.selftest {
        let (from, to) = (aside.path.join(&golden.file), bundle.dir.join(&golden.file));
        let moved = fs::create_dir_all(to.parent().unwrap_or(dir)).and_then(|()| fs::rename(from, &to));
        moved.map_err(|cause| Error::Write { path: to, cause })?;
    }
    Ok(write_manifest(&bundle.dir, manifest)?)
}

/// Writes `manifest` into `dir` with the hash of every file there.
pub(crate) fn write_manifest(dir: &Path, mut manifest: Manifest) -> Result<(), Error> {
    manifest.files = Some(hashes(dir, &manifest.id)?);
    let path = dir.join(MANIFEST);
    let text = manifest.to_toml().map_err(|message| Error::Manifest { path: path.clone(), message })?;
    write_atomically(&path, text.as_bytes(), 0o644)
}

fn hashes(dir: &Path, plugin: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut cache = HashCache::default();
    let names = plain_files(dir, plugin)?.into_iter().filter(|name| !UNLISTED.contains(&name.as_str()));
    let mut hashes = BTreeMap::new();
    for name in names {
        let hash = format!("sha256:{}", hash_of(&mut cache, dir, plugin, &name)?);
        hashes.insert(name, hash);
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Integrity, open_bundle};

    #[test]
    fn a_sealed_folder_is_a_bundle_until_a_file_changes() {
        let (like, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let manifest = "id = \"a\"\nversion = \"1.0.0\"\nlibrary = \"liba.so\"\nweights = \"weights\"\n";
        fs::write(like.path().join(MANIFEST), manifest).unwrap();
        fs::create_dir(dir.path().join("weights")).unwrap();
        for name in ["liba.so", "weights/w.safetensors"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        seal_bundle(like.path(), dir.path()).unwrap();
        let bundle = open_bundle(dir.path()).unwrap();
        assert_eq!((bundle.id.as_str(), bundle.integrity), ("a", Integrity::Hashed));
        fs::write(dir.path().join("weights/w.safetensors"), "other").unwrap();
        assert!(matches!(open_bundle(dir.path()), Err(Error::Mismatch { .. })));
    }
}
