//! Attributes that an object must have whatever it was made from.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::Modality;

use super::attributes::{code, put, put_empty, put_items, text};
use super::output;
use super::uid::uid;
use crate::provenance::sha256;

/// Patient, study and frame of reference of nobody. The patient is named by `patient_id`, the UIDs follow from `seed`.
pub(crate) fn fresh_study(patient_id: &str, seed: &str) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    let id = output::ascii(patient_id, 64);
    put(&mut object, tags::PATIENT_NAME, VR::PN, format!("{id}^"));
    put(&mut object, tags::PATIENT_ID, VR::LO, id);
    put(&mut object, tags::STUDY_ID, VR::SH, "1");
    put_empty(&mut object, tags::LATERALITY, VR::CS);
    put(&mut object, tags::STUDY_INSTANCE_UID, VR::UI, uid(&["study", seed]));
    put(&mut object, tags::FRAME_OF_REFERENCE_UID, VR::UI, uid(&["frame of reference", seed]));
    object
}

/// Name of a patient who is not known: the start of a digest of the image that came without one.
pub(crate) fn anonymous(seed: &str) -> String {
    format!("ANON-{}", &sha256(seed.as_bytes())[..12].to_uppercase())
}

/// The image class for content of a modality; `None` when no class can be filled from a volume alone.
pub(crate) fn sop_class(modality: Modality) -> Option<&'static str> {
    match modality {
        Modality::Ct => Some(uids::CT_IMAGE_STORAGE),
        Modality::Mr => Some(uids::MR_IMAGE_STORAGE),
        Modality::Pt => Some(uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE),
        Modality::Cr => Some(uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE),
        Modality::Dx | Modality::Seg | Modality::Ot => None,
    }
}

/// Adds what the image class of `modality` requires and the object does not have: type 2 attributes empty, type 1 with the
/// value that says the least. UIDs that the source should have had follow from `seed`.
pub(crate) fn complete(object: &mut InMemDicomObject, modality: Modality, seed: &str) {
    let empty = [
        (tags::STUDY_DATE, VR::DA),
        (tags::STUDY_TIME, VR::TM),
        (tags::ACCESSION_NUMBER, VR::SH),
        (tags::MANUFACTURER, VR::LO),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
        (tags::PATIENT_NAME, VR::PN),
        (tags::PATIENT_ID, VR::LO),
        (tags::PATIENT_BIRTH_DATE, VR::DA),
        (tags::PATIENT_SEX, VR::CS),
        (tags::STUDY_ID, VR::SH),
        (tags::SERIES_NUMBER, VR::IS),
    ];
    empty.into_iter().for_each(|(tag, vr)| or_empty(object, tag, vr));
    or_put(object, tags::STUDY_INSTANCE_UID, VR::UI, &uid(&["study", seed]));
    if !is_projection(modality) {
        or_put(object, tags::FRAME_OF_REFERENCE_UID, VR::UI, &uid(&["frame of reference", seed]));
    }
    if let Some(class) = sop_class(modality) {
        or_put(object, tags::SOP_CLASS_UID, VR::UI, class);
    }
    put(object, tags::MODALITY, VR::CS, modality.to_string());
    match modality {
        Modality::Ct => {
            or_empty(object, tags::KVP, VR::DS);
            or_empty(object, tags::ACQUISITION_NUMBER, VR::IS);
        }
        Modality::Mr => {
            // Research mode: nothing is known of the sequence.
            or_put(object, tags::SCANNING_SEQUENCE, VR::CS, "RM");
            or_put(object, tags::SEQUENCE_VARIANT, VR::CS, "NONE");
            let empty = [
                (tags::SCAN_OPTIONS, VR::CS),
                (tags::MR_ACQUISITION_TYPE, VR::CS),
                (tags::REPETITION_TIME, VR::DS),
                (tags::ECHO_TIME, VR::DS),
                (tags::ECHO_TRAIN_LENGTH, VR::IS),
            ];
            empty.into_iter().for_each(|(tag, vr)| or_empty(object, tag, vr));
        }
        Modality::Pt => complete_pet(object),
        Modality::Cr => {
            or_empty(object, tags::BODY_PART_EXAMINED, VR::CS);
            or_empty(object, tags::VIEW_POSITION, VR::CS);
            or_empty(object, tags::PATIENT_ORIENTATION, VR::CS);
        }
        Modality::Dx | Modality::Seg | Modality::Ot => {}
    }
    if !is_projection(modality) {
        or_empty(object, tags::POSITION_REFERENCE_INDICATOR, VR::LO);
        if object.get(tags::PATIENT_ORIENTATION_CODE_SEQUENCE).is_none() {
            or_empty(object, tags::PATIENT_POSITION, VR::CS);
        }
        or_empty(object, tags::SLICE_THICKNESS, VR::DS);
    }
}

/// Radiographs have no position in the patient.
pub(crate) fn is_projection(modality: Modality) -> bool {
    matches!(modality, Modality::Cr | Modality::Dx)
}

/// PET demands a series date; the study's stands in, and where there is none the first day that the format knows of.
fn complete_pet(object: &mut InMemDicomObject) {
    let date = text(object, tags::STUDY_DATE).unwrap_or_else(|| "19000101".to_owned());
    let time = text(object, tags::STUDY_TIME).unwrap_or_else(|| "000000".to_owned());
    for (tag, vr, value) in [
        (tags::SERIES_DATE, VR::DA, date.as_str()),
        (tags::SERIES_TIME, VR::TM, time.as_str()),
        (tags::COUNTS_SOURCE, VR::CS, "EMISSION"),
        (tags::SERIES_TYPE, VR::CS, "STATIC\\IMAGE"),
        (tags::DECAY_CORRECTION, VR::CS, "NONE"),
        (tags::FRAME_REFERENCE_TIME, VR::DS, "0"),
        (tags::ACTUAL_FRAME_DURATION, VR::IS, "0"),
    ] {
        or_put(object, tag, vr, value);
    }
    if object.get(tags::PATIENT_ORIENTATION_CODE_SEQUENCE).is_none() {
        put_patient_orientation(object);
    }
    for (tag, vr) in [
        (tags::CORRECTED_IMAGE, VR::CS),
        (tags::COLLIMATOR_TYPE, VR::CS),
        (tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, VR::SQ),
        (tags::PATIENT_ORIENTATION_CODE_SEQUENCE, VR::SQ),
        (tags::PATIENT_GANTRY_RELATIONSHIP_CODE_SEQUENCE, VR::SQ),
        (tags::ACQUISITION_DATE, VR::DA),
        (tags::ACQUISITION_TIME, VR::TM),
    ] {
        or_empty(object, tag, vr);
    }
}

/// Codes for how the patient lies, which PET has in place of Patient Position (CID 19 to 21).
fn put_patient_orientation(object: &mut InMemDicomObject) {
    let position = text(object, tags::PATIENT_POSITION).unwrap_or_default();
    object.remove_element(tags::PATIENT_POSITION);
    let (gantry, modifier) = match position.as_str() {
        "HFS" => (("102540008", "headfirst"), ("40199007", "supine")),
        "HFP" => (("102540008", "headfirst"), ("1240000", "prone")),
        "FFS" => (("102541007", "feet-first"), ("40199007", "supine")),
        "FFP" => (("102541007", "feet-first"), ("1240000", "prone")),
        _ => return,
    };
    let mut lying = code("102538003", "SCT", "recumbent");
    put_items(&mut lying, tags::PATIENT_ORIENTATION_MODIFIER_CODE_SEQUENCE, vec![code(modifier.0, "SCT", modifier.1)]);
    put_items(object, tags::PATIENT_ORIENTATION_CODE_SEQUENCE, vec![lying]);
    let gantry = code(gantry.0, "SCT", gantry.1);
    put_items(object, tags::PATIENT_GANTRY_RELATIONSHIP_CODE_SEQUENCE, vec![gantry]);
}

pub(crate) fn or_empty(object: &mut InMemDicomObject, tag: dicom_core::Tag, vr: VR) {
    if object.get(tag).is_none() {
        put_empty(object, tag, vr);
    }
}

pub(crate) fn or_put(object: &mut InMemDicomObject, tag: dicom_core::Tag, vr: VR, value: &str) {
    if text(object, tag).is_none() {
        put(object, tag, vr, value);
    }
}
