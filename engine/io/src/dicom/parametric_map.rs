//! Float maps, such as uncertainty, as DICOM parametric maps.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, VR, value::C};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Modality, Unit, Volume};

use super::attributes::{code, put, put_decimals, put_empty, put_items, put_u16};
use super::derive::{Label, Origin, json, usual_window};
use super::module::or_empty;
use super::multiframe::{Dimension, base, frame, plane_groups, put_frames, put_group, write_one};
use super::output::ascii;
use super::segmentation::Code;
use super::uid::uid;
use crate::provenance::sha256;
use crate::{Derivation, Error, Source};

/// What the numbers of a map mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// A word for menus; 16 characters.
    pub name: String,
    /// The quantity, such as `C25337`, `NCIt`, `Number`.
    pub quantity: Code,
    /// The unit as a UCUM code, such as `[hnsf'U]`, `UCUM`, `Hounsfield unit`.
    pub unit: Code,
}

/// Writes a float map as a DICOM parametric map in one file, whole or not at all. Voxels are stored as they are, in 32-bit
/// floats. Patient, study and frame of reference are the source's, and each frame names the source image at its place.
///
/// # Errors
/// [`Error::NotWritable`] for label maps, [`Error::NotFinite`], [`Error::NotConformant`], [`Error::Io`].
pub fn write_parametric_map(
    path: &Path,
    map: &Volume,
    quantity: &Quantity,
    source: &Source,
    derivation: &Derivation,
) -> Result<(), Error> {
    require_finite(map, path)?;
    let origin = Origin::of(source, map, path)?;
    let relation = origin.relation(map);
    let bytes: Vec<u8> = map.as_slice().iter().flat_map(|v| v.to_le_bytes()).collect();
    let content = sha256(&[&bytes[..], format!("{:?} {quantity:?}", map.geometry()).as_bytes()].concat());
    let series_uid = uid(&["parametric map", origin.id(), &sha256(json(derivation).as_bytes()), &content]);
    let label = Label { derivation, relation: &relation, modality: map.modality(), series_uid: &series_uid };
    let modality = map.modality().to_string();
    let mut object = base(&origin, &label, map.geometry(), uids::PARAMETRIC_MAP_STORAGE, &modality);
    put(&mut object, tags::SOP_INSTANCE_UID, VR::UI, uid(&["parametric map image", &series_uid]));
    put_image(&mut object, map);
    let mut shared = plane_groups(map.geometry());
    let mut kind = InMemDicomObject::new_empty();
    put(&mut kind, tags::FRAME_TYPE, VR::CS, IMAGE_TYPE);
    put_group(&mut shared, tags::PARAMETRIC_MAP_FRAME_TYPE_SEQUENCE, kind);
    put_group(&mut shared, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, unchanged());
    put_group(&mut shared, tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE, mapping(map, quantity));
    put_group(&mut shared, tags::FRAME_VOILUT_SEQUENCE, window(map));
    let frames = (0..map.geometry().size()[2]).map(|k| frame(map.geometry(), k, &[k as u32 + 1], &origin, &label));
    let dimensions = [Dimension { pointer: tags::IMAGE_POSITION_PATIENT, group: tags::PLANE_POSITION_SEQUENCE }];
    put_frames(&mut object, shared, frames.collect(), &dimensions);
    let voxels = C::from_slice(map.as_slice());
    object.put(DataElement::new(tags::FLOAT_PIXEL_DATA, VR::OF, PrimitiveValue::F32(voxels)));
    write_one(path, object, &origin.files())
}

const IMAGE_TYPE: &str = "DERIVED\\PRIMARY\\VOLUME\\QUANTITY";

fn require_finite(map: &Volume, path: &Path) -> Result<(), Error> {
    let (modality, unit) = (map.modality(), map.unit());
    let [nx, ny, _] = map.geometry().size();
    if unit == Unit::Label || modality == Modality::Seg || nx.max(ny) > usize::from(u16::MAX) {
        return Err(Error::NotWritable { modality, unit, path: path.to_owned() });
    }
    match map.as_slice().iter().filter(|v| !v.is_finite()).count() {
        0 => Ok(()),
        count => Err(Error::NotFinite { count, path: path.to_owned() }),
    }
}

fn put_image(object: &mut InMemDicomObject, map: &Volume) {
    let [nx, ny, _] = map.geometry().size();
    put(object, tags::IMAGE_TYPE, VR::CS, IMAGE_TYPE);
    object.remove_element(tags::PATIENT_POSITION);
    or_empty(object, tags::LATERALITY, VR::CS);
    put(object, tags::CONTENT_LABEL, VR::CS, "MAP");
    put_empty(object, tags::CONTENT_DESCRIPTION, VR::LO);
    put_empty(object, tags::CONTENT_CREATOR_NAME, VR::PN);
    put(object, tags::BURNED_IN_ANNOTATION, VR::CS, "NO");
    put(object, tags::RECOGNIZABLE_VISUAL_FEATURES, VR::CS, "NO");
    put(object, tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY");
    put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    put_items(object, tags::ACQUISITION_CONTEXT_SEQUENCE, Vec::new());
    for (tag, value) in
        [(tags::SAMPLES_PER_PIXEL, 1), (tags::ROWS, ny as u16), (tags::COLUMNS, nx as u16), (tags::BITS_ALLOCATED, 32)]
    {
        put_u16(object, tag, value);
    }
}

/// Slope 1 and intercept 0 for programs that know of no real-world values.
fn unchanged() -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::RESCALE_INTERCEPT, VR::DS, "0");
    put(&mut item, tags::RESCALE_SLOPE, VR::DS, "1");
    put(&mut item, tags::RESCALE_TYPE, VR::LO, "US");
    item
}

/// The stored floats are the quantity itself: slope 1, intercept 0.
fn mapping(map: &Volume, quantity: &Quantity) -> InMemDicomObject {
    let (low, high) = range(map);
    let mut item = InMemDicomObject::new_empty();
    for (tag, value) in [
        (tags::DOUBLE_FLOAT_REAL_WORLD_VALUE_FIRST_VALUE_MAPPED, f64::from(low)),
        (tags::DOUBLE_FLOAT_REAL_WORLD_VALUE_LAST_VALUE_MAPPED, f64::from(high)),
        (tags::REAL_WORLD_VALUE_INTERCEPT, 0.0),
        (tags::REAL_WORLD_VALUE_SLOPE, 1.0),
    ] {
        item.put(DataElement::new(tag, VR::FD, PrimitiveValue::from(value)));
    }
    put(&mut item, tags::LUT_EXPLANATION, VR::LO, ascii(&quantity.quantity.meaning, 64));
    put(&mut item, tags::LUT_LABEL, VR::SH, ascii(&quantity.name, 16));
    put_items(&mut item, tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![quantity.unit.item()]);
    put_items(&mut item, tags::QUANTITY_DEFINITION_SEQUENCE, vec![definition(quantity)]);
    item
}

/// A content item: the quantity is ….
fn definition(quantity: &Quantity) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::VALUE_TYPE, VR::CS, "CODE");
    put_items(&mut item, tags::CONCEPT_NAME_CODE_SEQUENCE, vec![code("246205007", "SCT", "Quantity")]);
    put_items(&mut item, tags::CONCEPT_CODE_SEQUENCE, vec![quantity.quantity.item()]);
    item
}

fn window(map: &Volume) -> InMemDicomObject {
    let (center, width) = usual_window(map.unit(), range(map));
    let mut item = InMemDicomObject::new_empty();
    put_decimals(&mut item, tags::WINDOW_CENTER, &[center]);
    put_decimals(&mut item, tags::WINDOW_WIDTH, &[width]);
    put(&mut item, tags::VOILUT_FUNCTION, VR::CS, "LINEAR_EXACT");
    item
}

/// Lowest and highest value.
fn range(map: &Volume) -> (f32, f32) {
    let start = (f32::INFINITY, f32::NEG_INFINITY);
    map.as_slice().iter().fold(start, |(low, high), &v| (low.min(v), high.max(v)))
}
