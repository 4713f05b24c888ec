//! `isoscan plugins check`: does a bundle keep the contract?

use std::path::PathBuf;

use clap::Args as ClapArgs;
use isoscan_host::{CheckOptions, check_bundle, check_rules};

use super::place::strict_options;
use crate::{failure::Failure, progress::say};

/// Which bundle, and which rules.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Bundle folder, or a bare library
    bundle: PathBuf,
    /// Also write the cases to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Report this case only
    #[arg(long, value_name = "CASE")]
    only: Option<String>,
    /// Longest time of one call into the plugin, seconds [default: what the plugin declares, or 120]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
}

/// Prints a table of every rule; fails when one is broken.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let rules = check_rules();
    if let Some(unknown) = args.only.as_ref().filter(|only| rules.iter().all(|(name, _)| name != only)) {
        let names: Vec<&str> = rules.iter().map(|(name, _)| *name).collect();
        return Err(Failure::new(format!("expected the name of a case, found '{unknown}'"))
            .help(format!("the cases are {}", names.join(", "))));
    }
    let options = CheckOptions { host: strict_options(args.deadline)?, only: args.only.clone() };
    let report = check_bundle(&args.bundle, &options);
    say(&report.to_string());
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report).map_err(Failure::new)?;
        isoscan_io::write_atomically(path, |out| writeln!(out, "{text}"))?;
    }
    if report.passed() {
        return Ok(());
    }
    Err(Failure::new(format!("{} breaks the contract", report.plugin)).help("each failed case tells its remedy above"))
}
