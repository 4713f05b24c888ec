use core::ffi::c_void;

use crate::{IsoHost, IsoStatus, IsoStr, IsoTensor};

/// Id of the extension that trains a plugin's weights; `get_extension` answers with `*const IsoTrain`.
pub const EXTENSION_TRAIN: &str = "isoscan.train/1";

/// Receives the losses of one training step.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
pub struct IsoLossSink {
    /// Passed back as the first argument of `report`.
    pub ctx: *mut c_void,
    /// [call thread] Takes a JSON object of named loss values; copied.
    pub report: extern "C" fn(ctx: *mut c_void, json: IsoStr),
}

/// Training through the same door: the host reads and prepares patches, the plugin learns and hands back weights.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
pub struct IsoTrain {
    /// [call thread] Starts or resumes. `config` is JSON `{"params": {..}, "seed": n, "threads": n, "steps": total,
    /// "resume": path of a checkpoint folder or null}`, and what the patches are, each left out where it says nothing:
    /// `"paired": true, "domains": [names], "target_domain": name, "patch": [x, y, z], "inputs": channels of the source,
    /// "refine": [x, y, z], "spacing_mm": [x, y, z]`; see `TrainContext` of the descriptor document. `first_step` receives
    /// the step to go on with (0 when fresh).
    pub begin: extern "C" fn(
        host: *const IsoHost,
        config: IsoStr,
        first_step: *mut u64,
        session: *mut *mut c_void,
    ) -> IsoStatus,
    /// [call thread] One optimisation step on a batch of source and target patches `[batch, channel, z, y, x]`, in the
    /// units the descriptor declares: the source with one channel per declared input, the target with one. With K domains
    /// item `i` of both is of domain `i / (batch / K)`. Reports to `losses` once.
    pub step: extern "C" fn(
        session: *mut c_void,
        host: *const IsoHost,
        step: u64,
        source: *const IsoTensor,
        target: *const IsoTensor,
        losses: *const IsoLossSink,
    ) -> IsoStatus,
    /// [call thread] Translates a batch laid out like `source` with the present weights (averaged ones where the plugin keeps
    /// them), into an output of one channel and `refine` times the voxels; with domains, to the target domain.
    pub translate: extern "C" fn(
        session: *mut c_void,
        host: *const IsoHost,
        source: *const IsoTensor,
        output: *const IsoTensor,
    ) -> IsoStatus,
    /// [call thread] Writes into the existing folder `dir`: `weights/` (what `create` loads) and, when `checkpoint` is
    /// not 0, `checkpoint/` (what `begin` resumes from).
    pub save: extern "C" fn(session: *mut c_void, host: *const IsoHost, dir: IsoStr, checkpoint: u32) -> IsoStatus,
    /// [call thread] Frees the session.
    pub end: extern "C" fn(session: *mut c_void),
}

// SAFETY: an extension table is immutable function pointers.
unsafe impl Sync for IsoTrain {}
// SAFETY: as for `Sync`.
unsafe impl Send for IsoTrain {}
