//! An exported plugin, driven through its raw entry as a host drives it.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::Path;
use std::ptr::{null, null_mut};

use isoscan_abi::{
    ABI_MAJOR, EXTENSION_BATCH, EXTENSION_TRAIN, IsoBatch, IsoCall, IsoEntry, IsoHost, IsoRootRef, IsoStatus, IsoStr,
    IsoTensor, IsoTrain, MAGIC, STATUS_CANCELLED, STATUS_FAILED, STATUS_INVALID, STATUS_OK, STATUS_PANICKED, abi_hash,
};
use isoscan_sdk::harness::{Array, Training};
use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Level, Output, Param, Patching, PluginError, TensorView, TensorViewMut,
    TrainConfig, Trainer, Translator,
};

/// Does what `act` says; `count` is the number of calls since it was made.
struct Actor {
    threads: usize,
    count: f32,
}

isoscan_sdk::export_plugin!(Actor, train = Learner, batch);

impl Translator for Actor {
    fn descriptor() -> Descriptor {
        let acts =
            ["copy", "count", "threads", "fail", "mute", "panic", "panic-value", "reference", "progress", "typo"];
        Descriptor {
            id: "actor".into(),
            version: "1.2.3".into(),
            name: "Actor".into(),
            summary: "Does what it is told".into(),
            family: "test".into(),
            inputs: vec![
                Input::any("image", "the image"),
                Input { optional: true, ..Input::any("reference", "another image") },
            ],
            output: Output::like_input("by the act"),
            patching: Patching::whole(Axes::Volume),
            params: vec![Param::choice("act", &acts, "what to do")],
            deterministic: true,
            synthetic: false,
        }
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        if !config.bundle.is_absolute() {
            return Err(PluginError::failed("no weights here"));
        }
        Ok(Self { threads: config.threads, count: 0.0 })
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        self.count += 1.0;
        let image = call.image();
        match call.params.choice("act")? {
            "count" => call.output().as_mut_slice().fill(self.count),
            "threads" => call.output().as_mut_slice().fill(self.threads as f32),
            "fail" => return Err(PluginError::failed("it failed")),
            "mute" => return Err(PluginError::failed("")),
            "panic" => panic!("voxel {} is wrong", 7),
            "panic-value" => std::panic::panic_any(7),
            "reference" => {
                let reference = call.input(1).ok_or_else(|| PluginError::invalid("'reference' is needed"))?;
                call.output().as_mut_slice().fill(reference.as_slice()[0]);
            }
            "progress" => {
                let host = call.host;
                host.log(Level::Warning, "half way");
                let told = std::thread::scope(|scope| scope.spawn(|| host.progress(0.5)).join());
                told.map_err(|_| PluginError::failed("the thread panicked"))??;
            }
            "typo" => {
                let value = call.params.float("atc")? as f32;
                call.output().as_mut_slice().fill(value);
            }
            _ => call.output().as_mut_slice().copy_from_slice(image.as_slice()),
        }
        Ok(())
    }
}

/// Its one weight moves towards the difference of the target's and the source's first voxel.
struct Learner {
    weight: f32,
    rate: f32,
}

impl Trainer for Learner {
    fn params() -> Vec<Param> {
        vec![Param::float("rate", [0.0, 1.0], 0.5, "", "part of the way at each step")]
    }

    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError> {
        let rate = config.params.float("rate")? as f32;
        let Some(checkpoint) = &config.resume else {
            return Ok((Self { weight: 0.0, rate }, 0));
        };
        let text = std::fs::read_to_string(checkpoint.join("state")).map_err(PluginError::failed)?;
        Ok((Self { weight: text.parse().map_err(PluginError::failed)?, rate }, 2))
    }

    fn step(
        &mut self,
        _: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError> {
        assert!(source.as_slice()[0] >= 0.0, "negative source");
        let error = target.as_slice()[0] - source.as_slice()[0] - self.weight;
        self.weight += self.rate * error;
        Ok(BTreeMap::from([("error".to_owned(), f64::from(error))]))
    }

    fn translate(&mut self, source: TensorView<'_>, mut output: TensorViewMut<'_>) -> Result<(), PluginError> {
        output.as_mut_slice().fill(source.as_slice()[0] + self.weight);
        Ok(())
    }

    fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), PluginError> {
        let write = |folder: &str, file: &str| {
            std::fs::create_dir_all(dir.join(folder))?;
            std::fs::write(dir.join(folder).join(file), self.weight.to_string())
        };
        write("weights", "weight").map_err(PluginError::failed)?;
        if checkpoint {
            write("checkpoint", "state").map_err(PluginError::failed)?;
        }
        Ok(())
    }
}

#[test]
fn exported_entry_describes_itself() {
    let entry = entry();
    let head = (entry.magic, entry.abi_major, entry.abi_minor_needed, entry.abi_hash);
    assert_eq!(head, (MAGIC, ABI_MAJOR, 0, abi_hash()));
    let [first, second] = [(entry.describe)(), (entry.describe)()];
    assert_eq!(first.ptr, second.ptr);
    // SAFETY: the text lives as long as the library.
    let described: Descriptor = serde_json::from_str(&unsafe { first.to_text() }).unwrap();
    assert_eq!(described, Actor::descriptor());
}

#[test]
fn root_module_passes_the_layout_check_and_holds_the_same_tables() {
    // SAFETY: the symbol is a static of this type.
    let header = unsafe { &HEADER };
    let root = header.init_root_module::<IsoRootRef>().unwrap();
    assert!(std::ptr::eq(root.entry().get(), entry()));
    let train = root.train().unwrap().get();
    assert_eq!((entry().get_extension)(IsoStr::new(EXTENSION_TRAIN)), std::ptr::from_ref(train).cast());
    assert!((entry().get_extension)(IsoStr::new("isoscan.train/2")).is_null());
    assert_eq!(isoscan_sdk::door::HEADER_SYMBOL, abi_stable::library::ROOT_MODULE_LOADER_NAME);
}

#[test]
fn each_act_gives_its_status_message_and_output() {
    let rows: [(&str, IsoStatus, &str, f32); 10] = [
        ("copy", STATUS_OK, "", 5.0),
        ("count", STATUS_OK, "", 1.0),
        ("threads", STATUS_OK, "", 3.0),
        ("fail", STATUS_FAILED, "it failed", 0.0),
        ("mute", STATUS_FAILED, "the plugin gave no reason", 0.0),
        ("panic", STATUS_PANICKED, "the plugin panicked: voxel 7 is wrong", 0.0),
        ("panic-value", STATUS_PANICKED, "the plugin panicked: no message", 0.0),
        ("reference", STATUS_INVALID, "'reference' is needed", 0.0),
        ("typo", STATUS_FAILED, "the descriptor declares no float parameter 'atc'", 0.0),
        (
            "dance",
            STATUS_INVALID,
            "parameter 'act' must be one of copy, count, threads, fail, mute, panic, panic-value, reference, progress, \
             typo, found \"dance\"",
            0.0,
        ),
    ];
    for (act, status, message, output) in rows {
        let mut stage = Stage::new();
        let found = stage.run(act, |_| {});
        assert_eq!((found, stage.desk.error.as_str(), stage.output.as_slice()[0]), (status, message, output), "{act}");
    }
}

#[test]
fn instance_is_made_anew_after_a_panic() {
    let mut stage = Stage::new();
    let counts = ["count", "count", "panic", "count"].map(|act| {
        stage.run(act, |_| {});
        stage.output.as_slice()[0]
    });
    assert_eq!(counts, [1.0, 2.0, 2.0, 1.0]);
}

#[test]
fn progress_from_a_thread_reaches_the_host_and_brings_its_cancel_back() {
    for (stop, status) in [(false, STATUS_OK), (true, STATUS_CANCELLED)] {
        let mut stage = Stage::new();
        stage.desk.stop = stop;
        assert_eq!(stage.run("progress", |_| {}), status);
        assert_eq!(stage.desk.progress, [0.5]);
        assert_eq!(stage.desk.log, [(2, "half way".to_owned())]);
    }
}

#[test]
fn unusable_calls_are_refused_before_the_plugin_sees_them() {
    type Change = fn(&mut Parts);
    let rows: [(Change, &str); 17] = [
        (|p| p.image.dtype = 2, "tensor 'image' must have dtype 1 (f32), found 2"),
        (|p| p.image.ndim = 4, "tensor 'image' must have 5 dimensions, found 4"),
        (|p| p.image.shape[4] = 0, "tensor 'image' has no usable shape: [1, 1, 1, 2, 0]"),
        (
            |p| p.image.shape = [1 << 32, 1, 1 << 32, 1, 1],
            "tensor 'image' has no usable shape: [4294967296, 1, 4294967296, 1, 1]",
        ),
        (
            |p| p.image.stride[3] = 4,
            "tensor 'image' must be contiguous with strides [6, 6, 6, 3, 1], found [6, 6, 6, 4, 1]",
        ),
        (|p| p.image.byte_len = 23, "tensor 'image' must have 24 bytes for shape [1, 1, 1, 2, 3], found 23"),
        (|p| p.image.data = null_mut(), "tensor 'image' has a null pointer"),
        (|p| p.image.data = p.image.data.wrapping_byte_add(4), "tensor 'image' must be aligned to 64 bytes"),
        (|p| p.output.dtype = 0, "tensor 'output' must have dtype 1 (f32), found 0"),
        (|p| p.output.data = p.image.data, "an input and the output share memory"),
        (
            |p| p.output = IsoTensor::contiguous(p.output.data.cast(), [1, 1, 1, 3, 2]),
            "the output must lie on the grid of the first input [1, 1, 1, 2, 3], found [1, 1, 1, 3, 2]",
        ),
        (|p| p.input_count = 0, "input 'image' is missing"),
        (|p| p.input_count = 3, "expected at most 2 inputs, found 3"),
        (|p| p.output_count = 0, "expected 1 output, found 0"),
        (|p| p.null_inputs = true, "the list of 1 tensors has no usable address"),
        (
            |p| p.params = "[]",
            "parameters are not a JSON object: invalid type: sequence, expected a map at line 1 column 0",
        ),
        (|p| p.context = "{}", "context is not usable: missing field `seed` at line 1 column 2"),
    ];
    for (change, message) in rows {
        let mut stage = Stage::new();
        let status = stage.run("copy", change);
        assert_eq!((status, stage.desk.error.as_str()), (STATUS_INVALID, message));
        assert_eq!(stage.output.as_slice(), [0.0; 6]);
    }
}

#[test]
fn strides_of_single_elements_do_not_matter() {
    let mut stage = Stage::new();
    assert_eq!(stage.run("copy", |p| p.image.stride[0] = 77), STATUS_OK);
}

#[test]
fn optional_input_arrives_when_given() {
    let mut stage = Stage::new();
    assert_eq!(stage.run("reference", |p| p.input_count = 2), STATUS_OK);
    assert_eq!(stage.output.as_slice()[0], 9.0);
}

#[test]
fn nulls_do_no_harm() {
    let mut desk = Desk::default();
    let host = desk.host();
    let entry = entry();
    let mut instance = null_mut();
    (entry.destroy)(null_mut());
    assert_eq!((entry.create)(null(), IsoStr::new("{}"), &mut instance), STATUS_INVALID);
    assert_eq!((entry.create)(&host, IsoStr::new("{}"), null_mut()), STATUS_INVALID);
    assert_eq!((entry.run)(null_mut(), &host, null()), STATUS_INVALID);
    assert_eq!(desk.error, "no instance");
    let mut stage = Stage::new();
    assert_eq!((entry.run)(stage.instance, &stage.desk.host(), null()), STATUS_INVALID);
    assert_eq!(stage.desk.error, "no call");
}

#[test]
fn refused_creation_leaves_no_instance() {
    let rows = [
        ("", STATUS_INVALID, "config is not usable: EOF while parsing a value at line 1 column 0"),
        (r#"{"threads": 1}"#, STATUS_INVALID, "config is not usable: missing field `bundle` at line 1 column 14"),
        (r#"{"bundle": "here", "threads": 1}"#, STATUS_FAILED, "no weights here"),
    ];
    for (config, status, message) in rows {
        let mut desk = Desk::default();
        let mut instance = null_mut();
        assert_eq!((entry().create)(&desk.host(), IsoStr::new(config), &mut instance), status);
        assert_eq!((instance, desk.error.as_str()), (null_mut(), message));
    }
}

#[test]
fn each_call_of_a_batch_has_its_own_status_message_and_output() {
    let mut stage = Stage::new();
    let acts = ["copy", "fail", "dance", "count", "reference"];
    let unknown = "parameter 'act' must be one of copy, count, threads, fail, mute, panic, panic-value, reference, \
                   progress, typo, found \"dance\"";
    // `dance` never reaches the plugin, so `count` is its third call.
    let expected = [
        (STATUS_OK, "", 5.0),
        (STATUS_FAILED, "it failed", 0.0),
        (STATUS_INVALID, unknown, 0.0),
        (STATUS_OK, "", 3.0),
        (STATUS_INVALID, "'reference' is needed", 0.0),
    ];
    assert_eq!(stage.run_batch(&acts), expected.map(|(status, message, value)| (status, message.to_owned(), value)));
}

#[test]
fn a_panic_in_a_batch_costs_only_its_own_call() {
    let mut stage = Stage::new();
    let panic = (STATUS_PANICKED, "the plugin panicked: voxel 7 is wrong".to_owned(), 0.0);
    let [copy, count] = [5.0, 1.0].map(|value| (STATUS_OK, String::new(), value));
    assert_eq!(stage.run_batch(&["copy", "panic", "count"]), [copy, panic, count]);
}

#[test]
fn a_batch_whose_outputs_overlap_or_that_lacks_a_list_is_refused() {
    let mut stage = Stage::new();
    let output = IsoTensor::contiguous(stage.output.as_mut_slice().as_mut_ptr(), [1, 1, 1, 2, 3]);
    let image = IsoTensor::contiguous(stage.image.as_mut_slice().as_mut_ptr(), [1, 1, 1, 2, 3]);
    let call = IsoCall {
        inputs: &image,
        outputs: &output,
        input_count: 1,
        output_count: 1,
        params: IsoStr::new(r#"{"act": "copy"}"#),
        context: IsoStr::new(CONTEXT),
    };
    let mut desks = [Desk::default(), Desk::default()];
    let hosts = desks.each_mut().map(Desk::host);
    let mut statuses = [STATUS_OK; 2];
    let status = (batch_table().run)(
        stage.instance,
        &stage.desk.host(),
        [call, call].as_ptr(),
        hosts.as_ptr(),
        2,
        statuses.as_mut_ptr(),
    );
    assert_eq!((status, statuses), (STATUS_OK, [STATUS_INVALID; 2]));
    assert_eq!(desks.map(|desk| desk.error), ["its output shares memory with another call"; 2]);

    let status = (batch_table().run)(stage.instance, &stage.desk.host(), null(), hosts.as_ptr(), 2, null_mut());
    assert_eq!((status, stage.desk.error.as_str()), (STATUS_INVALID, "a list of the batch is missing"));
}

#[test]
fn training_learns_saves_and_resumes() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained");
    std::fs::create_dir_all(&dir).unwrap();
    let (source, target) = (Array::new([1; 5], &[1.0]), Array::new([1; 5], &[9.0]));
    let mut training = Training::<Actor, Learner>::begin(&[], 1, 4, None).unwrap();
    // The weight goes 0, 4, 6 towards 8.
    for (step, error) in [(0, 8.0), (1, 4.0)] {
        assert_eq!(training.step(step, &source, &target).unwrap()["error"], error);
    }
    assert_eq!(training.translate(&source).unwrap().as_slice(), [7.0]);
    training.save(&dir, true).unwrap();
    assert_eq!(std::fs::read_to_string(dir.join("weights/weight")).unwrap(), "6");

    let rate = [("rate", 1.0.into())];
    let mut resumed = Training::<Actor, Learner>::begin(&rate, 1, 4, Some(&dir.join("checkpoint"))).unwrap();
    assert_eq!(resumed.first_step, 2);
    assert_eq!(resumed.step(2, &source, &target).unwrap()["error"], 2.0);
    assert_eq!(resumed.translate(&source).unwrap().as_slice(), [9.0]);
}

#[test]
fn training_refuses_and_ends_clearly() {
    let begin = |params: &[_]| Training::<Actor, Learner>::begin(params, 1, 4, None);
    let failure = begin(&[("speed", 1.0.into())]).err().unwrap();
    assert_eq!(failure.message, "plugin actor has no parameter 'speed': it has rate");

    let mut training = begin(&[]).unwrap();
    let array = |value| Array::new([1; 5], &[value]);
    let failure = training.step(0, &array(0.0), &array(f32::INFINITY)).unwrap_err();
    assert_eq!((failure.status, failure.message.as_str()), (STATUS_FAILED, "loss 'error' became inf at step 0"));
    let failure = training.step(1, &array(-1.0), &array(0.0)).unwrap_err();
    assert_eq!((failure.status, failure.message.as_str()), (STATUS_PANICKED, "the plugin panicked: negative source"));
    let failure = training.step(2, &array(1.0), &array(0.0)).unwrap_err();
    assert_eq!((failure.status, failure.message.as_str()), (STATUS_FAILED, "the session ended with a panic"));
}

#[test]
fn training_table_survives_nulls() {
    // SAFETY: the extension id answers with a table that lives as long as the library.
    let table = unsafe { &*(entry().get_extension)(IsoStr::new(EXTENSION_TRAIN)).cast::<IsoTrain>() };
    let mut desk = Desk::default();
    let host = desk.host();
    (table.end)(null_mut());
    assert_eq!((table.begin)(&host, IsoStr::new("{}"), null_mut(), null_mut()), STATUS_INVALID);
    assert_eq!((table.step)(null_mut(), &host, 0, null(), null(), null()), STATUS_INVALID);
    assert_eq!(desk.error, "no session");
}

#[expect(improper_ctypes, reason = "both sides are this crate's Rust")]
unsafe extern "C" {
    #[link_name = "isoscan_plugin_entry"]
    static ENTRY: IsoEntry;
    #[link_name = "_1as_0lib_1header_0root_bmodule_bloader"]
    static HEADER: abi_stable::library::LibHeader;
}

fn entry() -> &'static IsoEntry {
    // SAFETY: `export_plugin!` above defines the symbol with this type.
    unsafe { &ENTRY }
}

fn batch_table() -> &'static IsoBatch {
    // SAFETY: the extension id answers with a table that lives as long as the library.
    unsafe { &*(entry().get_extension)(IsoStr::new(EXTENSION_BATCH)).cast::<IsoBatch>() }
}

const CONTEXT: &str = r#"{"seed": 1, "spacing_mm": [1.0, 1.0, 5.0], "patch_origins": [[0, 0, 0]]}"#;

/// An instance, its host and the arrays of a call: image 5, reference 9, output 0.
struct Stage {
    instance: *mut c_void,
    desk: Desk,
    image: Array,
    reference: Array,
    output: Array,
}

/// What a test may change of a call before it is made.
struct Parts {
    image: IsoTensor,
    output: IsoTensor,
    input_count: u32,
    output_count: u32,
    null_inputs: bool,
    params: &'static str,
    context: &'static str,
}

impl Stage {
    fn new() -> Self {
        let mut desk = Desk::default();
        let mut instance = null_mut();
        let config = IsoStr::new(r#"{"bundle": "/bundle", "threads": 3, "later": true}"#);
        assert_eq!((entry().create)(&desk.host(), config, &mut instance), STATUS_OK);
        let array = |value: f32| Array::new([1, 1, 1, 2, 3], &[value; 6]);
        Self { instance, desk, image: array(5.0), reference: array(9.0), output: array(0.0) }
    }

    fn run(&mut self, act: &str, change: impl FnOnce(&mut Parts)) -> IsoStatus {
        let view = |array: &mut Array| IsoTensor::contiguous(array.as_mut_slice().as_mut_ptr(), [1, 1, 1, 2, 3]);
        let mut parts = Parts {
            image: view(&mut self.image),
            output: view(&mut self.output),
            input_count: 1,
            output_count: 1,
            null_inputs: false,
            params: "",
            context: CONTEXT,
        };
        change(&mut parts);
        let inputs = [parts.image, view(&mut self.reference), view(&mut self.reference)];
        let params = format!(r#"{{"act": "{act}"}}"#);
        let params = if parts.params.is_empty() { params.as_str() } else { parts.params };
        let call = IsoCall {
            inputs: if parts.null_inputs { null() } else { inputs.as_ptr() },
            outputs: &raw const parts.output,
            input_count: parts.input_count,
            output_count: parts.output_count,
            params: IsoStr::new(params),
            context: IsoStr::new(parts.context),
        };
        (entry().run)(self.instance, &self.desk.host(), &call)
    }

    /// One batch of calls on the image; gives status, message and first voxel of each.
    fn run_batch(&mut self, acts: &[&str]) -> Vec<(IsoStatus, String, f32)> {
        let shape = [1, 1, 1, 2, 3];
        let image = IsoTensor::contiguous(self.image.as_mut_slice().as_mut_ptr(), shape);
        let mut arrays: Vec<Array> = acts.iter().map(|_| Array::zeros([1, 1, 1, 2, 3])).collect();
        let outputs: Vec<IsoTensor> =
            arrays.iter_mut().map(|array| IsoTensor::contiguous(array.as_mut_slice().as_mut_ptr(), shape)).collect();
        let params: Vec<String> = acts.iter().map(|act| format!(r#"{{"act": "{act}"}}"#)).collect();
        let calls: Vec<IsoCall> = outputs
            .iter()
            .zip(&params)
            .map(|(output, params)| IsoCall {
                inputs: &image,
                outputs: output,
                input_count: 1,
                output_count: 1,
                params: IsoStr::new(params),
                context: IsoStr::new(CONTEXT),
            })
            .collect();
        let mut desks: Vec<Desk> = acts.iter().map(|_| Desk::default()).collect();
        let hosts: Vec<IsoHost> = desks.iter_mut().map(Desk::host).collect();
        let mut statuses = vec![IsoStatus::MIN; acts.len()];
        let count = acts.len() as u32;
        let host = self.desk.host();
        let run = batch_table().run;
        let status = run(self.instance, &host, calls.as_ptr(), hosts.as_ptr(), count, statuses.as_mut_ptr());
        assert_eq!(status, STATUS_OK, "{}", self.desk.error);
        let outcomes = statuses.into_iter().zip(desks).zip(&arrays);
        outcomes.map(|((status, desk), array)| (status, desk.error, array.as_slice()[0])).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        (entry().destroy)(self.instance);
    }
}

#[derive(Default)]
struct Desk {
    stop: bool,
    error: String,
    progress: Vec<f32>,
    log: Vec<(u32, String)>,
}

impl Desk {
    fn host(&mut self) -> IsoHost {
        IsoHost { ctx: (&raw mut *self).cast(), progress, set_error, log, get_extension }
    }
}

extern "C" fn progress(ctx: *mut c_void, fraction: f32) -> i32 {
    // SAFETY: the desk of the test, which one thread at a time uses.
    let desk = unsafe { &mut *ctx.cast::<Desk>() };
    desk.progress.push(fraction);
    desk.stop.into()
}

extern "C" fn set_error(ctx: *mut c_void, message: IsoStr) {
    // SAFETY: as in `progress`; the text is the plugin's for the call.
    unsafe { (*ctx.cast::<Desk>()).error = message.to_text() };
}

extern "C" fn log(ctx: *mut c_void, level: u32, message: IsoStr) {
    // SAFETY: as in `set_error`.
    unsafe { (*ctx.cast::<Desk>()).log.push((level, message.to_text())) };
}

extern "C" fn get_extension(_: *mut c_void, _: IsoStr) -> *const c_void {
    null()
}
