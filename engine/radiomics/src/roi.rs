use isoscan_imaging::{Geometry, Mask};
use rayon::prelude::*;

use crate::diagnostics::pairwise_sum;
use crate::image::Bounds;
use crate::prepare::Number;
use crate::settings::ResegmentMode;
use crate::{Error, Stage};

/// Which voxels of a region resegmentation keeps: `low <= v <= high`, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Resegmentation {
    /// What the numbers mean.
    pub mode: ResegmentMode,
    /// Lower threshold.
    pub low: f64,
    /// Upper threshold; `None` for no limit.
    pub high: Option<f64>,
}

impl Resegmentation {
    /// Thresholds as intensities: in mode relative times the maximum of `values`, in mode sigma `mean + t·SD` with the
    /// population standard deviation, both summed in f32 where the image is f32, as NumPy does.
    pub(crate) fn thresholds(&self, values: &[f64], number: Number) -> (f64, f64) {
        let finite = || values.iter().copied().filter(|v| !v.is_nan());
        let intensity: Box<dyn Fn(f64) -> f64> = match self.mode {
            ResegmentMode::Absolute => Box::new(|t| t),
            ResegmentMode::Relative => {
                let maximum = finite().fold(f64::NEG_INFINITY, f64::max);
                Box::new(move |t| maximum * t)
            }
            ResegmentMode::Sigma => {
                let (mean, sd) = if number == Number::Single {
                    let values: Vec<f32> = finite().map(|v| v as f32).collect();
                    let n = values.len() as f32;
                    let mean = pairwise_sum(&values) / n;
                    let squares: Vec<f32> = values.iter().map(|v| (v - mean) * (v - mean)).collect();
                    (f64::from(mean), f64::from((pairwise_sum(&squares) / n).sqrt()))
                } else {
                    let values: Vec<f64> = finite().collect();
                    let n = values.len() as f64;
                    let mean = pairwise_sum(&values) / n;
                    let squares: Vec<f64> = values.iter().map(|v| (v - mean) * (v - mean)).collect();
                    (mean, (pairwise_sum(&squares) / n).sqrt())
                };
                Box::new(move |t| mean + sd * t)
            }
        };
        (intensity(self.low), self.high.map_or(f64::INFINITY, intensity))
    }
}

/// Neighbouring voxels of one row inside a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// `z · ny + y` in the region's box.
    pub(crate) row: usize,
    /// First x.
    pub(crate) start: usize,
    /// One past the last x.
    pub(crate) end: usize,
}

impl Run {
    /// Sum of the x of its voxels.
    pub(crate) fn sum(self) -> usize {
        (self.end - self.start) * (self.start + self.end - 1) / 2
    }
}

/// A region of interest inside its bounding box.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Roi {
    /// First voxel of the box on the mask's grid, x, y, z.
    pub(crate) first: [usize; 3],
    /// Size of the box, x, y, z.
    pub(crate) size: [usize; 3],
    /// Which voxels of the box are inside, x fastest.
    pub(crate) inside: Vec<bool>,
}

impl Roi {
    /// The region of a mask.
    pub(crate) fn of(mask: &Mask) -> Result<Self, Error> {
        let inside = mask.inside();
        let inside = inside.as_slice().expect("a mask is contiguous by construction");
        Self::within(inside, mask.geometry().size()).ok_or(Error::EmptyMask { voxels: inside.len() })
    }

    /// The region of a grid of `size` voxels, or `None` when nothing is inside.
    pub(crate) fn within(grid: &[bool], size: [usize; 3]) -> Option<Self> {
        let [nx, ny, _] = size;
        let slices = grid.par_chunks(nx * ny).enumerate();
        let (low, high) = slices
            .filter_map(|(z, slice)| {
                let (low, high) = extent_in_slice(slice, nx)?;
                Some(([low[0], low[1], z], [high[0], high[1], z]))
            })
            .reduce_with(|(low, high), (l, h)| {
                (std::array::from_fn(|a| low[a].min(l[a])), std::array::from_fn(|a| high[a].max(h[a])))
            })?;
        let box_size = std::array::from_fn(|a| high[a] - low[a] + 1);
        let mut inside = Vec::with_capacity(box_size.iter().product());
        for z in low[2]..=high[2] {
            for y in low[1]..=high[1] {
                let start = (z * ny + y) * nx + low[0];
                inside.extend_from_slice(&grid[start..start + box_size[0]]);
            }
        }
        Some(Self { first: low, size: box_size, inside })
    }

    /// All voxels of a box.
    pub(crate) fn of_box(first: [usize; 3], size: [usize; 3]) -> Self {
        Self { first, size, inside: vec![true; size.iter().product()] }
    }

    /// Number of voxels inside.
    pub(crate) fn count(&self) -> usize {
        self.runs().map(|run| run.end - run.start).sum()
    }

    /// Runs of voxels inside along x, in the order of the box.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        let rows = self.inside.chunks_exact(self.size[0]).enumerate();
        rows.flat_map(|(row, inside)| {
            let mut at = 0;
            std::iter::from_fn(move || {
                let start = next(inside, at, true)?;
                at = next(inside, start, false).unwrap_or(inside.len());
                Some(Run { row, start, end: at })
            })
        })
    }

    /// Those of `values`, one per voxel of the box, whose voxel is inside.
    pub(crate) fn inside_of(&self, values: &[f64]) -> Vec<f64> {
        let mut inside = Vec::with_capacity(self.count());
        for run in self.runs() {
            let start = run.row * self.size[0];
            inside.extend_from_slice(&values[start + run.start..start + run.end]);
        }
        inside
    }

    /// One value per voxel inside, at its place in a box; 0 elsewhere.
    pub(crate) fn spread(&self, values: &[f64], bounds: Bounds) -> Vec<f64> {
        let mut spread = vec![0.0; bounds.count()];
        for ((_, [x, y, z]), &value) in self.voxels().zip(values) {
            let [x, y, z] = [x - bounds.first[0], y - bounds.first[1], z - bounds.first[2]];
            spread[(z * bounds.size[1] + y) * bounds.size[0] + x] = value;
        }
        spread
    }

    /// Index in the box and position on the mask's grid of every voxel inside, x fastest.
    pub(crate) fn voxels(&self) -> impl Iterator<Item = (usize, [usize; 3])> + '_ {
        let [nx, ny, _] = self.size;
        let first = self.first;
        self.runs().flat_map(move |run| {
            let (y, z) = (first[1] + run.row % ny, first[2] + run.row / ny);
            (run.start..run.end).map(move |x| (run.row * nx + x, [first[0] + x, y, z]))
        })
    }

    /// This region restricted to the box of `part`, which lies inside this one's box.
    pub(crate) fn cropped_to(&self, part: &Self) -> Self {
        let offset: [usize; 3] = std::array::from_fn(|a| part.first[a] - self.first[a]);
        let [nx, ny, nz] = part.size;
        let mut inside = Vec::with_capacity(nx * ny * nz);
        for z in offset[2]..offset[2] + nz {
            for y in offset[1]..offset[1] + ny {
                let start = (z * self.size[1] + y) * self.size[0] + offset[0];
                inside.extend_from_slice(&self.inside[start..start + nx]);
            }
        }
        Self { inside, ..*part }
    }

    /// The voxels that `keep` (one bool per voxel inside) marks, in their own box.
    pub(crate) fn keeping(&self, keep: &[bool]) -> Option<Self> {
        let mut grid = self.inside.clone();
        grid.iter_mut().filter(|inside| **inside).zip(keep).for_each(|(inside, keep)| *inside = *keep);
        let part = Self::within(&grid, self.size)?;
        Some(Self { first: std::array::from_fn(|a| self.first[a] + part.first[a]), ..part })
    }

    /// Refuses a single voxel, a region along too few axes, and one with too few voxels.
    pub(crate) fn require_extent(&self, dimensions: usize, minimum_size: Option<usize>) -> Result<(), Error> {
        let found = self.size.iter().filter(|&&n| n > 1).count();
        if found == 0 {
            return Err(Error::SingleVoxel);
        }
        if found < dimensions {
            return Err(Error::TooFewDimensions { needed: dimensions, found });
        }
        match minimum_size {
            Some(needed) if self.count() <= needed => Err(Error::RegionTooSmall { needed, found: self.count() }),
            _ => Ok(()),
        }
    }

    /// What the diagnostics say of this region on `geometry`; parts are counted when `count_parts`.
    pub(crate) fn stage(&self, name: &'static str, geometry: &Geometry, count_parts: bool) -> Stage {
        let runs: Vec<Run> = self.runs().collect();
        let voxels: usize = runs.iter().map(|run| run.end - run.start).sum();
        let ny = self.size[1];
        let sums = runs.iter().fold([0; 3], |[x, y, z], run| {
            let count = run.end - run.start;
            [x + run.sum(), y + run.row % ny * count, z + run.row / ny * count]
        });
        // One division of whole numbers, as PyRadiomics rounds.
        let centre = std::array::from_fn(|a| (self.first[a] * voxels + sums[a]) as f64 / voxels as f64);
        Stage {
            name,
            geometry: geometry.clone(),
            first: self.first,
            size: self.size,
            voxels,
            parts: if count_parts { parts(&runs, self.size) } else { 0 },
            centre_of_mass_index: centre,
            centre_of_mass_mm: geometry.world_from_voxel().apply(centre),
            intensities: None,
        }
    }
}

/// First and last x and y inside of a slice with rows of `nx` voxels.
fn extent_in_slice(slice: &[bool], nx: usize) -> Option<([usize; 2], [usize; 2])> {
    let mut extent: Option<([usize; 2], [usize; 2])> = None;
    for (y, row) in slice.chunks_exact(nx).enumerate() {
        // A branchless pass over the row is several times faster than searching it, and most rows are empty.
        if !row.iter().fold(false, |any, &inside| any | inside) {
            continue;
        }
        let first = row.iter().position(|&inside| inside)?;
        let last = row.iter().rposition(|&inside| inside)?;
        let (low, high) = extent.unwrap_or(([first, y], [last, y]));
        extent = Some(([low[0].min(first), low[1]], [high[0].max(last), y]));
    }
    extent
}

/// Index of the first voxel from `from` on that is `inside`.
fn next(row: &[bool], from: usize, inside: bool) -> Option<usize> {
    let mut at = from;
    while row[at..].first_chunk::<16>().is_some_and(|block| *block == [!inside; 16]) {
        at += 16;
    }
    row[at..].iter().position(|&voxel| voxel == inside).map(|offset| at + offset)
}

/// Number of parts connected over faces, edges or corners, by joining runs of neighbouring rows.
fn parts(runs: &[Run], [_, ny, nz]: [usize; 3]) -> usize {
    let mut starts = vec![0; ny * nz + 1];
    runs.iter().for_each(|run| starts[run.row + 1] += 1);
    for row in 0..ny * nz {
        starts[row + 1] += starts[row];
    }
    let mut parents: Vec<usize> = (0..runs.len()).collect();
    let mut join = |row: usize, other: usize| {
        let (mut i, mut j) = (starts[row], starts[other]);
        while i < starts[row + 1] && j < starts[other + 1] {
            let (a, b) = (runs[i], runs[j]);
            if a.start <= b.end && b.start <= a.end {
                let (a, b) = (root(&mut parents, i), root(&mut parents, j));
                parents[a.max(b)] = a.min(b);
            }
            if a.end < b.end { i += 1 } else { j += 1 }
        }
    };
    for z in 0..nz {
        for y in 0..ny {
            let row = z * ny + y;
            if y > 0 {
                join(row, row - 1);
            }
            if z > 0 {
                for other in y.saturating_sub(1)..=(y + 1).min(ny - 1) {
                    join(row, (z - 1) * ny + other);
                }
            }
        }
    }
    (0..runs.len()).filter(|&run| parents[run] == run).count()
}

fn root(parents: &mut [usize], mut run: usize) -> usize {
    while parents[run] != run {
        parents[run] = parents[parents[run]];
        run = parents[run];
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 5 x 2 x 2 grid with a bar, a voxel that touches it at a corner, and one apart.
    fn roi() -> Roi {
        let mut grid = vec![false; 20];
        for index in [0, 1, 12, 4] {
            grid[index] = true;
        }
        Roi::within(&grid, [5, 2, 2]).unwrap()
    }

    #[test]
    fn parts_touch_at_corners() {
        let mut grid = vec![false; 20];
        grid[0] = true;
        grid[16] = true;
        let parts_of = |region: &Roi| parts(&region.runs().collect::<Vec<_>>(), region.size);
        assert_eq!(parts_of(&Roi::within(&grid, [5, 2, 2]).unwrap()), 1);
        assert_eq!(parts_of(&roi()), 2);
    }

    #[test]
    fn runs_end_at_gaps_and_at_the_border() {
        let inside: Vec<bool> = (0..80).map(|x| !(x == 3 || (20..57).contains(&x))).collect();
        let region = Roi { first: [0; 3], size: [40, 2, 1], inside };
        let found: Vec<[usize; 3]> = region.runs().map(|run| [run.row, run.start, run.end]).collect();
        assert_eq!(found, [[0, 0, 3], [0, 4, 20], [1, 17, 40]]);
        assert_eq!(region.count(), 42);
        assert_eq!(region.runs().map(Run::sum).collect::<Vec<_>>(), [3, 184, 644]);
    }

    #[test]
    fn a_kept_part_has_its_own_box() {
        let part = roi().keeping(&[false, true, false, true]).unwrap();
        assert_eq!((part.first, part.size, part.count()), ([1, 0, 0], [2, 1, 2], 2));
        assert_eq!(roi().cropped_to(&part).inside, [true, false, false, true]);
        assert_eq!(roi().keeping(&[false; 4]), None);
    }

    #[test]
    fn sigma_thresholds_use_the_population_standard_deviation() {
        let rule = Resegmentation { mode: ResegmentMode::Sigma, low: -1.0, high: Some(2.0) };
        assert_eq!(rule.thresholds(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], Number::Double), (3.0, 9.0));
        let rule = Resegmentation { mode: ResegmentMode::Relative, low: 0.5, high: None };
        assert_eq!(rule.thresholds(&[2.0, 8.0], Number::Double), (4.0, f64::INFINITY));
    }

    /// In f32, 2²⁴ + 1 is 2²⁴ again, so three ones add nothing: the mean is 2²², not 2²² + 3/4.
    #[test]
    fn thresholds_of_an_f32_image_are_summed_in_f32() {
        let rule = Resegmentation { mode: ResegmentMode::Sigma, low: 0.0, high: None };
        let values = [16_777_216.0, 1.0, 1.0, 1.0];
        assert_eq!(rule.thresholds(&values, Number::Single).0, 4_194_304.0);
        assert_eq!(rule.thresholds(&values, Number::Double).0, 4_194_304.75);
    }
}
