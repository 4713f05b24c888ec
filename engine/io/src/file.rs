//! Images in one file, or a header with its data, that are neither NIfTI nor DICOM: what they share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;

use crate::inflate::Narrow;
use crate::nifti::{Comment, Stored, default_unit, meaning};
use crate::samples::{Samples, head};
use crate::{Derivation, Error, Series, SeriesKind, SeriesSummary, Source, Warning};
use crate::{metaimage, nrrd, raster};

/// What was kept of the NRRD, MetaImage, PNG, TIFF or DICOM segmentation file that a volume came from.
#[derive(Debug, Clone)]
pub struct FileSource(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    kind: SeriesKind,
    paths: Vec<PathBuf>,
    geometry: Geometry,
    stored: Stored,
    derivation: Option<Derivation>,
}

impl FileSource {
    pub(crate) fn new(
        kind: SeriesKind,
        paths: Vec<PathBuf>,
        geometry: Geometry,
        stored: Stored,
        derivation: Option<Derivation>,
    ) -> Self {
        Self(Arc::new(Kept { kind, paths, geometry, stored, derivation }))
    }

    /// The format.
    pub fn kind(&self) -> SeriesKind {
        self.0.kind
    }

    /// The header first, then the files of its data.
    pub fn paths(&self) -> &[PathBuf] {
        &self.0.paths
    }

    /// The grid as read.
    pub fn geometry(&self) -> &Geometry {
        &self.0.geometry
    }

    /// How the file was made, when Isoscan made it.
    pub fn derivation(&self) -> Option<&Derivation> {
        self.0.derivation.as_ref()
    }

    pub(crate) fn stored(&self) -> Stored {
        self.0.stored
    }
}

/// A header: everything but the voxels.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) samples: Samples,
    pub(crate) geometry: Geometry,
    /// What Isoscan wrote into the file.
    pub(crate) comment: Option<Comment>,
    /// Modality told by the file.
    pub(crate) modality: Option<Modality>,
    /// What each volume is called, where the header tells.
    pub(crate) names: Vec<String>,
    /// Intensity of a stored number: slope and intercept.
    pub(crate) scale: Option<(f64, f64)>,
    pub(crate) warnings: Vec<Warning>,
}

impl Header {
    fn name(&self, volume: usize) -> Option<String> {
        let numbered = || format!("volume {}", volume + 1);
        (self.samples.volumes() > 1).then(|| self.names.get(volume).cloned().unwrap_or_else(numbered))
    }
}

/// The format of a file by its first bytes, if it is one of these.
pub(crate) fn kind_of(path: &Path) -> Result<Option<SeriesKind>, Error> {
    let first = head(path, 512)?;
    if first.get(128..132) == Some(b"DICM") {
        return Ok(None);
    }
    Ok(if first.starts_with(b"NRRD000") {
        Some(SeriesKind::Nrrd)
    } else if metaimage::is_metaimage(&first) {
        Some(SeriesKind::MetaImage)
    } else if first.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(SeriesKind::Png)
    } else if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| first.starts_with(*magic)) {
        Some(SeriesKind::Tiff)
    } else {
        None
    })
}

/// Describes the volumes of a file without their voxels.
pub(crate) fn summarize(path: &Path, kind: SeriesKind) -> Result<Vec<SeriesSummary>, Error> {
    let header = open(path, kind)?;
    let modality = told(path, &header).0;
    let summary = |volume: usize| SeriesSummary {
        kind,
        modality,
        id: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        series_number: None,
        part: header.name(volume),
        volume,
        size: header.samples.size,
        spacing_mm: header.geometry.spacing_mm(),
        paths: paths(path, &header.samples),
    };
    Ok((0..header.samples.volumes()).map(summary).collect())
}

/// Reads one volume, or without an index the only one.
pub(crate) fn read(
    path: &Path,
    kind: SeriesKind,
    volume: Option<usize>,
    modality: Option<Modality>,
    unit: Option<Unit>,
) -> Result<Series, Error> {
    let header = open(path, kind)?;
    let volumes = header.samples.volumes();
    let index = match volume {
        Some(index) if index < volumes => index,
        None if volumes == 1 => 0,
        _ => return Err(Error::SeveralVolumes { volumes: volumes as u64, path: path.to_owned() }),
    };
    let mut voxels = match kind {
        SeriesKind::Png => raster::read_png(path)?,
        SeriesKind::Tiff => raster::read_tiff(path)?,
        _ => header.samples.read(index, path)?,
    };
    if let Some((slope, intercept)) = header.scale {
        voxels.iter_mut().for_each(|v| *v = (f64::from(*v) * slope + intercept) as f32);
    }
    let (told_modality, told_unit) = told(path, &header);
    let modality = modality.unwrap_or(told_modality);
    let unit = unit.unwrap_or(if modality == told_modality { told_unit } else { default_unit(modality) });
    let [nx, ny, nz] = header.samples.size;
    let found = [voxels.len(), 1, 1];
    let volume = Array3::from_shape_vec((nz, ny, nx), voxels)
        .map_err(|_| isoscan_imaging::Error::SizeMismatch { expected: [nx, ny, nz], found })
        .and_then(|voxels| Volume::new(voxels, header.geometry.clone(), modality, unit))
        .map_err(|source| Error::Image { source, path: path.to_owned() })?;
    let derivation = header.comment.and_then(|comment| comment.isoscan.derivation);
    let files = paths(path, &header.samples);
    let source = FileSource::new(kind, files, header.geometry, header.samples.stored, derivation);
    Ok(Series { volume, source: Source::File(source), padding: None, warnings: header.warnings })
}

/// Labels and grid of a label map of whole numbers that fit into a byte; `None` for any other image.
pub(crate) fn read_label_map(path: &Path, kind: SeriesKind) -> Result<Option<(Narrow, Geometry)>, Error> {
    if matches!(kind, SeriesKind::Png | SeriesKind::Tiff) {
        return Ok(None);
    }
    let header = open(path, kind)?;
    let labels = if header.scale.is_none() { header.samples.labels()? } else { None };
    Ok(labels.map(|labels| (labels, header.geometry)))
}

fn open(path: &Path, kind: SeriesKind) -> Result<Header, Error> {
    const MOST_VOLUMES: usize = 1 << 16;
    let header = match kind {
        SeriesKind::Nrrd => nrrd::open(path),
        SeriesKind::MetaImage => metaimage::open(path),
        SeriesKind::Png => raster::open_png(path),
        SeriesKind::Tiff => raster::open_tiff(path),
        _ => Err(Error::NotAnImage { path: path.to_owned() }),
    }?;
    match header.samples.volumes() {
        0..=MOST_VOLUMES => Ok(header),
        volumes => Err(Error::SeveralVolumes { volumes: volumes as u64, path: path.to_owned() }),
    }
}

fn told(path: &Path, header: &Header) -> (Modality, Unit) {
    match (header.modality, &header.comment) {
        (Some(modality), None) => (modality, default_unit(modality)),
        _ => meaning(path, header.comment.as_ref(), 0),
    }
}

fn paths(path: &Path, samples: &Samples) -> Vec<PathBuf> {
    let data = samples.files.iter().filter(|file| *file != path).cloned();
    std::iter::once(path.to_owned()).chain(data).collect()
}

/// The type in which voxels are stored without loss: that of an unchanged source, the smallest integer for labels, or f32.
///
/// # Errors
/// [`Error::NotALabelMap`] for fractions in a label map.
pub(crate) fn stored_type(
    volume: &Volume,
    source: Option<&Source>,
    derivation: Option<&Derivation>,
    path: &Path,
) -> Result<Stored, Error> {
    let voxels = volume.as_slice();
    if let (Some(Source::File(source)), None) = (source, derivation)
        && source.stored().holds(voxels, None)
    {
        return Ok(source.stored());
    }
    if volume.unit() != Unit::Label {
        return Ok(Stored::F32);
    }
    if let Some(&found) = voxels.iter().find(|v| v.fract() != 0.0 || !v.is_finite()) {
        return Err(Error::NotALabelMap { found, path: path.to_owned() });
    }
    let smallest = [Stored::U8, Stored::I16, Stored::I32].into_iter().find(|stored| stored.holds(voxels, None));
    Ok(smallest.unwrap_or(Stored::F32))
}

/// What Isoscan writes into a file besides its voxels, as one line of JSON.
pub(crate) fn comment_json(volume: &Volume, derivation: Option<&Derivation>) -> String {
    let isoscan = crate::nifti::Meaning {
        modality: volume.modality(),
        unit: volume.unit(),
        derivation: derivation.cloned(),
        quantised: None,
    };
    serde_json::to_string(&Comment { isoscan }).unwrap_or_default()
}
