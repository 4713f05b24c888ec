use std::io;
use std::path::{Path, PathBuf};

use crate::USAGE;

/// What can stop a set-up command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no such command\n{USAGE}")]
    Usage,
    #[error("unexpected argument '{found}'\n{USAGE}")]
    ExtraArgument { found: String },
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{program} is needed and was not found")]
    ProgramMissing { program: &'static str, package: &'static str },
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("{what} failed ({status})")]
    Failed { what: String, status: std::process::ExitStatus },
    #[error("LIBTORCH is {}, which holds no lib/ folder with libtorch", path.display())]
    LibtorchElsewhere { path: PathBuf },
    #[error("libtorch is fetched for Linux on x86-64 only; this is {os} on {arch}")]
    Platform { os: &'static str, arch: &'static str },
    #[error("{file} has sha256 {found}, expected {expected}")]
    Checksum { file: String, expected: &'static str, found: String },
    #[error("pip gave no {file}")]
    WheelMissing { file: String },
    #[error("cargo metadata has no {what}")]
    Metadata { what: &'static str },
    #[error("{}: {fact}", path.display())]
    Manifest { path: PathBuf, fact: String },
}

impl Error {
    /// For `map_err` on file operations: says what was tried on which path.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }

    /// What the reader can do about it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Error::ProgramMissing { package, .. } => Some(format!("on Debian or Ubuntu: apt-get install {package}")),
            Error::LibtorchElsewhere { .. } => Some(
                "unset LIBTORCH to let this command fetch one, or point it at the folder with lib/ and include/".into(),
            ),
            Error::Platform { .. } => Some(
                "install libtorch 2.13.0 (CPU) for your platform and set LIBTORCH to its folder; \
                 `cargo test --release` runs the engine's own tests without it"
                    .into(),
            ),
            Error::Checksum { .. } => Some("the file was deleted; run the command again to download it afresh".into()),
            _ => None,
        }
    }
}
