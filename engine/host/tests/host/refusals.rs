//! Libraries that must not be taken into service.

use std::{
    fs,
    path::{Path, PathBuf},
};

use isoscan_abi::{MAGIC, abi_hash};
use isoscan_host::{Fault, Options, Party, Plugin, Step, open_bundle};

use crate::plugins::{call, identity, open, options};

fn refusal(library: &Path) -> (Step, Party, String) {
    match Plugin::open(&open_bundle(library).unwrap(), options()).map(|_| ()) {
        Err(Fault::Rejected { step, party, reason, .. }) => (step, party, reason),
        other => panic!("{other:?}"),
    }
}

fn written(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("libspoilt.so");
    fs::write(&path, bytes).unwrap();
    path
}

/// The identity plugin with some bytes of its entry changed.
fn with_entry(edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = fs::read(identity()).unwrap();
    let at = entry_in(&bytes);
    edit(&mut bytes[at..at + 24]);
    bytes
}

/// Where magic, versions and hash of the entry stand in a library's file.
fn entry_in(library: &[u8]) -> usize {
    let head = [&MAGIC[..], &1_u32.to_ne_bytes(), &0_u32.to_ne_bytes(), &abi_hash().to_ne_bytes()].concat();
    library.windows(head.len()).position(|window| window == head).expect("the entry's first bytes")
}

#[test]
fn files_that_are_no_libraries_are_refused_with_the_linkers_words() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(identity()).unwrap();
    let entry = entry_in(&whole);
    let rows: [(&[u8], &str); 5] = [
        (b"", "file too short"),
        (b"just text, and enough of it to be longer than a header of 64 bytes is", "invalid ELF header"),
        (&[0x5a; 100_000], "invalid ELF header"),
        (&whole[..entry], ""),
        (&whole[..entry / 2], ""),
    ];
    for (bytes, words) in rows {
        let (step, _, reason) = refusal(&written(dir.path(), bytes));
        assert_eq!(step, Step::Open, "{reason}");
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_foreign_or_drifted_entry_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    type Row = (fn(&mut [u8]), Party, &'static str);
    let rows: [Row; 5] = [
        (|entry| entry[0] = b'X', Party::PluginAuthor, "expected the magic ISOSCAN, found XSOSCAN\\u{0}"),
        (|entry| entry[8] = 2, Party::EngineOperator, "expected contract version 1, found 2"),
        (|entry| entry[8] = 0, Party::PluginAuthor, "expected contract version 1, found 0"),
        (|entry| entry[12] = 9, Party::EngineOperator, "it needs contract 1.9, the engine has 1.2"),
        (|entry| entry[16] ^= 1, Party::PluginAuthor, "expected layout hash 0x"),
    ];
    for (edit, party, sentence) in rows {
        let (step, who, reason) = refusal(&written(dir.path(), &with_entry(edit)));
        assert_eq!((step, who), (Step::Entry, party), "{reason}");
        assert!(reason.starts_with(sentence), "{reason}");
    }
}

#[test]
fn a_library_without_an_entry_is_refused() {
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libempty.so");
    let cc = std::process::Command::new("cc").args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(&library).status();
    assert!(cc.unwrap().success());
    let (step, _, reason) = refusal(&library);
    assert_eq!((step, reason.as_str()), (Step::Entry, "expected the symbol isoscan_plugin_entry, found none"));
}

#[test]
fn a_constructor_that_aborts_costs_only_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("dies.c");
    fs::write(&source, "#include <stdlib.h>\n__attribute__((constructor)) static void die(void) { abort(); }\n")
        .unwrap();
    let library = dir.path().join("libdies.so");
    let cc = std::process::Command::new("cc").args(["-shared", "-fPIC"]).arg(&source).arg("-o").arg(&library).status();
    assert!(cc.unwrap().success());
    let refused = (Step::Open, Party::PluginAuthor, "its process died while loading: SIGABRT".to_owned());
    assert_eq!(refusal(&library), refused);
}

#[test]
fn a_manifest_that_speaks_of_another_plugin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(identity(), dir.path().join("plugin.so")).unwrap();
    let manifest = |version| format!("id = \"identity\"\nversion = \"{version}\"\nlibrary = \"plugin.so\"\n");
    fs::write(dir.path().join("plugin.toml"), manifest("0.2.0")).unwrap();
    let (step, _, reason) = refusal(dir.path());
    assert_eq!(step, Step::Describe);
    assert_eq!(reason, "expected identity 0.2.0 as plugin.toml says, found identity 0.1.0");
    fs::write(dir.path().join("plugin.toml"), manifest("0.1.0")).unwrap();
    assert_eq!(*call(&open(dir.path(), options()), &[1.0], None, "S01").unwrap().output, [1.0]);
}

#[test]
fn a_program_that_is_no_worker_is_named() {
    let bundle = open_bundle(identity()).unwrap();
    let sentence = |program: &str| {
        Plugin::open(&bundle, Options { worker_program: program.into(), ..options() })
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        sentence("/bin/false"),
        "plugin isoscan_identity: no worker process from /bin/false: it ended with exit status 1 before it said hello"
    );
    assert!(sentence("/nowhere/isoscan").contains("it cannot be started: No such file or directory"));
}

#[test]
fn no_workers_and_no_threads_are_refused() {
    let bundle = open_bundle(identity()).unwrap();
    for wrong in [Options { workers: 0, ..options() }, Options { threads: 0, ..options() }] {
        assert!(matches!(Plugin::open(&bundle, wrong), Err(Fault::Request { .. })));
    }
}
