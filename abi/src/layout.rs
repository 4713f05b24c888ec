use core::mem::{align_of, offset_of, size_of};

use crate::{IsoBatch, IsoBundle, IsoCall, IsoEntry, IsoHost, IsoLossSink, IsoStr, IsoTensor, IsoTrain, MAX_DIMS};

/// FNV-1a over the sizes and field offsets of every struct of contract 1.0, in declaration order.
///
/// C plugins take the same number from the generated header, so a plugin that was built against other layouts is
/// refused at load. Later tables are not part of it: their extension ids stand for their layouts.
pub const fn abi_hash() -> u64 {
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

/// Fails the build when a struct has another size, alignment or field offset than the released one, in bytes.
macro_rules! frozen {
    ($($name:ident: $size:literal, $align:literal { $($field:ident: $offset:literal),* })*) => {$(
        const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == $align, stringify!($name));
        $(const _: () = assert!(
            offset_of!($name, $field) == $offset,
            concat!(stringify!($name), ".", stringify!($field))
        );)*
    )*};
}

frozen! {
    IsoStr: 16, 8 { ptr: 0, len: 8 }
    IsoTensor: 104, 8 { data: 0, byte_len: 8, dtype: 16, ndim: 20, shape: 24, stride: 64 }
    IsoHost: 40, 8 { ctx: 0, progress: 8, set_error: 16, log: 24, get_extension: 32 }
    IsoCall: 56, 8 { inputs: 0, outputs: 8, input_count: 16, output_count: 20, params: 24, context: 40 }
    IsoEntry: 64, 8 {
        magic: 0, abi_major: 8, abi_minor_needed: 12, abi_hash: 16, describe: 24, create: 32, destroy: 40, run: 48,
        get_extension: 56
    }
    IsoLossSink: 16, 8 { ctx: 0, report: 8 }
    IsoTrain: 40, 8 { begin: 0, step: 8, translate: 16, save: 24, end: 32 }
    IsoBatch: 8, 8 { run: 0 }
    IsoBundle: 8, 8 { open: 0 }
}

const _: () = assert!(abi_hash() == 0x1185_a009_bcb6_a8bc, "the structs of contract 1.0 are frozen");
