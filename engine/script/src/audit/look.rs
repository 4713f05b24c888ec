use std::path::{Component, Path};

use isoscan_imaging::{Geometry, Modality, Orientation, Unit, Volume, reorient};
use isoscan_io::{ReadOptions, SeriesKind, SeriesSummary, sha256};

use super::{AuditedImage, Finding, FindingKind, Group};
use crate::Error;

/// What tells the subject of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// `sub-` label, with the `ses-` label where there is one.
    pub(super) session: Option<String>,
    /// `sub-` label.
    pub(super) label: Option<String>,
    /// Path below the group's folder, without the ending of a file.
    pub(super) path: String,
    /// Digest of the study.
    pub(super) study: Option<String>,
    /// Digest of the patient.
    pub(super) patient: Option<String>,
}

impl Keys {
    pub(super) fn person(&self) -> &str {
        self.patient.as_deref().or(self.label.as_deref()).unwrap_or(&self.path)
    }
}

/// The grid of an image and digests of its voxels as they are and mirrored along x, y, z.
pub(super) struct Print {
    pub(super) geometry: Geometry,
    pub(super) plain: String,
    pub(super) mirrored: [String; 3],
}

/// Every image of a group; those that cannot be read become findings.
pub(super) fn look(group: &Group, findings: &mut Vec<Finding>) -> Result<Vec<(AuditedImage, Print)>, Error> {
    let mut listed: Vec<SeriesSummary> =
        isoscan_io::list(&group.folder)?.into_iter().filter(|series| series.modality != Modality::Seg).collect();
    listed.sort_by(|a, b| (&a.paths, a.volume, &a.part).cmp(&(&b.paths, b.volume, &b.part)));
    if listed.is_empty() {
        return Err(Error::EmptyCohort { path: group.folder.clone() });
    }
    let mut images = Vec::new();
    for (series, number) in listed.into_iter().zip(1..) {
        match image(group, number, series) {
            Ok(image) => images.push(image),
            Err(error) => findings.push(Finding {
                kind: FindingKind::Unreadable,
                images: vec![(group.name.clone(), number)],
                text: format!("{} {number} cannot be read: {}", group.name, cause(&error)),
            }),
        }
    }
    Ok(images)
}

/// The kind of error without the path, which may name a patient.
fn cause(error: &isoscan_io::Error) -> String {
    let debug = format!("{error:?}");
    debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

fn image(group: &Group, number: usize, series: SeriesSummary) -> Result<(AuditedImage, Print), isoscan_io::Error> {
    let unit = group.modality.map(|modality| match modality {
        Modality::Ct => Unit::Hounsfield,
        _ => Unit::Arbitrary,
    });
    let how = ReadOptions { modality: group.modality, unit, ..ReadOptions::default() };
    let read = isoscan_io::read_series_with(&series, &how)?;
    let volume = &read.volume;
    let (study, patient) = (read.source.study_digest(), read.source.patient_digest());
    let labels = labels(&series.paths);
    let keys = Keys {
        session: labels.as_ref().map(|(subject, session)| format!("{subject}{session}")),
        label: labels.map(|(subject, _)| subject),
        path: below(&group.folder, &series),
        study,
        patient,
    };
    let turned = reorient(volume, Orientation::LPS);
    let print = Print {
        geometry: volume.geometry().clone(),
        plain: digest(&turned, None),
        mirrored: [0, 1, 2].map(|axis| digest(&turned, Some(axis))),
    };
    let (intensities, not_finite) = intensities(volume);
    let image = AuditedImage {
        group: group.name.clone(),
        role: group.role,
        number,
        subject: sha256(keys.person().as_bytes())[..8].to_owned(),
        modality: volume.modality().to_string(),
        unit: volume.unit().to_string(),
        size: volume.geometry().size(),
        spacing_mm: volume.geometry().spacing_mm(),
        orientation: Orientation::of(volume.geometry()).to_string(),
        intensities,
        not_finite,
        voxels_sha256: print.plain.clone(),
        series,
        keys,
    };
    Ok((image, print))
}

/// The `sub-` label of a path, and the `ses-` label with its underscore.
fn labels(paths: &[std::path::PathBuf]) -> Option<(String, String)> {
    let path = paths.first()?.to_string_lossy();
    let label = |key: &str| {
        let at = path.rfind(key)?;
        let boundary = at == 0 || matches!(path.as_bytes()[at - 1], b'/' | b'_');
        let rest = &path[at..];
        let end =
            key.len() + rest[key.len()..].find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len() - key.len());
        (boundary && end > key.len()).then(|| rest[..end].to_owned())
    };
    let subject = label("sub-")?;
    Some((subject, label("ses-").map_or_else(String::new, |session| format!("_{session}"))))
}

/// The path of a series below the folder of its group: of a file without its ending, of a DICOM series its folder.
fn below(folder: &Path, series: &SeriesSummary) -> String {
    let path = series.paths.first().map_or(Path::new(""), |path| path);
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<String> = below
        .components()
        .filter_map(
            |part| if let Component::Normal(name) = part { Some(name.to_string_lossy().into_owned()) } else { None },
        )
        .collect();
    let mut key = match (series.kind, parts.split_last()) {
        (SeriesKind::Dicom, Some((_, folders))) if !folders.is_empty() => folders.join("/"),
        (SeriesKind::Dicom, Some((file, _))) => format!("{file} {}", series.id),
        (_, Some((file, folders))) => {
            let stem = file.strip_suffix(".gz").unwrap_or(file);
            let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
            [folders, &[stem.to_owned()]].concat().join("/")
        }
        (_, None) => String::new(),
    };
    if series.volume > 0 {
        key += &format!(" {}", series.volume);
    }
    key
}

fn digest(volume: &Volume, mirrored: Option<usize>) -> String {
    let size = volume.geometry().size();
    let voxels = volume.voxels();
    let mut bytes = Vec::with_capacity(4 * volume.geometry().voxel_count() + 24);
    size.iter().for_each(|n| bytes.extend((*n as u64).to_le_bytes()));
    let place = |axis: usize, at: usize| if mirrored == Some(axis) { size[axis] - 1 - at } else { at };
    for k in 0..size[2] {
        for j in 0..size[1] {
            for i in 0..size[0] {
                bytes.extend(voxels[[place(2, k), place(1, j), place(0, i)]].to_le_bytes());
            }
        }
    }
    sha256(&bytes)
}

fn intensities(volume: &Volume) -> ([f64; 3], usize) {
    let (mut low, mut high, mut sum, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0usize);
    for value in volume.as_slice().iter().filter(|value| value.is_finite()).map(|&value| f64::from(value)) {
        (low, high, sum, count) = (low.min(value), high.max(value), sum + value, count + 1);
    }
    let not_finite = volume.geometry().voxel_count() - count;
    if count == 0 { ([0.0; 3], not_finite) } else { ([low, sum / count as f64, high], not_finite) }
}
