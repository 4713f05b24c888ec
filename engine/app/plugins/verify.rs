//! `isoscan plugins verify`

use std::path::PathBuf;

use isoscan_host::problems;

use super::{keys, place::judged};
use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bundle folder
    bundle: PathBuf,
    /// File of trusted keys [default: isoscan/keys.toml in the user's configuration folder]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let found = problems(&args.bundle);
    for problem in &found {
        say(&format!("{problem}; {} must act", problem.party()));
    }
    if !found.is_empty() {
        let count = found.len();
        let what = if count == 1 { "1 thing is wrong".to_owned() } else { format!("{count} things are wrong") };
        return Err(Failure::new(format!("{what} with {}", args.bundle.display())));
    }
    let bundle = judged(&args.bundle, &keys::trust(args.keys.as_deref(), false)?)?;
    let files = bundle.manifest.files.as_ref().map_or(0, std::collections::BTreeMap::len);
    say(&format!("{} {}: {}, {files} files as its manifest says", bundle.id, bundle.version, bundle.level));
    Ok(())
}
