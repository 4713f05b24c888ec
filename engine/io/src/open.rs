use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use isoscan_imaging::{Modality, Unit};
use walkdir::WalkDir;

use crate::dicom::{self, Slice};
use crate::{Error, Series, SeriesKind, SeriesSummary, Warning};
use crate::{file, nifti, rtstruct, seg};

/// How an image is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// The modality, where the caller knows better than the file. Default: that of the file.
    pub modality: Option<Modality>,
    /// The unit of the intensities, where the caller knows better. Default: that of the file, or the usual one of
    /// `modality` when that is another than the file's. PET activity becomes uptake values with `None` and
    /// [`Unit::Suv`].
    pub unit: Option<Unit>,
    /// What happens to uneven or missing slices of a DICOM series. Default: refused.
    pub uneven: Uneven,
}

/// What happens to uneven or missing slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uneven {
    /// [`Error::UnevenSlices`] names the gap.
    #[default]
    Refuse,
    /// Even slices at the median gap are interpolated linearly along the normal, and
    /// [`Warning::EvenedSlices`] tells which gaps were odd.
    Resample,
}

/// Reads the one image volume of a file or folder. Formats are told by content, not by name.
///
/// A folder is searched with its subfolders; files that are no images are passed over; localisers, DICOM segmentations,
/// PNG and TIFF too when there is anything else.
///
/// # Errors
/// [`Error::SeveralSeries`] when the folder holds more than one volume, [`Error::NoSeries`] when none,
/// [`Error::SeveralVolumes`] for a file of several ([`list`] and [`read_series`] take them apart); otherwise the variant
/// that names the damage or the kind that is not read.
pub fn read(path: &Path) -> Result<Series, Error> {
    read_with(path, &ReadOptions::default())
}

/// Like [`read`], in another way than the usual.
///
/// # Errors
/// Those of [`read`].
pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Series, Error> {
    if !path.is_dir() {
        return read_file(path, options);
    }
    let mut found = search(path)?;
    if found.series.len() > 1 {
        let found = found.series.into_iter().map(|series| series.summary).collect();
        return Err(Error::SeveralSeries { found, path: path.to_owned() });
    }
    let Some(only) = found.series.pop() else {
        return Err(Error::NoSeries { path: path.to_owned(), unreadable: found.unreadable.len() });
    };
    let mut series = match only.group {
        Some(group) => dicom::stack(group, options)?,
        None => read_series_with(&only.summary, options)?,
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
    if nifti::is_nifti(&nifti::header_of(path))? {
        return nifti::summarize(path);
    }
    if let Some(kind) = file::kind_of(path)? {
        return file::summarize(path, kind);
    }
    let slice = Slice::read_header(path)?;
    if seg::is_segmentation(&slice) {
        return Ok(vec![seg::summarize(&slice)?]);
    }
    Ok(dicom::group(planes_of(slice)?).into_iter().map(|group| group.summary).collect())
}

/// Reads the volume that [`list`] described.
///
/// # Errors
/// As [`read`].
pub fn read_series(summary: &SeriesSummary) -> Result<Series, Error> {
    read_series_with(summary, &ReadOptions::default())
}

/// Like [`read_series`], in another way than the usual.
///
/// # Errors
/// As [`read`].
pub fn read_series_with(summary: &SeriesSummary, options: &ReadOptions) -> Result<Series, Error> {
    let Some(first) = summary.paths.first() else {
        return Err(Error::NoSeries { path: PathBuf::new(), unreadable: 0 });
    };
    match summary.kind {
        SeriesKind::Nifti => nifti::read_nifti_volume(first, summary.volume, options.modality, options.unit),
        SeriesKind::Dicom => dicom::stack(group_of(summary)?, options),
        SeriesKind::Segmentation => seg::read(&seg::open(first)?),
        kind => file::read(first, kind, Some(summary.volume), options.modality, options.unit),
    }
}

/// The planes of the DICOM volume that [`list`] described.
pub(crate) fn group_of(summary: &SeriesSummary) -> Result<dicom::Group, Error> {
    let slices = dicom::read_headers(&summary.paths).into_iter().collect::<Result<Vec<_>, _>>()?;
    let planes = slices.into_iter().map(dicom::planes).collect::<Result<Vec<_>, _>>()?;
    let wanted: BTreeSet<&PathBuf> = summary.paths.iter().collect();
    let of_all_files = |group: &dicom::Group| group.summary.paths.iter().collect::<BTreeSet<_>>() == wanted;
    let mut groups = dicom::group(planes.into_iter().flatten().collect());
    groups.retain(of_all_files);
    let volumes = groups.len() as u64;
    let path = || summary.paths.first().cloned().unwrap_or_default();
    groups.into_iter().nth(summary.volume).ok_or_else(|| Error::SeveralVolumes { volumes, path: path() })
}

fn read_file(path: &Path, options: &ReadOptions) -> Result<Series, Error> {
    if nifti::is_nifti(&nifti::header_of(path))? {
        return nifti::read_nifti(path, options.modality, options.unit);
    }
    if let Some(kind) = file::kind_of(path)? {
        return file::read(path, kind, None, options.modality, options.unit);
    }
    let slice = Slice::read_header(path)?;
    if rtstruct::is_structure_set(&slice) {
        return Err(slice.unsupported("structure set as an image; its regions need the grid of one"));
    }
    if seg::is_segmentation(&slice) {
        return seg::read(&slice);
    }
    let mut groups = dicom::group(planes_of(slice)?);
    if groups.len() > 1 {
        let found = groups.into_iter().map(|group| group.summary).collect();
        return Err(Error::SeveralSeries { found, path: path.to_owned() });
    }
    match groups.pop() {
        Some(group) => dicom::stack(group, options),
        None => Err(Error::NoSeries { path: path.to_owned(), unreadable: 0 }),
    }
}

/// The planes of one DICOM file, which must hold an image.
fn planes_of(slice: Slice) -> Result<Vec<dicom::Plane>, Error> {
    if slice.pixels.is_none() {
        return Err(slice.unsupported("DICOM object without pixels"));
    }
    dicom::planes(slice)
}

/// One volume of a folder; DICOM headers are kept so that they are parsed once.
struct Found {
    summary: SeriesSummary,
    group: Option<dicom::Group>,
}

struct Search {
    series: Vec<Found>,
    unreadable: Vec<Warning>,
}

fn alone(summary: SeriesSummary) -> Found {
    Found { summary, group: None }
}

fn search(folder: &Path) -> Result<Search, Error> {
    let mut others = Vec::new();
    let mut secondary = Vec::new();
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
            match file::kind_of(path)? {
                None => others.push(path.to_owned()),
                Some(kind @ (SeriesKind::Png | SeriesKind::Tiff)) => secondary.push(file::summarize(path, kind)),
                Some(kind) => match file::summarize(path, kind) {
                    Ok(summaries) => series.extend(summaries.into_iter().map(alone)),
                    Err(error) => unreadable.push(failed(path.to_owned(), error)),
                },
            }
            continue;
        }
        match nifti::summarize(path) {
            Ok(volumes) => series.extend(volumes.into_iter().map(alone)),
            Err(error) => unreadable.push(failed(path.to_owned(), error)),
        }
    }
    let mut planes = Vec::new();
    for (path, header) in others.iter().zip(dicom::read_headers(&others)) {
        match header {
            Ok(slice) if seg::is_segmentation(&slice) => secondary.push(seg::summarize(&slice).map(|one| vec![one])),
            Ok(slice) if slice.is_image() => match dicom::planes(slice) {
                Ok(of_file) => planes.extend(of_file),
                Err(error) => unreadable.push(failed(path.clone(), error)),
            },
            Ok(slice) if slice.lacks_pixels() => {
                unreadable.push(failed(path.clone(), slice.malformed("Pixel Data", "an image", "none")));
            }
            Ok(_) | Err(Error::NotAnImage { .. }) => {}
            Err(error) => unreadable.push(failed(path.clone(), error)),
        }
    }
    series.extend(
        dicom::group(planes).into_iter().map(|group| Found { summary: group.summary.clone(), group: Some(group) }),
    );
    // Segmentations and pictures beside images belong to them and are no series of their own.
    if series.is_empty() {
        for summaries in secondary {
            match summaries {
                Ok(summaries) => series.extend(summaries.into_iter().map(alone)),
                Err(error) => unreadable.push(failed(folder.to_owned(), error)),
            }
        }
    }
    series.sort_by(|a, b| (&a.summary.paths, a.summary.volume).cmp(&(&b.summary.paths, b.summary.volume)));
    Ok(Search { series, unreadable })
}
