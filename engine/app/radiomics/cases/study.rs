use std::path::Path;

use isoscan_imaging::Modality;
use isoscan_io::{RegionFile, RegionKind, SeriesKind, SeriesSummary, list_regions};

use super::{Case, Pair, Place, Wanted};
use crate::failure::Failure;

/// The structure sets and segmentations of a folder of DICOM files, each with the series that it refers to, or where it
/// names none with the only one there is. Every region is measured, unless one is named.
pub(super) fn cases(folder: &Path, wanted: &Wanted) -> Result<Vec<Case>, Failure> {
    let regions = list_regions(folder)?;
    if regions.is_empty() {
        return Ok(Vec::new());
    }
    let listed = isoscan_io::list(folder)?;
    let images: Vec<SeriesSummary> = listed
        .into_iter()
        .filter(|series| series.kind == SeriesKind::Dicom && series.modality != Modality::Seg)
        .collect();
    Ok(regions.iter().map(|file| case_of(folder, file, &images, wanted)).collect())
}

fn case_of(folder: &Path, file: &RegionFile, images: &[SeriesSummary], wanted: &Wanted) -> Case {
    let told = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let image = referred(file, images);
    let place = image.as_ref().ok().and_then(|series| {
        let first = series.paths.first()?;
        Some(if series.paths.len() > 1 { first.parent()?.to_owned() } else { first.clone() })
    });
    let wanted = if *wanted == Wanted::Usual { Wanted::All } else { wanted.clone() };
    Case {
        carried: vec![
            ("ID".to_owned(), told(&file.path)),
            ("Image".to_owned(), place.as_deref().map(told).unwrap_or_default()),
            ("Mask".to_owned(), told(&file.path)),
        ],
        pair: image.map(|series| Pair {
            image: Place::Series(Box::new(series.clone())),
            mask: file.path.clone(),
            wanted,
        }),
    }
}

fn referred<'a>(file: &RegionFile, images: &'a [SeriesSummary]) -> Result<&'a SeriesSummary, String> {
    let kind = match file.kind {
        RegionKind::StructureSet => "structure set",
        RegionKind::Segmentation => "segmentation",
    };
    let mut fitting = images.iter().filter(|series| file.referenced_series.contains(&series.id));
    match (fitting.next(), fitting.next(), images) {
        (Some(only), None, _) => Ok(only),
        (None, _, [only]) if file.referenced_series.is_empty() => Ok(only),
        (None, _, []) => Err("no image series lies in the folder".to_owned()),
        (None, ..) => Err(format!("the {kind} refers to none of the {} image series of the folder", images.len())),
        (Some(_), Some(_), _) => {
            Err(format!("the {kind} refers to several image series of the folder; give one with its mask"))
        }
    }
}
