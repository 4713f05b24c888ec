//! `isoscan run`: a script over a cohort.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use isoscan_script::{Limits, Pins, Request};

use crate::{
    failure::Failure,
    plugins::Where,
    progress::{Shown, note},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Rhai script
    script: PathBuf,
    /// Folder for the outputs; made when missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A setting of the script; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Subjects worked on at the same time [default: number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Seed of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// A folder the script may read, beside its own and those named with --set
    #[arg(long = "read", value_name = "DIR")]
    readable: Vec<PathBuf>,
    /// Memory for the images a script holds, MiB
    #[arg(long, default_value_t = 8192, value_name = "MIB")]
    memory: u64,
    /// Longest time of the run, seconds
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
    wall_time: u64,
    #[command(flatten)]
    plugins: Where,
}

/// Parses `KEY=VALUE`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, found {text}"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let jobs = args.jobs.unwrap_or_else(cores);
    if jobs == 0 {
        return Err(Failure::new("--jobs must be at least 1"));
    }
    let outcome = isoscan_script::run(&Request {
        script: args.script.clone(),
        output: args.out.clone(),
        settings: args.settings.iter().cloned().collect::<BTreeMap<_, _>>(),
        jobs,
        seed: args.seed,
        made_at: crate::translate::made_at(),
        readable: args.readable.clone(),
        plugins: Arc::new(Pins::new(args.plugins.shelf(jobs, 1)?)),
        limits: Limits {
            wall: Duration::from_secs(args.wall_time),
            memory_bytes: args.memory << 20,
            ..Limits::default()
        },
        cancel: cancel.clone(),
        progress: Arc::new(Shown::default()),
    })?;
    note(&format!("{} files in {}", outcome.outputs.len() + 1, args.out.display()));
    Ok(())
}
