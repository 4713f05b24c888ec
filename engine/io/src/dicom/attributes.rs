//! Short ways to read and to put attributes.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

/// Text without padding; `None` when absent or empty.
pub(crate) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?.trim_matches([' ', '\0']).to_owned();
    (!text.is_empty()).then_some(text)
}

/// All values of a text attribute; empty when absent.
pub(crate) fn texts(object: &InMemDicomObject, tag: Tag) -> Vec<String> {
    let whole = text(object, tag).unwrap_or_default();
    if whole.is_empty() { Vec::new() } else { whole.split('\\').map(|part| part.trim().to_owned()).collect() }
}

/// Exactly `N` finite numbers; `None` when absent or anything else.
pub(crate) fn numbers<const N: usize>(object: &InMemDicomObject, tag: Tag) -> Option<[f64; N]> {
    let values = object.get(tag)?.to_multi_float64().ok()?;
    values.iter().all(|v| v.is_finite()).then_some(())?;
    values.try_into().ok()
}

/// One finite number, the first of several.
pub(crate) fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    object.get(tag)?.to_float64().ok().filter(|v| v.is_finite())
}

/// One whole number, the first of several.
pub(crate) fn whole<T: TryFrom<i64>>(object: &InMemDicomObject, tag: Tag) -> Option<T> {
    T::try_from(object.get(tag)?.to_int::<i64>().ok()?).ok()
}

/// Puts text of the given VR; several values are joined by backslashes.
pub(crate) fn put(object: &mut InMemDicomObject, tag: Tag, vr: VR, text: impl Into<String>) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(text.into())));
}

/// Puts an attribute without a value (type 2, unknown).
pub(crate) fn put_empty(object: &mut InMemDicomObject, tag: Tag, vr: VR) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::Empty));
}

/// Puts an unsigned short.
pub(crate) fn put_u16(object: &mut InMemDicomObject, tag: Tag, value: u16) {
    object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
}

/// Puts numbers as decimal strings.
pub(crate) fn put_decimals(object: &mut InMemDicomObject, tag: Tag, values: &[f64]) {
    put(object, tag, VR::DS, values.iter().map(|&v| decimal(v)).collect::<Vec<_>>().join("\\"));
}

/// Puts a sequence.
pub(crate) fn put_items(object: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    object.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

/// An item of a code sequence.
pub(crate) fn code(value: &str, scheme: &str, meaning: &str) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::CODE_VALUE, VR::SH, value);
    put(&mut item, tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme);
    put(&mut item, tags::CODE_MEANING, VR::LO, meaning);
    item
}

/// The number in at most 16 characters (VR DS) with as many digits as fit.
pub(crate) fn decimal(value: f64) -> String {
    let value = if value == 0.0 { 0.0 } else { value };
    let shortest = format!("{value}");
    if shortest.len() <= 16 {
        return shortest;
    }
    let fixed = (0..=15).rev().map(|digits| format!("{value:.digits$}"));
    let scientific = (0..=15).rev().map(|digits| format!("{value:.digits$e}"));
    let error = |text: &String| (text.parse::<f64>().unwrap_or(f64::INFINITY) - value).abs();
    let fits = |text: &String| text.len() <= 16;
    let best = [fixed.into_iter().find(fits), scientific.into_iter().find(fits)];
    best.into_iter().flatten().min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or_else(|| "0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_keep_as_many_digits_as_sixteen_characters_hold() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (2.5, "2.5"),
            (1.0 / 3.0, "0.33333333333333"),
            (-1.0 / 3.0, "-0.3333333333333"),
            (123456.7890123456, "123456.789012346"),
            (-1.2345678901234567e-9, "-1.2345678901e-9"),
        ] {
            let text = decimal(value);
            assert!(text.len() <= 16, "{text}");
            assert_eq!(text.parse::<f64>().unwrap(), expected.parse::<f64>().unwrap(), "{text}");
        }
    }
}
