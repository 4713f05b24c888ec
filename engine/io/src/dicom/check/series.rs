//! How the files of one series, and the series of one study, fit together.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{Member, Report, Rule, rules, shown};
use crate::Warning;
use crate::dicom::attributes::text;
use crate::dicom::frames::{Plane, planes};
use crate::dicom::group::group;
use crate::dicom::header::Slice;
use crate::dicom::stack::distance_along_normal;

pub(crate) fn check(objects: &[Member], report: &mut Report) {
    repeated_uids(objects, report);
    for series in by(objects, |object| object.slice.series.clone()).values() {
        same_throughout(series, report);
        instance_numbers(series, report);
        own_series(series, report);
        positions(series, report);
    }
    let study = |object: &Member| text(&object.data, tags::STUDY_INSTANCE_UID).unwrap_or_default();
    for study in by(objects, study).values() {
        unlike_first(study, tags::PATIENT_ID, &rules::SERIES_PATIENT, report);
    }
}

/// Groups by a key; objects without it belong to nothing.
fn by(objects: &[Member], key: impl Fn(&Member) -> String) -> BTreeMap<String, Vec<&Member>> {
    let mut groups: BTreeMap<String, Vec<&Member>> = BTreeMap::new();
    for object in objects {
        groups.entry(key(object)).or_default().push(object);
    }
    groups.remove("");
    groups
}

fn repeated_uids(objects: &[Member], report: &mut Report) {
    for same in by(objects, |object| object.slice.sop_instance.clone()).values() {
        for object in &same[1..] {
            let tag = tags::SOP_INSTANCE_UID;
            report.add(&rules::DUPLICATE_UID, &object.path, &[tag], shown(&object.data, tag));
        }
    }
}

fn unlike_first(objects: &[&Member], tag: Tag, rule: &'static Rule, report: &mut Report) {
    let first = text(&objects[0].data, tag);
    for object in objects.iter().filter(|object| text(&object.data, tag) != first) {
        report.add(rule, &object.path, &[tag], shown(&object.data, tag));
    }
}

fn same_throughout(series: &[&Member], report: &mut Report) {
    unlike_first(series, tags::MODALITY, &rules::MIXED_MODALITY, report);
    unlike_first(series, tags::FRAME_OF_REFERENCE_UID, &rules::MIXED_FRAME, report);
    unlike_first(series, tags::STUDY_INSTANCE_UID, &rules::MIXED_STUDY, report);
    let ours: Vec<&Member> = series.iter().copied().filter(|object| object.ours).collect();
    let Some(first) = ours.first() else { return };
    for object in &ours {
        if (object.slice.rows, object.slice.columns) != (first.slice.rows, first.slice.columns) {
            let found = format!("{} x {}", object.slice.rows, object.slice.columns);
            report.add(&rules::MIXED_SIZE, &object.path, &[tags::ROWS], found);
        }
        let unlike = |tag| text(&object.data, tag) != text(&first.data, tag);
        for tag in [tags::IMAGE_ORIENTATION_PATIENT, tags::PIXEL_SPACING].into_iter().filter(|&tag| unlike(tag)) {
            report.add(&rules::MIXED_ORIENTATION, &object.path, &[tag], shown(&object.data, tag));
        }
    }
}

fn instance_numbers(series: &[&Member], report: &mut Report) {
    let mut seen: BTreeMap<i32, ()> = BTreeMap::new();
    for object in series {
        let repeated = object.slice.instance_number.is_some_and(|number| seen.insert(number, ()).is_some());
        if repeated {
            let tag = tags::INSTANCE_NUMBER;
            report.add(&rules::DUPLICATE_NUMBER, &object.path, &[tag], shown(&object.data, tag));
        }
    }
}

/// Our images never share a series with the images that they come from.
fn own_series(series: &[&Member], report: &mut Report) {
    let here: BTreeSet<&str> = series.iter().map(|object| object.slice.sop_instance.as_str()).collect();
    for object in series.iter().filter(|object| object.ours) {
        if object.sources.iter().any(|uid| *uid != object.slice.sop_instance && here.contains(uid.as_str())) {
            let tag = tags::SERIES_INSTANCE_UID;
            report.add(&rules::MIXED_TYPE, &object.path, &[tag], "the series of a source image");
        }
    }
}

fn positions(series: &[&Member], report: &mut Report) {
    let single = series.iter().map(|object| &object.slice).filter(|slice| slice.frames() == 1 && slice.is_image());
    let planes: Vec<Plane> = single.filter_map(|slice| planes(slice.clone()).ok()).flatten().collect();
    for volume in group(planes) {
        for warning in &volume.warnings {
            if let Warning::CopiedSlice { path, .. } = warning {
                let tag = tags::IMAGE_POSITION_PATIENT;
                report.add(&rules::DUPLICATE_POSITION, path, &[tag], "that of another file with the same pixels");
            }
        }
        // Files that repeat a SOP Instance UID are told of already.
        let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
        let unique = volume.planes.iter().filter(|plane| seen.insert(&plane.file.sop_instance, ()).is_none());
        let mut placed: Vec<(f64, &Slice)> =
            unique.filter_map(|plane| distance_along_normal(plane).map(|mm| (mm, &*plane.file))).collect();
        placed.sort_by(|(a, p), (b, q)| a.total_cmp(b).then_with(|| p.path.cmp(&q.path)));
        gaps(&placed, report);
        for warning in &volume.warnings {
            if let Warning::CopiedSlice { path, of } = warning {
                let found = format!("the position and pixels of {}", of.display());
                report.add(&rules::DUPLICATE_POSITION, path, &[tags::IMAGE_POSITION_PATIENT], found);
            }
        }
        let ours = series.iter().any(|object| object.ours);
        let falls = |pair: &[(f64, &Slice)]| pair[1].1.instance_number < pair[0].1.instance_number;
        if let Some(pair) = placed.windows(2).find(|pair| ours && falls(pair)) {
            let found = format!("{:?}", pair[1].1.instance_number.unwrap_or_default());
            report.add(&rules::UNSORTED, &pair[1].1.path, &[tags::INSTANCE_NUMBER], found);
        }
    }
}

fn gaps(placed: &[(f64, &Slice)], report: &mut Report) {
    const SAME_MM: f64 = 1e-3;
    let tag = tags::IMAGE_POSITION_PATIENT;
    let mut gaps: Vec<(f64, &Slice)> = Vec::new();
    for pair in placed.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        if gap < SAME_MM {
            report.add(&rules::DUPLICATE_POSITION, &pair[1].1.path, &[tag], format!("{:.3} mm again", pair[1].0));
        } else {
            gaps.push((gap, pair[1].1));
        }
    }
    let mut sorted: Vec<f64> = gaps.iter().map(|(gap, _)| *gap).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(&usual) = sorted.get(sorted.len().saturating_sub(1) / 2) else { return };
    let tolerance = (0.01 * usual).max(0.01);
    for (gap, slice) in gaps.into_iter().filter(|(gap, _)| (gap - usual).abs() > tolerance) {
        let expected = format!("a gap of {usual:.3} mm");
        report.add_expecting(&rules::UNEVEN, &slice.path, &[tag], format!("{gap:.3} mm"), expected);
    }
}
