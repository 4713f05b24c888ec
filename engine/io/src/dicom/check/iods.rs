//! The attributes that an object's class demands.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::classes::{IODS, Iod};
use super::modules::{Need, Row, SEGMENT};
use super::{Object, Report, rules};
use crate::dicom::attributes::text;
use crate::dicom::derive::items_of;

/// The table of an object's class.
pub(crate) fn iod_of(data: &InMemDicomObject) -> Option<&'static Iod> {
    let class = text(data, tags::SOP_CLASS_UID)?;
    IODS.iter().find(|iod| iod.class == class)
}

pub(crate) fn check(object: &Object, report: &mut Report) {
    let data = &object.data;
    let Some(iod) = iod_of(data) else {
        match text(data, tags::SOP_CLASS_UID) {
            Some(_) => report.add(
                &rules::CLASS_UNKNOWN,
                &object.path,
                &[tags::SOP_CLASS_UID],
                super::shown(data, tags::SOP_CLASS_UID),
            ),
            None => report.add(&rules::MISSING, &object.path, &[tags::SOP_CLASS_UID], "nothing"),
        }
        return;
    };
    let modality = text(data, tags::MODALITY).unwrap_or_default();
    if !iod.modalities.is_empty() && !modality.is_empty() && !iod.modalities.contains(&modality.as_str()) {
        let expected = iod.modalities.join(" or ");
        report.add_expecting(
            &rules::MODALITY,
            &object.path,
            &[tags::MODALITY],
            super::shown(data, tags::MODALITY),
            expected,
        );
    }
    for module in iod.modules {
        require(data, module.rows, &[], module.reference, object, report);
    }
    for segment in items_of(data, tags::SEGMENT_SEQUENCE) {
        require(&segment, SEGMENT.rows, &[tags::SEGMENT_SEQUENCE], SEGMENT.reference, object, report);
    }
}

/// Reports the rows that `data` does not fulfil; `place` are the sequences that lead to it.
pub(crate) fn require(
    data: &InMemDicomObject,
    rows: &[Row],
    place: &[Tag],
    reference: &str,
    object: &Object,
    report: &mut Report,
) {
    for &(tag, need) in rows {
        let (with_value, demanded) = match need {
            Need::One => (true, true),
            Need::Two => (false, true),
            Need::OneIf(condition) => (true, condition(data)),
            Need::TwoIf(condition) => (false, condition(data)),
        };
        let rule = match (data.get(tag), with_value) {
            _ if !demanded => continue,
            (None, true) => &rules::MISSING,
            (None, false) => &rules::MISSING_TYPE_2,
            (Some(_), true) if is_blank(data, tag) => &rules::EMPTY,
            _ => continue,
        };
        let place: Vec<Tag> = place.iter().copied().chain([tag]).collect();
        let found = if rule.id == rules::EMPTY.id { "no value" } else { "nothing" };
        report.add_expecting(rule, &object.path, &place, found, format!("{} ({reference})", rule.expected));
    }
}

fn is_blank(data: &InMemDicomObject, tag: Tag) -> bool {
    match data.get(tag) {
        Some(element) => match element.items() {
            Some(items) => items.is_empty(),
            None => element.to_str().is_ok_and(|value| value.trim_matches([' ', '\0']).is_empty()),
        },
        None => true,
    }
}
