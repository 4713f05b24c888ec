use std::ops::Add;

use crate::field::{LANES, Level, LevelField, Voxels};
use crate::size_matrix::SizeMatrix;

/// Runs of equal level along a direction: consecutive voxels of the region, ended by another level, a gap or its border.
///
/// `step` is the first of an opposite pair and reaches at most one voxel along each axis.
pub(crate) fn runs(field: &LevelField, step: [i64; 3]) -> SizeMatrix {
    Lengths::of(field).runs(step)
}

/// Counts the runs of one field along one direction after another, in the same memory.
pub(crate) struct Lengths<'a> {
    field: &'a LevelField,
    narrow: Vec<u8>,
    wide: Vec<u16>,
    widest: Vec<usize>,
}

impl<'a> Lengths<'a> {
    pub(crate) fn of(field: &'a LevelField) -> Self {
        Self { field, narrow: Vec::new(), wide: Vec::new(), widest: Vec::new() }
    }

    /// As the function [`runs`].
    pub(crate) fn runs(&mut self, step: [i64; 3]) -> SizeMatrix {
        let field = self.field;
        let longest = (0..3).filter(|&a| step[a] != 0).map(|a| field.size[a]).min().unwrap_or(1);
        let table = match (&field.voxels, longest) {
            (Voxels::Narrow(voxels), ..256) => narrow_table(field, voxels, step, longest, &mut self.narrow),
            (Voxels::Narrow(voxels), ..65536) => run_table(field, voxels, step, longest, &mut self.wide),
            (Voxels::Narrow(voxels), _) => run_table(field, voxels, step, longest, &mut self.widest),
            (Voxels::Wide(voxels), ..65536) => run_table(field, voxels, step, longest, &mut self.wide),
            (Voxels::Wide(voxels), _) => run_table(field, voxels, step, longest, &mut self.widest),
        };
        SizeMatrix::of_table(&field.grey, longest, &table)
    }
}

/// Whether a line of voxels along `step` holds two voxels of the region, perhaps with a gap between them.
pub(crate) fn is_sampled(field: &LevelField, step: [i64; 3]) -> bool {
    match &field.voxels {
        Voxels::Narrow(voxels) => has_two(field, voxels, step),
        Voxels::Wide(voxels) => has_two(field, voxels, step),
    }
}

/// Runs of each level and length, from how long the run of each voxel is up to that voxel: as many voxels are at place k
/// of their run as there are runs of k and more. `lengths` holds what an earlier direction left, or nothing: elements
/// outside the spans of the rows are never written, the others before they are read.
fn run_table<L, C>(field: &LevelField, voxels: &[L], step: [i64; 3], longest: usize, lengths: &mut Vec<C>) -> Vec<u64>
where
    L: Level,
    C: Copy + Default + From<bool> + Add<Output = C> + Into<usize>,
{
    let offset = field.layout.offset(step) as usize;
    lengths.resize(voxels.len(), C::default());
    let columns = longest + 1;
    // Level 0 has a row and length 0 a column too: counting it is cheaper than asking.
    let mut places = vec![0u32; (field.grey.len() + 1) * columns];
    for (_, row) in field.rows() {
        let (start, levels) = (row.start, &voxels[row.clone()]);
        if offset == 1 {
            let mut length = C::default();
            let mut last = L::default();
            for (own, &level) in lengths[row.clone()].iter_mut().zip(levels) {
                length = if level == last { length } else { C::default() } + C::from(true);
                (*own, last) = (length, level);
            }
        } else {
            let (before, own) = lengths.split_at_mut(start);
            let partners = start - offset..row.end - offset;
            let earlier = before[partners.clone()].iter().zip(&voxels[partners]);
            for ((own, &level), (&length, &partner)) in own.iter_mut().zip(levels).zip(earlier) {
                *own = if level == partner { length } else { C::default() } + C::from(true);
            }
        }
        for (&level, &length) in levels.iter().zip(&lengths[row]) {
            places[level.into() * columns + length.into()] += 1;
        }
    }
    let rows = places.chunks_exact(columns).skip(1);
    let exact = |row: &[u32], k: usize| u64::from(row[k] - row.get(k + 1).copied().unwrap_or(0));
    rows.flat_map(|row| (1..columns).map(move |k| exact(row, k)).collect::<Vec<_>>()).collect()
}

/// As [`run_table`], for levels and lengths that fit a byte: first the cells of a whole row, which is done for several
/// voxels at once.
fn narrow_table(field: &LevelField, voxels: &[u8], step: [i64; 3], longest: usize, lengths: &mut Vec<u8>) -> Vec<u64> {
    let offset = field.layout.offset(step) as usize;
    lengths.resize(voxels.len(), 0);
    // A row for each length, so that the short ones, which nearly all are, lie together.
    let shift = (field.grey.len() + 1).next_power_of_two().trailing_zeros();
    let table = (longest + 2) << shift;
    // Two tables in turn: equal cells follow one another, and an addition would wait for the one before.
    let mut places = vec![0u32; 2 * table];
    let (even, odd) = places.split_at_mut(table);
    let mut cells = vec![[0u16; LANES]; field.size[0].div_ceil(LANES)];
    for (_, row) in field.rows() {
        // A row ends in as many zeros as a block reaches over it.
        let (start, length) = (row.start, row.len().next_multiple_of(LANES));
        let levels = voxels[start..start + length].as_chunks().0;
        let cells = &mut cells[..length / LANES];
        let (before, own) = lengths.split_at_mut(start);
        let own = own[..length].as_chunks_mut().0;
        if offset == 1 {
            let (mut length, mut last) = (0, 0);
            for (own, &level) in own.as_flattened_mut().iter_mut().zip(levels.as_flattened()) {
                length = if level == last && level > 0 { length + 1 } else { 1 };
                (*own, last) = (length, level);
            }
        } else {
            let partners = start - offset..start - offset + length;
            lengthen(levels, voxels[partners.clone()].as_chunks().0, before[partners].as_chunks().0, own);
        }
        place(levels, own, shift, cells);
        for [a, b, c, d] in cells.as_flattened().as_chunks().0 {
            even[usize::from(*a)] += 1;
            odd[usize::from(*b)] += 1;
            even[usize::from(*c)] += 1;
            odd[usize::from(*d)] += 1;
        }
    }
    let at = |level: usize, length: usize| even[length << shift | level] + odd[length << shift | level];
    let exact = |level: usize, length: usize| u64::from(at(level, length) - at(level, length + 1));
    let levels = 1..=field.grey.len();
    levels.flat_map(|level| (1..=longest).map(move |length| (level, length))).map(|(i, k)| exact(i, k)).collect()
}

/// How long the runs are up to each voxel, `before` up to its partner; 1 outside. A function of its own, which the
/// compiler turns into vector instructions wherever it is called from.
#[inline(never)]
fn lengthen(levels: &[[u8; LANES]], partners: &[[u8; LANES]], before: &[[u8; LANES]], own: &mut [[u8; LANES]]) {
    for ((own, levels), (partners, before)) in own.iter_mut().zip(levels).zip(partners.iter().zip(before)) {
        for k in 0..LANES {
            let goes_on = u8::from(levels[k] == partners[k]) & u8::from(levels[k] != 0);
            own[k] = (before[k] & goes_on.wrapping_neg()).wrapping_add(1);
        }
    }
}

/// The cells of levels and lengths; a function of its own as [`lengthen`].
#[inline(never)]
fn place(levels: &[[u8; LANES]], lengths: &[[u8; LANES]], shift: u32, cells: &mut [[u16; LANES]]) {
    for (cells, (levels, lengths)) in cells.iter_mut().zip(levels.iter().zip(lengths)) {
        for k in 0..LANES {
            cells[k] = u16::from(lengths[k]) << shift | u16::from(levels[k]);
        }
    }
}

fn has_two<L: Level>(field: &LevelField, voxels: &[L], step: [i64; 3]) -> bool {
    let offset = field.layout.offset(step) as usize;
    let inside = |voxel: usize| voxels[voxel] != L::default();
    if field.rows().any(|(_, row)| row.into_iter().any(|voxel| inside(voxel) && inside(voxel - offset))) {
        return true;
    }
    let size = field.size.map(|n| n as i64);
    let mut remaining = field.rows();
    remaining.any(|(row, span)| {
        let start = field.layout.row_start(row);
        span.filter(|&voxel| inside(voxel)).any(|voxel| {
            let position = [(voxel - start) as i64, row as i64 % size[1], row as i64 / size[1]];
            let steps_left = (0..3).filter_map(|a| match step[a] {
                0 => None,
                s if s > 0 => Some(size[a] - 1 - position[a]),
                _ => Some(position[a]),
            });
            (1..=steps_left.min().unwrap_or(0) as usize).any(|k| inside(voxel + k * offset))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::tests::{field_of, five_by_five};

    /// The rows 5 2 5 44, 333 1 3, 2 111 3, 4 222 3 and 3 5 33 2, as the PyRadiomics manual counts them.
    #[test]
    fn five_by_five_image_by_hand() {
        let expected = [[1, 0, 1], [3, 0, 1], [4, 1, 1], [1, 1, 0], [3, 0, 0]].map(|row| row.map(f64::from));
        let found = runs(&five_by_five(), [1, 0, 0]);
        assert_eq!((found.grey, found.sizes, found.counts), (vec![1, 2, 3, 4, 5], vec![1, 2, 3], expected.concat()));
    }

    #[test]
    fn gaps_end_runs_but_keep_the_direction() {
        let field = field_of([7, 1, 1], &[3, 3, 3, 3, 0, 3, 3]);
        let found = runs(&field, [1, 0, 0]);
        assert_eq!((found.sizes, found.counts), (vec![2, 4], vec![1.0, 1.0]));
        let apart = field_of([3, 3, 1], &[1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!(is_sampled(&apart, [1, 1, 0]) && !is_sampled(&apart, [-1, 1, 0]) && !is_sampled(&apart, [0, 1, 0]));
        assert_eq!(runs(&apart, [1, 1, 0]).counts, [2.0]);
    }

    /// A run along each of the 13 directions through a cube of 300 levels, which do not fit a byte.
    #[test]
    fn runs_follow_every_direction() {
        for step in crate::directions::directions([9; 3], &[1], None) {
            let mut grey: Vec<u32> = (0..729).map(|k| 2 + k % 300).collect();
            for k in -2..=2 {
                let [x, y, z] = step.map(|s| (4 + k * s) as usize);
                grey[(z * 9 + y) * 9 + x] = 1;
            }
            let found = runs(&field_of([9; 3], &grey), step);
            let row: Vec<f64> = found.rows().next().map(|(_, row)| row.to_vec()).unwrap();
            assert_eq!(
                (row.last(), row.iter().sum::<f64>(), found.sizes.last()),
                (Some(&1.0), 1.0, Some(&5)),
                "{step:?}"
            );
        }
    }
}
