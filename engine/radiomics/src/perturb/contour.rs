use isoscan_imaging::{Mask, Volume};

use super::random::{Draws, Purpose};
use super::supervoxels::supervoxels;
use crate::Error;

/// Edge of a supervoxel, mm, and the margin around the region that is cut into supervoxels.
const EDGE_MM: f64 = 5.0;

/// Supervoxels that overlap with the region by less never belong to it, those that overlap by this much always do.
const NEVER: f64 = 0.2;
const ALWAYS: f64 = 0.9;

/// The region as a union of supervoxels: one that lies in it by a share η from 0.2 to 0.9 belongs with probability η,
/// one above always, one below never. A. Zwanenburg et al., Scientific Reports 9 (2019) 614, contour randomisation.
///
/// Where chance takes none, the supervoxel that overlaps most is the region.
pub(super) fn randomised(volume: &Volume, mask: &Mask, seed: u64, repetition: u32) -> Result<Mask, Error> {
    let (first, size) = mask.bounding_box().ok_or(Error::EmptyMask { voxels: mask.inside().len() })?;
    let (grid, spacing_mm) = (mask.geometry().size(), mask.geometry().spacing_mm());
    let margin = spacing_mm.map(|s| (EDGE_MM / s).ceil().min(1e6) as usize);
    let low: [usize; 3] = std::array::from_fn(|a| first[a].saturating_sub(margin[a]));
    let end: [usize; 3] = std::array::from_fn(|a| (first[a] + size[a] + margin[a]).min(grid[a]));
    let box_size: [usize; 3] = std::array::from_fn(|a| end[a] - low[a]);
    let positions = || {
        (low[2]..end[2]).flat_map(move |z| (low[1]..end[1]).flat_map(move |y| (low[0]..end[0]).map(move |x| [z, y, x])))
    };
    let values: Vec<f64> = positions().map(|index| f64::from(volume.voxels()[index])).collect();
    let labels = supervoxels(&values, box_size, spacing_mm, EDGE_MM);
    let count = labels.iter().max().map_or(0, |&label| label as usize + 1);
    let (mut voxels, mut within) = (vec![0u64; count], vec![0u64; count]);
    for (&label, index) in labels.iter().zip(positions()) {
        voxels[label as usize] += 1;
        within[label as usize] += u64::from(mask.inside()[index]);
    }
    let overlap: Vec<f64> =
        within.iter().zip(&voxels).map(|(&w, &n)| if n == 0 { 0.0 } else { w as f64 / n as f64 }).collect();
    let draws = Draws::new(seed, Purpose::Contour, repetition);
    let is_drawn =
        |(label, &share): (usize, &f64)| share >= ALWAYS || (share >= NEVER && draws.uniform(label as u64) < share);
    let mut belongs: Vec<bool> = overlap.iter().enumerate().map(is_drawn).collect();
    if !belongs.contains(&true) {
        let most = overlap.iter().copied().fold(0.0, f64::max);
        belongs = overlap.iter().map(|&share| share == most).collect();
    }
    let mut inside = mask.inside().mapv(|_| false);
    for (&label, index) in labels.iter().zip(positions()) {
        inside[index] = belongs[label as usize];
    }
    Ok(Mask::new(inside, mask.geometry().clone())?)
}
