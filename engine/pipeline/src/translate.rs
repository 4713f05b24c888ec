use std::{borrow::Cow, collections::BTreeMap, sync::atomic::AtomicBool};

use isoscan_abi::{Axes, Context, Descriptor, Input, ParamValue, Refine};
use isoscan_host::{Plugin, Request, TensorBuf};
use isoscan_imaging::{
    Blend, Blender, Geometry, IntensityScale, Interpolation, Orientation, Patch, PatchGrid, Restoration, Volume,
    gather, refined, with_spacing,
};

use crate::normalize::normalized;
use crate::plan::{SAME_GRID_MM, check_input, working_spacing};
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
    /// On the input's geometry, bit for bit; [refined](isoscan_imaging::refined) where the plugin gives a finer grid.
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
/// image: `output = image + restored(translated - prepared)`, so detail finer than the working grid survives. The output of a
/// plugin that gives a finer grid lies on the image's grid refined by the same factors. Aligned inputs go the same way as the
/// image; others come whole.
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
    let (seen, scale) = normalized(&prepared, &descriptor.inputs[0])?;
    let further = prepare_further(descriptor, further, &plan)?;
    let voxels = run_patches(plugin, &seen, &beside(plugin, &further), &plan, job)?;
    let grid = refined(prepared.geometry(), plan.refine)?;
    let translated = Volume::new(voxels, grid, plan.modality, plan.unit)?;
    let translated = match scale {
        Some(scale) if keeps_meaning(&plan, &Image::of(image)) => scale.undo(&translated, plan.unit),
        _ => translated,
    };
    let volume = if adds_change(&plan, &Image::of(image)) {
        add_change(image, &prepared, &translated, &restoration)?
    } else {
        restoration.refined(plan.refine)?.undo(&translated)?
    };
    Ok(Translation { volume, params: plan.params, outside_range: outside_range(descriptor.inputs[0].range, image) })
}

/// True when the plugin's change returns to the image rather than its output: after resampling, with the meaning and the
/// grid of the image kept.
pub(crate) fn adds_change(plan: &Plan, image: &Image<'_>) -> bool {
    plan.working_spacing_mm.is_some() && keeps_meaning(plan, image) && plan.refine == [1; 3]
}

fn keeps_meaning(plan: &Plan, image: &Image<'_>) -> bool {
    (plan.modality, plan.unit) == (image.modality, image.unit)
}

/// A further input as the plugin gets it.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) volume: &'a Volume,
    /// Cut with the image, or whole.
    pub(crate) aligned: bool,
}

/// The further inputs in the order in which the plugin declares them.
pub(crate) fn beside<'a>(plugin: &Plugin, further: &'a [(&str, Cow<'_, Volume>)]) -> Vec<Beside<'a>> {
    let declared = plugin.descriptor().inputs.iter().skip(1);
    let given = |name: &str| further.iter().find(|(given, _)| *given == name).map(|(_, volume)| &**volume);
    declared.filter_map(|input| Some(Beside { volume: given(&input.name)?, aligned: input.aligned })).collect()
}

/// The further inputs, aligned ones in the frame of the plan, each with the intensities that it declares.
pub(crate) fn prepare_further<'a>(
    descriptor: &Descriptor,
    further: &[(&'a str, &'a Volume)],
    plan: &Plan,
) -> Result<Vec<(&'a str, Cow<'a, Volume>)>, Error> {
    let of_input = |(name, volume): &(&'a str, &'a Volume)| {
        let declared = descriptor.inputs.iter().find(|input| input.name == *name);
        let volume = match declared {
            Some(input) if input.aligned => Cow::Owned(prepare(volume, plan)?.0),
            _ => Cow::Borrowed(*volume),
        };
        let Some(input) = declared.filter(|input| input.normalize.is_some()) else { return Ok((*name, volume)) };
        Ok((*name, Cow::Owned(normalized(&volume, input)?.0.into_owned())))
    };
    further.iter().map(of_input).collect()
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

/// What an image of a training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The declared input of that number.
    Input(usize),
    /// What the output must become, on a grid finer by these factors along patient axes.
    Target([usize; 3]),
}

/// Brings an image of a training into the frame that [`translate`] brings images into: patient axes, and a spacing that the
/// plugin was made for, or the grid `onto`, and the intensities that the input declares. A target has the modality and unit
/// of the output, spacings divided by its factors, and the input's kind of intensities where the output keeps its meaning.
/// Those follow from the image itself, and come beside it, unless `scale` tells them: what [`translate`] makes is taken back
/// by the scale of its input, so the finer truth of an image has the scale of that image.
///
/// # Errors
/// [`Error::Modality`] and [`Error::Unit`] for an image that the plugin does not take or give, [`Error::Descriptor`] for
/// an input that it does not have, [`Error::Imaging`] when the grid cannot be brought to that spacing.
pub fn prepare_side(
    descriptor: &Descriptor,
    side: Side,
    image: &Volume,
    onto: Option<&Geometry>,
    scale: Option<IntensityScale>,
) -> Result<(Volume, Option<IntensityScale>), Error> {
    let (declared, factors) = match side {
        Side::Input(number) => (descriptor.inputs.get(number).cloned(), [1; 3]),
        Side::Target(factors) => (descriptor.inputs.first().map(|input| as_target(descriptor, input)), factors),
    };
    let declared = declared.ok_or_else(|| Error::Descriptor {
        plugin: descriptor.id.clone(),
        reason: format!("{} inputs", descriptor.inputs.len()),
    })?;
    check_input(descriptor, &declared, &Image::of(image))?;
    let turned = isoscan_imaging::reorient(image, Orientation::LPS);
    let resampled = |grid: &Geometry| isoscan_imaging::resample(&turned, grid, Interpolation::Linear, image.lowest());
    let fine = |range: [[f64; 2]; 3]| std::array::from_fn(|a| range[a].map(|mm| mm / factors[a] as f64));
    let brought = match onto {
        Some(grid) if grid.corner_distance_mm(turned.geometry()) <= SAME_GRID_MM => turned,
        Some(grid) => resampled(grid),
        None => match declared.spacing_mm.and_then(|range| working_spacing(turned.geometry(), fine(range))) {
            None => turned,
            Some(spacing_mm) => resampled(&with_spacing(turned.geometry(), spacing_mm)?),
        },
    };
    if let (Some(scale), true) = (scale, declared.normalize.is_some()) {
        return Ok((scale.apply(&brought), Some(scale)));
    }
    let (volume, scale) = normalized(&brought, &declared)?;
    Ok((volume.into_owned(), scale))
}

/// The output as if it were an input.
fn as_target(descriptor: &Descriptor, image: &Input) -> Input {
    let output = &descriptor.output;
    let modalities = output.modality.map_or_else(|| image.modalities.clone(), |modality| vec![modality]);
    let units = output.unit.map_or_else(|| image.units.clone(), |unit| vec![unit]);
    let normalize = image.normalize.filter(|_| output.modality.is_none() && output.unit.is_none());
    Input { name: "target".to_owned(), modalities, units, range: None, normalize, ..image.clone() }
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
    beside: &[Beside<'_>],
    plan: &Plan,
    job: &Job<'_>,
) -> Result<ndarray::Array3<f32>, Error> {
    let patching = &plugin.descriptor().patching;
    let grid = patch_grid(plugin.descriptor(), image.geometry().size())?;
    let mut blender = Blender::new(&grid.refined(plan.refine)?, Blend::Constant);
    let batches: Vec<&[Patch]> = grid.patches().chunks(patching.max_batch).collect();
    let together = together(plugin, beside);
    for group in batches.chunks(together) {
        for (batch, output) in group.iter().zip(call(plugin, image, beside, group, group, plan, job)?) {
            let fine = batch.iter().map(|patch| patch.refined(plan.refine));
            for (patch, values) in fine.zip(output.chunks_exact(output.len() / batch.len())) {
                blender.add(&patch, values)?;
            }
        }
    }
    Ok(blender.finish()?)
}

/// Batches that go to the plugin in one order; whole inputs would be copied for each.
pub(crate) fn together(plugin: &Plugin, beside: &[Beside<'_>]) -> usize {
    let cut = beside.iter().all(|input| input.aligned);
    if plugin.offers_batch() && cut { TOGETHER } else { 1 }
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
    beside: &[Beside<'_>],
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
    for ((batch, whole), context) in batches.iter().zip(whole).zip(&contexts) {
        requests.push(Request {
            inputs: inputs(plugin, image, beside, batch, whole)?,
            output_shape: Refine::output_shape(plan.refine, shape(batch)),
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

/// The patches of the image and of each aligned input, and every other input whole. Aligned inputs are there as whole
/// volumes, so the patches `whole` are theirs.
fn inputs(
    plugin: &Plugin,
    image: &Volume,
    beside: &[Beside<'_>],
    batch: &[Patch],
    whole: &[Patch],
) -> Result<Vec<TensorBuf>, Error> {
    let mut inputs = vec![gathered(plugin, image, batch)?];
    for &Beside { volume, aligned } in beside {
        if aligned {
            inputs.push(gathered(plugin, volume, whole)?);
            continue;
        }
        let [nx, ny, nz] = volume.geometry().size();
        let mut tensor = plugin.buffer([1, 1, nz, ny, nx])?;
        tensor.copy_from_slice(volume.as_slice());
        inputs.push(tensor);
    }
    Ok(inputs)
}

fn gathered(plugin: &Plugin, image: &Volume, batch: &[Patch]) -> Result<TensorBuf, Error> {
    let mut tensor = plugin.buffer(shape(batch))?;
    for (patch, out) in batch.iter().zip(tensor.chunks_exact_mut(batch[0].voxel_count())) {
        gather(image, patch, out)?;
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use isoscan_abi::{Normalize, Output, Patching, Region};
    use isoscan_imaging::{Modality, Unit};
    use ndarray::Array3;

    use super::*;

    fn doubling() -> Descriptor {
        let normalize = Some(Normalize::ZScore { region: Region::All });
        Descriptor {
            id: "finer".into(),
            version: "1.0.0".into(),
            name: String::new(),
            summary: String::new(),
            family: String::new(),
            inputs: vec![Input { normalize, ..Input::any("image", "") }],
            output: Output { refine: Refine::Fixed([2, 1, 1]), ..Output::like_input("") },
            patching: Patching::whole(Axes::Volume),
            params: Vec::new(),
            deterministic: true,
            synthetic: false,
        }
    }

    fn row(values: &[f32], geometry: Geometry) -> Volume {
        let voxels = Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap();
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn the_finer_truth_of_an_image_has_the_intensities_that_its_translation_is_taken_back_by() {
        let descriptor = doubling();
        let coarse = row(&[2.0, 4.0], Geometry::axis_aligned([2, 1, 1], [2.0, 1.0, 1.0]).unwrap());
        let grid = refined(coarse.geometry(), [2, 1, 1]).unwrap();
        let fine = row(&[0.0, 4.0, 2.0, 6.0], grid.clone());
        let (source, scale) = prepare_side(&descriptor, Side::Input(0), &coarse, None, None).unwrap();
        assert_eq!(source.as_slice(), [-1.0, 1.0]);
        let truth = Side::Target([2, 1, 1]);
        let (target, same) = prepare_side(&descriptor, truth, &fine, Some(&grid), scale).unwrap();
        assert_eq!((target.as_slice(), target.unit()), (&[-3.0, 1.0, -1.0, 3.0][..], Unit::Normalized));
        assert_eq!(same.unwrap().undo(&target, Unit::Arbitrary).as_slice(), fine.as_slice());
        let (_, own) = prepare_side(&descriptor, truth, &fine, Some(&grid), None).unwrap();
        assert!((own.unwrap().scale() - 5f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn intensities_of_an_output_with_another_meaning_are_left_alone() {
        let plain = doubling();
        let (modality, unit) = (Some(isoscan_abi::Modality::Ct), Some(isoscan_abi::Unit::Hounsfield));
        let output = Output { modality, unit, ..plain.output.clone() };
        let grid = Geometry::axis_aligned([2, 1, 1], [1.0; 3]).unwrap();
        let ct = row(&[-1000.0, 40.0], grid.clone()).with_meaning(Modality::Ct, Unit::Hounsfield);
        let scale = IntensityScale::new(2.0, 1.0).ok();
        let descriptor = Descriptor { output, ..plain };
        let (target, _) = prepare_side(&descriptor, Side::Target([1; 3]), &ct, Some(&grid), scale).unwrap();
        assert_eq!(target.as_slice(), ct.as_slice());
    }
}
