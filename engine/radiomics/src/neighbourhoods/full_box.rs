use std::ops::Range;

use crate::field::{LANES, Layout, LevelField};

/// What the tables of [`super::Neighbourhoods`] are counted from where tones and positions fit a byte, the neighbours of a
/// voxel are all others of a box around it, and there are fewer than 256 of them.
pub(super) struct FullBox<'a> {
    pub(super) field: &'a LevelField,
    pub(super) positions: &'a [u8],
    pub(super) tones: &'a [u8],
    /// Where the tones lie.
    pub(super) layout: Layout,
    /// From a voxel to its neighbours among the tones.
    pub(super) offsets: &'a [isize],
    /// Voxels that the box reaches from its centre along each axis.
    pub(super) reach: [usize; 3],
    pub(super) alpha: u8,
}

/// The tables of some rows, and room for one row.
pub(super) struct Counts {
    columns: usize,
    /// With a row for level 0: counting it is cheaper than asking.
    dependences: Vec<u64>,
    /// Column 0, which has no differences, counts the voxels without neighbours.
    differences: Vec<u64>,
    /// The lowest tone that is near enough to each voxel's, and how far above it the highest one is.
    lowest: Vec<[u8; LANES]>,
    span: Vec<[u8; LANES]>,
    dependent: Vec<[u8; LANES]>,
    /// Sums over the columns of the box, one across x: tones and voxels inside.
    tones: Vec<[u16; LANES]>,
    inside: Vec<[u16; LANES]>,
    cells: Vec<[[u16; LANES]; 3]>,
}

impl Counts {
    pub(super) fn new(columns: usize, levels: usize, row: usize) -> Self {
        let blocks = row.div_ceil(LANES) + 1;
        let table = || vec![0; (levels + 1) * columns];
        let bytes = || vec![[0; LANES]; blocks];
        let words = || vec![[0; LANES]; blocks];
        Self {
            columns,
            dependences: table(),
            differences: table(),
            lowest: bytes(),
            span: bytes(),
            dependent: bytes(),
            tones: words(),
            inside: words(),
            cells: vec![[[0; LANES]; 3]; blocks],
        }
    }

    pub(super) fn plus(mut self, other: &Self) -> Self {
        let add = |a: &mut [u64], b: &[u64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut self.dependences, &other.dependences);
        add(&mut self.differences, &other.differences);
        self
    }

    /// Dependences, voxels without neighbours, differences.
    pub(super) fn into_tables(mut self) -> [Vec<u64>; 3] {
        let isolated = self.differences.iter_mut().step_by(self.columns).skip(1).map(std::mem::take).collect();
        [self.dependences.split_off(self.columns), isolated, self.differences.split_off(self.columns)]
    }
}

impl FullBox<'_> {
    pub(super) fn add_rows(&self, rows: Range<usize>, counts: &mut Counts) {
        for row in rows {
            let (first, end) = self.field.spans[row];
            if first < end {
                self.add_row(
                    self.field.layout.row_start(row) + first,
                    self.layout.row_start(row) + first,
                    end - first,
                    counts,
                );
            }
        }
    }

    /// Adds a row of voxels, whose positions and tones start at an element each.
    fn add_row(&self, position: usize, start: usize, length: usize, counts: &mut Counts) {
        let blocks = length.div_ceil(LANES);
        let own = self.tones[start..].as_chunks().0;
        let from = |at: usize| self.tones[at..].as_chunks().0;
        let (lowest, span) = (&mut counts.lowest[..blocks], &mut counts.span[..blocks]);
        near_tones(own, self.alpha, lowest, span);
        let dependent = &mut counts.dependent[..blocks];
        dependent.fill([0; LANES]);
        for &offset in self.offsets {
            add_dependent(from(start.saturating_add_signed(offset)), lowest, span, dependent);
        }
        let [reach, across, beyond] = self.reach;
        let wide = (length + 2 * reach).div_ceil(LANES);
        let (tones, inside) = (&mut counts.tones[..wide], &mut counts.inside[..wide]);
        tones.fill([0; LANES]);
        inside.fill([0; LANES]);
        let (across, beyond) = (across as i64, beyond as i64);
        for z in -beyond..=beyond {
            for y in -across..=across {
                let column = start.saturating_add_signed(self.layout.offset([-(reach as i64), y, z]));
                add_column(from(column), tones, inside);
            }
        }
        let cells = &mut counts.cells[..blocks];
        cells.fill([[0; LANES]; 3]);
        for x in 0..=2 * reach {
            let (tones, inside) = (&counts.tones.as_flattened()[x..], &counts.inside.as_flattened()[x..]);
            add_columns(tones.as_chunks().0, inside.as_chunks().0, cells);
        }
        place(self.positions[position..].as_chunks().0, own, dependent, counts.columns as u16, cells);
        for [dependences, differences, amounts] in cells {
            for ((&a, &b), &amount) in dependences.iter().zip(&*differences).zip(&*amounts) {
                counts.dependences[usize::from(a)] += 1;
                counts.differences[usize::from(b)] += u64::from(amount);
            }
        }
    }
}

// The loops over the blocks of a row are functions of their own, which the compiler turns into vector instructions.

/// The tones at most `alpha` from each; not 0, which is outside.
#[inline(never)]
fn near_tones(own: &[[u8; LANES]], alpha: u8, lowest: &mut [[u8; LANES]], span: &mut [[u8; LANES]]) {
    for ((lowest, span), own) in lowest.iter_mut().zip(span).zip(own) {
        for k in 0..LANES {
            lowest[k] = own[k].saturating_sub(alpha).max(1);
            span[k] = own[k].saturating_add(alpha).saturating_sub(lowest[k]);
        }
    }
}

#[inline(never)]
fn add_dependent(theirs: &[[u8; LANES]], lowest: &[[u8; LANES]], span: &[[u8; LANES]], dependent: &mut [[u8; LANES]]) {
    for ((dependent, theirs), (lowest, span)) in dependent.iter_mut().zip(theirs).zip(lowest.iter().zip(span)) {
        for k in 0..LANES {
            dependent[k] += u8::from(theirs[k].wrapping_sub(lowest[k]) <= span[k]);
        }
    }
}

#[inline(never)]
fn add_column(theirs: &[[u8; LANES]], tones: &mut [[u16; LANES]], inside: &mut [[u16; LANES]]) {
    for ((tones, inside), theirs) in tones.iter_mut().zip(inside).zip(theirs) {
        for k in 0..LANES {
            tones[k] += u16::from(theirs[k]);
            inside[k] += u16::from(theirs[k] != 0);
        }
    }
}

#[inline(never)]
fn add_columns(tones: &[[u16; LANES]], inside: &[[u16; LANES]], sums: &mut [[[u16; LANES]; 3]]) {
    for ((tones, inside), [sum, voxels, _]) in tones.iter().zip(inside).zip(sums) {
        for k in 0..LANES {
            sum[k] = sum[k].wrapping_add(tones[k]);
            voxels[k] = voxels[k].wrapping_add(inside[k]);
        }
    }
}

/// From the sums of the tones and the number of voxels inside of each box, itself included: the cells of the voxel among
/// the dependences and the differences, and its difference.
#[inline(never)]
fn place(
    positions: &[[u8; LANES]],
    own: &[[u8; LANES]],
    dependent: &[[u8; LANES]],
    columns: u16,
    cells: &mut [[[u16; LANES]; 3]],
) {
    for (([sum, voxels, amount], positions), (own, dependent)) in
        cells.iter_mut().zip(positions).zip(own.iter().zip(dependent))
    {
        for k in 0..LANES {
            let (tone, row) = (u16::from(own[k]), u16::from(positions[k]).wrapping_mul(columns));
            let is_inside = u16::from(own[k] != 0).wrapping_neg();
            let neighbours = voxels[k].wrapping_sub(1) & is_inside;
            // Only the low 16 bits of the products and sums are kept, which hold the difference.
            let difference = tone.wrapping_mul(neighbours).abs_diff(sum[k].wrapping_sub(tone));
            amount[k] = difference.wrapping_add(u16::from(neighbours == 0));
            sum[k] = row + (u16::from(dependent[k]) & is_inside);
            voxels[k] = row + neighbours;
        }
    }
}
