//! Compressed frames. RLE is decoded here; JPEG and JPEG 2000 by `dicom-pixeldata`, whose decoders panic on some
//! damaged streams and are therefore fenced in.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_pixeldata::PixelDecoder;

use super::attributes::{put, put_u16};
use super::header::Slice;
use super::pixels::SampleFormat;
use super::rle;
use crate::Error;

/// Little-endian samples of one frame.
pub(crate) fn decode(slice: &Slice, format: &SampleFormat, frame: &[u8], pixels: usize) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Decode { syntax: slice.syntax.clone(), reason, path: slice.path.clone() };
    let samples = match slice.syntax.as_str() {
        uids::RLE_LOSSLESS => rle::decode(frame, pixels, format.bytes()).map_err(|e| failed(e.to_owned()))?,
        uids::JPEG_BASELINE8_BIT
        | uids::JPEG_LOSSLESS
        | uids::JPEG_LOSSLESS_SV1
        | uids::JPEG2000_LOSSLESS
        | uids::JPEG2000
        | uids::HTJ2K_LOSSLESS
        | uids::HTJ2K_LOSSLESS_RPCL
        | uids::HTJ2K => fenced(slice, format, frame).map_err(failed)?,
        other => return Err(slice.unsupported(format!("transfer syntax {other}"))),
    };
    let expected = pixels * format.bytes();
    if samples.len() == expected {
        return Ok(samples);
    }
    Err(failed(format!("expected {expected} bytes of samples, found {}", samples.len())))
}

fn fenced(slice: &Slice, format: &SampleFormat, frame: &[u8]) -> Result<Vec<u8>, String> {
    require_same_size(slice, frame)?;
    let object = single_frame(slice, format, frame)?;
    let decoded = catch_unwind(AssertUnwindSafe(|| object.decode_pixel_data_frame(0).map(|frame| frame.into_data())));
    match decoded {
        Ok(Ok(samples)) => Ok(samples),
        Ok(Err(error)) => Err(innermost(&error)),
        Err(_) => Err("a stream that stops the decoder".to_owned()),
    }
}

/// A file object with nothing but the frame and what its decoder needs to know.
fn single_frame(
    slice: &Slice,
    format: &SampleFormat,
    frame: &[u8],
) -> Result<dicom_object::DefaultDicomObject, String> {
    let mut object = InMemDicomObject::new_empty();
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, slice.rows as u16),
        (tags::COLUMNS, slice.columns as u16),
        (tags::BITS_ALLOCATED, format.bits_allocated),
        (tags::BITS_STORED, format.bits_stored),
        (tags::HIGH_BIT, format.high_bit),
        (tags::PIXEL_REPRESENTATION, u16::from(format.signed)),
    ] {
        put_u16(&mut object, tag, value);
    }
    put(&mut object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    let fragments = PixelFragmentSequence::new(Vec::<u32>::new(), vec![frame.to_vec()]);
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, fragments));
    object.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, PrimitiveValue::from(uids::CT_IMAGE_STORAGE)));
    object.put(DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from("2.25.1")));
    object
        .with_meta(FileMetaTableBuilder::new().transfer_syntax(slice.syntax.as_str()))
        .map_err(|error| innermost(&error))
}

/// Requires the stream's own size to be that of the header: a decoder allocates what the stream says.
fn require_same_size(slice: &Slice, frame: &[u8]) -> Result<(), String> {
    let expected = [slice.columns, slice.rows, 1];
    match stream_size(frame) {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(format!("expected columns, rows and components {expected:?}, the stream has {found:?}")),
        None => Err("no frame header in the stream".to_owned()),
    }
}

/// Columns, rows and components in the SIZ marker of JPEG 2000 or the SOF marker of JPEG.
fn stream_size(frame: &[u8]) -> Option<[usize; 3]> {
    let u16_at = |at: usize| Some(usize::from(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?])));
    let u32_at = |at: usize| Some(u16_at(at)? << 16 | u16_at(at + 2)?);
    if frame.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]) {
        let side = |end: usize, start: usize| u32_at(end)?.checked_sub(u32_at(start)?);
        return Some([side(8, 16)?, side(12, 20)?, u16_at(40)?]);
    }
    let mut at = frame.starts_with(&[0xFF, 0xD8]).then_some(2)?;
    loop {
        while *frame.get(at)? == 0xFF && *frame.get(at + 1)? == 0xFF {
            at += 1;
        }
        let marker = (*frame.get(at)? == 0xFF).then_some(*frame.get(at + 1)?)?;
        if matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            return Some([u16_at(at + 7)?, u16_at(at + 5)?, usize::from(*frame.get(at + 9)?)]);
        }
        at += 2 + u16_at(at + 2)?;
    }
}

/// The last cause of an error, which names the decoder's reason.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_tell_their_size() {
        let jpeg = [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 9, 9, 0xFF, 0xC3, 0, 11, 16, 0, 3, 0, 5, 1];
        let mut j2k = [0; 42];
        j2k[..4].copy_from_slice(&[0xFF, 0x4F, 0xFF, 0x51]);
        [(11, 9), (15, 7), (19, 1), (23, 2), (41, 1)].into_iter().for_each(|(at, value)| j2k[at] = value);
        assert_eq!(stream_size(&jpeg), Some([5, 3, 1]));
        assert_eq!(stream_size(&j2k), Some([8, 5, 1]));
        assert_eq!(stream_size(&jpeg[..10]), None);
        assert_eq!(stream_size(&[0; 40]), None);
    }
}
