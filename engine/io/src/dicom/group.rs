//! Tells the volumes of a heap of files apart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::attributes::whole;
use super::copies::copies;
use super::frames::{FRAME_VECTORS, Plane};
use super::samples::Layout;
use super::stack::distance_along_normal;
use crate::{SeriesKind, SeriesSummary, Warning};

/// The planes of one volume and their description.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) summary: SeriesSummary,
    pub(crate) planes: Vec<Plane>,
    /// Files that were dropped because others hold the same.
    pub(crate) warnings: Vec<Warning>,
}

/// Positions closer than this are the same slice position, mm.
pub(crate) const SAME_POSITION_MM: f64 = 1e-3;

/// Attributes by which one series holds several volumes on the same positions, in the order they are tried.
const PARTS: [(Tag, &str); 26] = [
    (tags::TEMPORAL_POSITION_IDENTIFIER, "temporal position"),
    (tags::TEMPORAL_POSITION_INDEX, "temporal position"),
    (tags::TEMPORAL_POSITION_TIME_OFFSET, "time offset"),
    (tags::ECHO_NUMBERS, "echo"),
    (tags::ECHO_TIME, "echo time"),
    (tags::EFFECTIVE_ECHO_TIME, "echo time"),
    (tags::IMAGE_TYPE, "image type"),
    (tags::FRAME_TYPE, "image type"),
    (tags::COMPLEX_IMAGE_COMPONENT, "component"),
    (tags::ACQUISITION_NUMBER, "acquisition"),
    (tags::FRAME_ACQUISITION_NUMBER, "acquisition"),
    (tags::DIFFUSION_B_VALUE, "b-value"),
    (tags::DIFFUSION_GRADIENT_ORIENTATION, "gradient"),
    (tags::TRIGGER_TIME, "trigger time"),
    (tags::NOMINAL_CARDIAC_TRIGGER_DELAY_TIME, "trigger time"),
    (tags::INVERSION_TIME, "inversion time"),
    (tags::INVERSION_TIMES, "inversion time"),
    (tags::FLIP_ANGLE, "flip angle"),
    (tags::DIMENSION_INDEX_VALUES, "dimension index"),
    (tags::FRAME_REFERENCE_TIME, "reference time"),
    (tags::ACQUISITION_DATE_TIME, "acquisition time"),
    (tags::ACQUISITION_TIME, "acquisition time"),
    (tags::FRAME_ACQUISITION_DATE_TIME, "acquisition time"),
    (tags::RESCALE_TYPE, "rescale type"),
    (tags::SERIES_TIME, "series time"),
    (tags::CONTENT_TIME, "content time"),
];

/// Words for [`FRAME_VECTORS`], in their order.
const VECTOR_NAMES: [&str; FRAME_VECTORS.len()] =
    ["energy window", "detector", "phase", "rotation", "R-R interval", "time slot", "time slice", "view"];

/// Groups planes into volumes: by series, size, orientation, pixel spacing, stack and channel; then, where several planes
/// share a position, by what tells them apart. Localisers are left out when there is anything else.
pub(crate) fn group(planes: Vec<Plane>) -> Vec<Group> {
    let localisers_only = planes.iter().all(is_localiser);
    let mut series: BTreeMap<SeriesKey, Vec<Vec<Plane>>> = BTreeMap::new();
    for plane in planes.into_iter().filter(|plane| localisers_only || !is_localiser(plane)) {
        let stacks = series.entry(SeriesKey::of(&plane)).or_default();
        // Planes mostly come in the order of their files, so that the last stack is the likely one.
        match stacks.iter_mut().rev().find(|stack| same_grid(&stack[0], &plane)) {
            Some(stack) => stack.push(plane),
            None => stacks.push(vec![plane]),
        }
    }
    let mut groups: Vec<Group> = series.into_values().flatten().flat_map(groups_of).collect();
    number_volumes(&mut groups);
    groups
}

/// What the planes of a stack share exactly.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SeriesKey {
    series: String,
    number: Option<i32>,
    size: [usize; 2],
    channel: usize,
    tiled: bool,
    multi_frame: bool,
    vectors: [Option<u16>; FRAME_VECTORS.len()],
    stack: Option<String>,
}

impl SeriesKey {
    fn of(plane: &Plane) -> Self {
        let file = &plane.file;
        Self {
            series: file.series.clone(),
            number: whole(&file.object, tags::SERIES_NUMBER),
            size: [plane.columns, plane.rows],
            channel: plane.channel,
            tiled: plane.tile.is_some(),
            multi_frame: file.frames() > 1,
            vectors: plane.vectors,
            stack: plane.text(tags::STACK_ID),
        }
    }
}

fn same_grid(a: &Plane, b: &Plane) -> bool {
    let close = |p: &[f64], q: &[f64], tolerance: f64| p.iter().zip(q).all(|(x, y)| (x - y).abs() <= tolerance);
    let same_orientation = match (&a.orientation, &b.orientation) {
        (Some(p), Some(q)) => close(p.as_flattened(), q.as_flattened(), 1e-4),
        (None, None) => true,
        _ => false,
    };
    let same_spacing = match (&a.pixel_spacing, &b.pixel_spacing) {
        (Some(p), Some(q)) => close(p, q, 1e-4),
        (None, None) => true,
        _ => false,
    };
    same_orientation && same_spacing
}

fn is_localiser(plane: &Plane) -> bool {
    plane.file.image_type().iter().any(|word| word == "LOCALIZER")
}

/// The volumes of one stack, without the files that repeat a SOP Instance UID.
fn groups_of(stack: Vec<Plane>) -> Vec<Group> {
    let mut first: BTreeMap<(String, usize, Option<[usize; 2]>), usize> = BTreeMap::new();
    let mut unique = Vec::new();
    let mut twins = Vec::new();
    for plane in stack {
        let key = (plane.file.sop_instance.clone(), plane.frame, plane.tile);
        match first.get(&key) {
            Some(&of) if !key.0.is_empty() => twins.push((of, plane)),
            _ => {
                first.insert(key, unique.len());
                unique.push((unique.len(), plane));
            }
        }
    }
    let mut twins_of: BTreeMap<usize, Vec<Plane>> = BTreeMap::new();
    for (of, twin) in twins {
        twins_of.entry(of).or_default().push(twin);
    }
    let channel = unique.first().and_then(|(_, plane)| channel_name(plane));
    let volumes = split(unique, Vec::new());
    let finish = |volume: Part| {
        let twins = volume.planes.iter().flat_map(|(index, _)| twins_of.get(index).into_iter().flatten());
        let mut dropped: BTreeMap<PathBuf, Warning> = twins
            .map(|twin| &twin.file.path)
            .map(|path| (path.clone(), Warning::DuplicateSlice { path: path.clone() }))
            .collect();
        dropped.extend(volume.copies);
        let planes: Vec<Plane> = volume.planes.into_iter().map(|(_, plane)| plane).collect();
        let names: Vec<String> = volume.names.into_iter().chain(channel.map(str::to_owned)).collect();
        let part = (!names.is_empty()).then(|| names.join(" "));
        let mut summary = describe(&planes, part);
        summary.paths.extend(dropped.keys().cloned());
        Group { summary, planes, warnings: dropped.into_values().collect() }
    };
    volumes.into_iter().map(finish).collect()
}

fn channel_name(plane: &Plane) -> Option<&'static str> {
    Layout::of(&plane.file).ok()?.channel_name(plane.channel)
}

/// Planes with their number in the stack, what told them from the others, and the copies that were dropped.
struct Part {
    names: Vec<String>,
    planes: Vec<Numbered>,
    copies: Vec<(PathBuf, Warning)>,
}

type Numbered = (usize, Plane);

fn split(mut planes: Vec<Numbered>, names: Vec<String>) -> Vec<Part> {
    let placed = planes.iter().all(|(_, plane)| distance_along_normal(plane).is_some());
    let named = |name: String| names.iter().cloned().chain([name]).collect::<Vec<_>>();
    if !placed {
        let several = planes.len() > 1;
        let part = |(i, plane)| {
            let names = if several { named(format!("image {}", i + 1)) } else { names.clone() };
            Part { names, planes: vec![plane], copies: Vec::new() }
        };
        return planes.into_iter().enumerate().map(part).collect();
    }
    planes.sort_by(|(_, a), (_, b)| {
        let by_distance = distance_along_normal(a).partial_cmp(&distance_along_normal(b));
        by_distance
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(a.file.instance_number.cmp(&b.file.instance_number))
            .then_with(|| a.file.path.cmp(&b.file.path))
            .then(a.frame.cmp(&b.frame))
    });
    let positions = position_numbers(&planes);
    let volumes = most_on_one_position(positions.iter().copied());
    let whole = |planes, copies| vec![Part { names: names.clone(), planes, copies }];
    if volumes <= 1 {
        return whole(planes, Vec::new());
    }
    if let Some((keys, name)) = keys_that_split(&planes, &positions, volumes) {
        let mut parts: BTreeMap<Option<Key>, Vec<Numbered>> = BTreeMap::new();
        for (plane, key) in planes.into_iter().zip(keys) {
            parts.entry(key).or_default().push(plane);
        }
        let part = |(key, planes): (Option<Key>, Vec<Numbered>)| {
            split(planes, named(format!("{name} {}", key.map_or("none".to_owned(), Key::label))))
        };
        return parts.into_iter().flat_map(part).collect();
    }
    let copies = copies(&planes, &positions);
    if !copies.is_empty() {
        planes.retain(|(_, plane)| !copies.contains_key(&plane.file.path));
        let mut parts = split(planes, names);
        if let Some(first) = parts.first_mut() {
            first.copies.extend(copies);
        }
        return parts;
    }
    // The order of acquisition tells volumes apart that no attribute names, if all have the same positions.
    let count = positions.last().map_or(0, |last| last + 1);
    if count * volumes != planes.len() {
        return whole(planes, Vec::new());
    }
    let mut parts: Vec<Vec<Numbered>> = (0..volumes).map(|_| Vec::with_capacity(count)).collect();
    planes.into_iter().enumerate().for_each(|(i, plane)| parts[i % volumes].push(plane));
    let part =
        |(i, planes)| Part { names: named(format!("volume {} of {volumes}", i + 1)), planes, copies: Vec::new() };
    parts.into_iter().enumerate().map(part).collect()
}

/// For each plane of a sorted stack the number of its position.
fn position_numbers(planes: &[Numbered]) -> Vec<usize> {
    let mut at = 0;
    let mut before = None;
    let number = |(_, plane): &Numbered| {
        let distance = distance_along_normal(plane).unwrap_or(0.0);
        if before.is_some_and(|before| distance - before >= SAME_POSITION_MM) {
            at += 1;
        }
        before = Some(distance);
        at
    };
    planes.iter().map(number).collect()
}

/// Largest number of planes on one position; positions in ascending order.
fn most_on_one_position(positions: impl Iterator<Item = usize>) -> usize {
    let count = |(most, run, last): (usize, usize, Option<usize>), position| {
        let run = if last == Some(position) { run + 1 } else { 1 };
        (most.max(run), run, Some(position))
    };
    positions.fold((0, 0, None), count).0
}

/// The first attribute that has no more values than there are volumes and leaves fewer planes on one position.
fn keys_that_split(
    planes: &[Numbered],
    positions: &[usize],
    volumes: usize,
) -> Option<(Vec<Option<Key>>, &'static str)> {
    PARTS.into_iter().find_map(|(tag, name)| {
        let keys: Vec<Option<Key>> = planes.iter().map(|(_, plane)| Key::of(plane, tag)).collect();
        let mut at: BTreeMap<&Option<Key>, Vec<usize>> = BTreeMap::new();
        for (key, &position) in keys.iter().zip(positions) {
            at.entry(key).or_default().push(position);
            if at.len() > volumes {
                return None;
            }
        }
        let left = at.values().map(|positions| most_on_one_position(positions.iter().copied())).max()?;
        // The time of writing tells volumes apart only if all are complete: a copied slice has its own time, too.
        let written = matches!(tag, tags::SERIES_TIME | tags::CONTENT_TIME);
        let alike = || at.values().all(|positions| positions.len() * at.len() == planes.len());
        (left < volumes && (!written || alike())).then_some((keys, name))
    })
}

/// A value to tell volumes apart by: numbers in their order, then words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64, String),
    Numbers(Vec<i64>),
    Words(String),
}

impl Key {
    fn of(plane: &Plane, tag: Tag) -> Option<Self> {
        if tag == tags::DIMENSION_INDEX_VALUES {
            return dimension_index(plane).map(Self::Numbers);
        }
        let words = plane.text(tag)?;
        Some(match plane.number(tag) {
            Some(value) if !words.contains('\\') => Self::Number((value * 1e6) as i64, words),
            _ => Self::Words(words),
        })
    }

    fn label(self) -> String {
        match self {
            Self::Number(_, words) | Self::Words(words) => words,
            Self::Numbers(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join("."),
        }
    }
}

/// Dimension Index Values of a frame without those of its place in the stack.
fn dimension_index(plane: &Plane) -> Option<Vec<i64>> {
    let values = plane.element(tags::DIMENSION_INDEX_VALUES)?.to_multi_int::<i64>().ok()?;
    let dimensions = plane.file.object.get(tags::DIMENSION_INDEX_SEQUENCE).and_then(InMemElement::items)?;
    let of_place = |item: &InMemDicomObject| {
        let pointer = item.get(tags::DIMENSION_INDEX_POINTER).and_then(|element| element.value().to_tag().ok());
        matches!(
            pointer,
            Some(tags::STACK_ID | tags::IN_STACK_POSITION_NUMBER | tags::IMAGE_POSITION_PATIENT | tags::SLICE_LOCATION)
        )
    };
    let kept = values.into_iter().zip(dimensions).filter(|(_, item)| !of_place(item)).map(|(value, _)| value);
    Some(kept.collect())
}

/// Counts the volumes of the same files.
fn number_volumes(groups: &mut [Group]) {
    let mut seen: BTreeMap<BTreeSet<PathBuf>, usize> = BTreeMap::new();
    for group in groups {
        let files = group.summary.paths.iter().cloned().collect();
        let next = seen.entry(files).or_default();
        group.summary.volume = *next;
        *next += 1;
    }
}

fn describe(planes: &[Plane], part: Option<String>) -> SeriesSummary {
    let first = &planes[0];
    let file = &first.file;
    let [row_distance, column_distance] = first.pixel_spacing.unwrap_or([1.0, 1.0]);
    let span = (planes.len() > 1)
        .then(|| Some(distance_along_normal(planes.last()?)? - distance_along_normal(first)?))
        .flatten()
        .map(|span| span.abs() / (planes.len() - 1) as f64);
    let thickness = || first.number(tags::SLICE_THICKNESS).filter(|&t| t > 0.0);
    let vectors =
        first.vectors.iter().zip(VECTOR_NAMES).filter_map(|(value, name)| Some(format!("{name} {}", (*value)?)));
    let vectors = if first.file.frames() > 1 { vectors.collect() } else { Vec::new() };
    let words: Vec<String> = vectors.into_iter().chain(part).collect();
    let mut paths: Vec<_> = planes.iter().map(|plane| plane.file.path.clone()).collect();
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    SeriesSummary {
        kind: SeriesKind::Dicom,
        modality: file.modality(),
        id: file.series.clone(),
        series_number: whole(&file.object, tags::SERIES_NUMBER),
        part: (!words.is_empty()).then(|| words.join(" ")),
        volume: 0,
        size: [first.columns, first.rows, planes.len()],
        spacing_mm: [column_distance, row_distance, span.or_else(thickness).unwrap_or(1.0)],
        paths,
    }
}
