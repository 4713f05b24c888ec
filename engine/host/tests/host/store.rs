//! Bundles in the store.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use isoscan_host::{Bundle, Error, Store, Withdrawal, open_bundle};
use tempfile::TempDir;

use crate::bundles::{bundle, hashed};

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(root.join("store")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

fn store() -> (TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    (root, store)
}

#[test]
fn a_staged_bundle_is_the_same_read_only_and_stays_when_its_source_changes() {
    let (root, store) = store();
    let source = hashed();
    let original = open_bundle(source.path()).unwrap();
    let staged = store.stage(&original).unwrap().bundle;
    fs::write(source.path().join("plugin.so"), "another").unwrap();
    let place = root.path().canonicalize().unwrap().join("store").join(&original.manifest_sha256);
    assert_eq!(staged.dir, place);
    assert_eq!(staged, open_bundle(&place).unwrap());
    let content = |bundle: &Bundle| (bundle.sha256.clone(), bundle.weights_sha256.clone(), bundle.manifest.clone());
    assert_eq!(content(&staged), content(&original));
    for name in ["plugin.so", "plugin.toml", "weights/a.bin"] {
        assert_eq!(fs::metadata(place.join(name)).unwrap().permissions().mode() & 0o777, 0o444, "{name}");
    }
}

#[test]
fn what_changed_since_it_was_opened_is_not_staged_and_leaves_nothing() {
    type Row = (fn(&Path), fn(&Error) -> bool);
    let rows: [Row; 4] = [
        (|dir| fs::write(dir.join("plugin.so"), "librarz").unwrap(), |e| matches!(e, Error::Mismatch { .. })),
        (|dir| fs::remove_file(dir.join("weights/a.bin")).unwrap(), |e| matches!(e, Error::MissingFile { .. })),
        (
            |dir| {
                fs::rename(dir.join("plugin.so"), dir.join("moved")).unwrap();
                std::os::unix::fs::symlink("moved", dir.join("plugin.so")).unwrap();
            },
            |e| matches!(e, Error::NotPlain { .. }),
        ),
        (
            |dir| {
                fs::remove_file(dir.join("plugin.so")).unwrap();
                fs::create_dir(dir.join("plugin.so")).unwrap();
            },
            |e| matches!(e, Error::NotPlain { .. }),
        ),
    ];
    for (change, expected) in rows {
        let (root, store) = store();
        let source = hashed();
        let opened = open_bundle(source.path()).unwrap();
        change(source.path());
        let error = store.stage(&opened).unwrap_err();
        assert!(expected(&error), "{error}");
        assert_eq!(folders(root.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn the_manifest_that_was_read_is_staged_not_the_one_that_replaced_it() {
    let (_root, store) = store();
    let source = hashed();
    let opened = open_bundle(source.path()).unwrap();
    let before = fs::read(source.path().join("plugin.toml")).unwrap();
    fs::write(source.path().join("plugin.toml"), "id = \"evil\"").unwrap();
    let staged = store.stage(&opened).unwrap();
    assert_eq!(fs::read(staged.bundle.dir.join("plugin.toml")).unwrap(), before);
}

#[test]
fn a_bundle_without_hashes_is_not_staged() {
    let (_root, store) = store();
    let source = bundle("");
    assert!(matches!(store.stage(&open_bundle(source.path()).unwrap()), Err(Error::Unhashed { .. })));
}

#[test]
fn a_damaged_bundle_in_the_store_is_replaced() {
    let source = hashed();
    let original = open_bundle(source.path()).unwrap();
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |dir| fs::remove_file(dir.join("plugin.so")).unwrap(),
        |dir| {
            fs::remove_file(dir.join("plugin.so")).unwrap();
            fs::write(dir.join("plugin.so"), "librarz").unwrap();
        },
        |dir| fs::write(dir.join("extra.so"), "").unwrap(),
    ];
    for damage in damages {
        let (root, store) = store();
        drop(store.stage(&original).unwrap());
        damage(&root.path().join("store").join(&original.manifest_sha256));
        let staged = store.stage(&original).unwrap();
        assert_eq!(open_bundle(&staged.bundle.dir).unwrap().sha256, original.sha256);
        swept_to(&store, root.path(), 1);
    }
}

#[test]
fn a_sweep_removes_what_nobody_holds_or_keeps() {
    let (root, store) = store();
    let source = hashed();
    let original = open_bundle(source.path()).unwrap();
    fs::create_dir(root.path().join("store/.partial-1-0")).unwrap();
    let staged = store.stage(&original).unwrap();
    let elsewhere = Store::open(root.path()).unwrap();
    swept_to(&elsewhere, root.path(), 1);
    drop(staged);
    elsewhere.sweep(&[&original.manifest_sha256]).unwrap();
    assert_eq!(folders(root.path()).len(), 1);
    swept_to(&elsewhere, root.path(), 0);
}

/// Sweeps until so many folders are left: a process that another test starts holds every lock of this one for a moment.
fn swept_to(store: &Store, root: &Path, left: usize) {
    let start = Instant::now();
    while folders(root).len() != left {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", folders(root));
        store.sweep(&[]).unwrap();
    }
}

#[test]
fn many_stage_the_same_bundle_while_others_sweep_and_each_gets_it_whole() {
    let (root, _) = store();
    let source = hashed();
    let original = open_bundle(source.path()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(root.path()).unwrap();
                for _ in 0..25 {
                    let staged = store.stage(&original).unwrap();
                    assert_eq!(open_bundle(&staged.bundle.dir).unwrap().sha256, original.sha256);
                    drop(staged);
                    store.sweep(&[]).unwrap();
                }
            });
        }
    });
    swept_to(&Store::open(root.path()).unwrap(), root.path(), 0);
}

#[test]
fn withdrawn_versions_are_noted_until_their_plugin_is_restored() {
    let (root, store) = store();
    let note = |id: &str, hash: &str| Withdrawal {
        id: id.into(),
        version: "1.0.0".into(),
        manifest_sha256: hash.repeat(64),
        reason: "crashed 4 times: \"SIGSEGV\"".into(),
    };
    let notes = [note("gain", "a"), note("blur", "b"), note("gain", "c")];
    notes.iter().rev().for_each(|note| store.withdraw(note).unwrap());
    store.withdraw(&notes[0]).unwrap();
    assert_eq!(Store::open(root.path()).unwrap().withdrawn().unwrap(), notes);
    store.restore("gain").unwrap();
    assert_eq!(store.withdrawn().unwrap(), notes[1..2]);
    store.restore("gain").unwrap();
}
