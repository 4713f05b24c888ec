//! What derived images must say of themselves: the standard's rules, and ours for our own output.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{Object, Report, rules, shown};
use crate::Derivation;
use crate::dicom::attributes::{text, texts};
use crate::dicom::derive::{DERIVATION_JSON, items_of};

pub(crate) fn check(object: &Object, report: &mut Report) {
    let data = &object.data;
    let words = texts(data, tags::IMAGE_TYPE);
    let known = |at: usize, legal: &[&str]| words.get(at).is_some_and(|word| legal.contains(&word.as_str()));
    let legal = known(0, &["ORIGINAL", "DERIVED", "MIXED"]) && known(1, &["PRIMARY", "SECONDARY"]);
    if !words.is_empty() && !legal {
        report.add(&rules::IMAGE_TYPE, &object.path, &[tags::IMAGE_TYPE], shown(data, tags::IMAGE_TYPE));
    }
    one_of(&rules::SYNTHETIC_VALUE, tags::SYNTHETIC_DATA, &["YES", "NO"], object, report);
    one_of(&rules::QUALIFICATION, tags::CONTENT_QUALIFICATION, &["RESEARCH", "PRODUCT", "SERVICE"], object, report);
    let synthetic =
        words.iter().any(|word| word == "SYNTHETIC") || purposes(object).iter().any(|code| code == "109100");
    if synthetic && text(data, tags::SYNTHETIC_DATA).as_deref() == Some("NO") {
        report.add(&rules::SYNTHETIC_CONTRADICTION, &object.path, &[tags::SYNTHETIC_DATA], "NO");
    }
    if object.derived {
        sources(object, report);
        let explained = [tags::DERIVATION_DESCRIPTION, tags::DERIVATION_CODE_SEQUENCE, tags::DERIVATION_IMAGE_SEQUENCE];
        let multi_frame = data.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).is_some();
        if !object.ours && !multi_frame && explained.iter().all(|&tag| data.get(tag).is_none()) {
            let tag = tags::DERIVATION_DESCRIPTION;
            report.add(&rules::DERIVATION_FOREIGN, &object.path, &[tag], "nothing");
        }
    }
    if object.ours {
        ours(object, report);
    }
}

fn one_of(rule: &'static super::Rule, tag: Tag, legal: &[&str], object: &Object, report: &mut Report) {
    if text(&object.data, tag).is_some_and(|value| !legal.contains(&value.as_str())) {
        report.add(rule, &object.path, &[tag], shown(&object.data, tag));
    }
}

/// Code values of the purposes of Contributing Equipment Sequence (0018,A001).
fn purposes(object: &Object) -> Vec<String> {
    items_of(&object.data, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE)
        .iter()
        .flat_map(|item| items_of(item, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE))
        .filter_map(|code| text(&code, tags::CODE_VALUE))
        .collect()
}

fn sources(object: &Object, report: &mut Report) {
    let place = [tags::SOURCE_IMAGE_SEQUENCE];
    for item in items_of(&object.data, place[0]) {
        let reference = [tags::REFERENCED_SOP_CLASS_UID, tags::REFERENCED_SOP_INSTANCE_UID];
        if let Some(missing) = reference.into_iter().find(|&tag| text(&item, tag).is_none()) {
            report.add(&rules::SOURCES, &object.path, &[place[0], missing], "nothing");
        }
        if text(&item, reference[1]).is_some_and(|uid| uid == object.slice.sop_instance) {
            report.add(&rules::NEW_UID, &object.path, &[tags::SOP_INSTANCE_UID], "the UID of a source image");
        }
        let tag = tags::SPATIAL_LOCATIONS_PRESERVED;
        let located = text(&item, tag);
        let legal = located.as_ref().is_none_or(|value| matches!(value.as_str(), "YES" | "NO" | "REORIENTED_ONLY"));
        if !legal || (object.ours && located.is_none()) {
            report.add(&rules::LOCATIONS, &object.path, &[place[0], tag], shown(&item, tag));
        }
        let tag = tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE;
        if object.ours && items_of(&item, tag).is_empty() {
            report.add(&rules::PURPOSE, &object.path, &[place[0], tag], "nothing");
        }
    }
}

fn ours(object: &Object, report: &mut Report) {
    let data = &object.data;
    for (rule, tag) in [
        (&rules::SYNTHETIC_MISSING, tags::SYNTHETIC_DATA),
        (&rules::QUALIFICATION_MISSING, tags::CONTENT_QUALIFICATION),
    ] {
        if text(data, tag).is_none() {
            report.add(rule, &object.path, &[tag], "nothing");
        }
    }
    let multi_frame = data.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).is_some();
    let explained = text(data, tags::DERIVATION_DESCRIPTION).is_some()
        && !items_of(data, tags::DERIVATION_CODE_SEQUENCE).is_empty();
    if !multi_frame && !explained {
        report.add(&rules::DERIVATION, &object.path, &[tags::DERIVATION_DESCRIPTION], "not both");
    }
    let synthetic = text(data, tags::SYNTHETIC_DATA).as_deref() == Some("YES");
    let mark = text(data, tags::SERIES_DESCRIPTION).unwrap_or_default();
    if !mark.starts_with(if synthetic { "SYN" } else { "DER" }) {
        report.add(&rules::SERIES_MARK, &object.path, &[tags::SERIES_DESCRIPTION], "another beginning");
    }
    if !purposes(object).iter().any(|code| matches!(code.as_str(), "109100" | "109102" | "109103")) {
        let found = format!("{} items", items_of(data, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE).len());
        report.add(&rules::EQUIPMENT, &object.path, &[tags::CONTRIBUTING_EQUIPMENT_SEQUENCE], found);
    }
    let json = text(data, DERIVATION_JSON).unwrap_or_default();
    if serde_json::from_str::<Derivation>(&json).is_err() {
        report.add(&rules::PROVENANCE, &object.path, &[DERIVATION_JSON], "no derivation");
    }
    let modality = text(data, tags::MODALITY).unwrap_or_default();
    for tag in leftovers(&modality).iter().copied().filter(|&tag| data.get(tag).is_some()) {
        report.add(&rules::LEFTOVER, &object.path, &[tag], format!("{modality} with it"));
    }
}

/// Acquisition attributes that an image of this modality cannot have.
fn leftovers(modality: &str) -> &'static [Tag] {
    const OF_CT: [Tag; 4] =
        [tags::CONVOLUTION_KERNEL, tags::GANTRY_DETECTOR_TILT, tags::X_RAY_TUBE_CURRENT, tags::CTD_IVOL];
    const OF_MR: [Tag; 6] = [
        tags::ECHO_TIME,
        tags::REPETITION_TIME,
        tags::SCANNING_SEQUENCE,
        tags::MAGNETIC_FIELD_STRENGTH,
        tags::FLIP_ANGLE,
        tags::SEQUENCE_NAME,
    ];
    match modality {
        "CT" | "PT" | "CR" | "DX" => &OF_MR,
        "MR" => &OF_CT,
        _ => &[],
    }
}
