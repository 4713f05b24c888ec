use std::io::{self, Write};
use std::path::{Path, PathBuf};

use isoscan_imaging::{Unit, Volume};

use super::gzip::{PART, write_gzip};
use super::head::Head;
use super::meaning::Quantised;
use super::read::NiftiSource;
use super::scaled;
use super::voxels::Stored;
use crate::{Derivation, Error, Source, write_atomically};

/// How the voxels of a NIfTI file are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NiftiStored {
    /// Without loss: the source's own bytes where no voxel changed, the smallest integer type for labels, the source's
    /// type for an image without a derivation that fits it, otherwise f32 with slope 1.
    #[default]
    Suited,
    /// f32 with slope 1; labels as in `Suited`.
    Float32,
    /// int16 with slope and intercept over the range of the voxels, off by at most half a step; whole numbers that span
    /// at most 65536 values stay exact with slope 1. Labels as in `Suited`.
    Scaled16,
}

/// Settings of [`write_nifti_volumes`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NiftiOptions {
    /// How voxels are stored; default [`NiftiStored::Suited`].
    pub stored: NiftiStored,
    /// Time from one volume to the next, s; default that of a NIfTI source, else untold.
    pub time_step_s: Option<f64>,
}

/// What a NIfTI file was written as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NiftiWritten {
    /// Name of the stored number type, such as `int16`.
    pub datatype: &'static str,
    /// Slope of the stored numbers; 1 when unscaled.
    pub slope: f64,
    /// Intercept of the stored numbers; 0 when unscaled.
    pub intercept: f64,
    /// No voxel reads back further from its value than this, in the volume's unit: 0 when storage is exact.
    pub largest_error: f64,
}

/// Writes a volume as `.nii`, `.nii.gz` or as a pair named by its `.hdr` or `.img` (also `.gz`), as
/// [`write_nifti_volumes`] does with default options.
///
/// # Errors
/// Those of [`write_nifti_volumes`].
pub fn write_nifti(
    path: &Path,
    volume: &Volume,
    source: Option<&Source>,
    derivation: Option<&Derivation>,
) -> Result<(), Error> {
    write_nifti_volumes(path, &[volume], source, derivation, &NiftiOptions::default()).map(drop)
}

/// Writes volumes on one grid as one NIfTI file, each file whole or not at all; several volumes become a 4-D image.
///
/// Both coordinate forms are written, with code 1 or the codes of a NIfTI source; on the source's own grid its forms are
/// copied as they are, and volumes as many as the source's keep its axes behind z with their steps and units. Sheared
/// axes have no qform. Extensions of a NIfTI source are kept; a JSON comment with modality, unit, quantisation and
/// `derivation` is added unless a reader knows them without it. Derived images carry a mark in `descrip`, and an image
/// without a new derivation keeps that of its source. Extents beyond 32767 are written as NIfTI-2. A source whose voxels
/// are unchanged is read once more and its stored bytes are copied. The output depends on nothing else, in particular not
/// on the number of threads. Of a pair the image is written first.
///
/// # Errors
/// [`Error::OutputName`] for another ending, [`Error::NotALabelMap`] for fractions in a label map, [`Error::NotFinite`]
/// when voxels to be scaled are not finite, [`Error::Malformed`] without a volume or with several modalities or units,
/// [`Error::Image`] when grids differ, [`Error::Io`] when the disk refuses.
pub fn write_nifti_volumes(
    path: &Path,
    volumes: &[&Volume],
    source: Option<&Source>,
    derivation: Option<&Derivation>,
    options: &NiftiOptions,
) -> Result<NiftiWritten, Error> {
    let target = Target::of(path)?;
    let first = require_alike(volumes, path)?;
    let source = match source {
        Some(Source::Nifti(source)) => Some(source),
        _ => None,
    };
    let body = Body::of(volumes, source, derivation, options, path)?;
    let head = Head {
        volume: first,
        volumes: volumes.len(),
        source,
        derivation,
        stored: body.stored,
        big_endian: body.big_endian(),
        slope: body.slope,
        quantised: body.quantised,
        time_step_s: options.time_step_s,
        pair: target.image.is_some(),
    };
    let head = head.to_bytes(&target.header);
    match &target.image {
        Some(image) => {
            write_file(image, target.packed, &[], &body)?;
            write_file(&target.header, target.packed, &head, &Body { volumes: &[], copied: None, ..body })?;
        }
        None => write_file(&target.header, target.packed, &head, &body)?,
    }
    Ok(NiftiWritten {
        datatype: body.stored.name(),
        slope: body.scale.map_or(1.0, |(slope, _)| slope),
        intercept: body.scale.map_or(0.0, |(_, intercept)| intercept),
        largest_error: body.quantised.map_or(0.0, |quantised| quantised.largest_error),
    })
}

/// The files that an output name stands for.
struct Target {
    header: PathBuf,
    image: Option<PathBuf>,
    packed: bool,
}

impl Target {
    fn of(path: &Path) -> Result<Self, Error> {
        let wrong = || Error::OutputName { expected: ".nii, .hdr or .img, also with .gz", path: path.to_owned() };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(wrong)?;
        let (plain, ending) = name.strip_suffix(".gz").map_or((name, ""), |plain| (plain, ".gz"));
        let packed = !ending.is_empty();
        if plain.ends_with(".nii") {
            return Ok(Self { header: path.to_owned(), image: None, packed });
        }
        let stem = plain.strip_suffix(".hdr").or(plain.strip_suffix(".img")).ok_or_else(wrong)?;
        let file = |kind: &str| path.with_file_name(format!("{stem}.{kind}{ending}"));
        Ok(Self { header: file("hdr"), image: Some(file("img")), packed })
    }
}

fn require_alike<'a>(volumes: &[&'a Volume], path: &Path) -> Result<&'a Volume, Error> {
    const TOLERANCE_MM: f64 = 1e-4;
    let wrong = |expected, found: String| Error::Malformed { field: "volumes", expected, found, path: path.to_owned() };
    let first = *volumes.first().ok_or_else(|| wrong("at least one", "none".to_owned()))?;
    for other in volumes {
        first
            .geometry()
            .require_same(other.geometry(), TOLERANCE_MM)
            .map_err(|source| Error::Image { source, path: path.to_owned() })?;
        if (first.modality(), first.unit()) != (other.modality(), other.unit()) {
            let pair = |v: &Volume| format!("{} in {}", v.modality(), v.unit());
            return Err(wrong("one modality and unit", format!("{} and {}", pair(first), pair(other))));
        }
    }
    Ok(first)
}

/// The stored numbers of all volumes, encoded or copied run by run.
struct Body<'a> {
    volumes: &'a [&'a Volume],
    stored: Stored,
    scale: Option<(f64, f64)>,
    /// Slope and intercept as the header tells them; a source's own may say "unscaled" in other words.
    slope: (f64, f64),
    quantised: Option<Quantised>,
    /// The source's stored bytes of each volume, and whether they are big-endian.
    copied: Option<(Vec<Vec<u8>>, bool)>,
}

impl<'a> Body<'a> {
    fn of(
        volumes: &'a [&'a Volume],
        source: Option<&NiftiSource>,
        derivation: Option<&Derivation>,
        options: &NiftiOptions,
        path: &Path,
    ) -> Result<Self, Error> {
        let encoded = |stored, scale: Option<(f64, f64)>, quantised| Self {
            volumes,
            stored,
            scale,
            slope: scale.unwrap_or((1.0, 0.0)),
            quantised,
            copied: None,
        };
        if let (Some(source), NiftiStored::Suited) = (source, options.stored)
            && let Ok(stored) = Stored::of(source.header(), path)
        {
            let header = source.header();
            let kept = Self { slope: (header.slope, header.intercept), ..encoded(stored, header.scale(), None) };
            if let Some(bytes) = unchanged(volumes, source) {
                return Ok(Self { copied: Some((bytes, header.big_endian)), ..kept });
            }
            if derivation.is_none() && volumes.iter().all(|v| stored.holds(v.as_slice(), kept.scale)) {
                return Ok(kept);
            }
        }
        if volumes.iter().any(|volume| volume.unit() == Unit::Label) {
            return Ok(encoded(label_type(volumes, path)?, None, None));
        }
        if options.stored != NiftiStored::Scaled16 {
            return Ok(encoded(Stored::F32, None, None));
        }
        let (scale, largest_error) = scaled::int16(volumes, path)?;
        let quantised = (largest_error > 0.0).then_some(Quantised { step: scale.0, largest_error });
        Ok(encoded(Stored::I16, (scale != (1.0, 0.0)).then_some(scale), quantised))
    }

    fn big_endian(&self) -> bool {
        self.copied.as_ref().is_some_and(|(_, big_endian)| *big_endian)
    }

    fn volume_bytes(&self) -> usize {
        self.volumes.first().map_or(0, |volume| volume.as_slice().len() * self.stored.bytes())
    }

    fn length(&self) -> usize {
        self.volume_bytes() * self.volumes.len()
    }

    /// Bytes `from..to` of all volumes behind each other.
    fn append(&self, from: usize, to: usize, bytes: &mut Vec<u8>) {
        let (width, whole) = (self.stored.bytes(), self.volume_bytes());
        let mut at = from;
        while at < to {
            let (volume, start) = (at / whole, at % whole);
            let end = whole.min(start + (to - at));
            match &self.copied {
                Some((copied, _)) => bytes.extend_from_slice(&copied[volume][start..end]),
                None => {
                    let first = start / width;
                    let voxels = &self.volumes[volume].as_slice()[first..end.div_ceil(width)];
                    let encoded = self.stored.encode(voxels, self.scale);
                    bytes.extend_from_slice(&encoded[start - first * width..end - first * width]);
                }
            }
            at += end - start;
        }
    }
}

fn write_file(path: &Path, packed: bool, head: &[u8], body: &Body) -> Result<(), Error> {
    let total = head.len() + body.length();
    let run = |first: usize, last: usize| {
        let mut bytes = Vec::with_capacity(last - first);
        bytes.extend_from_slice(&head[first.min(head.len())..last.min(head.len())]);
        body.append(first.saturating_sub(head.len()), last.saturating_sub(head.len()), &mut bytes);
        bytes
    };
    let part = |index: usize| run(index * PART, ((index + 1) * PART).min(total));
    write_atomically(path, |out| if packed { write_gzip(out, total, part) } else { write_plain(out, total, part) })
}

fn write_plain(out: &mut dyn Write, total: usize, part: impl Fn(usize) -> Vec<u8>) -> io::Result<()> {
    (0..total.div_ceil(PART)).try_for_each(|index| out.write_all(&part(index)))
}

/// The source's stored bytes of each volume, when not one voxel differs from them.
fn unchanged(volumes: &[&Volume], source: &NiftiSource) -> Option<Vec<Vec<u8>>> {
    let all = volumes.len() as u64 == source.header().volumes();
    let index = |i: usize| if all { Some(i) } else { (volumes.len() == 1).then(|| source.volume()) };
    volumes.iter().enumerate().map(|(i, volume)| source.stored_if_same(index(i)?, volume.as_slice())).collect()
}

fn label_type(volumes: &[&Volume], path: &Path) -> Result<Stored, Error> {
    let (mut low, mut high) = (0f32, 0f32);
    for &voxel in volumes.iter().flat_map(|volume| volume.as_slice()) {
        if voxel.fract() != 0.0 || voxel.abs() > 2f32.powi(30) || voxel.is_nan() {
            return Err(Error::NotALabelMap { found: voxel, path: path.to_owned() });
        }
        (low, high) = (low.min(voxel), high.max(voxel));
    }
    Ok(if low >= 0.0 && high <= 255.0 {
        Stored::U8
    } else if low >= -32768.0 && high <= 32767.0 {
        Stored::I16
    } else {
        Stored::I32
    })
}
