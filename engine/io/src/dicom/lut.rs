//! From stored values to intensities: slope and intercept, a dose scale, or a Modality LUT Sequence.

use std::sync::Arc;

use dicom_core::header::HasLength;
use dicom_core::value::Value;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::attributes::number;
use super::header::Slice;
use crate::Error;

/// The modality transformation of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rescale {
    Linear { slope: f64, intercept: f64 },
    Table(Table),
}

/// Intensities of consecutive stored values; values before the first take the first intensity, those behind the last
/// the last (PS3.3 C.11.1.1.1).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    first: i64,
    values: Arc<Vec<u16>>,
}

impl Table {
    pub(crate) fn intensity(&self, stored: i64) -> f32 {
        let at = (stored - self.first).clamp(0, self.values.len() as i64 - 1);
        f32::from(self.values[at as usize])
    }
}

impl Rescale {
    pub(crate) const NONE: Self = Self::Linear { slope: 1.0, intercept: 0.0 };

    /// The transformation of a plane if it has its own, else that which the data set itself tells: a table, slope and
    /// intercept, a dose scale, or none.
    pub(crate) fn of(slice: &Slice) -> Result<Self, Error> {
        if let Some(rescale) = &slice.rescale {
            return Ok(rescale.clone());
        }
        Ok(Self::of_item(&slice.object, slice)?.unwrap_or(Self::NONE))
    }

    /// The transformation in `item`: the data set or an item of a Pixel Value Transformation Sequence; `None` when it
    /// tells none. `slice` names the file in errors.
    pub(crate) fn of_item(item: &InMemDicomObject, slice: &Slice) -> Result<Option<Self>, Error> {
        if let Some(element) = item.get(tags::MODALITY_LUT_SEQUENCE)
            && let Some(lut) = element.items().and_then(<[InMemDicomObject]>::first)
        {
            return table(lut, slice).map(|table| Some(Self::Table(table)));
        }
        let told = |tag, field| match item.get(tag) {
            None => Ok(None),
            Some(element) if element.is_empty() => Ok(None),
            Some(_) => number(item, tag).map(Some).ok_or_else(|| slice.malformed(field, "a number", "something else")),
        };
        let slope = told(tags::RESCALE_SLOPE, "Rescale Slope")?;
        let intercept = told(tags::RESCALE_INTERCEPT, "Rescale Intercept")?;
        let dose = told(tags::DOSE_GRID_SCALING, "Dose Grid Scaling")?;
        let (slope, intercept) = match (slope, intercept, dose) {
            (None, None, None) => return Ok(None),
            (None, None, Some(dose)) => (dose, 0.0),
            (slope, intercept, _) => (slope.unwrap_or(1.0), intercept.unwrap_or(0.0)),
        };
        if slope == 0.0 {
            return Err(slice.malformed("Rescale Slope", "a number other than 0", slope));
        }
        Ok(Some(Self::Linear { slope, intercept }))
    }
}

fn table(lut: &InMemDicomObject, slice: &Slice) -> Result<Table, Error> {
    let wrong = |field, expected| slice.malformed(field, expected, "something else");
    let descriptor = lut
        .get(tags::LUT_DESCRIPTOR)
        .and_then(|element| element.to_multi_int::<i64>().ok())
        .filter(|values| values.len() == 3)
        .ok_or_else(|| wrong("LUT Descriptor", "three whole numbers"))?;
    let [count, first, bits] = [descriptor[0], descriptor[1], descriptor[2]];
    let count = match count & 0xFFFF {
        0 => 65536,
        count => count as usize,
    };
    if !(1..=16).contains(&bits) {
        return Err(slice.malformed("LUT Descriptor", "1 to 16 bits per entry", bits));
    }
    let signed = super::attributes::whole::<u16>(&slice.object, tags::PIXEL_REPRESENTATION) == Some(1);
    let first = if signed { i64::from(first as u16 as i16) } else { first & 0xFFFF };
    let data = lut.get(tags::LUT_DATA).ok_or_else(|| wrong("LUT Data", "as many entries as the descriptor tells"))?;
    let values =
        entries(data, count, bits).ok_or_else(|| wrong("LUT Data", "as many entries as the descriptor tells"))?;
    Ok(Table { first, values: Arc::new(values) })
}

/// Entries of a table: words, or bytes when the data are just as long as the table.
fn entries(data: &InMemElement, count: usize, bits: i64) -> Option<Vec<u16>> {
    let Value::Primitive(primitive) = data.value() else { return None };
    let mask = (((1u32 << bits) - 1) & 0xFFFF) as u16;
    if let Ok(words) = primitive.uint16_slice() {
        return (words.len() >= count).then(|| words[..count].iter().map(|&word| word & mask).collect());
    }
    let bytes = primitive.to_bytes();
    if bytes.len() >= 2 * count {
        let words = bytes.chunks_exact(2).take(count);
        return Some(words.map(|pair| u16::from_le_bytes([pair[0], pair[1]]) & mask).collect());
    }
    (bits <= 8 && bytes.len() >= count).then(|| bytes[..count].iter().map(|&byte| u16::from(byte) & mask).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_a_table_take_its_ends() {
        let table = Table { first: -2, values: Arc::new(vec![10, 20, 40]) };
        assert_eq!([-9, -2, -1, 0, 5].map(|stored| table.intensity(stored)), [10.0, 10.0, 20.0, 40.0, 40.0]);
    }
}
