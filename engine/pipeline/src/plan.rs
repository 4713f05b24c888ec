use std::collections::BTreeMap;

use isoscan_abi::{Axes, Descriptor, Input, ParamValue};
use isoscan_imaging::{Geometry, Modality, Orientation, Slices, Unit};

use crate::{Error, translate::TOGETHER};

/// What [`plan`] looks at: everything about an image but its voxels.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The grid.
    pub geometry: &'a Geometry,
    /// The modality.
    pub modality: Modality,
    /// The intensity unit.
    pub unit: Unit,
}

impl<'a> Image<'a> {
    /// What is known of an image in memory or in storage.
    pub fn of(image: &'a dyn Slices) -> Self {
        Self { geometry: image.geometry(), modality: image.modality(), unit: image.unit() }
    }
}

/// A translation that may run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every parameter of the plugin, defaults filled in.
    pub params: BTreeMap<String, ParamValue>,
    /// Modality of the output.
    pub modality: Modality,
    /// Unit of the output.
    pub unit: Unit,
    /// Spacing along the patient's left-right, front-back and foot-head axes in mm that the image is brought to, when
    /// its own lies outside what the plugin was made for.
    pub working_spacing_mm: Option<[f64; 3]>,
    /// Output voxels in the place of one input voxel along the patient's left-right, front-back and foot-head axes.
    pub refine: [usize; 3],
    /// Estimated peak memory of the engine beside the source volume, bytes.
    pub memory_bytes: u64,
}

/// Checks an image, its further inputs (by name) and the given parameters against what the plugin declares.
///
/// # Errors
/// [`Error::Modality`], [`Error::Unit`], [`Error::Inputs`], [`Error::Grid`], [`Error::Parameter`] or
/// [`Error::Descriptor`], each with what was expected and found.
pub fn plan(
    descriptor: &Descriptor,
    image: &Image<'_>,
    further: &[(&str, Image<'_>)],
    params: &BTreeMap<String, serde_json::Value>,
) -> Result<Plan, Error> {
    let [first, others @ ..] = descriptor.inputs.as_slice() else {
        return Err(Error::Descriptor { plugin: descriptor.id.clone(), reason: "no input".to_owned() });
    };
    check_input(descriptor, first, image)?;
    check_further(descriptor, others, further, image.geometry)?;
    let multiple = descriptor.patching.multiple;
    if multiple.contains(&0) || descriptor.patching.max_batch == 0 {
        let reason = format!("patch multiple {multiple:?}, batch {}", descriptor.patching.max_batch);
        return Err(Error::Descriptor { plugin: descriptor.id.clone(), reason });
    }
    let params = descriptor.check_params(params).map_err(|message| Error::Parameter { message })?;
    let working_spacing_mm = first.spacing_mm.and_then(|range| working_spacing(image.geometry, range));
    let refine = descriptor.output.refine.factors(&params);
    Ok(Plan {
        params,
        refine,
        modality: descriptor.output.modality.map_or(image.modality, engine_modality),
        unit: descriptor.output.unit.map_or(image.unit, engine_unit),
        memory_bytes: memory_bytes(descriptor, image.geometry, refine),
        working_spacing_mm,
    })
}

/// Largest distance between corners of grids that count as one, mm.
pub(crate) const SAME_GRID_MM: f64 = 0.01;

fn check_further(
    descriptor: &Descriptor,
    declared: &[Input],
    given: &[(&str, Image<'_>)],
    grid: &Geometry,
) -> Result<(), Error> {
    let missing = declared.iter().any(|input| !input.optional && given.iter().all(|(name, _)| *name != input.name));
    let unknown = given.iter().any(|(name, _)| declared.iter().all(|input| *name != input.name));
    if missing || unknown {
        let names = |list: Vec<&str>| if list.is_empty() { "only the image".to_owned() } else { list.join(", ") };
        return Err(Error::Inputs {
            plugin: descriptor.id.clone(),
            expected: names(declared.iter().map(|input| input.name.as_str()).collect()),
            found: names(given.iter().map(|(name, _)| *name).collect()),
        });
    }
    for (name, image) in given {
        if let Some(input) = declared.iter().find(|input| input.name == *name) {
            check_input(descriptor, input, image)?;
            if input.aligned && grid.corner_distance_mm(image.geometry) > SAME_GRID_MM {
                return Err(Error::Grid {
                    plugin: descriptor.id.clone(),
                    input: input.name.clone(),
                    expected: grid.to_string(),
                    found: image.geometry.to_string(),
                });
            }
        }
    }
    Ok(())
}

pub(crate) fn check_input(descriptor: &Descriptor, input: &Input, image: &Image<'_>) -> Result<(), Error> {
    let modalities: Vec<Modality> = input.modalities.iter().map(|&m| engine_modality(m)).collect();
    if !modalities.is_empty() && !modalities.contains(&image.modality) {
        return Err(Error::Modality {
            plugin: descriptor.id.clone(),
            input: input.name.clone(),
            expected: words(&modalities),
            found: image.modality.to_string(),
        });
    }
    let units: Vec<Unit> = input.units.iter().map(|&u| engine_unit(u)).collect();
    if !units.is_empty() && !units.contains(&image.unit) {
        return Err(Error::Unit {
            plugin: descriptor.id.clone(),
            input: input.name.clone(),
            expected: words(&units),
            found: image.unit.to_string(),
        });
    }
    Ok(())
}

fn words<T: ToString>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(" or ")
}

/// The image's spacing along patient axes brought into the declared range, or `None` when it lies there already.
pub(crate) fn working_spacing(geometry: &Geometry, range: [[f64; 2]; 3]) -> Option<[f64; 3]> {
    let mut spacing = geometry.spacing_mm();
    for (axis, patient_axis) in patient_axes(geometry).into_iter().enumerate() {
        spacing[patient_axis] = geometry.spacing_mm()[axis];
    }
    let inside: [f64; 3] = std::array::from_fn(|a| spacing[a].clamp(range[a][0], range[a][1].max(range[a][0])));
    (inside != spacing).then_some(inside)
}

/// The patient axis (0 left-right, 1 front-back, 2 foot-head) that each axis of a grid runs along.
pub(crate) fn patient_axes(geometry: &Geometry) -> [usize; 3] {
    let mut axes = [0, 1, 2];
    for (axis, letter) in Orientation::of(geometry).to_string().chars().take(3).enumerate() {
        axes[axis] = "LRPASI".find(letter).map_or(axis, |place| place / 2);
    }
    axes
}

/// Estimated peak memory that a translation of an image on this grid takes beside the image: the prepared copies of it and
/// of its aligned inputs, the translated and the restored image, both finer by `refine`, and the patch buffers in flight.
pub fn memory_bytes(descriptor: &Descriptor, geometry: &Geometry, refine: [usize; 3]) -> u64 {
    let range = descriptor.inputs.first().and_then(|input| input.spacing_mm);
    let working_spacing_mm = range.and_then(|range| working_spacing(geometry, range));
    let own: f64 = geometry.spacing_mm().iter().product();
    let shrink = working_spacing_mm.map_or(1.0, |working| own / working.iter().product::<f64>());
    let voxels = (geometry.voxel_count() as f64 * shrink) as u64;
    let [nx, ny, nz] = geometry.size().map(|n| n as u64);
    let patch = match descriptor.patching.axes {
        Axes::Volume => nx * ny * nz,
        Axes::Slices => nx * ny * TOGETHER.saturating_mul(descriptor.patching.max_batch) as u64,
        Axes::Patches => {
            let [px, py, pz] = descriptor.patching.size.map(|n| n as u64);
            px * py * pz * TOGETHER.saturating_mul(descriptor.patching.max_batch) as u64
        }
    };
    let finer = refine.iter().fold(1, |product: u64, &factor| product.saturating_mul(factor as u64));
    let images = 1 + descriptor.inputs.iter().filter(|input| input.aligned).count() as u64;
    let of_images = voxels.saturating_mul(4 * images + finer.saturating_mul(4 + 16));
    of_images.saturating_add(patch.saturating_mul(4 * (images + finer)))
}

/// The engine's modality of the contract's word.
fn engine_modality(modality: isoscan_abi::Modality) -> Modality {
    match modality {
        isoscan_abi::Modality::Ct => Modality::Ct,
        isoscan_abi::Modality::Mr => Modality::Mr,
        isoscan_abi::Modality::Pt => Modality::Pt,
        isoscan_abi::Modality::Cr => Modality::Cr,
        isoscan_abi::Modality::Dx => Modality::Dx,
        isoscan_abi::Modality::Ot => Modality::Ot,
    }
}

/// The engine's unit of the contract's word.
fn engine_unit(unit: isoscan_abi::Unit) -> Unit {
    match unit {
        isoscan_abi::Unit::Hounsfield => Unit::Hounsfield,
        isoscan_abi::Unit::Suv => Unit::Suv,
        isoscan_abi::Unit::Arbitrary => Unit::Arbitrary,
        isoscan_abi::Unit::Normalized => Unit::Normalized,
        isoscan_abi::Unit::OpticalDensity => Unit::OpticalDensity,
    }
}
