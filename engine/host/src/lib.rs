//! Opens plugins and calls them without being hurt by them. Linux only.
//!
//! A [`Bundle`] is a plugin on disk, a [`Plugin`] an opened one, and a [`TensorBuf`] the memory that both see:
//!
//! ```no_run
//! use std::{collections::BTreeMap, path::Path, sync::atomic::AtomicBool, time::Duration};
//!
//! use isoscan_abi::Context;
//! use isoscan_host::{Isolation, Options, Plugin, Request, open_bundle};
//!
//! let options = Options {
//!     isolation: Isolation::Worker,
//!     workers: 2,
//!     threads: 1,
//!     deadline: Duration::from_secs(60),
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
//! - Voxels lie in sealed shared memory; none is copied between engine and worker. Inputs cannot be written there, and
//!   outputs lie between guard pages.
//! - No number that a worker sends is used before its bounds are checked; the shared memory holds voxels and atomics only.
//! - A library is never unloaded: a worker's ends with its process, one in the engine's process stays.
//!
//! Places of what is not here yet: a signature over `plugin.toml` is verified in `open_bundle` before its hashes count;
//! a copy that is complete and trusted is staged between `open_bundle` and [`Plugin::open`]; golden tests and a canary
//! stand behind [`Plugin::open`] and before a version serves; exchanging versions is a slot that holds [`Plugin`]s; the
//! sandbox closes in [`plugin_worker`] before the library is loaded.

mod bundle;
mod child;
mod crash;
mod descriptor;
mod error;
mod fault;
mod hand;
mod instance;
mod library;
mod link;
mod memory;
mod plugin;
mod pool;
mod process;
mod seal;
mod tensor;
mod train;
mod worker;

pub use bundle::{Bundle, Integrity, discover, open_bundle};
pub use child::plugin_worker;
pub use error::{Error, Party};
pub use fault::{Death, Fault, Origin, Step};
pub use plugin::{Isolation, LogLine, Options, Plugin, Reply, Request, Traffic};
pub use seal::seal_bundle;
pub use tensor::TensorBuf;
pub use train::{TrainConfig, TrainSession};
