//! The C and C++ examples build by the lines of their READMEs, load, and do what their descriptors say.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]
#![cfg(feature = "descriptor")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use isoscan_abi::{
    ABI_MAJOR, Descriptor, ENTRY_SYMBOL, EXTENSION_BATCH, IsoBatch, IsoCall, IsoEntry, IsoHost, IsoStatus, IsoStr,
    IsoTensor, MAGIC, STATUS_CANCELLED, STATUS_INVALID, STATUS_OK, abi_hash,
};
use libloading::Library;

#[test]
fn c_plugin_builds_by_its_readme_and_runs() {
    let entry = load(&build("c-plugin", "cc "), "libisoscan_c_clamp.so");
    let descriptor = described(entry);
    let defaults = descriptor.check_params(&BTreeMap::new()).unwrap();
    assert_eq!(serde_json::to_string(&defaults).unwrap(), r#"{"high":1000.0,"low":-1000.0}"#);

    let rows: [(&str, bool, IsoStatus, &str, [f32; 3]); 4] = [
        (r#"{"high":80.5,"low":-20}"#, false, STATUS_OK, "", [-20.0, 40.0, 80.5]),
        (r#"{"high":1.0,"low":2.0}"#, false, STATUS_INVALID, "parameter 'low' must not be above 'high'", [0.0; 3]),
        (r#"{"height":1.0}"#, false, STATUS_INVALID, "there is no parameter 'height'", [0.0; 3]),
        (r#"{"high":80,"low":0}"#, true, STATUS_CANCELLED, "cancelled by the host", [0.0; 3]),
    ];
    for (params, stop, status, message, expected) in rows {
        assert_eq!(run(entry, params, stop), (status, message.to_owned(), expected), "{params}");
    }
}

#[test]
fn cxx_plugin_builds_by_its_readme_and_runs() {
    let entry = load(&build("cpp-plugin", "c++ "), "libisoscan_cpp_median.so");
    assert_eq!(described(entry).id, "cpp-median");
    let rows = [
        (r#"{"threshold":0.0}"#, false, STATUS_OK, "", [-1000.0, 40.0, 2000.0]),
        (r#"{"limit":0.0}"#, false, STATUS_INVALID, "there is no parameter 'limit'", [0.0; 3]),
        (r#"{"threshold":0.0}"#, true, STATUS_CANCELLED, "cancelled by the host", [0.0; 3]),
    ];
    for (params, stop, status, message, expected) in rows {
        assert_eq!(run(entry, params, stop), (status, message.to_owned(), expected), "{params}");
    }
}

#[test]
fn c_plugin_answers_for_its_extension_alone() {
    let entry = load(&build("c-plugin", "cc "), "libisoscan_c_clamp.so");
    // SAFETY: for this id the answer is null or a table that lives as long as the library.
    assert!(unsafe { (entry.get_extension)(IsoStr::new(EXTENSION_BATCH)).cast::<IsoBatch>().as_ref() }.is_some());
    for id in ["", "isoscan.batch/", "isoscan.batch/2", "isoscan.batch/12"] {
        assert!((entry.get_extension)(IsoStr::new(id)).is_null(), "{id}");
    }
}

/// Copies the example and the header to a fresh folder, as they lie in the repository, and runs the README's line.
fn build(example: &str, compiler: &str) -> PathBuf {
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let build = BUILDS.fetch_add(1, Ordering::Relaxed);
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("example-build-{build}"));
    let folder = Path::new("examples").join(example);
    let beside = std::fs::read_dir(root.join(&folder)).unwrap().map(|entry| folder.join(entry.unwrap().file_name()));
    let shared = ["abi/include/isoscan.h", "examples/c-plugin/checked.h"].map(PathBuf::from);
    for file in beside.filter(|file| root.join(file).is_file()).chain(shared) {
        std::fs::create_dir_all(copy.join(&file).parent().unwrap()).unwrap();
        std::fs::copy(root.join(&file), copy.join(&file)).unwrap();
    }
    let folder = copy.join(folder);
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with(compiler)).unwrap();
    assert!(line.contains("-Wall -Wextra -pedantic -Werror"), "{line}");
    let output = Command::new("sh").args(["-c", line]).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// The entry of a library, which stays loaded.
fn load(folder: &Path, library: &str) -> &'static IsoEntry {
    // SAFETY: the library's constructors are those of its language.
    let library = Box::leak(Box::new(unsafe { Library::new(folder.join(library)) }.unwrap()));
    // SAFETY: the symbol is a static of the contract's type in a library that is never unloaded.
    let entry = unsafe { &**library.get::<*const IsoEntry>(ENTRY_SYMBOL.as_bytes()).unwrap() };
    assert_eq!((entry.magic, entry.abi_major, entry.abi_hash), (MAGIC, ABI_MAJOR, abi_hash()));
    entry
}

fn described(entry: &IsoEntry) -> Descriptor {
    // SAFETY: `describe` gives text that lives as long as the library.
    serde_json::from_str(&unsafe { (entry.describe)().to_text() }).unwrap()
}

/// Runs the plugin on the voxels -1000, 40 and 2000; gives status, message and output.
fn run(entry: &IsoEntry, params: &str, stop: bool) -> (IsoStatus, String, [f32; 3]) {
    let desk = Desk { stop, error: Mutex::default() };
    let host = IsoHost { ctx: (&raw const desk).cast_mut().cast(), progress, set_error, log, get_extension };
    let (mut image, mut output) = ([-1000.0f32, 40.0, 2000.0], [0.0f32; 3]);
    let inputs = [IsoTensor::contiguous(image.as_mut_ptr(), [1, 1, 1, 1, 3])];
    let outputs = [IsoTensor::contiguous(output.as_mut_ptr(), [1, 1, 1, 1, 3])];
    let call = IsoCall {
        inputs: inputs.as_ptr(),
        outputs: outputs.as_ptr(),
        input_count: 1,
        output_count: 1,
        params: IsoStr::new(params),
        context: IsoStr::new("{}"),
    };
    let mut instance = null_mut();
    assert_eq!((entry.create)(&host, IsoStr::new("{}"), &mut instance), STATUS_OK);
    let status = (entry.run)(instance, &host, &call);
    (entry.destroy)(instance);
    (status, desk.error.into_inner().unwrap(), output)
}

struct Desk {
    stop: bool,
    error: Mutex<String>,
}

/// # Safety
/// `ctx` must be the desk of `run`.
unsafe fn desk<'a>(ctx: *mut c_void) -> &'a Desk {
    // SAFETY: the caller's promise.
    unsafe { &*ctx.cast::<Desk>() }
}

extern "C" fn progress(ctx: *mut c_void, _: f32) -> i32 {
    // SAFETY: the context that `run` gave.
    unsafe { desk(ctx) }.stop.into()
}

extern "C" fn set_error(ctx: *mut c_void, message: IsoStr) {
    // SAFETY: the context that `run` gave, and text that the plugin keeps for the call.
    *unsafe { desk(ctx) }.error.lock().unwrap() = unsafe { message.to_text() };
}

extern "C" fn log(_: *mut c_void, _: u32, _: IsoStr) {}

extern "C" fn get_extension(_: *mut c_void, _: IsoStr) -> *const c_void {
    std::ptr::null()
}
