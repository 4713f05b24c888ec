//! The plugins of these tests, built on first use, and short ways to open and call them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use isoscan_abi::{Context, ParamValue};
use isoscan_host::{Fault, Isolation, Level, Options, Plugin, Policy, Reply, Request, open_bundle};

pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_isoscan-host-worker");

static IDENTITY: LazyLock<PathBuf> = LazyLock::new(|| built_by_cargo("isoscan-identity", "libisoscan_identity.so"));
static FAULTY: LazyLock<PathBuf> = LazyLock::new(|| built_by_cargo("isoscan-faulty", "libisoscan_faulty.so"));
static ODD: LazyLock<PathBuf> = LazyLock::new(|| built_by_cc("engine/host/tests/host/odd.c", "libodd.so"));

static PROBES: LazyLock<PathBuf> = LazyLock::new(|| built_by_cc("engine/host/tests/host/probes.c", "libprobes.so"));

pub(crate) fn identity() -> &'static Path {
    &IDENTITY
}

/// The Rust example.
pub(crate) fn invert() -> PathBuf {
    built_by_cargo("isoscan-rust-plugin", "libisoscan_rust_plugin.so")
}

pub(crate) fn faulty() -> &'static Path {
    &FAULTY
}

/// `odd.c` beside this file.
pub(crate) fn odd() -> &'static Path {
    &ODD
}

/// `probes.c` beside this file.
pub(crate) fn probes() -> &'static Path {
    &PROBES
}

/// The C example.
pub(crate) fn clamp() -> PathBuf {
    built_by_cc("examples/c-plugin/clamp.c", "libisoscan_c_clamp.so")
}

pub(crate) fn options() -> Options {
    Options {
        isolation: Isolation::Worker,
        workers: 1,
        threads: 1,
        deadline: Some(Duration::from_secs(60)),
        sandbox: Policy::Required,
        spare: false,
        worker_program: WORKER.into(),
    }
}

/// The C++ example.
pub(crate) fn median() -> PathBuf {
    built_by_cxx("examples/cpp-plugin/median.cpp", "libisoscan_cpp_median.so")
}

pub(crate) fn open(library: &Path, options: Options) -> Plugin {
    let mut bundle = open_bundle(library).unwrap();
    if options.isolation == Isolation::InProcess {
        bundle.level = Level::BuiltIn;
    }
    Plugin::open(&bundle, options).unwrap()
}

/// Calls with one row of voxels and at most one parameter.
pub(crate) fn call(plugin: &Plugin, voxels: &[f32], param: Option<(&str, &str)>, job: &str) -> Result<Reply, Fault> {
    call_until(plugin, voxels, param, job, &AtomicBool::new(false), None)
}

pub(crate) fn call_until(
    plugin: &Plugin,
    voxels: &[f32],
    param: Option<(&str, &str)>,
    job: &str,
    cancel: &AtomicBool,
    progress: Option<&(dyn Fn(f32) + Sync)>,
) -> Result<Reply, Fault> {
    let shape = [1, 1, 1, 1, voxels.len()];
    let mut image = plugin.buffer(shape)?;
    image.copy_from_slice(voxels);
    let params: BTreeMap<String, ParamValue> =
        param.into_iter().map(|(id, choice)| (id.to_owned(), ParamValue::Choice(choice.to_owned()))).collect();
    let context = Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] };
    plugin.call(Request {
        inputs: vec![image],
        output_shape: shape,
        params: &params,
        context: &context,
        cancel,
        job,
        progress,
    })
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// From the folder that `ISOSCAN_STAGED` names (`cargo xtask test` sets it), or else built into a target folder of its
/// own: another choice of packages means other features, which must not overwrite what is being tested.
pub(crate) fn built_by_cargo(package: &str, library: &str) -> PathBuf {
    if let Some(staged) = std::env::var_os("ISOSCAN_STAGED") {
        return Path::new(&staged).join(library);
    }
    let target = Path::new(WORKER).parent().and_then(Path::parent).expect("target folder / profile / program");
    let target = target.join("test-libraries");
    let cargo = Command::new(env!("CARGO"))
        .current_dir(workspace())
        .args(["build", "--quiet", "--release", "--package", package, "--target-dir"])
        .arg(&target)
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{package} does not build: {}", String::from_utf8_lossy(&cargo.stderr));
    target.join("release").join(library)
}

/// `launcher.c` beside this file: the worker on a kernel that lacks what `missing` names.
pub(crate) fn worker_without(missing: &[&str]) -> PathBuf {
    let definitions: Vec<String> = missing.iter().map(|feature| format!("-DNO_{feature}")).collect();
    launched_with(&format!("worker-{}", missing.join("-")), &definitions)
}

/// `launcher.c` beside this file: adds a byte to `file` at each start of a worker.
pub(crate) fn worker_counted_in(file: &Path) -> PathBuf {
    launched_with("worker-counted", &[format!("-DCOUNT=\"{}\"", file.display())])
}

fn launched_with(name: &str, definitions: &[String]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let cc = Command::new("cc")
        .current_dir(workspace())
        .args(["-std=gnu11", "-O1", "-Wall", "-Werror", "engine/host/tests/host/launcher.c"])
        .arg(format!("-DWORKER=\"{WORKER}\""))
        .args(definitions)
        .arg("-o")
        .arg(&program)
        .output()
        .expect("a C compiler named cc");
    assert!(cc.status.success(), "the launcher does not compile: {}", String::from_utf8_lossy(&cc.stderr));
    program
}

/// A bundle in a folder of its own, made of `library` and, where there are some, limits as the manifest has them.
pub(crate) fn bundle_of(library: &Path, id: &str, version: &str, limits: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(library, dir.path().join("plugin.so")).unwrap();
    let manifest = format!("id = \"{id}\"\nversion = \"{version}\"\nlibrary = \"plugin.so\"\n[limits]\n{limits}\n");
    fs::write(dir.path().join("plugin.toml"), manifest).unwrap();
    dir
}

pub(crate) fn built_by_cc(source: &str, library: &str) -> PathBuf {
    compiled(&["cc", "-std=gnu11"], source, library)
}

pub(crate) fn built_by_cxx(source: &str, library: &str) -> PathBuf {
    compiled(&["c++", "-std=c++17", "-Wextra", "-pedantic"], source, library)
}

/// A C plugin compiled with further `flags`, such as `-DVERSION=...`.
pub(crate) fn built_with(source: &str, library: &str, flags: &[&str]) -> PathBuf {
    compiled(&[&["cc", "-std=gnu11"], flags].concat(), source, library)
}

/// `wrong.c` beside this file, with a macro defined.
pub(crate) fn wrong(variant: &str) -> PathBuf {
    let define = format!("-D{variant}");
    compiled(
        &["cc", "-std=gnu11", &define, "-pthread"],
        "engine/host/tests/host/wrong.c",
        &format!("libwrong-{variant}.so"),
    )
}

fn compiled(command: &[&str], source: &str, library: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(library);
    // Other tests may be reading the library of that name.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let unfinished = library.with_extension(format!("{}-{number}", std::process::id()));
    let cc = Command::new(command[0])
        .current_dir(workspace())
        .args(&command[1..])
        .args([
            "-O1",
            "-Wall",
            "-Werror",
            "-fPIC",
            "-shared",
            "-I",
            "abi/include",
            "-I",
            "examples/c-plugin",
            source,
            "-o",
        ])
        .arg(&unfinished)
        .output()
        .expect("compilers named cc and c++");
    assert!(cc.status.success(), "{source} does not compile: {}", String::from_utf8_lossy(&cc.stderr));
    fs::rename(unfinished, &library).unwrap();
    library
}
