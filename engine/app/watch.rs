//! `isoscan watch`: a script over every study that arrives in a folder.
//!
//! What lies in the folders is the whole state: an entry of the input folder whose result lies in the output folder is
//! done. Results appear whole, by rename.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use isoscan_host::Shelf;
use isoscan_script::{Limits, Outcome, Pins, Request, ScriptError};
use walkdir::WalkDir;

use crate::{
    failure::Failure,
    plugins::Where,
    progress::{Shown, note, say},
    run::{cores, setting},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Rhai script; it gets each study as its setting `input`
    script: PathBuf,
    /// Folder where studies arrive, each a folder or a file
    #[arg(long, value_name = "DIR")]
    input: PathBuf,
    /// Folder for the results, one folder each; made when missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A further setting of the script; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// A study is complete when it has not changed for this long, seconds
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    settle: f64,
    /// Share of jobs, 0 to 1, that a new plugin version does beside the old one before it takes over
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    shadow: f64,
    /// Work on what is there, then end
    #[arg(long)]
    once: bool,
    /// Threads that work on one study [default: number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Seed of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// A folder the script may read beside its own and the input
    #[arg(long = "read", value_name = "DIR")]
    readable: Vec<PathBuf>,
    #[command(flatten)]
    plugins: Where,
}

/// Time between two looks at the input folder.
const LOOK: Duration = Duration::from_millis(250);
pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let settle = Duration::try_from_secs_f64(args.settle)
        .map_err(|_| Failure::new(format!("--settle must be at least 0, found {}", args.settle)))?;
    if !(0.0..=1.0).contains(&args.shadow) {
        return Err(Failure::new(format!("--shadow must be in 0..1, found {}", args.shadow)));
    }
    fs::create_dir_all(&args.out).map_err(|error| unusable(&args.out, &error))?;
    let shelf = args.plugins.serving(jobs(args), args.shadow)?;
    note(&format!("watching {}", args.input.display()));
    let mut looks = BTreeMap::new();
    while !cancel.load(Ordering::SeqCst) {
        let waiting = waiting(args).map_err(|error| unusable(&args.input, &error))?;
        if args.once && waiting.is_empty() {
            return Ok(());
        }
        for study in &waiting {
            if has_settled(&args.input.join(study), &mut looks, settle) && !cancel.load(Ordering::SeqCst) {
                work(args, study, &shelf, cancel)?;
            }
        }
        thread::sleep(LOOK);
    }
    Err(Failure::new("stopped").help("the same command takes up what was not finished"))
}

fn jobs(args: &Args) -> usize {
    args.jobs.unwrap_or_else(cores).max(1)
}

/// Runs the script on one study and puts its result, or the reason of its failure, into place. Where a new plugin
/// version failed in it, the whole study is done once more without that version.
fn work(args: &Args, study: &str, shelf: &Arc<Shelf>, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let partial = args.out.join(format!(".partial-{study}"));
    let run = |pins: &Arc<Pins>| -> Result<_, Failure> {
        remove(&partial)?;
        Ok(isoscan_script::run(&request(args, study, &partial, pins, cancel)?))
    };
    let pins = Arc::new(Pins::new(shelf.clone()));
    let mut outcome = run(&pins)?;
    if let Some(others) = pins.alternatives().map(Arc::new).filter(|_| !cancel.load(Ordering::SeqCst)) {
        note(&format!("{study}: a new plugin version failed; done once more with the one before it"));
        outcome = run(&others)?;
        if others.met_faults() {
            pins.excuse();
        }
    }
    if cancel.load(Ordering::SeqCst) {
        return remove(&partial);
    }
    put(args, study, &partial, &outcome)
}

fn put(args: &Args, study: &str, partial: &Path, outcome: &Result<Outcome, ScriptError>) -> Result<(), Failure> {
    let name = if outcome.is_ok() { study.to_owned() } else { failed_name(study) };
    if let Err(error) = outcome {
        fs::create_dir_all(partial).map_err(|error| unusable(partial, &error))?;
        let told = format!("{}:{}:{}: {error}\n", error.file.display(), error.line, error.column);
        isoscan_io::write_atomically(&partial.join("error.txt"), |out| out.write_all(told.as_bytes()))?;
        note(&format!("{study}: failed: {error}"));
    }
    let place = args.out.join(&name);
    fs::rename(partial, &place).map_err(|error| unusable(&place, &error))?;
    say(&format!("{study} -> {}", place.display()));
    Ok(())
}

fn request(
    args: &Args,
    study: &str,
    output: &Path,
    pins: &Arc<Pins>,
    cancel: &Arc<AtomicBool>,
) -> Result<Request, Failure> {
    let input = args.input.join(study).to_str().map(str::to_owned);
    let input = input.ok_or_else(|| Failure::new(format!("the path of {study} is no UTF-8 text")))?;
    let mut settings: BTreeMap<String, String> = args.settings.iter().cloned().collect();
    settings.insert("input".to_owned(), input);
    Ok(Request {
        script: args.script.clone(),
        output: output.to_owned(),
        settings,
        jobs: jobs(args),
        seed: args.seed,
        made_at: crate::translate::made_at(),
        readable: args.readable.clone(),
        plugins: pins.clone(),
        limits: Limits::default(),
        cancel: cancel.clone(),
        progress: Arc::new(Shown::default()),
    })
}

/// The entries of the input folder that have no result, by name.
fn waiting(args: &Args) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(&args.input)? {
        if let Ok(name) = entry?.file_name().into_string() {
            let is_done = args.out.join(&name).exists() || args.out.join(failed_name(&name)).exists();
            if !name.starts_with('.') && !is_done {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

fn failed_name(study: &str) -> String {
    format!("{study}.failed")
}

/// Every file of a study with its size and time, and since when it looks like that.
struct Look {
    files: Vec<(PathBuf, u64, Option<SystemTime>)>,
    since: Instant,
}

/// True when nothing of the study at `path` has changed for `settle`.
fn has_settled(path: &Path, looks: &mut BTreeMap<PathBuf, Look>, settle: Duration) -> bool {
    let entries = WalkDir::new(path).sort_by_file_name().into_iter().flatten();
    let files: Vec<_> = entries
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let facts = entry.metadata().ok()?;
            Some((entry.into_path(), facts.len(), facts.modified().ok()))
        })
        .collect();
    let fresh = |files| Look { files, since: Instant::now() };
    let look = looks.entry(path.to_owned()).or_insert_with(|| fresh(Vec::new()));
    if look.files != files {
        *look = fresh(files);
    }
    !look.files.is_empty() && look.since.elapsed() >= settle
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unusable(path, &error)),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
