//! Builds the workspace and lays each plugin's bundle where the program looks for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

use crate::cargo::{Workspace, cargo, run};
use crate::error::Error;
use crate::libtorch::{self, remove_folder};
use crate::say;

/// What `plugin.toml` says about the files of a bundle.
struct Manifest {
    id: String,
    version: String,
    library: String,
    /// Weights and model card, beside `plugin.toml` in the member's folder.
    beside: Vec<String>,
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
/// The program itself packs them (`isoscan plugins pack`), which asks each plugin what it is and makes its golden
/// vectors. Bundles lie in `plugins/` beside the program, those under `tests/` in `test-plugins/`.
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
            bundles.push(stage_bundle(workspace, member, &workspace.release().join(shelf))?);
        }
    }
    Ok(bundles)
}

fn stage_bundle(workspace: &Workspace, member: &Path, shelf: &Path) -> Result<PathBuf, Error> {
    let manifest = read_manifest(&member.join("plugin.toml"))?;
    let source = workspace.release().join(".sources").join(&manifest.id);
    lay_source(&manifest, member, &workspace.release(), &source)?;
    let bundle = shelf.join(format!("{}-{}", manifest.id, manifest.version));
    remove_folder(&bundle)?;
    let mut pack = Command::new(workspace.program());
    pack.args(["plugins", "pack"]).arg(&source).arg("--out").arg(shelf);
    run(&mut pack, "isoscan plugins pack")?;
    Ok(bundle)
}

/// Lays what a bundle is packed from into the folder `source`.
fn lay_source(manifest: &Manifest, member: &Path, release: &Path, source: &Path) -> Result<(), Error> {
    remove_folder(source)?;
    copy(&release.join(&manifest.library), &source.join(&manifest.library))?;
    copy(&member.join("plugin.toml"), &source.join("plugin.toml"))?;
    for name in &manifest.beside {
        copy_tree(&member.join(name), &source.join(name))?;
    }
    Ok(())
}

fn read_manifest(path: &Path) -> Result<Manifest, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let refuse = |fact: String| Error::Manifest { path: path.to_path_buf(), fact };
    let table: Table = text.parse().map_err(|error: toml::de::Error| refuse(error.message().to_owned()))?;
    if table.contains_key("files") {
        return Err(refuse("[files] is written when the bundle is packed".into()));
    }
    let entry = |key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let required = |key: &str| {
        let value = entry(key).ok_or_else(|| refuse(format!("'{key}' is missing or not a string")))?;
        let plain = !value.is_empty() && !value.contains(['/', '\\']) && value != "..";
        if plain { Ok(value) } else { Err(refuse(format!("'{key}' is no plain name: '{value}'"))) }
    };
    let named = ["weights", "card"].into_iter().filter(|key| table.contains_key(*key));
    Ok(Manifest {
        id: required("id")?,
        version: required("version")?,
        library: required("library")?,
        beside: named.map(required).collect::<Result<_, _>>()?,
    })
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    if from.is_file() {
        return copy(from, to);
    }
    for entry in fs::read_dir(from).map_err(Error::file("read", from))? {
        let entry = entry.map_err(Error::file("read", from))?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
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

    const MANIFEST: &str =
        "id = \"blur\"\nversion = \"1.2.0\"\nlibrary = \"libblur.so\"\nweights = \"weights\"\ncard = \"CARD.md\"\n";

    #[test]
    fn a_bundle_is_packed_from_manifest_library_weights_and_card() {
        let folder = tempfile::tempdir().unwrap();
        let [member, release, source] = ["member", "release", "source"].map(|name| folder.path().join(name));
        fs::create_dir_all(member.join("weights/a")).unwrap();
        fs::create_dir_all(&release).unwrap();
        fs::create_dir_all(source.join("left over")).unwrap();
        let written = [("plugin.toml", MANIFEST), ("weights/a/w.safetensors", "abc"), ("CARD.md", "# Blur"), ("x", "")];
        for (name, text) in written {
            fs::write(member.join(name), text).unwrap();
        }
        let manifest = read_manifest(&member.join("plugin.toml")).unwrap();
        let missing = lay_source(&manifest, &member, &release, &source).unwrap_err();
        assert!(matches!(missing, Error::File { action: "copy", .. }));

        fs::write(release.join("libblur.so"), "").unwrap();
        lay_source(&manifest, &member, &release, &source).unwrap();
        assert_eq!(fs::read_to_string(source.join("weights/a/w.safetensors")).unwrap(), "abc");
        let mut names: Vec<_> = fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["CARD.md", "libblur.so", "plugin.toml", "weights"]);
    }

    #[test]
    fn manifests_are_refused_with_the_fact() {
        let rows = [
            ("id = \"a\"\nversion = \"1\"", "'library' is missing or not a string"),
            ("id = \"../a\"\nversion = \"1\"\nlibrary = \"l\"", "'id' is no plain name: '../a'"),
            ("id = \"a\"\nversion = \"1\"\nlibrary = \"l\"\n[files]", "[files] is written when the bundle is packed"),
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
