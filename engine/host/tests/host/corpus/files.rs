//! Bundles whose files are not those that were signed, and libraries cut short.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
};

use isoscan_host::{Party::*, Step};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{BAD, KIT, LIBRARY, Row, assert_goes_on, assert_refusal, check, seal, shelf_with, translated};

const MISSING: &str = "is missing from its bundle";
const OTHER: &str = "has another content than the manifest says: expected sha256:";
const UNLISTED: &str = "is in its bundle but not in the manifest's [files] table";
const NOT_PLAIN: &str = "must be a plain file or folder";

fn flip(dir: &Path, name: &str) {
    let mut bytes = fs::read(dir.join(name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(dir.join(name), bytes).unwrap();
}

fn remove(dir: &Path, name: &str) {
    fs::remove_file(dir.join(name)).unwrap();
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Moves a file or folder of the bundle out of it and leaves a link.
fn link_out(dir: &Path, name: &str) {
    let outside = dir.parent().unwrap().join(".outside");
    fs::rename(dir.join(name), &outside).unwrap();
    symlink(outside, dir.join(name)).unwrap();
}

const ROWS: &[Row] = &[
    Row("no library", |dir| remove(dir, LIBRARY), Step::Read, Operator, MISSING),
    Row("no weights", |dir| remove(dir, "weights/w.bin"), Step::Read, Operator, MISSING),
    Row("no golden vector", |dir| remove(dir, "golden/slice.safetensors"), Step::Read, Operator, MISSING),
    Row("no manifest", |dir| remove(dir, "plugin.toml"), Step::Read, Operator, "expected version * of it, found org"),
    Row("a bit of the library", |dir| flip(dir, LIBRARY), Step::Read, Operator, OTHER),
    Row("a bit of the weights", |dir| flip(dir, "weights/w.bin"), Step::Read, Operator, OTHER),
    Row("a bit of a golden vector", |dir| flip(dir, "golden/slice.safetensors"), Step::Read, Operator, OTHER),
    Row("a bit of the card", |dir| flip(dir, "card.md"), Step::Read, Operator, OTHER),
    Row("an empty library", |dir| fs::write(dir.join(LIBRARY), "").unwrap(), Step::Read, Operator, OTHER),
    Row(
        "another's library",
        |dir| fs::write(dir.join(LIBRARY), &KIT.good[LIBRARY]).unwrap(),
        Step::Read,
        Operator,
        OTHER,
    ),
    Row("an unlisted file", |dir| fs::write(dir.join("x"), "").unwrap(), Step::Read, PluginAuthor, UNLISTED),
    Row("a hidden file", |dir| fs::write(dir.join("weights/.x"), "").unwrap(), Step::Read, PluginAuthor, UNLISTED),
    Row(
        "a name of two lines",
        |dir| fs::write(dir.join("a\nb\x1b[2J"), "").unwrap(),
        Step::Read,
        PluginAuthor,
        UNLISTED,
    ),
    Row(
        "a name that is no text",
        |dir| fs::write(dir.join(OsStr::from_bytes(b"\xff\n")), "").unwrap(),
        Step::Read,
        PluginAuthor,
        NOT_PLAIN,
    ),
    Row("a linked library", |dir| link_out(dir, LIBRARY), Step::Read, PluginAuthor, NOT_PLAIN),
    Row("a linked folder", |dir| link_out(dir, "weights"), Step::Read, PluginAuthor, NOT_PLAIN),
    Row("a linked manifest", |dir| link_out(dir, "plugin.toml"), Step::Read, PluginAuthor, "expected a plain file"),
    Row("a linked signature", |dir| link_out(dir, "plugin.toml.minisig"), Step::Read, PluginAuthor, NOT_PLAIN),
    Row("a link to nothing", |dir| symlink("/nowhere", dir.join("x")).unwrap(), Step::Read, PluginAuthor, NOT_PLAIN),
    Row("a link in a circle", |dir| symlink(".", dir.join("x")).unwrap(), Step::Read, PluginAuthor, NOT_PLAIN),
    Row("a pipe", |dir| fifo(&dir.join("x")), Step::Read, PluginAuthor, NOT_PLAIN),
    Row("a socket", |dir| drop(UnixListener::bind(dir.join("x")).unwrap()), Step::Read, PluginAuthor, NOT_PLAIN),
    Row(
        "a pipe as library",
        |dir| {
            remove(dir, LIBRARY);
            fifo(&dir.join(LIBRARY));
        },
        Step::Read,
        PluginAuthor,
        NOT_PLAIN,
    ),
    Row(
        "a pipe as manifest",
        |dir| {
            remove(dir, "plugin.toml");
            fifo(&dir.join("plugin.toml"));
        },
        Step::Read,
        PluginAuthor,
        "expected a plain file",
    ),
    Row(
        "a folder as library",
        |dir| {
            remove(dir, LIBRARY);
            fs::create_dir(dir.join(LIBRARY)).unwrap();
        },
        Step::Read,
        Operator,
        MISSING,
    ),
    Row(
        "a folder as manifest",
        |dir| {
            remove(dir, "plugin.toml");
            fs::create_dir(dir.join("plugin.toml")).unwrap();
        },
        Step::Read,
        PluginAuthor,
        "expected a plain file",
    ),
    Row(
        "too many folders",
        |dir| (0..10_001).for_each(|i| fs::create_dir(dir.join(format!("weights/{i}"))).unwrap()),
        Step::Read,
        PluginAuthor,
        "expected at most 10000 files, found more",
    ),
];

#[test]
fn a_bundle_with_other_files_than_were_signed_is_refused() {
    check(ROWS);
}

/// Number of bytes that the linker maps: the rest are debug sections and the table of sections.
fn mapped_bytes(elf: &[u8]) -> usize {
    let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap()) as usize;
    let (table, count) = (word(32), usize::from(elf[56]));
    let headers = (0..count).map(|i| table + 56 * i).filter(|&at| elf[at..at + 4] == [1, 0, 0, 0]);
    headers.map(|at| word(at + 8) + word(at + 32)).max().unwrap()
}

#[test]
fn a_library_cut_short_is_refused_wherever_it_ends() {
    for part in 0..20 {
        let (_dir, shelf) = shelf_with(|dir| {
            let library = &KIT.bad[LIBRARY];
            fs::write(dir.join(LIBRARY), &library[..library.len() * part / 20]).unwrap();
        });
        let name = format!("{} %", 5 * part);
        let fault = translated(&shelf, BAD).expect_err(&name);
        assert_refusal(&fault, &name, &[Step::Read], Operator);
        assert!(fault.to_string().contains(OTHER), "{name}: {fault}");
        assert_goes_on(&shelf, &name);
    }
}

#[test]
fn a_library_signed_when_it_was_cut_short_is_refused_or_lacks_nothing_that_is_mapped() {
    let library = &KIT.bad[LIBRARY];
    let mapped = mapped_bytes(library);
    let mut serving = Vec::new();
    for part in 0..20 {
        let bytes = library.len() * part / 20;
        let (_dir, shelf) = shelf_with(|dir| {
            fs::write(dir.join(LIBRARY), &library[..bytes]).unwrap();
            seal(dir);
        });
        let name = format!("{} %, {bytes} of {mapped} mapped bytes", 5 * part);
        match translated(&shelf, BAD) {
            Ok(voxels) => {
                assert!(bytes >= mapped, "{name}: it serves");
                assert_eq!(voxels, [2.0, -2.5], "{name}");
                serving.push(part);
            }
            Err(fault) => {
                assert!(bytes < mapped, "{name}: {fault}");
                assert_refusal(
                    &fault,
                    &name,
                    &[Step::Open, Step::Entry, Step::Describe, Step::Create, Step::Test],
                    PluginAuthor,
                );
            }
        }
        assert_goes_on(&shelf, &name);
    }
    assert!((1..20).contains(&serving.len()), "{serving:?}");
}
