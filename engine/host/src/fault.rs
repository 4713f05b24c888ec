use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    Party,
    error::{line, long_line},
};

/// Which plugin a [`Fault`] speaks of, and on what work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Plugin id.
    pub plugin: String,
    /// Plugin version; empty as long as a bare library has not been asked.
    pub version: String,
    /// The caller's name of the work; empty while a plugin is opened.
    pub job: String,
}

/// What went wrong with a plugin. The engine goes on, and the next call gets a fresh worker where one was lost.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The plugin was not taken into service.
    #[error("{origin}: refused when {step}: {}; {party} must act", long_line(reason))]
    Rejected {
        /// Which plugin.
        origin: Box<Origin>,
        /// The step that failed.
        step: Step,
        /// Who can put it right.
        party: Party,
        /// What was expected and found.
        reason: String,
    },
    /// The plugin returned an error.
    #[error("{origin}: {} (status {code})", long_line(message))]
    Plugin {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// One of the contract's `STATUS_*` codes.
        code: i32,
        /// The plugin's own words.
        message: String,
    },
    /// The plugin panicked and its safe side caught it.
    #[error("{origin}: {}", long_line(message))]
    Panicked {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// The words of its safe side, such as `the plugin panicked: index out of bounds`.
        message: String,
    },
    /// The plugin's process died, other than twice over a job, which is [`Fault::Poisoned`].
    #[error("{origin}: crashed with {death}{}", last_line(last_words))]
    Crashed {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// How it died.
        death: Death,
        /// The last lines that the process printed, oldest first.
        last_words: Vec<String>,
    },
    /// The plugin gave no answer in time, and its process was killed.
    #[error("{origin}: no answer within {} s, stopped", limit.as_secs_f64())]
    Deadline {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// The time it had.
        limit: Duration,
    },
    /// The plugin promised to report progress and fell silent, and its process was killed.
    #[error("{origin}: no progress within {} s, stopped", limit.as_secs_f64())]
    Stalled {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// The longest silence that its manifest declares.
        limit: Duration,
    },
    /// The job killed every worker that tried it and is set aside.
    #[error("{origin}: set aside after {} workers died of it: {}{}", deaths.len(), told(deaths), last_line(last_words))]
    Poisoned {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// How each of them died, oldest first.
        deaths: Vec<Death>,
        /// The last lines that the last process printed, oldest first.
        last_words: Vec<String>,
    },
    /// The caller cancelled.
    #[error("{origin}: cancelled")]
    Cancelled {
        /// Which plugin and job.
        origin: Box<Origin>,
    },
    /// The plugin's process sent something that the protocol does not allow, and was killed.
    #[error("{origin}: its process broke the protocol: {breach}")]
    Protocol {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// What was expected and found.
        breach: String,
    },
    /// Voxels of the output are NaN or infinite although the inputs are finite.
    #[error("{origin}: {count} output voxels are not finite numbers")]
    Output {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// Number of such voxels.
        count: usize,
    },
    /// The plugin wrote beside its output tensor, but not far enough to crash.
    #[error("{origin}: wrote outside its output tensor")]
    Outside {
        /// Which plugin and job.
        origin: Box<Origin>,
    },
    /// The request does not fit the plugin's declaration or the limits of a call.
    #[error("{origin}: {}", long_line(reason))]
    Request {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// What was expected and found.
        reason: String,
    },
    /// Shared memory could not be had.
    #[error("{origin}: cannot share {bytes} bytes of memory: {reason}")]
    Memory {
        /// Which plugin and job.
        origin: Box<Origin>,
        /// Bytes asked for.
        bytes: usize,
        /// The system's words.
        reason: String,
    },
    /// The worker program could not be started or is not one.
    #[error("{origin}: no worker process from {}: {reason}", program.display())]
    Worker {
        /// Which plugin.
        origin: Box<Origin>,
        /// [`Options::worker_program`](crate::Options::worker_program).
        program: PathBuf,
        /// What happened instead.
        reason: String,
    },
}

/// The steps by which a plugin comes into service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The manifest and every file it lists are read and compared.
    Read,
    /// The signature and its key are checked.
    Trust,
    /// The bundle is copied into the store.
    Stage,
    /// The sandbox closes.
    Sandbox,
    /// The dynamic linker opens the library.
    Open,
    /// The entry symbol, its magic, versions and layout hash are compared.
    Entry,
    /// The types of a Rust plugin are compared field by field.
    Layout,
    /// The descriptor is read and checked.
    Describe,
    /// An instance or training session is made.
    Create,
    /// Golden vectors are translated and compared.
    Test,
    /// It serves.
    Serve,
}

/// How a plugin's process died.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Death {
    /// By a signal.
    Signal {
        /// `SIGSEGV`, `SIGABRT`, ...
        signal: String,
        /// Memory address that was touched, where the signal has one.
        address: Option<u64>,
        /// Offset of the instruction in the plugin's library, where it lies there: what `addr2line` takes.
        offset: Option<u64>,
        /// The memory limit, MiB, where the process had come close to it.
        short_of_mb: Option<u64>,
    },
    /// It ended by itself.
    Exit {
        /// Exit status.
        code: i32,
    },
    /// It was killed because it broke the protocol.
    Breach {
        /// What was expected and found.
        breach: String,
    },
}

impl Fault {
    /// Which plugin, version and job.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Rejected { origin, .. }
            | Self::Plugin { origin, .. }
            | Self::Panicked { origin, .. }
            | Self::Crashed { origin, .. }
            | Self::Deadline { origin, .. }
            | Self::Stalled { origin, .. }
            | Self::Poisoned { origin, .. }
            | Self::Cancelled { origin }
            | Self::Protocol { origin, .. }
            | Self::Output { origin, .. }
            | Self::Outside { origin }
            | Self::Request { origin, .. }
            | Self::Memory { origin, .. }
            | Self::Worker { origin, .. } => origin,
        }
    }

    /// One word for scripts and tables: `crashed`, `deadline`, ...
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "rejected",
            Self::Plugin { .. } => "plugin",
            Self::Panicked { .. } => "panicked",
            Self::Crashed { .. } => "crashed",
            Self::Deadline { .. } => "deadline",
            Self::Stalled { .. } => "stalled",
            Self::Poisoned { .. } => "poisoned",
            Self::Cancelled { .. } => "cancelled",
            Self::Protocol { .. } => "protocol",
            Self::Output { .. } => "output",
            Self::Outside { .. } => "outside",
            Self::Request { .. } => "request",
            Self::Memory { .. } => "memory",
            Self::Worker { .. } => "worker",
        }
    }
}

impl Origin {
    pub(crate) fn boxed(&self) -> Box<Self> {
        Box::new(self.clone())
    }
}

impl Step {
    pub(crate) const ALL: [Self; 11] = [
        Self::Read,
        Self::Trust,
        Self::Stage,
        Self::Sandbox,
        Self::Open,
        Self::Entry,
        Self::Layout,
        Self::Describe,
        Self::Create,
        Self::Test,
        Self::Serve,
    ];
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}", line(&self.plugin))?;
        if !self.version.is_empty() {
            write!(f, " {}", self.version)?;
        }
        if !self.job.is_empty() {
            write!(f, ", job {}", line(&self.job))?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reading its bundle",
            Self::Trust => "checking its signature",
            Self::Stage => "copying it into the store",
            Self::Sandbox => "closing its sandbox",
            Self::Open => "opening its library",
            Self::Entry => "comparing its entry",
            Self::Layout => "comparing its types",
            Self::Describe => "reading its descriptor",
            Self::Create => "starting it",
            Self::Test => "testing it",
            Self::Serve => "serving",
        })
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal { signal, address, offset, short_of_mb } => {
                f.write_str(signal)?;
                if let Some(address) = address {
                    write!(f, " at address {address:#x}")?;
                }
                if let Some(offset) = offset {
                    write!(f, ", library offset {offset:#x}")?;
                }
                if let Some(limit) = short_of_mb {
                    write!(f, ", close to its memory limit of {limit} MiB")?;
                }
                Ok(())
            }
            Self::Exit { code } => write!(f, "exit status {code}"),
            Self::Breach { breach } => write!(f, "a breach of the protocol ({breach})"),
        }
    }
}

fn told(deaths: &[Death]) -> String {
    deaths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}

fn last_line(last_words: &[String]) -> String {
    last_words.last().map(|words| format!("; last line: {}", line(words))).unwrap_or_default()
}
