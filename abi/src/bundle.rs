use crate::{IsoHost, IsoStatus, IsoStr};

/// Id of the extension for a library that serves many bundles; `get_extension` answers with `*const IsoBundle`.
pub const EXTENSION_BUNDLE: &str = "isoscan.bundle/1";

/// Tells a library its bundle before it describes itself: for plugins whose descriptor is in their bundle's files.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
pub struct IsoBundle {
    /// [call thread] Called after loading and before the first `describe`: `folder` is the absolute path of the plugin's
    /// own folder, the same that `create` is told, and `describe` then speaks of what lies there. A host may call it
    /// again with the same folder; another folder is refused. With another status than `STATUS_OK`
    /// the host refuses the plugin for the reason that `host` was given.
    pub open: extern "C" fn(host: *const IsoHost, folder: IsoStr) -> IsoStatus,
}

// SAFETY: an extension table is immutable function pointers.
unsafe impl Sync for IsoBundle {}
// SAFETY: as for `Sync`.
unsafe impl Send for IsoBundle {}
