//! DICOM segmentations (SEG): binary, fractional and label map, as masks on an image's grid or as a label map of their own.

mod planes;

use std::collections::BTreeMap;
use std::path::Path;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume, resample_mask};
use ndarray::Array3;

use crate::dicom::{Frames, Rescale, Slice, text, whole};
use crate::file::FileSource;
use crate::labels::{Region, Selector};
use crate::nifti::Stored;
use crate::rtstruct::items;
use crate::{Error, Series, SeriesKind, SeriesSummary, Source, Warning};
use planes::{Plane, Planes};

/// A coded term, such as (10200004, SCT, Liver).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedTerm {
    /// Code Value (0008,0100).
    pub value: String,
    /// Coding Scheme Designator (0008,0102).
    pub scheme: String,
    /// Code Meaning (0008,0104).
    pub meaning: String,
}

/// One segment of a segmentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Segment Number (0062,0004).
    pub number: i32,
    /// Segment Label (0062,0005).
    pub label: String,
    /// Segmented Property Category, such as anatomical structure.
    pub category: Option<CodedTerm>,
    /// Segmented Property Type, such as liver.
    pub property: Option<CodedTerm>,
    /// Frames that hold the segment; in a label map all frames may.
    pub frames: usize,
}

/// The segments of a segmentation, in the order of the file.
///
/// # Errors
/// [`Error::Unsupported`] for a file that is no segmentation, [`Error::Malformed`] for one that contradicts the
/// standard, and the errors of a DICOM file that cannot be parsed.
pub fn list_segments(path: &Path) -> Result<Vec<SegmentSummary>, Error> {
    Ok(Segmentation::of(&open(path)?)?.segments)
}

/// Reads a segment onto the grid of an image.
///
/// Frames whose pixels lie on the voxels of the grid, in whatever order or direction, are copied; otherwise the segment is
/// resampled by nearest voxel and told so. Fractions count as inside from half of the maximum.
///
/// `frame_of_reference` is that of the image; `None` asks for no check.
///
/// # Errors
/// [`Error::NoSuchRegion`], [`Error::FrameOfReference`], [`Error::EmptyRegion`] when no voxel of the grid is inside,
/// and those of [`list_segments`] and of pixels that cannot be read.
pub fn read_segment(
    path: &Path,
    selector: &Selector,
    grid: &Geometry,
    frame_of_reference: Option<&str>,
) -> Result<Region, Error> {
    let slice = open(path)?;
    let segmentation = Segmentation::of(&slice)?;
    let found = self::frame_of_reference(&slice);
    if frame_of_reference.is_some() && found.is_some() && frame_of_reference != found.as_deref() {
        return Err(Error::FrameOfReference { path: path.to_owned() });
    }
    let segments = segmentation.segments.clone();
    let segment = selector.choose(segments, |segment| (segment.number, &segment.label), path)?;
    let (mask, warnings) = segmentation.on_grid(segment.number, grid)?;
    if mask.count() > 0 {
        return Ok(Region { name: segment.label, number: segment.number, mask, warnings });
    }
    let outside = warnings.iter().any(|warning| matches!(warning, Warning::OutsideGrid { .. }));
    let reason = if outside { "it lies outside the grid" } else { "it has no voxel" };
    Err(Error::EmptyRegion { number: segment.number, reason, path: path.to_owned() })
}

/// Whether the file is a segmentation of pixels.
pub(crate) fn is_segmentation(slice: &Slice) -> bool {
    slice.is_image() && slice.object.get(tags::SEGMENT_SEQUENCE).is_some()
}

pub(crate) fn frame_of_reference(slice: &Slice) -> Option<String> {
    text(&slice.object, tags::FRAME_OF_REFERENCE_UID)
}

/// The series that the segments were drawn on.
pub(crate) fn referenced_series(slice: &Slice) -> Vec<String> {
    let series = items(&slice.object, tags::REFERENCED_SERIES_SEQUENCE).iter();
    series.filter_map(|series| text(series, tags::SERIES_INSTANCE_UID)).collect()
}

/// Describes the label map that [`read`] gives.
pub(crate) fn summarize(slice: &Slice) -> Result<SeriesSummary, Error> {
    let grid = Segmentation::of(slice)?.planes.grid()?;
    Ok(SeriesSummary {
        kind: SeriesKind::Segmentation,
        modality: Modality::Seg,
        id: slice.series.clone(),
        series_number: whole(&slice.object, tags::SERIES_NUMBER),
        part: None,
        volume: 0,
        size: grid.geometry.size(),
        spacing_mm: grid.geometry.spacing_mm(),
        paths: vec![slice.path.clone()],
    })
}

/// Reads all segments as one label map on the grid that the frames span; each label is a segment's number.
///
/// # Errors
/// [`Error::OverlappingSegments`] when two share a voxel.
pub(crate) fn read(slice: &Slice) -> Result<Series, Error> {
    let segmentation = Segmentation::of(slice)?;
    let grid = segmentation.planes.grid()?;
    let [nx, ny, nz] = grid.geometry.size();
    let mut labels = vec![0f32; nx * ny * nz];
    let mut overlaps: BTreeMap<(i32, i32), usize> = BTreeMap::new();
    let numbers: Vec<i32> = segmentation.segments.iter().map(|segment| segment.number).collect();
    segmentation.each_frame(None, |plane, index, values| {
        let first = grid.slices[index] * nx * ny;
        for (label, &value) in labels[first..first + nx * ny].iter_mut().zip(values) {
            let number = match plane.segment {
                Some(number) if segmentation.kind.inside(value, number) => number,
                None if numbers.contains(&(value as i32)) => value as i32,
                _ => continue,
            };
            if *label != 0.0 && *label != number as f32 {
                let other = *label as i32;
                *overlaps.entry((number.min(other), number.max(other))).or_default() += 1;
            }
            *label = number as f32;
        }
        Ok(())
    })?;
    if let Some((&(first, second), &voxels)) = overlaps.iter().next() {
        return Err(Error::OverlappingSegments { first, second, voxels, path: slice.path.clone() });
    }
    let mut warnings = grid.warnings;
    warnings.extend(segmentation.kind.warning());
    let failed = |source| Error::Image { source, path: slice.path.clone() };
    let found = [labels.len(), 1, 1];
    let volume = Array3::from_shape_vec((nz, ny, nx), labels)
        .map_err(|_| isoscan_imaging::Error::SizeMismatch { expected: [nx, ny, nz], found })
        .and_then(|labels| Volume::new(labels, grid.geometry.clone(), Modality::Seg, Unit::Label))
        .map_err(failed)?;
    let source = FileSource::new(SeriesKind::Segmentation, vec![slice.path.clone()], grid.geometry, Stored::U16, None);
    Ok(Series { volume, source: Source::File(source), padding: None, warnings })
}

/// One segment, or all of them together, on the grid that the frames span.
pub(crate) fn read_own_mask(slice: &Slice, number: Option<i32>) -> Result<Mask, Error> {
    let segmentation = Segmentation::of(slice)?;
    let geometry = segmentation.planes.grid()?.geometry;
    match number {
        Some(number) => Ok(segmentation.on_grid(number, &geometry)?.0),
        None => {
            let mut numbers = segmentation.segments.iter().map(|segment| segment.number);
            let first = segmentation.on_grid(numbers.next().unwrap_or(0), &geometry)?.0;
            numbers.try_fold(first, |all, number| {
                let (next, _) = segmentation.on_grid(number, &geometry)?;
                isoscan_imaging::union(&all, &next).map_err(|source| Error::Image { source, path: slice.path.clone() })
            })
        }
    }
}

pub(crate) fn open(path: &Path) -> Result<Slice, Error> {
    let slice = Slice::read_header(path)?;
    if is_segmentation(&slice) { Ok(slice) } else { Err(slice.unsupported("segments from an object that has none")) }
}

/// What a pixel says of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Binary,
    Fractional { maximum: f32 },
    LabelMap,
}

impl Kind {
    fn of(slice: &Slice) -> Result<Self, Error> {
        let object = &slice.object;
        match text(object, tags::SEGMENTATION_TYPE).as_deref() {
            Some("BINARY") => Ok(Self::Binary),
            Some("LABELMAP") => Ok(Self::LabelMap),
            Some("FRACTIONAL") => {
                let maximum: u16 = whole(object, tags::MAXIMUM_FRACTIONAL_VALUE).unwrap_or(255);
                if maximum == 0 {
                    return Err(slice.malformed("Maximum Fractional Value", "1 or more", maximum));
                }
                Ok(Self::Fractional { maximum: f32::from(maximum) })
            }
            other => {
                let expected = "BINARY, FRACTIONAL or LABELMAP";
                Err(slice.malformed("Segmentation Type", expected, if other.is_some() { "another" } else { "nothing" }))
            }
        }
    }

    fn inside(self, value: f32, number: i32) -> bool {
        match self {
            Self::Binary => value != 0.0,
            Self::Fractional { maximum } => 2.0 * value >= maximum,
            Self::LabelMap => value == number as f32,
        }
    }

    fn warning(self) -> Option<Warning> {
        matches!(self, Self::Fractional { .. }).then_some(Warning::Fractional)
    }
}

struct Segmentation<'a> {
    slice: &'a Slice,
    kind: Kind,
    segments: Vec<SegmentSummary>,
    planes: Planes<'a>,
}

impl<'a> Segmentation<'a> {
    fn of(slice: &'a Slice) -> Result<Self, Error> {
        let kind = Kind::of(slice)?;
        let planes = Planes::of(slice, kind != Kind::LabelMap)?;
        let segment = |item: &InMemDicomObject| {
            let number = whole(item, tags::SEGMENT_NUMBER)
                .ok_or_else(|| slice.malformed("Segment Number", "a whole number", "something else"))?;
            let holds = |plane: &&Plane| plane.segment.is_none_or(|segment| segment == number);
            Ok(SegmentSummary {
                number,
                label: text(item, tags::SEGMENT_LABEL).unwrap_or_default(),
                category: term(item, tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE),
                property: term(item, tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE),
                frames: planes.planes.iter().filter(holds).count(),
            })
        };
        let segments =
            items(&slice.object, tags::SEGMENT_SEQUENCE).iter().map(segment).collect::<Result<Vec<_>, Error>>()?;
        if segments.is_empty() {
            return Err(slice.malformed("Segment Sequence", "at least one segment", "none"));
        }
        let listed = |number: i32| segments.iter().any(|segment| segment.number == number);
        if let Some(unknown) = planes.planes.iter().filter_map(|plane| plane.segment).find(|&number| !listed(number)) {
            return Err(slice.malformed("Referenced Segment Number", "a number of the Segment Sequence", unknown));
        }
        Ok(Self { slice, kind, segments, planes })
    }

    /// Hands every frame that can hold `number`, or every frame, to `take` with its index and stored values.
    fn each_frame(
        &self,
        number: Option<i32>,
        mut take: impl FnMut(&Plane, usize, &[f32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let frames = Frames::open(self.slice)?;
        let stored = Rescale::Linear { slope: 1.0, intercept: 0.0 };
        let mut values = vec![0.0; self.slice.rows * self.slice.columns];
        for (index, plane) in self.planes.planes.iter().enumerate() {
            let wanted = number.is_none() || plane.segment.is_none() || plane.segment == number;
            if wanted {
                frames.read(index, 0, &stored, &mut values, None)?;
                take(plane, index, &values)?;
            }
        }
        Ok(())
    }

    fn on_grid(&self, number: i32, grid: &Geometry) -> Result<(Mask, Vec<Warning>), Error> {
        let failed = |source| Error::Image { source, path: self.slice.path.clone() };
        let mut warnings: Vec<Warning> = self.kind.warning().into_iter().collect();
        let Some(places) = self.planes.places_on(grid) else {
            let own = self.planes.grid()?;
            warnings.extend(own.warnings);
            warnings.push(Warning::Resampled);
            let (mask, _) = self.on_grid(number, &own.geometry)?;
            return Ok((resample_mask(&mask, grid), warnings));
        };
        let [nx, ny, nz] = grid.size();
        let mut inside = Array3::from_elem((nz, ny, nx), false);
        let mut outside = 0;
        let columns = self.slice.columns;
        self.each_frame(Some(number), |_, index, values| {
            for (pixel, _) in values.iter().enumerate().filter(|(_, value)| self.kind.inside(**value, number)) {
                let [x, y, z] = places[index].voxel(pixel % columns, pixel / columns);
                let voxel = [z, y, x].map(|i| usize::try_from(i).unwrap_or(usize::MAX));
                match inside.get_mut(voxel) {
                    Some(voxel) => *voxel = true,
                    None => outside += 1,
                }
            }
            Ok(())
        })?;
        if outside > 0 {
            warnings.push(Warning::OutsideGrid { voxels: outside });
        }
        Ok((Mask::new(inside, grid.clone()).map_err(failed)?, warnings))
    }
}

fn term(item: &InMemDicomObject, tag: Tag) -> Option<CodedTerm> {
    let code = items(item, tag).first()?;
    let word = |tag| text(code, tag).unwrap_or_default();
    Some(CodedTerm {
        value: word(tags::CODE_VALUE),
        scheme: word(tags::CODING_SCHEME_DESIGNATOR),
        meaning: word(tags::CODE_MEANING),
    })
}
