//! The planes of a file: its frames, tiles and channels, each with its place in the patient.

use std::collections::BTreeMap;
use std::sync::Arc;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::attributes::{number, put_decimals};
use super::header::Slice;
use super::lut::Rescale;
use super::mosaic::Tiling;
use super::pixels::Frames;
use super::samples::Layout;
use super::stack::normal;
use crate::Error;

/// One plane of a volume: samples of one file and where they lie in the patient.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) file: Arc<Slice>,
    /// Frame of the file, from 0.
    pub(crate) frame: usize,
    /// Channel of a colour image, from 0.
    pub(crate) channel: usize,
    /// First column and row of a tile of a mosaic.
    pub(crate) tile: Option<[usize; 2]>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Direction of rows (x), then of columns (y).
    pub(crate) orientation: Option<[[f64; 3]; 2]>,
    /// Centre of the first pixel, LPS mm.
    pub(crate) position: Option<[f64; 3]>,
    /// Distance of rows (y), then of columns (x), mm.
    pub(crate) pixel_spacing: Option<[f64; 2]>,
    /// Values of this plane in [`FRAME_VECTORS`].
    pub(crate) vectors: [Option<u16>; FRAME_VECTORS.len()],
    /// Whether attributes stand in functional groups.
    grouped: bool,
    /// Whether position or direction of stacking were assumed and not told by the file.
    pub(crate) assumed: bool,
}

/// Attributes with one value per frame of a plain multi-frame image (PS3.3 C.8.4.8 and C.8.9.4).
pub(crate) const FRAME_VECTORS: [Tag; 8] = [
    tags::ENERGY_WINDOW_VECTOR,
    tags::DETECTOR_VECTOR,
    tags::PHASE_VECTOR,
    tags::ROTATION_VECTOR,
    tags::RR_INTERVAL_VECTOR,
    tags::TIME_SLOT_VECTOR,
    tags::TIME_SLICE_VECTOR,
    tags::ANGULAR_VIEW_VECTOR,
];

/// A file of more frames is refused.
const MOST_FRAMES: usize = 1 << 17;

/// Takes a file apart into its planes, channel by channel, in the order of the file.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Truncated`] or [`Error::Unsupported`] for a header that does not describe the pixels
/// that are there, or its frames not one by one.
pub(crate) fn planes(slice: Slice) -> Result<Vec<Plane>, Error> {
    let layout = Layout::of(&slice)?;
    let mosaic = layout.frames == 1 && slice.image_type().iter().any(|word| word == "MOSAIC");
    if layout.frames > MOST_FRAMES {
        return Err(slice.unsupported(format!("image of {} frames", layout.frames)));
    }
    if layout.frames > 1 {
        Frames::open(&slice)?;
    }
    let tiling = if mosaic { Some(Tiling::of(&slice)?) } else { None };
    let file = Arc::new(slice);
    let frames = match tiling {
        Some(tiling) => tiles(&file, tiling),
        None => frames(&file, layout.frames)?,
    };
    let channels = layout.channels();
    Ok((0..channels).flat_map(|channel| frames.iter().map(move |frame| Plane { channel, ..frame.clone() })).collect())
}

fn frames(file: &Arc<Slice>, count: usize) -> Result<Vec<Plane>, Error> {
    let (groups, _) = file.frame_items()?;
    let grouped = !groups.is_empty() || !items(&file.object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).is_empty();
    if grouped {
        let planes: Vec<Plane> = (0..count).map(|frame| Plane::of_groups(file, frame)).collect();
        if count == 1 || planes.iter().all(|plane| plane.position.is_some() && plane.orientation.is_some()) {
            return Ok(planes);
        }
        return Ok(placed_by_assumption(planes));
    }
    let mut planes: Vec<Plane> = (0..count).map(|frame| Plane::of_file(file, frame)).collect();
    if count == 1 {
        return Ok(planes);
    }
    for (at, tag) in FRAME_VECTORS.into_iter().enumerate() {
        let values = vector(file, tag, count);
        planes.iter_mut().zip(values).for_each(|(plane, value)| plane.vectors[at] = Some(value));
    }
    if file.object.get(tags::GRID_FRAME_OFFSET_VECTOR).is_some() {
        return by_offsets(file, planes);
    }
    Ok(by_slice_number(file, planes))
}

/// Planes at the distances of Grid Frame Offset Vector (PS3.3 C.8.8.3.2): offsets along the normal from the first plane,
/// or, for axial planes whose first value is the z of the position, patient z.
fn by_offsets(file: &Slice, planes: Vec<Plane>) -> Result<Vec<Plane>, Error> {
    let values = file.object.get(tags::GRID_FRAME_OFFSET_VECTOR).and_then(|element| element.to_multi_float64().ok());
    let offsets: Vec<f64> = values.unwrap_or_default();
    if offsets.len() != planes.len() || offsets.iter().any(|offset| !offset.is_finite()) {
        return Err(file.malformed("Grid Frame Offset Vector", "one number per frame", offsets.len()));
    }
    let (Some(first), Some(orientation)) = (file.position, file.orientation) else {
        return Ok(placed_by_assumption(planes));
    };
    let axial = orientation == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    let direction = if axial { [0.0, 0.0, 1.0] } else { unit_normal(orientation) };
    let placed = planes.into_iter().zip(&offsets).map(|(plane, offset)| {
        let along = offset - offsets[0];
        Plane { position: Some(std::array::from_fn(|a| first[a] + along * direction[a])), ..plane }
    });
    Ok(placed.collect())
}

/// Planes of a reconstructed NM volume: the first one is placed, the next ones follow at Spacing Between Slices along
/// row × column, against it when negative (PS3.3 C.8.4.15).
fn by_slice_number(file: &Slice, planes: Vec<Plane>) -> Vec<Plane> {
    let numbers = vector(file, tags::SLICE_VECTOR, planes.len());
    let number_of = |frame: usize| numbers.get(frame).map_or(frame as f64, |&slice| f64::from(slice) - 1.0);
    let told = number(&file.object, tags::SPACING_BETWEEN_SLICES).filter(|&step| step != 0.0);
    let (Some(first), Some(orientation), Some(step)) = (planes[0].position, planes[0].orientation, told) else {
        return placed_by_assumption(planes);
    };
    let normal = unit_normal(orientation);
    let placed = planes.into_iter().map(|plane| {
        let along = number_of(plane.frame) * step;
        Plane { position: Some(std::array::from_fn(|a| first[a] + along * normal[a])), ..plane }
    });
    placed.collect()
}

/// Frames stacked one behind the other, as far apart as the header says, else 1 mm.
fn placed_by_assumption(planes: Vec<Plane>) -> Vec<Plane> {
    let orientation = planes[0].orientation.unwrap_or([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    let first = planes[0].position.unwrap_or([0.0; 3]);
    let normal = unit_normal(orientation);
    let step = [tags::SPACING_BETWEEN_SLICES, tags::SLICE_THICKNESS]
        .into_iter()
        .find_map(|tag| planes[0].number(tag).map(f64::abs).filter(|&step| step > 0.0))
        .unwrap_or(1.0);
    let mut placed: BTreeMap<[Option<u16>; FRAME_VECTORS.len()], usize> = BTreeMap::new();
    let follow = planes.into_iter().map(|plane| {
        let before = placed.entry(plane.vectors).or_default();
        let along = *before as f64 * step;
        *before += 1;
        Plane {
            orientation: Some(orientation),
            position: Some(std::array::from_fn(|a| first[a] + along * normal[a])),
            assumed: true,
            ..plane
        }
    });
    follow.collect()
}

/// The tiles of a mosaic. The position of the file is that of an image as large as the mosaic around the same centre, so
/// the first tile starts (N − n) / 2 pixels further along rows and columns.
fn tiles(file: &Arc<Slice>, tiling: Tiling) -> Vec<Plane> {
    let [columns, rows] = [file.columns / tiling.side, file.rows / tiling.side];
    let whole = Plane::of_file(file, 0);
    let told = file.private.mosaic.normal;
    let geometry = whole.position.zip(whole.orientation);
    let step = [tags::SPACING_BETWEEN_SLICES, tags::SLICE_THICKNESS]
        .into_iter()
        .find_map(|tag| number(&file.object, tag).map(f64::abs).filter(|&step| step > 0.0));
    (0..tiling.count)
        .map(|tile| {
            let position = geometry.map(|(corner, orientation)| {
                let [row_distance, column_distance] = whole.pixel_spacing.unwrap_or([1.0, 1.0]);
                let along = told.unwrap_or_else(|| unit_normal(orientation));
                let right = column_distance * (file.columns - columns) as f64 / 2.0;
                let down = row_distance * (file.rows - rows) as f64 / 2.0;
                let away = tile as f64 * step.unwrap_or(1.0);
                std::array::from_fn(|a| {
                    corner[a] + orientation[0][a] * right + orientation[1][a] * down + along[a] * away
                })
            });
            Plane {
                tile: Some(tiling.corner(tile, [columns, rows])),
                rows,
                columns,
                position,
                assumed: told.is_none() || step.is_none(),
                ..whole.clone()
            }
        })
        .collect()
}

impl Plane {
    fn of_file(file: &Arc<Slice>, frame: usize) -> Self {
        // NM images keep the place of the first frame per detector.
        let detector = || items(&file.object, tags::DETECTOR_INFORMATION_SEQUENCE).first();
        let inside = |tag| detector().and_then(|item| item.get(tag));
        Self {
            file: Arc::clone(file),
            frame,
            channel: 0,
            tile: None,
            rows: file.rows,
            columns: file.columns,
            orientation: file.orientation.or_else(|| inside(tags::IMAGE_ORIENTATION_PATIENT).and_then(orientation)),
            position: file.position.or_else(|| inside(tags::IMAGE_POSITION_PATIENT).and_then(numbers)),
            pixel_spacing: file.pixel_spacing,
            vectors: [None; FRAME_VECTORS.len()],
            grouped: false,
            assumed: false,
        }
    }

    fn of_groups(file: &Arc<Slice>, frame: usize) -> Self {
        let plain = Self { grouped: true, ..Self::of_file(file, frame) };
        let spacing =
            plain.element(tags::PIXEL_SPACING).and_then(numbers).filter(|s: &[f64; 2]| s.iter().all(|&s| s > 0.0));
        Self {
            orientation: plain.element(tags::IMAGE_ORIENTATION_PATIENT).and_then(orientation),
            position: plain.element(tags::IMAGE_POSITION_PATIENT).and_then(numbers),
            pixel_spacing: spacing.or(plain.pixel_spacing),
            ..plain
        }
    }

    /// The attribute that holds for this plane: of its own functional groups, else of the shared ones, else of the file.
    pub(crate) fn element(&self, tag: Tag) -> Option<&InMemElement> {
        let object = &self.file.object;
        if !self.grouped {
            return object.get(tag);
        }
        let own = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(self.frame);
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        [own, shared].into_iter().flatten().find_map(|groups| in_groups(groups, tag, 2)).or_else(|| object.get(tag))
    }

    /// One finite number, the first of several.
    pub(crate) fn number(&self, tag: Tag) -> Option<f64> {
        self.element(tag)?.to_float64().ok().filter(|value| value.is_finite())
    }

    /// Text without padding; `None` when absent or empty.
    pub(crate) fn text(&self, tag: Tag) -> Option<String> {
        let text = self.element(tag)?.to_str().ok()?.trim_matches([' ', '\0']).to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The plane's modality transformation.
    pub(crate) fn rescale(&self) -> Result<Rescale, Error> {
        let object = &self.file.object;
        let own = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(self.frame);
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        for groups in [own, shared].into_iter().flatten() {
            if let Some(item) = items(groups, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE).first()
                && let Some(rescale) = Rescale::of_item(item, &self.file)?
            {
                return Ok(rescale);
            }
        }
        // The scale of a dose grid is no modality transformation; `stack` tells it.
        if object.get(tags::DOSE_GRID_SCALING).is_some() && object.get(tags::RESCALE_SLOPE).is_none() {
            return Ok(Rescale::NONE);
        }
        Rescale::of(&self.file)
    }

    /// Whether the file holds nothing but this plane.
    fn is_whole_file(&self) -> bool {
        self.tile.is_none() && self.channel == 0 && self.file.frames() == 1 && !self.grouped
    }
}

/// Headers of the planes of one volume as if each were a file of its own; `rescales` are theirs. Each has the data set of
/// its file with the attributes of the functional groups of the first plane, and its own position. Only where that would
/// be more than [`MOST_ELEMENTS`], as no scanner makes it, the planes of a file share one data set without position.
pub(crate) fn headers(planes: &[Plane], rescales: &[Rescale]) -> Vec<Slice> {
    let mut last: Option<(&Plane, Arc<InMemDicomObject>, bool)> = None;
    let mut headers = Vec::with_capacity(planes.len());
    for (plane, rescale) in planes.iter().zip(rescales) {
        let rescale = Some(rescale.clone());
        if plane.is_whole_file() {
            headers.push(Slice { rescale, ..(*plane.file).clone() });
            continue;
        }
        let (mut object, shared) = match &last {
            Some((before, object, shared)) if Arc::ptr_eq(&before.file, &plane.file) => (Arc::clone(object), *shared),
            _ => {
                let object = flattened(plane);
                let shared = element_count(&object).saturating_mul(planes.len()) > MOST_ELEMENTS;
                (Arc::new(object), shared)
            }
        };
        last = Some((plane, Arc::clone(&object), shared));
        if let (Some(position), Some([row, column]), false) = (plane.position, plane.orientation, shared) {
            let object = Arc::make_mut(&mut object);
            put_decimals(object, tags::IMAGE_POSITION_PATIENT, &position);
            put_decimals(object, tags::IMAGE_ORIENTATION_PATIENT, &[row, column].concat());
        }
        headers.push(Slice {
            object,
            rows: plane.rows,
            columns: plane.columns,
            orientation: plane.orientation,
            position: plane.position,
            pixel_spacing: plane.pixel_spacing,
            rescale,
            ..(*plane.file).clone()
        });
    }
    headers
}

/// Elements of all headers of a volume.
const MOST_ELEMENTS: usize = 1 << 22;

fn element_count(object: &InMemDicomObject) -> usize {
    let inside = |element: &InMemElement| element.items().unwrap_or(&[]).iter().map(element_count).sum::<usize>();
    object.iter().map(|element| 1 + inside(element)).sum()
}

/// The data set of the plane's file as that of a single-frame image.
fn flattened(plane: &Plane) -> InMemDicomObject {
    const OF_ALL_FRAMES: [Tag; 7] = [
        tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
        tags::DIMENSION_INDEX_SEQUENCE,
        tags::DIMENSION_ORGANIZATION_SEQUENCE,
        tags::NUMBER_OF_FRAMES,
        tags::FRAME_INCREMENT_POINTER,
        tags::GRID_FRAME_OFFSET_VECTOR,
    ];
    const NAMES: [(Tag, Tag, VR); 14] = [
        (tags::IMAGE_ORIENTATION_PATIENT, tags::IMAGE_ORIENTATION_PATIENT, VR::DS),
        (tags::PIXEL_SPACING, tags::PIXEL_SPACING, VR::DS),
        (tags::SLICE_THICKNESS, tags::SLICE_THICKNESS, VR::DS),
        (tags::SPACING_BETWEEN_SLICES, tags::SPACING_BETWEEN_SLICES, VR::DS),
        (tags::RESCALE_SLOPE, tags::RESCALE_SLOPE, VR::DS),
        (tags::RESCALE_INTERCEPT, tags::RESCALE_INTERCEPT, VR::DS),
        (tags::RESCALE_TYPE, tags::RESCALE_TYPE, VR::LO),
        (tags::WINDOW_CENTER, tags::WINDOW_CENTER, VR::DS),
        (tags::WINDOW_WIDTH, tags::WINDOW_WIDTH, VR::DS),
        (tags::EFFECTIVE_ECHO_TIME, tags::ECHO_TIME, VR::DS),
        (tags::REPETITION_TIME, tags::REPETITION_TIME, VR::DS),
        (tags::FLIP_ANGLE, tags::FLIP_ANGLE, VR::DS),
        (tags::FRAME_TYPE, tags::IMAGE_TYPE, VR::CS),
        (tags::KVP, tags::KVP, VR::DS),
    ];
    let mut object = (*plane.file.object).clone();
    object.retain(|element| !OF_ALL_FRAMES.contains(&element.header().tag));
    if plane.grouped {
        for (from, to, vr) in NAMES {
            if let Some(text) = plane.text(from) {
                object.put(DataElement::new(to, vr, PrimitiveValue::from(text)));
            }
        }
    }
    object
}

fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(InMemElement::items).unwrap_or(&[])
}

/// The attribute in the first items of the standard sequences of a functional group item, `depth` levels down.
fn in_groups(groups: &InMemDicomObject, tag: Tag, depth: usize) -> Option<&InMemElement> {
    let macros = || {
        let standard =
            |element: &&InMemElement| element.vr() == VR::SQ && element.header().tag.group().is_multiple_of(2);
        groups.iter().filter(standard).filter_map(|element| element.items()?.first())
    };
    macros().find_map(|item| item.get(tag)).or_else(|| {
        if depth < 2 {
            return None;
        }
        macros().find_map(|item| in_groups(item, tag, depth - 1))
    })
}

/// One value per frame; nothing when there are not as many.
fn vector(file: &Slice, tag: Tag, frames: usize) -> Vec<u16> {
    let values = file.object.get(tag).and_then(|element| element.to_multi_int::<u16>().ok());
    values.filter(|values| values.len() == frames).unwrap_or_default()
}

fn numbers<const N: usize>(element: &InMemElement) -> Option<[f64; N]> {
    let values = element.to_multi_float64().ok()?;
    values.iter().all(|value| value.is_finite()).then_some(())?;
    values.try_into().ok()
}

fn orientation(element: &InMemElement) -> Option<[[f64; 3]; 2]> {
    numbers::<6>(element).map(|[a, b, c, d, e, f]| [[a, b, c], [d, e, f]])
}

fn unit_normal(orientation: [[f64; 3]; 2]) -> [f64; 3] {
    let normal = normal(orientation);
    let length = normal.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length > 0.0 { normal.map(|x| x / length) } else { [0.0, 0.0, 1.0] }
}
