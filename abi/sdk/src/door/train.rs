use core::ffi::c_void;
use std::collections::BTreeMap;
use std::path::PathBuf;

use isoscan_abi::{IsoHost, IsoLossSink, IsoStatus, IsoStr, IsoTensor, IsoTrain, STATUS_PANICKED, TrainContext};
use serde::Deserialize;

use super::{discard, guard, json, path};
use crate::tensor::overlap;
use crate::{Params, PluginError, TensorView, TensorViewMut, TrainConfig, Trainer, Translator};

/// The training table of a plugin; `T` gives the id for messages.
pub const fn table<T: Translator, R: Trainer>() -> IsoTrain {
    IsoTrain { begin: begin::<T, R>, step: step::<R>, translate: translate::<R>, save: save::<R>, end: end::<R> }
}

/// A training session as the host holds it; `None` after a panic.
struct Session<R>(Option<R>);

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    params: BTreeMap<String, serde_json::Value>,
    seed: u64,
    threads: usize,
    steps: u64,
    #[serde(default)]
    resume: Option<PathBuf>,
    #[serde(flatten)]
    context: TrainContext,
}

extern "C" fn begin<T: Translator, R: Trainer>(
    host: *const IsoHost,
    config: IsoStr,
    first_step: *mut u64,
    session: *mut *mut c_void,
) -> IsoStatus {
    guard(host, |_| {
        // SAFETY: the host passes null or places for one number and one pointer.
        let (Some(first_step), Some(session)) = (unsafe { (first_step.as_mut(), session.as_mut()) }) else {
            return Err(PluginError::invalid("no place for the session"));
        };
        // SAFETY: the host passes readable text by contract.
        let Document { params, seed, threads, steps, resume, context } = json(unsafe { config.to_text() }, "config")?;
        let params = Params::check(&params, &T::descriptor().id, &R::params())?;
        let (trainer, first) = R::begin(&TrainConfig { params, seed, threads, steps, resume, context })?;
        *first_step = first;
        *session = Box::into_raw(Box::new(Session(Some(trainer)))).cast();
        Ok(())
    })
}

extern "C" fn step<R: Trainer>(
    session: *mut c_void,
    host: *const IsoHost,
    step: u64,
    source: *const IsoTensor,
    target: *const IsoTensor,
    losses: *const IsoLossSink,
) -> IsoStatus {
    enter(session, host, |trainer: &mut R| {
        // SAFETY: null or a sink that stays valid until the call returns.
        let sink = unsafe { losses.as_ref() }.ok_or_else(|| PluginError::invalid("no place for the losses"))?;
        // SAFETY: the tensors stay valid and unchanged until the call returns.
        let (source, target) =
            unsafe { (TensorView::open(given(source)?, "source")?, TensorView::open(given(target)?, "target")?) };
        let losses = trainer.step(step, source, target)?;
        if let Some((name, value)) = losses.iter().find(|(_, value)| !value.is_finite()) {
            return Err(PluginError::failed(format_args!("loss '{name}' became {value} at step {step}")));
        }
        let text = serde_json::to_string(&losses).map_err(PluginError::failed)?;
        (sink.report)(sink.ctx, IsoStr::new(&text));
        Ok(())
    })
}

extern "C" fn translate<R: Trainer>(
    session: *mut c_void,
    host: *const IsoHost,
    source: *const IsoTensor,
    output: *const IsoTensor,
) -> IsoStatus {
    enter(session, host, |trainer: &mut R| {
        // SAFETY: null or tensors that stay valid until the call returns.
        let (source, output) = unsafe { (given(source)?, given(output)?) };
        if overlap(source, output) {
            return Err(PluginError::invalid("the source and the output share memory"));
        }
        // SAFETY: as above; the output is the plugin's alone and does not overlap the source.
        let (source, output) = unsafe { (TensorView::open(source, "source")?, TensorViewMut::open(output, "output")?) };
        trainer.translate(source, output)
    })
}

extern "C" fn save<R: Trainer>(session: *mut c_void, host: *const IsoHost, dir: IsoStr, checkpoint: u32) -> IsoStatus {
    enter(session, host, |trainer: &mut R| trainer.save(&path(dir), checkpoint != 0))
}

extern "C" fn end<R: Trainer>(session: *mut c_void) {
    if session.is_null() {
        return;
    }
    // SAFETY: the pointer came from `begin` and the host gives it up here.
    discard(unsafe { Box::from_raw(session.cast::<Session<R>>()) });
}

fn enter<R: Trainer>(
    session: *mut c_void,
    host: *const IsoHost,
    body: impl FnOnce(&mut R) -> Result<(), PluginError>,
) -> IsoStatus {
    // SAFETY: null or a pointer of `begin` that is not used elsewhere during the call.
    let Some(Session(trainer)) = (unsafe { session.cast::<Session<R>>().as_mut() }) else {
        return guard(host, |_| Err(PluginError::invalid("no session")));
    };
    let status = guard(host, |_| {
        let trainer = trainer.as_mut().ok_or_else(|| PluginError::failed("the session ended with a panic"))?;
        body(trainer)
    });
    if status == STATUS_PANICKED {
        discard(trainer.take());
    }
    status
}

/// # Safety
/// `tensor` must be null or point to a tensor that stays valid for `'a`.
unsafe fn given<'a>(tensor: *const IsoTensor) -> Result<&'a IsoTensor, PluginError> {
    // SAFETY: the caller's promise.
    unsafe { tensor.as_ref() }.ok_or_else(|| PluginError::invalid("a tensor is missing"))
}
