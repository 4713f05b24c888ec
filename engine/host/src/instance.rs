//! Calling a plugin's functions: the same code in a worker process and in the engine's own.

use std::{
    ffi::c_void,
    ptr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use isoscan_abi::{IsoCall, IsoHost, IsoLossSink, IsoStatus, IsoStr, IsoTensor, IsoTrain, STATUS_INVALID, STATUS_OK};

use crate::{
    batch::{self, Part},
    library::Library,
};

/// Stands for the message of a status that came without one.
pub(crate) const NO_MESSAGE: &str = "it gave no message";

/// One thing to do, with tensors as `T`: buffers in the engine, views in the process that calls the plugin.
#[derive(Debug)]
pub(crate) enum Order<'a, T> {
    /// Ask for the descriptor again.
    Describe,
    /// Make an instance; one that is there is freed first.
    Create { config: &'a str },
    /// Translate.
    Run { inputs: Vec<T>, output: T, params: &'a str, context: &'a str },
    /// Start a training session.
    Begin { config: &'a str },
    /// One training step.
    Step { step: u64, source: T, target: T },
    /// Translate with the weights in training.
    Preview { source: T, output: T },
    /// Translate several times.
    Batch { parts: Vec<Part<'a, T>> },
    /// Write the weights.
    Save { dir: &'a str, checkpoint: bool },
}

/// What a plugin answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: IsoStatus,
    /// Message of a status other than OK; losses of a training step, outcomes of a batch.
    pub(crate) text: String,
    /// First step of a training session; 1 when the descriptor is still the one read at first.
    pub(crate) value: u64,
    pub(crate) spent: Duration,
}

/// What the plugin may ask of the host during a call.
pub(crate) struct Hearing<'a> {
    /// Told the fraction done; true asks the plugin to stop.
    pub(crate) progress: &'a (dyn Fn(f32) -> bool + Sync),
    /// Told a level and a line.
    pub(crate) log: &'a (dyn Fn(u32, &str) + Sync),
    pub(crate) error: Mutex<Option<String>>,
    pub(crate) losses: Mutex<Option<String>>,
}

/// A plugin's instance and training session, as far as they were asked for.
pub(crate) struct Instance {
    library: Library,
    translator: Option<*mut c_void>,
    session: Option<*mut c_void>,
}

// SAFETY: the contract lets an instance be used from one thread at a time, whichever it is; `&mut self` ensures that.
unsafe impl Send for Instance {}

impl Instance {
    pub(crate) fn new(library: Library) -> Self {
        Self { library, translator: None, session: None }
    }

    pub(crate) fn is_created(&self) -> bool {
        self.translator.is_some()
    }

    /// Carries out one order; whatever the plugin points to is borrowed until this returns.
    pub(crate) fn execute(&mut self, order: &Order<'_, IsoTensor>, hearing: &Hearing<'_>) -> Answer {
        let host = host_table(hearing);
        let start = Instant::now();
        let (mut value, mut outcomes) = (0, None);
        let outcome = match order {
            Order::Describe => {
                // SAFETY: `describe` promises text that lives as long as the library, which is never unloaded.
                let text = unsafe { (self.library.entry.describe)().to_text() };
                value = u64::from(text == self.library.text);
                Ok(STATUS_OK)
            }
            Order::Create { config } => self.create(&host, config),
            Order::Run { inputs, output, params, context } => self.run(&host, inputs, output, params, context),
            Order::Batch { parts } => self.batch(&host, parts, hearing, &mut outcomes),
            Order::Begin { config } => self.begin(&host, config, &mut value),
            Order::Step { step, source, target } => {
                let losses = IsoLossSink { ctx: host.ctx, report: report_losses };
                self.with_session(|train, session| (train.step)(session, &host, *step, source, target, &losses))
            }
            Order::Preview { source, output } => {
                self.with_session(|train, session| (train.translate)(session, &host, source, output))
            }
            Order::Save { dir, checkpoint } => {
                let dir = IsoStr::new(dir);
                self.with_session(|train, session| (train.save)(session, &host, dir, u32::from(*checkpoint)))
            }
        };
        let spent = start.elapsed();
        let (status, text) = match outcome {
            Ok(STATUS_OK) => (STATUS_OK, outcomes.or_else(|| taken(&hearing.losses)).unwrap_or_default()),
            Ok(status) => (status, taken(&hearing.error).unwrap_or_else(|| NO_MESSAGE.to_owned())),
            Err(reason) => (STATUS_INVALID, reason.to_owned()),
        };
        Answer { status, text, value, spent }
    }

    fn create(&mut self, host: &IsoHost, config: &str) -> Result<IsoStatus, &'static str> {
        if let Some(former) = self.translator.take() {
            (self.library.entry.destroy)(former);
        }
        let mut translator = ptr::null_mut();
        let status = (self.library.entry.create)(host, IsoStr::new(config), &mut translator);
        self.translator = (status == STATUS_OK).then_some(translator);
        Ok(status)
    }

    fn run(
        &mut self,
        host: &IsoHost,
        inputs: &[IsoTensor],
        output: &IsoTensor,
        params: &str,
        context: &str,
    ) -> Result<IsoStatus, &'static str> {
        let Some(translator) = self.translator else { return Err("no instance was made") };
        let call = IsoCall {
            inputs: inputs.as_ptr(),
            outputs: output,
            input_count: inputs.len() as u32,
            output_count: 1,
            params: IsoStr::new(params),
            context: IsoStr::new(context),
        };
        Ok((self.library.entry.run)(translator, host, &call))
    }

    fn batch(
        &mut self,
        host: &IsoHost,
        parts: &[Part<'_, IsoTensor>],
        hearing: &Hearing<'_>,
        outcomes: &mut Option<String>,
    ) -> Result<IsoStatus, &'static str> {
        let Some(table) = self.library.batch else { return Err("it does not offer isoscan.batch/1") };
        let Some(translator) = self.translator else { return Err("no instance was made") };
        let (status, text) = batch::run(table, translator, host, parts, hearing);
        *outcomes = Some(text);
        Ok(status)
    }

    fn begin(&mut self, host: &IsoHost, config: &str, first_step: &mut u64) -> Result<IsoStatus, &'static str> {
        let Some(train) = self.library.train else { return Err("it does not offer isoscan.train/1") };
        let mut session = ptr::null_mut();
        let status = (train.begin)(host, IsoStr::new(config), first_step, &mut session);
        self.session = (status == STATUS_OK).then_some(session);
        Ok(status)
    }

    fn with_session(&self, call: impl FnOnce(&IsoTrain, *mut c_void) -> IsoStatus) -> Result<IsoStatus, &'static str> {
        let session = self.library.train.zip(self.session).ok_or("no training session was started")?;
        Ok(call(session.0, session.1))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(translator) = self.translator {
            (self.library.entry.destroy)(translator);
        }
        if let Some((train, session)) = self.library.train.zip(self.session) {
            (train.end)(session);
        }
    }
}

impl<'a> Hearing<'a> {
    pub(crate) fn new(progress: &'a (dyn Fn(f32) -> bool + Sync), log: &'a (dyn Fn(u32, &str) + Sync)) -> Self {
        Self { progress, log, error: Mutex::new(None), losses: Mutex::new(None) }
    }
}

pub(crate) fn host_table(hearing: &Hearing<'_>) -> IsoHost {
    IsoHost { ctx: ptr::from_ref(hearing).cast_mut().cast(), progress, set_error, log, get_extension }
}

pub(crate) fn taken(slot: &Mutex<Option<String>>) -> Option<String> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The hearing behind a host table.
///
/// # Safety
/// `ctx` must be the `ctx` of a table made by [`host_table`] whose call has not returned.
unsafe fn hearing_of<'a>(ctx: *mut c_void) -> &'a Hearing<'a> {
    // SAFETY: `host_table` put a hearing there, and `execute` keeps it alive until the call returns.
    unsafe { &*ctx.cast::<Hearing<'a>>() }
}

extern "C" fn progress(ctx: *mut c_void, fraction: f32) -> i32 {
    // SAFETY: the plugin passes the `ctx` it was given, during the call, as the contract demands.
    let hearing = unsafe { hearing_of(ctx) };
    i32::from((hearing.progress)(fraction))
}

extern "C" fn set_error(ctx: *mut c_void, message: IsoStr) {
    // SAFETY: `ctx` as in `progress`; the plugin lends `len` readable bytes for this call.
    let (hearing, text) = unsafe { (hearing_of(ctx), message.to_text()) };
    *hearing.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

extern "C" fn log(ctx: *mut c_void, level: u32, message: IsoStr) {
    // SAFETY: as in `set_error`.
    let (hearing, text) = unsafe { (hearing_of(ctx), message.to_text()) };
    (hearing.log)(level, &text);
}

extern "C" fn report_losses(ctx: *mut c_void, json: IsoStr) {
    // SAFETY: as in `set_error`; the loss sink carries the host table's `ctx`.
    let (hearing, text) = unsafe { (hearing_of(ctx), json.to_text()) };
    *hearing.losses.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

/// No host-side extension exists yet; the ones to come are answered here.
extern "C" fn get_extension(_ctx: *mut c_void, _id: IsoStr) -> *const c_void {
    ptr::null()
}
