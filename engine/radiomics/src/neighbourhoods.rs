mod full_box;

use std::ops::{AddAssign, Range, Sub};

use rayon::prelude::*;

use crate::field::{LANES, Layout, Level, LevelField, Tones, Voxels};
use crate::ngtdm::ToneDifferences;
use crate::size_matrix::SizeMatrix;
use full_box::{Counts, FullBox};

/// Rows of a field that one thread looks at.
const ROWS: usize = 256;

/// What the voxels of a field have around them: how many neighbours of a near level, and how far from their mean level
/// they are.
pub(crate) struct Neighbourhoods {
    grey: Vec<u32>,
    /// Voxels of each level.
    counts: Vec<u64>,
    /// Columns of the tables: neighbours from 0 to the most there can be.
    columns: usize,
    /// Voxels of each level and number of dependent neighbours.
    dependences: Vec<u64>,
    /// Voxels of each level without neighbours.
    isolated: Vec<u64>,
    /// Σ |i·w - Σ levels of the neighbours| of each level i and number of neighbours w: whole numbers, so that their sum
    /// does not depend on its order.
    differences: Vec<u64>,
}

impl Neighbourhoods {
    /// Neighbours are the voxels inside at `steps` and opposite to them; one is dependent when its level differs by at
    /// most `alpha`.
    pub(crate) fn of(field: &LevelField, steps: &[[i64; 3]], alpha: u32) -> Self {
        let steps: Vec<[i64; 3]> = steps.iter().flat_map(|&step| [step, step.map(|s| -s)]).collect();
        match &field.voxels {
            Voxels::Narrow(positions) => {
                in_full_box(field, positions, &steps, alpha).unwrap_or_else(|| by_tone(field, positions, &steps, alpha))
            }
            Voxels::Wide(positions) => by_tone(field, positions, &steps, alpha),
        }
    }

    /// Voxels of each level and number of dependent neighbours plus 1.
    pub(crate) fn dependences(&self) -> SizeMatrix {
        SizeMatrix::of_table(&self.grey, self.columns, &self.dependences)
    }

    /// Sums of the distance of voxels to the mean level of their neighbours. Voxels without neighbours add a difference
    /// of 0 where they are counted (PyRadiomics), or are left out (IBSI).
    pub(crate) fn tone_differences(&self, counts_isolated: bool) -> ToneDifferences {
        let left_out = |isolated: u64| if counts_isolated { 0 } else { isolated };
        let counts =
            self.counts.iter().zip(&self.isolated).map(|(n, &isolated)| (n - left_out(isolated)) as f64).collect();
        let mean = |(w, &sum): (u32, &u64)| sum as f64 / f64::from(w);
        let sums =
            self.differences.chunks_exact(self.columns).map(|row| (1..).zip(&row[1..]).map(mean).sum()).collect();
        ToneDifferences { grey: self.grey.clone(), counts, sums }
    }
}

/// Voxels that `steps` reach along each axis.
fn reach(steps: &[[i64; 3]]) -> [usize; 3] {
    std::array::from_fn(|a| steps.iter().map(|step| step[a].unsigned_abs() as usize).max().unwrap_or(0))
}

/// The neighbourhoods, where [`FullBox`] can count them.
fn in_full_box(field: &LevelField, positions: &[u8], steps: &[[i64; 3]], alpha: u32) -> Option<Neighbourhoods> {
    let reach = reach(steps);
    if steps.len() > 255 || steps.len() + 1 != reach.iter().map(|r| 2 * r + 1).product::<usize>() {
        return None;
    }
    let (Tones::Narrow(tones), layout) = field.tones(reach) else { return None };
    let offsets: Vec<isize> = steps.iter().map(|&step| layout.offset(step)).collect();
    let columns = columns(field, steps.len());
    let alpha = u8::try_from(alpha).unwrap_or(u8::MAX);
    let rows = field.spans.len();
    let full = FullBox { field, positions, tones: &tones, layout, offsets: &offsets, reach, alpha };
    let empty = || Counts::new(columns, field.grey.len(), field.size[0] + 2 * reach[0]);
    let counts = (0..rows.div_ceil(ROWS)).into_par_iter().fold(empty, |mut counts, block| {
        full.add_rows(block * ROWS..(block * ROWS + ROWS).min(rows), &mut counts);
        counts
    });
    let [dependences, isolated, differences] = counts.reduce(empty, |a, b| a.plus(&b)).into_tables();
    let (grey, counts) = (field.grey.clone(), field.counts.clone());
    Some(Neighbourhoods { grey, counts, columns, dependences, isolated, differences })
}

/// Numbers of neighbours, from 0 to the most there can be.
fn columns(field: &LevelField, steps: usize) -> usize {
    steps.min(field.count() as usize - 1) + 1
}

fn by_tone<P: Level>(field: &LevelField, positions: &[P], steps: &[[i64; 3]], alpha: u32) -> Neighbourhoods {
    let (tones, layout) = field.tones(reach(steps));
    let offsets: Vec<isize> = steps.iter().map(|&step| layout.offset(step)).collect();
    let around = Surroundings { field, positions, layout, offsets };
    match tones {
        Tones::Narrow(tones) if steps.len() < 256 => {
            around.tables::<u8, u8, u16>(&tones, u8::try_from(alpha).unwrap_or(u8::MAX))
        }
        Tones::Narrow(tones) => around.tables::<u8, u32, u64>(&tones, u8::try_from(alpha).unwrap_or(u8::MAX)),
        Tones::Wide(tones) => around.tables::<u16, u32, u64>(&tones, u16::try_from(alpha).unwrap_or(u16::MAX)),
        Tones::Widest(tones) => around.tables::<u32, u32, u64>(&tones, alpha),
    }
}

struct Surroundings<'a, P> {
    field: &'a LevelField,
    positions: &'a [P],
    /// Where the tones lie, and how far from a voxel its neighbours are among them.
    layout: Layout,
    offsets: Vec<isize>,
}

impl<P: Level> Surroundings<'_, P> {
    /// `C` holds the number of neighbours, `S` that number times the largest tone.
    fn tables<T, C, S>(&self, tones: &[T], alpha: T) -> Neighbourhoods
    where
        T: Copy + Ord + Sub<Output = T> + Default + Into<u64> + Sync,
        C: Copy + AddAssign + From<bool> + Into<u64>,
        S: Copy + AddAssign + From<T> + Into<u64>,
    {
        let field = self.field;
        let columns = columns(field, self.offsets.len());
        let levels = field.grey.len();
        let empty = || [vec![0u64; levels * columns], vec![0u64; levels], vec![0u64; levels * columns]];
        let rows = field.spans.len();
        let blocks = (0..rows.div_ceil(ROWS)).into_par_iter();
        let [dependences, isolated, differences] = blocks
            .fold(empty, |mut sums, block| {
                self.add_rows::<T, C, S>(
                    block * ROWS..(block * ROWS + ROWS).min(rows),
                    tones,
                    alpha,
                    columns,
                    &mut sums,
                );
                sums
            })
            .reduce(empty, |mut a, b| {
                a.iter_mut().zip(&b).for_each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, b)| *a += b));
                a
            });
        let (grey, counts) = (field.grey.clone(), field.counts.clone());
        Neighbourhoods { grey, counts, columns, dependences, isolated, differences }
    }

    fn add_rows<T, C, S>(
        &self,
        rows: Range<usize>,
        tones: &[T],
        alpha: T,
        columns: usize,
        [dependences, isolated, differences]: &mut [Vec<u64>; 3],
    ) where
        T: Copy + Ord + Sub<Output = T> + Default + Into<u64>,
        C: Copy + AddAssign + From<bool> + Into<u64>,
        S: Copy + AddAssign + From<T> + Into<u64>,
    {
        for row in rows {
            let (first, end) = self.field.spans[row];
            let (positions, tones_start) = (self.field.layout.row_start(row), self.layout.row_start(row));
            for x in (first..end).step_by(LANES) {
                let block = Block::<C, S>::around(tones, tones_start + x, &self.offsets, alpha);
                for k in 0..LANES.min(end - x) {
                    let position: usize = self.positions[positions + x + k].into();
                    if position == 0 {
                        continue;
                    }
                    let neighbours: u64 = block.neighbours[k].into();
                    let dependent: u64 = block.dependent[k].into();
                    let tone: u64 = tones[tones_start + x + k].into();
                    let cell = (position - 1) * columns;
                    dependences[cell + dependent as usize] += 1;
                    differences[cell + neighbours as usize] += (tone * neighbours).abs_diff(block.tones[k].into());
                    isolated[position - 1] += u64::from(neighbours == 0);
                }
            }
        }
    }
}

/// For consecutive voxels: how many dependent neighbours, how many neighbours, and the sum of their tones.
struct Block<C, S> {
    dependent: [C; LANES],
    neighbours: [C; LANES],
    tones: [S; LANES],
}

impl<C: Copy + AddAssign + From<bool>, S: Copy + AddAssign> Block<C, S> {
    fn around<T>(tones: &[T], start: usize, offsets: &[isize], alpha: T) -> Self
    where
        T: Copy + Ord + Sub<Output = T> + Default,
        S: From<T>,
    {
        let none = C::from(false);
        let zero = T::default();
        let lanes = |at: usize| tones[at..].first_chunk::<LANES>().copied().unwrap_or([zero; LANES]);
        let own = lanes(start);
        let mut block = Self { dependent: [none; LANES], neighbours: [none; LANES], tones: [S::from(zero); LANES] };
        for &offset in offsets {
            let theirs = lanes(start.saturating_add_signed(offset));
            for k in 0..LANES {
                let inside = theirs[k] != zero;
                let is_near = own[k].max(theirs[k]) - own[k].min(theirs[k]) <= alpha;
                block.dependent[k] += C::from(inside & is_near);
                block.neighbours[k] += C::from(inside);
                block.tones[k] += S::from(theirs[k]);
            }
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directions::directions;
    use crate::field::tests::{field_of, five_by_five};

    /// The dependences of the image in the PyRadiomics manual, α = 0, δ = 1.
    #[test]
    fn five_by_five_image_by_hand() {
        let around = Neighbourhoods::of(&five_by_five(), &directions([5, 5, 1], &[1], None), 0);
        let expected = [[0, 1, 2, 1], [1, 2, 3, 0], [1, 4, 4, 0], [1, 2, 0, 0], [3, 0, 0, 0]];
        let found = around.dependences();
        assert_eq!((found.grey, found.sizes), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4]));
        assert_eq!(found.counts, expected.map(|row| row.map(f64::from)).concat());
    }

    /// The 4 x 4 image of the PyRadiomics manual, without the level 4: s₁ = |1-10/3| + |1-30/8| + |1-15/5| + |1-13/5| +
    /// |1-15/5| + |1-11/3|, s₂ = |2-15/5| + |2-9/3|, s₃ = |3-12/5| + |3-18/5| + |3-20/8| + |3-5/3|.
    #[test]
    fn four_by_four_image_by_hand() {
        let field = field_of([4, 4, 1], &[1, 2, 5, 2, 3, 5, 1, 3, 1, 3, 5, 5, 3, 1, 1, 1]);
        let found = Neighbourhoods::of(&field, &directions([4, 4, 1], &[1], None), 0).tone_differences(true);
        assert_eq!((found.grey, found.counts), (vec![1, 2, 3, 5], vec![6.0, 2.0, 4.0, 4.0]));
        let expected = [13.35, 2.0, 0.6 + 0.6 + 0.5 + 4.0 / 3.0, 10.075];
        assert!(found.sums.iter().zip(expected).all(|(s, e)| (s - e).abs() < 1e-12), "{:?}", found.sums);
    }

    /// Rows of less and more than a block, gaps, levels that are missing, boxes of 26 and 124 neighbours and in a plane.
    #[test]
    fn a_full_box_counts_what_its_steps_count() {
        for size in [[37, 5, 4], [16, 3, 2], [3, 4, 5]] {
            let grey: Vec<u32> =
                (0..size.iter().product::<usize>() as u32).map(|k| k * k % 31 * (k % 11) % 23).collect();
            let field = field_of(size, &grey);
            let Voxels::Narrow(positions) = &field.voxels else { panic!("22 levels fit a byte") };
            for (distances, across, alpha) in
                [(&[1][..], None, 0), (&[1], None, 3), (&[1, 2], None, 1), (&[1], Some(2), 0)]
            {
                let steps: Vec<[i64; 3]> = directions(size, distances, across);
                let both_ways: Vec<[i64; 3]> = steps.iter().flat_map(|&step| [step, step.map(|s| -s)]).collect();
                let boxed = in_full_box(&field, positions, &both_ways, alpha).unwrap();
                let expected = by_tone(&field, positions, &both_ways, alpha);
                assert_eq!(boxed.dependences(), expected.dependences());
                for counts_isolated in [true, false] {
                    assert_eq!(boxed.tone_differences(counts_isolated), expected.tone_differences(counts_isolated));
                }
            }
        }
    }

    #[test]
    fn isolated_voxels_count_or_not() {
        let field = field_of([4, 1, 1], &[6, 7, 0, 9]);
        let around = Neighbourhoods::of(&field, &directions([4, 1, 1], &[1], None), 1);
        assert_eq!(around.dependences().counts, [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
        let (counted, left_out) = (around.tone_differences(true), around.tone_differences(false));
        assert_eq!((counted.counts, counted.sums), (vec![1.0; 3], vec![1.0, 1.0, 0.0]));
        assert_eq!((left_out.counts, left_out.sums), (vec![1.0, 1.0, 0.0], vec![1.0, 1.0, 0.0]));
    }

    /// Distances 1 and 2 along a row of levels 10, 20, 70000, 20: tones beyond 16 bits.
    #[test]
    fn far_neighbours_and_far_levels() {
        let field = field_of([4, 1, 1], &[10, 20, 70_000, 20]);
        let around = Neighbourhoods::of(&field, &directions([4, 1, 1], &[1, 2], None), 10);
        // 10 has 20 near; the 20s have (10, 20) and (20).
        assert_eq!(
            around.dependences().rows().map(|(_, row)| row.to_vec()).collect::<Vec<_>>(),
            [vec![0.0, 1.0, 0.0], vec![0.0, 1.0, 1.0], vec![1.0, 0.0, 0.0]]
        );
        let sums = around.tone_differences(true).sums;
        let expected = [35_000.0, (70_030.0f64 / 3.0 - 20.0) + 34_990.0, 70_000.0 - 50.0 / 3.0];
        assert!(sums.iter().zip(expected).all(|(s, e)| (s - e).abs() < 1e-9), "{sums:?} {expected:?}");
    }
}
