use std::ops::Range;
use std::slice;

use isoscan_abi::{DTYPE_F32, IsoTensor, MAX_DIMS};

use crate::PluginError;

/// Alignment of the first element that the contract promises, in bytes.
pub(crate) const ALIGNMENT: usize = 64;

/// A checked, read-only f32 tensor `[batch, channel, z, y, x]`, x fastest.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// Elements along batch, channel, z, y, x; each at least 1.
    pub shape: [usize; 5],
    data: &'a [f32],
}

impl<'a> TensorView<'a> {
    /// Every element, x fastest; the length is the product of `shape`.
    pub fn as_slice(&self) -> &'a [f32] {
        self.data
    }

    /// The `[channel, z, y, x]` elements of one batch entry.
    ///
    /// # Panics
    /// When `index` is not below `shape[0]`.
    pub fn batch(&self, index: usize) -> &'a [f32] {
        &self.data[entry(self.shape, index)]
    }

    /// # Safety
    /// When the checks pass, `tensor` must describe memory that is readable and unchanged for `'a`.
    pub(crate) unsafe fn open(tensor: &IsoTensor, name: &str) -> Result<Self, PluginError> {
        let shape = check(tensor, name)?;
        // SAFETY: `check` found a non-null aligned pointer and enough bytes; the caller promises readable memory.
        let data = unsafe { slice::from_raw_parts(tensor.data.cast::<f32>(), shape.iter().product()) };
        Ok(Self { shape, data })
    }
}

/// A checked f32 tensor `[batch, channel, z, y, x]`, x fastest, that the plugin fills.
#[derive(Debug)]
pub struct TensorViewMut<'a> {
    /// Elements along batch, channel, z, y, x; each at least 1.
    pub shape: [usize; 5],
    data: &'a mut [f32],
}

impl TensorViewMut<'_> {
    /// Every element, x fastest; the length is the product of `shape`.
    pub fn as_slice(&self) -> &[f32] {
        self.data
    }

    /// Every element, x fastest; the length is the product of `shape`.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        self.data
    }

    /// The `[channel, z, y, x]` elements of one batch entry.
    ///
    /// # Panics
    /// When `index` is not below `shape[0]`.
    pub fn batch_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.data[entry(self.shape, index)]
    }

    pub(crate) fn reborrow(&mut self) -> TensorViewMut<'_> {
        TensorViewMut { shape: self.shape, data: self.data }
    }

    /// # Safety
    /// When the checks pass, `tensor` must describe memory that nobody else reads or writes for `'a`.
    pub(crate) unsafe fn open(tensor: &IsoTensor, name: &str) -> Result<Self, PluginError> {
        let shape = check(tensor, name)?;
        // SAFETY: `check` found a non-null aligned pointer and enough bytes; the caller promises exclusive memory.
        let data = unsafe { slice::from_raw_parts_mut(tensor.data.cast::<f32>(), shape.iter().product()) };
        Ok(Self { shape, data })
    }
}

/// True when the memory of the two tensors has a byte in common.
pub(crate) fn overlap(a: &IsoTensor, b: &IsoTensor) -> bool {
    let range = |t: &IsoTensor| {
        let first = t.data as u64;
        first..first.saturating_add(t.byte_len)
    };
    let (a, b) = (range(a), range(b));
    a.start < b.end && b.start < a.end
}

fn entry(shape: [usize; 5], index: usize) -> Range<usize> {
    let len: usize = shape[1..].iter().product();
    index * len..(index + 1) * len
}

fn check(tensor: &IsoTensor, name: &str) -> Result<[usize; 5], PluginError> {
    let wrong = |what: String| Err(PluginError::invalid(format_args!("tensor '{name}' {what}")));
    if tensor.dtype != DTYPE_F32 {
        return wrong(format!("must have dtype {DTYPE_F32} (f32), found {}", tensor.dtype));
    }
    if tensor.ndim as usize != MAX_DIMS {
        return wrong(format!("must have {MAX_DIMS} dimensions, found {}", tensor.ndim));
    }
    let Some((shape, bytes)) = extent(tensor.shape) else {
        return wrong(format!("has no usable shape: {:?}", tensor.shape));
    };
    let expected = IsoTensor::contiguous(tensor.data.cast(), tensor.shape).stride;
    if (0..MAX_DIMS).any(|axis| shape[axis] > 1 && tensor.stride[axis] != expected[axis]) {
        return wrong(format!("must be contiguous with strides {expected:?}, found {:?}", tensor.stride));
    }
    if tensor.byte_len < bytes {
        return wrong(format!("must have {bytes} bytes for shape {shape:?}, found {}", tensor.byte_len));
    }
    if tensor.data.is_null() {
        return wrong("has a null pointer".to_owned());
    }
    if !(tensor.data as usize).is_multiple_of(ALIGNMENT) {
        return wrong(format!("must be aligned to {ALIGNMENT} bytes"));
    }
    Ok(shape)
}

/// The shape as `usize` and its bytes; `None` when a dimension is empty or the bytes do not fit an allocation.
fn extent(shape: [u64; MAX_DIMS]) -> Option<([usize; 5], u64)> {
    let mut bytes = size_of::<f32>() as u64;
    let mut out = [0; 5];
    for (out, &n) in out.iter_mut().zip(&shape) {
        *out = usize::try_from(n).ok().filter(|&n| n > 0)?;
        bytes = bytes.checked_mul(n)?;
    }
    isize::try_from(bytes).is_ok().then_some((out, bytes))
}
