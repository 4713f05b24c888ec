//! What the tests share: the program, staged plugins, a small phantom cohort.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use tempfile::TempDir;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Public images and reference values beside the repository, or `None` after saying so.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no shared/{name} beside the repository");
    None
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_isoscan"))
}

/// Folder of bundles that need no libtorch, made once for all tests.
pub(crate) fn plugins() -> &'static Path {
    static STAGED: OnceLock<TempDir> = OnceLock::new();
    STAGED
        .get_or_init(|| {
            let libraries = libraries();
            let staged = TempDir::new().unwrap();
            let sources = TempDir::new().unwrap();
            for (folder, library) in [
                ("plugins/identity", "libisoscan_identity.so"),
                ("plugins/histogram", "libisoscan_histogram.so"),
                ("tests/faulty", "libisoscan_faulty.so"),
                ("tests/learner", "libisoscan_learner.so"),
                ("examples/rust-plugin", "libisoscan_rust_plugin.so"),
            ] {
                let source = sources.path().join(Path::new(folder).file_name().unwrap());
                fs::create_dir(&source).unwrap();
                for name in ["plugin.toml", "CARD.md"] {
                    fs::copy(root().join(folder).join(name), source.join(name)).unwrap();
                }
                fs::copy(libraries.join(library), source.join(library)).unwrap();
                for (name, bytes) in weights(&root().join(folder)) {
                    fs::create_dir_all(source.join("weights")).unwrap();
                    fs::write(source.join("weights").join(name), bytes).unwrap();
                }
                succeed(&["plugins", "pack", source.to_str().unwrap(), "--out", staged.path().to_str().unwrap()]);
            }
            staged
        })
        .path()
}

/// The files of a plugin's folder `weights`, if it has one.
fn weights(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    if folder.join("weights").is_dir() { contents(&folder.join("weights")) } else { Default::default() }
}

/// The folder that `ISOSCAN_STAGED` names (`cargo xtask test` sets it), or else a target folder of its own: another
/// choice of packages means other features, which must not overwrite what is being tested.
fn libraries() -> PathBuf {
    if let Some(staged) = std::env::var_os("ISOSCAN_STAGED") {
        return PathBuf::from(staged);
    }
    let target = program().ancestors().nth(2).unwrap().join("test-libraries");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--target-dir"]).arg(&target).current_dir(root());
    for package in ["isoscan-identity", "isoscan-histogram", "isoscan-faulty", "isoscan-learner", "isoscan-rust-plugin"]
    {
        cargo.args(["--package", package]);
    }
    assert!(cargo.status().unwrap().success(), "the test plugins do not build");
    target.join("release")
}

/// The bundle of the learned plugin as `cargo xtask stage` laid it, or `None` after saying so.
pub(crate) fn learned_plugins() -> Option<PathBuf> {
    let folder = program().with_file_name("plugins");
    let there = fs::read_dir(&folder).into_iter().flatten().flatten();
    if there.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.starts_with("cyclegan")) {
        return Some(folder);
    }
    println!("skipped: the cyclegan bundle is not staged (cargo xtask test stages it)");
    None
}

/// True when the bundle `id` lies beside the program, as `cargo xtask stage` lays it; says so otherwise.
pub(crate) fn is_staged(id: &str) -> bool {
    let there = fs::read_dir(program().with_file_name("plugins")).into_iter().flatten().flatten();
    let mut names = there.filter_map(|entry| entry.file_name().into_string().ok());
    let found = names.any(|name| name.strip_prefix(id).is_some_and(|rest| rest.starts_with('-')));
    if !found {
        println!("skipped: the {id} bundle is not staged (cargo xtask test stages it)");
    }
    found
}

/// Runs the program. Plugins of other folders than its own are unsigned here, which it must be told.
pub(crate) fn isoscan<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    let mut program = command();
    program.args(arguments);
    let given = |words: &str| arguments.iter().any(|argument| argument.as_ref() == words);
    if given("--plugins") && !given("install") {
        program.arg("--allow-unsigned");
    }
    program.output().unwrap()
}

/// The program, to be started in the root of the repository with configuration and state folders of the tests alone.
pub(crate) fn command() -> Command {
    static HOME: OnceLock<TempDir> = OnceLock::new();
    let home = HOME.get_or_init(|| TempDir::new().unwrap());
    let mut command = Command::new(program());
    command.current_dir(root()).env("XDG_STATE_HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
    command
}

/// Runs the program, which must succeed, and gives its standard output.
pub(crate) fn succeed<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    let output = isoscan(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail, and gives what it tells, on one line without line breaks and frames.
pub(crate) fn refused<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    let output = isoscan(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stderr).unwrap();
    let words: Vec<&str> = told.split_whitespace().filter(|word| *word != "|").collect();
    words.join(" ").trim_start_matches("x ").to_owned()
}

/// A cohort of five small subjects under two protocols, made once for all tests.
pub(crate) fn cohort() -> &'static Path {
    static COHORT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COHORT.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("cohort");
        let mut arguments = vec!["phantom", "--subjects", "5", "--seed", "3", "--source", "b-sharp-low"];
        arguments.extend(["--reference", "a-soft", "--pixels", "96", "--pixel-mm", "4", "--length-mm", "15", "--out"]);
        arguments.push(path.to_str().unwrap());
        succeed(&arguments);
        (folder, path)
    });
    path
}

/// Writes a script into a folder.
pub(crate) fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("script.rhai");
    fs::write(&path, text).unwrap();
    path
}

/// Every file below a folder with its bytes, by relative path.
pub(crate) fn contents(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// What a browser makes of a page that no policy of the page's own is broken by; `None` after saying that none is installed.
pub(crate) fn seen_in_a_browser(page: &Path) -> Option<String> {
    let profile = TempDir::new().unwrap();
    let shown = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", &format!("file://{}", page.canonicalize().unwrap().display())])
        .output();
    let Ok(shown) = shown else {
        println!("skipped: no browser `chromium` is installed");
        return None;
    };
    let told = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && !told.contains("CONSOLE"), "{told}");
    Some(String::from_utf8(shown.stdout).unwrap())
}
