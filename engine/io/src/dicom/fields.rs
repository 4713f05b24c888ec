//! The headers of a series as named fields.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::header::Header;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::DicomSource;
use crate::diff::Field;

/// Longest value that is shown whole, characters.
const SHOWN: usize = 160;

/// Every standard attribute before the pixel data, by tag. Where slices differ, the field tells from the first slice to
/// the last one that it varies. Values that may identify a patient take part in comparisons but are never shown.
pub(crate) fn fields(source: &DicomSource) -> Vec<Field> {
    let slices = source.slices();
    let mut fields = Vec::new();
    let Some(first) = slices.first() else { return fields };
    for element in first.object.iter() {
        let tag = element.tag();
        let others = || slices[1..].iter().map(|slice| slice.object.get(tag));
        if others().all(|other| other.is_some_and(|other| other.value() == element.value())) {
            flatten(element, "", &mut fields);
            continue;
        }
        let values = std::iter::once(Some(element)).chain(others());
        let value = values.map(|element| element.map_or_else(String::new, plain)).collect::<Vec<_>>().join("\n");
        let span = match (element.items(), slices.last().and_then(|slice| slice.object.get(tag))) {
            (Some(_), _) => format!("varies over {} slices", slices.len()),
            (None, last) => {
                let last = last.map_or_else(|| "absent".to_owned(), plain);
                format!("varies over {} slices, {} to {last}", slices.len(), plain(element))
            }
        };
        fields.push(Field { name: name(tag), value, shown: shown(element, span) });
    }
    fields
}

fn flatten(element: &InMemElement, prefix: &str, fields: &mut Vec<Field>) {
    let tag = element.tag();
    let Some(items) = element.items() else {
        let value = plain(element);
        fields.push(Field { name: format!("{prefix}{}", name(tag)), shown: shown(element, value.clone()), value });
        return;
    };
    let count = if items.len() == 1 { "1 item".to_owned() } else { format!("{} items", items.len()) };
    fields.push(Field { name: format!("{prefix}{}", name(tag)), value: count.clone(), shown: count });
    for (index, item) in items.iter().enumerate() {
        let prefix = format!("{prefix}{tag}[{}] > ", index + 1);
        item.iter().for_each(|element| flatten(element, &prefix, fields));
    }
}

fn name(tag: Tag) -> String {
    match StandardDataDictionary.by_tag(tag) {
        Some(entry) => format!("{tag} {}", entry.alias()),
        None => tag.to_string(),
    }
}

/// The value as text, or for a sequence its content in the order of the tags.
fn plain(element: &InMemElement) -> String {
    let Some(items) = element.items() else {
        return element.to_str().map(|text| text.trim_end_matches([' ', '\0']).to_owned()).unwrap_or_default();
    };
    let inside = |item: &InMemDicomObject| item.iter().map(plain).collect::<Vec<_>>().join(";");
    items.iter().map(inside).collect::<Vec<_>>().join("|")
}

fn shown(element: &InMemElement, text: String) -> String {
    if identifies(element) {
        return "(not shown)".to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}

/// Names, dates, free text and everything of the patient group.
fn identifies(element: &InMemElement) -> bool {
    let tag = element.tag();
    let of_place_or_visit = matches!(
        tag,
        tags::ACCESSION_NUMBER
            | tags::INSTITUTION_NAME
            | tags::INSTITUTION_ADDRESS
            | tags::INSTITUTIONAL_DEPARTMENT_NAME
            | tags::STATION_NAME
            | tags::STUDY_ID
            | tags::STUDY_DESCRIPTION
            | tags::DEVICE_SERIAL_NUMBER
            | tags::REQUESTED_PROCEDURE_ID
            | tags::SCHEDULED_PROCEDURE_STEP_ID
            | tags::PERFORMED_PROCEDURE_STEP_ID
            | tags::ADMISSION_ID
    );
    let free = matches!(element.vr(), VR::PN | VR::DA | VR::DT | VR::TM | VR::LT | VR::ST | VR::UT | VR::UN);
    tag.group() == 0x0010 || of_place_or_visit || (free && tag != tags::DERIVATION_DESCRIPTION)
}
