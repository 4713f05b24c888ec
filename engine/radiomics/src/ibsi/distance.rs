use crate::roi::Roi;

/// Steps from each voxel of the region's box to the nearest voxel outside the region, over faces: 1 at the border, 0
/// outside. The box ends the region. With `in_slices` steps stay in their slice.
pub(super) fn steps_to_border(region: &Roi, in_slices: bool) -> Vec<u32> {
    let [nx, ny, _] = region.size;
    let mut steps: Vec<u32> = region.inside.iter().map(|&inside| if inside { u32::MAX } else { 0 }).collect();
    steps.chunks_exact_mut(nx).for_each(along_row);
    steps.chunks_exact_mut(nx * ny).for_each(|slice| across_rows(slice, nx));
    if !in_slices {
        across_rows(&mut steps, nx * ny);
    }
    steps
}

/// Lowers each element to one more than its neighbours in the row, 0 beyond the ends.
fn along_row(row: &mut [u32]) {
    let mut lower = |before: u32, step: &mut u32| {
        *step = (before + 1).min(*step);
        *step
    };
    row.iter_mut().fold(0, &mut lower);
    row.iter_mut().rev().fold(0, &mut lower);
}

/// Lowers each element to one more than those of the rows (or slices) of `length` elements before and after it.
fn across_rows(rows: &mut [u32], length: usize) {
    let lower = |row: &mut [u32], next_to: &[u32]| {
        row.iter_mut().zip(next_to).for_each(|(step, next)| *step = (*step).min(next + 1));
    };
    let count = rows.len() / length;
    let outside = vec![0; length];
    lower(&mut rows[..length], &outside);
    for k in 1..count {
        let (before, after) = rows.split_at_mut(k * length);
        lower(&mut after[..length], &before[(k - 1) * length..]);
    }
    lower(&mut rows[(count - 1) * length..], &outside);
    for k in (1..count).rev() {
        let (before, after) = rows.split_at_mut(k * length);
        lower(&mut before[(k - 1) * length..], &after[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slab of 5 x 5 x 3 voxels without its corner: the voxel in the middle of its slice is 3 steps from the border in
    /// the slice, 2 in space.
    #[test]
    fn steps_go_over_faces() {
        let mut inside = vec![true; 75];
        inside[0] = false;
        let slab = Roi { first: [7, 0, 0], size: [5, 5, 3], inside };
        let (in_slices, in_space) = (steps_to_border(&slab, true), steps_to_border(&slab, false));
        assert_eq!(in_slices[25..50], [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 2, 3, 2, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(in_space[25..50], [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 2, 2, 2, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!((in_slices[0], in_slices[6], in_space[6]), (0, 2, 1));
    }
}
