use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::RecvTimeoutError,
    },
    time::{Duration, Instant},
};

use rhai::{Dynamic, Engine, EvalAltResult};

/// What a script may use before it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Operations of the script language, for the script and for each closure call; images do not count.
    pub operations: u64,
    /// Wall time.
    pub wall: Duration,
    /// Bytes of images and masks held at once.
    pub memory_bytes: u64,
}

impl Default for Limits {
    /// 20 million operations, 24 hours, 8 GiB.
    fn default() -> Self {
        Self { operations: 20_000_000, wall: Duration::from_secs(24 * 3600), memory_bytes: 8 << 30 }
    }
}

const WALL: &str = "wall time";
const CANCELLED: &str = "cancelled";

/// Tells a run to stop: its wall time is over, or somebody cancelled. Plugin calls see the same flag, so a long call
/// ends too.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    flag: Arc<AtomicBool>,
    out_of_time: Arc<AtomicBool>,
}

impl Stop {
    /// The flag that verbs hand to long work.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    pub(crate) fn is_set(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Runs `work` under watch of the clock and of `cancel`.
    pub(crate) fn watch<T>(&self, wall: Duration, cancel: &AtomicBool, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let (done, finished) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|threads| {
            threads.spawn(move || {
                while finished.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                    let late = start.elapsed() > wall;
                    if late || cancel.load(Ordering::SeqCst) {
                        self.out_of_time.store(late, Ordering::SeqCst);
                        self.flag.store(true, Ordering::SeqCst);
                        return;
                    }
                }
            });
            let result = work();
            drop(done);
            result
        })
    }
}

/// How often the watch looks.
const GLANCE: Duration = Duration::from_millis(20);

/// Puts the limits on an engine.
pub(crate) fn apply(engine: &mut Engine, limits: Limits, stop: &Stop) {
    engine.set_max_operations(limits.operations);
    engine.set_max_call_levels(64);
    engine.set_max_expr_depths(64, 64);
    engine.set_max_string_size(1 << 20);
    engine.set_max_array_size(1 << 20);
    engine.set_max_map_size(1 << 16);
    engine.set_strict_variables(true);
    engine.set_module_resolver(rhai::module_resolvers::DummyModuleResolver::new());
    engine.disable_symbol("eval");
    let stop = stop.clone();
    engine.on_progress(move |_| {
        let reason = || if stop.out_of_time.load(Ordering::SeqCst) { WALL } else { CANCELLED };
        stop.is_set().then(|| reason().into())
    });
}

/// A limit or Ctrl-C ended the run.
pub(crate) fn is_stop(error: &EvalAltResult) -> bool {
    matches!(
        error.unwrap_inner(),
        EvalAltResult::ErrorTerminated(..)
            | EvalAltResult::ErrorTooManyOperations(..)
            | EvalAltResult::ErrorStackOverflow(..)
    )
}

/// The script itself is wrong, for every subject alike.
pub(crate) fn is_mistake(error: &EvalAltResult) -> bool {
    matches!(
        error.unwrap_inner(),
        EvalAltResult::ErrorFunctionNotFound(..)
            | EvalAltResult::ErrorVariableNotFound(..)
            | EvalAltResult::ErrorPropertyNotFound(..)
            | EvalAltResult::ErrorMismatchDataType(..)
            | EvalAltResult::ErrorParsing(..)
    )
}

/// One sentence of what went wrong.
pub(crate) fn sentence(error: &EvalAltResult) -> String {
    match error.unwrap_inner() {
        EvalAltResult::ErrorRuntime(value, _) => thrown(value),
        EvalAltResult::ErrorTerminated(token, _) if token.clone().into_string().as_deref() == Ok(WALL) => {
            "the script ran past its wall time".to_owned()
        }
        EvalAltResult::ErrorTerminated(..) => "the run was cancelled".to_owned(),
        EvalAltResult::ErrorTooManyOperations(_) => "the script ran past its limit of operations".to_owned(),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            format!("no such function: {}", signature.replace("&str | ImmutableString | String", "text"))
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => format!("no such variable: {name}"),
        EvalAltResult::ErrorParsing(kind, _) => kind.to_string(),
        EvalAltResult::ErrorDataRace(..) => "a closure uses the very value whose verb it is given to".to_owned(),
        other => {
            let text = other.to_string();
            text.split(" (line").next().unwrap_or(&text).to_owned()
        }
    }
}

/// What to do about it.
pub(crate) fn help(error: &EvalAltResult) -> Option<String> {
    match error.unwrap_inner() {
        EvalAltResult::ErrorRuntime(value, _) => {
            let map = value.read_lock::<rhai::Map>()?;
            map.get("help").and_then(|help| help.clone().into_string().ok())
        }
        EvalAltResult::ErrorTooManyOperations(_) => {
            Some("look for a loop that does not end; voxels are worked on by verbs, not by loops".to_owned())
        }
        EvalAltResult::ErrorTerminated(token, _) if token.clone().into_string().as_deref() == Ok(WALL) => {
            Some("raise it with --wall-time SECONDS".to_owned())
        }
        EvalAltResult::ErrorFunctionNotFound(..) => {
            Some("check the name, the number and the types of its arguments".to_owned())
        }
        EvalAltResult::ErrorVariableNotFound(..) => Some("declare it with `let` before it is used".to_owned()),
        EvalAltResult::ErrorDataRace(..) => {
            Some("take what the closure needs into a variable of its own before the call".to_owned())
        }
        EvalAltResult::ErrorParsing(..) => Some("the script was not started: nothing was read or written".to_owned()),
        _ => None,
    }
}

/// A thrown value as a sentence: the message of a verb's failure, or the value itself.
pub(crate) fn thrown(value: &Dynamic) -> String {
    let message = value.read_lock::<rhai::Map>().and_then(|map| map.get("message").map(ToString::to_string));
    message.unwrap_or_else(|| value.to_string())
}
