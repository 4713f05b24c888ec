use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, atomic::AtomicBool},
};

use rhai::{Dynamic, Engine, EvalAltResult, Position};
use serde_json::json;

use crate::{
    Access, Error, Limits, Progress, ScriptError, audit, budget::Budget, cohort, comparison, concordances, features,
    filters, grids, intensities, ledger::Ledger, limits, measure, phantom, plugins::Pins, readers, reading, regions,
    registration, scan, settings, stability, standard_scale, state::Run, study, translate, truth, write,
};

/// A script to run and what it is granted.
pub struct Request {
    /// The script file.
    pub script: PathBuf,
    /// Folder for outputs; made when missing.
    pub output: PathBuf,
    /// Values for the script's settings.
    pub settings: BTreeMap<String, String>,
    /// Threads that work on subjects.
    pub jobs: usize,
    /// Seed of every random number.
    pub seed: u64,
    /// Date that outputs bear, seconds since 1970-01-01 UTC; `None` for no date.
    pub made_at: Option<u64>,
    /// Folders the script may read, beside its own; an existing path among the settings is granted too.
    pub readable: Vec<PathBuf>,
    /// The plugins; a run of its own takes fresh ones.
    pub plugins: Arc<Pins>,
    /// What the script may use.
    pub limits: Limits,
    /// Set to end the run.
    pub cancel: Arc<AtomicBool>,
    /// Where it shows how far it is.
    pub progress: Arc<dyn Progress>,
}

/// A run that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Files written below the output folder, with their SHA-256.
    pub outputs: BTreeMap<String, String>,
}

/// Runs a script. Outputs appear one by one, each whole; `provenance.json` comes last and lists them, also when the
/// script fails half way.
///
/// # Errors
/// [`ScriptError`] with the place in the script.
pub fn run(request: &Request) -> Result<Outcome, ScriptError> {
    let text = std::fs::read_to_string(&request.script)
        .map_err(|error| placeless(request, String::new(), format!("cannot read the script: {error}")))?;
    let state = Arc::new(prepare(request, &text).map_err(|error| ScriptError {
        help: error.help().map(str::to_owned),
        ..placeless(request, text.clone(), error.to_string())
    })?);
    let engine = engine(request, &state);
    let watched = || evaluate(request, &engine, &state, &text);
    let ended = state.stop.watch(request.limits.wall, &request.cancel, watched);
    let recorded = provenance(&state).map_err(|error| placeless(request, text.clone(), error.to_string()));
    let () = ended.map_err(|error| located(request, &text, &error))?;
    recorded?;
    if !settings::were_used(&state) {
        let keys = request.settings.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(placeless(request, text, format!("the script declares no settings, but --set gave {keys}")));
    }
    let outputs = state.ledger().outputs.clone();
    Ok(Outcome { outputs })
}

fn prepare(request: &Request, text: &str) -> Result<Run, Error> {
    let unwritable = |source| isoscan_io::Error::Io { action: "create", path: request.output.clone(), source };
    std::fs::create_dir_all(&request.output).map_err(unwritable)?;
    let folder = request.script.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = request.settings.values().map(PathBuf::from).filter(|path| path.exists());
    let readable: Vec<PathBuf> = request.readable.iter().cloned().chain([folder.to_owned()]).chain(named).collect();
    Ok(Run {
        access: Access::new(Path::new(""), &readable, &request.output)?,
        seed: request.seed,
        made_at: request.made_at,
        budget: Budget::new(request.limits.memory_bytes),
        plugins: request.plugins.clone(),
        stop: limits::Stop::default(),
        progress: request.progress.clone(),
        overrides: request.settings.clone(),
        script_name: request.script.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        script_sha256: isoscan_io::sha256(text.as_bytes()),
        ast: OnceLock::new(),
        ledger: Mutex::new(Ledger::default()),
    })
}

fn engine(request: &Request, state: &Arc<Run>) -> Engine {
    let mut engine = Engine::new();
    limits::apply(&mut engine, request.limits, &state.stop);
    let progress = request.progress.clone();
    engine.on_print(move |line| progress.print(line));
    let progress = request.progress.clone();
    engine.on_debug(move |line, _, position| progress.print(&format!("{position}: {line}")));
    settings::register(&mut engine, state);
    scan::register(&mut engine, state);
    reading::register(&mut engine, state);
    audit::register(&mut engine, state);
    intensities::register(&mut engine, state);
    standard_scale::register(&mut engine, state);
    filters::register(&mut engine, state);
    grids::register(&mut engine, state);
    regions::register(&mut engine, state);
    registration::register(&mut engine, state);
    cohort::register(&mut engine, state);
    translate::register(&mut engine, state);
    features::register(&mut engine, state);
    measure::register(&mut engine, state);
    truth::register(&mut engine, state);
    readers::register(&mut engine, state);
    concordances::register(&mut engine, state);
    comparison::register(&mut engine, state);
    stability::register(&mut engine, state);
    write::register(&mut engine, state);
    study::register(&mut engine, state);
    phantom::register(&mut engine, state);
    engine
}

fn evaluate(request: &Request, engine: &Engine, state: &Run, text: &str) -> Result<(), Box<EvalAltResult>> {
    let ast = engine.compile(text)?;
    let ast = state.ast.get_or_init(|| ast);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(request.jobs.max(1)).build();
    let pool = pool.map_err(|error| EvalAltResult::ErrorSystem("cannot start threads".to_owned(), Box::new(error)))?;
    pool.install(|| engine.eval_ast::<Dynamic>(ast)).map(|_| ())
}

fn provenance(state: &Run) -> Result<(), Error> {
    let document = {
        let ledger = state.ledger();
        json!({
            "engine": {"name": "isoscan", "version": env!("CARGO_PKG_VERSION")},
            "script": {"name": state.script_name, "sha256": state.script_sha256},
            "seed": state.seed,
            "settings": ledger.settings,
            "inputs": ledger.inputs,
            "plugins": ledger.plugins.values().collect::<Vec<_>>(),
            "steps": ledger.steps,
            "outputs": ledger.outputs,
        })
    };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Error::Json { what: "provenance.json", reason: error.to_string() })?;
    let path = state.access.writable("provenance.json")?;
    isoscan_io::write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
    Ok(())
}

fn placeless(request: &Request, text: String, message: String) -> ScriptError {
    ScriptError { file: request.script.clone(), text, line: 0, column: 0, message, help: None }
}

fn located(request: &Request, text: &str, error: &EvalAltResult) -> ScriptError {
    let inner = error.unwrap_inner().position();
    let position = if inner == Position::NONE { error.position() } else { inner };
    ScriptError {
        file: request.script.clone(),
        text: text.to_owned(),
        line: position.line().unwrap_or(0),
        column: position.position().unwrap_or(1),
        message: limits::sentence(error),
        help: limits::help(error),
    }
}
