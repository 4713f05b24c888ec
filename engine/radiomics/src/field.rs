use std::borrow::Cow;
use std::ops::Range;

use crate::discretise::Discretised;
use crate::roi::{Roi, Run};

/// Most voxels looked at together. As many zeros lie before the first row and after every row, so that a block may
/// reach over both.
pub(crate) const LANES: usize = 16;

/// Pairs of voxels counted together; no more than [`LANES`].
const PAIRS: usize = 8;

/// A region's levels in its box: 0 outside, else the position among the occupied levels plus 1.
///
/// Zeros surround the box on every side: a neighbour of a voxel inside is always an element of the field.
#[derive(Debug, Clone)]
pub(crate) struct LevelField {
    pub(crate) size: [usize; 3],
    /// The occupied grey levels, ascending.
    pub(crate) grey: Vec<u32>,
    /// Voxels at each of `grey`.
    pub(crate) counts: Vec<u64>,
    pub(crate) voxels: Voxels,
    pub(crate) layout: Layout,
    /// First and one past the last voxel inside of each row.
    pub(crate) spans: Vec<(usize, usize)>,
}

/// One byte a voxel where it is enough: the counting is bound by memory.
#[derive(Debug, Clone)]
pub(crate) enum Voxels {
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
}

/// Grey levels in place of positions.
pub(crate) enum Tones<'a> {
    Narrow(Cow<'a, [u8]>),
    Wide(Cow<'a, [u16]>),
    Widest(Vec<u32>),
}

/// Where the voxels of a box lie among the elements of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    size: [usize; 3],
    /// Zeros before and after the box along each axis.
    border: [usize; 3],
}

impl Layout {
    fn strides(self) -> [usize; 3] {
        let row = self.size[0] + self.border[0] + LANES.max(self.border[0]);
        [1, row, row * (self.size[1] + 2 * self.border[1])]
    }

    fn elements(self) -> usize {
        LANES + self.strides()[2] * (self.size[2] + 2 * self.border[2]) + LANES
    }

    /// Element of the first voxel of a row of the box; rows are numbered y + z·ny.
    pub(crate) fn row_start(self, row: usize) -> usize {
        let [_, stride, slice] = self.strides();
        let (y, z) = (row % self.size[1], row / self.size[1]);
        LANES + (z + self.border[2]) * slice + (y + self.border[1]) * stride + self.border[0]
    }

    /// Elements from a voxel to its partner; positive for the first of an opposite pair, as by
    /// [`directions`](crate::directions::directions).
    pub(crate) fn offset(self, step: [i64; 3]) -> isize {
        step.into_iter().zip(self.strides()).map(|(step, stride)| step as isize * stride as isize).sum()
    }
}

/// A position among the levels of a field.
pub(crate) trait Level: Copy + Eq + Default + Into<usize> + Send + Sync {}

impl Level for u8 {}

impl Level for u16 {}

/// Elements from `at` on.
pub(crate) fn lanes<T: Copy + Default>(elements: &[T], at: usize) -> [T; LANES] {
    elements[at..].first_chunk().copied().unwrap_or([T::default(); LANES])
}

impl LevelField {
    pub(crate) fn of(region: &Roi, levels: &Discretised) -> Self {
        let layout = Layout { size: region.size, border: [1; 3] };
        let runs: Vec<Run> = region.runs().collect();
        let voxels = if levels.grey.len() < 256 {
            Voxels::Narrow(bordered(&runs, layout, &levels.levels, |level| level as u8))
        } else {
            Voxels::Wide(bordered(&runs, layout, &levels.levels, |level| level))
        };
        let mut spans = vec![(region.size[0], region.size[0]); region.size[1] * region.size[2]];
        for run in runs {
            let (first, end) = &mut spans[run.row];
            (*first, *end) = (run.start.min(*first), run.end);
        }
        let counts = levels.counts.iter().map(|&count| count as u64).collect();
        Self { size: region.size, grey: levels.grey.clone(), counts, voxels, layout, spans }
    }

    /// Voxels inside.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Rows that hold voxels, with the elements from the first voxel inside to the last.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let occupied = self.spans.iter().enumerate().filter(|(_, (first, end))| first < end);
        occupied.map(|(row, &(first, end))| {
            let start = self.layout.row_start(row);
            (row, start + first..start + end)
        })
    }

    /// For every row whose partner row `step` further is in the box: its first element and that of its partner, and the
    /// number of voxels, where both may be inside.
    fn overlaps(&self, step: [i64; 3]) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let [_, ny, nz] = self.size;
        let within = |n: usize, step: i64| (-step).max(0) as usize..n.saturating_sub(step.max(0) as usize);
        let (across, along) = (self.layout.offset(step), step[1] + step[2] * ny as i64);
        let [_, stride, slice] = self.layout.strides();
        let first_row = self.layout.row_start(0);
        within(nz, step[2]).flat_map(move |z| within(ny, step[1]).map(move |y| (y, z))).filter_map(move |(y, z)| {
            let row = z * ny + y;
            let (a, b) = (self.spans[row], self.spans[(row as i64 + along) as usize]);
            let first = (a.0 as i64).max(b.0 as i64 - step[0]);
            let end = (a.1 as i64).min(b.1 as i64 - step[0]);
            let start = first_row + z * slice + y * stride + first as usize;
            (first < end).then(|| (start, start.saturating_add_signed(across), (end - first) as usize))
        })
    }

    /// The grey levels, all less one constant, since only their differences count, and 0 outside; in a layout where
    /// neighbours `reach` voxels away are elements too.
    pub(crate) fn tones(&self, reach: [usize; 3]) -> (Tones<'_>, Layout) {
        let (lowest, highest) = (self.grey.first().copied().unwrap_or(0), self.grey.last().copied().unwrap_or(0));
        let layout = Layout { size: self.size, border: reach.map(|r| r.max(1)) };
        let is_position = (highest - lowest) as usize + 1 == self.grey.len() && layout == self.layout;
        let tone: Vec<u32> = std::iter::once(0).chain(self.grey.iter().map(|grey| grey - lowest + 1)).collect();
        let tones = match &self.voxels {
            Voxels::Narrow(voxels) if is_position => Tones::Narrow(Cow::Borrowed(voxels)),
            Voxels::Wide(voxels) if is_position => Tones::Wide(Cow::Borrowed(voxels)),
            Voxels::Narrow(voxels) => self.looked_up(voxels, &tone, layout),
            Voxels::Wide(voxels) => self.looked_up(voxels, &tone, layout),
        };
        (tones, layout)
    }

    fn looked_up<L: Level>(&self, positions: &[L], tone: &[u32], layout: Layout) -> Tones<'static> {
        match tone.last() {
            Some(256..65536) => Tones::Wide(self.laid_out(positions, layout, |p| tone[p] as u16).into()),
            Some(65536..) => Tones::Widest(self.laid_out(positions, layout, |p| tone[p])),
            _ => Tones::Narrow(self.laid_out(positions, layout, |p| tone[p] as u8).into()),
        }
    }

    fn laid_out<L: Level, T: Copy + Default>(
        &self,
        positions: &[L],
        layout: Layout,
        value: impl Fn(usize) -> T,
    ) -> Vec<T> {
        let mut field = vec![T::default(); layout.elements()];
        for (row, span) in self.rows() {
            let start = layout.row_start(row) + self.spans[row].0;
            let length = span.len();
            let pairs = field[start..start + length].iter_mut().zip(&positions[span]);
            pairs.for_each(|(out, &position)| *out = value(position.into()));
        }
        field
    }

    /// Number of pairs (i, j) of a voxel and its partner `step` further, row by row, one way.
    pub(crate) fn pairs(&self, step: [i64; 3]) -> Vec<f64> {
        match &self.voxels {
            Voxels::Narrow(voxels) => match self.grey.len() + 1 {
                // Level 0 has a row and a column too: counting it is cheaper than asking. A row length that is known
                // here, and a power of two, saves the test of each index.
                0..=16 => self.tabulated::<4, { 1 << 8 }>(voxels, step),
                17..=32 => self.tabulated::<5, { 1 << 10 }>(voxels, step),
                33..=64 => self.tabulated::<6, { 1 << 12 }>(voxels, step),
                65..=128 => self.tabulated::<7, { 1 << 14 }>(voxels, step),
                _ => self.tabulated::<8, { 1 << 16 }>(voxels, step),
            },
            Voxels::Wide(voxels) => self.tabulated_wide(voxels, step),
        }
    }

    /// Pairs of fewer than `1 << SHIFT` levels; `CELLS` is the square of that.
    fn tabulated<const SHIFT: usize, const CELLS: usize>(&self, field: &[u8], step: [i64; 3]) -> Vec<f64> {
        // Two tables in turn: equal pairs follow one another, and an addition would wait for the one before.
        let mut counts = [vec![0u32; CELLS], vec![0u32; CELLS]];
        let [even, odd] = &mut counts;
        if let (Some(even), Some(odd)) = (even.first_chunk_mut::<CELLS>(), odd.first_chunk_mut::<CELLS>()) {
            // All cells of a row first: that is done for several at once.
            let mut cells = vec![[0u16; PAIRS]; self.size[0].div_ceil(PAIRS)];
            for (start, partner, length) in self.overlaps(step) {
                // Beyond the overlap one of both is outside, and a row ends in as many zeros as a block reaches over it.
                let length = length.next_multiple_of(PAIRS);
                let cells = &mut cells[..length / PAIRS];
                let own = field[start..start + length].as_chunks().0;
                place::<SHIFT>(own, field[partner..partner + length].as_chunks().0, cells);
                for [a, b, c, d, e, f, g, h] in cells {
                    even[usize::from(*a) % CELLS] += 1;
                    odd[usize::from(*b) % CELLS] += 1;
                    even[usize::from(*c) % CELLS] += 1;
                    odd[usize::from(*d) % CELLS] += 1;
                    even[usize::from(*e) % CELLS] += 1;
                    odd[usize::from(*f) % CELLS] += 1;
                    even[usize::from(*g) % CELLS] += 1;
                    odd[usize::from(*h) % CELLS] += 1;
                }
            }
        }
        let levels = self.grey.len();
        let rows = counts[0].chunks_exact(1 << SHIFT).zip(counts[1].chunks_exact(1 << SHIFT)).skip(1).take(levels);
        rows.flat_map(|(even, odd)| even.iter().zip(odd).skip(1).take(levels).map(|(a, b)| f64::from(a + b))).collect()
    }

    fn tabulated_wide(&self, field: &[u16], step: [i64; 3]) -> Vec<f64> {
        let side = self.grey.len() + 1;
        let mut counts = vec![0u32; side * side];
        for (start, partner, length) in self.overlaps(step) {
            for (&i, &j) in field[start..start + length].iter().zip(&field[partner..partner + length]) {
                counts[usize::from(i) * side + usize::from(j)] += 1;
            }
        }
        counts.chunks_exact(side).skip(1).flat_map(|row| row[1..].iter().map(|&count| f64::from(count))).collect()
    }
}

/// The cells of pairs of levels. A function of its own, which the compiler turns into vector instructions wherever it is
/// called from.
#[inline(never)]
fn place<const SHIFT: usize>(own: &[[u8; PAIRS]], other: &[[u8; PAIRS]], cells: &mut [[u16; PAIRS]]) {
    for (cells, (own, other)) in cells.iter_mut().zip(own.iter().zip(other)) {
        for k in 0..PAIRS {
            cells[k] = u16::from(own[k]) << SHIFT | u16::from(other[k]);
        }
    }
}

/// `positions`, one for each voxel of the region's `runs`, in its box with zeros elsewhere and around.
fn bordered<L: Copy + Default>(runs: &[Run], layout: Layout, positions: &[u16], narrowed: impl Fn(u16) -> L) -> Vec<L> {
    let mut field = vec![L::default(); layout.elements()];
    let mut rest = positions;
    for run in runs {
        let start = layout.row_start(run.row);
        let Some((own, after)) = rest.split_at_checked(run.end - run.start) else { break };
        let voxels = &mut field[start + run.start..start + run.end];
        voxels.iter_mut().zip(own).for_each(|(voxel, &position)| *voxel = narrowed(position));
        rest = after;
    }
    field
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::discretise::Discretisation;
    use crate::prepare::Number;

    /// The 5 x 5 image of the PyRadiomics manual.
    pub(crate) fn five_by_five() -> LevelField {
        let grey = [5, 2, 5, 4, 4, 3, 3, 3, 1, 3, 2, 1, 1, 1, 3, 4, 2, 2, 2, 3, 3, 5, 3, 3, 2];
        field_of([5, 5, 1], &grey)
    }

    /// A field of grey levels, x fastest; 0 is outside.
    pub(crate) fn field_of(size: [usize; 3], grey: &[u32]) -> LevelField {
        let inside: Vec<u32> = grey.iter().copied().filter(|&level| level > 0).collect();
        let region = Roi { first: [0; 3], size, inside: grey.iter().map(|&level| level > 0).collect() };
        LevelField::of(&region, &Discretised::of_levels(&inside).unwrap())
    }

    /// The 5 x 5 image of the PyRadiomics manual and its matrix for left and right neighbours, counted by hand: the row
    /// 1 2 5 2 3 holds the pairs 12 25 52 23, and so on; a pair counts both ways.
    #[test]
    fn five_by_five_image_by_hand() {
        let image = [1, 2, 5, 2, 3, 3, 2, 1, 3, 1, 1, 3, 5, 5, 2, 1, 1, 1, 1, 2, 1, 2, 4, 3, 5].map(f64::from);
        let levels = Discretised::of(&image, Discretisation::BinWidth(1.0), Number::Double).unwrap();
        let region = Roi { first: [0; 3], size: [5, 5, 1], inside: vec![true; 25] };
        let one_way = LevelField::of(&region, &levels).pairs([1, 0, 0]);
        let both_ways: Vec<f64> = (0..25).map(|index| one_way[index] + one_way[index % 5 * 5 + index / 5]).collect();
        let expected = [[6, 4, 3, 0, 0], [4, 0, 2, 1, 3], [3, 2, 0, 1, 2], [0, 1, 1, 0, 0], [0, 3, 2, 0, 2]]
            .map(|r| r.map(f64::from));
        assert_eq!(both_ways, expected.concat());
    }

    #[test]
    fn voxels_outside_pair_with_nothing() {
        let levels = Discretised::of(&[1.0, 2.0, 1.0], Discretisation::BinWidth(1.0), Number::Double).unwrap();
        let region = Roi { first: [0; 3], size: [2, 2, 1], inside: vec![true, false, true, true] };
        let field = LevelField::of(&region, &levels);
        let rows: [([i64; 3], [f64; 4]); 4] = [
            ([1, 0, 0], [0.0, 0.0, 1.0, 0.0]),
            ([0, 1, 0], [0.0, 1.0, 0.0, 0.0]),
            ([1, 1, 0], [1.0, 0.0, 0.0, 0.0]),
            ([-1, 1, 0], [0.0; 4]),
        ];
        for (step, expected) in rows {
            assert_eq!(field.pairs(step), expected, "{step:?}");
        }
    }

    #[test]
    fn tones_keep_the_differences_of_grey_levels() {
        let field = field_of([3, 1, 1], &[4, 9, 5]);
        let (tones, layout) = field.tones([2, 0, 0]);
        let Tones::Narrow(tones) = tones else { panic!("six tones fit a byte") };
        assert_eq!(tones[layout.row_start(0)..layout.row_start(0) + 4], [1, 6, 2, 0]);
        let far = field_of([2, 1, 1], &[1, 100_000]);
        assert!(matches!(far.tones([1; 3]).0, Tones::Widest(_)));
    }
}
