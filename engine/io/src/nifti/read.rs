use std::path::{Path, PathBuf};
use std::sync::Arc;

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;

use super::gzip::Stream;
use super::header::{self, Header};
use super::meaning::{COMMENT, Comment, meaning};
use super::voxels::Stored;
use super::{forms, meaning as names};
use crate::{Derivation, Error, Series, SeriesKind, SeriesSummary, Source, Warning};

/// Header and extensions of the NIfTI file that a volume came from.
#[derive(Debug, Clone)]
pub struct NiftiSource(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    paths: Vec<PathBuf>,
    header: Header,
    extensions: Vec<Extension>,
    geometry: Geometry,
}

impl NiftiSource {
    /// The file, or header and image file.
    pub fn paths(&self) -> &[PathBuf] {
        &self.0.paths
    }

    /// The grid as read.
    pub fn geometry(&self) -> &Geometry {
        &self.0.geometry
    }

    /// How the file was made, when Isoscan made it.
    pub fn derivation(&self) -> Option<Derivation> {
        comment(&self.0.extensions).and_then(|comment| comment.isoscan.derivation)
    }

    pub(crate) fn header(&self) -> &Header {
        &self.0.header
    }

    pub(crate) fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }
}

/// A header extension as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extension {
    pub(crate) code: i32,
    pub(crate) content: Vec<u8>,
}

impl Extension {
    /// Whether this is a comment that Isoscan wrote.
    pub(crate) fn is_ours(&self) -> bool {
        self.code == COMMENT && Comment::parse(&self.content).is_some()
    }
}

fn comment(extensions: &[Extension]) -> Option<Comment> {
    extensions.iter().filter(|e| e.code == COMMENT).find_map(|e| Comment::parse(&e.content))
}

/// Whether the file begins as a NIfTI header does, or is gzip too damaged to tell.
pub(crate) fn is_nifti(path: &Path) -> Result<bool, Error> {
    let mut first = [0; header::LONGEST];
    let filled = match Stream::open(path)?.fill(&mut first) {
        Ok(filled) => filled,
        Err(Error::Gzip { .. }) => return Ok(true),
        Err(other) => return Err(other),
    };
    let magic = |at: usize, of: [&[u8]; 2]| of.iter().any(|m| first[at..].starts_with(m));
    Ok(match header::edition(&first[..filled]) {
        Some(header::Edition::One) => filled < 348 || magic(344, [b"n+1", b"ni1"]) || first[344..348] == [0; 4],
        Some(header::Edition::Two) => magic(4, [b"n+2", b"ni2"]),
        None => false,
    })
}

/// Everything but the voxels.
struct Opened {
    header: Header,
    size: [usize; 3],
    geometry: Geometry,
    stored: Stored,
    extensions: Vec<Extension>,
    warnings: Vec<Warning>,
    /// Positioned at the first voxel of a single file, behind the header of a pair.
    stream: Stream,
}

fn open(path: &Path) -> Result<Opened, Error> {
    let mut stream = Stream::open(path)?;
    let mut first = [0; header::LONGEST];
    let mut filled = stream.fill(&mut first[..348])?;
    if header::edition(&first) == Some(header::Edition::Two) {
        filled += stream.fill(&mut first[348..])?;
    }
    let header = Header::parse(&first[..filled], path)?;
    let stored = Stored::of(&header, path)?;
    let size = header.size(path)?;
    let (geometry, warning) = forms::geometry(&header.forms, size, path)?;
    let extensions = read_extensions(&mut stream, &header, path)?;
    Ok(Opened { header, size, geometry, stored, extensions, warnings: warning.into_iter().collect(), stream })
}

/// Describes a NIfTI file without its voxels; a pair is described by its header file.
pub(crate) fn summarize(path: &Path) -> Result<SeriesSummary, Error> {
    let opened = open(path)?;
    let (modality, _) = meaning(path, comment(&opened.extensions).as_ref());
    let mut paths = vec![path.to_owned()];
    if opened.header.pair {
        paths.push(image_of(path)?);
    }
    Ok(SeriesSummary {
        kind: SeriesKind::Nifti,
        modality,
        id: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        series_number: None,
        part: None,
        size: opened.size,
        spacing_mm: opened.geometry.spacing_mm(),
        paths,
    })
}

/// Reads a NIfTI file, or a pair by either of its names.
pub(crate) fn read_nifti(path: &Path, modality: Option<Modality>, unit: Option<Unit>) -> Result<Series, Error> {
    let path = &header_of(path);
    let Opened { header, size, geometry, stored, extensions, warnings, stream } = open(path)?;
    let mut paths = vec![path.clone()];
    let stream = if header.pair {
        let image = image_of(path)?;
        let mut stream = Stream::open(&image)?;
        stream.skip(header.voxel_offset())?;
        paths.push(image);
        stream
    } else {
        stream
    };
    let voxels = read_voxels(stream, &header, stored, size, paths.last().unwrap_or(path))?;
    let (told_modality, told_unit) = meaning(path, comment(&extensions).as_ref());
    let modality = modality.unwrap_or(told_modality);
    let unit = unit.unwrap_or(if modality == told_modality { told_unit } else { names::default_unit(modality) });
    let [nx, ny, nz] = size;
    let volume = Array3::from_shape_vec((nz, ny, nx), voxels)
        .map_err(|_| isoscan_imaging::Error::SizeMismatch { expected: size, found: [0; 3] })
        .and_then(|voxels| Volume::new(voxels, geometry.clone(), modality, unit))
        .map_err(|source| Error::Image { source, path: path.clone() })?;
    let source = Source::Nifti(NiftiSource(Arc::new(Kept { paths, header, extensions, geometry })));
    Ok(Series { volume, source, warnings })
}

/// Reads the stream's voxels in runs, so that memory grows with what is there and not with what the header promises.
fn read_voxels(
    mut stream: Stream,
    header: &Header,
    stored: Stored,
    size: [usize; 3],
    path: &Path,
) -> Result<Vec<f32>, Error> {
    const RUN: usize = 1 << 16;
    let truncated = |expected, found| Error::Truncated { what: "voxels", expected, found, path: path.to_owned() };
    let count: usize = size.iter().product();
    let expected = (count as u64).saturating_mul(stored.bytes() as u64);
    if expected > stream.longest() {
        return Err(truncated(expected, stream.longest()));
    }
    let mut voxels = Vec::new();
    voxels.try_reserve_exact(count).map_err(|_| truncated(expected, 0))?;
    let mut bytes = vec![0; RUN.min(count) * stored.bytes()];
    while voxels.len() < count {
        let run = RUN.min(count - voxels.len());
        let wanted = &mut bytes[..run * stored.bytes()];
        let filled = stream.fill(wanted)?;
        if filled < wanted.len() {
            return Err(truncated(expected, (voxels.len() * stored.bytes() + filled) as u64));
        }
        let first = voxels.len();
        voxels.resize(first + run, 0.0);
        stored.decode(wanted, header.big_endian, header.scale(), &mut voxels[first..]);
    }
    stream.finish()?;
    Ok(voxels)
}

/// Reads the extensions and, in a single file, on to the first voxel.
fn read_extensions(stream: &mut Stream, header: &Header, path: &Path) -> Result<Vec<Extension>, Error> {
    /// Longer extensions are skipped: they cannot be text that matters here.
    const LONGEST: u64 = 1 << 24;
    let start = header.edition.header_length() as u64 + 4;
    let end = if header.pair { start + LONGEST } else { header.voxel_offset() };
    let mut extender = [0; 4];
    let mut at = start - 4 + stream.fill(&mut extender)? as u64;
    let mut extensions = Vec::new();
    while extender[0] != 0 && at + 16 <= end {
        let mut head = [0; 8];
        let filled = stream.fill(&mut head)?;
        at += filled as u64;
        let number = |i: usize| {
            let bytes = [head[i], head[i + 1], head[i + 2], head[i + 3]];
            if header.big_endian { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) }
        };
        let length = u64::try_from(number(0)).unwrap_or(0);
        // Padding up to the voxels, or the end of a header file.
        if filled < 8 || length < 16 || at - 8 + length > end || length > LONGEST {
            break;
        }
        let mut content = vec![0; (length - 8) as usize];
        at += stream.fill(&mut content)? as u64;
        extensions.push(Extension { code: number(4), content });
    }
    if !header.pair {
        let missing = header.voxel_offset().saturating_sub(at);
        let skipped = stream.skip(missing)?;
        if skipped < missing {
            let (expected, found) = (header.voxel_offset(), at + skipped);
            return Err(Error::Truncated { what: "NIfTI header", expected, found, path: path.to_owned() });
        }
    }
    Ok(extensions)
}

/// The header file of a pair when given its image file; any other path unchanged.
fn header_of(path: &Path) -> PathBuf {
    partner(path, "img", "hdr").filter(|header| header.is_file()).unwrap_or_else(|| path.to_owned())
}

fn image_of(header: &Path) -> Result<PathBuf, Error> {
    let missing = || Error::Unsupported { what: "a header without its .img file".to_owned(), path: header.to_owned() };
    partner(header, "hdr", "img").filter(|image| image.is_file()).ok_or_else(missing)
}

/// The other file of a pair, plain or packed, whichever exists; as the given one when none does.
fn partner(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (plain, packed) = match name.strip_suffix(".gz") {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let stem = plain.strip_suffix(from)?.strip_suffix('.')?;
    let sibling = |ending: &str| path.with_file_name(format!("{stem}.{to}{ending}"));
    let [first, second] = if packed { [".gz", ""] } else { ["", ".gz"] }.map(sibling);
    Some(if !first.is_file() && second.is_file() { second } else { first })
}
