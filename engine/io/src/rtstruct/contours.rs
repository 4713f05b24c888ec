use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::Error;
use crate::dicom::{Slice, whole};

/// Points of a contour, LPS mm.
pub(crate) type Contour = Vec<[f64; 3]>;

/// Reads Contour Data (3006,0050).
pub(crate) fn read(slice: &Slice, item: &InMemDicomObject) -> Result<Contour, Error> {
    let wrong = |found: String| slice.malformed("Contour Data", "three finite numbers per point", found);
    let Some(element) = item.get(tags::CONTOUR_DATA) else { return Ok(Vec::new()) };
    let numbers = element.to_multi_float64().map_err(|_| wrong("text that is no number".to_owned()))?;
    if numbers.len() % 3 != 0 {
        return Err(wrong(format!("{} numbers", numbers.len())));
    }
    if numbers.iter().any(|x| !x.is_finite() || x.abs() > 1e9) {
        return Err(wrong("a number out of range".to_owned()));
    }
    let points: Contour = numbers.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
    let told: Option<usize> = whole(item, tags::NUMBER_OF_CONTOUR_POINTS);
    match told {
        Some(told) if told != points.len() => Err(slice.malformed(
            "Number of Contour Points",
            "the number of points",
            format!("{told}, not {}", points.len()),
        )),
        _ => Ok(points),
    }
}

/// Drops contours that repeat an earlier one point by point: under even-odd filling a pair would cancel out.
pub(crate) fn drop_repeated(contours: &mut Vec<Contour>) {
    let bits = |contour: &Contour| contour.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut seen = std::collections::BTreeSet::new();
    contours.retain(|contour| seen.insert(bits(contour)));
}
