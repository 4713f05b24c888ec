//! Frames of multi-frame objects: functional groups, dimensions, segments.

use std::collections::BTreeSet;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::groups::Group;
use super::iods::{iod_of, require};
use super::{Object, Report, rules, shown};
use crate::dicom::attributes::{text, whole};
use crate::dicom::derive::items_of;

pub(crate) fn check(object: &Object, report: &mut Report) {
    let data = &object.data;
    let frames = items_of(data, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if frames.is_empty() {
        return;
    }
    let count = object.slice.frames();
    if frames.len() != count {
        let (tag, expected) = (tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, format!("{count} items"));
        report.add_expecting(&rules::FRAME_COUNT, &object.path, &[tag], format!("{} items", frames.len()), expected);
    }
    let shared = items_of(data, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    for group in iod_of(data).map(|iod| iod.groups).unwrap_or_default() {
        if (group.when)(data) {
            functional_group(group, shared.first(), &frames, object, report);
        }
    }
    dimensions(&frames, object, report);
    segments(shared.first(), &frames, object, report);
}

fn functional_group(
    group: &Group,
    shared: Option<&InMemDicomObject>,
    frames: &[InMemDicomObject],
    object: &Object,
    report: &mut Report,
) {
    let (all, each) = (tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let shared_items = shared.map(|item| items_of(item, group.sequence)).unwrap_or_default();
    let is_shared = !shared_items.is_empty();
    if is_shared && !group.per_frame {
        let place = [all, group.sequence];
        shared_items.iter().for_each(|item| require(item, group.rows, &place, "PS3.3 C.7.6.16.2", object, report));
    }
    let (mut missing, mut twice) = (0, 0);
    for frame in frames {
        let items = items_of(frame, group.sequence);
        missing += usize::from(items.is_empty() && (!is_shared || group.per_frame));
        twice += usize::from(!items.is_empty() && is_shared);
        let place = [each, group.sequence];
        items.iter().for_each(|item| require(item, group.rows, &place, "PS3.3 C.7.6.16.2", object, report));
    }
    if missing > 0 {
        let found = format!("{missing} frames without it");
        report.add(&rules::FRAME_GROUP, &object.path, &[each, group.sequence], found);
    }
    if twice > 0 {
        let found = format!("shared and in {twice} frames");
        report.add(&rules::FRAME_GROUP_TWICE, &object.path, &[each, group.sequence], found);
    }
}

fn dimensions(frames: &[InMemDicomObject], object: &Object, report: &mut Report) {
    let declared: Vec<_> = items_of(&object.data, tags::DIMENSION_ORGANIZATION_SEQUENCE)
        .iter()
        .filter_map(|item| text(item, tags::DIMENSION_ORGANIZATION_UID))
        .collect();
    let indices = items_of(&object.data, tags::DIMENSION_INDEX_SEQUENCE);
    let (sequence, tag) = (tags::DIMENSION_INDEX_SEQUENCE, tags::DIMENSION_ORGANIZATION_UID);
    if indices.iter().any(|item| text(item, tag).is_some_and(|uid| !declared.contains(&uid))) {
        report.add(&rules::DIMENSION_ORGANIZATION, &object.path, &[sequence, tag], "another");
    }
    if indices.is_empty() {
        return;
    }
    let place =
        [tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, tags::FRAME_CONTENT_SEQUENCE, tags::DIMENSION_INDEX_VALUES];
    let mut seen = BTreeSet::new();
    let (mut unfit, mut repeated) = (0, 0);
    for frame in frames {
        let content = items_of(frame, place[1]);
        let values =
            content.first().and_then(|item| item.get(place[2])?.to_multi_int::<u32>().ok()).unwrap_or_default();
        unfit += usize::from(values.len() != indices.len() || values.contains(&0));
        repeated += usize::from(!seen.insert(values));
    }
    if unfit > 0 {
        let expected = format!("{} values from 1 in each frame", indices.len());
        report.add_expecting(&rules::DIMENSIONS, &object.path, &place, format!("{unfit} frames with others"), expected);
    } else if repeated > 0 {
        report.add(&rules::FRAME_POSITION, &object.path, &place, format!("{repeated} frames at the place of another"));
    }
}

fn segments(shared: Option<&InMemDicomObject>, frames: &[InMemDicomObject], object: &Object, report: &mut Report) {
    let data = &object.data;
    let described: Vec<i64> =
        items_of(data, tags::SEGMENT_SEQUENCE).iter().filter_map(|item| whole(item, tags::SEGMENT_NUMBER)).collect();
    if described.is_empty() {
        return;
    }
    let place = [tags::SEGMENT_SEQUENCE, tags::SEGMENT_NUMBER];
    if !described.iter().zip(1..).all(|(&number, expected)| number == expected) {
        report.add(&rules::SEGMENT_NUMBERS, &object.path, &place, format!("{described:?}"));
    }
    let number = |item: &InMemDicomObject| -> Option<i64> {
        let identification = items_of(item, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
        whole(identification.first()?, tags::REFERENCED_SEGMENT_NUMBER)
    };
    let place: [Tag; 2] = [tags::SEGMENT_IDENTIFICATION_SEQUENCE, tags::REFERENCED_SEGMENT_NUMBER];
    let shown_segments = shared.into_iter().chain(frames).filter_map(number);
    if let Some(unknown) = shown_segments.into_iter().find(|number| !described.contains(number)) {
        report.add(&rules::SEGMENT_REFERENCE, &object.path, &place, unknown.to_string());
    }
    let bits: Option<i64> = whole(data, tags::BITS_ALLOCATED);
    if text(data, tags::SEGMENTATION_TYPE).as_deref() == Some("BINARY") && bits != Some(1) {
        report.add(&rules::SEGMENT_BITS, &object.path, &[tags::BITS_ALLOCATED], shown(data, tags::BITS_ALLOCATED));
    }
}
