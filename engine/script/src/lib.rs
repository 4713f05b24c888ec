//! The Rhai surface: the engine's verbs, typed and limited.
//!
//! [`run`] compiles a script, lets it read the granted folders and write below one output folder, and ends it at its
//! [`Limits`]. Images are opaque handles with verbs (`clip`, `resample`, `translate`, ...); a `cohort` runs a closure on
//! every subject, on all cores, with results in the order of the subjects. A verb that fails is a map in the script's
//! `catch`, or a [`ScriptError`] with file, line, column and a help line.
//!
//! ```
//! use isoscan_script::Access;
//! let folder = tempfile::tempdir().unwrap();
//! let access = Access::new(folder.path(), &[], folder.path()).unwrap();
//! assert!(access.readable("/etc/hostname").is_err());
//! ```

mod access;
mod audit;
mod bids;
mod budget;
mod cohort;
mod comparison;
mod concordances;
mod error;
mod features;
mod filters;
mod grids;
mod intensities;
mod ledger;
mod limits;
mod measure;
mod options;
mod phantom;
mod plugins;
mod readers;
mod reading;
mod record;
mod regions;
mod registration;
mod run;
mod scan;
mod settings;
mod stability;
mod standard_scale;
mod state;
mod study;
mod translate;
mod truth;
mod value;
mod verb;
mod write;

pub use access::Access;
pub use audit::{Audit, AuditRequest, AuditedImage, Finding, FindingKind, Group, Role, audit};
pub use error::{Error, ScriptError};
pub use limits::Limits;
pub use plugins::{Pins, pin};
pub use run::{Outcome, Request, run};
pub use state::Progress;
