//! Grey PNG and TIFF: one slice, or a page per slice.

mod mark;
mod png;
mod tiff;

use std::path::Path;

use isoscan_imaging::{Geometry, Volume};

pub(crate) use self::png::{open_png, read_png};
pub(crate) use self::tiff::{open_tiff, read_tiff};

pub use self::png::write_png;
pub use self::tiff::write_tiff;

use crate::file::Header;
use crate::inflate::MOST_DEFLATED;
use crate::nifti::{Comment, Stored};
use crate::samples::{Packing, Samples, Start};
use crate::{Error, Warning};
use mark::Mark;

/// How intensities were turned into the whole numbers of a file: `intensity = slope · number + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntegerScale {
    /// Intensity per step; an intensity inside the window comes back within half of it.
    pub slope: f64,
    /// Intensity of the number 0.
    pub intercept: f64,
    /// Voxels outside the window, stored as its nearest end.
    pub clipped: usize,
}

impl IntegerScale {
    /// The scale of a window, or without one a scale that clips nothing: whole numbers keep their steps where they fit,
    /// other intensities fill the range from 0 to 65535.
    ///
    /// # Errors
    /// [`Error::NotFinite`] and, for a window that is no range, [`Error::Image`].
    fn of(volume: &Volume, window: Option<(f64, f64)>, path: &Path) -> Result<Self, Error> {
        const STEPS: f64 = 65535.0;
        let voxels = volume.as_slice();
        let count = voxels.iter().filter(|v| !v.is_finite()).count();
        if count > 0 {
            return Err(Error::NotFinite { count, path: path.to_owned() });
        }
        if let Some((low, high)) = window {
            let span = high - low;
            if !(span.is_finite() && span > 0.0) {
                let (name, expected, found) = ("window", "low below high", format!("{low} to {high}"));
                let source = isoscan_imaging::Error::InvalidArgument { name, expected, found };
                return Err(Error::Image { source, path: path.to_owned() });
            }
            let clipped = voxels.iter().filter(|&&v| !(low..=high).contains(&f64::from(v))).count();
            return Ok(Self { slope: span / STEPS, intercept: low, clipped });
        }
        let (low, high) = voxels.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let (low, high) = (f64::from(low), f64::from(high));
        let whole = voxels.iter().all(|v| v.fract() == 0.0);
        let (slope, intercept) = match whole {
            true if low >= 0.0 && high <= STEPS => (1.0, 0.0),
            true if high - low <= STEPS => (1.0, low),
            _ if high > low => ((high - low) / STEPS, low),
            _ => (1.0, low),
        };
        Ok(Self { slope, intercept, clipped: 0 })
    }

    /// Largest distance of an unclipped intensity from what the file gives back; 0 for whole numbers in steps of one.
    pub(crate) fn bound(&self, volume_is_whole: bool) -> f64 {
        if volume_is_whole && self.slope == 1.0 { 0.0 } else { 0.5 * self.slope }
    }

    fn number(&self, voxel: f32) -> u16 {
        ((f64::from(voxel) - self.intercept) / self.slope).round_ties_even().clamp(0.0, 65535.0) as u16
    }

    fn is_identity(&self) -> bool {
        (self.slope, self.intercept, self.clipped) == (1.0, 0.0, 0)
    }
}

/// What a file tells about its grid.
struct Told {
    size: [usize; 3],
    stored: Stored,
    /// Pixel size along x and y, mm.
    pixel_mm: Option<[f64; 2]>,
    /// Distance of pages, mm.
    slice_mm: Option<f64>,
    /// Text that may be what Isoscan wrote.
    text: Option<String>,
}

fn header(told: Told, path: &Path) -> Result<Header, Error> {
    let mark = told.text.as_deref().and_then(Mark::parse);
    let mut warnings = Vec::new();
    let geometry = match &mark {
        Some(mark) => Geometry::new(told.size, mark.spacing_mm, mark.origin_mm, mark.direction),
        None => {
            if told.pixel_mm.is_none() {
                warnings.push(Warning::NoPixelSpacing);
            }
            if told.size[2] > 1 && told.slice_mm.is_none() {
                warnings.push(Warning::NoSliceThickness);
            }
            warnings.push(Warning::NoOrientation);
            let [x, y] = told.pixel_mm.unwrap_or([1.0; 2]);
            Geometry::axis_aligned(told.size, [x, y, told.slice_mm.unwrap_or(1.0)])
        }
    };
    let geometry = geometry.map_err(|source| Error::Image { source, path: path.to_owned() })?;
    let samples = Samples {
        files: vec![path.to_owned()],
        start: Start::At(0),
        packing: Packing::Plain,
        stored: told.stored,
        big_endian: false,
        size: told.size,
        inner: 1,
        outer: 1,
    };
    let scale = mark.as_ref().map(|mark| (mark.slope, mark.intercept)).filter(|&scale| scale != (1.0, 0.0));
    let comment = mark.map(|mark| Comment { isoscan: mark.isoscan });
    Ok(Header { samples, geometry, comment, modality: None, names: Vec::new(), scale, warnings })
}

/// Runs a decoder so that its own panics on unforeseen bytes cost this file only.
fn fenced<T>(what: &'static str, path: &Path, decode: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let stopped = || Error::Codec { what, reason: "bytes that stop the decoder".to_owned(), path: path.to_owned() };
    crate::dicom::fenced(decode).unwrap_or_else(|| Err(stopped()))
}

fn require_bytes(expected: u64, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let most = std::fs::metadata(path).map_err(failed)?.len().saturating_mul(MOST_DEFLATED);
    if expected <= most {
        return Ok(());
    }
    Err(Error::Truncated { what: "pixels", expected, found: most, path: path.to_owned() })
}
