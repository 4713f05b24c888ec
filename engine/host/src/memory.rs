//! Memory that two processes see: sealed memory files, mapped between guard pages.

use std::{
    ffi::c_void,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    io,
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
    param::page_size,
};

/// A mapped memory file with an inaccessible page on each side.
pub(crate) struct Mapping {
    start: *mut u8,
    len: usize,
}

/// What a shared buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The engine writes; a worker can never map it writable.
    Input,
    /// A worker writes.
    Output,
}

/// A memory file mapped into the engine.
pub(crate) struct Region {
    pub(crate) id: u64,
    pub(crate) purpose: Use,
    pub(crate) map: Mapping,
    file: OwnedFd,
}

/// Idle regions of one plugin, for reuse: fresh shared memory costs more than most calls.
pub(crate) struct BufferPool {
    idle: Mutex<Vec<Arc<Region>>>,
    keep: usize,
    keep_bytes: usize,
}

/// The page through which a worker reports progress and is asked to stop, without messages.
pub(crate) struct Control {
    map: Mapping,
}

#[repr(C)]
struct ControlPage {
    progress: AtomicU32,
    cancel: AtomicU32,
    beat: AtomicU64,
}

impl Mapping {
    /// Maps the first `len` bytes (whole pages) of `file`.
    pub(crate) fn new(file: BorrowedFd<'_>, len: usize, writable: bool) -> io::Result<Self> {
        let page = page_size();
        if len == 0 || !len.is_multiple_of(page) {
            return Err(io::Errno::INVAL);
        }
        let reserved = len.checked_add(2 * page).ok_or(io::Errno::NOMEM)?;
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a null hint asks the kernel for unused addresses, so that nothing existing is replaced.
        let base =
            unsafe { mmap_anonymous(ptr::null_mut(), reserved, ProtFlags::empty(), MapFlags::PRIVATE)? }.cast::<u8>();
        let mapping = Self { start: base.wrapping_add(page), len };
        let flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::POPULATE;
        // SAFETY: the fixed range lies inside the reservation made above, which nobody else knows.
        unsafe { mmap(mapping.start.cast::<c_void>(), len, access, flags, file, 0)? };
        Ok(mapping)
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value owns the reservation, guards included, and hands out no reference that outlives it.
        let _ = unsafe { munmap(self.start.wrapping_sub(page_size()).cast::<c_void>(), self.len + 2 * page_size()) };
    }
}

// SAFETY: a mapping is an address range; the types built on it say who may touch the bytes when.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mapping {}

impl Region {
    fn new(len: usize, purpose: Use) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let file = memory_file("isoscan-tensor", len)?;
        let map = Mapping::new(file.as_fd(), len, true)?;
        if purpose == Use::Input {
            fcntl_add_seals(&file, SealFlags::FUTURE_WRITE | SealFlags::SEAL)?;
        }
        Ok(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), purpose, map, file })
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl BufferPool {
    /// A pool that gives its oldest idle buffers up when it has more than `keep` and more than `keep_bytes` in them.
    pub(crate) fn new(keep: usize, keep_bytes: usize) -> Self {
        Self { idle: Mutex::new(Vec::new()), keep, keep_bytes }
    }

    /// A region of exactly `len` bytes rounded up to whole pages.
    pub(crate) fn take(&self, len: usize, purpose: Use) -> io::Result<Arc<Region>> {
        let len = len.checked_next_multiple_of(page_size()).ok_or(io::Errno::NOMEM)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = idle.iter().rposition(|region| region.map.len() == len && region.purpose == purpose) {
            return Ok(idle.remove(found));
        }
        drop(idle);
        Ok(Arc::new(Region::new(len, purpose)?))
    }

    pub(crate) fn give(&self, region: Arc<Region>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(region);
        let mut bytes: usize = idle.iter().map(|region| region.map.len()).sum();
        let mut surplus = Vec::new();
        while idle.len() > self.keep && bytes > self.keep_bytes {
            let oldest = idle.remove(0);
            bytes -= oldest.map.len();
            surplus.push(oldest);
        }
        drop(idle);
        drop(surplus);
    }
}

impl Control {
    /// A fresh page and the file to send to the worker.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let file = memory_file("isoscan-control", page_size())?;
        Ok((Self::open(file.as_fd())?, file))
    }

    pub(crate) fn open(file: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { map: Mapping::new(file, page_size(), true)? })
    }

    fn page(&self) -> &ControlPage {
        // SAFETY: the mapping is one page, page-aligned, lives as long as `self`, and holds atomics only, for which
        // every bit pattern is valid whatever the other process writes.
        unsafe { &*self.map.start().cast::<ControlPage>() }
    }

    /// Clears progress and the wish to stop.
    pub(crate) fn reset(&self) {
        self.page().cancel.store(0, Ordering::Release);
        self.page().progress.store(0, Ordering::Release);
    }

    pub(crate) fn cancel(&self) {
        self.page().cancel.store(1, Ordering::Release);
    }

    /// Notes the fraction done; true asks the plugin to stop.
    pub(crate) fn report(&self, fraction: f32) -> bool {
        self.page().progress.store(fraction.to_bits(), Ordering::Release);
        self.page().beat.fetch_add(1, Ordering::AcqRel);
        self.page().cancel.load(Ordering::Acquire) != 0
    }

    /// How often progress was reported since the worker started.
    pub(crate) fn beats(&self) -> u64 {
        self.page().beat.load(Ordering::Acquire)
    }

    /// The fraction last reported, in 0..=1.
    pub(crate) fn progress(&self) -> f32 {
        let fraction = f32::from_bits(self.page().progress.load(Ordering::Acquire));
        if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) }
    }
}

/// A memory file of fixed size: without the seals a worker that shrank it would kill the engine with `SIGBUS`.
fn memory_file(name: &str, len: usize) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, len as u64)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_reuses_what_fits_and_gives_up_its_oldest_surplus() {
        let page = page_size();
        let pool = BufferPool::new(2, 3 * page);
        let [small, large, output] = [(page, Use::Input), (3 * page, Use::Input), (page, Use::Output)]
            .map(|(len, use_)| pool.take(len, use_).unwrap());
        let ids = [small.id, large.id, output.id];
        let oldest = Arc::downgrade(&small);
        for region in [small, large, output] {
            pool.give(region);
        }
        assert!(oldest.upgrade().is_none());
        assert_eq!(pool.take(2 * page + 1, Use::Input).unwrap().id, ids[1]);
        assert_eq!(pool.take(1, Use::Output).unwrap().id, ids[2]);
        assert!(!ids.contains(&pool.take(1, Use::Input).unwrap().id));
    }

    #[test]
    fn an_input_file_cannot_be_mapped_writable_or_resized() {
        let page = page_size();
        let [input, output] = [Use::Input, Use::Output].map(|purpose| Region::new(page, purpose).unwrap());
        assert!(Mapping::new(input.file(), page, false).is_ok());
        assert_eq!(Mapping::new(input.file(), page, true).err(), Some(io::Errno::PERM));
        assert!(Mapping::new(output.file(), page, true).is_ok());
        for region in [&input, &output] {
            assert_eq!(ftruncate(region.file(), 0), Err(io::Errno::PERM));
            assert_eq!(ftruncate(region.file(), 2 * page as u64), Err(io::Errno::PERM));
        }
    }

    #[test]
    fn the_control_page_carries_progress_one_way_and_the_wish_to_stop_the_other() {
        let (engine, file) = Control::create().unwrap();
        let worker = Control::open(file.as_fd()).unwrap();
        assert!(!worker.report(0.25));
        engine.cancel();
        assert_eq!((engine.progress(), worker.report(f32::NAN), engine.progress()), (0.25, true, 0.0));
        engine.reset();
        assert!(!worker.report(7.0));
        assert_eq!(engine.progress(), 1.0);
    }
}
