use std::{collections::BTreeMap, ops::Range};

use isoscan_abi::{Axes, ParamValue};
use isoscan_host::Plugin;
use isoscan_imaging::{
    Geometry, Interpolation, Modality, Orientation, Patch, SlabResampling, Slices, SlicesMut, Unit, Volume, background,
    refined, reoriented, turn_slices, with_spacing,
};
use ndarray::Array3;

use crate::plan::patient_axes;
use crate::translate::{Beside, adds_change, beside, call, patch_grid, prepare_further, together};
use crate::{Error, Image, Job, Plan, plan};

/// Makes empty storage for an image.
pub type MakeStorage<'a> = &'a mut dyn FnMut(&Geometry, Modality, Unit) -> Result<Box<dyn SlicesMut>, Error>;

/// A translated image in storage.
pub struct StoredTranslation {
    /// On the input's geometry, bit for bit; [refined](isoscan_imaging::refined) where the plugin gives a finer grid.
    pub slices: Box<dyn SlicesMut>,
    /// Every parameter that the plugin ran with.
    pub params: BTreeMap<String, ParamValue>,
    /// Input voxels outside the intensities that the plugin was made for.
    pub outside_range: u64,
}

/// [`translate`](crate::translate) of an image that is larger than memory: the same values, bit for bit, with about
/// `memory_bytes` for the engine's buffers beside the plugin's own memory and the further inputs, which are whole. Stages
/// keep their results in storage from `make`.
///
/// # Errors
/// Those of [`translate`](crate::translate); [`Error::WholeVolume`] for a plugin that takes the volume in one piece;
/// [`Error::TooLittleMemory`] when `memory_bytes` does not hold what [`slab_memory_bytes`] tells; [`Error::Storage`].
pub fn translate_slices(
    plugin: &Plugin,
    image: &dyn Slices,
    further: &[(&str, &Volume)],
    params: &BTreeMap<String, serde_json::Value>,
    memory_bytes: u64,
    make: MakeStorage<'_>,
    job: &Job<'_>,
) -> Result<StoredTranslation, Error> {
    let descriptor = plugin.descriptor();
    let others: Vec<(&str, Image<'_>)> = further.iter().map(|(name, volume)| (*name, Image::of(*volume))).collect();
    let plan = plan(descriptor, &Image::of(image), &others, params)?;
    if descriptor.patching.axes == Axes::Volume || descriptor.inputs[0].normalize.is_some() {
        return Err(Error::WholeVolume { plugin: descriptor.id.clone() });
    }
    let upright = reoriented(image.geometry(), Orientation::LPS);
    let prepared_grid = match plan.working_spacing_mm {
        Some(spacing) => with_spacing(&upright, spacing)?,
        None => upright.clone(),
    };
    let needed_bytes = slab_memory_bytes(plugin, image.geometry(), &prepared_grid, plan.refine)?;
    if memory_bytes < needed_bytes {
        return Err(Error::TooLittleMemory { expected: needed_bytes, found: memory_bytes });
    }
    let range = descriptor.inputs[0].range;
    let mut source = make(&upright, image.modality(), image.unit())?;
    turn_slices(image, &mut *source, depth(memory_bytes, &[image.geometry(), &upright]))?;
    let looked_at = Looked::at(&*source, range, memory_bytes)?;
    let resampled = match plan.working_spacing_mm {
        None => None,
        Some(_) => {
            let mut prepared = make(&prepared_grid, image.modality(), image.unit())?;
            let slabs = SlabResampling::new(&upright, &prepared_grid, Interpolation::Linear, looked_at.lowest)?;
            resample_slices(&slabs, &*source, &mut *prepared, memory_bytes)?;
            Some(prepared)
        }
    };
    let prepared = resampled.as_deref().unwrap_or(&*source);
    let further = prepare_further(descriptor, further, &plan)?;
    let mut translated = make(&refined(&prepared_grid, plan.refine)?, plan.modality, plan.unit)?;
    run_patches(plugin, prepared, &mut *translated, &beside(plugin, &further), &plan, job)?;
    let mut restored = make(&refined(&upright, plan.refine)?, plan.modality, plan.unit)?;
    match &resampled {
        None => restored = translated,
        Some(prepared) => {
            let change = adds_change(&plan, &Image::of(image)).then_some((&*source, &**prepared));
            restore(&*translated, change, &mut *restored, memory_bytes)?;
        }
    }
    let grid = refined(image.geometry(), own_factors(image.geometry(), plan.refine))?;
    let mut slices = make(&grid, plan.modality, plan.unit)?;
    turn_slices(&*restored, &mut *slices, depth(memory_bytes, &[&grid, restored.geometry()]))?;
    Ok(StoredTranslation { slices, params: plan.params, outside_range: looked_at.outside_range })
}

/// Factors along patient axes as those along the axes of a grid.
fn own_factors(geometry: &Geometry, factors: [usize; 3]) -> [usize; 3] {
    patient_axes(geometry).map(|axis| factors[axis])
}

/// The least memory that [`translate_slices`] takes for its buffers: one group of patches with its slices, and three slices
/// of every grid.
///
/// # Errors
/// [`Error::Imaging`] when the plugin's patches do not fit the grid.
pub fn slab_memory_bytes(
    plugin: &Plugin,
    image: &Geometry,
    prepared: &Geometry,
    refine: [usize; 3],
) -> Result<u64, Error> {
    let grid = patch_grid(plugin.descriptor(), prepared.size())?;
    let batch = plugin.descriptor().patching.max_batch;
    let groups = grid.patches().chunks(batch * together(plugin, &[]));
    let group = |patches: &[Patch]| {
        let slices = slices_of(patches, prepared.size()[2]).len() as u64 * plane(prepared) as u64;
        let finer: u64 = refine.iter().map(|&factor| factor as u64).product();
        let cores = cores_of(patches).len() as u64 * plane(prepared) as u64 * finer;
        let patches: u64 = patches.iter().map(|patch| (1 + finer) * patch.voxel_count() as u64).sum();
        4 * (slices + cores + patches)
    };
    let fine = [refined(image, own_factors(image, refine))?, refined(prepared, refine)?];
    let stretched = fine.iter().map(|grid| 24 * plane(grid) as u64).sum();
    Ok(groups.map(group).max().unwrap_or(0).max(stretched))
}

fn plane(geometry: &Geometry) -> usize {
    geometry.size()[0] * geometry.size()[1]
}

/// Slices of the widest grid of which six copies fit.
fn depth(memory_bytes: u64, grids: &[&Geometry]) -> usize {
    let widest = grids.iter().map(|grid| plane(grid)).max().unwrap_or(1).max(1);
    (memory_bytes / (24 * widest as u64)).clamp(1, 1 << 16) as usize
}

/// What is known once every voxel was seen.
struct Looked {
    lowest: f32,
    outside_range: u64,
}

impl Looked {
    fn at(image: &dyn Slices, range: Option<[f64; 2]>, memory_bytes: u64) -> Result<Self, Error> {
        let mut lowest = f32::INFINITY;
        let mut outside_range = 0;
        let [_, _, deep] = image.geometry().size();
        let depth = depth(memory_bytes, &[image.geometry()]);
        for first in (0..deep).step_by(depth) {
            let slab = read(image, first..deep.min(first + depth))?;
            lowest = slab.iter().copied().filter(|v| v.is_finite()).fold(lowest, f32::min);
            if let Some([low, high]) = range {
                outside_range += slab.iter().filter(|&&v| !(low..=high).contains(&f64::from(v))).count() as u64;
            }
        }
        Ok(Self { lowest: if lowest.is_finite() { lowest } else { 0.0 }, outside_range })
    }
}

fn read(image: &dyn Slices, slices: Range<usize>) -> Result<Vec<f32>, Error> {
    let mut voxels = vec![0.0; slices.len() * plane(image.geometry())];
    image.read(slices.start, &mut voxels)?;
    Ok(voxels)
}

/// Target slices that are made at once, such that they and the source slices they need fit.
fn slabs(slabs: &SlabResampling, from: &Geometry, to: &Geometry, memory_bytes: u64) -> Vec<Range<usize>> {
    let deep = to.size()[2];
    let cost = |targets: &Range<usize>| {
        12 * (slabs.needed(targets.clone()).len() * plane(from) + targets.len() * plane(to)) as u64
    };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for k in 0..deep {
        match ranges.last_mut() {
            Some(last) if cost(&(last.start..k + 1)) <= memory_bytes => last.end = k + 1,
            _ => ranges.push(k..k + 1),
        }
    }
    ranges
}

fn resample_slices(
    resampling: &SlabResampling,
    from: &dyn Slices,
    to: &mut dyn SlicesMut,
    memory_bytes: u64,
) -> Result<(), Error> {
    for targets in slabs(resampling, from.geometry(), to.geometry(), memory_bytes) {
        let source = read(from, resampling.needed(targets.clone()))?;
        to.write(targets.start, &resampling.resample(targets, &source))?;
    }
    Ok(())
}

/// Brings a translated image back to the grid of `to`; with the images before and after preparation, its change is added
/// to the former instead.
fn restore(
    translated: &dyn Slices,
    change: Option<(&dyn SlicesMut, &dyn SlicesMut)>,
    to: &mut dyn SlicesMut,
    memory_bytes: u64,
) -> Result<(), Error> {
    let (from, grid) = (translated.geometry(), to.geometry().clone());
    let way = if translated.unit() == Unit::Label { Interpolation::Nearest } else { Interpolation::Linear };
    let resampling = SlabResampling::new(from, &grid, way, background(translated.unit()))?;
    for targets in slabs(&resampling, from, &grid, memory_bytes / 2) {
        let needed = resampling.needed(targets.clone());
        let mut slab = read(translated, needed.clone())?;
        let Some((image, prepared)) = change else {
            to.write(targets.start, &resampling.resample(targets, &slab))?;
            continue;
        };
        let mut before = vec![0.0; slab.len()];
        prepared.read(needed.start, &mut before)?;
        slab.iter_mut().zip(&before).for_each(|(after, before)| *after -= before);
        let mut restored = resampling.resample(targets.clone(), &slab);
        let mut own = vec![0.0; restored.len()];
        image.read(targets.start, &mut own)?;
        restored.iter_mut().zip(&own).for_each(|(change, own)| *change += own);
        to.write(targets.start, &restored)?;
    }
    Ok(())
}

/// Slices that patches read; mirrored ones lie among them.
fn slices_of(patches: &[Patch], deep: usize) -> Range<usize> {
    let begin = patches.iter().map(|patch| patch.first[2]).min().unwrap_or(0).clamp(0, deep as i64) as usize;
    let ends = patches.iter().map(|patch| patch.first[2] + patch.size[2] as i64);
    begin..ends.max().unwrap_or(0).clamp(begin as i64, deep as i64) as usize
}

fn cores_of(patches: &[Patch]) -> Range<usize> {
    let begin = patches.iter().map(|patch| patch.core_first[2]).min().unwrap_or(0);
    begin..patches.iter().map(|patch| patch.core_first[2] + patch.core_size[2]).max().unwrap_or(begin)
}

/// The same patches in the same batches as for a volume in memory, a group of them with its slices at a time.
fn run_patches(
    plugin: &Plugin,
    image: &dyn Slices,
    translated: &mut dyn SlicesMut,
    beside: &[Beside<'_>],
    plan: &Plan,
    job: &Job<'_>,
) -> Result<(), Error> {
    let [nx, ny, deep] = image.geometry().size();
    let grid = patch_grid(plugin.descriptor(), [nx, ny, deep])?;
    let batch = plugin.descriptor().patching.max_batch;
    for group in grid.patches().chunks(batch * together(plugin, beside)) {
        let reach = slices_of(group, deep);
        let slab = volume(image, reach.clone())?;
        let moved: Vec<Patch> = group.iter().map(|patch| lowered(patch, reach.start)).collect();
        let batches: Vec<&[Patch]> = moved.chunks(batch).collect();
        let whole: Vec<&[Patch]> = group.chunks(batch).collect();
        let fine: Vec<Patch> = group.iter().map(|patch| patch.refined(plan.refine)).collect();
        let cores = cores_of(&fine);
        let mut out = read(translated, cores.clone())?;
        let outputs = call(plugin, &slab, beside, &batches, &whole, plan, job)?;
        for (patches, output) in fine.chunks(batch).zip(outputs) {
            for (patch, values) in patches.iter().zip(output.chunks_exact(patches[0].voxel_count())) {
                copy_core(patch, values, cores.start, [nx * plan.refine[0], ny * plan.refine[1]], &mut out);
            }
        }
        translated.write(cores.start, &out)?;
    }
    Ok(())
}

/// Some slices as a volume; its place does not matter to patches.
fn volume(image: &dyn Slices, slices: Range<usize>) -> Result<Volume, Error> {
    let [nx, ny, _] = image.geometry().size();
    let size = [nx, ny, slices.len()];
    let grid = image.geometry();
    let geometry = Geometry::new(size, grid.spacing_mm(), grid.origin_mm(), grid.direction())?;
    let voxels = Array3::from_shape_vec((slices.len(), ny, nx), read(image, slices)?).expect("one value per voxel");
    Ok(Volume::new(voxels, geometry, image.modality(), image.unit())?)
}

/// The patch counted from slice `by` on.
fn lowered(patch: &Patch, by: usize) -> Patch {
    let mut patch = *patch;
    patch.first[2] -= by as i64;
    patch
}

fn copy_core(patch: &Patch, values: &[f32], begin: usize, [nx, ny]: [usize; 2], out: &mut [f32]) {
    let inset: [usize; 3] = std::array::from_fn(|a| (patch.core_first[a] as i64 - patch.first[a]) as usize);
    for k in 0..patch.core_size[2] {
        for j in 0..patch.core_size[1] {
            let from = ((inset[2] + k) * patch.size[1] + inset[1] + j) * patch.size[0] + inset[0];
            let to = ((patch.core_first[2] + k - begin) * ny + patch.core_first[1] + j) * nx + patch.core_first[0];
            out[to..to + patch.core_size[0]].copy_from_slice(&values[from..from + patch.core_size[0]]);
        }
    }
}
