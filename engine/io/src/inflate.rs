//! Deflated voxels unpacked in one piece, which takes a third of the time that a stream takes, or in two on as many cores.

mod blocks;
mod halves;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use libdeflater::Decompressor;
use rayon::prelude::*;

use crate::nifti::Stored;
use halves::fill_on_two_cores;

/// Deflate cannot shrink further than this, so a header that promises more is wrong.
pub(crate) const MOST_DEFLATED: u64 = 1032;

/// How every gzip member begins.
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Voxels decoded at a time.
pub(crate) const RUN: usize = 1 << 16;

/// Shorter files are unpacked before a second core has sorted out what it copied, and longer content would need too much
/// memory beside it.
const CUT: (usize, usize) = (4 << 20, 36 << 20);

/// Smallest pages of memory.
const PAGE: usize = 4096;

/// How stored numbers become intensities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) stored: Stored,
    pub(crate) big_endian: bool,
    /// Slope and intercept.
    pub(crate) scale: Option<(f64, f64)>,
}

impl Numbers {
    pub(crate) fn decode(self, bytes: &[u8], voxels: &mut [f32]) {
        self.stored.decode(bytes, self.big_endian, self.scale, voxels);
    }

    fn decode_parallel(self, bytes: &[u8], voxels: &mut [f32]) {
        let bytes = bytes.par_chunks(RUN * self.stored.bytes());
        voxels.par_chunks_mut(RUN).zip(bytes).for_each(|(voxels, bytes)| self.decode(bytes, voxels));
    }
}

impl Numbers {
    /// The numbers from byte `first` of `content` on, a byte each; `None` when one is no whole
    /// number from 0 to 255.
    pub(crate) fn labels(self, content: Vec<u8>, first: usize) -> Option<Narrow> {
        if self.stored == Stored::U8 {
            return Some(Narrow { bytes: content, first });
        }
        let bytes = self.stored.labels(content.get(first..)?, self.big_endian)?;
        Some(Narrow { bytes, first: 0 })
    }
}

/// Numbers of a byte each behind some other bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Narrow {
    pub(crate) bytes: Vec<u8>,
    /// Where they begin.
    pub(crate) first: usize,
}

/// A file that may be one deflated stream from some byte on.
pub(crate) struct Packed {
    bytes: Vec<u8>,
    first: usize,
}

impl Packed {
    pub(crate) fn new(bytes: Vec<u8>, first: usize) -> Self {
        Self { bytes, first }
    }

    fn stream(&self) -> &[u8] {
        self.bytes.get(self.first..).unwrap_or_default()
    }

    /// Whether it may unpack to exactly `length` bytes; gzip tells in its last four bytes.
    fn may_hold(&self, length: usize) -> bool {
        let stream = self.stream();
        let told = stream.last_chunk::<4>().is_some_and(|last| u32::from_le_bytes(*last) == length as u32);
        length as u64 <= (stream.len() as u64).saturating_mul(MOST_DEFLATED) && (told || !stream.starts_with(&GZIP))
    }

    /// Whether two cores unpack it sooner than one does.
    fn is_worth_a_cut(&self, length: usize) -> bool {
        let (shortest, longest) = CUT;
        let stream = self.stream();
        stream.starts_with(&GZIP) && stream.len() >= shortest && length <= longest && rayon::current_num_threads() > 1
    }

    /// Fills `content` exactly, its checksum verified; otherwise gives false and leaves some other content.
    fn fill(&self, content: &mut [u8]) -> bool {
        let (stream, mut inflater) = (self.stream(), Decompressor::new());
        if self.is_worth_a_cut(content.len()) && fill_on_two_cores(stream, content) {
            return true;
        }
        let filled = match stream.starts_with(&GZIP) {
            true => inflater.gzip_decompress(stream, content),
            false => inflater.zlib_decompress(stream, content),
        };
        filled.is_ok_and(|filled| filled == content.len())
    }

    /// The content; `None` when it is not one gzip or zlib stream of exactly `length` bytes.
    pub(crate) fn content(self, length: usize) -> Option<Vec<u8>> {
        if !self.may_hold(length) {
            return None;
        }
        Vec::<u8>::new().try_reserve_exact(length).ok()?;
        let mut content = vec![0; length];
        self.fill(&mut content).then_some(content)
    }

    /// The `count` voxels at the end of the content, unpacked into the far end of their own memory and decoded from there to
    /// the front. `None` when it is not one gzip or zlib stream of exactly `length` bytes.
    pub(crate) fn voxels(self, length: usize, count: usize, numbers: Numbers) -> Option<Vec<f32>> {
        if !self.may_hold(length) {
            return None;
        }
        let places = count.max(length.div_ceil(size_of::<f32>()));
        let mut voxels = zeros(places)?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut voxels);
        let (front, content) = bytes.split_at_mut(places * size_of::<f32>() - length);
        let filled = if self.is_worth_a_cut(length) {
            self.fill(content)
        } else {
            // Touching fresh memory costs as much as unpacking into it, so the other half is touched meanwhile.
            let touch = || front.iter_mut().step_by(PAGE).for_each(|byte| *byte = 0);
            rayon::join(|| self.fill(content), touch).0
        };
        if !filled {
            return None;
        }
        drop(self);
        decode_towards_front(numbers, count, &mut voxels);
        voxels.truncate(count);
        if places > count + count / 16 {
            voxels.shrink_to_fit();
        }
        Some(voxels)
    }
}

/// The `length` bytes of a plain file from byte `first` on; `None` when it ends before.
pub(crate) fn read_part(path: &Path, first: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    if first.checked_add(length as u64).is_none_or(|end| file.metadata().is_ok_and(|facts| facts.len() < end)) {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(first))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// Decodes the stored numbers at the end of `voxels` into its front. No number is overwritten before it is decoded: voxel
/// i ends at byte 4 (i + 1), and number i + 1 begins behind it.
fn decode_towards_front(numbers: Numbers, count: usize, voxels: &mut [f32]) {
    let width = numbers.stored.bytes();
    let first = size_of_val(voxels) - width * count;
    let mut copied = vec![0; RUN.min(count) * width];
    let mut done = 0;
    while done < count {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(voxels);
        let (front, stored) = bytes.split_at_mut(first + done * width);
        let free = (front.len() / size_of::<f32>() - done).min(count - done);
        if free >= RUN {
            let place = &mut front[size_of::<f32>() * done..size_of::<f32>() * (done + free)];
            numbers.decode_parallel(&stored[..free * width], bytemuck::cast_slice_mut(place));
            done += free;
            continue;
        }
        let run = RUN.min(count - done);
        let copied = &mut copied[..run * width];
        copied.copy_from_slice(&stored[..run * width]);
        numbers.decode(copied, &mut voxels[done..done + run]);
        done += run;
    }
}

/// Zeros in memory that nobody has touched yet, or `None` when there is not enough of it.
pub(crate) fn zeros(count: usize) -> Option<Vec<f32>> {
    Vec::<f32>::new().try_reserve_exact(count).ok()?;
    Some(vec![0.0; count])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn gzip_and_zlib_streams_unpack_only_to_their_own_length() {
        let content: Vec<u8> = (0..40_000).flat_map(|i: u16| i.to_le_bytes()).collect();
        let mut gzip = GzEncoder::new(b"header".to_vec(), Compression::fast());
        gzip.write_all(&content).unwrap();
        let mut zlib = ZlibEncoder::new(b"header".to_vec(), Compression::fast());
        zlib.write_all(&content).unwrap();
        for packed in [gzip.finish().unwrap(), zlib.finish().unwrap()] {
            let of = |length| Packed::new(packed.clone(), 6).content(length);
            assert_eq!(of(content.len()), Some(content.clone()));
            assert_eq!((of(content.len() - 1), of(content.len() + 1), of(usize::MAX)), (None, None, None));
            let numbers = Numbers { stored: Stored::U16, big_endian: false, scale: Some((2.0, 1.0)) };
            let voxels = Packed::new(packed.clone(), 6).voxels(content.len(), 39_990, numbers).unwrap();
            assert!(voxels.iter().zip(10..).all(|(v, i): (&f32, i32)| *v == (2 * i + 1) as f32));
            assert_eq!((voxels.len(), Packed::new(packed, 7).content(content.len())), (39_990, None));
        }
    }
}
