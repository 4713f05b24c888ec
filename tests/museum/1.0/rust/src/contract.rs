use core::ffi::c_void;

use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings,
    sabi_types::{RRef, VersionStrings},
};

/// First bytes of every [`IsoEntry`].
pub const MAGIC: [u8; 8] = *b"ISOSCAN\0";
/// Major version of this contract; both sides must agree.
pub const ABI_MAJOR: u32 = 1;
/// Minor version of this contract: the extensions this header knows.
pub const ABI_MINOR: u32 = 0;
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
#[derive(Debug, Clone, Copy, StableAbi)]
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
#[derive(Debug, Clone, Copy, StableAbi)]
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
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct IsoEntry {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`ABI_MAJOR`] that the plugin was written for.
    pub abi_major: u32,
    /// Smallest minor version the plugin needs; 0 unless it cannot do without a newer extension.
    pub abi_minor_needed: u32,
    /// [`abi_hash`] of the header that the plugin was built with.
    pub abi_hash: u64,
    /// [any thread] The descriptor document, JSON, valid as long as the library is loaded.
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

/// FNV-1a over the sizes and field offsets of every frozen struct, in declaration order.
///
/// C plugins take the same number from the generated header, so a plugin that was built against other layouts is
/// refused at load.
pub const fn abi_hash() -> u64 {
    use core::mem::{offset_of, size_of};
    let layout: [usize; 50] = [
        size_of::<IsoStr>(),
        offset_of!(IsoStr, ptr),
        offset_of!(IsoStr, len),
        size_of::<IsoTensor>(),
        offset_of!(IsoTensor, data),
        offset_of!(IsoTensor, byte_len),
        offset_of!(IsoTensor, dtype),
        offset_of!(IsoTensor, ndim),
        offset_of!(IsoTensor, shape),
        offset_of!(IsoTensor, stride),
        size_of::<IsoHost>(),
        offset_of!(IsoHost, ctx),
        offset_of!(IsoHost, progress),
        offset_of!(IsoHost, set_error),
        offset_of!(IsoHost, log),
        offset_of!(IsoHost, get_extension),
        size_of::<IsoCall>(),
        offset_of!(IsoCall, inputs),
        offset_of!(IsoCall, outputs),
        offset_of!(IsoCall, input_count),
        offset_of!(IsoCall, output_count),
        offset_of!(IsoCall, params),
        offset_of!(IsoCall, context),
        size_of::<IsoEntry>(),
        offset_of!(IsoEntry, magic),
        offset_of!(IsoEntry, abi_major),
        offset_of!(IsoEntry, abi_minor_needed),
        offset_of!(IsoEntry, abi_hash),
        offset_of!(IsoEntry, describe),
        offset_of!(IsoEntry, create),
        offset_of!(IsoEntry, destroy),
        offset_of!(IsoEntry, run),
        offset_of!(IsoEntry, get_extension),
        size_of::<IsoLossSink>(),
        offset_of!(IsoLossSink, ctx),
        offset_of!(IsoLossSink, report),
        size_of::<IsoTrain>(),
        offset_of!(IsoTrain, begin),
        offset_of!(IsoTrain, step),
        offset_of!(IsoTrain, translate),
        offset_of!(IsoTrain, save),
        offset_of!(IsoTrain, end),
        size_of::<usize>(),
        align_of::<IsoStr>(),
        align_of::<IsoTensor>(),
        align_of::<IsoHost>(),
        align_of::<IsoCall>(),
        align_of::<IsoEntry>(),
        align_of::<IsoTrain>(),
        MAX_DIMS,
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < layout.len() {
        let mut rest = layout[i] as u64;
        let mut byte = 0;
        while byte < 8 {
            hash = (hash ^ (rest & 0xff)).wrapping_mul(0x0000_0100_0000_01b3);
            rest >>= 8;
            byte += 1;
        }
        i += 1;
    }
    hash
}

/// Largest number of dimensions of an [`IsoTensor`].
pub const MAX_DIMS: usize = 5;
/// 32-bit IEEE float, native byte order.
pub const DTYPE_F32: u32 = 1;

/// UTF-8 text that somebody else owns; not terminated by zero.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct IsoStr {
    /// First byte; may be null when `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl IsoStr {
    /// Borrows `text`; the caller keeps it alive as long as the contract of the call asks.
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// Reads the text; invalid UTF-8 is replaced.
    ///
    /// # Safety
    /// `ptr` must point to `len` readable bytes.
    pub unsafe fn to_text(self) -> String {
        if self.ptr.is_null() || isize::try_from(self.len).is_err() {
            return String::new();
        }
        // SAFETY: the caller promises `len` readable bytes at `ptr`.
        String::from_utf8_lossy(unsafe { core::slice::from_raw_parts(self.ptr, self.len) }).into_owned()
    }
}

/// A view of a dense array that somebody else owns.
///
/// Images are `[batch, channel, z, y, x]`, x fastest; a 2-D patch has one z.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct IsoTensor {
    /// First element, aligned to 64 bytes.
    pub data: *mut c_void,
    /// Bytes that may be read (and, for outputs, written) at `data`.
    pub byte_len: u64,
    /// [`DTYPE_F32`].
    pub dtype: u32,
    /// Number of dimensions in use, at most [`MAX_DIMS`].
    pub ndim: u32,
    /// Elements along each dimension.
    pub shape: [u64; MAX_DIMS],
    /// Distance between neighbours along each dimension, in elements.
    pub stride: [i64; MAX_DIMS],
}

impl IsoTensor {
    /// A contiguous f32 view `[batch, channel, z, y, x]`.
    pub const fn contiguous(data: *mut f32, shape: [u64; MAX_DIMS]) -> Self {
        let mut stride = [1i64; MAX_DIMS];
        let mut axis = MAX_DIMS - 1;
        while axis > 0 {
            stride[axis - 1] = stride[axis].wrapping_mul(shape[axis] as i64);
            axis -= 1;
        }
        let byte_len = (stride[0] as u64).wrapping_mul(shape[0]).wrapping_mul(4);
        Self { data: data.cast(), byte_len, dtype: DTYPE_F32, ndim: MAX_DIMS as u32, shape, stride }
    }
}

/// Id of the extension that trains a plugin's weights; `get_extension` answers with `*const IsoTrain`.
pub const EXTENSION_TRAIN: &str = "isoscan.train/1";

/// Receives the losses of one training step.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct IsoLossSink {
    /// Passed back as the first argument of `report`.
    pub ctx: *mut c_void,
    /// [call thread] Takes a JSON object of named loss values; copied.
    pub report: extern "C" fn(ctx: *mut c_void, json: IsoStr),
}

/// Training through the same door: the host reads and prepares patches, the plugin learns and hands back weights.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct IsoTrain {
    /// [call thread] Starts or resumes. `config` is JSON `{"params": {..}, "seed": n, "threads": n, "steps": total,
    /// "resume": path of a checkpoint folder or null}`. `first_step` receives the step to go on with (0 when fresh).
    pub begin: extern "C" fn(
        host: *const IsoHost,
        config: IsoStr,
        first_step: *mut u64,
        session: *mut *mut c_void,
    ) -> IsoStatus,
    /// [call thread] One optimisation step on a batch of source and target patches `[batch, channel, z, y, x]`, in the
    /// units the descriptor declares. Reports to `losses` once.
    pub step: extern "C" fn(
        session: *mut c_void,
        host: *const IsoHost,
        step: u64,
        source: *const IsoTensor,
        target: *const IsoTensor,
        losses: *const IsoLossSink,
    ) -> IsoStatus,
    /// [call thread] Translates a preview batch with the present weights (averaged ones where the plugin keeps them).
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

/// The root module of Rust plugins: abi_stable compares the layout of everything reachable from it at load.
///
/// It never grows; [`IsoEntry::get_extension`] is where growth happens.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = IsoRootRef)))]
#[sabi(missing_field(panic))]
pub struct IsoRoot {
    /// The same entry that the data symbol holds.
    pub entry: RRef<'static, IsoEntry>,
    /// The training extension's table, if the plugin has one; here so that its layout is compared too.
    #[sabi(last_prefix_field)]
    pub train: Option<RRef<'static, IsoTrain>>,
}

impl RootModule for IsoRootRef {
    abi_stable::declare_root_module_statics! {IsoRootRef}
    const BASE_NAME: &'static str = "isoscan_plugin";
    const NAME: &'static str = "isoscan_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
