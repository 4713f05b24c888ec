use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use isoscan_imaging::{Unit, Volume};
use png::{BitDepth, ColorType, Decoder, Encoder, Limits, PixelDimensions, Reader, Transformations};

use super::mark::Mark;
use super::{IntegerScale, Told, fenced, header, require_bytes};
use crate::file::Header;
use crate::nifti::Stored;
use crate::{Derivation, Error, write_atomically};

/// Keyword of the text chunk that Isoscan writes.
const KEYWORD: &str = "isoscan";

/// Reads the chunks before the pixels.
pub(crate) fn open_png(path: &Path) -> Result<Header, Error> {
    let told = fenced("PNG", path, || {
        let reader = reader(path)?;
        let info = reader.info();
        let metre = info.pixel_dims.filter(|dims| dims.unit == png::Unit::Meter && dims.xppu > 0 && dims.yppu > 0);
        let own = info.utf8_text.iter().find(|chunk| chunk.keyword == KEYWORD);
        Ok(Told {
            size: [info.width as usize, info.height as usize, 1],
            stored: if info.bit_depth == BitDepth::Sixteen { Stored::U16 } else { Stored::U8 },
            pixel_mm: metre.map(|dims| [dims.xppu, dims.yppu].map(|per_metre| 1000.0 / f64::from(per_metre))),
            slice_mm: None,
            text: own.and_then(|chunk| chunk.get_text().ok()),
        })
    })?;
    header(told, path)
}

/// The stored numbers, x fastest.
pub(crate) fn read_png(path: &Path) -> Result<Vec<f32>, Error> {
    fenced("PNG", path, || {
        let mut reader = reader(path)?;
        let (width, depth) = (reader.info().width as usize, reader.info().bit_depth);
        let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(|| codec(path, "pixels beyond memory"))?];
        let frame = reader.next_frame(&mut bytes).map_err(|error| codec(path, error))?;
        reader.finish().map_err(|error| codec(path, error))?;
        let line = frame.line_size.max(1);
        let rows = bytes[..frame.buffer_size()].chunks_exact(line);
        Ok(match depth {
            BitDepth::Sixteen => {
                bytes.chunks_exact(2).map(|pair| f32::from(u16::from_be_bytes([pair[0], pair[1]]))).collect()
            }
            BitDepth::Eight => bytes.iter().map(|&byte| f32::from(byte)).collect(),
            few => {
                let bits = few as usize;
                let mask = (1u8 << bits) - 1;
                let pixel = move |row: &[u8], x: usize| row[x * bits / 8] >> (8 - bits - x * bits % 8) & mask;
                rows.flat_map(|row| (0..width).map(move |x| f32::from(pixel(row, x)))).collect()
            }
        })
    })
}

fn reader(path: &Path) -> Result<Reader<BufReader<File>>, Error> {
    let failed = |source| Error::Io { action: "open", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let bytes = usize::try_from(length.saturating_mul(4)).unwrap_or(usize::MAX).max(1 << 24);
    let mut decoder = Decoder::new_with_limits(BufReader::new(file), Limits { bytes });
    decoder.set_transformations(Transformations::IDENTITY);
    let reader = decoder.read_info().map_err(|error| codec(path, error))?;
    let info = reader.info();
    let unsupported = |what: &str| Err(Error::Unsupported { what: what.to_owned(), path: path.to_owned() });
    match info.color_type {
        ColorType::Grayscale if info.trns.is_none() && info.animation_control.is_none() => {}
        ColorType::Grayscale if info.trns.is_none() => return unsupported("animated PNG"),
        ColorType::Grayscale | ColorType::GrayscaleAlpha => return unsupported("grey PNG with transparency"),
        ColorType::Rgb | ColorType::Rgba | ColorType::Indexed => return unsupported("colour PNG"),
    }
    let bits = u64::from(info.width) * u64::from(info.height) * info.bit_depth as u64;
    require_bytes(bits / 8, path)?;
    Ok(reader)
}

/// Writes a volume of one slice as a grey PNG of 16 bits, label maps up to 255 of 8 bits, whole or not at all; gives
/// the scale of the stored numbers.
///
/// Without a `window` nothing is clipped: whole numbers are stored as they are or shifted, other intensities are spread
/// over 0 to 65535. Scale, grid, modality, unit and `derivation` stand as JSON in a text chunk `isoscan`, from which
/// [`read`](crate::read) restores them; the pixel size also stands in pHYs, rounded to whole pixels per metre.
///
/// # Errors
/// [`Error::OutputName`] for another ending, [`Error::Unsupported`] for several slices, [`Error::NotFinite`],
/// [`Error::Image`] for a window that is no range, [`Error::Io`] when the disk refuses.
pub fn write_png(
    path: &Path,
    volume: &Volume,
    window: Option<(f64, f64)>,
    derivation: Option<&Derivation>,
) -> Result<IntegerScale, Error> {
    if !path.to_string_lossy().ends_with(".png") {
        return Err(Error::OutputName { expected: ".png", path: path.to_owned() });
    }
    let [nx, ny, nz] = volume.geometry().size();
    let (Ok(width), Ok(height), 1) = (u32::try_from(nx), u32::try_from(ny), nz) else {
        return Err(Error::Unsupported { what: format!("PNG of {nz} slices"), path: path.to_owned() });
    };
    let scale = IntegerScale::of(volume, window, path)?;
    let voxels = volume.as_slice();
    let small = volume.unit() == Unit::Label && scale.is_identity() && voxels.iter().all(|&v| v <= 255.0);
    let bytes: Vec<u8> = match small {
        true => voxels.iter().map(|&v| scale.number(v) as u8).collect(),
        false => voxels.iter().flat_map(|&v| scale.number(v).to_be_bytes()).collect(),
    };
    let mut encoded = Cursor::new(Vec::new());
    let mut encoder = Encoder::new(&mut encoded, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(if small { BitDepth::Eight } else { BitDepth::Sixteen });
    let [x, y, _] = volume.geometry().spacing_mm().map(|mm| (1000.0 / mm).round());
    if [x, y].iter().all(|per_metre| (1.0..=f64::from(i32::MAX)).contains(per_metre)) {
        let dims = PixelDimensions { xppu: x as u32, yppu: y as u32, unit: png::Unit::Meter };
        encoder.set_pixel_dims(Some(dims));
    }
    let written = encoder
        .add_itxt_chunk(KEYWORD.to_owned(), Mark::json(volume, derivation, &scale))
        .and_then(|()| encoder.write_header())
        .and_then(|mut writer| writer.write_image_data(&bytes).and_then(|()| writer.finish()));
    written.map_err(|error| codec(path, error))?;
    write_atomically(path, |out| out.write_all(encoded.get_ref()))?;
    Ok(scale)
}

fn codec(path: &Path, reason: impl ToString) -> Error {
    Error::Codec { what: "PNG", reason: reason.to_string(), path: path.to_owned() }
}
