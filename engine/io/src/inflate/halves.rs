//! A gzip file unpacked on two cores.
//!
//! The stream is cut where a block begins. What follows refers to the 32 KiB before it, which nobody knows yet: it is unpacked
//! behind two different stand-ins for them, which together tell of each byte whether, and from where, it was copied out of
//! them. Such bytes die out soon in most images, so that the second pass may end early.

use std::sync::OnceLock;

use flate2::Crc;
use libdeflater::{DecompressionError, Decompressor};
use rayon::prelude::*;

use super::blocks::first_block;

/// Bytes that a stream may refer back to.
const WINDOW: usize = 1 << 15;

/// Bits among which the beginning of a block is looked for.
const SEARCHED: usize = 1 << 20;

/// Bytes unpacked for the second time before looking whether any is still copied from the unknown ones.
const PROBED: usize = 1 << 20;

/// Most bytes that an unpacker may leave out before the end of memory that is too small.
const UNFILLED: usize = 512;

/// Bytes copied by one core at a time.
const RUN: usize = 1 << 20;

/// Fills `content` exactly with that of a gzip file of one member, its checksum verified; gives false, with some other content,
/// where the file cannot be cut or is damaged.
pub(super) fn fill_on_two_cores(file: &[u8], content: &mut [u8]) -> bool {
    fill(file, content).is_some()
}

fn fill(file: &[u8], content: &mut [u8]) -> Option<()> {
    let (deflated, checksum) = parts(file)?;
    // The other core may still be reading a mask, and has more to do.
    let middle = 8 * (deflated.len() / 7 * 4);
    let cut = first_block(deflated, middle..middle + SEARCHED)?;
    let length = content.len();
    let known: OnceLock<Vec<u8>> = OnceLock::new();
    let front = || {
        let filled = Decompressor::new().deflate_decompress(&up_to(deflated, cut), content).ok()?;
        let window = content[..filled].last_chunk::<WINDOW>()?.to_vec();
        known.get_or_init(|| window);
        Some((filled, checksum_of(&content[..filled])))
    };
    let back = || Back::of(deflated, cut, length, known.get());
    let (front, back) = rayon::join(front, back);
    let ((filled, mut sum), mut back) = (front?, back?);
    let window = known.get()?;
    back.copied.iter().for_each(|&(place, from)| back.bytes[place] = window[from]);
    let own = &back.bytes[WINDOW..back.end];
    let rest = &mut content[filled..];
    if own.len() != rest.len() {
        return None;
    }
    sum.combine(&checksum_of(&back.bytes[WINDOW..back.certain]));
    sum.combine(&back.sum);
    if sum.sum() != checksum {
        return None;
    }
    rest.par_chunks_mut(RUN).zip(own.par_chunks(RUN)).for_each(|(rest, own)| rest.copy_from_slice(own));
    Some(())
}

/// Deflated bytes, with what follows them, and checksum of a gzip file (RFC 1952).
fn parts(file: &[u8]) -> Option<(&[u8], u32)> {
    let (head, mut rest) = file.split_at_checked(10)?;
    let has = |flag: u8| head[3] & flag != 0;
    if has(4) {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for _ in [8, 16].into_iter().filter(|&flag| has(flag)) {
        rest = &rest[rest.iter().position(|&byte| byte == 0)? + 1..];
    }
    let deflated = rest.get(if has(2) { 2 } else { 0 }..)?;
    let checksum = deflated.last_chunk::<8>()?.first_chunk()?;
    Some((deflated, u32::from_le_bytes(*checksum)))
}

fn checksum_of(bytes: &[u8]) -> Crc {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum
}

/// The stream up to a bit at which a block begins, ended by an empty last block of stored bytes.
fn up_to(deflated: &[u8], bit: usize) -> Vec<u8> {
    let (byte, used) = (bit / 8, bit % 8);
    let mut stream = Vec::with_capacity(byte + 8);
    stream.extend_from_slice(&deflated[..byte]);
    stream.push(deflated[byte] & ((1 << used) - 1) | 1 << used);
    if used > 5 {
        stream.push(0);
    }
    stream.extend([0, 0, 0xff, 0xff]);
    stream
}

/// The stream from a bit on, behind a block of as many stored bytes as it may refer to.
fn from(deflated: &[u8], bit: usize, window: &[u8]) -> Vec<u8> {
    let (rest, used) = (&deflated[bit / 8..], bit % 8);
    let mut stream = Vec::with_capacity(5 + WINDOW + rest.len());
    stream.extend([0, 0, 0x80, 0xff, 0x7f]);
    stream.extend_from_slice(window);
    let pairs = rest.iter().zip(&rest[1..]);
    stream.extend(pairs.map(|(&low, &high)| (u16::from_le_bytes([low, high]) >> used) as u8));
    stream
}

/// The part of the content behind the cut.
struct Back {
    /// Behind the window.
    bytes: Vec<u8>,
    /// One past the last of them.
    end: usize,
    /// Places of `bytes` that are copied from the window, with their places there.
    copied: Vec<(usize, usize)>,
    /// From where on no byte is.
    certain: usize,
    /// Checksum of the bytes from there on.
    sum: Crc,
}

impl Back {
    /// `length` is that of the whole content; the true window may be `known` already.
    fn of(deflated: &[u8], bit: usize, length: usize, known: Option<&Vec<u8>>) -> Option<Self> {
        // Place i of the window as its low byte, and both differing from that in the rest of the place, never in nothing.
        let low: Vec<u8> = (0..WINDOW).map(|place| place as u8).collect();
        let mut stream = from(deflated, bit, known.unwrap_or(&low));
        let share = (length as f64 * 1.5 * (1.0 - bit as f64 / (8 * deflated.len()) as f64)) as usize;
        let (bytes, end) = inflated(&stream, &[share.min(length), length])?;
        let (mut copied, mut certain) = (Vec::new(), WINDOW);
        if known.is_none() {
            let high = low.iter().enumerate().map(|(place, low)| low ^ 0x80 ^ (place >> 8) as u8);
            stream[5..5 + WINDOW].iter_mut().zip(high).for_each(|(byte, high)| *byte = high);
            for most in [PROBED.min(end), end] {
                let mut again = vec![0; most];
                let filled = match Decompressor::new().deflate_decompress(&stream, &mut again) {
                    Ok(filled) => filled,
                    Err(DecompressionError::InsufficientSpace) => most.checked_sub(UNFILLED)?,
                    Err(DecompressionError::BadData) => return None,
                };
                let pairs = bytes[WINDOW..filled.max(WINDOW)].iter().zip(&again[WINDOW..filled.max(WINDOW)]);
                let differing = (WINDOW..).zip(pairs).filter(|(_, (a, b))| a != b);
                copied = differing
                    .map(|(place, (&a, &b))| (place, usize::from((a ^ b) & 0x7f) << 8 | usize::from(a)))
                    .collect();
                certain = filled.max(WINDOW);
                let last = copied.last().map_or(WINDOW, |&(place, _)| place);
                if filled == end || last + WINDOW < filled {
                    break;
                }
            }
        }
        let sum = checksum_of(&bytes[certain..end]);
        Some(Self { bytes, end, copied, certain, sum })
    }
}

/// What a stream unpacks to, in the first of `sizes` behind the window that is large enough, and its length.
fn inflated(stream: &[u8], sizes: &[usize]) -> Option<(Vec<u8>, usize)> {
    for size in sizes {
        let mut bytes = vec![0; WINDOW + size];
        match Decompressor::new().deflate_decompress(stream, &mut bytes) {
            Ok(filled) => return Some((bytes, filled)),
            Err(DecompressionError::InsufficientSpace) => {}
            Err(DecompressionError::BadData) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    const LENGTH: usize = 3_000_001;

    fn noise(i: usize) -> usize {
        (i ^ i >> 7).wrapping_mul(0x9E37_79B1) >> 13
    }

    fn packed(content: &[u8], level: u32) -> Vec<u8> {
        let mut gzip =
            GzBuilder::new().filename("image.nii").extra([1, 2, 3]).write(Vec::new(), Compression::new(level));
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    }

    /// Noise, where copied bytes die out; one row again and again with a new byte here and there, where they never do; and rows of
    /// nothing between rows of noise.
    #[test]
    fn two_cores_unpack_what_one_packs() {
        let contents: [Vec<u8>; 3] = [
            (0..LENGTH).map(|i| (noise(i) % 61) as u8).collect(),
            (0..LENGTH).map(|i| (noise(if i % 37 == 0 { i } else { i % 5000 }) % 251) as u8).collect(),
            (0..LENGTH).map(|i| if i / 700 % 2 == 0 { 0 } else { (noise(i) % 200) as u8 }).collect(),
        ];
        for (content, level) in contents.iter().zip([2, 6, 9]) {
            let file = packed(content, level);
            for threads in [1, 2] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut found = vec![7; LENGTH];
                assert!(pool.install(|| fill_on_two_cores(&file, &mut found)), "{level} {threads}");
                assert!(found == *content, "{level} {threads}");
            }
        }
    }

    #[test]
    fn damage_and_streams_without_codes_of_their_own_are_left_to_one_core() {
        let content: Vec<u8> = (0..LENGTH).map(|i| (noise(i) % 61) as u8).collect();
        let mut found = vec![0; LENGTH];
        assert!(!fill_on_two_cores(&packed(&content, 0), &mut found));
        let whole = packed(&content, 6);
        assert!(!fill_on_two_cores(&whole[..whole.len() / 2], &mut found));
        assert!(!fill_on_two_cores(&whole, &mut found[1..]));
        for place in [whole.len() - 8, whole.len() / 3, whole.len() / 4 * 3] {
            let mut damaged = whole.clone();
            damaged[place] ^= 4;
            assert!(!fill_on_two_cores(&damaged, &mut found), "{place}");
        }
    }
}
