use isoscan_imaging::{Mask, signed_distance};

use super::random::{Draws, Purpose};
use crate::Error;

/// The region with `1 + growth` times its voxels, at least one and at most the grid's: the voxels outside that are
/// nearest to it join, or those inside that are nearest to its border leave. Among equally near ones chance decides.
pub(super) fn grown(mask: &Mask, growth: f64, seed: u64) -> Result<Mask, Error> {
    let voxels = mask.inside().len();
    let before = mask.count();
    let after = ((before as f64 * (1.0 + growth)).round() as usize).clamp(1, voxels);
    let grows = after > before;
    let distance = signed_distance(mask)?;
    let draws = Draws::new(seed, Purpose::Growth, 0);
    let mut inside = mask.inside().to_owned();
    let flags = inside.as_slice_mut().expect("a mask is contiguous by construction");
    let candidates = distance.as_slice().iter().enumerate().filter(|(index, _)| flags[*index] != grows);
    let mut candidates: Vec<(f32, u64, usize)> =
        candidates.map(|(index, distance)| (distance.abs(), draws.whole(index as u64), index)).collect();
    let changes = after.abs_diff(before);
    if changes < candidates.len() {
        candidates.select_nth_unstable_by(changes, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    }
    candidates.iter().take(changes).for_each(|&(_, _, index)| flags[index] = grows);
    Ok(Mask::new(inside, mask.geometry().clone())?)
}
