//! The program `isoscan`: runs image-translation plugins over radiology cohorts and measures what they changed.

mod audit;
mod check_dicom;
mod compare;
mod convert;
mod diff;
mod failure;
mod info;
mod memory;
mod phantom;
mod plugins;
mod progress;
mod radiomics;
mod run;
mod train;
mod translate;
mod watch;

use std::process::ExitCode;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use clap::{Parser, Subcommand};

use failure::Failure;

/// Translate radiology images with native plugins and measure whether the numbers became comparable.
#[derive(Parser)]
#[command(name = "isoscan", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a script over a cohort and write its report
    Run(run::Args),
    /// Run a script over every study that arrives in a folder, and follow the plugins that are installed meanwhile
    Watch(watch::Args),
    /// Translate one image with one plugin
    Translate(translate::Args),
    /// Look at images before something is learned from them: kinds, grids, copies, leakage between training and test
    Audit(audit::Args),
    /// Train a plugin's weights into a new bundle
    Train(Box<train::Args>),
    /// Extract radiomic features of an image and mask, or of many, as a table
    Radiomics(radiomics::Args),
    /// Compare two images on the same grid
    Compare(compare::Args),
    /// Tell what changed from one image to another: place, values, voxels, header
    Diff(diff::Args),
    /// Write an image in another format, or on another grid
    Convert(convert::Args),
    /// Check DICOM files against the standard and the rules for derived images
    CheckDicom(check_dicom::Args),
    /// Tell what a file or folder holds
    Info(info::Args),
    /// Make, check, sign, install and look at plugins
    #[command(subcommand)]
    Plugins(plugins::Command),
    /// Make phantom scans with exact truth
    Phantom(phantom::Args),
    /// The process that a plugin runs in; started by the engine
    #[command(hide = true)]
    PluginWorker,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::PluginWorker) {
        return ExitCode::from(u8::try_from(isoscan_host::plugin_worker()).unwrap_or(1));
    }
    memory::ask_for_huge_pages();
    let cancel = Arc::new(AtomicBool::new(false));
    stop_on_ctrl_c(&cancel);
    let done = match &cli.command {
        Command::Run(args) => run::run(args, &cancel),
        Command::Watch(args) => watch::run(args, &cancel),
        Command::Translate(args) => translate::run(args, &cancel),
        Command::Audit(args) => audit::run(args),
        Command::Train(args) => train::run(args, &cancel),
        Command::Radiomics(args) => radiomics::run(args, &cancel),
        Command::Compare(args) => compare::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Diff(args) => diff::run(args),
        Command::CheckDicom(args) => check_dicom::run(args),
        Command::Info(args) => info::run(args),
        Command::Plugins(command) => plugins::run(command),
        Command::Phantom(args) => phantom::run(args, &cancel),
        Command::PluginWorker => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show();
            if cancel.load(Ordering::SeqCst) { ExitCode::from(130) } else { ExitCode::from(failure.exit_code()) }
        }
    }
}

/// The first Ctrl-C asks the work to end cleanly, the second ends the program.
fn stop_on_ctrl_c(cancel: &Arc<AtomicBool>) {
    let cancel = cancel.clone();
    let handler = move || {
        if cancel.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        Failure::new(format!("Ctrl-C will not end the work cleanly: {error}")).show();
    }
}
