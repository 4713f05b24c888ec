use std::{
    ops::{Deref, DerefMut},
    slice,
    sync::Arc,
};

use isoscan_abi::IsoTensor;

use crate::{
    Fault, Origin,
    memory::{BufferPool, Mapping, Region, Use},
};

/// Alignment of the first voxel in bytes, as the contract promises.
const ALIGN: usize = 64;

/// A tensor `[batch, channel, z, y, x]` of f32, x fastest, in memory that workers see without a copy.
///
/// It is moved into a call and comes back from it, so nobody can touch it meanwhile. Dropped, its memory goes back to
/// the plugin's pool. A write one element past its end hits a guard page when the size is a multiple of 64 bytes.
pub struct TensorBuf {
    region: Arc<Region>,
    shape: [usize; 5],
    pool: Arc<BufferPool>,
    reusable: bool,
    form: Option<Form>,
}

/// How a tensor is described to a plugin: an [`IsoTensor`] without its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) byte_len: u64,
    pub(crate) dtype: u32,
    pub(crate) ndim: u32,
    pub(crate) shape: [u64; 5],
    pub(crate) stride: [i64; 5],
}

/// Where a tensor lies in its mapping: at the end, so that overruns meet the guard page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Bytes before the first voxel.
    pub(crate) before: usize,
    /// Number of voxels.
    pub(crate) voxels: usize,
    /// Bytes behind the last voxel.
    pub(crate) after: usize,
}

impl TensorBuf {
    pub(crate) fn take(
        pool: &Arc<BufferPool>,
        shape: [usize; 5],
        purpose: Use,
        origin: &Origin,
    ) -> Result<Self, Fault> {
        let Some(bytes) = byte_len(shape) else {
            let reason = format!("expected a tensor shape of five numbers above 0, found {shape:?}");
            return Err(Fault::Request { origin: origin.boxed(), reason });
        };
        let memory = |e: rustix::io::Errno| Fault::Memory { origin: origin.boxed(), bytes, reason: e.to_string() };
        let region = pool.take(bytes, purpose).map_err(memory)?;
        Ok(Self { region, shape, pool: Arc::clone(pool), reusable: true, form: None })
    }

    /// Batch, channel, z, y, x.
    pub fn shape(&self) -> [usize; 5] {
        self.shape
    }

    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// First voxel, for the plugin.
    pub(crate) fn data(&self) -> *mut f32 {
        self.region.map.start().wrapping_add(self.placement().before).cast()
    }

    /// How it is described to the plugin: as it is, unless [`TensorBuf::disguise`] said otherwise.
    pub(crate) fn form(&self) -> Form {
        self.form.unwrap_or_else(|| Form::dense(self.shape))
    }

    /// Describes it to the plugin as something that it is not, for a plugin that must notice.
    pub(crate) fn disguise(&mut self, form: Form) {
        self.form = Some(form);
    }

    /// Zeroes the voxels and the bytes around them.
    pub(crate) fn clear(&mut self) {
        // SAFETY: the mapping is writable, lives as long as `self`, and `&mut self` excludes every other user here.
        unsafe { self.region.map.start().write_bytes(0, self.region.map.len()) };
    }

    /// Writes `pattern` over the voxels and everything around them.
    pub(crate) fn flood(&mut self, pattern: u32) {
        let map = &self.region.map;
        // SAFETY: as for `clear`; a mapping is whole pages, so words fill it and are aligned.
        let words = unsafe { slice::from_raw_parts_mut(map.start().cast::<u32>(), map.len() / size_of::<u32>()) };
        words.fill(pattern);
    }

    /// True when what lies around the voxels is as [`TensorBuf::flood`] left it.
    pub(crate) fn surroundings_hold(&self, pattern: u32) -> bool {
        let (place, map) = (self.placement(), &self.region.map);
        // SAFETY: as for `flood`, read only.
        let words = unsafe { slice::from_raw_parts(map.start().cast::<u32>(), map.len() / size_of::<u32>()) };
        let (before, after) = (place.before / size_of::<u32>(), place.after / size_of::<u32>());
        words[..before].iter().chain(&words[words.len() - after..]).all(|&word| word == pattern)
    }

    /// True when the bytes around the voxels are as [`TensorBuf::clear`] left them.
    pub(crate) fn surroundings_are_clear(&self) -> bool {
        let place = self.placement();
        let start = self.region.map.start();
        let end = start.wrapping_add(self.region.map.len() - place.after);
        // SAFETY: both ranges lie inside the mapping, which lives as long as `self`.
        let (before, after) =
            unsafe { (slice::from_raw_parts(start, place.before), slice::from_raw_parts(end, place.after)) };
        before.iter().chain(after).all(|&byte| byte == 0)
    }

    /// Keeps the memory out of the pool: a process that is not known to be dead may still write to it.
    pub(crate) fn retire(mut self) {
        self.reusable = false;
    }

    fn placement(&self) -> Placement {
        let voxels = self.shape.iter().product();
        // A shape that does not fit its region cannot be built: `take` sized the region from it.
        Placement::of(voxels, &self.region.map).unwrap_or(Placement { before: 0, voxels: 0, after: 0 })
    }
}

impl Form {
    /// That of a dense f32 tensor.
    pub(crate) fn dense(shape: [usize; 5]) -> Self {
        let tensor = IsoTensor::contiguous(std::ptr::null_mut(), shape.map(|extent| extent as u64));
        let IsoTensor { byte_len, dtype, ndim, shape, stride, .. } = tensor;
        Self { byte_len, dtype, ndim, shape, stride }
    }
}

impl Placement {
    /// Where `voxels` lie in `map`, or `None` when they do not fit.
    pub(crate) fn of(voxels: usize, map: &Mapping) -> Option<Self> {
        let bytes = voxels.checked_mul(size_of::<f32>())?;
        let before = map.len().checked_sub(bytes.checked_next_multiple_of(ALIGN)?)?;
        Some(Self { before, voxels, after: map.len() - before - bytes })
    }
}

impl Deref for TensorBuf {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the placement lies inside the mapping, which is readable and lives as long as `self`; it is aligned to
        // 64 bytes, and every bit pattern is an f32.
        unsafe { slice::from_raw_parts(self.data(), self.placement().voxels) }
    }
}

impl DerefMut for TensorBuf {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as for `deref`; the region is in no other `TensorBuf`, so `&mut self` is the only reference here.
        unsafe { slice::from_raw_parts_mut(self.data(), self.placement().voxels) }
    }
}

impl Drop for TensorBuf {
    fn drop(&mut self) {
        if self.reusable {
            self.pool.give(Arc::clone(&self.region));
        }
    }
}

impl std::fmt::Debug for TensorBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorBuf").field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Bytes of a tensor, or `None` when it is empty or larger than memory can be.
pub(crate) fn byte_len(shape: [usize; 5]) -> Option<usize> {
    let bytes = shape.iter().try_fold(size_of::<f32>(), |n, &extent| n.checked_mul(extent))?;
    (bytes > 0 && bytes <= isize::MAX as usize / 2).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: [usize; 5]) -> TensorBuf {
        let pool = Arc::new(BufferPool::new(2, 0));
        TensorBuf::take(&pool, shape, Use::Output, &Origin::default()).unwrap()
    }

    #[test]
    fn a_tensor_ends_where_its_mapping_does_up_to_alignment() {
        // 1,024 voxels fill a page of 4,096 bytes; one more needs 64 bytes more, of which it uses 4.
        let page = rustix::param::page_size();
        let map = |len| Arc::clone(&tensor([1, 1, 1, 1, len]).region);
        let full = Placement { before: 0, voxels: page / 4, after: 0 };
        assert_eq!(Placement::of(page / 4, &map(page / 4).map), Some(full));
        let longer = Placement { before: page - 64, voxels: page / 4 + 1, after: 60 };
        assert_eq!(Placement::of(page / 4 + 1, &map(page / 4 + 1).map), Some(longer));
        assert_eq!(Placement::of(page / 4 + 1, &map(page / 4).map), None);
        assert_eq!(Placement::of(usize::MAX, &map(1).map), None);
    }

    #[test]
    fn empty_and_impossible_shapes_have_no_size() {
        assert_eq!(byte_len([2, 1, 3, 5, 7]), Some(4 * 210));
        for shape in
            [[0, 1, 1, 1, 1], [usize::MAX, 2, 1, 1, 1], [1 << 20, 1 << 20, 1 << 20, 1, 1], [1 << 61, 1, 1, 1, 1]]
        {
            assert_eq!(byte_len(shape), None, "{shape:?}");
        }
    }

    #[test]
    fn a_cleared_tensor_notices_bytes_written_around_it() {
        let mut tensor = tensor([1, 1, 1, 1, 3]);
        tensor.clear();
        tensor.copy_from_slice(&[1.0, 2.0, 3.0]);
        assert!(tensor.surroundings_are_clear());
        // SAFETY: three voxels of 12 bytes leave 52 bytes behind them in the mapping.
        unsafe { tensor.data().add(3).write(1.0) };
        assert!(!tensor.surroundings_are_clear());
    }
}
