//! Stored samples of one slice, as integers and as intensities.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use super::attributes::{number, text, whole};
use super::compressed;
use super::header::Slice;
use super::scan::BIG_ENDIAN;
use crate::Error;

/// How the samples of a slice are stored and what they mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SampleFormat {
    pub(crate) bits_allocated: u16,
    pub(crate) bits_stored: u16,
    pub(crate) high_bit: u16,
    pub(crate) signed: bool,
    /// MONOCHROME1: low values are bright. Read inverted, so that high is bright in every volume.
    pub(crate) inverted: bool,
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
}

impl SampleFormat {
    /// Checks the attributes that describe the samples.
    pub(crate) fn of(slice: &Slice) -> Result<Self, Error> {
        let object = &slice.object;
        let samples: u16 = whole(object, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let photometric = text(object, tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        let inverted = match photometric.as_str() {
            "MONOCHROME1" => true,
            "MONOCHROME2" => false,
            "" => return Err(slice.malformed("Photometric Interpretation", "MONOCHROME1 or MONOCHROME2", "nothing")),
            colour => return Err(slice.unsupported(format!("colour image ({colour})"))),
        };
        if samples != 1 {
            return Err(slice.malformed("Samples per Pixel", "1 for a monochrome image", samples));
        }
        if object.get(tags::MODALITY_LUT_SEQUENCE).is_some() {
            return Err(slice.unsupported("intensities by a Modality LUT Sequence"));
        }
        let bits_allocated: u16 = whole(object, tags::BITS_ALLOCATED).unwrap_or(0);
        if !matches!(bits_allocated, 8 | 16 | 32) {
            return Err(slice.malformed("Bits Allocated", "8, 16 or 32", bits_allocated));
        }
        let bits_stored: u16 = whole(object, tags::BITS_STORED).unwrap_or(bits_allocated);
        if !(1..=bits_allocated).contains(&bits_stored) {
            return Err(slice.malformed("Bits Stored", "1 to Bits Allocated", bits_stored));
        }
        let high_bit: u16 = whole(object, tags::HIGH_BIT).unwrap_or(bits_stored - 1);
        if !(bits_stored - 1..bits_allocated).contains(&high_bit) {
            return Err(slice.malformed("High Bit", "Bits Stored - 1 to Bits Allocated - 1", high_bit));
        }
        let signed = match whole::<u16>(object, tags::PIXEL_REPRESENTATION).unwrap_or(0) {
            0 => false,
            1 => true,
            other => return Err(slice.malformed("Pixel Representation", "0 or 1", other)),
        };
        let rescale = |tag: Tag, field, default| match (object.get(tag), number(object, tag)) {
            (None, _) => Ok(default),
            (Some(_), Some(value)) => Ok(value),
            (Some(_), None) => Err(slice.malformed(field, "a number", "something else")),
        };
        let slope = rescale(tags::RESCALE_SLOPE, "Rescale Slope", 1.0)?;
        let intercept = rescale(tags::RESCALE_INTERCEPT, "Rescale Intercept", 0.0)?;
        if slope == 0.0 {
            return Err(slice.malformed("Rescale Slope", "a number other than 0", slope));
        }
        Ok(Self { bits_allocated, bits_stored, high_bit, signed, inverted, slope, intercept })
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::from(self.bits_allocated / 8)
    }

    /// Smallest and largest stored value.
    pub(crate) fn range(&self) -> (i64, i64) {
        let span = 1i64 << self.bits_stored;
        if self.signed { (-span / 2, span / 2 - 1) } else { (0, span - 1) }
    }

    /// The stored value of a word: unused bits dropped, sign extended.
    pub(crate) fn stored(&self, word: u32) -> i64 {
        let shifted = i64::from(word) >> (self.high_bit + 1 - self.bits_stored);
        let span = 1i64 << self.bits_stored;
        let value = shifted & (span - 1);
        if self.signed && value >= span / 2 { value - span } else { value }
    }

    /// Intensity of a stored value: slope and intercept in f64, rounded once.
    pub(crate) fn intensity(&self, stored: i64) -> f32 {
        let (low, high) = self.range();
        let value = if self.inverted { low + high - stored } else { stored };
        (value as f64 * self.slope + self.intercept) as f32
    }
}

/// Reads the samples of a slice into `voxels`, rows × columns, x fastest.
pub(crate) fn read_intensities(slice: &Slice, voxels: &mut [f32]) -> Result<(), Error> {
    let format = SampleFormat::of(slice)?;
    let bytes = read_samples(slice, &format, voxels.len())?;
    let plain = format.bits_stored == format.bits_allocated && !format.inverted && format.bits_allocated == 16;
    match format.bits_allocated {
        16 if plain && format.signed => {
            let numbers = bytes.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])));
            voxels.iter_mut().zip(numbers).for_each(|(v, n)| *v = (n * format.slope + format.intercept) as f32);
        }
        8 => voxels.iter_mut().zip(&*bytes).for_each(|(v, &b)| *v = format.intensity(format.stored(u32::from(b)))),
        16 => {
            let words = bytes.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])));
            voxels.iter_mut().zip(words).for_each(|(v, w)| *v = format.intensity(format.stored(w)));
        }
        _ => {
            let words = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            voxels.iter_mut().zip(words).for_each(|(v, w)| *v = format.intensity(format.stored(w)));
        }
    }
    Ok(())
}

/// Little-endian samples of a single-frame image, exactly `pixels` of them.
fn read_samples(slice: &Slice, format: &SampleFormat, pixels: usize) -> Result<Vec<u8>, Error> {
    let Some(element) = slice.pixels else { return Err(slice.unsupported("DICOM object without pixels")) };
    if element.tag != tags::PIXEL_DATA {
        return Err(slice.unsupported("floating-point pixel data"));
    }
    let expected = pixels * format.bytes();
    let native =
        matches!(slice.syntax.as_str(), uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN | BIG_ENDIAN);
    match (element.length, native) {
        (Some(length), true) => {
            if length < expected as u64 {
                let (expected, path) = (expected as u64, slice.path.clone());
                return Err(Error::Truncated { what: "pixel data", expected, found: length, path });
            }
            let mut bytes = read_range(slice, element.offset, expected.next_multiple_of(2).min(length as usize))?;
            if slice.syntax == BIG_ENDIAN {
                to_little_endian(&mut bytes, format.bytes(), element.words);
            }
            bytes.truncate(expected);
            Ok(bytes)
        }
        (None, false) => {
            let bytes = read_to_end(slice, element.offset)?;
            let frame = fragments(slice, &bytes)?;
            compressed::decode(slice, format, &frame, pixels)
        }
        (Some(_), false) => Err(slice.malformed("Pixel Data", "fragments under a compressed syntax", "plain bytes")),
        (None, true) => Err(slice.malformed("Pixel Data", "plain bytes under a plain syntax", "fragments")),
    }
}

fn to_little_endian(bytes: &mut [u8], width: usize, words: bool) {
    match width {
        // Bytes in 16-bit words lie swapped (PS3.5 annex A.3).
        1 if words => bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse),
        1 => {}
        _ => bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse),
    }
}

fn read_range(slice: &Slice, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
    if let Some(unpacked) = &slice.unpacked {
        let start = offset as usize;
        return Ok(unpacked[start..start + length].to_vec());
    }
    let failed = |source| Error::Io { action: "read", path: slice.path.clone(), source };
    let mut file = File::open(&slice.path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn read_to_end(slice: &Slice, offset: u64) -> Result<Cow<'_, [u8]>, Error> {
    if let Some(unpacked) = &slice.unpacked {
        return Ok(Cow::Borrowed(&unpacked[offset as usize..]));
    }
    let failed = |source| Error::Io { action: "read", path: slice.path.clone(), source };
    let mut file = File::open(&slice.path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Cow::Owned(bytes))
}

/// Joins the fragments of the only frame; the first item is the offset table.
fn fragments(slice: &Slice, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut frame = Vec::new();
    let mut at = 0;
    for index in 0.. {
        let Some(head) = bytes.get(at..at + 8) else { break };
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        match &head[..4] {
            [0xFE, 0xFF, 0xDD, 0xE0] => return Ok(frame),
            [0xFE, 0xFF, 0x00, 0xE0] => {}
            _ => return Err(slice.malformed("Pixel Data", "items of fragments", "something else")),
        }
        let Some(fragment) = bytes.get(at + 8..(at + 8).saturating_add(length)) else { break };
        if index > 0 {
            frame.extend_from_slice(fragment);
        }
        at += 8 + length;
    }
    let (expected, found) = (at as u64 + 8, bytes.len() as u64);
    Err(Error::Truncated { what: "pixel data fragments", expected, found, path: slice.path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWELVE: SampleFormat = SampleFormat {
        bits_allocated: 16,
        bits_stored: 12,
        high_bit: 11,
        signed: false,
        inverted: false,
        slope: 1.0,
        intercept: -1024.0,
    };

    #[test]
    fn unused_bits_are_dropped_and_signs_extended() {
        let signed = SampleFormat { signed: true, ..TWELVE };
        let shifted = SampleFormat { high_bit: 15, ..TWELVE };
        for (format, word, stored) in [
            (TWELVE, 0xF123, 0x123),
            (TWELVE, 0x0FFF, 4095),
            (signed, 0x0FFF, -1),
            (signed, 0xF7FF, 2047),
            (signed, 0x0800, -2048),
            (shifted, 0x123F, 0x123),
        ] {
            assert_eq!(format.stored(word), stored, "{word:x}");
        }
    }

    #[test]
    fn monochrome1_is_read_inverted() {
        let inverted = SampleFormat { inverted: true, intercept: 0.0, ..TWELVE };
        assert_eq!([0, 1, 4095].map(|v| inverted.intensity(v)), [4095.0, 4094.0, 0.0]);
        assert_eq!(TWELVE.intensity(24), -1000.0);
    }

    #[test]
    fn big_endian_bytes_in_words_are_swapped_in_pairs() {
        let mut bytes = [1, 2, 3, 4];
        to_little_endian(&mut bytes, 1, true);
        assert_eq!(bytes, [2, 1, 4, 3]);
        to_little_endian(&mut bytes, 1, false);
        assert_eq!(bytes, [2, 1, 4, 3]);
        to_little_endian(&mut bytes, 4, true);
        assert_eq!(bytes, [3, 4, 1, 2]);
    }
}
