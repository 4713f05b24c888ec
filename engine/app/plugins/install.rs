//! `isoscan plugins install`

use std::path::PathBuf;

use isoscan_host::install_bundle;

use super::place::program;
use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bundle folder or its .tar.gz archive
    source: PathBuf,
    /// Folder of plugin bundles [default: `plugins` beside the program]
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Replace another content of the same id and version
    #[arg(long)]
    replace: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let folder = match &args.plugins {
        Some(folder) => folder.clone(),
        None => program()?.with_file_name("plugins"),
    };
    let installed = install_bundle(&args.source, &folder, args.replace)?;
    say(&installed.dir.display().to_string());
    Ok(())
}
