//! Label maps as DICOM segmentations.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, VR, value::C};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Unit, Volume};

use super::attributes::{code, put, put_empty, put_items, put_u16};
use super::derive::{Label, Origin, json};
use super::multiframe::{Dimension, base, frame, plane_groups, put_frames, put_group, write_one};
use super::output::{ascii, planes};
use super::uid::uid;
use crate::provenance::sha256;
use crate::{Derivation, Error, Source};

/// A concept of a coding scheme, such as `85756007`, `SCT`, `Tissue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Code Value (0008,0100); 16 characters.
    pub value: String,
    /// Coding Scheme Designator (0008,0102); 16 characters.
    pub scheme: String,
    /// Code Meaning (0008,0104); 64 characters.
    pub meaning: String,
}

impl Code {
    /// The concept `value` of `scheme`, which means `meaning`.
    pub fn new(value: &str, scheme: &str, meaning: &str) -> Self {
        Self { value: value.to_owned(), scheme: scheme.to_owned(), meaning: meaning.to_owned() }
    }

    pub(crate) fn item(&self) -> InMemDicomObject {
        code(&ascii(&self.value, 16), &ascii(&self.scheme, 16), &ascii(&self.meaning, 64))
    }
}

/// One label of a map as a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The label's number in the map.
    pub label: i32,
    /// Segment Label (0062,0005); 64 characters.
    pub name: String,
    /// Segmented Property Category, such as `123037004`, `SCT`, `Anatomical Structure`.
    pub category: Code,
    /// Segmented Property Type, such as `10200004`, `SCT`, `Liver`.
    pub property: Code,
}

impl Segment {
    /// A segment of which only the label's number is known.
    pub fn unnamed(label: i32) -> Self {
        Self {
            label,
            name: format!("label {label}"),
            category: Code::new("123037004", "SCT", "Anatomical Structure"),
            property: Code::new("85756007", "SCT", "Tissue"),
        }
    }
}

/// Writes a label map as a binary DICOM segmentation in one file, whole or not at all. Segments are numbered in the order
/// of `segments`; without any, each label above 0 becomes one in rising order. Voxels of other labels are background.
///
/// The first segment has a frame for every slice, so that the file holds the map's whole grid; the others for slices that
/// they touch. Patient, study and frame of reference are the source's, and each frame names the source image at its place.
///
/// # Errors
/// [`Error::NotWritable`] for a volume of another unit than labels or without a segment, [`Error::NotALabelMap`],
/// [`Error::NotConformant`], [`Error::Io`].
pub fn write_segmentation(
    path: &Path,
    labels: &Volume,
    segments: &[Segment],
    source: &Source,
    derivation: &Derivation,
) -> Result<(), Error> {
    let unnamed = require_labels(labels, segments, path)?;
    let segments = if segments.is_empty() { &unnamed } else { segments };
    let origin = Origin::of(source, labels, path)?;
    let relation = origin.relation(labels);
    let shown = shown(labels, segments);
    let bytes = packed(labels, segments, &shown);
    let content = sha256(&[&bytes[..], format!("{:?} {segments:?}", labels.geometry()).as_bytes()].concat());
    let series_uid = uid(&["segmentation", origin.id(), &sha256(json(derivation).as_bytes()), &content]);
    let label = Label { derivation, relation: &relation, modality: labels.modality(), series_uid: &series_uid };
    let mut object = base(&origin, &label, labels.geometry(), uids::SEGMENTATION_STORAGE, "SEG");
    put(&mut object, tags::SOP_INSTANCE_UID, VR::UI, uid(&["segmentation image", &series_uid]));
    put_image(&mut object, labels);
    let described = segments.iter().zip(1..).map(|(segment, number)| describe(segment, number, derivation));
    put_items(&mut object, tags::SEGMENT_SEQUENCE, described.collect());
    let frames = shown.iter().map(|&(segment, k)| {
        let mut item = frame(labels.geometry(), k, &[segment as u32 + 1, k as u32 + 1], &origin, &label);
        let mut identification = InMemDicomObject::new_empty();
        put_u16(&mut identification, tags::REFERENCED_SEGMENT_NUMBER, segment as u16 + 1);
        put_group(&mut item, tags::SEGMENT_IDENTIFICATION_SEQUENCE, identification);
        item
    });
    let dimensions = [
        Dimension { pointer: tags::REFERENCED_SEGMENT_NUMBER, group: tags::SEGMENT_IDENTIFICATION_SEQUENCE },
        Dimension { pointer: tags::IMAGE_POSITION_PATIENT, group: tags::PLANE_POSITION_SEQUENCE },
    ];
    put_frames(&mut object, plane_groups(labels.geometry()), frames.collect(), &dimensions);
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(C::from_vec(bytes))));
    write_one(path, object, &origin.files())
}

/// Checks the map and gives a segment for each label in it, for a caller who names none.
fn require_labels(labels: &Volume, segments: &[Segment], path: &Path) -> Result<Vec<Segment>, Error> {
    let voxels = labels.as_slice();
    if let Some(&found) = voxels.iter().find(|v| v.fract() != 0.0 || !v.is_finite()) {
        return Err(Error::NotALabelMap { found, path: path.to_owned() });
    }
    let mut present: Vec<i32> = voxels.iter().map(|&v| v as i32).filter(|&label| label > 0).collect();
    present.sort_unstable();
    present.dedup();
    let count = if segments.is_empty() { present.len() } else { segments.len() };
    let [nx, ny, _] = labels.geometry().size();
    let sized = nx.max(ny) <= usize::from(u16::MAX) && (1..=usize::from(u16::MAX)).contains(&count);
    if labels.unit() != Unit::Label || !sized {
        let (modality, unit) = (labels.modality(), labels.unit());
        return Err(Error::NotWritable { modality, unit, path: path.to_owned() });
    }
    Ok(present.into_iter().map(Segment::unnamed).collect())
}

/// Segment and slice of each frame.
fn shown(labels: &Volume, segments: &[Segment]) -> Vec<(usize, usize)> {
    let planes: Vec<&[f32]> = planes(labels).collect();
    let touches = |segment: &Segment, plane: &[f32]| plane.contains(&(segment.label as f32));
    let mut shown = Vec::new();
    for (s, segment) in segments.iter().enumerate() {
        shown.extend((0..planes.len()).filter(|&k| s == 0 || touches(segment, planes[k])).map(|k| (s, k)));
    }
    shown
}

/// One bit per voxel, the first in the lowest bit, frame after frame without gaps (PS3.5 8.1.1).
fn packed(labels: &Volume, segments: &[Segment], shown: &[(usize, usize)]) -> Vec<u8> {
    let planes: Vec<&[f32]> = planes(labels).collect();
    let voxels = shown.len() * planes.first().map_or(0, |plane| plane.len());
    let mut bytes = vec![0u8; voxels.div_ceil(8).next_multiple_of(2)];
    let inside = shown.iter().flat_map(|&(segment, k)| {
        let label = segments[segment].label as f32;
        planes[k].iter().map(move |&v| v == label)
    });
    for (at, _) in inside.enumerate().filter(|(_, inside)| *inside) {
        bytes[at / 8] |= 1 << (at % 8);
    }
    bytes
}

fn put_image(object: &mut InMemDicomObject, labels: &Volume) {
    let [nx, ny, _] = labels.geometry().size();
    put(object, tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY");
    put(object, tags::CONTENT_LABEL, VR::CS, "SEGMENTATION");
    put_empty(object, tags::CONTENT_DESCRIPTION, VR::LO);
    put_empty(object, tags::CONTENT_CREATOR_NAME, VR::PN);
    object.remove_element(tags::PATIENT_POSITION);
    put(object, tags::SEGMENTATION_TYPE, VR::CS, "BINARY");
    put(object, tags::SEGMENTS_OVERLAP, VR::CS, "NO");
    put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, ny as u16),
        (tags::COLUMNS, nx as u16),
        (tags::BITS_ALLOCATED, 1),
        (tags::BITS_STORED, 1),
        (tags::HIGH_BIT, 0),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        put_u16(object, tag, value);
    }
}

fn describe(segment: &Segment, number: u16, derivation: &Derivation) -> InMemDicomObject {
    let name = if derivation.plugin_id.is_empty() { "Isoscan" } else { &derivation.plugin_id };
    let mut item = InMemDicomObject::new_empty();
    put_u16(&mut item, tags::SEGMENT_NUMBER, number);
    let words = ascii(&segment.name, 64);
    put(
        &mut item,
        tags::SEGMENT_LABEL,
        VR::LO,
        if words.is_empty() { format!("label {}", segment.label) } else { words },
    );
    put(&mut item, tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC");
    put(&mut item, tags::SEGMENT_ALGORITHM_NAME, VR::LO, ascii(name, 64));
    put_items(&mut item, tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, vec![segment.category.item()]);
    put_items(&mut item, tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, vec![segment.property.item()]);
    if derivation.weights_sha256.is_some() {
        put_items(&mut item, tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, vec![algorithm(derivation)]);
    }
    item
}

/// The Algorithm Identification macro (PS3.3 10.16) of a plugin with learned weights.
fn algorithm(derivation: &Derivation) -> InMemDicomObject {
    let or_unknown = |words: &str| if words.is_empty() { "unknown".to_owned() } else { ascii(words, 64) };
    let mut item = InMemDicomObject::new_empty();
    let family = code("123110", "DCM", "Artificial Intelligence");
    put_items(&mut item, tags::ALGORITHM_FAMILY_CODE_SEQUENCE, vec![family]);
    put(&mut item, tags::ALGORITHM_NAME, VR::LO, or_unknown(&derivation.plugin_id));
    put(&mut item, tags::ALGORITHM_VERSION, VR::LO, or_unknown(&derivation.plugin_version));
    put(&mut item, tags::ALGORITHM_PARAMETERS, VR::LT, ascii(&derivation.params.to_string(), 10_000));
    put(&mut item, tags::ALGORITHM_SOURCE, VR::LO, "Isoscan plugin");
    item
}
