//! Orientation and distances of the pixels.

use dicom_core::Tag;
use dicom_core::header::HasLength;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::{Object, Report, rules, shown};
use crate::dicom::attributes::numbers;
use crate::dicom::derive::items_of;

pub(crate) fn check(object: &Object, report: &mut Report) {
    plane(&object.data, &[], object, report);
    for groups in [tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE] {
        for item in items_of(&object.data, groups) {
            for inner in [tags::PLANE_ORIENTATION_SEQUENCE, tags::PIXEL_MEASURES_SEQUENCE] {
                items_of(&item, inner)
                    .iter()
                    .for_each(|plane_item| plane(plane_item, &[groups, inner], object, report));
            }
        }
    }
}

fn plane(data: &InMemDicomObject, place: &[Tag], object: &Object, report: &mut Report) {
    let at = |tag: Tag| place.iter().copied().chain([tag]).collect::<Vec<_>>();
    let tag = tags::IMAGE_ORIENTATION_PATIENT;
    if data.get(tag).is_some_and(|element| !element.is_empty())
        && !numbers::<6>(data, tag).is_some_and(|directions| is_orthonormal(&directions))
    {
        report.add(&rules::ORIENTATION, &object.path, &at(tag), shown(data, tag));
    }
    for tag in [tags::PIXEL_SPACING, tags::IMAGER_PIXEL_SPACING] {
        let present = data.get(tag).is_some_and(|element| !element.is_empty());
        if present && !numbers::<2>(data, tag).is_some_and(|spacing| spacing.iter().all(|&mm| mm > 0.0)) {
            report.add(&rules::SPACING, &object.path, &at(tag), shown(data, tag));
        }
    }
}

/// Within the 1e-4 that decimal strings of six digits leave.
fn is_orthonormal([a, b, c, d, e, f]: &[f64; 6]) -> bool {
    let near = |value: f64, target: f64| (value - target).abs() < 1e-3;
    near(a * a + b * b + c * c, 1.0) && near(d * d + e * e + f * f, 1.0) && near(a * d + b * e + c * f, 0.0)
}
