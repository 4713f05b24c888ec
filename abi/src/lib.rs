//! The contract between engine and plugins.
//!
//! Every type here is frozen: a struct never changes, and new powers are new extension ids. A plugin exports one data
//! symbol, [`ENTRY_SYMBOL`], of type [`IsoEntry`]. The same contract stands in `include/isoscan.h` for C and C++, and
//! both sides assert sizes and offsets when they are compiled.
//!
//! | Contract | What it brought |
//! |---|---|
//! | 1.0 | [`IsoEntry`], [`IsoHost`], [`IsoCall`], and [`EXTENSION_TRAIN`] for plugins that learn |
//! | 1.1 | [`EXTENSION_BATCH`] for plugins that translate several calls at once |
//! | 1.2 | [`EXTENSION_BUNDLE`] for libraries that serve many bundles |
//!
//! A plugin of an older minor version loads as it is: `tests/museum` keeps one of each in C, C++ and Rust. A plugin
//! that offers a newer extension loads on older hosts too, which do not ask for it.
//!
//! Everything that crosses is borrowed until the call returns, and each side frees only what it allocated. A status
//! other than [`STATUS_OK`] always comes with a message through [`IsoHost::set_error`].
//!
//! ```
//! use isoscan_abi::IsoTensor;
//!
//! let mut voxels = [0.0; 6];
//! let tensor = IsoTensor::contiguous(voxels.as_mut_ptr(), [1, 1, 1, 2, 3]);
//! assert_eq!(tensor.stride, [6, 6, 6, 3, 1]);
//! assert_eq!(tensor.byte_len, 24);
//! ```
//!
//! Authors of plugins use the crate `isoscan-sdk`, or the header; `README.md` is their guide.

mod batch;
mod bundle;
#[cfg(feature = "descriptor")]
mod descriptor;
mod layout;
#[cfg(feature = "layout")]
mod root;
mod tensor;
mod train;

pub use batch::{EXTENSION_BATCH, IsoBatch};
pub use bundle::{EXTENSION_BUNDLE, IsoBundle};
#[cfg(feature = "descriptor")]
pub use descriptor::{
    Axes, Context, Descriptor, Input, Modality, Normalize, Output, Param, ParamKind, ParamValue, Patching, Refine,
    Region, TrainContext, Unit, check_params,
};
pub use layout::abi_hash;
#[cfg(feature = "layout")]
pub use root::{IsoRoot, IsoRootRef};
pub use tensor::{DTYPE_F32, IsoStr, IsoTensor, MAX_DIMS};
pub use train::{EXTENSION_TRAIN, IsoLossSink, IsoTrain};

use core::ffi::c_void;

/// First bytes of every [`IsoEntry`].
pub const MAGIC: [u8; 8] = *b"ISOSCAN\0";
/// Major version of this contract; both sides must agree.
pub const ABI_MAJOR: u32 = 1;
/// Minor version of this contract: the extensions this header knows.
pub const ABI_MINOR: u32 = 2;
/// Name of the data symbol that a plugin library exports.
pub const ENTRY_SYMBOL: &str = "isoscan_plugin_entry";

/// Outcome of a call into a plugin: [`STATUS_OK`] or one of the other `STATUS_*` codes.
pub type IsoStatus = i32;
/// Done.
pub const STATUS_OK: IsoStatus = 0;
/// The plugin failed; the message says why.
pub const STATUS_FAILED: IsoStatus = 1;
/// A parameter or tensor was not acceptable.
pub const STATUS_INVALID: IsoStatus = 2;
/// The host asked to stop and the plugin did.
pub const STATUS_CANCELLED: IsoStatus = 3;
/// The plugin panicked; the safe side caught it.
pub const STATUS_PANICKED: IsoStatus = 4;

/// What the host offers during a call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
pub struct IsoHost {
    /// Passed back as the first argument of every function below.
    pub ctx: *mut c_void,
    /// [any thread] Reports progress in 0..=1; non-zero asks the plugin to stop and return [`STATUS_CANCELLED`].
    pub progress: extern "C" fn(ctx: *mut c_void, fraction: f32) -> i32,
    /// [call thread] Sets the message that belongs to the status about to be returned; copied.
    pub set_error: extern "C" fn(ctx: *mut c_void, message: IsoStr),
    /// [any thread] Logs a line; level 1 error, 2 warning, 3 info, 4 debug; copied.
    pub log: extern "C" fn(ctx: *mut c_void, level: u32, message: IsoStr),
    /// [any thread] Host-side extension by id, or null.
    pub get_extension: extern "C" fn(ctx: *mut c_void, id: IsoStr) -> *const c_void,
}

/// One call of `run`: tensors in the order of the descriptor's inputs and outputs.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
pub struct IsoCall {
    /// `input_count` tensors, read only.
    pub inputs: *const IsoTensor,
    /// `output_count` tensors, zeroed, to be filled.
    pub outputs: *const IsoTensor,
    /// Number of inputs.
    pub input_count: u32,
    /// Number of outputs.
    pub output_count: u32,
    /// Parameter values, a JSON object by parameter id; already checked against the descriptor, defaults filled in.
    pub params: IsoStr,
    /// Where the patch comes from, JSON: see `Context` of the descriptor document.
    pub context: IsoStr,
}

/// What a plugin library exports under [`ENTRY_SYMBOL`].
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
pub struct IsoEntry {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`ABI_MAJOR`] that the plugin was written for.
    pub abi_major: u32,
    /// Smallest minor version the plugin needs; 0 unless it cannot do without a newer extension.
    pub abi_minor_needed: u32,
    /// [`abi_hash`] of the header that the plugin was built with.
    pub abi_hash: u64,
    /// [any thread] The descriptor document, JSON, valid as long as the library is loaded; where the library offers
    /// [`EXTENSION_BUNDLE`], of the bundle that it was told.
    pub describe: extern "C" fn() -> IsoStr,
    /// [call thread] Makes an instance. `config` is JSON: `{"bundle": path of the plugin's own folder, "threads": n}`.
    pub create: extern "C" fn(host: *const IsoHost, config: IsoStr, instance: *mut *mut c_void) -> IsoStatus,
    /// [call thread] Frees an instance.
    pub destroy: extern "C" fn(instance: *mut c_void),
    /// [call thread] Translates. Never entered twice at once on one instance.
    pub run: extern "C" fn(instance: *mut c_void, host: *const IsoHost, call: *const IsoCall) -> IsoStatus,
    /// [any thread] Extension by id, such as [`EXTENSION_TRAIN`], or null.
    pub get_extension: extern "C" fn(id: IsoStr) -> *const c_void,
}

// SAFETY: an entry is immutable data and function pointers; `describe` and `get_extension` are callable from any thread
// by contract, and the rest take their own instance.
unsafe impl Sync for IsoEntry {}
// SAFETY: as for `Sync`.
unsafe impl Send for IsoEntry {}
