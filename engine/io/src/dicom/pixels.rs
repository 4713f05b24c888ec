//! Frames of a DICOM file: stored samples, intensities and padding, frame by frame and channel by channel.

use dicom_dictionary_std::{tags, uids};

use super::attributes::whole;
use super::compressed;
use super::fragments::{FrameFragments, locate};
use super::header::Slice;
use super::lut::Rescale;
pub(crate) use super::samples::SampleFormat;
use super::samples::{Colour, Layout, Numbers};
use super::scan::{BIG_ENDIAN, PixelElement};
use super::source::Bytes;
use crate::Error;

/// An open file whose frames can be read in any order from any thread. Everything that its header promises about the
/// pixels has been checked against the bytes that are there.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    slice: &'a Slice,
    layout: Layout,
    bytes: Bytes,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Native { offset: u64, big_endian: bool, words: bool },
    Encapsulated(FrameFragments),
}

impl<'a> Frames<'a> {
    /// Opens the pixels of `slice`.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Unsupported`] for what the header says, [`Error::Truncated`] when the file is too
    /// short for it, [`Error::Io`].
    pub(crate) fn open(slice: &'a Slice) -> Result<Self, Error> {
        let layout = Layout::of(slice)?;
        let element = slice.pixels.ok_or_else(|| slice.unsupported("DICOM object without pixels"))?;
        let native = matches!(
            slice.syntax.as_str(),
            uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN | BIG_ENDIAN
        );
        if !native {
            compressed::require_known(slice)?;
        }
        let bytes = Bytes::open(slice)?;
        let place = match (element.length, native) {
            (Some(length), true) => native_place(slice, &layout, element, length)?,
            (None, false) => {
                let fragments = locate(slice, &bytes, element.offset, layout.frames)?;
                require_likely_size(slice, &layout, &fragments)?;
                Place::Encapsulated(fragments)
            }
            (Some(_), false) => {
                return Err(slice.malformed("Pixel Data", "fragments under a compressed syntax", "plain bytes"));
            }
            (None, true) => return Err(slice.malformed("Pixel Data", "plain bytes under a plain syntax", "fragments")),
        };
        Ok(Self { slice, layout, bytes, place })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads one channel of one frame into `voxels`, rows × columns, x fastest: stored values through `rescale`, in f64,
    /// rounded once. Where `padded` is given, it tells the pixels whose stored value the file declares as padding.
    pub(crate) fn read(
        &self,
        frame: usize,
        channel: usize,
        rescale: &Rescale,
        voxels: &mut [f32],
        padded: Option<(Padding, &mut [bool])>,
    ) -> Result<(), Error> {
        let bytes = self.channel(frame, channel)?;
        convert(&self.layout.numbers, rescale, &bytes, voxels);
        if let Some((padding, padded)) = padded {
            let mark = |(inside, stored): (&mut bool, f64)| *inside = padding.holds(stored);
            padded.iter_mut().zip(stored(&self.layout.numbers, &bytes)).for_each(mark);
        }
        Ok(())
    }

    /// Stored values of one channel of one frame, x fastest.
    pub(crate) fn stored(&self, frame: usize, channel: usize) -> Result<Vec<f64>, Error> {
        Ok(stored(&self.layout.numbers, &self.channel(frame, channel)?).collect())
    }

    /// Little-endian samples of one channel of one frame.
    fn channel(&self, frame: usize, channel: usize) -> Result<Vec<u8>, Error> {
        let (slice, layout) = (self.slice, &self.layout);
        if frame >= layout.frames || channel >= layout.channels() {
            return Err(slice.unsupported(format!(
                "frame {} channel {} of an image that has fewer",
                frame + 1,
                channel + 1
            )));
        }
        match &self.place {
            Place::Native { offset, big_endian, words } => self.native(frame, channel, *offset, *big_endian, *words),
            Place::Encapsulated(fragments) => {
                let parts = &fragments[frame];
                let total: u64 = parts.iter().map(|part| part.end - part.start).sum();
                let mut stream = vec![0; total as usize];
                let mut at = 0;
                for part in parts {
                    let end = at + (part.end - part.start) as usize;
                    self.bytes.fill(part.start, &mut stream[at..end], slice)?;
                    at = end;
                }
                compressed::decode(slice, layout, &stream, channel)
            }
        }
    }

    fn native(&self, frame: usize, channel: usize, offset: u64, big: bool, words: bool) -> Result<Vec<u8>, Error> {
        let layout = &self.layout;
        let first_bit = frame as u64 * layout.frame_bits();
        let last_byte = (first_bit + layout.frame_bits()).div_ceil(8);
        let (start, width) = (first_bit / 8, layout.sample_bytes());
        // Bytes in big-endian 16-bit words lie swapped (PS3.5 annex A.3); a frame may start in the middle of a word.
        let in_words = big && width == 1 && words;
        let read_from = if in_words { start & !1 } else { start };
        let read_to = if in_words { last_byte.next_multiple_of(2) } else { last_byte };
        let read_to = (offset + read_to).min(self.bytes.length()) - offset;
        let mut bytes = vec![0; (read_to - read_from) as usize];
        self.bytes.fill(offset + read_from, &mut bytes, self.slice)?;
        if in_words {
            bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse);
            bytes.drain(..(start - read_from) as usize);
        } else if big && width > 1 {
            bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        Ok(channel_of(layout, bytes, (first_bit % 8) as usize, channel))
    }
}

/// One channel of an uncompressed little-endian frame whose first sample lies `skipped_bits` into the bytes.
pub(super) fn channel_of(layout: &Layout, mut frame: Vec<u8>, skipped_bits: usize, channel: usize) -> Vec<u8> {
    let (pixels, width, channels) = (layout.pixels(), layout.sample_bytes(), layout.channels());
    match layout.colour {
        _ if layout.is_packed() => {
            (skipped_bits..skipped_bits + pixels).map(|bit| frame[bit / 8] >> (bit % 8) & 1).collect()
        }
        _ if channels == 1 => {
            frame.truncate(pixels * width);
            frame
        }
        Colour::Ybr422 => {
            // Four samples for two pixels: Y Y CB CR (PS3.3 C.7.6.3.1.2).
            let at = |pixel: usize| 4 * (pixel / 2) + if channel == 0 { pixel % 2 } else { channel + 1 };
            (0..pixels).flat_map(|pixel| frame[at(pixel) * width..][..width].iter().copied()).collect()
        }
        _ if layout.planar => frame[channel * pixels * width..][..pixels * width].to_vec(),
        _ => pick(&frame, channels, channel, width),
    }
}

/// Stored values that a file declares as padding: one value or the range to its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Padding {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Padding {
    /// The padding that the header declares, if any value can be it.
    pub(crate) fn of(slice: &Slice, layout: &Layout) -> Option<Self> {
        let object = &slice.object;
        let value = |whole_tag, float_tag, double_tag| match layout.numbers {
            // The value's VR follows the representation of the pixels, but some writers and implicit VR lose the sign.
            Numbers::Whole(format) => whole::<i64>(object, whole_tag).map(|value| {
                let value = if format.signed { i64::from(value as u16 as i16) } else { value & 0xFFFF };
                value as f64
            }),
            Numbers::Float32 => super::attributes::number(object, float_tag),
            Numbers::Float64 => super::attributes::number(object, double_tag),
        };
        let first =
            value(tags::PIXEL_PADDING_VALUE, tags::FLOAT_PIXEL_PADDING_VALUE, tags::DOUBLE_FLOAT_PIXEL_PADDING_VALUE)?;
        let limit = value(
            tags::PIXEL_PADDING_RANGE_LIMIT,
            tags::FLOAT_PIXEL_PADDING_RANGE_LIMIT,
            tags::DOUBLE_FLOAT_PIXEL_PADDING_RANGE_LIMIT,
        )
        .unwrap_or(first);
        Some(Self { low: first.min(limit), high: first.max(limit) })
    }

    fn holds(&self, stored: f64) -> bool {
        (self.low..=self.high).contains(&stored)
    }
}

/// One channel of interleaved samples of `width` bytes.
pub(super) fn pick(all: &[u8], channels: usize, channel: usize, width: usize) -> Vec<u8> {
    all.chunks_exact(channels * width).flat_map(|pixel| pixel[channel * width..][..width].iter().copied()).collect()
}

fn native_place(slice: &Slice, layout: &Layout, element: PixelElement, length: u64) -> Result<Place, Error> {
    let bits = layout.frame_bits().checked_mul(layout.frames as u64);
    let expected = bits.map_or(u64::MAX, |bits| bits.div_ceil(8));
    if length < expected {
        return Err(Error::Truncated { what: "pixel data", expected, found: length, path: slice.path.clone() });
    }
    if layout.colour == Colour::Ybr422 && !layout.columns.is_multiple_of(2) {
        return Err(slice.malformed("Columns", "an even number for YBR_FULL_422", layout.columns));
    }
    Ok(Place::Native { offset: element.offset, big_endian: slice.syntax == BIG_ENDIAN, words: element.words })
}

/// Refuses sizes that no such file unpacks to: a header of a few bytes must not ask for gigabytes.
fn require_likely_size(slice: &Slice, layout: &Layout, fragments: &FrameFragments) -> Result<(), Error> {
    const FREE: u64 = 1 << 23;
    const MOST_TIMES: u64 = 256;
    let packed: u64 = fragments.iter().flatten().map(|part| part.end - part.start).sum();
    let unpacked = (layout.frame_bits() / 8).saturating_mul(layout.frames as u64);
    if unpacked <= FREE.max(packed.saturating_mul(MOST_TIMES)) {
        return Ok(());
    }
    let found = format!("{unpacked} bytes of pixels from {packed} compressed ones");
    Err(slice.malformed("Pixel Data", "at most 256 times the compressed bytes", found))
}

fn words(bytes: &[u8], width: usize) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(width).map(move |b| match width {
        1 => u32::from(b[0]),
        2 => u32::from(u16::from_le_bytes([b[0], b[1]])),
        _ => u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
    })
}

fn floats<'a>(bytes: &'a [u8], numbers: &Numbers) -> impl Iterator<Item = f64> + use<'a> {
    let width = if *numbers == Numbers::Float32 { 4 } else { 8 };
    bytes.chunks_exact(width).map(move |b| match width {
        4 => f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        _ => f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
    })
}

fn stored<'a>(numbers: &Numbers, bytes: &'a [u8]) -> Box<dyn Iterator<Item = f64> + 'a> {
    match *numbers {
        Numbers::Whole(format) => Box::new(words(bytes, format.bytes()).map(move |word| format.stored(word) as f64)),
        Numbers::Float32 | Numbers::Float64 => Box::new(floats(bytes, numbers)),
    }
}

fn convert(numbers: &Numbers, rescale: &Rescale, bytes: &[u8], voxels: &mut [f32]) {
    match (*numbers, rescale) {
        (Numbers::Whole(format), Rescale::Linear { slope, intercept }) => {
            let format = SampleFormat { slope: *slope, intercept: *intercept, ..format };
            match format.bytes() {
                1 => scale::<1>(&format, bytes, voxels, |b| u32::from(b[0])),
                2 => scale::<2>(&format, bytes, voxels, |b| u32::from(u16::from_le_bytes(b))),
                _ => scale::<4>(&format, bytes, voxels, u32::from_le_bytes),
            }
        }
        (Numbers::Whole(format), Rescale::Table(table)) => {
            let (low, high) = format.range();
            let stored = words(bytes, format.bytes()).map(|word| format.stored(word));
            let shown = stored.map(|stored| if format.inverted { low + high - stored } else { stored });
            voxels.iter_mut().zip(shown).for_each(|(voxel, value)| *voxel = table.intensity(value));
        }
        (numbers, Rescale::Linear { slope, intercept }) => {
            let values = floats(bytes, &numbers).map(|value| (value * slope + intercept) as f32);
            voxels.iter_mut().zip(values).for_each(|(voxel, value)| *voxel = value);
        }
        (numbers, Rescale::Table(_)) => {
            voxels.iter_mut().zip(floats(bytes, &numbers)).for_each(|(voxel, value)| *voxel = value as f32);
        }
    }
}

fn scale<const WIDTH: usize>(
    format: &SampleFormat,
    bytes: &[u8],
    voxels: &mut [f32],
    word: impl Fn([u8; WIDTH]) -> u32,
) {
    let (left, right) = format.shifts();
    let (low, high) = format.range();
    let (sign, offset) = if format.inverted { (-1.0, (low + high) as f64) } else { (1.0, 0.0) };
    let (slope, intercept) = (format.slope, format.intercept);
    let in_f64 = |stored: f64| ((sign * stored + offset) * slope + intercept) as f32;
    // Whole numbers below 2^24 are exact in f32, and four fit where two f64 do.
    let shift = offset + intercept;
    let exact = slope == 1.0 && shift.fract() == 0.0 && shift.abs() < f64::from(1 << 22) && format.bits_stored <= 16;
    let (sign_f32, shift_f32) = (sign as f32, shift as f32);
    let in_f32 = |stored: f32| sign_f32 * stored + shift_f32;
    let signed = |sample: [u8; WIDTH]| (word(sample) << left) as i32 >> right;
    let unsigned = |sample: [u8; WIDTH]| word(sample) << left >> right;
    let pairs = voxels.iter_mut().zip(bytes.as_chunks::<WIDTH>().0);
    match (exact, format.signed) {
        (true, true) => pairs.for_each(|(voxel, &sample)| *voxel = in_f32(signed(sample) as f32)),
        (true, false) => pairs.for_each(|(voxel, &sample)| *voxel = in_f32(unsigned(sample) as i32 as f32)),
        (false, true) => pairs.for_each(|(voxel, &sample)| *voxel = in_f64(f64::from(signed(sample)))),
        (false, false) => pairs.for_each(|(voxel, &sample)| *voxel = in_f64(f64::from(unsigned(sample)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_interleaved_words_are_told_apart() {
        assert_eq!(pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 3, 1, 2), [3, 4, 9, 10]);
    }

    #[test]
    fn padding_is_one_value_or_a_range() {
        let range = Padding { low: -2000.0, high: -1025.0 };
        assert_eq!([-2001.0, -2000.0, -1025.0, -1024.0].map(|v| range.holds(v)), [false, true, true, false]);
    }

    #[test]
    fn whole_numbers_scale_alike_in_both_precisions() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for (signed, inverted, bits_stored) in
            [(false, false, 12), (true, false, 16), (false, true, 16), (true, true, 12)]
        {
            let format = SampleFormat {
                bits_allocated: 16,
                bits_stored,
                high_bit: bits_stored - 1,
                signed,
                inverted,
                slope: 1.0,
                intercept: 0.0,
            };
            for (slope, intercept) in [(1.0, -1024.0), (1.0, 0.5), (0.1, -3.0)] {
                let mut voxels = vec![0.0; 1 << 16];
                convert(&Numbers::Whole(format), &Rescale::Linear { slope, intercept }, &bytes, &mut voxels);
                let scaled = SampleFormat { slope, intercept, ..format };
                let expected = (0..=u16::MAX).map(|word| scaled.intensity(scaled.stored(u32::from(word))));
                assert!(voxels.iter().copied().eq(expected), "{format:?} {slope} {intercept}");
            }
        }
    }
}
