use core::ffi::c_void;

/// Largest number of dimensions of an [`IsoTensor`].
pub const MAX_DIMS: usize = 5;
/// 32-bit IEEE float, native byte order.
pub const DTYPE_F32: u32 = 1;

/// UTF-8 text that somebody else owns; not terminated by zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
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
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "layout", derive(abi_stable::StableAbi))]
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
