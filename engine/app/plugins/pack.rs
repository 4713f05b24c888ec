//! `isoscan plugins pack`

use std::path::{Path, PathBuf};

use isoscan_host::{Fault, Golden, Plugin, archive_bundle, make_golden, pack_bundle};

use super::place::strict_options;
use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder that holds a short plugin.toml and the plugin's files, and nothing else
    source: PathBuf,
    /// Folder that gets the bundle ID-VERSION
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Write ID-VERSION.tar.gz beside the bundle as well
    #[arg(long)]
    archive: bool,
    /// Declare that this version's outputs differ from those of the version it replaces by at most this much, in the
    /// output's unit; a running engine then refuses it where they differ more
    #[arg(long, value_name = "TOLERANCE")]
    drift: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let golden = |plugin: &Plugin, bundle: &Path| -> Result<Vec<Golden>, Fault> {
        let vectors = make_golden(plugin, bundle)?;
        Ok(vectors.into_iter().map(|golden| Golden { drift: args.drift, ..golden }).collect())
    };
    let packed = pack_bundle(&args.source, &args.out, &strict_options(None)?, Some(&golden))?;
    say(&packed.dir.display().to_string());
    if args.archive {
        say(&archive_bundle(&packed, &args.out)?.display().to_string());
    }
    Ok(())
}
