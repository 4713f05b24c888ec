//! Bad bundles, each made of one good bundle: every one is refused in one line that names the step and who must act, and
//! the engine goes on.

mod archives;
mod files;
mod libraries;
mod manifests;
mod signatures;

use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use isoscan_host::{
    Fault, Manifest, Party, Shelf, ShelfOptions, Step, Trust, TrustedKey, generate_key, make_golden, pack_bundle,
    sign_bundle,
};
use minisign::{SecretKey, SecretKeyBox};
use semver::VersionReq;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    plugins::{built_with, call, options},
    versions::{fast, write},
};

const BAD: &str = "org.corpus.bad";
const GOOD: &str = "org.corpus.good";
const LIBRARY: &str = "libcorpus.so";

type Files = BTreeMap<String, Vec<u8>>;

/// One bad bundle: its name, what makes it of a good one, and what the refusal must say.
struct Row(&'static str, fn(&Path), Step, Party, &'static str);

/// Two good bundles, packed and signed, and the keys.
struct Kit {
    bad: Files,
    good: Files,
    trust: Trust,
    /// May sign both.
    own: SecretKey,
    /// May sign neither.
    narrow: SecretKey,
    /// Nobody trusts it.
    unknown: SecretKey,
}

static KIT: LazyLock<Kit> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    let [own, narrow, unknown] = ["own", "narrow", "unknown"].map(|name| {
        let (secret, public) = (dir.path().join(name), dir.path().join(format!("{name}.pub")));
        let key = generate_key(&secret, &public, None).unwrap();
        let text = SecretKeyBox::from_string(&fs::read_to_string(&secret).unwrap()).unwrap();
        (TrustedKey { name: name.to_owned(), ..key }, text.into_unencrypted_secret_key().unwrap(), secret)
    });
    let ids = |ids: &str| vec![ids.to_owned()];
    let keys = vec![
        TrustedKey { ids: ids("org.corpus.*"), ..own.0.clone() },
        TrustedKey { ids: ids("org.other.*"), ..narrow.0.clone() },
    ];
    let packed = |id: &str, flags: &[&str]| {
        let source = dir.path().join(format!("source-{id}"));
        write(&source, &source_of(id, flags));
        let bundle = pack_bundle(&source, &dir.path().join("packed"), &options(), Some(&make_golden)).unwrap();
        sign_bundle(&bundle.dir, &own.2, None).unwrap();
        files_in(&bundle.dir)
    };
    Kit {
        bad: packed(BAD, &[]),
        good: packed(GOOD, &["-DID=\"org.corpus.good\""]),
        trust: Trust { keys, ..Trust::default() },
        own: own.1,
        narrow: narrow.1,
        unknown: unknown.1,
    }
});

/// What an author packs.
fn source_of(id: &str, flags: &[&str]) -> Files {
    let names = format!("id = \"{id}\"\nversion = \"1.0.0\"\nlibrary = \"{LIBRARY}\"\n");
    let manifest = format!("{names}weights = \"weights\"\ncard = \"card.md\"\n");
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    BTreeMap::from([
        file(LIBRARY, &library(flags)),
        file("weights/w.bin", b"weights"),
        file("card.md", b"# A card"),
        file("plugin.toml", manifest.as_bytes()),
    ])
}

/// `corpus.c` beside this file.
fn library(flags: &[&str]) -> Vec<u8> {
    let digits: String = Sha256::digest(flags.join(" ")).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let flags = [&["-g"], flags].concat();
    fs::read(built_with("engine/host/tests/host/corpus.c", &format!("libcorpus-{digits}.so"), &flags)).unwrap()
}

fn files_in(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in paths_in(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn paths_in(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Signs the manifest in `dir` as it lies there.
fn sign_with(dir: &Path, key: &SecretKey) {
    let manifest = fs::read(dir.join("plugin.toml")).unwrap();
    let signature = minisign::sign(None, key, Cursor::new(manifest), Some("trusted"), Some("untrusted")).unwrap();
    fs::write(dir.join("plugin.toml.minisig"), signature.into_string()).unwrap();
}

/// Gives the manifest in `dir` another content, signed by a key that may.
fn write_manifest(dir: &Path, text: impl AsRef<[u8]>) {
    fs::write(dir.join("plugin.toml"), text).unwrap();
    sign_with(dir, &KIT.own);
}

/// Exchanges a part of the manifest in `dir`, signed by a key that may.
fn edit(dir: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(dir.join("plugin.toml")).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    write_manifest(dir, text.replacen(from, to, 1));
}

/// Lists every file in `dir` as it lies there, signed by a key that may.
fn seal(dir: &Path) {
    let mut manifest = Manifest::parse(&fs::read_to_string(dir.join("plugin.toml")).unwrap()).unwrap();
    let mut files = files_in(dir);
    files.retain(|name, _| !name.starts_with("plugin.toml"));
    let hash = |bytes: &Vec<u8>| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    manifest.files =
        Some(files.iter().map(|(name, bytes)| (name.clone(), format!("sha256:{}", hash(bytes)))).collect());
    write_manifest(dir, manifest.to_toml().unwrap());
}

/// A folder with the good and a spoilt bundle, and a shelf over it as one command has.
fn shelf_with(spoil: impl FnOnce(&Path)) -> (TempDir, Shelf) {
    let dir = tempfile::tempdir_in(fast()).unwrap();
    let plugins = dir.path().join("plugins");
    let bad = plugins.join(format!("{BAD}-1.0.0"));
    write(&plugins.join(format!("{GOOD}-1.0.0")), &KIT.good);
    write(&bad, &KIT.bad);
    spoil(&bad);
    let options = ShelfOptions::new(vec![plugins], dir.path().join("store"), KIT.trust.clone(), options());
    let shelf = Shelf::open(options).unwrap();
    shelf.reconcile();
    (dir, shelf)
}

/// What the plugin makes of two voxels.
fn translated(shelf: &Shelf, id: &str) -> Result<Vec<f32>, Fault> {
    let pin = shelf.pin(id, &VersionReq::STAR)?;
    call(&pin, &[1.0, -3.5], None, "S01").map(|reply| reply.output.to_vec())
}

/// That the good bundle serves.
fn assert_goes_on(shelf: &Shelf, name: &str) {
    assert_eq!(translated(shelf, GOOD).unwrap(), [2.0, -2.5], "{name}");
}

/// That a refusal is one line with its step and who must act.
fn assert_refusal(fault: &Fault, name: &str, steps: &[Step], party: Party) {
    let text = fault.to_string();
    let Fault::Rejected { step, party: found, .. } = fault else { panic!("{name}: {text}") };
    assert!(steps.contains(step) && *found == party, "{name}: {step:?} {found:?} {text}");
    assert!(!text.contains(char::is_control), "{name}: {text:?}");
    assert!(text.len() < 1000, "{name}: {} bytes: {text}", text.len());
    assert!(text.starts_with(&format!("plugin {BAD}")), "{name}: {text}");
    assert!(text.contains(&format!(": refused when {step}: ")), "{name}: {text}");
    assert!(text.ends_with(&format!("; {party} must act")), "{name}: {text}");
}

fn check(rows: &[Row]) {
    for Row(name, spoil, step, party, words) in rows {
        let (_dir, shelf) = shelf_with(spoil);
        let fault = translated(&shelf, BAD).expect_err(name);
        assert_refusal(&fault, name, &[*step], *party);
        assert!(fault.to_string().contains(words), "{name}: expected {words}, found {fault}");
        assert_goes_on(&shelf, name);
    }
}

#[test]
fn the_bundle_that_all_others_are_made_of_serves() {
    let (_dir, shelf) = shelf_with(|_| ());
    assert_eq!(translated(&shelf, BAD).unwrap(), [2.0, -2.5]);
    assert_goes_on(&shelf, "good");
    let (_dir, shelf) = shelf_with(seal);
    assert_eq!(translated(&shelf, BAD).unwrap(), [2.0, -2.5]);
}
