//! Opens plugins and calls them without being hurt by them. Linux only.
//!
//! A [`Bundle`] is a plugin on disk, a [`Plugin`] an opened one, and a [`TensorBuf`] the memory that both see:
//!
//! ```no_run
//! use std::{collections::BTreeMap, path::Path, sync::atomic::AtomicBool, time::Duration};
//!
//! use isoscan_abi::Context;
//! use isoscan_host::{Isolation, Options, Plugin, Policy, Request, open_bundle};
//!
//! let options = Options {
//!     isolation: Isolation::Worker,
//!     workers: 2,
//!     threads: 1,
//!     deadline: Some(Duration::from_secs(60)),
//!     sandbox: Policy::Required,
//!     spare: false,
//!     worker_program: std::env::current_exe()?,
//! };
//! let plugin = Plugin::open(&open_bundle(Path::new("plugins/identity-0.1.0"))?, options)?;
//! let mut image = plugin.buffer([1, 1, 1, 1, 3])?;
//! image.copy_from_slice(&[-1000.0, 0.0, 40.0]);
//! let reply = plugin.call(Request {
//!     inputs: vec![image],
//!     output_shape: [1, 1, 1, 1, 3],
//!     params: &BTreeMap::new(),
//!     context: &Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] },
//!     cancel: &AtomicBool::new(false),
//!     job: "S01",
//!     progress: None,
//! })?;
//! assert_eq!(*reply.output, [-1000.0, 0.0, 40.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants
//! - Whatever a plugin in a worker does, the engine gets a [`Fault`] that names plugin, version and job, and goes on.
//! - A worker closes its sandbox before it loads anything: landlock and a system call filter leave it its bundle, the
//!   libraries it is linked with, and its own threads and memory. Where the kernel cannot do that, the operator's
//!   [`Policy`] decides, and [`Plugin::unkept_promises`] says what is missing.
//! - A worker has the memory, threads, time and silence that its manifest's [`Limits`] and the [`Options`] give it.
//! - A job whose worker died is tried once more on a fresh worker; one that kills that too is [`Fault::Poisoned`], and
//!   the others go on.
//! - Voxels lie in sealed shared memory; none is copied between engine and worker. Inputs cannot be written there, and
//!   outputs lie between guard pages.
//! - No number that a worker sends is used before its bounds are checked; the shared memory holds voxels and atomics only.
//! - A library is never unloaded: a worker's ends with its process, one in the engine's process stays.
//! - A version serves when its bundle is complete, trusted, staged, opened, and right about its golden vectors; a job on
//!   a [`Shelf`] keeps the version it began with, and one that fails in service gives way to the one before it.

mod archive;
mod batch;
mod bundle;
mod check;
mod child;
mod crash;
mod descriptor;
mod error;
mod event;
mod fault;
mod golden;
mod hand;
mod hash;
mod install;
mod instance;
mod job;
mod keys;
mod library;
mod link;
mod manifest;
mod memory;
mod pack;
mod place;
mod plugin;
mod pool;
mod process;
mod raw;
mod sandbox;
mod seal;
mod shelf;
mod slot;
mod store;
mod tensor;
mod train;
mod trust;
mod watch;
mod worker;

pub use archive::archive_bundle;
pub use bundle::{Bundle, Integrity, discover, open_bundle, open_bundle_cached, problems};
pub use check::{Case, CheckOptions, Outcome, Report, check_bundle, check_rules};
pub use child::plugin_worker;
pub use error::{Error, Party};
pub use event::{Event, Named, Record, State};
pub use fault::{Death, Fault, Origin, Step};
pub use golden::{Drift, DriftTable, canary, make_golden, measure_canary, measure_golden, test_golden};
pub use hash::HashCache;
pub use install::install_bundle;
pub use keys::{add_key, generate_key, read_keys, read_public_key, remove_key, sign_bundle};
pub use manifest::{Abi, Golden, Limits, Manifest, Task};
pub use pack::{MakeGolden, PackError, pack_bundle};
pub use plugin::{Isolation, LogLine, Options, Plugin, Policy, Reply, Request, Traffic};
pub use seal::{add_golden, seal_bundle};
pub use shelf::{Shelf, ShelfOptions};
pub use slot::Pin;
pub use store::{Staged, Store, Withdrawal};
pub use tensor::TensorBuf;
pub use train::{TrainConfig, TrainSession};
pub use trust::{Level, Trust, TrustedKey};
