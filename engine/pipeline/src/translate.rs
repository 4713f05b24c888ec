use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use isoscan_abi::{Axes, Context, Descriptor, ParamValue};
use isoscan_host::{Plugin, Request, TensorBuf};
use isoscan_imaging::{
    Blend, Blender, Interpolation, Orientation, Patch, PatchGrid, Restoration, Volume, gather, with_spacing,
};

use crate::{Error, Image, Plan, plan};

/// Batches of patches that go to a plugin in one order where it takes several; their buffers are in memory together.
pub(crate) const TOGETHER: usize = 4;

/// What a translation runs under.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Seed of the run.
    pub seed: u64,
    /// Name of the work in faults.
    pub name: &'a str,
    /// Set to end the translation.
    pub cancel: &'a AtomicBool,
}

/// A translated image.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// On the input's geometry, bit for bit.
    pub volume: Volume,
    /// Every parameter that the plugin ran with.
    pub params: BTreeMap<String, ParamValue>,
    /// Input voxels outside the intensities that the plugin was made for.
    pub outside_range: u64,
}

/// Translates `image` with further inputs by name.
///
/// The image is turned to patient axes so that slices are what the plugin was made for, and, where its spacing lies
/// outside the plugin's range, resampled; patches go through the plugin and are blended; the result returns to the
/// image's own grid. After resampling, a plugin that keeps modality and unit gives its *change* back rather than its
/// image: `output = image + restored(translated - prepared)`, so detail finer than the working grid survives.
///
/// # Errors
/// The refusals of [`plan`], and [`Error::Fault`] when the plugin fails.
pub fn translate(
    plugin: &Plugin,
    image: &Volume,
    further: &[(&str, &Volume)],
    params: &BTreeMap<String, serde_json::Value>,
    job: &Job<'_>,
) -> Result<Translation, Error> {
    let descriptor = plugin.descriptor();
    let others: Vec<(&str, Image<'_>)> = further.iter().map(|(name, volume)| (*name, Image::of(*volume))).collect();
    let plan = plan(descriptor, &Image::of(image), &others, params)?;
    let (prepared, restoration) = prepare(image, &plan)?;
    let voxels = run_patches(plugin, &prepared, &beside(plugin, further), &plan, job)?;
    let translated = prepared.with_voxels(voxels)?.with_meaning(plan.modality, plan.unit);
    let keeps_meaning = (plan.modality, plan.unit) == (image.modality(), image.unit());
    let volume = if plan.working_spacing_mm.is_some() && keeps_meaning {
        add_change(image, &prepared, &translated, &restoration)?
    } else {
        restoration.undo(&translated)?
    };
    Ok(Translation { volume, params: plan.params, outside_range: outside_range(descriptor.inputs[0].range, image) })
}

/// The further inputs in the order in which the plugin declares them.
pub(crate) fn beside<'a>(plugin: &Plugin, further: &[(&str, &'a Volume)]) -> Vec<&'a Volume> {
    let declared = plugin.descriptor().inputs.iter().skip(1);
    declared.filter_map(|input| further.iter().find(|(name, _)| *name == input.name).map(|(_, v)| *v)).collect()
}

/// Brings an image into the frame of the plan; the restoration brings the result back.
fn prepare(image: &Volume, plan: &Plan) -> Result<(Volume, Restoration), Error> {
    let mut restoration = Restoration::new();
    let mut prepared = restoration.reorient(image, Orientation::LPS);
    if let Some(spacing) = plan.working_spacing_mm {
        let grid = with_spacing(prepared.geometry(), spacing)?;
        prepared = restoration.resample(&prepared, &grid, Interpolation::Linear, image.lowest());
    }
    Ok((prepared, restoration))
}

fn add_change(
    image: &Volume,
    prepared: &Volume,
    translated: &Volume,
    restoration: &Restoration,
) -> Result<Volume, Error> {
    let change = translated.with_voxels(&translated.voxels() - &prepared.voxels())?;
    let change = restoration.undo(&change)?;
    Ok(image.with_voxels(&image.voxels() + &change.voxels())?)
}

fn outside_range(range: Option<[f64; 2]>, image: &Volume) -> u64 {
    let Some([low, high]) = range else { return 0 };
    image.as_slice().iter().filter(|&&v| !(low..=high).contains(&f64::from(v))).count() as u64
}

fn run_patches(
    plugin: &Plugin,
    image: &Volume,
    beside: &[&Volume],
    plan: &Plan,
    job: &Job<'_>,
) -> Result<ndarray::Array3<f32>, Error> {
    let patching = &plugin.descriptor().patching;
    let grid = patch_grid(plugin.descriptor(), image.geometry().size())?;
    let mut blender = Blender::new(&grid, Blend::Constant);
    let batches: Vec<&[Patch]> = grid.patches().chunks(patching.max_batch).collect();
    let together = if plugin.offers_batch() && beside.is_empty() { TOGETHER } else { 1 };
    for group in batches.chunks(together) {
        for (batch, output) in group.iter().zip(call(plugin, image, beside, group, group, plan, job)?) {
            for (patch, values) in batch.iter().zip(output.chunks_exact(batch[0].voxel_count())) {
                blender.add(patch, values)?;
            }
        }
    }
    Ok(blender.finish()?)
}

/// The patches of a volume of `size` as the plugin takes them.
pub(crate) fn patch_grid(descriptor: &Descriptor, size: [usize; 3]) -> Result<PatchGrid, Error> {
    let patching = &descriptor.patching;
    let whole = |length: usize| if length == 0 { usize::MAX } else { length };
    let (patch, halo) = match patching.axes {
        Axes::Volume => ([usize::MAX; 3], [0; 3]),
        Axes::Slices => {
            ([whole(patching.size[0]), whole(patching.size[1]), 1], [patching.halo[0], patching.halo[1], 0])
        }
        Axes::Patches => (patching.size.map(whole), patching.halo),
    };
    Ok(PatchGrid::new(size, patch, halo, patching.multiple)?)
}

/// The outputs of the batches, in order. `batches` lie in `image`, which may be a part of the volume; `whole` are the
/// same patches in the volume.
pub(crate) fn call(
    plugin: &Plugin,
    image: &Volume,
    beside: &[&Volume],
    batches: &[&[Patch]],
    whole: &[&[Patch]],
    plan: &Plan,
    job: &Job<'_>,
) -> Result<Vec<TensorBuf>, Error> {
    let context = |batch: &&[Patch]| Context {
        seed: job.seed,
        spacing_mm: image.geometry().spacing_mm(),
        patch_origins: batch.iter().map(|patch| patch.first).collect(),
    };
    let contexts: Vec<Context> = whole.iter().map(context).collect();
    let mut requests = Vec::with_capacity(batches.len());
    for (batch, context) in batches.iter().zip(&contexts) {
        requests.push(Request {
            inputs: inputs(plugin, image, beside, batch)?,
            output_shape: shape(batch),
            params: &plan.params,
            context,
            cancel: job.cancel,
            job: job.name,
            progress: None,
        });
    }
    plugin.call_batch(requests).into_iter().map(|reply| Ok(reply?.output)).collect()
}

fn shape(batch: &[Patch]) -> [usize; 5] {
    let [nx, ny, nz] = batch[0].size;
    [batch.len(), 1, nz, ny, nx]
}

/// The batch of patches, and beside it each further volume whole.
fn inputs(plugin: &Plugin, image: &Volume, beside: &[&Volume], batch: &[Patch]) -> Result<Vec<TensorBuf>, Error> {
    let mut input = plugin.buffer(shape(batch))?;
    for (patch, out) in batch.iter().zip(input.chunks_exact_mut(batch[0].voxel_count())) {
        gather(image, patch, out)?;
    }
    let mut inputs = vec![input];
    for volume in beside {
        let [nx, ny, nz] = volume.geometry().size();
        let mut tensor = plugin.buffer([1, 1, nz, ny, nx])?;
        tensor.copy_from_slice(volume.as_slice());
        inputs.push(tensor);
    }
    Ok(inputs)
}
