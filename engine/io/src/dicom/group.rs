//! Tells the volumes of a heap of files apart.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::attributes::{number, text, whole};
use super::header::Slice;
use super::stack::distance_along_normal;
use crate::{SeriesKind, SeriesSummary};

/// The files of one volume and their description.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) summary: SeriesSummary,
    pub(crate) slices: Vec<Slice>,
}

/// Positions closer than this are the same slice position, mm.
const SAME_POSITION_MM: f64 = 1e-3;

/// Attributes by which one series holds several volumes on the same positions, in the order they are tried.
const PARTS: [(Tag, &str); 8] = [
    (tags::TEMPORAL_POSITION_IDENTIFIER, "temporal position"),
    (tags::ECHO_NUMBERS, "echo"),
    (tags::ECHO_TIME, "echo time"),
    (tags::IMAGE_TYPE, "image type"),
    (tags::ACQUISITION_NUMBER, "acquisition"),
    (tags::DIFFUSION_B_VALUE, "b-value"),
    (tags::TRIGGER_TIME, "trigger time"),
    (tags::CONTENT_TIME, "content time"),
];

/// Groups image files into volumes: by series, size, orientation, pixel spacing; then, where several slices share a
/// position, by what tells them apart. Localisers are left out when there is anything else.
pub(crate) fn group(slices: Vec<Slice>) -> Vec<Group> {
    let mut stacks: Vec<Vec<Slice>> = Vec::new();
    for slice in slices.into_iter().filter(Slice::is_image) {
        let fits = |stack: &&mut Vec<Slice>| same_stack(&stack[0], &slice);
        match stacks.iter_mut().find(fits) {
            Some(stack) => stack.push(slice),
            None => stacks.push(vec![slice]),
        }
    }
    let volumes = stacks.iter().any(|stack| !is_localiser(&stack[0]));
    stacks.retain(|stack| !volumes || !is_localiser(&stack[0]));
    stacks.into_iter().flat_map(split).collect()
}

/// Describes slices of one volume.
pub(crate) fn summary_of(slices: &[Slice]) -> SeriesSummary {
    describe(slices, None)
}

fn same_stack(a: &Slice, b: &Slice) -> bool {
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
    (&a.series, a.rows, a.columns, a.frames() > 1, is_localiser(a))
        == (&b.series, b.rows, b.columns, b.frames() > 1, is_localiser(b))
        && same_orientation
        && same_spacing
}

fn is_localiser(slice: &Slice) -> bool {
    slice.image_type().iter().any(|word| word == "LOCALIZER")
}

fn split(stack: Vec<Slice>) -> Vec<Group> {
    let mut seen = BTreeSet::new();
    let (unique, twins): (Vec<_>, Vec<_>) =
        stack.into_iter().partition(|slice| slice.sop_instance.is_empty() || seen.insert(slice.sop_instance.clone()));
    let mut groups: Vec<Group> = split_unique(unique)
        .into_iter()
        .map(|(part, slices)| Group { summary: describe(&slices, part), slices })
        .collect();
    for twin in twins {
        let same = |group: &&mut Group| group.slices.iter().any(|slice| slice.sop_instance == twin.sop_instance);
        if let Some(group) = groups.iter_mut().find(same) {
            group.summary.paths.push(twin.path.clone());
            group.slices.push(twin);
        }
    }
    groups
}

type Parts = Vec<(Option<String>, Vec<Slice>)>;

fn split_unique(mut slices: Vec<Slice>) -> Parts {
    if slices.iter().any(|slice| slice.frames() > 1 || distance_along_normal(slice).is_none()) {
        let several = slices.len() > 1;
        let part = |i: usize| several.then(|| format!("image {}", i + 1));
        return slices.into_iter().enumerate().map(|(i, slice)| (part(i), vec![slice])).collect();
    }
    slices.sort_by(|a, b| {
        let by_distance = distance_along_normal(a).partial_cmp(&distance_along_normal(b));
        by_distance
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(a.instance_number.cmp(&b.instance_number))
            .then_with(|| a.path.cmp(&b.path))
    });
    let ranks = ranks_at_position(&slices);
    let volumes = ranks.iter().max().map_or(1, |rank| rank + 1);
    if volumes == 1 {
        return vec![(None, slices)];
    }
    for (tag, name) in PARTS {
        let keys: Vec<Option<Key>> = slices.iter().map(|slice| Key::of(slice, tag)).collect();
        let distinct: BTreeSet<&Option<Key>> = keys.iter().collect();
        if distinct.len() == volumes && each_has_its_own_positions(&slices, &keys) {
            return parts(slices, keys, |key| format!("{name} {}", key.map_or("none".to_owned(), Key::label)));
        }
    }
    // The order of acquisition tells volumes apart that no attribute names, if all have the same positions.
    let complete = (0..volumes).all(|v| ranks.iter().filter(|&&rank| rank == v).count() * volumes == slices.len());
    if complete {
        return parts(slices, ranks, |rank| format!("volume {} of {volumes}", rank + 1));
    }
    vec![(None, slices)]
}

/// For each slice of a sorted stack, how many before it lie on its position.
fn ranks_at_position(slices: &[Slice]) -> Vec<usize> {
    let mut ranks = vec![0; slices.len()];
    for i in 1..slices.len() {
        if let (Some(p), Some(q)) = (distance_along_normal(&slices[i - 1]), distance_along_normal(&slices[i]))
            && q - p < SAME_POSITION_MM
        {
            ranks[i] = ranks[i - 1] + 1;
        }
    }
    ranks
}

fn each_has_its_own_positions(slices: &[Slice], keys: &[Option<Key>]) -> bool {
    let mut last: BTreeMap<&Option<Key>, f64> = BTreeMap::new();
    slices.iter().zip(keys).all(|(slice, key)| {
        let distance = distance_along_normal(slice).unwrap_or(0.0);
        last.insert(key, distance).is_none_or(|before| distance - before >= SAME_POSITION_MM)
    })
}

fn parts<K: Ord + Clone>(slices: Vec<Slice>, keys: Vec<K>, name: impl Fn(K) -> String) -> Parts {
    let mut parts: BTreeMap<K, Vec<Slice>> = BTreeMap::new();
    for (slice, key) in slices.into_iter().zip(keys) {
        parts.entry(key).or_default().push(slice);
    }
    parts.into_iter().map(|(key, slices)| (Some(name(key)), slices)).collect()
}

/// A value to tell volumes apart by: numbers in their order, then words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64, String),
    Words(String),
}

impl Key {
    fn of(slice: &Slice, tag: Tag) -> Option<Self> {
        let words = text(&slice.object, tag)?;
        Some(match number(&slice.object, tag) {
            Some(value) => Self::Number((value * 1e6) as i64, words),
            None => Self::Words(words),
        })
    }

    fn label(self) -> String {
        match self {
            Self::Number(_, words) | Self::Words(words) => words,
        }
    }
}

fn describe(slices: &[Slice], part: Option<String>) -> SeriesSummary {
    let first = &slices[0];
    let [row_distance, column_distance] = first.pixel_spacing.unwrap_or([1.0, 1.0]);
    let span = (slices.len() > 1)
        .then(|| Some(distance_along_normal(slices.last()?)? - distance_along_normal(first)?))
        .flatten()
        .map(|span| span.abs() / (slices.len() - 1) as f64);
    let thickness = || number(&first.object, tags::SLICE_THICKNESS).filter(|&t| t > 0.0);
    SeriesSummary {
        kind: SeriesKind::Dicom,
        modality: first.modality(),
        id: first.series.clone(),
        series_number: whole(&first.object, tags::SERIES_NUMBER),
        part,
        size: [first.columns, first.rows, slices.len().max(first.frames())],
        spacing_mm: [column_distance, row_distance, span.or_else(thickness).unwrap_or(1.0)],
        paths: slices.iter().map(|slice| slice.path.clone()).collect(),
    }
}
