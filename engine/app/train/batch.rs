//! Batches of patches: those of a step, those that judge, and pictures of them.

use std::ops::Range;

use isoscan_host::{Plugin, TensorBuf, TrainSession};
use isoscan_pipeline::{Augmentation, Patches, Score, score_against_truth, score_without_truth};

use super::data::{Data, Key, Shelf};
use crate::failure::Failure;

/// The shapes of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) channels: usize,
    /// Voxels of a source patch along x, y, z.
    pub(super) patch: [usize; 3],
    pub(super) refine: [usize; 3],
    pub(super) paired: bool,
    /// Number of domains, 1 for two sides.
    pub(super) domains: usize,
    /// Number of the target domain.
    pub(super) target_domain: usize,
}

impl Shape {
    /// Voxels of a target patch along x, y, z.
    pub(super) fn fine(&self) -> [usize; 3] {
        std::array::from_fn(|a| self.patch[a] * self.refine[a])
    }

    pub(super) fn source(&self) -> [usize; 5] {
        let [x, y, z] = self.patch;
        [self.batch, self.channels, z, y, x]
    }

    /// What translations of one channel are, as patches.
    fn results<'a>(&self, voxels: &'a [f32]) -> Patches<'a> {
        Patches { voxels, size: self.fine(), channels: 1 }
    }

    pub(super) fn target(&self) -> [usize; 5] {
        let [x, y, z] = self.fine();
        [self.batch, 1, z, y, x]
    }
}

/// Held-out patches, the same at every validation.
pub(super) struct Judged {
    source: Vec<TensorBuf>,
    /// Truths, or targets that were drawn by themselves.
    target: Vec<TensorBuf>,
}

/// Fills batch number `step`: patches follow from seed and number alone, so a resumed training sees the same ones. Each
/// domain has an equal share of it, and a second draw of its own is the target where there is no other.
pub(super) fn fill(
    data: &Data,
    shelf: &mut Shelf<'_>,
    shape: &Shape,
    (seed, step, held_out): (u64, u64, bool),
    vary: &Augmentation,
    source: &mut TensorBuf,
    target: &mut TensorBuf,
) -> Result<(), Failure> {
    let share = shape.batch / data.sources.len().max(1);
    let (voxels, fine) = (source.len() / shape.batch, target.len() / shape.batch);
    for (item, patch) in source.chunks_exact_mut(voxels).enumerate() {
        let domain = item / share.max(1);
        let key = |seed: u64| Key { seed, index: step * share as u64 + (item % share.max(1)) as u64, held_out };
        let stock = &data.sources[domain];
        let own = seed.wrapping_mul(0x1_0001).wrapping_add(2 * domain as u64);
        let goal = &mut target[item * fine..(item + 1) * fine];
        if shape.paired {
            stock.draw(shelf, key(own), vary, patch, Some(goal))?;
            continue;
        }
        stock.draw(shelf, key(own), vary, patch, None)?;
        data.target.as_ref().unwrap_or(stock).draw(shelf, key(own.wrapping_add(1)), vary, goal, None)?;
    }
    Ok(())
}

impl Judged {
    /// Draws so many held-out patches, at least, in whole batches and without variation.
    pub(super) fn draw(
        data: &Data,
        shelf: &mut Shelf<'_>,
        shape: &Shape,
        patches: usize,
        plugin: &Plugin,
    ) -> Result<Self, Failure> {
        let mut judged = Self { source: Vec::new(), target: Vec::new() };
        for step in 0..patches.div_ceil(shape.batch) as u64 {
            let (mut source, mut target) = (plugin.buffer(shape.source())?, plugin.buffer(shape.target())?);
            let draw = (0x0007_e57e_d0ff, step, true);
            fill(data, shelf, shape, draw, &Augmentation::default(), &mut source, &mut target)?;
            judged.source.push(source);
            judged.target.push(target);
        }
        Ok(judged)
    }

    /// How good the present weights are, the mean over domains, and what they make of the first batch.
    pub(super) fn score(&self, session: &mut TrainSession, shape: &Shape) -> Result<(Score, TensorBuf), Failure> {
        let made: Vec<TensorBuf> =
            self.source.iter().map(|source| session.translate(source)).collect::<Result<_, _>>()?;
        let score = if shape.paired {
            let [made, truth] = [&made, &self.target].map(|tensors| of_domains(tensors, shape, 0..shape.domains));
            score_against_truth(&shape.results(&made), &shape.results(&truth))
        } else {
            let goal = of_domains(&self.target, shape, shape.target_domain..shape.target_domain + 1);
            let of_domain = |domain: usize| {
                let [made, source] =
                    [&made, &self.source].map(|tensors| of_domains(tensors, shape, domain..domain + 1));
                let source = Patches { voxels: &source, size: shape.patch, channels: shape.channels };
                score_without_truth(&shape.results(&made), &source, &shape.results(&goal))
            };
            Score::mean(&(0..shape.domains).map(of_domain).collect::<Vec<_>>())
        };
        let first = made.into_iter().next().ok_or_else(|| Failure::new("no patch is held out"))?;
        Ok((score, first))
    }

    /// The first batch.
    pub(super) fn first(&self) -> (&TensorBuf, &TensorBuf) {
        (&self.source[0], &self.target[0])
    }
}

/// The items of all batches that are of these domains, one after the other.
fn of_domains(tensors: &[TensorBuf], shape: &Shape, domains: Range<usize>) -> Vec<f32> {
    let of_batch = |tensor: &TensorBuf| {
        let share = tensor.len() / shape.domains;
        tensor[domains.start * share..domains.end * share].to_vec()
    };
    tensors.iter().flat_map(of_batch).collect()
}

/// A picture of a batch: a row per channel, one for what was made of it and one for the truth; of a patch its middle plane
/// across the axis of the fewest voxels. HU are shown from -160 to 240, others from the 1st to the 99th percentile of the row.
pub(super) fn picture(
    shape: &Shape,
    source: &TensorBuf,
    made: &TensorBuf,
    truth: Option<&TensorBuf>,
    [source_is_hu, output_is_hu]: [bool; 2],
) -> Result<Vec<u8>, Failure> {
    let fine = shape.fine();
    let pixels: usize = shape.patch.iter().product();
    let plane = plane_of(shape.patch);
    let mut rows = Vec::new();
    for channel in 0..shape.channels {
        let items = source.chunks_exact(pixels).skip(channel).step_by(shape.channels);
        rows.push(shown(
            items.flat_map(|patch| middle(patch, shape.patch, shape.refine, plane)).collect(),
            source_is_hu,
        ));
    }
    for tensor in [Some(made), truth].into_iter().flatten() {
        let items = tensor.chunks_exact(fine.iter().product());
        rows.push(shown(items.flat_map(|patch| middle(patch, fine, [1; 3], plane)).collect(), output_is_hu));
    }
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    Ok(isoscan_report::patch_strip(&rows, plane.map(|axis| fine[axis]), [0.5, 1.0])?)
}

/// The axes of columns and rows of the plane across the axis of the fewest voxels, z where several have them.
fn plane_of(size: [usize; 3]) -> [usize; 2] {
    match (0..3).rev().min_by_key(|&axis| size[axis]) {
        Some(0) => [1, 2],
        Some(1) => [0, 2],
        _ => [0, 1],
    }
}

/// The middle plane of a patch, each voxel repeated; z runs upwards.
fn middle(patch: &[f32], size: [usize; 3], times: [usize; 3], [columns, rows]: [usize; 2]) -> Vec<f32> {
    let mut at = size.map(|extent| extent / 2);
    let mut plane = Vec::new();
    for row in 0..size[rows] * times[rows] {
        at[rows] = if rows == 2 { size[2] - 1 - row / times[2] } else { row / times[rows] };
        for column in 0..size[columns] * times[columns] {
            at[columns] = column / times[columns];
            plane.push(patch[(at[2] * size[1] + at[1]) * size[0] + at[0]]);
        }
    }
    plane
}

/// Intensities as 0 to 1.
fn shown(mut row: Vec<f32>, is_hu: bool) -> Vec<f32> {
    let mut sorted = row.clone();
    sorted.sort_by(f32::total_cmp);
    let at = |percent: usize| sorted.get(percent * sorted.len().saturating_sub(1) / 100).copied().unwrap_or(0.0);
    let (low, high) = if is_hu { (-160.0, 240.0) } else { (at(1), at(99)) };
    let width = if high > low { high - low } else { 1.0 };
    row.iter_mut().for_each(|value| *value = (*value - low) / width);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_shown_across_its_thinnest_axis_with_z_upwards() {
        let voxels: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let shown = |size, times| middle(&voxels, size, times, plane_of(size));
        assert_eq!(shown([2, 1, 3], [1; 3]), [4.0, 5.0, 2.0, 3.0, 0.0, 1.0]);
        assert_eq!(shown([1, 2, 3], [1; 3]), [4.0, 5.0, 2.0, 3.0, 0.0, 1.0]);
        assert_eq!(shown([3, 2, 1], [1; 3]), voxels);
        assert_eq!(shown([3, 2, 1], [2, 1, 1])[..6], [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    }
}
