//! Drives a plugin through its own door inside a test, with arrays instead of pointers.
//!
//! Everything goes the way of a real call: the JSON of parameters, the tensor checks, the panic guard. See the crate
//! page for an example.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::ptr::{from_ref, null_mut};
use std::sync::{Mutex, MutexGuard};

use isoscan_abi::{
    Context, IsoCall, IsoEntry, IsoHost, IsoLossSink, IsoStatus, IsoStr, IsoTensor, IsoTrain, ParamValue, Refine,
    STATUS_OK, TrainContext,
};

use crate::{Trainer, Translator, door};

/// A dense f32 array `[batch, channel, z, y, x]`, x fastest, aligned as the contract asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: [usize; 5],
    blocks: Vec<Block>,
}

#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block([f32; 16]);

impl Array {
    /// An array holding `values`.
    ///
    /// # Panics
    /// When the length of `values` is not the product of `shape`.
    pub fn new(shape: [usize; 5], values: &[f32]) -> Self {
        let mut array = Self::zeros(shape);
        array.as_mut_slice().copy_from_slice(values);
        array
    }

    /// An array of zeros.
    pub fn zeros(shape: [usize; 5]) -> Self {
        let len: usize = shape.iter().product();
        Self { shape, blocks: vec![Block([0.0; 16]); len.div_ceil(16)] }
    }

    /// Elements along batch, channel, z, y, x.
    pub fn shape(&self) -> [usize; 5] {
        self.shape
    }

    /// Every element, x fastest.
    pub fn as_slice(&self) -> &[f32] {
        let len = self.shape.iter().product();
        // SAFETY: blocks are dense f32 and hold at least `len` of them, by construction.
        unsafe { std::slice::from_raw_parts(self.blocks.as_ptr().cast(), len) }
    }

    /// Every element, x fastest.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        let len = self.shape.iter().product();
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.blocks.as_mut_ptr().cast(), len) }
    }

    fn input(&self) -> IsoTensor {
        IsoTensor::contiguous(self.blocks.as_ptr().cast::<f32>().cast_mut(), self.shape.map(|n| n as u64))
    }

    fn output(&mut self) -> IsoTensor {
        IsoTensor::contiguous(self.blocks.as_mut_ptr().cast(), self.shape.map(|n| n as u64))
    }
}

/// A call that came back with a status other than OK.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("status {status}: {message}")]
pub struct Failure {
    /// One of the `STATUS_*` numbers of the contract.
    pub status: IsoStatus,
    /// What the plugin said.
    pub message: String,
}

/// An instance of a plugin.
pub struct Plugin<T> {
    /// Seed, spacing and patch origins of the next calls: seed 0, 1 mm and none until changed.
    pub context: Context,
    entry: IsoEntry,
    instance: *mut c_void,
    bundle: PathBuf,
    desk: Box<Desk>,
    translator: PhantomData<T>,
}

impl<T: Translator> Plugin<T> {
    /// An instance with one thread and the working folder as its bundle.
    ///
    /// # Errors
    /// [`Failure`] as the plugin's `create` gave it.
    pub fn create() -> Result<Self, Failure> {
        Self::create_in(Path::new("."), 1)
    }

    /// An instance of the bundle folder `bundle`.
    ///
    /// # Errors
    /// [`Failure`] as the plugin's `create` gave it.
    pub fn create_in(bundle: &Path, threads: usize) -> Result<Self, Failure> {
        let entry = door::entry::<T>(unused_describe, unused_extension);
        let desk = Box::new(Desk::default());
        let config = serde_json::json!({"bundle": bundle, "threads": threads}).to_string();
        let mut instance = null_mut();
        desk.outcome((entry.create)(&desk.host(), IsoStr::new(&config), &mut instance))?;
        let context = Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: Vec::new() };
        Ok(Self { context, entry, instance, bundle: bundle.to_owned(), desk, translator: PhantomData })
    }

    /// Translates; the output has the shape of the first input, times what the descriptor refines by under these
    /// parameters. Undeclared parameters are refused, missing ones take their default.
    ///
    /// # Errors
    /// [`Failure`] as the door or the plugin gave it.
    ///
    /// # Panics
    /// When `inputs` is empty.
    pub fn run(&mut self, inputs: &[&Array], params: &[(&str, ParamValue)]) -> Result<Array, Failure> {
        let mut output = Array::zeros(refined_shape::<T>(&self.bundle, inputs[0].shape, params));
        self.run_into(inputs, params, &mut output)?;
        Ok(output)
    }

    /// Translates into `output`, for plugins that change the number of channels.
    ///
    /// # Errors
    /// [`Failure`] as the door or the plugin gave it.
    pub fn run_into(
        &mut self,
        inputs: &[&Array],
        params: &[(&str, ParamValue)],
        output: &mut Array,
    ) -> Result<(), Failure> {
        let inputs: Vec<IsoTensor> = inputs.iter().map(|array| array.input()).collect();
        let outputs = [output.output()];
        let params = serde_json::json!(params.iter().cloned().collect::<BTreeMap<_, _>>()).to_string();
        let context = serde_json::json!(self.context).to_string();
        let call = IsoCall {
            inputs: inputs.as_ptr(),
            outputs: outputs.as_ptr(),
            input_count: inputs.len() as u32,
            output_count: 1,
            params: IsoStr::new(&params),
            context: IsoStr::new(&context),
        };
        self.desk.outcome((self.entry.run)(self.instance, &self.desk.host(), &call))
    }

    /// From now on the host asks every call to stop.
    pub fn cancel(&mut self) {
        self.desk.notes().stop = true;
    }

    /// The fractions that calls reported so far.
    pub fn progress(&self) -> Vec<f32> {
        self.desk.notes().progress.clone()
    }

    /// The lines that calls logged so far, with their level 1 to 4.
    pub fn log(&self) -> Vec<(u32, String)> {
        self.desk.notes().log.clone()
    }
}

impl<T> Drop for Plugin<T> {
    fn drop(&mut self) {
        (self.entry.destroy)(self.instance);
    }
}

/// A training session of a plugin.
pub struct Training<T, R> {
    /// The step that the session starts with.
    pub first_step: u64,
    table: IsoTrain,
    session: *mut c_void,
    refine: [usize; 3],
    desk: Box<Desk>,
    plugin: PhantomData<(T, R)>,
}

impl<T: Translator, R: Trainer> Training<T, R> {
    /// Begins a session with one thread between two sides of unpaired patches with one channel; `resume` is the
    /// `checkpoint/` folder of an earlier one.
    ///
    /// # Errors
    /// [`Failure`] as the door or the trainer gave it.
    pub fn begin(params: &[(&str, ParamValue)], seed: u64, steps: u64, resume: Option<&Path>) -> Result<Self, Failure> {
        Self::begin_with(params, seed, steps, resume, &TrainContext::default())
    }

    /// As [`begin`](Self::begin), for patches such as `context` says.
    ///
    /// # Errors
    /// [`Failure`] as the door or the trainer gave it.
    pub fn begin_with(
        params: &[(&str, ParamValue)],
        seed: u64,
        steps: u64,
        resume: Option<&Path>,
        context: &TrainContext,
    ) -> Result<Self, Failure> {
        let table = door::table::<T, R>();
        let desk = Box::new(Desk::default());
        let params: BTreeMap<_, _> = params.iter().cloned().collect();
        let mut config = serde_json::json!(
            {"params": params, "seed": seed, "threads": 1, "steps": steps, "resume": resume}
        );
        if let (Some(config), serde_json::Value::Object(told)) = (config.as_object_mut(), serde_json::json!(context)) {
            config.extend(told);
        }
        let config = config.to_string();
        let (mut first_step, mut session) = (0, null_mut());
        let status = (table.begin)(&desk.host(), IsoStr::new(&config), &mut first_step, &mut session);
        desk.outcome(status)?;
        Ok(Self { first_step, table, session, refine: context.refine, desk, plugin: PhantomData })
    }

    /// One step; gives the losses.
    ///
    /// # Errors
    /// [`Failure`] as the door or the trainer gave it.
    pub fn step(&mut self, step: u64, source: &Array, target: &Array) -> Result<BTreeMap<String, f64>, Failure> {
        let (source, target) = (source.input(), target.input());
        let sink = IsoLossSink { ctx: self.desk.ctx(), report: take_losses };
        let status = (self.table.step)(self.session, &self.desk.host(), step, &source, &target, &sink);
        self.desk.outcome(status)?;
        Ok(serde_json::from_str(&self.desk.notes().losses).unwrap_or_default())
    }

    /// Translates a preview batch; the output has one channel and the voxels of `source`, times what the context refines by.
    ///
    /// # Errors
    /// [`Failure`] as the door or the trainer gave it.
    pub fn translate(&mut self, source: &Array) -> Result<Array, Failure> {
        let mut output = Array::zeros(Refine::output_shape(self.refine, source.shape));
        let (from, to) = (source.input(), output.output());
        self.desk.outcome((self.table.translate)(self.session, &self.desk.host(), &from, &to))?;
        Ok(output)
    }

    /// Saves into the existing folder `dir`.
    ///
    /// # Errors
    /// [`Failure`] as the door or the trainer gave it.
    pub fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), Failure> {
        let dir = dir.to_string_lossy();
        let status = (self.table.save)(self.session, &self.desk.host(), IsoStr::new(&dir), checkpoint.into());
        self.desk.outcome(status)
    }
}

impl<T, R> Drop for Training<T, R> {
    fn drop(&mut self) {
        (self.table.end)(self.session);
    }
}

/// The output's shape; parameters that will be refused count as their defaults.
fn refined_shape<T: Translator>(bundle: &Path, image: [usize; 5], params: &[(&str, ParamValue)]) -> [usize; 5] {
    let descriptor = T::descriptor_in(bundle).unwrap_or_else(|_| T::descriptor());
    let given = params.iter().map(|(id, value)| ((*id).to_owned(), serde_json::json!(value))).collect();
    let checked = descriptor.check_params(&given).or_else(|_| descriptor.check_params(&BTreeMap::new()));
    let [batch, _, z, y, x] =
        Refine::output_shape(descriptor.output.refine.factors(&checked.unwrap_or_default()), image);
    [batch, image[1], z, y, x]
}

/// The host's side: notes what the plugin tells it.
#[derive(Default)]
struct Desk(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    stop: bool,
    error: String,
    losses: String,
    progress: Vec<f32>,
    log: Vec<(u32, String)>,
}

impl Desk {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ctx(&self) -> *mut c_void {
        from_ref(self).cast_mut().cast()
    }

    fn host(&self) -> IsoHost {
        IsoHost { ctx: self.ctx(), progress, set_error, log, get_extension: no_extension }
    }

    fn outcome(&self, status: IsoStatus) -> Result<(), Failure> {
        let message = std::mem::take(&mut self.notes().error);
        if status == STATUS_OK { Ok(()) } else { Err(Failure { status, message }) }
    }
}

/// Runs `body` on the desk behind `ctx` and the text.
fn at_desk(ctx: *mut c_void, text: IsoStr, body: impl FnOnce(&mut Notes, String)) {
    // SAFETY: `ctx` is the desk that `Desk::host` put there, alive for the call; the text is readable by contract.
    let (desk, text) = unsafe { (&*ctx.cast::<Desk>(), text.to_text()) };
    body(&mut desk.notes(), text);
}

extern "C" fn progress(ctx: *mut c_void, fraction: f32) -> i32 {
    let mut stop = false;
    at_desk(ctx, IsoStr::new(""), |notes, _| {
        notes.progress.push(fraction);
        stop = notes.stop;
    });
    stop.into()
}

extern "C" fn set_error(ctx: *mut c_void, message: IsoStr) {
    at_desk(ctx, message, |notes, text| notes.error = text);
}

extern "C" fn log(ctx: *mut c_void, level: u32, message: IsoStr) {
    at_desk(ctx, message, |notes, text| notes.log.push((level, text)));
}

extern "C" fn take_losses(ctx: *mut c_void, json: IsoStr) {
    at_desk(ctx, json, |notes, text| notes.losses = text);
}

extern "C" fn no_extension(_: *mut c_void, _: IsoStr) -> *const c_void {
    std::ptr::null()
}

extern "C" fn unused_describe() -> IsoStr {
    IsoStr::new("")
}

extern "C" fn unused_extension(_: IsoStr) -> *const c_void {
    std::ptr::null()
}
