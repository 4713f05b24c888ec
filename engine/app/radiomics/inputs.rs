use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use isoscan_io::{sha256, sha256_file};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Files that a case was read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Input {
    /// The files, in the order of the series.
    pub(crate) files: Vec<PathBuf>,
    /// SHA-256 of the file, of several files of their digests in order.
    pub(crate) sha256: String,
    /// Bytes of all files.
    bytes: u64,
    /// When the youngest file was changed, nanoseconds since 1970-01-01 UTC.
    changed: u64,
}

impl Input {
    /// Looks at the files that were read.
    pub(crate) fn of(files: Vec<PathBuf>) -> Result<Self, Failure> {
        let sha256 = digest(&files)?;
        let (bytes, changed) = facts(&files);
        Ok(Self { files, sha256, bytes, changed })
    }

    /// Refuses files that are not those that were read; their content is looked at only where size or time differ.
    pub(crate) fn require_same(&self) -> Result<(), Failure> {
        if facts(&self.files) == (self.bytes, self.changed) || digest(&self.files)? == self.sha256 {
            return Ok(());
        }
        let first = self.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        Err(Failure::new(format!("cannot continue: an input changed since its case was done: {first}"))
            .help("remove the .part and .journal files to begin anew"))
    }
}

fn digest(files: &[PathBuf]) -> Result<String, Failure> {
    let digests = files.iter().map(|file| sha256_file(file)).collect::<Result<Vec<_>, _>>()?;
    Ok(match digests.as_slice() {
        [only] => only.clone(),
        several => sha256(several.concat().as_bytes()),
    })
}

fn facts(files: &[PathBuf]) -> (u64, u64) {
    let since = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    };
    files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .fold((0, 0), |(bytes, changed), facts| (bytes + facts.len(), changed.max(facts.modified().map_or(0, since))))
}
