//! Archives that must not be unpacked.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use isoscan_host::{Party, Party::*, Step, install_bundle};
use tar::{Builder, EntryType, Header};

use super::{BAD, Files, GOOD, KIT, LIBRARY, assert_goes_on, files_in, paths_in, shelf_with};

/// An archive that is being written.
type Tar = Builder<Vec<u8>>;

/// Name, what follows the bundle's files in the archive, and what the refusal must say.
struct Row(&'static str, fn(&mut Tar), &'static str);

const TOP: &str = "org.corpus.bad-1.0.0";

/// Adds an entry of exactly this name, which the writer would not let through.
fn add(tar: &mut Tar, kind: EntryType, name: &str, link: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name.as_bytes());
    gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

fn file(tar: &mut Tar, name: &str) {
    add(tar, EntryType::Regular, name, "", b"slipped");
}

fn link(tar: &mut Tar, kind: EntryType, to: &str) {
    add(tar, kind, &format!("{TOP}/x"), to, b"");
}

const PLAIN: &str = "expected plain files and folders, found";
const INSIDE: &str = "expected names that stay inside, found";
const RELATIVE: &str = "expected relative names, found";

const ROWS: &[Row] = &[
    Row("a file above", |tar| file(tar, "../slipped"), INSIDE),
    Row("a file above, later", |tar| file(tar, "org.corpus.bad-1.0.0/a/../../slipped"), INSIDE),
    Row("a folder above", |tar| add(tar, EntryType::Directory, "org.corpus.bad-1.0.0/../../slipped/", "", b""), INSIDE),
    Row("a file anywhere", |tar| file(tar, "/tmp/slipped"), RELATIVE),
    Row(
        "a long name above",
        |tar| {
            add(tar, EntryType::GNULongName, "././@LongLink", "", b"../slipped\0");
            file(tar, "org.corpus.bad-1.0.0/x");
        },
        INSIDE,
    ),
    Row(
        "a record's name above",
        |tar| {
            add(tar, EntryType::XHeader, "x", "", b"19 path=../slipped\n");
            file(tar, "org.corpus.bad-1.0.0/x");
        },
        INSIDE,
    ),
    Row(
        "a name without end",
        |tar| {
            add(tar, EntryType::GNULongName, "././@LongLink", "", &[b'x'; 100_000]);
            file(tar, "org.corpus.bad-1.0.0/x");
        },
        "expected names of at most 4096 bytes",
    ),
    Row(
        "another size in a record",
        |tar| {
            add(tar, EntryType::XHeader, "x", "", b"14 size=99999\n");
            file(tar, "org.corpus.bad-1.0.0/x");
        },
        "expected files below 8 GiB",
    ),
    Row("a link", |tar| link(tar, EntryType::Symlink, "/etc/passwd"), PLAIN),
    Row(
        "a file through a link",
        |tar| {
            link(tar, EntryType::Symlink, "../..");
            file(tar, "org.corpus.bad-1.0.0/x/slipped");
        },
        PLAIN,
    ),
    Row("a hard link", |tar| link(tar, EntryType::Link, "/etc/passwd"), PLAIN),
    Row("a hard link inside", |tar| link(tar, EntryType::Link, "org.corpus.bad-1.0.0/libcorpus.so"), PLAIN),
    Row("a device", |tar| link(tar, EntryType::Char, ""), PLAIN),
    Row("a disk", |tar| link(tar, EntryType::Block, ""), PLAIN),
    Row("a pipe", |tar| link(tar, EntryType::Fifo, ""), PLAIN),
    Row("a sparse file", |tar| link(tar, EntryType::GNUSparse, ""), PLAIN),
    Row("two folders", |tar| file(tar, "another/x"), "expected one folder, found 'org.corpus.bad-1.0.0' and 'another'"),
    Row("a file beside the folder", |tar| file(tar, "org.corpus.bad-1.0.0"), "expected every file in one folder"),
    Row("a file twice", |tar| file(tar, "org.corpus.bad-1.0.0/libcorpus.so"), "is in it twice"),
    Row("a file in a file", |tar| file(tar, "org.corpus.bad-1.0.0/card.md/x"), "cannot make"),
    Row("a name of two lines", |tar| file(tar, "../a\nb\x1b[2J"), INSIDE),
    Row(
        "a name that is no text",
        |tar| {
            let mut header = Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..2].copy_from_slice(b"\xff\n");
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, &b""[..]).unwrap();
        },
        "expected names in UTF-8",
    ),
    Row("a file not listed", |tar| file(tar, "org.corpus.bad-1.0.0/x"), "x is in its bundle but not in the manifest's"),
    Row(
        "too many entries",
        |tar| (0..10_000).for_each(|_| add(tar, EntryType::Directory, "org.corpus.bad-1.0.0/x/", "", b"")),
        "expected at most 10000 entries",
    ),
];

fn tar_of(files: &Files, more: impl FnOnce(&mut Tar)) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in files {
        add(&mut tar, EntryType::Regular, &format!("{TOP}/{name}"), "", bytes);
    }
    more(&mut tar);
    tar.into_inner().unwrap()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// That the archive is refused and leaves nothing, and the good bundle beside serves.
fn check(name: &str, archive: &[u8], step: Step, party: Party, words: &str) {
    let (dir, shelf) = shelf_with(|bad| fs::remove_dir_all(bad).unwrap());
    let path = dir.path().join("bundle.tar.gz");
    fs::write(&path, archive).unwrap();
    let before = (paths_in(dir.path()), paths_in(&dir.path().join("plugins")));
    let error = install_bundle(&path, &dir.path().join("plugins"), true).expect_err(name);
    let text = error.to_string();
    assert_eq!((error.step(), error.party()), (step, party), "{name}: {text}");
    assert!(!text.contains(char::is_control) && text.len() < 1000, "{name}: {text:?}");
    assert!(text.contains(words), "{name}: expected {words}, found {text}");
    assert_eq!((paths_in(dir.path()), paths_in(&dir.path().join("plugins"))), before, "{name}");
    assert_eq!(files_in(&dir.path().join(format!("plugins/{GOOD}-1.0.0"))), KIT.good, "{name}");
    assert_goes_on(&shelf, name);
}

#[test]
fn the_archive_that_all_others_are_made_of_is_installed() {
    let (dir, shelf) = shelf_with(|bad| fs::remove_dir_all(bad).unwrap());
    let path = dir.path().join("bundle.tar.gz");
    fs::write(&path, compressed(&tar_of(&KIT.bad, |_| ()))).unwrap();
    let bundle = install_bundle(&path, &dir.path().join("plugins"), false).unwrap();
    assert!(bundle.dir.ends_with(format!("{BAD}-1.0.0")));
    assert_eq!(super::translated(&shelf, BAD).unwrap(), [2.0, -2.5]);
}

#[test]
fn an_archive_with_entries_that_no_bundle_has_is_refused_and_leaves_nothing() {
    for Row(name, more, words) in ROWS {
        check(name, &compressed(&tar_of(&KIT.bad, more)), Step::Read, PluginAuthor, words);
    }
    assert!(!Path::new("/tmp/slipped").exists());
}

#[test]
fn an_archive_of_a_bad_bundle_is_refused_and_leaves_nothing() {
    let archive = |change: fn(&mut Files)| {
        let mut files = KIT.bad.clone();
        change(&mut files);
        compressed(&tar_of(&files, |_| ()))
    };
    let whole = archive(|_| ());
    let cut = |part: usize| whole[..whole.len() * part / 10].to_vec();
    let no_archive = "expected a .tar.gz archive";
    let flipped = archive(|files| files.get_mut(LIBRARY).unwrap()[4000] ^= 1);
    let unhashed = archive(|files| {
        let manifest = String::from_utf8(files["plugin.toml"].clone()).unwrap();
        files.insert("plugin.toml".to_owned(), manifest.split_once("[files]").unwrap().0.into());
    });
    let rows: [(&str, Vec<u8>, Step, Party, &str); 10] = [
        ("nothing", Vec::new(), Step::Read, PluginAuthor, no_archive),
        ("text", b"just\ntext".to_vec(), Step::Read, PluginAuthor, no_archive),
        ("no tar", compressed(&[b'x'; 5000]), Step::Read, PluginAuthor, no_archive),
        (
            "an empty tar",
            compressed(&tar_of(&Files::new(), |_| ())),
            Step::Read,
            PluginAuthor,
            "expected a folder, found nothing",
        ),
        ("not compressed", tar_of(&KIT.bad, |_| ()), Step::Read, PluginAuthor, no_archive),
        ("a tenth of it", cut(1), Step::Read, PluginAuthor, ""),
        ("half of it", cut(5), Step::Read, PluginAuthor, ""),
        ("another library", flipped, Step::Read, Operator, "has another content than the manifest says"),
        (
            "no manifest",
            archive(|files| drop(files.remove("plugin.toml"))),
            Step::Read,
            Operator,
            "expected a bundle folder",
        ),
        ("no hashes", unhashed, Step::Stage, PluginAuthor, "no [files] table"),
    ];
    for (name, archive, step, party, words) in rows {
        check(name, &archive, step, party, words);
    }
}
