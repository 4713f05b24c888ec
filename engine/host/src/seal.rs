use std::{fs, path::Path};

use crate::{
    Error,
    bundle::{MANIFEST, UNLISTED, plain_files, sha256_file},
};

/// Turns the folder `dir` into a bundle of the same plugin as the bundle `like`: writes a `plugin.toml` with the id,
/// version and library of `like` and the hash of every file in `dir`. The manifest comes last and whole, so `dir` is no
/// bundle before it is complete.
///
/// # Errors
/// [`Error::Read`] and [`Error::Manifest`] for `like`, [`Error::NotPlain`] for a link or device in `dir`,
/// [`Error::Write`] when the manifest cannot be written.
pub fn seal_bundle(like: &Path, dir: &Path) -> Result<(), Error> {
    let source = like.join(MANIFEST);
    let text = fs::read_to_string(&source).map_err(|cause| Error::Read { path: source.clone(), cause })?;
    let wrong = |message: String| Error::Manifest { path: source.clone(), message };
    let mut manifest: toml::Table = text.parse().map_err(|e: toml::de::Error| wrong(e.message().to_owned()))?;
    let id = manifest.get("id").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let mut files = toml::Table::new();
    for (name, path) in plain_files(dir, &id, dir)? {
        if !UNLISTED.contains(&name.as_str()) {
            files.insert(name, format!("sha256:{}", sha256_file(&path)?).into());
        }
    }
    manifest.insert("files".to_owned(), files.into());
    let text = toml::to_string(&manifest).map_err(|e| wrong(e.to_string()))?;
    let unfinished = dir.join("plugin.toml.unfinished");
    let path = dir.join(MANIFEST);
    let written = fs::write(&unfinished, text).and_then(|()| fs::File::open(&unfinished)?.sync_all());
    written.and_then(|()| fs::rename(&unfinished, &path)).map_err(|cause| Error::Write { path, cause })
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
