use rayon::prelude::*;

use crate::field::{LANES, Level, LevelField, Voxels, lanes};
use crate::size_matrix::SizeMatrix;

/// Zones smaller than this are counted in a table, larger ones one by one.
const TABLED: usize = 64;

/// Rows of a field that one thread labels at least.
const FEWEST_ROWS: usize = 512;

/// Steps to the neighbours that come before a voxel; those that touch most of the others first.
const BEFORE: [[i64; 3]; 13] = [
    [0, 0, -1],
    [0, -1, 0],
    [0, -1, -1],
    [-1, 0, 0],
    [-1, 0, -1],
    [1, 0, -1],
    [0, 1, -1],
    [-1, -1, 0],
    [1, -1, 0],
    [-1, -1, -1],
    [1, -1, -1],
    [-1, 1, -1],
    [1, 1, -1],
];

/// Zones of each level and size. A zone holds the voxels of one level that touch one another at faces, edges or corners;
/// none reaches along the axis `across` (x is 0).
pub(crate) fn zones(field: &LevelField, across: Option<usize>) -> SizeMatrix {
    by_size(field, &Labels::of(field, across))
}

/// The zones of [`zones`] in space by their size, and by the smallest distance among their voxels; `distance` gives one for
/// each voxel of the box, x fastest, from 1.
pub(crate) fn sizes_and_distances(field: &LevelField, distance: &[u32]) -> [SizeMatrix; 2] {
    let labels = Labels::of(field, None);
    [by_size(field, &labels), by_distance(field, &labels, distance)]
}

fn by_size(field: &LevelField, labels: &Labels) -> SizeMatrix {
    let mut table = vec![0u64; field.grey.len() * TABLED];
    let mut groups = Vec::new();
    for (level, size) in labels.zones() {
        match table.get_mut(level * TABLED + size as usize) {
            Some(count) if (size as usize) < TABLED => *count += 1,
            _ => groups.push((level, size as u32, 1)),
        }
    }
    for (level, row) in table.chunks_exact(TABLED).enumerate() {
        let counted = (0..).zip(row).filter(|(_, count)| **count > 0);
        groups.extend(counted.map(|(size, &count)| (level, size, count)));
    }
    SizeMatrix::of_groups(&field.grey, &groups)
}

fn by_distance(field: &LevelField, labels: &Labels, distance: &[u32]) -> SizeMatrix {
    let mut nearest = vec![u32::MAX; labels.classes.len()];
    for (row, span) in field.rows() {
        let (start, box_start) = (field.layout.row_start(row), row * field.size[0]);
        for voxel in span {
            if let Some(root) = labels.root_of(voxel) {
                nearest[root] = nearest[root].min(distance[box_start + voxel - start]);
            }
        }
    }
    let zones = (0..).zip(labels.classes.iter().zip(nearest)).filter(|(label, (class, _))| class.parent == *label);
    let groups: Vec<(usize, u32, u64)> =
        zones.map(|(_, (class, distance)): (u32, _)| (class.level as usize, distance, 1)).collect();
    SizeMatrix::of_groups(&field.grey, &groups)
}

/// Labels of the voxels; several may stand for one zone.
struct Labels {
    /// For each element 0, or its label plus 1 among those of its slab.
    of: Vec<u32>,
    /// First element and first label of each slab of rows.
    slabs: Vec<(usize, u32)>,
    classes: Vec<Class>,
}

/// A label.
#[derive(Clone, Copy)]
struct Class {
    /// Voxels that have it.
    voxels: u64,
    /// A lower label of the same zone, or itself.
    parent: u32,
    /// Position of its grey level.
    level: u32,
}

impl Labels {
    fn of(field: &LevelField, across: Option<usize>) -> Self {
        match &field.voxels {
            Voxels::Narrow(voxels) => labelled(field, voxels, across),
            Voxels::Wide(voxels) => labelled(field, voxels, across),
        }
    }

    /// Level and size of every zone.
    fn zones(&self) -> impl Iterator<Item = (usize, u64)> {
        let mut sizes = vec![0; self.classes.len()];
        // A parent has a lower label, so that its own zone is known when the label comes.
        let mut roots: Vec<u32> = Vec::with_capacity(sizes.len());
        for (label, class) in (0..).zip(&self.classes) {
            let root = if class.parent == label { label } else { roots[class.parent as usize] };
            roots.push(root);
            sizes[root as usize] += class.voxels;
        }
        self.classes.iter().zip(sizes).filter(|(_, size)| *size > 0).map(|(class, size)| (class.level as usize, size))
    }

    /// Label of an element; `None` outside.
    fn label(&self, element: usize) -> Option<u32> {
        let slab = self.slabs.partition_point(|&(first, _)| first <= element) - 1;
        Some(self.slabs[slab].1 + self.of[element].checked_sub(1)?)
    }

    /// Label that stands for the zone of an element; `None` outside.
    fn root_of(&self, element: usize) -> Option<usize> {
        let mut label = self.label(element)?;
        while self.classes[label as usize].parent != label {
            label = self.classes[label as usize].parent;
        }
        Some(label as usize)
    }
}

/// Labels slabs of rows in parallel, then joins what meets at their borders.
fn labelled<L: Level>(field: &LevelField, voxels: &[L], across: Option<usize>) -> Labels {
    let rows = field.spans.len();
    let count = rayon::current_num_threads().min(rows / FEWEST_ROWS).max(1);
    let first_rows: Vec<usize> = (0..=count).map(|slab| slab * rows / count).collect();
    // The neighbours before a voxel lie at most this many rows before.
    let reach = field.size[1] + 1;
    let mut of = vec![0; voxels.len()];
    let mut parts = Vec::with_capacity(count);
    let (mut rest, mut base) = (of.as_mut_slice(), 0);
    for ends in first_rows.windows(2) {
        let end = if ends[1] == rows { base + rest.len() } else { field.layout.row_start(ends[1]) - 1 };
        let (labels, after) = rest.split_at_mut(end - base);
        parts.push((ends[0]..ends[1], Slab { voxels, labels, base, classes: Vec::new() }));
        (rest, base) = (after, end);
    }
    let scan = Scan { field, voxels, across };
    let found: Vec<(usize, Vec<Class>)> = parts
        .into_par_iter()
        .map(|(own, mut slab)| {
            own.clone()
                .for_each(|row| scan.row(row, |other| other >= own.start, |voxel, equal| slab.add(voxel, equal)));
            (slab.base, slab.classes)
        })
        .collect();
    let mut labels = Labels { of, slabs: Vec::with_capacity(count), classes: Vec::new() };
    for (first_element, part) in found {
        let base = labels.classes.len() as u32;
        labels.slabs.push((first_element, base));
        labels.classes.extend(part.into_iter().map(|class| Class { parent: class.parent + base, ..class }));
    }
    for &first in &first_rows[1..count] {
        for row in first..(first + reach).min(rows) {
            let join = |voxel, equal: Equal| {
                for other in equal {
                    if let (Some(a), Some(b)) = (labels.label(voxel), labels.label(other)) {
                        let (a, b) = (root(&mut labels.classes, a), root(&mut labels.classes, b));
                        labels.classes[a.max(b) as usize].parent = a.min(b);
                    }
                }
            };
            scan.row(row, |other| other < first, join);
        }
    }
    labels
}

/// Rows of a field, with the labels of their elements from element `base`.
struct Slab<'a, L> {
    voxels: &'a [L],
    labels: &'a mut [u32],
    base: usize,
    classes: Vec<Class>,
}

impl<L: Level> Slab<'_, L> {
    /// Gives a voxel, and the zones of those before it that are `equal`, one label.
    fn add(&mut self, voxel: usize, mut equal: Equal) {
        let first = equal.next().map(|other| root(&mut self.classes, self.labels[other - self.base] - 1));
        let mut label = first.unwrap_or_else(|| {
            let label = self.classes.len() as u32;
            let position: usize = self.voxels[voxel].into();
            self.classes.push(Class { voxels: 0, parent: label, level: position as u32 - 1 });
            label
        });
        for other in equal {
            let other = root(&mut self.classes, self.labels[other - self.base] - 1);
            if other != label {
                self.classes[label.max(other) as usize].parent = label.min(other);
                label = label.min(other);
            }
        }
        self.classes[label as usize].voxels += 1;
        self.labels[voxel - self.base] = label + 1;
    }
}

fn root(classes: &mut [Class], mut label: u32) -> u32 {
    while classes[label as usize].parent != label {
        let parent = classes[label as usize].parent;
        classes[label as usize].parent = classes[parent as usize].parent;
        label = parent;
    }
    label
}

struct Scan<'a, L> {
    field: &'a LevelField,
    voxels: &'a [L],
    across: Option<usize>,
}

impl<L: Level> Scan<'_, L> {
    /// Calls `act` with each voxel of a row and the equal ones before it, in rows that `reaches` admits. Rows are numbered
    /// as in [`LevelField::rows`].
    fn row(&self, row: usize, reaches: impl Fn(usize) -> bool, mut act: impl FnMut(usize, Equal)) {
        let (first, end) = self.field.spans[row];
        let start = self.field.layout.row_start(row);
        let offsets: [usize; BEFORE.len()] = BEFORE.map(|step| {
            let other_row = row as i64 + step[1] + step[2] * self.field.size[1] as i64;
            let is_admitted =
                self.across.is_none_or(|axis| step[axis] == 0) && other_row >= 0 && reaches(other_row as usize);
            if is_admitted { -self.field.layout.offset(step) as usize } else { 0 }
        });
        for x in (first..end).step_by(LANES) {
            let own = lanes(self.voxels, start + x);
            let (near, far) = offsets.split_at(8);
            let (near, far) = (self.equal(start + x, &own, near), self.equal(start + x, &own, far));
            for k in 0..LANES.min(end - x) {
                if own[k] != L::default() {
                    let steps = u16::from(near[k]) | u16::from(far[k]) << 8;
                    act(start + x + k, Equal { voxel: start + x + k, steps, offsets: &offsets });
                }
            }
        }
    }

    /// Bit i of each byte is set where the element `offsets[i]` before is as its `own`; an offset of 0 is left out.
    fn equal(&self, start: usize, own: &[L; LANES], offsets: &[usize]) -> [u8; LANES] {
        let mut equal = [0u8; LANES];
        for (index, &offset) in offsets.iter().enumerate().filter(|(_, offset)| **offset > 0) {
            let (theirs, bit) = (lanes(self.voxels, start - offset), 1u8 << index);
            for k in 0..LANES {
                equal[k] |= if own[k] == theirs[k] { bit } else { 0 };
            }
        }
        equal
    }
}

/// The voxels before a voxel that have its level, but for those that touch one already named: they have its zone.
struct Equal<'a> {
    voxel: usize,
    /// Bit i for the one at step i of [`BEFORE`].
    steps: u16,
    offsets: &'a [usize; BEFORE.len()],
}

impl Iterator for Equal<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let index = self.steps.trailing_zeros() as usize;
        let (offset, touching) = (self.offsets.get(index)?, TOUCHING[index]);
        self.steps &= !touching;
        Some(self.voxel - offset)
    }
}

/// For each of [`BEFORE`] the ones, itself among them, that are its neighbours too.
const TOUCHING: [u16; BEFORE.len()] = {
    let mut touching = [0; BEFORE.len()];
    let mut pair = 0;
    while pair < BEFORE.len() * BEFORE.len() {
        let (a, b) = (BEFORE[pair / BEFORE.len()], BEFORE[pair % BEFORE.len()]);
        if (a[0] - b[0]).abs() <= 1 && (a[1] - b[1]).abs() <= 1 && (a[2] - b[2]).abs() <= 1 {
            touching[pair / BEFORE.len()] |= 1 << (pair % BEFORE.len());
        }
        pair += 1;
    }
    touching
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::tests::{field_of, five_by_five};

    /// Levels from a small generator, so that zones of all forms come up.
    fn field(size: [usize; 3], levels: u32, seed: u32) -> (LevelField, Vec<u32>) {
        let mut state = seed;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let grey: Vec<u32> = (0..size.iter().product()).map(|_| random() % (levels + 1)).collect();
        (field_of(size, &grey), grey)
    }

    /// The same by spreading from voxel to voxel.
    fn spread(grey: &[u32], size: [usize; 3], across: Option<usize>) -> Vec<(u32, u32)> {
        let mut seen = vec![false; grey.len()];
        let mut found = Vec::new();
        for start in 0..grey.len() {
            if grey[start] == 0 || std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let (mut waiting, mut voxels) = (vec![start], 0);
            while let Some(voxel) = waiting.pop() {
                voxels += 1;
                let position = |v: usize| [v % size[0], v / size[0] % size[1], v / (size[0] * size[1])];
                let at = position(voxel);
                for other in 0..grey.len() {
                    let apart: [usize; 3] = std::array::from_fn(|a| at[a].abs_diff(position(other)[a]));
                    let touches = apart.iter().all(|&d| d <= 1) && across.is_none_or(|axis| apart[axis] == 0);
                    if touches && grey[other] == grey[start] && !std::mem::replace(&mut seen[other], true) {
                        waiting.push(other);
                    }
                }
            }
            found.push((grey[start], voxels));
        }
        found
    }

    #[test]
    fn zones_are_what_spreading_reaches_on_any_number_of_threads() {
        for (seed, size, levels) in [(1, [9, 8, 7], 2), (2, [21, 5, 6], 3), (3, [3, 64, 20], 4), (4, [40, 33, 2], 2)] {
            let (field, grey) = field(size, levels, seed);
            for across in [None, Some(0), Some(1), Some(2)] {
                let groups: Vec<(usize, u32, u64)> =
                    spread(&grey, size, across).into_iter().map(|(level, n)| (level as usize - 1, n, 1)).collect();
                let expected = SizeMatrix::of_groups(&field.grey, &groups);
                for threads in [1, 2, 5] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    assert_eq!(pool.install(|| zones(&field, across)), expected, "{size:?} {across:?} {threads}");
                }
            }
        }
    }

    /// The zones of the image in the PyRadiomics manual: four 1s, one 2 and five 2s, a 3, three and five 3s, ...
    #[test]
    fn five_by_five_image_by_hand() {
        let found = zones(&five_by_five(), None);
        let expected = [[0, 0, 0, 1, 0], [1, 0, 0, 0, 1], [1, 0, 1, 0, 1], [1, 1, 0, 0, 0], [3, 0, 0, 0, 0]];
        assert_eq!((found.grey, found.sizes), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]));
        assert_eq!(found.counts, expected.map(|row| row.map(f64::from)).concat());
    }

    #[test]
    fn zones_confined_to_slices_do_not_reach_across() {
        let field = field_of([2, 2, 2], &[1; 8]);
        assert_eq!((zones(&field, None).sizes, zones(&field, None).counts), (vec![8], vec![1.0]));
        for axis in 0..3 {
            assert_eq!((zones(&field, Some(axis)).sizes, zones(&field, Some(axis)).counts), (vec![4], vec![2.0]));
        }
    }

    /// The zones of 1s are a pair at distances 1 and 2, so 1, and one voxel at 3; the 2 is at 1.
    #[test]
    fn a_zone_is_as_near_as_its_nearest_voxel() {
        let [_, found] = sizes_and_distances(&field_of([5, 1, 1], &[2, 1, 1, 0, 1]), &[1, 1, 2, 0, 3]);
        assert_eq!((found.grey, found.sizes, found.counts), (vec![1, 2], vec![1, 3], vec![1.0, 1.0, 1.0, 0.0]));
    }
}
