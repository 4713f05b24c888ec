//! Builds the workspace and lays each plugin's bundle where the program looks for it.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::cargo::{Workspace, cargo, run};
use crate::error::Error;
use crate::libtorch::{self, remove_folder, sha256};
use crate::say;

/// What `plugin.toml` says about a bundle.
struct Manifest {
    text: String,
    id: String,
    version: String,
    library: String,
    weights: Option<String>,
}

/// What to build beside libraries and programs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Nothing.
    Program,
    /// Tests and benches too: with them other features are unified, so a build without them would be made twice.
    Tests,
}

/// Builds every member and stages every bundle; gives the folders of the staged bundles.
///
/// A bundle is `plugin.toml` with the hash of every other file, the library and, if the manifest names one, the folder
/// of weights. Bundles lie in `plugins/` beside the program, those under `tests/` in `test-plugins/`.
pub(crate) fn stage(workspace: &Workspace, what: Build) -> Result<Vec<PathBuf>, Error> {
    libtorch::ensure(&workspace.root)?;
    say("building (release, all members)");
    let mut build = cargo();
    build.args(["build", "--release", "--workspace"]).current_dir(&workspace.root);
    if what == Build::Tests {
        build.arg("--all-targets");
    }
    run(&mut build, "cargo build")?;
    let mut bundles = Vec::new();
    for member in &workspace.members {
        if member.join("plugin.toml").is_file() {
            let shelf = if member.starts_with(workspace.root.join("tests")) { "test-plugins" } else { "plugins" };
            bundles.push(stage_bundle(member, &workspace.release(), &workspace.release().join(shelf))?);
        }
    }
    Ok(bundles)
}

fn stage_bundle(member: &Path, release: &Path, shelf: &Path) -> Result<PathBuf, Error> {
    let manifest = read_manifest(&member.join("plugin.toml"))?;
    let name = format!("{}-{}", manifest.id, manifest.version);
    let bundle = shelf.join(&name);
    let partial = shelf.join(format!(".partial-{name}"));
    remove_folder(&partial)?;

    let mut files = vec![manifest.library.clone()];
    copy(&release.join(&manifest.library), &partial.join(&manifest.library))?;
    if let Some(weights) = &manifest.weights {
        copy_folder(member, weights, &partial, &mut files)?;
    }
    files.sort();
    let text = with_hashes(&manifest.text, &partial, &files)?;
    let plugin_toml = partial.join("plugin.toml");
    fs::write(&plugin_toml, text).map_err(Error::file("write", &plugin_toml))?;

    remove_folder(&bundle)?;
    fs::rename(&partial, &bundle).map_err(Error::file("rename", &partial))?;
    say(&format!("staged {}", bundle.display()));
    Ok(bundle)
}

fn read_manifest(path: &Path) -> Result<Manifest, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let refuse = |fact: String| Error::Manifest { path: path.to_path_buf(), fact };
    let table: Table = text.parse().map_err(|error: toml::de::Error| refuse(error.message().to_owned()))?;
    if table.contains_key("files") {
        return Err(refuse("[files] is written when the bundle is staged".into()));
    }
    let entry = |key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let required = |key: &str| {
        let value = entry(key).ok_or_else(|| refuse(format!("'{key}' is missing or not a string")))?;
        let plain = !value.is_empty() && !value.contains(['/', '\\']) && value != "..";
        if plain { Ok(value) } else { Err(refuse(format!("'{key}' is no plain name: '{value}'"))) }
    };
    Ok(Manifest {
        id: required("id")?,
        version: required("version")?,
        library: required("library")?,
        weights: if table.contains_key("weights") { Some(required("weights")?) } else { None },
        text,
    })
}

/// The manifest followed by its `[files]` table.
fn with_hashes(manifest: &str, bundle: &Path, files: &[String]) -> Result<String, Error> {
    let mut text = format!("{}\n\n[files]\n", manifest.trim_end());
    for file in files {
        text.push_str(&format!("\"{file}\" = \"sha256:{}\"\n", sha256(&bundle.join(file))?));
    }
    Ok(text)
}

/// Copies `member/folder` into the bundle and adds each file's name, written with `/`, to `files`.
fn copy_folder(member: &Path, folder: &str, bundle: &Path, files: &mut Vec<String>) -> Result<(), Error> {
    let source = member.join(folder);
    for entry in fs::read_dir(&source).map_err(Error::file("read", &source))? {
        let entry = entry.map_err(Error::file("read", &source))?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            copy_folder(member, &name, bundle, files)?;
        } else {
            copy(&entry.path(), &bundle.join(&name))?;
            files.push(name);
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    }
    fs::copy(from, to).map(|_| ()).map_err(Error::file("copy", from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "id = \"blur\"\nversion = \"1.2.0\"\nlibrary = \"libblur.so\"\nweights = \"weights\"\n";

    #[test]
    fn a_staged_bundle_holds_every_file_with_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let [member, release, shelf] = ["member", "release", "shelf"].map(|name| folder.path().join(name));
        fs::create_dir_all(member.join("weights/a")).unwrap();
        fs::create_dir_all(&release).unwrap();
        fs::write(member.join("plugin.toml"), MANIFEST).unwrap();
        fs::write(member.join("weights/a/w.safetensors"), "abc").unwrap();
        fs::write(release.join("libblur.so"), "").unwrap();

        for _ in 0..2 {
            let bundle = stage_bundle(&member, &release, &shelf).unwrap();
            assert_eq!(bundle, shelf.join("blur-1.2.0"));
            let expected = format!(
                "{MANIFEST}\n[files]\n\
                 \"libblur.so\" = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
                 \"weights/a/w.safetensors\" = \
                 \"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n"
            );
            assert_eq!(fs::read_to_string(bundle.join("plugin.toml")).unwrap(), expected);
            assert_eq!(fs::read_to_string(bundle.join("weights/a/w.safetensors")).unwrap(), "abc");
        }
        assert_eq!(fs::read_dir(&shelf).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_library_leaves_no_bundle() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugin.toml"), MANIFEST).unwrap();
        let shelf = folder.path().join("shelf");
        let found = stage_bundle(folder.path(), folder.path(), &shelf).unwrap_err();
        assert!(matches!(found, Error::File { action: "copy", .. }));
        assert!(!shelf.join("blur-1.2.0").exists());
    }

    #[test]
    fn manifests_are_refused_with_the_fact() {
        let rows = [
            ("id = \"a\"\nversion = \"1\"", "'library' is missing or not a string"),
            ("id = \"../a\"\nversion = \"1\"\nlibrary = \"l\"", "'id' is no plain name: '../a'"),
            ("id = \"a\"\nversion = \"1\"\nlibrary = \"l\"\n[files]", "[files] is written when the bundle is staged"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.toml");
        for (text, expected) in rows {
            fs::write(&path, text).unwrap();
            let found = read_manifest(&path).err().map(|error| error.to_string());
            assert_eq!(found, Some(format!("{}: {expected}", path.display())));
        }
    }
}
