//! The plugins of these tests, built on first use, and short ways to open and call them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, atomic::AtomicBool},
    time::Duration,
};

use isoscan_abi::{Context, ParamValue};
use isoscan_host::{Fault, Isolation, Options, Plugin, Reply, Request, open_bundle};

pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_isoscan-host-worker");

static IDENTITY: LazyLock<PathBuf> = LazyLock::new(|| built_by_cargo("isoscan-identity", "libisoscan_identity.so"));
static FAULTY: LazyLock<PathBuf> = LazyLock::new(|| built_by_cargo("isoscan-faulty", "libisoscan_faulty.so"));
static ODD: LazyLock<PathBuf> = LazyLock::new(|| built_by_cc("engine/host/tests/host/odd.c", "libodd.so"));

pub(crate) fn identity() -> &'static Path {
    &IDENTITY
}

pub(crate) fn faulty() -> &'static Path {
    &FAULTY
}

/// `odd.c` beside this file.
pub(crate) fn odd() -> &'static Path {
    &ODD
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
        deadline: Duration::from_secs(60),
        worker_program: WORKER.into(),
    }
}

pub(crate) fn open(library: &Path, options: Options) -> Plugin {
    Plugin::open(&open_bundle(library).unwrap(), options).unwrap()
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
fn built_by_cargo(package: &str, library: &str) -> PathBuf {
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

fn built_by_cc(source: &str, library: &str) -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(library);
    let cc = Command::new("cc")
        .current_dir(workspace())
        .args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-fPIC", "-shared", "-I", "abi/include", source, "-o"])
        .arg(&library)
        .output()
        .expect("a C compiler named cc");
    assert!(cc.status.success(), "{source} does not compile: {}", String::from_utf8_lossy(&cc.stderr));
    library
}
