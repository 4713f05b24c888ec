use ndarray::Array3;
use rayon::prelude::*;

use crate::{Error, Volume};

/// Voxels of a row that are sorted side by side.
const LANES: usize = 8;

/// Largest window whose rank is found by exchanges in all lanes at once.
const SMALL_WINDOW: usize = 125;

/// The median of the box that reaches `radius` voxels to each side along x, y, z; beyond the grid the edge voxel is
/// repeated.
///
/// Exact: every result is one of the window's intensities. A voxel that is no number counts as larger than all. The same
/// as `Median` of SimpleITK and `median_filter(mode="nearest")` of SciPy.
///
/// # Errors
/// [`Error::InvalidArgument`] when the window has more than 100,000 voxels.
pub fn median(volume: &Volume, radius: [usize; 3]) -> Result<Volume, Error> {
    let width = radius.map(|r| r.saturating_mul(2).saturating_add(1));
    let count = width.iter().try_fold(1usize, |n, w| n.checked_mul(*w)).filter(|n| *n <= 100_000);
    let Some(count) = count else {
        return Err(Error::InvalidArgument {
            name: "median radius",
            expected: "a window of at most 100000 voxels",
            found: format!("{radius:?} voxels"),
        });
    };
    let [nx, ny, nz] = volume.geometry().size();
    let source = volume.as_slice();
    let sortable = count <= SMALL_WINDOW && source.par_iter().all(|v| !v.is_nan());
    let mut voxels = vec![0.0; source.len()];
    voxels.par_chunks_mut(nx).enumerate().for_each_init(
        || (Vec::new(), Vec::new(), Vec::new()),
        |(rows, sorted, window), (row, out)| {
            neighbour_rows(source, [nx, ny, nz], [row % ny, row / ny], radius, rows);
            if sortable {
                medians_in_lanes(rows, nx + 2 * radius[0], width[0], sorted, out);
            } else {
                medians_one_by_one(rows, nx + 2 * radius[0], width[0], window, out);
            }
        },
    );
    volume.with_voxels(Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel"))
}

/// The rows that the windows of row `[y, z]` read, each with `radius[0]` repeated voxels at both ends.
fn neighbour_rows(source: &[f32], size: [usize; 3], at: [usize; 2], radius: [usize; 3], rows: &mut Vec<f32>) {
    let [nx, ny, nz] = size;
    let near = |centre: usize, radius: usize, size: usize| {
        (0..=2 * radius).map(move |step| (centre + step).saturating_sub(radius).min(size - 1))
    };
    rows.clear();
    for z in near(at[1], radius[2], nz) {
        for y in near(at[0], radius[1], ny) {
            let row = &source[(z * ny + y) * nx..][..nx];
            rows.extend(std::iter::repeat_n(row[0], radius[0]));
            rows.extend_from_slice(row);
            rows.extend(std::iter::repeat_n(row[nx - 1], radius[0]));
        }
    }
}

fn medians_one_by_one(rows: &[f32], length: usize, width: usize, window: &mut Vec<f32>, out: &mut [f32]) {
    for (x, out) in out.iter_mut().enumerate() {
        window.clear();
        rows.chunks_exact(length).for_each(|row| window.extend_from_slice(&row[x..x + width]));
        let middle = window.len() / 2;
        *out = *window.select_nth_unstable_by(middle, above_nan).1;
    }
}

fn above_nan(a: &f32, b: &f32) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b))
}

/// Keeps two more than half of the window and drops its smallest and largest for every further value, in all lanes: what
/// remains is the median, since neither extreme of so many can be it.
fn medians_in_lanes(rows: &[f32], length: usize, width: usize, kept: &mut Vec<[f32; LANES]>, out: &mut [f32]) {
    let count = rows.len() / length * width;
    let kept_first = (count / 2 + 2).min(count);
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let value = |index: usize| -> [f32; LANES] {
            let start = index / width * length + block * LANES + index % width;
            let mut lanes = [0.0; LANES];
            lanes[..out.len()].copy_from_slice(&rows[start..start + out.len()]);
            lanes
        };
        kept.clear();
        kept.extend((0..kept_first).map(value));
        for next in kept_first..count {
            move_extremes_out(kept);
            kept.pop();
            if let Some(smallest) = kept.first_mut() {
                *smallest = value(next);
            }
        }
        while kept.len() > 2 {
            move_extremes_out(kept);
            kept.pop();
            kept.swap_remove(0);
        }
        if let Some(median) = kept.first() {
            out.copy_from_slice(&median[..out.len()]);
        }
    }
}

/// Exchanges values until the first is the smallest and the last the largest, lane by lane.
fn move_extremes_out(values: &mut [[f32; LANES]]) {
    let last = values.len().saturating_sub(1);
    for low in 0..values.len() / 2 {
        exchange(values, low, last - low);
    }
    let half = values.len().div_ceil(2);
    for low in 1..half {
        exchange(values, 0, low);
    }
    for high in last + 1 - half..last {
        exchange(values, high, last);
    }
}

/// Puts the smaller value of each lane to `low`, the larger to `high`.
#[inline(always)]
fn exchange(values: &mut [[f32; LANES]], low: usize, high: usize) {
    let (a, b) = (values[low], values[high]);
    for lane in 0..LANES {
        values[low][lane] = if a[lane] < b[lane] { a[lane] } else { b[lane] };
        values[high][lane] = if a[lane] < b[lane] { b[lane] } else { a[lane] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality, Unit};

    fn volume(size: [usize; 3], value: impl Fn([usize; 3]) -> f32) -> Volume {
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, Geometry::axis_aligned(size, [1.0; 3]).unwrap(), Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn every_result_is_the_middle_of_the_sorted_window() {
        let size = [13, 6, 5];
        let source = volume(size, |[i, j, k]| ((i * 71 + j * 37 + k * 53 + i * j * k) % 101) as f32 - 50.0);
        for radius in [[0, 0, 0], [1, 0, 0], [1, 1, 1], [2, 2, 2], [3, 2, 1], [1, 0, 2], [3, 3, 3]] {
            let found = median(&source, radius).unwrap();
            for ((k, j, i), found) in found.voxels().indexed_iter() {
                let at = |place: usize, step: usize, a: usize| {
                    (place as i64 + step as i64 - radius[a] as i64).clamp(0, size[a] as i64 - 1) as usize
                };
                let mut window = Vec::new();
                for (z, y, x) in steps(radius) {
                    window.push(source.voxels()[[at(k, z, 2), at(j, y, 1), at(i, x, 0)]]);
                }
                window.sort_by(f32::total_cmp);
                assert_eq!(*found, window[window.len() / 2], "{radius:?} {i} {j} {k}");
            }
        }
    }

    fn steps(radius: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
        let [x, y, z] = radius.map(|r| 2 * r + 1);
        (0..z).flat_map(move |k| (0..y).flat_map(move |j| (0..x).map(move |i| (k, j, i))))
    }

    #[test]
    fn a_voxel_that_is_no_number_counts_as_large() {
        let source = volume([5, 1, 1], |[i, _, _]| [1.0, 2.0, f32::NAN, 4.0, 5.0][i]);
        assert_eq!(median(&source, [1, 0, 0]).unwrap().as_slice(), [1.0, 2.0, 4.0, 5.0, 5.0]);
        assert!(matches!(median(&source, [usize::MAX, 0, 0]), Err(Error::InvalidArgument { .. })));
    }
}
