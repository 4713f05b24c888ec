//! What multi-frame objects have in common: patient and study, functional groups, dimensions, references, the file.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Geometry, Modality};

use super::attributes::{code, put, put_decimals, put_items, text};
use super::check::require_conformant;
use super::derive::{Label, Origin, other_modality_base, source_image};
use super::module::{anonymous, complete, fresh_study};
use super::output::{ascii, write_object};
use super::uid::uid;
use crate::Error;
use crate::publish::publish_file;

/// One attribute by which frames are ordered: where its index points to, and the functional group that holds it.
pub(crate) struct Dimension {
    pub(crate) pointer: Tag,
    pub(crate) group: Tag,
}

/// Patient, study, place and marks of an object that says the rest per frame.
pub(crate) fn base(
    origin: &Origin,
    label: &Label,
    geometry: &Geometry,
    class: &str,
    modality: &str,
) -> InMemDicomObject {
    let slice = origin.nearest(geometry, 0);
    let mut object = match slice {
        Some(slice) => other_modality_base(slice),
        None => fresh_study(&anonymous(origin.id()), origin.id()),
    };
    complete(&mut object, Modality::Ot, origin.id());
    for tag in [
        tags::SLICE_THICKNESS,
        tags::SLICE_LOCATION,
        tags::IMAGE_POSITION_PATIENT,
        tags::IMAGE_ORIENTATION_PATIENT,
        tags::PIXEL_SPACING,
        tags::LATERALITY,
        tags::BODY_PART_EXAMINED,
        tags::IMAGE_TYPE,
    ] {
        object.remove_element(tag);
    }
    put(&mut object, tags::SOP_CLASS_UID, VR::UI, class);
    put(&mut object, tags::MODALITY, VR::CS, modality);
    if let Some(slice) = slice {
        put_items(&mut object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, super::derive::equipment_history(&slice.object));
    }
    label.put_series(&mut object);
    label.put_marks(&mut object);
    let serial: String = label.derivation.plugin_sha256.chars().take(16).collect();
    let serial = ascii(&serial, 16);
    put(&mut object, tags::DEVICE_SERIAL_NUMBER, VR::LO, if serial.is_empty() { "none".to_owned() } else { serial });
    put(&mut object, tags::INSTANCE_NUMBER, VR::IS, "1");
    put_content_date(&mut object, slice.map(|slice| &*slice.object));
    if text(&object, tags::LOSSY_IMAGE_COMPRESSION).is_none() {
        put(&mut object, tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    }
    put_references(&mut object, origin);
    object
}

/// The content of a multi-frame object must have a date: the output's, else the source's, else the first day that the
/// format's predecessors knew.
fn put_content_date(object: &mut InMemDicomObject, source: Option<&InMemDicomObject>) {
    if text(object, tags::CONTENT_DATE).is_some() {
        return;
    }
    let pairs = [(tags::CONTENT_DATE, tags::CONTENT_TIME), (tags::STUDY_DATE, tags::STUDY_TIME)];
    let found = source
        .and_then(|source| pairs.into_iter().find_map(|(date, time)| Some((text(source, date)?, text(source, time)))));
    let (date, time) = found.unwrap_or_else(|| ("19000101".to_owned(), None));
    put(object, tags::CONTENT_DATE, VR::DA, date);
    put(object, tags::CONTENT_TIME, VR::TM, time.unwrap_or_else(|| "000000".to_owned()));
}

/// Referenced Series Sequence (0008,1115): every image of the source.
fn put_references(object: &mut InMemDicomObject, origin: &Origin) {
    if let Some(item) = series_item(origin, tags::REFERENCED_INSTANCE_SEQUENCE) {
        put_items(object, tags::REFERENCED_SERIES_SEQUENCE, vec![item]);
    }
}

/// Source Image Evidence Sequence (0008,9154): every image of the source with its study, as enhanced images ask.
pub(crate) fn put_evidence(object: &mut InMemDicomObject, origin: &Origin) {
    let Some(series) = series_item(origin, tags::REFERENCED_SOP_SEQUENCE) else { return };
    let mut study = InMemDicomObject::new_empty();
    put(&mut study, tags::STUDY_INSTANCE_UID, VR::UI, text(object, tags::STUDY_INSTANCE_UID).unwrap_or_default());
    put_items(&mut study, tags::REFERENCED_SERIES_SEQUENCE, vec![series]);
    put_items(object, tags::SOURCE_IMAGE_EVIDENCE_SEQUENCE, vec![study]);
}

/// The source's series and, under `instances`, its images.
fn series_item(origin: &Origin, instances: Tag) -> Option<InMemDicomObject> {
    let Origin::Series(series) = origin else { return None };
    let reference = |slice| {
        let mut item = source_image(slice, "");
        item.retain(|element| {
            use dicom_core::header::Header;
            matches!(element.tag(), tags::REFERENCED_SOP_CLASS_UID | tags::REFERENCED_SOP_INSTANCE_UID)
        });
        item
    };
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::SERIES_INSTANCE_UID, VR::UI, series.series_uid());
    put_items(&mut item, instances, series.slices().iter().map(reference).collect());
    Some(item)
}

/// A functional group of one item.
pub(crate) fn put_group(item: &mut InMemDicomObject, sequence: Tag, group: InMemDicomObject) {
    put_items(item, sequence, vec![group]);
}

/// The functional groups of a grid that all frames share: pixel measures and orientation.
pub(crate) fn plane_groups(geometry: &Geometry) -> InMemDicomObject {
    let [x_mm, y_mm, z_mm] = geometry.spacing_mm();
    let [x, y, _] = geometry.direction();
    let (mut measures, mut orientation) = (InMemDicomObject::new_empty(), InMemDicomObject::new_empty());
    put_decimals(&mut measures, tags::SLICE_THICKNESS, &[z_mm]);
    put_decimals(&mut measures, tags::SPACING_BETWEEN_SLICES, &[z_mm]);
    put_decimals(&mut measures, tags::PIXEL_SPACING, &[y_mm, x_mm]);
    put_decimals(&mut orientation, tags::IMAGE_ORIENTATION_PATIENT, &[x, y].concat());
    let mut shared = InMemDicomObject::new_empty();
    put_group(&mut shared, tags::PIXEL_MEASURES_SEQUENCE, measures);
    put_group(&mut shared, tags::PLANE_ORIENTATION_SEQUENCE, orientation);
    shared
}

/// The functional groups of a frame that shows slice `k`: its position and its indices, and what it was derived from.
pub(crate) fn frame(
    geometry: &Geometry,
    k: usize,
    indices: &[u32],
    origin: &Origin,
    label: &Label,
) -> InMemDicomObject {
    let (mut content, mut position) = (InMemDicomObject::new_empty(), InMemDicomObject::new_empty());
    content.put(DataElement::new(tags::DIMENSION_INDEX_VALUES, VR::UL, PrimitiveValue::U32(indices.into())));
    put(&mut content, tags::STACK_ID, VR::SH, "1");
    content.put(DataElement::new(tags::IN_STACK_POSITION_NUMBER, VR::UL, PrimitiveValue::from(k as u32 + 1)));
    let corner = geometry.world_from_voxel().apply([0.0, 0.0, k as f64]);
    put_decimals(&mut position, tags::IMAGE_POSITION_PATIENT, &corner);
    let mut frame = InMemDicomObject::new_empty();
    put_group(&mut frame, tags::FRAME_CONTENT_SEQUENCE, content);
    put_group(&mut frame, tags::PLANE_POSITION_SEQUENCE, position);
    if let Some(slice) = origin.nearest(geometry, k) {
        let mut derivation = InMemDicomObject::new_empty();
        put(&mut derivation, tags::DERIVATION_DESCRIPTION, VR::ST, label.words());
        put_items(&mut derivation, tags::DERIVATION_CODE_SEQUENCE, label.codes());
        let image = source_image(slice, label.relation.locations);
        put_items(&mut derivation, tags::SOURCE_IMAGE_SEQUENCE, vec![image]);
        put_group(&mut frame, tags::DERIVATION_IMAGE_SEQUENCE, derivation);
    }
    frame
}

/// Frames, shared groups and the dimensions by which the frames are ordered.
pub(crate) fn put_frames(
    object: &mut InMemDicomObject,
    shared: InMemDicomObject,
    frames: Vec<InMemDicomObject>,
    dimensions: &[Dimension],
) {
    let organization = uid(&["dimensions", &text(object, tags::SERIES_INSTANCE_UID).unwrap_or_default()]);
    let mut whole = InMemDicomObject::new_empty();
    put(&mut whole, tags::DIMENSION_ORGANIZATION_UID, VR::UI, organization.clone());
    put_items(object, tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![whole.clone()]);
    let index = |dimension: &Dimension| {
        let mut item = whole.clone();
        for (tag, value) in
            [(tags::DIMENSION_INDEX_POINTER, dimension.pointer), (tags::FUNCTIONAL_GROUP_POINTER, dimension.group)]
        {
            item.put(DataElement::new(tag, VR::AT, PrimitiveValue::Tags([value].as_slice().into())));
        }
        item
    };
    put_items(object, tags::DIMENSION_INDEX_SEQUENCE, dimensions.iter().map(index).collect());
    put(object, tags::NUMBER_OF_FRAMES, VR::IS, frames.len().to_string());
    put_items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    put_items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames);
}

/// Writes one object as a file that appears conformant or not at all.
pub(crate) fn write_one(path: &Path, object: InMemDicomObject, sources: &[PathBuf]) -> Result<(), Error> {
    publish_file(path, |unfinished| {
        write_object(unfinished, object)?;
        require_conformant(unfinished, path, sources)
    })
}

/// The unit of intensities as a UCUM code.
pub(crate) fn unit_code(unit: isoscan_imaging::Unit) -> InMemDicomObject {
    use isoscan_imaging::Unit;
    match unit {
        Unit::Hounsfield => code("[hnsf'U]", "UCUM", "Hounsfield unit"),
        Unit::Suv => code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"),
        _ => code("1", "UCUM", "no units"),
    }
}
