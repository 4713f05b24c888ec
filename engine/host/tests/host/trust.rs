//! Keys and signatures: from an author's folder to a plugin that serves, and to and from the program `minisign`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use isoscan_host::{
    Bundle, Error, Level, PackError, Party, Plugin, Store, Trust, TrustedKey, add_key, generate_key, make_golden,
    open_bundle, pack_bundle, read_keys, read_public_key, remove_key, sign_bundle,
};
use tempfile::TempDir;

use crate::plugins::{built_with, call, options};

const ID: &str = "org.vendor.adds";
/// Begin of the first line of a signature.
const COMMENT: &str = "untrusted comment: ";

/// A packed bundle and a key that signed it.
struct Signed {
    dir: TempDir,
    bundle: Bundle,
    key: TrustedKey,
}

impl Signed {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let bundle = packed(dir.path()).unwrap();
        let key = key_in(dir.path(), "vendor");
        sign_bundle(&bundle.dir, &dir.path().join("vendor.key"), None).unwrap();
        Self { dir, bundle, key }
    }

    fn judged(&self, ids: &[&str]) -> Result<Level, Error> {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Trust { keys: vec![TrustedKey { ids, ..self.key.clone() }], ..Trust::default() }
            .judge(&open_bundle(&self.bundle.dir)?)
    }
}

fn packed(dir: &Path) -> Result<Bundle, PackError> {
    let library = built_with("engine/host/tests/host/corpus.c", "libadds.so", &["-DID=\"org.vendor.adds\""]);
    let source = dir.join("source");
    fs::create_dir_all(source.join("weights")).unwrap();
    fs::copy(library, source.join("libadds.so")).unwrap();
    fs::write(source.join("weights/w.bin"), "weights").unwrap();
    let names = format!("id = \"{ID}\"\nversion = \"1.0.0\"\n");
    fs::write(source.join("plugin.toml"), names + "library = \"libadds.so\"\nweights = \"weights\"\n").unwrap();
    pack_bundle(&source, &dir.join("packed"), &options(), Some(&make_golden))
}

/// The files `name.key` and `name.pub`.
fn key_in(dir: &Path, name: &str) -> TrustedKey {
    let key = generate_key(&dir.join(format!("{name}.key")), &dir.join(format!("{name}.pub")), None).unwrap();
    TrustedKey { name: name.to_owned(), ids: vec!["org.vendor.*".to_owned()], ..key }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// `minisign` with these arguments; `None` where it is not installed.
fn minisign(args: &[&str], dir: &Path) -> Option<Output> {
    match Command::new("minisign").args(args).current_dir(dir).output() {
        Ok(output) => Some(output),
        Err(e) => {
            assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{e}");
            None
        }
    }
}

#[test]
fn what_an_author_packs_and_signs_is_judged_staged_and_serves() {
    let signed = Signed::new();
    let mut bundle = open_bundle(&signed.bundle.dir).unwrap();
    let trust = Trust { keys: vec![signed.key.clone()], ..Trust::default() };
    bundle.level = trust.judge(&bundle).unwrap();
    assert_eq!(bundle.level, Level::Signed { key: "vendor".to_owned() });
    let staged = Store::open(&signed.dir.path().join("store")).unwrap().stage(&bundle).unwrap();
    assert_eq!(trust.judge(&staged.bundle).unwrap(), bundle.level);
    let plugin = Plugin::open(&staged.bundle, options()).unwrap();
    assert_eq!(*call(&plugin, &[1.0, -3.5], None, "S01").unwrap().output, [2.0, -2.5]);
}

#[test]
fn another_byte_in_any_file_is_refused() {
    let signed = Signed::new();
    let trusted = || signed.judged(&["org.vendor.*"]);
    assert!(trusted().is_ok());
    let files = files_below(&signed.bundle.dir);
    assert_eq!(files.len(), 6);
    for path in files {
        let original = fs::read(&path).unwrap();
        let is_signature = path.extension().is_some_and(|ending| ending == "minisig");
        for part in 0..16 {
            let at = original.len() * part / 16;
            let mut bytes = original.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            // What the first line of a signature says is a comment that nothing vouches for.
            let is_comment = is_signature && at >= COMMENT.len() && !original[..at].contains(&b'\n');
            assert_eq!(trusted().is_ok(), is_comment, "{} at {part} / 16", path.display());
        }
        fs::write(&path, &original).unwrap();
        assert!(trusted().is_ok());
    }
}

#[test]
fn a_key_signs_what_its_patterns_cover() {
    let signed = Signed::new();
    let rows: [(&[&str], bool); 7] = [
        (&[ID], true),
        (&["org.vendor.*"], true),
        (&["*"], true),
        (&["org.other.*", "org.vendor.a*"], true),
        (&["org.vendor"], false),
        (&["org.vendor.adds.*", "org.other.*"], false),
        (&["ORG.VENDOR.*"], false),
    ];
    for (ids, expected) in rows {
        match signed.judged(ids) {
            Ok(level) => assert_eq!((level, expected), (Level::Signed { key: "vendor".to_owned() }, true), "{ids:?}"),
            Err(error) => {
                assert!(matches!(error, Error::KeyNotForId { .. }) && !expected, "{ids:?}: {error}");
                assert_eq!(error.party(), Party::Operator);
            }
        }
    }
}

#[test]
fn trusted_keys_are_added_once_and_removed() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("trust/keys.toml");
    let [first, second] = ["first", "second"].map(|name| key_in(dir.path(), name));
    let told = |result: Result<(), Error>| result.unwrap_err().to_string();
    add_key(&file, &first).unwrap();
    add_key(&file, &second).unwrap();
    assert_eq!(read_keys(&file).unwrap(), [first.clone(), second.clone()]);

    let renamed = TrustedKey { name: "third".to_owned(), ..first.clone() };
    assert!(told(add_key(&file, &renamed)).ends_with("is there already, as 'first'"));
    let same_name = TrustedKey { name: "first".to_owned(), ..key_in(dir.path(), "other") };
    assert!(told(add_key(&file, &same_name)).contains("found 'first' twice"));
    let wrong = TrustedKey { name: "wrong".to_owned(), public: "RWQ\n!".to_owned(), ids: first.ids.clone() };
    let sentence = told(add_key(&file, &wrong));
    assert!(sentence.contains("expected a minisign public key") && !sentence.contains('\n'), "{sentence}");
    let idle = TrustedKey { ids: Vec::new(), ..key_in(dir.path(), "idle") };
    assert!(told(add_key(&file, &idle)).contains("expected at least one id that it may sign"));
    assert_eq!(read_keys(&file).unwrap(), [first.clone(), second.clone()]);

    assert!(told(remove_key(&file, "third").map(drop)).contains("expected one of the keys first, second"));
    assert_eq!(remove_key(&file, "first").unwrap(), first);
    assert_eq!(read_keys(&file).unwrap(), [second]);
    fs::write(&file, "[[key]]\nname = 1\n").unwrap();
    assert!(matches!(read_keys(&file), Err(Error::Key { .. })));
}

#[test]
fn a_secret_key_is_kept_private_never_overwritten_and_needs_its_password() {
    use std::os::unix::fs::PermissionsExt;
    let signed = Signed::new();
    let [secret, public] = ["locked.key", "locked.pub"].map(|name| signed.dir.path().join(name));
    let key = generate_key(&secret, &public, Some("a password".to_owned())).unwrap();
    assert_eq!(read_public_key(&public).unwrap(), key.public);
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(generate_key(&secret, &public, None), Err(Error::Write { .. })));
    let sign = |password: Option<&str>| sign_bundle(&signed.bundle.dir, &secret, password.map(str::to_owned));
    assert!(sign(None).unwrap_err().to_string().ends_with("the key needs its password"));
    assert!(matches!(sign(Some("another")), Err(Error::Key { .. })));
    assert!(signed.judged(&["*"]).is_ok(), "a signature that was not made must not replace one");
    assert_eq!(sign(Some("a password")).unwrap(), key.name);
    assert!(matches!(signed.judged(&["*"]), Err(Error::UnknownKey { key: found, .. }) if found == key.name));
    assert!(matches!(sign_bundle(&signed.bundle.dir, &public, None), Err(Error::Key { .. })));
}

#[test]
fn the_program_minisign_accepts_our_keys_and_signatures() {
    let signed = Signed::new();
    let public = signed.dir.path().join("vendor.pub");
    let verify = ["-V", "-m", "plugin.toml", "-p", public.to_str().unwrap()];
    let Some(output) = minisign(&verify, &signed.bundle.dir) else {
        eprintln!("minisign is not installed: skipped");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("Trusted comment: org.vendor.adds 1.0.0"), "{text}");
    let secret = signed.dir.path().join("vendor.key");
    let sign = ["-S", "-m", "plugin.toml", "-s", secret.to_str().unwrap(), "-t", "by hand"];
    assert!(minisign(&sign, &signed.bundle.dir).unwrap().status.success());
    assert!(signed.judged(&[ID]).is_ok());
}

#[test]
fn keys_and_signatures_of_the_program_minisign_are_accepted() {
    let signed = Signed::new();
    let dir = signed.dir.path();
    let Some(output) = minisign(&["-G", "-W", "-s", "theirs.key", "-p", "theirs.pub"], dir) else {
        eprintln!("minisign is not installed: skipped");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let public = read_public_key(&dir.join("theirs.pub")).unwrap();
    let theirs = TrustedKey { name: "theirs".to_owned(), public, ids: vec!["org.vendor.*".to_owned()] };
    let trust = Trust { keys: vec![theirs], ..Trust::default() };
    let judged = || trust.judge(&open_bundle(&signed.bundle.dir).unwrap());
    let secret = dir.join("theirs.key");

    let sign = ["-S", "-m", "plugin.toml", "-s", secret.to_str().unwrap()];
    assert!(minisign(&sign, &signed.bundle.dir).unwrap().status.success());
    assert_eq!(judged().unwrap(), Level::Signed { key: "theirs".to_owned() });

    let old_form = ["-S", "-l", "-m", "plugin.toml", "-s", secret.to_str().unwrap()];
    assert!(minisign(&old_form, &signed.bundle.dir).unwrap().status.success());
    assert!(matches!(judged(), Err(Error::Signature { .. })));

    sign_bundle(&signed.bundle.dir, &secret, None).unwrap();
    assert_eq!(judged().unwrap(), Level::Signed { key: "theirs".to_owned() });
}
