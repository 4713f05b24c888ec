//! `isoscan plugins sign`

use std::{
    fs,
    path::{Path, PathBuf},
};

use isoscan_host::{archive_bundle, open_bundle, sign_bundle};

use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bundle folder
    bundle: PathBuf,
    /// Secret key file, from `isoscan plugins keys new` or `minisign -G`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File whose first line is the key's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Write ID-VERSION.tar.gz beside the bundle as well
    #[arg(long)]
    archive: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let password = args.password_file.as_deref().map(password).transpose()?;
    let key = sign_bundle(&args.bundle, &args.key, password)?;
    let bundle = open_bundle(&args.bundle)?;
    say(&format!("{} {} signed by key {key}", bundle.id, bundle.version));
    if args.archive {
        let folder = bundle.dir.parent().unwrap_or(Path::new("/"));
        say(&archive_bundle(&bundle, folder)?.display().to_string());
    }
    Ok(())
}

/// The first line of a file.
pub(super) fn password(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(Failure::new(format!("expected a password in the first line of {}, found none", path.display()))),
    }
}
