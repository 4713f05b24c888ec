use std::fs::File;
use std::io::{BufReader, Cursor, Seek, Write};
use std::path::Path;

use isoscan_imaging::{Unit, Volume};
use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::encoder::colortype::{Gray8, Gray16, Gray32Float};
use tiff::encoder::{Compression, DeflateLevel, Rational, TiffEncoder, TiffKind, TiffValue};
use tiff::tags::{ResolutionUnit, Tag};
use tiff::{ColorType, TiffError, TiffResult};

use super::mark::Mark;
use super::{IntegerScale, Told, fenced, header, require_bytes};
use crate::file::Header;
use crate::nifti::Stored;
use crate::{Derivation, Error, write_atomically};

type Pages = Decoder<BufReader<File>>;

/// Reads the directories of all pages.
pub(crate) fn open_tiff(path: &Path) -> Result<Header, Error> {
    let told = fenced("TIFF", path, || {
        let mut pages = open(path)?;
        let (width, height, bits) = page(&mut pages, path)?;
        let text = pages.get_tag_ascii_string(Tag::ImageDescription).ok();
        let stored = stored(&mut pages, bits);
        let imagej = text.as_deref().filter(|text| text.starts_with("ImageJ="));
        let field = |name: &str| imagej?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        for several in ["channels", "frames"] {
            if field(several).is_some_and(|count| count.trim() != "1") {
                return Err(unsupported(path, format!("TIFF of several {several}")));
            }
        }
        let unit_mm = field("unit").and_then(millimetres);
        let slice_mm = field("spacing").and_then(|text| text.trim().parse::<f64>().ok()).zip(unit_mm);
        let pixel_mm = pixel_mm(&mut pages, unit_mm);
        let slices = count(&mut pages, (width, height, bits), path)?;
        require_bytes((width * height * slices) as u64 * u64::from(bits / 8), path)?;
        Ok(Told {
            size: [width, height, slices],
            stored,
            pixel_mm,
            slice_mm: slice_mm.map(|(spacing, mm)| spacing * mm).filter(|mm| mm.is_finite() && *mm > 0.0),
            text,
        })
    })?;
    header(told, path)
}

/// The stored numbers of all pages, x fastest.
pub(crate) fn read_tiff(path: &Path) -> Result<Vec<f32>, Error> {
    fenced("TIFF", path, || {
        let mut pages = open(path)?;
        let mut voxels = Vec::new();
        loop {
            let (width, height, _) = page(&mut pages, path)?;
            let before = voxels.len();
            append(pages.read_image().map_err(|error| codec(path, error))?, &mut voxels);
            if voxels.len() - before != width * height {
                return Err(codec(path, "a page whose pixels do not fill it"));
            }
            if !pages.more_images() {
                return Ok(voxels);
            }
            pages.next_image().map_err(|error| codec(path, error))?;
        }
    })
}

fn append(pixels: DecodingResult, voxels: &mut Vec<f32>) {
    match pixels {
        DecodingResult::U8(pixels) => voxels.extend(pixels.into_iter().map(f32::from)),
        DecodingResult::U16(pixels) => voxels.extend(pixels.into_iter().map(f32::from)),
        DecodingResult::U32(pixels) => voxels.extend(pixels.into_iter().map(|n| n as f32)),
        DecodingResult::U64(pixels) => voxels.extend(pixels.into_iter().map(|n| n as f32)),
        DecodingResult::I8(pixels) => voxels.extend(pixels.into_iter().map(f32::from)),
        DecodingResult::I16(pixels) => voxels.extend(pixels.into_iter().map(f32::from)),
        DecodingResult::I32(pixels) => voxels.extend(pixels.into_iter().map(|n| n as f32)),
        DecodingResult::I64(pixels) => voxels.extend(pixels.into_iter().map(|n| n as f32)),
        DecodingResult::F16(pixels) => voxels.extend(pixels.into_iter().map(|n| n.to_f32())),
        DecodingResult::F32(pixels) => voxels.extend(pixels),
        DecodingResult::F64(pixels) => voxels.extend(pixels.into_iter().map(|n| n as f32)),
    }
}

fn open(path: &Path) -> Result<Pages, Error> {
    let failed = |source| Error::Io { action: "open", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = length.saturating_mul(1032);
    limits.intermediate_buffer_size = length.max(1 << 20);
    limits.ifd_value_size = length;
    let pages = Decoder::new(BufReader::new(file)).map_err(|error| codec(path, error))?;
    Ok(pages.with_limits(limits))
}

/// Width, height and bits per pixel of the page, which must be grey.
fn page(pages: &mut Pages, path: &Path) -> Result<(usize, usize, u8), Error> {
    let (width, height) = pages.dimensions().map_err(|error| codec(path, error))?;
    let bits = match pages.colortype().map_err(|error| codec(path, error))? {
        ColorType::Gray(bits @ (8 | 16 | 32 | 64)) => bits,
        ColorType::Gray(bits) => return Err(unsupported(path, format!("TIFF of {bits} bits per pixel"))),
        ColorType::Multiband { .. } | ColorType::GrayA(_) => {
            return Err(unsupported(path, "TIFF of several bands".to_owned()));
        }
        _ => return Err(unsupported(path, "colour TIFF".to_owned())),
    };
    let (width, height) = (width as usize, height as usize);
    require_bytes((width as u64).saturating_mul(height as u64).saturating_mul(u64::from(bits / 8)), path)?;
    Ok((width, height, bits))
}

/// Number of pages, all of one size.
fn count(pages: &mut Pages, first: (usize, usize, u8), path: &Path) -> Result<usize, Error> {
    const MOST: usize = 1 << 16;
    let mut slices = 1;
    while pages.more_images() {
        pages.next_image().map_err(|error| codec(path, error))?;
        if page(pages, path)? != first {
            return Err(unsupported(path, "TIFF whose pages differ in size or depth".to_owned()));
        }
        slices += 1;
        if slices > MOST {
            return Err(unsupported(path, format!("TIFF of more than {MOST} pages")));
        }
    }
    Ok(slices)
}

fn stored(pages: &mut Pages, bits: u8) -> Stored {
    let format = pages.find_tag_unsigned::<u16>(Tag::SampleFormat).ok().flatten().unwrap_or(1);
    match (format, bits) {
        (2, 8) => Stored::I8,
        (2, 16) => Stored::I16,
        (2, 32) => Stored::I32,
        (3, 64) => Stored::F64,
        (3, _) => Stored::F32,
        (2, _) => Stored::I64,
        (_, 8) => Stored::U8,
        (_, 16) => Stored::U16,
        (_, 32) => Stored::U32,
        _ => Stored::U64,
    }
}

/// Pixel size from the resolution tags, in inches or centimetres, or in the unit that ImageJ names.
fn pixel_mm(pages: &mut Pages, unit_mm: Option<f64>) -> Option<[f64; 2]> {
    let per_unit = match pages.find_tag_unsigned::<u16>(Tag::ResolutionUnit).ok()? {
        Some(2) | None => 25.4,
        Some(3) => 10.0,
        _ => unit_mm?,
    };
    // ImageJ counts in its own unit whatever the tag says.
    let per_unit = unit_mm.unwrap_or(per_unit);
    let mut size = |tag| match pages.find_tag(tag).ok()?? {
        Value::Rational(n, d) if n > 0 && d > 0 => Some(per_unit * f64::from(d) / f64::from(n)),
        _ => None,
    };
    Some([size(Tag::XResolution)?, size(Tag::YResolution)?])
}

fn millimetres(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        "mm" | "millimeter" => 1.0,
        "cm" => 10.0,
        "um" | "micron" | "µm" | "\\u00B5m" => 1e-3,
        "m" => 1000.0,
        "inch" => 25.4,
        _ => return None,
    })
}

/// Writes a volume as a grey TIFF with one page per slice, whole or not at all; gives the scale of the stored numbers.
///
/// Without a `window` the pages are f32, or 8 or 16 bits when every voxel is a whole number from 0 to 255 or 65535. With
/// one they are 16 bits over the window. Scale, grid, modality, unit and `derivation` stand as JSON in the first page's
/// description, from which [`read`](crate::read) restores them; the pixel size also stands in the resolution tags.
///
/// # Errors
/// [`Error::OutputName`] for another ending, [`Error::NotFinite`] and [`Error::Image`] for a window that does not fit,
/// [`Error::Io`] when the disk refuses.
pub fn write_tiff(
    path: &Path,
    volume: &Volume,
    window: Option<(f64, f64)>,
    derivation: Option<&Derivation>,
) -> Result<IntegerScale, Error> {
    if !path.to_string_lossy().ends_with(".tif") && !path.to_string_lossy().ends_with(".tiff") {
        return Err(Error::OutputName { expected: ".tif or .tiff", path: path.to_owned() });
    }
    let voxels = volume.as_slice();
    let fits = |most: f32| voxels.iter().all(|&v| v.fract() == 0.0 && (0.0..=most).contains(&v));
    let plain = IntegerScale { slope: 1.0, intercept: 0.0, clipped: 0 };
    let scale = if window.is_some() { IntegerScale::of(volume, window, path)? } else { plain };
    let depth = match window {
        Some(_) => Depth::Sixteen,
        None if fits(255.0) && volume.unit() == Unit::Label => Depth::Eight,
        None if fits(65535.0) => Depth::Sixteen,
        None => Depth::Float,
    };
    let mark = Mark::json(volume, derivation, &scale);
    let bytes = voxels.len() as u64 * 4 + volume.geometry().size()[2] as u64 * 1024;
    let mut encoded = Cursor::new(Vec::new());
    let written = if bytes < u64::from(u32::MAX) / 2 {
        TiffEncoder::new(&mut encoded).and_then(|encoder| encode(encoder, volume, depth, &scale, &mark))
    } else {
        TiffEncoder::new_big(&mut encoded).and_then(|encoder| encode(encoder, volume, depth, &scale, &mark))
    };
    written.map_err(|error| codec(path, error))?;
    write_atomically(path, |out| out.write_all(encoded.get_ref()))?;
    Ok(scale)
}

#[derive(Clone, Copy)]
enum Depth {
    Eight,
    Sixteen,
    Float,
}

fn encode<W: Write + Seek, K: TiffKind>(
    encoder: TiffEncoder<W, K>,
    volume: &Volume,
    depth: Depth,
    scale: &IntegerScale,
    mark: &str,
) -> TiffResult<()> {
    let mut encoder = encoder.with_compression(Compression::Deflate(DeflateLevel::Balanced));
    let [nx, ny, _] = volume.geometry().size();
    for (index, slice) in volume.as_slice().chunks(nx * ny).enumerate() {
        let page = Page { size: [nx, ny], mark: (index == 0).then_some(mark), volume };
        match depth {
            Depth::Eight => {
                let pixels: Vec<u8> = slice.iter().map(|&v| scale.number(v) as u8).collect();
                page.write::<Gray8, _, _>(&mut encoder, &pixels)?;
            }
            Depth::Sixteen => {
                let pixels: Vec<u16> = slice.iter().map(|&v| scale.number(v)).collect();
                page.write::<Gray16, _, _>(&mut encoder, &pixels)?;
            }
            Depth::Float => page.write::<Gray32Float, _, _>(&mut encoder, slice)?,
        }
    }
    Ok(())
}

struct Page<'a> {
    size: [usize; 2],
    mark: Option<&'a str>,
    volume: &'a Volume,
}

impl Page<'_> {
    fn write<C, W: Write + Seek, K: TiffKind>(
        &self,
        encoder: &mut TiffEncoder<W, K>,
        pixels: &[C::Inner],
    ) -> TiffResult<()>
    where
        C: tiff::encoder::colortype::ColorType,
        [C::Inner]: TiffValue,
    {
        let [width, height] = self.size.map(|n| u32::try_from(n).map_err(|_| TiffError::IntSizeError));
        let mut image = encoder.new_image::<C>(width?, height?)?;
        let [x, y, _] = self.volume.geometry().spacing_mm();
        image.resolution_unit(ResolutionUnit::Centimeter);
        image.x_resolution(per_centimetre(x));
        image.y_resolution(per_centimetre(y));
        if let Some(mark) = self.mark {
            // ImageDescription is ASCII.
            let ascii: String = mark.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
            image.encoder().write_tag(Tag::ImageDescription, ascii.as_str())?;
        }
        image.write_data(pixels)
    }
}

fn per_centimetre(spacing_mm: f64) -> Rational {
    let d = 1_000_000;
    Rational { n: (10.0 / spacing_mm * f64::from(d)).round().clamp(1.0, f64::from(u32::MAX)) as u32, d }
}

fn codec(path: &Path, reason: impl ToString) -> Error {
    Error::Codec { what: "TIFF", reason: reason.to_string(), path: path.to_owned() }
}

fn unsupported(path: &Path, what: String) -> Error {
    Error::Unsupported { what, path: path.to_owned() }
}
