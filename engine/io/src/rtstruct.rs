//! Contours of a DICOM structure set (RTSTRUCT) as masks on an image's grid.

mod contours;
mod fill;

use std::path::Path;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use isoscan_imaging::Geometry;

use crate::dicom::{Slice, text, whole};
use crate::labels::{Region, Selector};
use crate::{Error, Warning};
use contours::Contour;

/// One region of a structure set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoiSummary {
    /// ROI Name (3006,0026), as the planner typed it.
    pub name: String,
    /// ROI Number (3006,0022).
    pub number: i32,
    /// Number of contours of any type.
    pub contours: usize,
}

/// The regions of a structure set, in the order of the file.
///
/// # Errors
/// [`Error::Unsupported`] for a file that is no structure set, [`Error::Malformed`] for a region without a number, and
/// the errors of a DICOM file that cannot be parsed.
pub fn list_rois(path: &Path) -> Result<Vec<RoiSummary>, Error> {
    Ok(rois(&open(path)?)?.into_iter().map(|roi| roi.summary).collect())
}

/// Reads a region of a structure set onto the grid of an image.
///
/// Contours are mapped to voxel indices by the grid, so oblique and tilted grids need nothing special. A voxel belongs to
/// the region when its **centre** lies inside (even-odd over all contours of a plane: a contour in a contour is a hole,
/// and so is what a keyhole contour goes around) or on a contour line (within 1e-3 voxels). A contour belongs to the
/// slice that is at most half a slice away, the lower one when it lies halfway; where several planes of contours share a
/// slice, the nearest plane is taken. Slices without contours stay empty. Contours along another axis of the grid than
/// the slices are filled in their own planes. All that was assumed or left out stands in [`Region::warnings`].
///
/// `frame_of_reference` is that of the image ([`Source::frame_of_reference`](crate::Source::frame_of_reference));
/// `None` asks for no check.
///
/// # Errors
/// [`Error::NoSuchRegion`] for an unknown name or number and for a name that stands several times,
/// [`Error::FrameOfReference`] when the region lies in another frame, [`Error::EmptyRegion`] when no voxel is inside,
/// [`Error::Unsupported`] for contours of other types only or not parallel to the grid, [`Error::Malformed`] for
/// numbers that are none.
pub fn read_rtstruct(
    path: &Path,
    selector: &Selector,
    grid: &Geometry,
    frame_of_reference: Option<&str>,
) -> Result<Region, Error> {
    let slice = open(path)?;
    let roi = selector.choose(rois(&slice)?, |roi| (roi.summary.number, &roi.summary.name), path)?;
    if let (Some(expected), Some(found)) = (frame_of_reference, roi.frame_of_reference.as_deref())
        && expected != found
    {
        return Err(Error::FrameOfReference { path: path.to_owned() });
    }
    let number = roi.summary.number;
    let empty = |reason| Error::EmptyRegion { number, reason, path: path.to_owned() };
    let items = contour_items(&slice.object, number);
    if items.is_empty() {
        return Err(empty("it has no contours"));
    }
    let mut warnings = Vec::new();
    let closed = closed(&slice, &items, &mut warnings)?;
    let mask = fill::fill(&closed, grid, &mut warnings).map_err(|reason| slice.unsupported(reason))?;
    if mask.count() > 0 {
        return Ok(Region { name: roi.summary.name, number, mask, warnings });
    }
    let outside = warnings
        .iter()
        .any(|warning| matches!(warning, Warning::ContoursDropped { reason, .. } if *reason == fill::OUTSIDE));
    Err(empty(if outside { "its contours lie outside the grid" } else { "no voxel centre lies inside its contours" }))
}

/// Whether the file is a structure set.
pub(crate) fn is_structure_set(slice: &Slice) -> bool {
    text(&slice.object, tags::MODALITY).as_deref() == Some("RTSTRUCT")
        || slice.object.get(tags::STRUCTURE_SET_ROI_SEQUENCE).is_some()
}

/// The frame of reference of the whole set, when its regions share one.
pub(crate) fn frame_of_reference(slice: &Slice) -> Option<String> {
    let rois = rois(slice).ok()?;
    let first = rois.first()?.frame_of_reference.clone()?;
    rois.iter().all(|roi| roi.frame_of_reference.as_deref() == Some(&*first)).then_some(first)
}

/// The series that the contours were drawn on.
pub(crate) fn referenced_series(slice: &Slice) -> Vec<String> {
    let frames = items(&slice.object, tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE).iter();
    let studies = frames.flat_map(|frame| items(frame, tags::RT_REFERENCED_STUDY_SEQUENCE));
    let series = studies.flat_map(|study| items(study, tags::RT_REFERENCED_SERIES_SEQUENCE));
    series.filter_map(|series| text(series, tags::SERIES_INSTANCE_UID)).collect()
}

pub(crate) fn open(path: &Path) -> Result<Slice, Error> {
    let slice = Slice::read_header(path)?;
    if is_structure_set(&slice) { Ok(slice) } else { Err(slice.unsupported("contours from an object that has none")) }
}

struct Roi {
    summary: RoiSummary,
    frame_of_reference: Option<String>,
}

fn rois(slice: &Slice) -> Result<Vec<Roi>, Error> {
    let object = &slice.object;
    let whole_set = text(object, tags::FRAME_OF_REFERENCE_UID).or_else(|| {
        let frames = items(object, tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE);
        let [only] = frames else { return None };
        text(only, tags::FRAME_OF_REFERENCE_UID)
    });
    let roi = |item: &InMemDicomObject| {
        let number = whole(item, tags::ROI_NUMBER)
            .ok_or_else(|| slice.malformed("ROI Number", "a whole number", "something else"))?;
        let name = text(item, tags::ROI_NAME).unwrap_or_default();
        let contours = contour_items(object, number).len();
        let frame = text(item, tags::REFERENCED_FRAME_OF_REFERENCE_UID).or_else(|| whole_set.clone());
        Ok(Roi { summary: RoiSummary { name, number, contours }, frame_of_reference: frame })
    };
    items(object, tags::STRUCTURE_SET_ROI_SEQUENCE).iter().map(roi).collect()
}

fn contour_items(object: &InMemDicomObject, number: i32) -> Vec<&InMemDicomObject> {
    items(object, tags::ROI_CONTOUR_SEQUENCE)
        .iter()
        .filter(|item| whole(item, tags::REFERENCED_ROI_NUMBER) == Some(number))
        .flat_map(|item| items(item, tags::CONTOUR_SEQUENCE))
        .collect()
}

pub(crate) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}

/// The contours that enclose an area.
fn closed(slice: &Slice, items: &[&InMemDicomObject], warnings: &mut Vec<Warning>) -> Result<Vec<Contour>, Error> {
    let is_closed = |item: &&&InMemDicomObject| {
        let kind = text(item, tags::CONTOUR_GEOMETRIC_TYPE).unwrap_or_default();
        matches!(kind.as_str(), "CLOSED_PLANAR" | "CLOSEDPLANAR_XOR")
    };
    let kept: Vec<_> = items.iter().filter(is_closed).collect();
    if kept.is_empty() {
        return Err(slice.unsupported("region of points or open lines"));
    }
    let mut dropped = |count: usize, reason| {
        if count > 0 {
            warnings.push(Warning::ContoursDropped { count, reason });
        }
    };
    dropped(items.len() - kept.len(), "they are points or open lines");
    let contours = kept.into_iter().map(|item| contours::read(slice, item)).collect::<Result<Vec<_>, _>>()?;
    let (lines, mut contours): (Vec<_>, Vec<_>) = contours.into_iter().partition(|contour| contour.len() < 3);
    dropped(lines.len(), "they have less than three points");
    let before = contours.len();
    contours::drop_repeated(&mut contours);
    dropped(before - contours.len(), "they stand twice");
    Ok(contours)
}
