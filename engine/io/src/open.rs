use std::path::{Path, PathBuf};

use isoscan_imaging::{Modality, Unit};
use walkdir::WalkDir;

use crate::dicom::{self, Slice};
use crate::nifti;
use crate::{Error, Series, SeriesKind, SeriesSummary, Warning};

/// Reads the one image volume of a file or folder. Formats are told by content, not by name.
///
/// A folder is searched with its subfolders; files that are no images are passed over, localisers too when there is
/// anything else.
///
/// # Errors
/// [`Error::SeveralSeries`] when the folder holds more than one volume, [`Error::NoSeries`] when none; otherwise the
/// variant that names the damage or the kind that is not read.
pub fn read(path: &Path) -> Result<Series, Error> {
    read_as(path, None, None)
}

/// Like [`read`], with the modality or the unit set by the caller instead of told by the file. A modality without a unit
/// takes that modality's usual unit.
///
/// # Errors
/// Those of [`read`].
pub fn read_as(path: &Path, modality: Option<Modality>, unit: Option<Unit>) -> Result<Series, Error> {
    if !path.is_dir() {
        return read_file(path, modality, unit);
    }
    let mut found = search(path)?;
    if found.series.len() > 1 {
        let found = found.series.into_iter().map(|series| series.summary).collect();
        return Err(Error::SeveralSeries { found, path: path.to_owned() });
    }
    let Some(only) = found.series.pop() else {
        return Err(Error::NoSeries { path: path.to_owned(), unreadable: found.unreadable.len() });
    };
    let mut series = match only.slices {
        Some(slices) => dicom::stack(slices, &only.summary, modality, unit)?,
        None => nifti::read_nifti(&only.summary.paths[0], modality, unit)?,
    };
    series.warnings.splice(0..0, found.unreadable);
    Ok(series)
}

/// Every image volume under a file or folder, in a fixed order: by first file path. No voxel is read.
///
/// # Errors
/// [`Error::Io`] when the path cannot be read; of a single file also why it is no image. Damaged files of a folder are
/// passed over.
pub fn list(path: &Path) -> Result<Vec<SeriesSummary>, Error> {
    if path.is_dir() {
        return Ok(search(path)?.series.into_iter().map(|found| found.summary).collect());
    }
    if nifti::is_nifti(path)? {
        return Ok(vec![nifti::summarize(path)?]);
    }
    Ok(dicom::group(vec![Slice::read_header(path)?]).into_iter().map(|group| group.summary).collect())
}

/// Reads the volume that [`list`] described.
///
/// # Errors
/// As [`read`].
pub fn read_series(summary: &SeriesSummary) -> Result<Series, Error> {
    match (summary.kind, summary.paths.first()) {
        (_, None) => Err(Error::NoSeries { path: PathBuf::new(), unreadable: 0 }),
        (SeriesKind::Nifti, Some(path)) => nifti::read_nifti(path, None, None),
        (SeriesKind::Dicom, Some(_)) => {
            let slices = dicom::read_headers(&summary.paths).into_iter().collect::<Result<Vec<_>, _>>()?;
            dicom::stack(slices, summary, None, None)
        }
    }
}

fn read_file(path: &Path, modality: Option<Modality>, unit: Option<Unit>) -> Result<Series, Error> {
    let image_of_pair = path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        name.strip_suffix(".img").is_some_and(|stem| {
            [".hdr", ".hdr.gz"].iter().any(|ending| path.with_file_name(format!("{stem}{ending}")).is_file())
        })
    });
    if image_of_pair || nifti::is_nifti(path)? {
        return nifti::read_nifti(path, modality, unit);
    }
    let slices = vec![Slice::read_header(path)?];
    let summary = dicom::summary_of(&slices);
    dicom::stack(slices, &summary, modality, unit)
}

/// One volume of a folder; DICOM headers are kept so that they are parsed once.
struct Found {
    summary: SeriesSummary,
    slices: Option<Vec<Slice>>,
}

struct Search {
    series: Vec<Found>,
    unreadable: Vec<Warning>,
}

fn search(folder: &Path) -> Result<Search, Error> {
    let mut others = Vec::new();
    let mut series = Vec::new();
    let mut unreadable = Vec::new();
    let failed = |path: PathBuf, error: Error| Warning::UnreadableFile { path, reason: error.to_string() };
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::Io {
            action: "look into folder",
            path: e.path().unwrap_or(folder).to_owned(),
            source: e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")),
        })?;
        let path = entry.path();
        if !entry.file_type().is_file() && !path.is_file() {
            continue;
        }
        if !nifti::is_nifti(path)? {
            others.push(path.to_owned());
            continue;
        }
        match nifti::summarize(path) {
            Ok(summary) => series.push(Found { summary, slices: None }),
            Err(error) => unreadable.push(failed(path.to_owned(), error)),
        }
    }
    let mut slices = Vec::new();
    for (path, header) in others.iter().zip(dicom::read_headers(&others)) {
        match header {
            Ok(slice) if slice.is_image() => slices.push(slice),
            Ok(slice) if slice.lacks_pixels() => {
                unreadable.push(failed(path.clone(), slice.malformed("Pixel Data", "an image", "none")));
            }
            Ok(_) | Err(Error::NotAnImage { .. }) => {}
            Err(error) => unreadable.push(failed(path.clone(), error)),
        }
    }
    series.extend(
        dicom::group(slices).into_iter().map(|group| Found { summary: group.summary, slices: Some(group.slices) }),
    );
    series.sort_by(|a, b| a.summary.paths.cmp(&b.summary.paths));
    Ok(Search { series, unreadable })
}
