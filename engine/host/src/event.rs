use std::{fmt, path::PathBuf, time::Duration};

use crate::{Drift, DriftTable, Fault, Level};

/// Something that happened to the plugins of a [`Shelf`](crate::Shelf). Its text is one line.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A folder holds a bundle that stays incomplete: a copy that stopped, most likely.
    Incomplete {
        /// The bundle's folder.
        folder: PathBuf,
        /// What is missing or differs.
        reason: String,
    },
    /// A version was not taken into service.
    Refused {
        /// The step, who must act, and why.
        fault: Fault,
        /// SHA-256 of its manifest.
        manifest_sha256: String,
        /// The golden vectors that were compared; empty where the refusal came before them.
        drifts: Vec<Drift>,
    },
    /// A version passed every step up to its tests; each content of a bundle comes here once.
    Loaded {
        /// Which.
        version: Named,
        /// From the first look at its complete folder.
        took: Duration,
    },
    /// A version runs although the kernel cannot keep a promise of its sandbox.
    Unprotected {
        /// Which.
        version: Named,
        /// What the plugin could do.
        promise: String,
    },
    /// A version with a predecessor is tried beside it.
    Candidate {
        /// Which.
        version: Named,
    },
    /// New jobs get this version from now on.
    Serving {
        /// Which.
        version: Named,
        /// The jobs that get it: `*` for those that ask for no version.
        requirement: String,
        /// The version they got before.
        replaced: Option<Named>,
        /// Time that the exchange took.
        took: Duration,
    },
    /// A candidate made something else of a job than the serving version did.
    Differs {
        /// The candidate.
        version: Named,
        /// The caller's name of the job.
        job: String,
        /// The two outputs compared; the tolerance is the candidate's declared drift.
        drift: Drift,
    },
    /// A job that failed on a new version was done by another one.
    Retried {
        /// The version that failed.
        version: Named,
        /// How.
        fault: Fault,
        /// The version that did the job.
        by: Named,
    },
    /// A version was withdrawn and does not serve again until its content changes.
    RolledBack {
        /// Which.
        version: Named,
        /// Why.
        reason: String,
        /// The version that serves instead.
        to: Option<Named>,
    },
    /// A version gets no jobs any more and ends with those it has.
    Draining {
        /// Which.
        version: Named,
    },
    /// Its processes are gone.
    Gone {
        /// Which.
        version: Named,
    },
    /// A folder cannot be watched; the periodic scan goes on.
    Unwatched {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The store could not be read or written; it is tried again with the next scan.
    Store {
        /// What failed.
        reason: String,
    },
}

/// One content of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Plugin id.
    pub id: String,
    /// Version.
    pub version: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// In a folder; not loaded.
    Seen,
    /// In a folder; some of it is missing or differs from its manifest.
    Incomplete,
    /// Not taken into service.
    Refused,
    /// Withdrawn after it had served.
    Withdrawn,
    /// Tried beside the serving version.
    Candidate,
    /// Gets jobs.
    Serving,
    /// Kept warm after its successor took over.
    Previous,
    /// Finishes the jobs it has.
    Draining,
    /// Its processes are gone.
    Gone,
}

/// What is known of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Which; id and version are empty where the manifest cannot be read.
    pub version: Named,
    /// Its folder.
    pub folder: PathBuf,
    /// Where it stands.
    pub state: State,
    /// Who vouches for it; known once it was judged.
    pub level: Option<Level>,
    /// Jobs that ended.
    pub jobs: u64,
    /// Calls that ended.
    pub calls: u64,
    /// Calls that ended in a fault.
    pub faults: u64,
    /// Calls that cost a worker process.
    pub crashes: u64,
    /// Why it was refused, withdrawn or is incomplete, in one sentence.
    pub rejection: Option<String>,
}

impl Named {
    /// What stands for a bundle whose manifest cannot be read.
    pub(crate) fn nothing() -> Self {
        Self { id: String::new(), version: String::new(), manifest_sha256: String::new() }
    }
}

impl Record {
    /// A version of which nothing else is known.
    pub(crate) fn of(version: Named) -> Self {
        Self {
            version,
            folder: PathBuf::new(),
            state: State::Seen,
            level: None,
            jobs: 0,
            calls: 0,
            faults: 0,
            crashes: 0,
            rejection: None,
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {} {}", self.id, self.version)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Seen => "seen",
            Self::Incomplete => "incomplete",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Candidate => "candidate",
            Self::Serving => "serving",
            Self::Previous => "previous",
            Self::Draining => "draining",
            Self::Gone => "gone",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { folder, reason } => write!(f, "{reason}; still incomplete: {}", folder.display()),
            Self::Refused { fault, .. } => write!(f, "{fault}"),
            Self::Loaded { version, took } => write!(f, "{version}: loaded in {:.1} ms", took.as_secs_f64() * 1e3),
            Self::Unprotected { version, promise } => write!(f, "{version}: {promise}"),
            Self::Candidate { version } => write!(f, "{version}: tried beside the serving version"),
            Self::Serving { version, requirement, replaced, .. } => {
                write!(f, "{version}: serves jobs that ask for {requirement}")?;
                replaced.as_ref().map_or(Ok(()), |old| write!(f, ", in place of {}", old.version))
            }
            Self::Differs { version, job, drift } => {
                write!(f, "{version}: differs from the serving version, job {job}: {}", drift.sentence())
            }
            Self::Retried { version, fault, by } => {
                write!(f, "{version}: {} job done by {} instead: {fault}", fault.kind(), by.version)
            }
            Self::RolledBack { version, reason, to } => {
                write!(f, "{version}: withdrawn, {reason}")?;
                to.as_ref().map_or(Ok(()), |to| write!(f, "; {} serves instead", to.version))
            }
            Self::Draining { version } => write!(f, "{version}: gets no more jobs"),
            Self::Gone { version } => write!(f, "{version}: gone"),
            Self::Unwatched { folder, reason } => {
                write!(f, "cannot watch {}: {reason}; it is scanned instead", folder.display())
            }
            Self::Store { reason } => f.write_str(reason),
        }
    }
}

impl Event {
    /// The golden vectors behind a refusal, as lines of a table; `None` where there are none.
    pub fn drift_table(&self) -> Option<DriftTable<'_>> {
        match self {
            Self::Refused { drifts, .. } if !drifts.is_empty() => Some(DriftTable(drifts)),
            Self::Differs { drift, .. } => Some(DriftTable(std::slice::from_ref(drift))),
            _ => None,
        }
    }
}
