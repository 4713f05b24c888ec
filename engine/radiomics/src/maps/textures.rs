use super::kernel::{Kernel, View};
use crate::directions::length_mm;
use crate::gldm::Gldm;
use crate::glrlm::Glrlm;
use crate::glszm::Glszm;
use crate::ngtdm::{Ngtdm, ToneDifferences};
use crate::settings::Settings;
use crate::size_matrix::SizeMatrix;

/// Run lengths in the kernel; a direction in which no line holds two voxels does not count.
pub(super) fn run_lengths(kernel: &Kernel, view: &View, spacing_mm: [f64; 3], settings: &Settings) -> Glrlm {
    let weight = |step| settings.weighting_norm.and_then(|norm| length_mm(norm, step, spacing_mm)).unwrap_or(1.0);
    let matrices = kernel.lines.iter().filter_map(|along| Some((weight(along.step), runs(&along.voxels, view)?)));
    Glrlm::of_matrices(matrices.collect(), settings)
}

/// `None` when no line holds two voxels.
fn runs(lines: &[Vec<u32>], view: &View) -> Option<SizeMatrix> {
    let longest = lines.iter().map(Vec::len).max().unwrap_or(1);
    let mut table = vec![0; view.grey.len() * longest];
    let mut is_sampled = false;
    for line in lines {
        let (mut row, mut length, mut voxels) = (0, 0, 0);
        let mut end_run = |row: u16, length: usize| {
            if row > 0 {
                table[(usize::from(row) - 1) * longest + length - 1] += 1;
            }
        };
        for &voxel in line {
            let next = view.rows[voxel as usize];
            voxels += usize::from(next > 0);
            if next == row {
                length += 1;
            } else {
                end_run(row, length);
                (row, length) = (next, 1);
            }
        }
        end_run(row, length);
        is_sampled |= voxels > 1;
    }
    is_sampled.then(|| SizeMatrix::of_table(&view.grey, longest, &table))
}

/// Zones of one level in the kernel.
pub(super) fn zones(kernel: &Kernel, view: &View) -> Glszm {
    let mut zone: Vec<u32> = (0..view.rows.len() as u32).collect();
    let find = |zone: &mut [u32], mut voxel: u32| {
        while zone[voxel as usize] != voxel {
            zone[voxel as usize] = zone[zone[voxel as usize] as usize];
            voxel = zone[voxel as usize];
        }
        voxel
    };
    for &(a, b) in &kernel.touching {
        let level = view.rows[a as usize];
        if level > 0 && level == view.rows[b as usize] {
            let (a, b) = (find(&mut zone, a), find(&mut zone, b));
            zone[a.max(b) as usize] = a.min(b);
        }
    }
    let mut sizes = vec![0; view.rows.len()];
    (0..view.rows.len() as u32).for_each(|voxel| sizes[find(&mut zone, voxel) as usize] += 1);
    let groups: Vec<(usize, u32, u64)> = sizes
        .iter()
        .zip(&view.rows)
        .filter(|(size, level)| **size > 0 && **level > 0)
        .map(|(&size, &level)| (usize::from(level) - 1, size, 1))
        .collect();
    Glszm::of_matrix(&SizeMatrix::of_groups(&view.grey, &groups), view.values.len())
}

/// Neighbours of the voxels of a kernel.
pub(super) struct Neighbours {
    /// Neighbours of each voxel, dependent ones, and the sum of the neighbours' levels.
    around: Vec<(u32, u32, u64)>,
    alpha: u32,
}

impl Neighbours {
    pub(super) fn new(kernel: &Kernel, settings: &Settings) -> Self {
        Self { around: vec![(0, 0, 0); kernel.count()], alpha: settings.gldm_a }
    }

    /// Looks at the kernel around its present centre.
    pub(super) fn look(&mut self, kernel: &Kernel, view: &View) {
        self.around.fill((0, 0, 0));
        for &(a, b) in kernel.pairs.iter().flat_map(|along| &along.voxels) {
            let (a, b) = (a as usize, b as usize);
            let (i, j) = (view.rows[a], view.rows[b]);
            if i == 0 || j == 0 {
                continue;
            }
            let (x, y) = (view.grey[usize::from(i) - 1], view.grey[usize::from(j) - 1]);
            let is_near = u32::from(x.abs_diff(y) <= self.alpha);
            for (voxel, level) in [(a, y), (b, x)] {
                let (count, near, levels) = &mut self.around[voxel];
                *count += 1;
                *near += is_near;
                *levels += u64::from(level);
            }
        }
    }

    pub(super) fn dependences(&self, view: &View) -> Gldm {
        let inside = self.around.iter().zip(&view.rows).filter(|(_, level)| **level > 0);
        let groups: Vec<_> = inside.map(|((_, near, _), &level)| (usize::from(level) - 1, near + 1, 1)).collect();
        Gldm::of_matrix(&SizeMatrix::of_groups(&view.grey, &groups))
    }

    pub(super) fn tone_differences(&self, view: &View) -> Ngtdm {
        let mut sums = vec![0.0; view.grey.len()];
        for ((neighbours, _, levels), &level) in self.around.iter().zip(&view.rows) {
            if level > 0 && *neighbours > 0 {
                let row = usize::from(level) - 1;
                sums[row] += (f64::from(view.grey[row]) - *levels as f64 / f64::from(*neighbours)).abs();
            }
        }
        let counts = view.counts.iter().map(|&count| count as f64).collect();
        Ngtdm::of_differences(&ToneDifferences { grey: view.grey.clone(), counts, sums })
    }
}
