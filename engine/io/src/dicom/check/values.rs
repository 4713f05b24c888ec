//! Every value against its representation.

use dicom_core::dictionary::VirtualVr;
use dicom_core::header::Header;
use dicom_core::{DataDictionary, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::{Object, Report, Rule, rules, shown};
use crate::dicom::attributes::text;
use crate::dicom::derive::items_of;

/// Attributes of the image class whose number of values decides whether an image can be placed or read.
const COUNTS: [(Tag, usize); 16] = [
    (tags::IMAGE_POSITION_PATIENT, 3),
    (tags::IMAGE_ORIENTATION_PATIENT, 6),
    (tags::PIXEL_SPACING, 2),
    (tags::IMAGER_PIXEL_SPACING, 2),
    (tags::ROWS, 1),
    (tags::COLUMNS, 1),
    (tags::BITS_ALLOCATED, 1),
    (tags::BITS_STORED, 1),
    (tags::HIGH_BIT, 1),
    (tags::PIXEL_REPRESENTATION, 1),
    (tags::SAMPLES_PER_PIXEL, 1),
    (tags::RESCALE_SLOPE, 1),
    (tags::RESCALE_INTERCEPT, 1),
    (tags::INSTANCE_NUMBER, 1),
    (tags::SERIES_NUMBER, 1),
    (tags::SLICE_THICKNESS, 1),
];

pub(crate) fn check(object: &Object, report: &mut Report) {
    let extended = text(&object.data, tags::SPECIFIC_CHARACTER_SET).is_some();
    let mut seen = Seen { object, extended, report };
    seen.items(&object.data, &mut Vec::new());
    private_creators(object, report);
    coding_schemes(object, report);
}

struct Seen<'a> {
    object: &'a Object,
    /// The object declares a character set beyond ASCII.
    extended: bool,
    report: &'a mut Report,
}

impl Seen<'_> {
    fn items(&mut self, data: &InMemDicomObject, place: &mut Vec<Tag>) {
        for element in data {
            let tag = element.tag();
            place.push(tag);
            self.element(data, element, place);
            for item in element.items().unwrap_or_default() {
                if tag.group() % 2 == 0 && is_code_sequence(tag) {
                    self.code(item, place);
                }
                self.items(item, place);
            }
            place.pop();
        }
    }

    fn element(&mut self, data: &InMemDicomObject, element: &InMemElement, place: &[Tag]) {
        let (tag, vr) = (element.tag(), element.vr());
        if tag.group() % 2 == 0 && !legal_vr(tag, vr) {
            self.report.add(&rules::VR_WRONG, &self.object.path, place, vr.to_string());
        }
        if vr == VR::SQ {
            return;
        }
        let Ok(values) = element.value().to_multi_str() else { return };
        let whole = matches!(vr, VR::ST | VR::LT | VR::UT | VR::UR);
        let joined = [values.join("\\")];
        let values: &[String] = if whole { &joined } else { &values };
        if let Some(rule) = values.iter().find_map(|value| broken(vr, value.trim_matches([' ', '\0']), self.extended)) {
            self.report.add(rule, &self.object.path, place, shown(data, tag));
        }
        let present = values.iter().filter(|value| !value.trim().is_empty()).count();
        if let Some((_, count)) = COUNTS.iter().find(|(known, count)| *known == tag && present > 0 && present != *count)
        {
            let expected = format!("{count} values");
            self.report.add_expecting(&rules::VALUE_COUNT, &self.object.path, place, format!("{present}"), expected);
        }
    }

    fn code(&mut self, item: &InMemDicomObject, place: &[Tag]) {
        let value = [tags::CODE_VALUE, tags::LONG_CODE_VALUE, tags::URN_CODE_VALUE];
        let has = |tag| text(item, tag).is_some();
        let urn = has(tags::URN_CODE_VALUE);
        if !value.into_iter().any(has) || !has(tags::CODE_MEANING) || !(urn || has(tags::CODING_SCHEME_DESIGNATOR)) {
            let found = shown(item, tags::CODE_VALUE);
            self.report.add(&rules::CODE_ITEM, &self.object.path, place, found);
        }
    }
}

/// Sequences of codes bear the word in their name.
fn is_code_sequence(tag: Tag) -> bool {
    StandardDataDictionary.by_tag(tag).is_some_and(|entry| entry.alias.ends_with("CodeSequence"))
}

fn legal_vr(tag: Tag, vr: VR) -> bool {
    let Some(entry) = StandardDataDictionary.by_tag(tag) else { return true };
    if vr == VR::UN {
        return true;
    }
    match entry.vr {
        VirtualVr::Exact(exact) => exact == vr,
        VirtualVr::Xs => matches!(vr, VR::US | VR::SS),
        VirtualVr::Ox | VirtualVr::Px => matches!(vr, VR::OB | VR::OW),
        VirtualVr::Lt => matches!(vr, VR::US | VR::SS | VR::OW),
        _ => true,
    }
}

/// The rule that one value breaks, if any.
fn broken(vr: VR, value: &str, extended: bool) -> Option<&'static Rule> {
    if value.is_empty() {
        return None;
    }
    let length = value.chars().count();
    let form = |fits: bool, rule: &'static Rule| (!fits).then_some(rule);
    let textual = |longest: usize, multiline: bool| {
        let legal = |c: char| {
            (!c.is_control() || (multiline && matches!(c, '\r' | '\n' | '\t' | '\x0c')) || c == '\x1b')
                && (extended || c.is_ascii())
        };
        form(length <= longest, &rules::TEXT_LENGTH).or(form(value.chars().all(legal), &rules::TEXT_CHARACTERS))
    };
    match vr {
        VR::UI => form(is_uid(value), &rules::UID_FORM),
        VR::DS => form(length <= 16 && is_decimal(value), &rules::DS_FORM),
        VR::IS => form(length <= 12 && value.parse::<i32>().is_ok(), &rules::IS_FORM),
        VR::CS => form(length <= 16 && value.chars().all(is_code), &rules::CS_FORM),
        VR::DA => form(is_date(value), &rules::DATE_FORM),
        VR::TM => form(is_time(value), &rules::TIME_FORM),
        VR::DT => form(is_datetime(value), &rules::DATETIME_FORM),
        VR::AS => form(is_age(value), &rules::AGE_FORM),
        VR::LO => textual(64, false),
        VR::SH => textual(16, false),
        VR::AE => textual(16, false),
        VR::PN => value
            .split('=')
            .find_map(|group| form(group.chars().count() <= 64, &rules::TEXT_LENGTH))
            .or(textual(usize::MAX, false)),
        VR::ST => textual(1024, true),
        VR::LT => textual(10240, true),
        VR::UT => textual(usize::MAX, true),
        _ => None,
    }
}

fn is_uid(value: &str) -> bool {
    let component = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    value.len() <= 64 && value.split('.').all(component)
}

fn is_decimal(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) && value.parse::<f64>().is_ok()
}

fn is_code(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ' || c == '_'
}

fn digits(value: &str) -> Option<u32> {
    value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

fn is_date(value: &str) -> bool {
    // The dotted form of the standard's predecessor is still legal to read.
    let plain = value.replace('.', "");
    if plain.len() != 8 || !(value.len() == 8 || value.len() == 10) || !plain.is_ascii() {
        return false;
    }
    let (Some(year), Some(month), Some(day)) = (digits(&plain[..4]), digits(&plain[4..6]), digits(&plain[6..])) else {
        return false;
    };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn is_time(value: &str) -> bool {
    let (whole, fraction) = value.split_once('.').map_or((value, None), |(a, b)| (a, Some(b)));
    let whole = whole.replace(':', "");
    let fits = |at: usize, most: u32| whole.get(at..at + 2).is_none_or(|part| digits(part).is_some_and(|n| n <= most));
    let fraction_fits = fraction.is_none_or(|f| whole.len() == 6 && (1..=6).contains(&f.len()) && digits(f).is_some());
    matches!(whole.len(), 2 | 4 | 6) && whole.is_ascii() && fits(0, 23) && fits(2, 59) && fits(4, 60) && fraction_fits
}

fn is_datetime(value: &str) -> bool {
    let (local, offset) = match value.rfind(['+', '-']) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    };
    let offset_fits = offset.is_none_or(|o| o.len() == 4 && digits(o).is_some_and(|n| n <= 1400));
    let date_fits = match local.len() {
        4 => digits(local).is_some(),
        6 => is_date(&format!("{local}01")),
        _ => local.get(..8).is_some_and(is_date),
    };
    let time = local.get(8..).unwrap_or_default();
    offset_fits && date_fits && (time.is_empty() || is_time(time))
}

fn is_age(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.len() == 4 && bytes[..3].iter().all(u8::is_ascii_digit) && b"DWMY".contains(&bytes[3])
}

/// Private attributes stand in blocks that a creator reserves.
fn private_creators(object: &Object, report: &mut Report) {
    for element in &object.data {
        let tag = element.tag();
        if tag.group() % 2 == 0 || tag.element() < 0x1000 {
            continue;
        }
        let creator = Tag(tag.group(), tag.element() >> 8);
        if text(&object.data, creator).is_none() {
            report.add(&rules::PRIVATE_CREATOR, &object.path, &[tag], format!("no {creator}"));
        }
    }
}

/// Schemes of derivation and equipment codes that begin with 99 are declared.
fn coding_schemes(object: &Object, report: &mut Report) {
    let declared: Vec<String> = items_of(&object.data, tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE)
        .iter()
        .filter_map(|item| text(item, tags::CODING_SCHEME_DESIGNATOR))
        .collect();
    if !object.ours && declared.is_empty() {
        return;
    }
    for sequence in [tags::DERIVATION_CODE_SEQUENCE, tags::PROCEDURE_CODE_SEQUENCE] {
        for item in items_of(&object.data, sequence) {
            let scheme = text(&item, tags::CODING_SCHEME_DESIGNATOR).unwrap_or_default();
            if scheme.starts_with("99") && !declared.contains(&scheme) {
                report.add(&rules::SCHEME, &object.path, &[sequence], scheme);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_each_representation_are_told_from_others() {
        for (vr, good, bad) in [
            (VR::UI, "1.2.840.0.1", "1.02.3"),
            (VR::UI, "2.25.1", "2..25"),
            (VR::UI, "1.2", "1.2a"),
            (VR::DS, "-1.5e-3", "1,5"),
            (VR::DS, "0.33333333333333", "0.333333333333333"),
            (VR::DS, "1", "inf"),
            (VR::IS, "-12", "1.0"),
            (VR::IS, "2147483647", "2147483648"),
            (VR::CS, "AXIAL_2 X", "axial"),
            (VR::DA, "20240229", "20230229"),
            (VR::DA, "1998.01.31", "19981301"),
            (VR::TM, "235960.123456", "240000"),
            (VR::TM, "1015", "101"),
            (VR::DT, "20240229101500.5+0100", "20240230"),
            (VR::DT, "2024", "20241"),
            (VR::AS, "034Y", "34Y"),
            (VR::SH, "sixteen letters.", "seventeen letters"),
            (VR::LO, "plain", "two\nlines"),
            (VR::LO, "plain", "naïve"),
            (VR::ST, "two\r\nlines", "bell\x07"),
        ] {
            assert!(broken(vr, good, false).is_none(), "{vr} {good}");
            assert!(broken(vr, bad, false).is_some(), "{vr} {bad}");
        }
        assert!(broken(VR::LO, "naïve", true).is_none());
    }
}
