use core::ffi::c_void;

use crate::{IsoCall, IsoHost, IsoStatus};

/// Id of the extension that translates several calls at once; `get_extension` answers with `*const IsoBatch`.
pub const EXTENSION_BATCH: &str = "isoscan.batch/1";

/// Several independent calls in one: for plugins that share work between calls, or whose calls are short.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
pub struct IsoBatch {
    /// [call thread] Translates `count` calls, at least 1, each as `run` would; never entered together with `run` on
    /// one instance. `calls[i]` has its own tensors, parameters and context, and `hosts[i]` is its host: its progress,
    /// its log lines and the message of its status. `statuses[i]` receives its status; one call's failure leaves the
    /// others alone. Returns `STATUS_OK` when every status was written. Any other status, with its
    /// message through `host`, says that the calls could not be tried together; the host then makes them one by one.
    pub run: extern "C" fn(
        instance: *mut c_void,
        host: *const IsoHost,
        calls: *const IsoCall,
        hosts: *const IsoHost,
        count: u32,
        statuses: *mut IsoStatus,
    ) -> IsoStatus,
}

// SAFETY: an extension table is immutable function pointers.
unsafe impl Sync for IsoBatch {}
// SAFETY: as for `Sync`.
unsafe impl Send for IsoBatch {}
