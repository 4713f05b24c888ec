use std::path::{Path, PathBuf};
use std::sync::Arc;

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;

use super::gzip::Stream;
use super::header::{self, Header};
use super::load::{self, Layout};
use super::meaning::{COMMENT, Comment, meaning};
use super::voxels::Stored;
use super::{forms, meaning as names};
use crate::inflate::Narrow;
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
    volume: usize,
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

    /// Which volume of the file, from 0.
    pub fn volume(&self) -> usize {
        self.0.volume
    }

    /// Type of the intensities: that of the stored numbers, or a floating-point one where the header scales them.
    pub(crate) fn intensity_type(&self) -> Option<&'static str> {
        let stored = Stored::of(self.header(), self.paths().first()?).ok()?;
        let scaled = self.header().scale().is_some() && stored != Stored::F64;
        Some(if scaled { Stored::F32.name() } else { stored.name() })
    }

    /// The stored bytes of volume `index` of the file, when it is there and still holds exactly `voxels`.
    pub(crate) fn stored_if_same(&self, index: usize, voxels: &[f32]) -> Option<Vec<u8>> {
        let path = image_path(&self.0.paths);
        let stored = Stored::of(self.header(), path).ok()?;
        let layout = Layout::of(self.header(), stored, path);
        load::stored_if_same(&layout, index as u64, voxels).ok().flatten()
    }

    /// The file that holds the voxels.
    pub(super) fn image_path(&self) -> &Path {
        image_path(&self.0.paths)
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
    /// The comment, when Isoscan wrote it.
    pub(crate) fn comment(&self) -> Option<Comment> {
        if self.code == COMMENT { Comment::parse(&self.content) } else { None }
    }
}

fn comment(extensions: &[Extension]) -> Option<Comment> {
    extensions.iter().find_map(Extension::comment)
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
pub(super) struct Opened {
    header: Header,
    geometry: Geometry,
    stored: Stored,
    extensions: Vec<Extension>,
    warnings: Vec<Warning>,
    /// The file, or header and image file; the voxels are in the last.
    paths: Vec<PathBuf>,
}

impl Opened {
    pub(super) fn layout(&self) -> Layout<'_> {
        Layout::of(&self.header, self.stored, image_path(&self.paths))
    }

    pub(super) fn stored(&self) -> Stored {
        self.stored
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn volumes(&self) -> u64 {
        self.header.volumes()
    }

    /// Modality and unit: as the caller says, else as the file tells.
    pub(super) fn meaning(&self, modality: Option<Modality>, unit: Option<Unit>) -> (Modality, Unit) {
        let comment = comment(&self.extensions);
        let (told_modality, told_unit) = meaning(&self.paths[0], comment.as_ref(), self.header.intent_code);
        let modality = modality.unwrap_or(told_modality);
        let usual = || if modality == told_modality { told_unit } else { names::default_unit(modality) };
        (modality, unit.unwrap_or_else(usual))
    }

    /// The source that volume `volume` came from, and what was assumed.
    pub(super) fn into_source(self, volume: usize) -> (NiftiSource, Vec<Warning>) {
        let Self { header, geometry, extensions, paths, warnings, .. } = self;
        (NiftiSource(Arc::new(Kept { paths, header, extensions, geometry, volume })), warnings)
    }
}

/// A file, or a pair by either of its names.
pub(super) fn open(path: &Path) -> Result<Opened, Error> {
    let path = header_of(path);
    let mut stream = Stream::open(&path)?;
    let mut first = [0; header::LONGEST];
    let mut filled = stream.fill(&mut first[..348])?;
    if header::edition(&first) == Some(header::Edition::Two) {
        filled += stream.fill(&mut first[348..])?;
    }
    let header = Header::parse(&first[..filled], &path)?;
    let stored = Stored::of(&header, &path)?;
    let (geometry, warning) = forms::geometry(&header.forms, header.size(), &path)?;
    let extensions = read_extensions(&mut stream, &header, &path)?;
    let mut paths = vec![path];
    if header.pair {
        paths.push(image_of(&paths[0])?);
    }
    Ok(Opened { header, geometry, stored, extensions, warnings: warning.into_iter().collect(), paths })
}

fn image_path(paths: &[PathBuf]) -> &Path {
    paths.last().map_or(Path::new(""), PathBuf::as_path)
}

/// Describes every volume of a NIfTI file without its voxels: the axes behind z are counted through, the fourth fastest.
pub(crate) fn summarize(path: &Path) -> Result<Vec<SeriesSummary>, Error> {
    /// More than any scan has; each volume becomes a summary.
    const MOST: u64 = 1 << 16;
    let opened = open(path)?;
    load::require_voxels(&opened.layout())?;
    let Opened { header, geometry, extensions, paths, .. } = opened;
    let volumes = header.volumes();
    if volumes > MOST {
        let what = format!("{volumes} volumes in one file (at most {MOST})");
        return Err(Error::Unsupported { what, path: path.to_owned() });
    }
    let (modality, _) = meaning(&paths[0], comment(&extensions).as_ref(), header.intent_code);
    let id = paths[0].file_name().unwrap_or_default().to_string_lossy().into_owned();
    let summary = |volume: usize| SeriesSummary {
        kind: SeriesKind::Nifti,
        modality,
        id: id.clone(),
        series_number: None,
        part: (volumes > 1).then(|| format!("volume {}", volume + 1)),
        volume,
        size: header.size(),
        spacing_mm: geometry.spacing_mm(),
        paths: paths.clone(),
    };
    Ok((0..volumes as usize).map(summary).collect())
}

/// Labels and grid of a label map of whole numbers that fit into a byte; `None` for any other image.
pub(crate) fn read_label_map(path: &Path) -> Result<Option<(Narrow, Geometry)>, Error> {
    let opened = open(path)?;
    Ok(load::labels(&opened.layout())?.map(|labels| (labels, opened.geometry)))
}

/// Reads the only volume of a NIfTI file.
pub(crate) fn read_nifti(path: &Path, modality: Option<Modality>, unit: Option<Unit>) -> Result<Series, Error> {
    let opened = open(path)?;
    match opened.header.volumes() {
        1 => read_opened(opened, 0, modality, unit),
        volumes => Err(Error::SeveralVolumes { volumes, path: path.to_owned() }),
    }
}

/// Reads one of the volumes of a NIfTI file, counted from 0 as in its summaries.
pub(crate) fn read_nifti_volume(
    path: &Path,
    volume: usize,
    modality: Option<Modality>,
    unit: Option<Unit>,
) -> Result<Series, Error> {
    let opened = open(path)?;
    if (volume as u64) < opened.header.volumes() {
        return read_opened(opened, volume, modality, unit);
    }
    Err(Error::Malformed {
        field: "dim",
        expected: "the volumes that were listed",
        found: format!("{} volumes, none at index {volume}", opened.header.volumes()),
        path: path.to_owned(),
    })
}

fn read_opened(opened: Opened, volume: usize, modality: Option<Modality>, unit: Option<Unit>) -> Result<Series, Error> {
    let voxels = load::intensities(&opened.layout(), volume as u64)?;
    let (modality, unit) = opened.meaning(modality, unit);
    let [nx, ny, nz] = opened.header.size();
    let volume_of = Array3::from_shape_vec((nz, ny, nx), voxels)
        .map_err(|_| isoscan_imaging::Error::SizeMismatch { expected: [nx, ny, nz], found: [0; 3] })
        .and_then(|voxels| Volume::new(voxels, opened.geometry.clone(), modality, unit))
        .map_err(|source| Error::Image { source, path: opened.paths[0].clone() })?;
    let (source, warnings) = opened.into_source(volume);
    Ok(Series { volume: volume_of, source: Source::Nifti(source), padding: None, warnings })
}

/// Reads the extensions of a stream that stands behind the header.
fn read_extensions(stream: &mut Stream, header: &Header, path: &Path) -> Result<Vec<Extension>, Error> {
    /// All of them together; a longer promise is a broken file.
    const LONGEST: u64 = 1 << 26;
    let start = header.edition.header_length() as u64 + 4;
    let end = if header.pair { u64::MAX } else { header.voxel_offset() };
    let mut extender = [0; 4];
    let mut at = start - 4 + stream.fill(&mut extender)? as u64;
    let mut extensions = Vec::new();
    while extender[0] != 0 && at.saturating_add(16) <= end {
        let mut head = [0; 8];
        let filled = stream.fill(&mut head)?;
        let number = |i: usize| {
            let bytes = [head[i], head[i + 1], head[i + 2], head[i + 3]];
            if header.big_endian { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) }
        };
        let length = u64::try_from(number(0)).unwrap_or(0);
        // Padding up to the voxels, or the end of a header file.
        if filled < 8 || length < 16 {
            break;
        }
        let wrong =
            |expected| Error::Malformed { field: "esize", expected, found: length.to_string(), path: path.to_owned() };
        if length > end - at {
            return Err(wrong("an extension that ends before the voxels"));
        }
        if at - start + length > LONGEST {
            return Err(wrong("extensions of at most 64 MiB"));
        }
        let content = stream.take(length - 8)?;
        if (content.len() as u64) < length - 8 {
            return Err(wrong("an extension inside the file"));
        }
        at += length;
        extensions.push(Extension { code: number(4), content });
    }
    Ok(extensions)
}

/// The header file of a pair when given its image file; any other path unchanged.
pub(crate) fn header_of(path: &Path) -> PathBuf {
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
