//! Compressed frames. RLE is decoded here, the JPEG family by its crates, fenced in and bounded: a stream whose own size
//! is not that of the header is refused before its decoder allocates anything.

#[cfg(not(feature = "charls"))]
use std::borrow::Cow;
use std::io::Read;

use dicom_dictionary_std::uids;
use flate2::read::DeflateDecoder;

use super::codestream::{self, Stream};
use super::fence::fenced;
use super::header::Slice;
use super::jpeg_dct;
use super::pixels::{channel_of, pick};
use super::rle;
use super::samples::{Layout, Numbers};
use crate::Error;

/// Frames deflated one by one, whose UID the dictionary does not know.
const DEFLATED_FRAMES: &str = "1.2.840.10008.1.2.8.1";

/// How the frames of a transfer syntax are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Rle,
    Deflate,
    Jpeg,
    JpegLs,
    Jpeg2000,
    JpegXl,
}

/// Refuses, by its UID, a transfer syntax that is not decoded here.
pub(crate) fn require_known(slice: &Slice) -> Result<(), Error> {
    codec(slice).map(|_| ())
}

fn codec(slice: &Slice) -> Result<Codec, Error> {
    Ok(match slice.syntax.as_str() {
        uids::RLE_LOSSLESS => Codec::Rle,
        DEFLATED_FRAMES => Codec::Deflate,
        uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT | uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => {
            Codec::Jpeg
        }
        uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Codec::JpegLs,
        uids::JPEG2000_LOSSLESS | uids::JPEG2000 | uids::HTJ2K_LOSSLESS | uids::HTJ2K_LOSSLESS_RPCL | uids::HTJ2K => {
            Codec::Jpeg2000
        }
        uids::JPEGXL_LOSSLESS | uids::JPEGXLJPEG_RECOMPRESSION | uids::JPEGXL => Codec::JpegXl,
        other => return Err(slice.unsupported(format!("transfer syntax {other}"))),
    })
}

/// Little-endian samples of one channel of one frame.
pub(crate) fn decode(slice: &Slice, layout: &Layout, stream: &[u8], channel: usize) -> Result<Vec<u8>, Error> {
    let codec = codec(slice)?;
    let failed = |reason: String| Error::Decode { syntax: slice.syntax.clone(), reason, path: slice.path.clone() };
    if matches!(codec, Codec::Jpeg | Codec::JpegLs | Codec::Jpeg2000)
        && (layout.sample_bytes() > 2 || matches!(layout.numbers, Numbers::Float32 | Numbers::Float64))
    {
        return Err(slice.unsupported(format!(
            "{} bytes a sample in transfer syntax {}",
            layout.sample_bytes(),
            slice.syntax
        )));
    }
    let decoded = match codec {
        Codec::Rle if layout.is_packed() => Err("single bits in RLE".to_owned()),
        Codec::Rle => rle::decode(stream, layout.pixels(), layout.sample_bytes(), layout.channels(), channel)
            .map_err(str::to_owned),
        Codec::Deflate => deflated(layout, stream, channel),
        Codec::Jpeg => match codestream::jpeg(stream).map(|found| found.process) {
            Some(jpeg_dct::BASELINE | jpeg_dct::EXTENDED) if layout.channels() == 1 => {
                guarded(layout, stream, channel, codestream::jpeg, grey_jpeg)
            }
            _ => guarded(layout, stream, channel, codestream::jpeg, jpeg),
        },
        Codec::JpegLs => guarded(layout, stream, channel, codestream::jpeg, jpeg_ls),
        Codec::Jpeg2000 => guarded(layout, stream, channel, codestream::jpeg_2000, jpeg_2000),
        Codec::JpegXl => fenced(|| jpeg_xl(layout, stream, channel)).unwrap_or_else(stops),
    };
    let samples = decoded.map_err(failed)?;
    let expected = layout.pixels() * layout.sample_bytes();
    if samples.len() == expected {
        return Ok(samples);
    }
    Err(failed(format!("expected {expected} bytes of samples, found {}", samples.len())))
}

type Decoder = fn(&Layout, &[u8], usize) -> Result<Vec<u8>, String>;

/// Decodes a stream whose own header tells the size of the image.
fn guarded(
    layout: &Layout,
    stream: &[u8],
    channel: usize,
    header: fn(&[u8]) -> Option<Stream>,
    decoder: Decoder,
) -> Result<Vec<u8>, String> {
    let found = header(stream).ok_or("no frame header in the stream")?;
    let expected = [layout.columns, layout.rows, layout.channels()];
    if found.size != expected {
        return Err(format!("expected columns, rows and components {expected:?}, the stream has {:?}", found.size));
    }
    if usize::from(found.precision) > 8 * layout.sample_bytes() {
        let bits = 8 * layout.sample_bytes();
        return Err(format!("expected at most {bits} bits a sample, the stream has {}", found.precision));
    }
    fenced(|| decoder(layout, stream, channel)).unwrap_or_else(stops)
}

fn stops() -> Result<Vec<u8>, String> {
    Err("a stream that stops the decoder".to_owned())
}

fn deflated(layout: &Layout, stream: &[u8], channel: usize) -> Result<Vec<u8>, String> {
    let length = layout.frame_bits().div_ceil(8);
    let mut frame = Vec::new();
    DeflateDecoder::new(stream).take(length).read_to_end(&mut frame).map_err(|e| e.to_string())?;
    if (frame.len() as u64) < length {
        return Err(format!("expected {length} bytes of a frame, found {}", frame.len()));
    }
    Ok(channel_of(layout, frame, 0, channel))
}

fn grey_jpeg(layout: &Layout, stream: &[u8], _channel: usize) -> Result<Vec<u8>, String> {
    let samples = jpeg_dct::decode(stream).map_err(str::to_owned)?;
    Ok(packed(samples.into_iter().map(u32::from), layout.sample_bytes()))
}

fn jpeg(layout: &Layout, stream: &[u8], channel: usize) -> Result<Vec<u8>, String> {
    let mut decoder = jpeg_decoder::Decoder::new(stream);
    // Channels are read as stored, not turned into another colour space.
    decoder.set_color_transform(jpeg_decoder::ColorTransform::None);
    let samples = decoder.decode().map_err(|e| e.to_string())?;
    let channels = layout.channels();
    let found = samples.len() / (layout.pixels() * channels);
    let one = if channels == 1 { samples } else { pick(&samples, channels, channel, found.max(1)) };
    match (found, layout.sample_bytes()) {
        (1, 2) => Ok(one.iter().flat_map(|&byte| [byte, 0]).collect()),
        (found, asked) if found == asked => Ok(one),
        (found, asked) => Err(format!("expected {asked} bytes a sample, found {found}")),
    }
}

#[cfg(not(feature = "charls"))]
fn jpeg_ls(layout: &Layout, stream: &[u8], _channel: usize) -> Result<Vec<u8>, String> {
    if layout.channels() != 1 {
        return Err("JPEG-LS in colour".to_owned());
    }
    let stream = without_fill(stream);
    let (samples, _, _) =
        jpegls::decode(&stream, layout.columns as u32, layout.rows as u32).map_err(|e| e.to_string())?;
    Ok(packed(samples.into_iter().map(u32::from), layout.sample_bytes()))
}

/// The stream without the bytes that may fill the place before its end mark (ITU-T T.81, B.1.1.2), which writers use to
/// make its length even.
#[cfg(not(feature = "charls"))]
fn without_fill(stream: &[u8]) -> Cow<'_, [u8]> {
    let end = stream.len() - stream.iter().rev().take_while(|&&byte| byte == 0).count();
    let Some(coded) = stream[..end].strip_suffix(&[0xFF, 0xFF, 0xD9]) else { return Cow::Borrowed(stream) };
    let fill = coded.iter().rev().take_while(|&&byte| byte == 0xFF).count();
    Cow::Owned([&coded[..coded.len() - fill], &[0xFF, 0xD9]].concat())
}

#[cfg(feature = "charls")]
fn jpeg_ls(layout: &Layout, stream: &[u8], channel: usize) -> Result<Vec<u8>, String> {
    let samples = charls::CharLS::default().decode(stream).map_err(|e| e.to_string())?;
    let (channels, width) = (layout.channels(), layout.sample_bytes());
    Ok(if channels == 1 { samples } else { pick(&samples, channels, channel, width) })
}

fn jpeg_2000(layout: &Layout, stream: &[u8], channel: usize) -> Result<Vec<u8>, String> {
    let strict = jpeg2k::DecodeParameters::new().strict(true);
    let image = jpeg2k::Image::from_bytes_with(stream, strict).map_err(|e| e.to_string())?;
    let component = image.components().get(channel).ok_or("fewer components than the header tells")?;
    if [component.width() as usize, component.height() as usize] != [layout.columns, layout.rows] {
        return Err("components of another size than the image".to_owned());
    }
    // The sign of the header holds, whatever that of the stream: both have the same low bits.
    Ok(packed(component.data().iter().map(|&sample| sample as u32), layout.sample_bytes()))
}

fn jpeg_xl(layout: &Layout, stream: &[u8], channel: usize) -> Result<Vec<u8>, String> {
    const BYTES_A_SAMPLE: usize = 32;
    let samples = layout.pixels() * layout.channels();
    let limit = jxl_oxide::AllocTracker::with_limit(samples * BYTES_A_SAMPLE + (1 << 24));
    let image = jxl_oxide::JxlImage::builder()
        .pool(jxl_oxide::JxlThreadPool::none())
        .alloc_tracker(limit)
        .read(stream)
        .map_err(|e| e.to_string())?;
    let found = [image.width() as usize, image.height() as usize];
    if found != [layout.columns, layout.rows] {
        return Err(format!("expected columns and rows {:?}, the stream has {found:?}", [layout.columns, layout.rows]));
    }
    let bits = image.image_header().metadata.bit_depth.bits_per_sample();
    if bits as usize > 8 * layout.sample_bytes() || bits > 24 {
        return Err(format!("expected at most {} bits a sample, the stream has {bits}", 8 * layout.sample_bytes()));
    }
    let render = image.render_frame(0).map_err(|e| e.to_string())?;
    let mut frame = render.stream_no_alpha();
    let channels = frame.channels() as usize;
    if channels != layout.channels() {
        return Err(format!("expected {} components, the stream has {channels}", layout.channels()));
    }
    let mut values = vec![0f32; samples];
    if frame.write_to_buffer(&mut values) != samples {
        return Err("fewer samples than pixels".to_owned());
    }
    // Values come as parts of the largest; 24 bits of an f32 give whole numbers of up to 16 bits back exactly.
    let largest = f64::from((1u32 << bits) - 1);
    let one = values.into_iter().skip(channel).step_by(channels);
    Ok(packed(one.map(|value| (f64::from(value) * largest).round() as u32), layout.sample_bytes()))
}

/// The low `width` bytes of each sample, little endian.
fn packed(samples: impl Iterator<Item = u32>, width: usize) -> Vec<u8> {
    if width == 1 {
        return samples.map(|sample| sample as u8).collect();
    }
    let mut bytes = Vec::with_capacity(width * samples.size_hint().0);
    samples.for_each(|sample| bytes.extend_from_slice(&sample.to_le_bytes()[..width]));
    bytes
}

#[cfg(all(test, not(feature = "charls")))]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_fill_the_place_before_the_end_mark_are_dropped() {
        let ended = [1, 2, 0xFF, 0xD9];
        for stream in [&[1, 2, 0xFF, 0xFF, 0xD9][..], &[1, 2, 0xFF, 0xFF, 0xFF, 0xD9, 0], &ended] {
            assert_eq!(*without_fill(stream), ended);
        }
    }
}
