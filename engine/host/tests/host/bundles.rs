//! Bundles on disk, read without loading code.

use std::{fs, os::unix::fs::symlink, path::Path};

use isoscan_host::{Error, Integrity, Party, discover, open_bundle};
use tempfile::TempDir;

/// `printf library | sha256sum`
const LIBRARY: &str = "b718f1354f7247312eca086d9a024afe5fa717ddea5adeddd6f12bcf945b2e8c";
/// `printf weights | sha256sum`
const WEIGHTS: &str = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

/// A bundle whose manifest ends in `files`.
pub(crate) fn bundle(files: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("weights")).unwrap();
    fs::write(dir.path().join("plugin.so"), "library").unwrap();
    fs::write(dir.path().join("weights/a.bin"), "weights").unwrap();
    let head = "id = \"gain\"\nversion = \"1.0.0\"\nlibrary = \"plugin.so\"\nweights = \"weights\"\n";
    fs::write(dir.path().join("plugin.toml"), format!("{head}{files}")).unwrap();
    dir
}

pub(crate) fn hashed() -> TempDir {
    bundle(&format!("[files]\n\"plugin.so\" = \"sha256:{LIBRARY}\"\n\"weights/a.bin\" = \"sha256:{WEIGHTS}\"\n"))
}

#[test]
fn a_bundle_tells_its_files_and_hashes() {
    for (dir, integrity) in [(hashed(), Integrity::Hashed), (bundle(""), Integrity::Local)] {
        let bundle = open_bundle(dir.path()).unwrap();
        assert_eq!((bundle.id.as_str(), bundle.version.as_str()), ("gain", "1.0.0"));
        assert_eq!((bundle.integrity, bundle.sha256.as_str()), (integrity, LIBRARY));
        assert!(bundle.library.is_absolute() && bundle.library.ends_with("plugin.so"));
        // `sha256sum weights/a.bin | sha256sum`
        let weights = "3e672e29eae102dacd947536211381b2e9d801b6e57c04c065fa5a03fc753e79";
        assert_eq!(bundle.weights_sha256.as_deref(), Some(weights));
    }
}

#[test]
fn every_change_of_a_hashed_bundle_is_seen_and_says_who_must_act() {
    type Row = (fn(&Path), Party, &'static str);
    let rows: [Row; 5] = [
        (
            |dir| fs::write(dir.join("weights/a.bin"), "weightz").unwrap(),
            Party::Operator,
            "plugin gain: weights/a.bin has another content than the manifest says: expected sha256:9a12",
        ),
        (
            |dir| fs::remove_file(dir.join("weights/a.bin")).unwrap(),
            Party::Operator,
            "plugin gain: weights/a.bin is missing from its bundle",
        ),
        (
            |dir| fs::remove_file(dir.join("plugin.so")).unwrap(),
            Party::Operator,
            "plugin gain: plugin.so is missing from its bundle",
        ),
        (
            |dir| fs::write(dir.join("weights/b.bin"), "").unwrap(),
            Party::PluginAuthor,
            "plugin gain: weights/b.bin is in its bundle but not in the manifest's [files] table",
        ),
        (
            |dir| symlink("/etc/hostname", dir.join("weights/b.bin")).unwrap(),
            Party::PluginAuthor,
            "plugin gain: weights/b.bin must be a plain file or folder",
        ),
    ];
    for (change, party, sentence) in rows {
        let dir = hashed();
        change(dir.path());
        let error = open_bundle(dir.path()).unwrap_err();
        assert_eq!(error.party(), party, "{error}");
        assert!(error.to_string().starts_with(sentence), "{error}");
    }
}

#[test]
fn names_that_lead_out_of_the_bundle_are_refused() {
    for name in ["../other.so", "/lib/other.so", "weights/../../other.so", ""] {
        let dir = bundle(&format!("[files]\n\"{name}\" = \"sha256:{LIBRARY}\"\n"));
        let error = open_bundle(dir.path()).unwrap_err();
        assert!(matches!(&error, Error::Escapes { name: found, .. } if found == name), "{error}");
    }
}

#[test]
fn a_manifest_that_cannot_be_read_says_where() {
    for (line, words) in [("lbrary = 1\n", "unknown field `lbrary`"), ("nonsense", "line 5")] {
        let error = open_bundle(bundle(line).path()).unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_no_bundle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "").unwrap();
    for path in [dir.path().to_owned(), dir.path().join("notes.txt")] {
        assert!(matches!(open_bundle(&path), Err(Error::NotABundle { .. })));
    }
    assert!(matches!(open_bundle(&dir.path().join("nothing")), Err(Error::Read { .. })));
}

#[test]
fn plugins_of_a_folder_come_by_id_and_version_and_broken_ones_last() {
    let dir = tempfile::tempdir().unwrap();
    let add = |folder: &str, id: &str, version: &str| {
        fs::create_dir(dir.path().join(folder)).unwrap();
        fs::write(dir.path().join(folder).join("plugin.so"), "library").unwrap();
        let manifest = format!("id = \"{id}\"\nversion = \"{version}\"\nlibrary = \"plugin.so\"\n");
        fs::write(dir.path().join(folder).join("plugin.toml"), manifest).unwrap();
    };
    add("a", "gain", "1.10.0");
    add("b", "gain", "1.9.0");
    add("c", "blur", "2.0.0");
    add("d", "", "= broken\"");
    add(".partial-1", "gain", "3.0.0");
    fs::write(dir.path().join("libsharpen.so"), "library").unwrap();
    fs::write(dir.path().join("README.md"), "").unwrap();
    let found = discover(dir.path());
    let names: Vec<String> = found.iter().flatten().map(|bundle| format!("{} {}", bundle.id, bundle.version)).collect();
    assert_eq!(names, ["blur 2.0.0", "gain 1.9.0", "gain 1.10.0"]);
    assert_eq!(found.len(), 4);
    assert!(matches!(found[3], Err(Error::Manifest { .. })));
    assert!(matches!(discover(&dir.path().join("nothing"))[..], [Err(Error::Read { .. })]));
}
