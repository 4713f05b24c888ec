//! Enhanced CT and MR: one file of all slices.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, VR, value::C};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Modality, Slices, Unit, Volume};

use super::attributes::{code, decimal, put, put_decimals, put_items, text};
use super::derive::{Label, Origin, Restored, json, usual_window};
use super::encode::{Plan, Storage, encode, plan};
use super::multiframe::{Dimension, base, frame, plane_groups, put_evidence, put_frames, put_group, write_one};
use super::output::{Content, put_samples, real_world_mapping};
use super::pixels::SampleFormat;
use super::slicewise::for_groups;
use super::uid::uid;
use crate::provenance::sha256;
use crate::{Derivation, Error, Source, Written};

/// Writes a CT or MR volume computed from `source` as one Enhanced multi-frame file, whole or not at all: frames along
/// the third axis with position, intensities and source image of each.
///
/// UIDs, patient, study, marks and storage follow [`write_dicom`](crate::write_dicom). The acquisition's attributes are
/// not repeated; each frame names the image that has them. Content Date, which these classes demand, is that of
/// [`Derivation::made_at`], else the source's content or study date, else 1900-01-01.
///
/// # Errors
/// [`Error::NotWritable`] for label maps and other modalities, for the enhanced PET class demands facts of the acquisition
/// that no volume has; else as [`write_dicom`](crate::write_dicom).
pub fn write_dicom_enhanced(
    path: &Path,
    volume: &Volume,
    source: &Source,
    derivation: &Derivation,
) -> Result<Written, Error> {
    let (class, frame_type) = class_of(volume, path)?;
    let origin = Origin::of(source, volume, path)?;
    let relation = origin.relation(volume);
    let image: &dyn Slices = &Restored::of(volume, &origin, &relation);
    let mut plan = plan(image, origin.alike(&relation), path)?;
    if matches!(&plan.storage, Storage::AsSource(formats) if !formats.iter().all(|format| alike(format, &formats[0]))) {
        plan = plan_anew(image, path)?;
    }
    let content = Content::of(image, &plan, path)?;
    let series_uid =
        uid(&["enhanced series", origin.id(), &sha256(json(derivation).as_bytes()), &content.hashes.join("")]);
    let label = Label { derivation, relation: &relation, modality: volume.modality(), series_uid: &series_uid };
    let modality = volume.modality();
    let mut object = base(&origin, &label, volume.geometry(), class, &modality.to_string());
    put(&mut object, tags::SOP_INSTANCE_UID, VR::UI, uid(&["enhanced image", &series_uid]));
    put_image(&mut object, modality, derivation);
    put_evidence(&mut object, &origin);
    let mut shared = plane_groups(volume.geometry());
    put_group(&mut shared, frame_type, type_of_frames(modality, derivation));
    put_group(&mut shared, tags::FRAME_ANATOMY_SEQUENCE, anatomy());
    if modality == Modality::Ct {
        put_group(&mut shared, tags::IRRADIATION_EVENT_IDENTIFICATION_SEQUENCE, irradiation(&origin, volume));
    }
    put_group(&mut shared, tags::FRAME_VOILUT_SEQUENCE, window(volume.unit(), &plan));
    let frames = (0..volume.geometry().size()[2]).map(|k| {
        let mut item = frame(volume.geometry(), k, &[1, k as u32 + 1], &origin, &label);
        put_values(&mut item, volume, plan.format(k));
        item
    });
    let content_group = tags::FRAME_CONTENT_SEQUENCE;
    let dimensions = [
        Dimension { pointer: tags::STACK_ID, group: content_group },
        Dimension { pointer: tags::IN_STACK_POSITION_NUMBER, group: content_group },
    ];
    put_frames(&mut object, shared, frames.collect(), &dimensions);
    put_pixels(&mut object, image, &plan, path)?;
    write_one(path, object, &origin.files())?;
    Ok(Written { files: vec![path.to_owned()], max_error: content.max_error, clamped: content.clamped })
}

fn class_of(volume: &Volume, path: &Path) -> Result<(&'static str, dicom_core::Tag), Error> {
    let (modality, unit) = (volume.modality(), volume.unit());
    let [nx, ny, _] = volume.geometry().size();
    match modality {
        _ if unit == Unit::Label || nx.max(ny) > usize::from(u16::MAX) => {}
        Modality::Ct => return Ok((uids::ENHANCED_CT_IMAGE_STORAGE, tags::CT_IMAGE_FRAME_TYPE_SEQUENCE)),
        Modality::Mr => return Ok((uids::ENHANCED_MR_IMAGE_STORAGE, tags::MR_IMAGE_FRAME_TYPE_SEQUENCE)),
        _ => {}
    }
    Err(Error::NotWritable { modality, unit, path: path.to_owned() })
}

fn alike(a: &SampleFormat, b: &SampleFormat) -> bool {
    (a.bits_allocated, a.bits_stored, a.signed) == (b.bits_allocated, b.bits_stored, b.signed)
}

fn plan_anew(image: &dyn Slices, path: &Path) -> Result<Plan, Error> {
    plan(image, None, path)
}

/// Value 2 is PRIMARY in all enhanced classes (PS3.3 C.8.16.1.2).
fn image_type(derivation: &Derivation) -> &'static str {
    if derivation.synthetic { "DERIVED\\PRIMARY\\VOLUME\\SYNTHETIC" } else { "DERIVED\\PRIMARY\\VOLUME\\NONE" }
}

fn put_image(object: &mut InMemDicomObject, modality: Modality, derivation: &Derivation) {
    put(object, tags::IMAGE_TYPE, VR::CS, image_type(derivation));
    put(object, tags::BURNED_IN_ANNOTATION, VR::CS, "NO");
    put(object, tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY");
    put_items(object, tags::ACQUISITION_CONTEXT_SEQUENCE, Vec::new());
    put_description(object, modality);
    if modality == Modality::Ct {
        put(object, tags::MULTIENERGY_CT_ACQUISITION, VR::CS, "NO");
    }
}

/// The CT and MR image description macro, of the object or of its frames.
fn put_description(item: &mut InMemDicomObject, modality: Modality) {
    put(item, tags::PIXEL_PRESENTATION, VR::CS, "MONOCHROME");
    put(item, tags::VOLUMETRIC_PROPERTIES, VR::CS, "VOLUME");
    put(item, tags::VOLUME_BASED_CALCULATION_TECHNIQUE, VR::CS, "NONE");
    if modality == Modality::Mr {
        put(item, tags::COMPLEX_IMAGE_COMPONENT, VR::CS, "MAGNITUDE");
        put(item, tags::ACQUISITION_CONTRAST, VR::CS, "UNKNOWN");
    }
}

fn type_of_frames(modality: Modality, derivation: &Derivation) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::FRAME_TYPE, VR::CS, image_type(derivation));
    put_description(&mut item, modality);
    item
}

/// The event that the source names, else one named after the source.
fn irradiation(origin: &Origin, volume: &Volume) -> InMemDicomObject {
    let named = origin.nearest(volume.geometry(), 0).and_then(|s| text(&s.object, tags::IRRADIATION_EVENT_UID));
    let mut item = InMemDicomObject::new_empty();
    let event = named.unwrap_or_else(|| uid(&["irradiation event", origin.id()]));
    put(&mut item, tags::IRRADIATION_EVENT_UID, VR::UI, event);
    item
}

/// A volume does not tell what part of the body it shows.
fn anatomy() -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::FRAME_LATERALITY, VR::CS, "U");
    put_items(&mut item, tags::ANATOMIC_REGION_SEQUENCE, vec![code("38266002", "SCT", "Entire body")]);
    item
}

fn window(unit: Unit, plan: &Plan) -> InMemDicomObject {
    let (center, width) = usual_window(unit, plan.range);
    let mut item = InMemDicomObject::new_empty();
    put_decimals(&mut item, tags::WINDOW_CENTER, &[center]);
    put_decimals(&mut item, tags::WINDOW_WIDTH, &[width]);
    item
}

/// Slope and intercept of one frame, and their unit.
fn put_values(frame: &mut InMemDicomObject, volume: &Volume, format: &SampleFormat) {
    let mut values = InMemDicomObject::new_empty();
    put(&mut values, tags::RESCALE_INTERCEPT, VR::DS, decimal(format.intercept));
    put(&mut values, tags::RESCALE_SLOPE, VR::DS, decimal(format.slope));
    let kind = if volume.unit() == Unit::Hounsfield { "HU" } else { "US" };
    put(&mut values, tags::RESCALE_TYPE, VR::LO, kind);
    put_group(frame, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, values);
    put_group(frame, tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE, real_world_mapping(volume.unit(), format));
}

fn put_pixels(object: &mut InMemDicomObject, image: &dyn Slices, plan: &Plan, path: &Path) -> Result<(), Error> {
    let [nx, ny, nz] = image.geometry().size();
    let format = plan.format(0);
    put_samples(object, image, format);
    let mut bytes = Vec::with_capacity(nx * ny * nz * format.bytes() + 1);
    for_groups(image, path, |first, voxels| {
        for (k, plane) in voxels.chunks(nx * ny).enumerate() {
            let mut encoded = encode(plan.format(first + k), plane);
            encoded.truncate(plane.len() * format.bytes());
            bytes.extend_from_slice(&encoded);
        }
        Ok(())
    })?;
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let vr = if format.bits_allocated == 8 { VR::OB } else { VR::OW };
    object.put(DataElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::U8(C::from_vec(bytes))));
    Ok(())
}
