use core::ffi::c_void;
use std::ptr;

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::RRef;

use crate::contract::{
    ABI_MAJOR, DTYPE_F32, IsoCall, IsoEntry, IsoHost, IsoRoot, IsoRootRef, IsoStatus, IsoStr, IsoTensor, MAGIC,
    STATUS_INVALID, STATUS_OK, abi_hash,
};

const DESCRIPTOR: &str = r#"{"id": "museum-rust", "version": "1.0.0", "name": "Museum", "family": "museum",
    "summary": "Doubles every voxel and adds one",
    "inputs": [{"name": "image", "modalities": [], "units": [], "spacing_mm": null, "range": null,
        "optional": false, "text": "the image"}],
    "output": {"modality": null, "unit": null, "text": "the doubled image"},
    "patching": {"axes": "volume", "size": [0, 0, 0], "multiple": [1, 1, 1], "halo": [0, 0, 0], "max_batch": 1},
    "params": [{"id": "add", "type": "float", "min": 0, "max": 10, "default": 1, "unit": "", "text": "what is added"}],
    "deterministic": true, "synthetic": false}"#;

#[unsafe(export_name = "isoscan_plugin_entry")]
static ENTRY: IsoEntry = IsoEntry {
    magic: MAGIC,
    abi_major: ABI_MAJOR,
    abi_minor_needed: 0,
    abi_hash: abi_hash(),
    describe,
    create,
    destroy,
    run,
    get_extension,
};

// SAFETY: `load` gives the root module that the type parameter names.
#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
static HEADER: LibHeader = unsafe { LibHeader::from_constructor::<IsoRootRef>(load, CheckTypeLayout::Yes) };

extern "C" fn load() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(|| {
        IsoRoot { entry: RRef::new(&ENTRY), train: None }.leak_into_prefix()
    })
}

extern "C" fn describe() -> IsoStr {
    IsoStr::new(DESCRIPTOR)
}

extern "C" fn create(_: *const IsoHost, _: IsoStr, instance: *mut *mut c_void) -> IsoStatus {
    // SAFETY: the host passes a place for one pointer.
    unsafe { *instance = Box::into_raw(Box::new(2.0_f32)).cast() };
    STATUS_OK
}

extern "C" fn destroy(instance: *mut c_void) {
    // SAFETY: the pointer came from `create` and the host gives it up here.
    drop(unsafe { Box::from_raw(instance.cast::<f32>()) });
}

extern "C" fn run(instance: *mut c_void, host: *const IsoHost, call: *const IsoCall) -> IsoStatus {
    // SAFETY: the host passes an instance of `create`, its table, a call and its tensors, all valid until this returns.
    let (factor, host, call) = unsafe { (*instance.cast::<f32>(), &*host, &*call) };
    if call.input_count != 1 || call.output_count != 1 {
        return refused(host, "expected one input and one output");
    }
    // SAFETY: as above.
    let (image, output) = unsafe { (&*call.inputs, &*call.outputs) };
    if image.dtype != DTYPE_F32 || image.byte_len != output.byte_len {
        return refused(host, "expected f32 tensors of one size");
    }
    // SAFETY: the host passes readable text.
    let add = match unsafe { call.params.to_text() }.as_str() {
        r#"{"add":1.0}"# => 1.0,
        r#"{"add":5.0}"# => 5.0,
        other => return refused(host, &format!("expected to add 1 or 5, found {other}")),
    };
    for index in 0..image.byte_len as usize / 4 {
        // SAFETY: both tensors hold `byte_len` bytes of f32, and the output is the plugin's alone.
        unsafe { *output.data.cast::<f32>().add(index) = factor * *voxel(image, index) + add };
    }
    (host.progress)(host.ctx, 1.0);
    (host.log)(host.ctx, 3, IsoStr::new("doubled"));
    STATUS_OK
}

fn voxel(image: &IsoTensor, index: usize) -> *const f32 {
    image.data.cast::<f32>().wrapping_add(index)
}

fn refused(host: &IsoHost, message: &str) -> IsoStatus {
    (host.set_error)(host.ctx, IsoStr::new(message));
    STATUS_INVALID
}

extern "C" fn get_extension(_: IsoStr) -> *const c_void {
    ptr::null()
}
