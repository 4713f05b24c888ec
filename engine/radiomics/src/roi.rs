use isoscan_imaging::{Geometry, Mask};

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
    /// population standard deviation.
    pub(crate) fn thresholds(&self, values: &[f64]) -> (f64, f64) {
        let finite = || values.iter().copied().filter(|v| !v.is_nan());
        let intensity: Box<dyn Fn(f64) -> f64> = match self.mode {
            ResegmentMode::Absolute => Box::new(|t| t),
            ResegmentMode::Relative => {
                let maximum = finite().fold(f64::NEG_INFINITY, f64::max);
                Box::new(move |t| maximum * t)
            }
            ResegmentMode::Sigma => {
                let n = finite().count() as f64;
                let mean = finite().sum::<f64>() / n;
                let sd = (finite().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
                Box::new(move |t| mean + sd * t)
            }
        };
        (intensity(self.low), self.high.map_or(f64::INFINITY, intensity))
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
        let (mut low, mut high) = ([usize::MAX; 3], [0; 3]);
        for (index, row) in grid.chunks_exact(nx).enumerate() {
            // A branchless pass over the row is several times faster than searching it, and most rows are empty.
            if !row.iter().fold(false, |any, &inside| any | inside) {
                continue;
            }
            let first = row.iter().position(|&inside| inside)?;
            let last = row.iter().rposition(|&inside| inside)?;
            let (y, z) = (index % ny, index / ny);
            low = [low[0].min(first), low[1].min(y), low[2].min(z)];
            high = [high[0].max(last), high[1].max(y), high[2].max(z)];
        }
        if low[0] == usize::MAX {
            return None;
        }
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

    /// Number of voxels inside.
    pub(crate) fn count(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }

    /// Index in the box and position on the mask's grid of every voxel inside, x fastest.
    pub(crate) fn voxels(&self) -> impl Iterator<Item = (usize, [usize; 3])> + '_ {
        let [nx, ny, _] = self.size;
        let first = self.first;
        self.inside.iter().enumerate().filter(|(_, inside)| **inside).map(move |(index, _)| {
            (index, [first[0] + index % nx, first[1] + index / nx % ny, first[2] + index / (nx * ny)])
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
        let voxels = self.count();
        let mut sums = [0usize; 3];
        let [nx, ny, _] = self.size;
        for (row, inside) in self.inside.chunks_exact(nx).enumerate() {
            let (count, along_x) = inside
                .iter()
                .enumerate()
                .fold((0, 0), |(n, sum), (x, &inside)| (n + usize::from(inside), sum + x * usize::from(inside)));
            let position = [along_x, row % ny * count, row / ny * count];
            sums = std::array::from_fn(|a| sums[a] + position[a]);
        }
        let centre = std::array::from_fn(|a| self.first[a] as f64 + sums[a] as f64 / voxels as f64);
        Stage {
            name,
            geometry: geometry.clone(),
            first: self.first,
            size: self.size,
            voxels,
            parts: if count_parts { self.parts() } else { 0 },
            centre_of_mass_index: centre,
            centre_of_mass_mm: geometry.world_from_voxel().apply(centre),
        }
    }

    /// Number of parts connected over faces, edges or corners, by joining runs of neighbouring rows.
    fn parts(&self) -> usize {
        let [nx, ny, nz] = self.size;
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let mut starts = Vec::with_capacity(ny * nz + 1);
        for row in self.inside.chunks_exact(nx) {
            starts.push(runs.len());
            let mut open = None;
            for (x, &inside) in row.iter().enumerate() {
                match (inside, open) {
                    (true, None) => open = Some(x),
                    (false, Some(start)) => {
                        runs.push((start, x - 1));
                        open = None;
                    }
                    _ => {}
                }
            }
            runs.extend(open.map(|start| (start, nx - 1)));
        }
        starts.push(runs.len());
        let mut parents: Vec<usize> = (0..runs.len()).collect();
        let mut join = |row: usize, other: usize| {
            let (mut i, mut j) = (starts[row], starts[other]);
            while i < starts[row + 1] && j < starts[other + 1] {
                let ((a0, a1), (b0, b1)) = (runs[i], runs[j]);
                if a0 <= b1 + 1 && b0 <= a1 + 1 {
                    let (a, b) = (root(&mut parents, i), root(&mut parents, j));
                    parents[a.max(b)] = a.min(b);
                }
                if a1 < b1 { i += 1 } else { j += 1 }
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
        assert_eq!(Roi::within(&grid, [5, 2, 2]).unwrap().parts(), 1);
        assert_eq!(roi().parts(), 2);
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
        assert_eq!(rule.thresholds(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), (3.0, 9.0));
        let rule = Resegmentation { mode: ResegmentMode::Relative, low: 0.5, high: None };
        assert_eq!(rule.thresholds(&[2.0, 8.0]), (4.0, f64::INFINITY));
    }
}
