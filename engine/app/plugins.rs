//! `isoscan plugins list`, and where plugins are found and how they are run.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use isoscan_abi::{Descriptor, Param, ParamKind};
use isoscan_host::{Bundle, Isolation, Options, Plugin, discover, open_bundle};

use crate::{failure::Failure, progress::say};

/// What to do with plugins.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the plugins with what they take, give and can be told
    List(Where),
}

/// Where plugins lie and how they are run.
#[derive(Args, Clone)]
pub(crate) struct Where {
    /// Folder of plugin bundles; may be given more than once [default: `plugins` beside the program]
    #[arg(long = "plugins", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Longest time of one call into a plugin, seconds
    #[arg(long, default_value_t = 120.0, value_name = "SECONDS")]
    deadline: f64,
    /// Run plugins in this process: a crash of a plugin is then a crash of the program
    #[arg(long)]
    in_process: bool,
}

impl Where {
    /// The folders given, or the one beside the program.
    pub(crate) fn folders(&self) -> Result<Vec<PathBuf>, Failure> {
        if !self.folders.is_empty() {
            return Ok(self.folders.clone());
        }
        let folder = program()?.parent().map(|folder| folder.join("plugins"));
        Ok(folder.filter(|folder| folder.is_dir()).into_iter().collect())
    }

    /// Options of the host for `workers` calls at a time with `threads` each.
    pub(crate) fn options(&self, workers: usize, threads: usize) -> Result<Options, Failure> {
        if !(self.deadline.is_finite() && self.deadline > 0.0) {
            return Err(Failure::new(format!("--deadline must be positive, found {}", self.deadline)));
        }
        Ok(Options {
            isolation: if self.in_process { Isolation::InProcess } else { Isolation::Worker },
            workers,
            threads,
            deadline: Duration::from_secs_f64(self.deadline),
            worker_program: program()?,
        })
    }

    /// The bundle of an id in the folders, or at a path.
    pub(crate) fn bundle(&self, id_or_path: &str) -> Result<Bundle, Failure> {
        let path = PathBuf::from(id_or_path);
        if path.components().count() > 1 || path.exists() {
            return Ok(open_bundle(&path)?);
        }
        Ok(isoscan_script::find_bundle(&self.folders()?, id_or_path)?)
    }
}

fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::new(format!("cannot find the program's own file: {error}")))
}

/// Runs `isoscan plugins ...`.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let Command::List(place) = command;
    let folders = place.folders()?;
    if folders.is_empty() {
        return Err(Failure::new("no plugins folder beside the program").help("name one with --plugins DIR"));
    }
    for folder in &folders {
        for bundle in discover(folder) {
            match bundle {
                Ok(bundle) => show(&bundle, place)?,
                Err(error) => say(&format!("refused: {error}\n")),
            }
        }
    }
    Ok(())
}

fn show(bundle: &Bundle, place: &Where) -> Result<(), Failure> {
    match Plugin::open(bundle, place.options(1, 1)?) {
        Ok(plugin) => say(&describe(plugin.descriptor(), bundle)),
        Err(fault) => say(&format!("{} {}: {fault}\n", bundle.id, bundle.version)),
    }
    Ok(())
}

fn describe(descriptor: &Descriptor, bundle: &Bundle) -> String {
    let mut text = format!("{} {}: {}\n", bundle.id, bundle.version, descriptor.summary);
    for input in &descriptor.inputs {
        let modalities: Vec<String> = input.modalities.iter().map(|m| format!("{m:?}").to_uppercase()).collect();
        let kinds = if modalities.is_empty() { "any modality".to_owned() } else { modalities.join(" or ") };
        let optional = if input.optional { ", optional" } else { "" };
        text += &format!("  input {}: {kinds}{optional}; {}\n", input.name, input.text);
    }
    for param in &descriptor.params {
        text += &format!("  --set {}=...  {}; {}\n", param.id, legal(param), param.text);
    }
    text += &format!("  library sha256 {}\n", bundle.sha256);
    if let Some(weights) = &bundle.weights_sha256 {
        text += &format!("  weights sha256 {weights}\n");
    }
    text
}

fn legal(param: &Param) -> String {
    let unit = if param.unit.is_empty() { String::new() } else { format!(" {}", param.unit) };
    match &param.kind {
        ParamKind::Float { min, max, default } => format!("{min} to {max}{unit}, default {default}"),
        ParamKind::Int { min, max, default } => format!("{min} to {max}{unit}, default {default}"),
        ParamKind::Bool { default } => format!("true or false, default {default}"),
        ParamKind::Choice { choices, default } => format!("one of {}, default {default}", choices.join(", ")),
    }
}
