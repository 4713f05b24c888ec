use isoscan_sdk::{Axes, Descriptor, Input, Output, Patching, PluginError, Refine};

use crate::check::require_core;
use crate::{Declaration, Dims, Halo, InputDeclaration, NetworkDeclaration};

/// Slices between the margins of a 2.5-D patch whose depth is not declared.
const SLICES: usize = 16;
/// Voxels along each axis between the margins of a 3-D patch whose size is not declared: a call then stays short enough
/// to be cancelled between two.
const CORE: usize = 64;

/// The descriptor of a bundle whose margin is known.
pub(crate) fn descriptor(declared: &Declaration, family: &str, halo: Halo) -> Result<Descriptor, PluginError> {
    let Declaration { id, version, file, network } = declared;
    let output = &network.output;
    Ok(Descriptor {
        id: id.clone(),
        version: version.clone(),
        name: network.name.clone().unwrap_or_else(|| id.clone()),
        summary: network.summary.clone().unwrap_or_else(|| format!("Runs the network {file}")),
        family: family.to_owned(),
        inputs: network.inputs.iter().enumerate().map(input).collect(),
        output: Output {
            modality: output.modality,
            unit: output.unit,
            refine: Refine::Fixed(output.refine),
            text: output.text.clone(),
        },
        patching: patching(network, halo)?,
        params: Vec::new(),
        deterministic: true,
        synthetic: true,
    })
}

fn input((index, declared): (usize, &InputDeclaration)) -> Input {
    let InputDeclaration { name, text, modalities, units, spacing_mm, range, normalize, .. } = declared.clone();
    Input { name, modalities, units, spacing_mm, range, optional: false, aligned: index > 0, normalize, text }
}

fn patching(network: &NetworkDeclaration, halo: Halo) -> Result<Patching, PluginError> {
    let NetworkDeclaration { dims, fixed, multiple, batch, .. } = network;
    let patch = network.patch();
    let (whole, mut halo) = match halo {
        Halo::Whole(_) => (true, [0; 3]),
        Halo::Voxels(halo) => (false, halo),
    };
    let (axes, mut size) = match dims {
        Dims::Two => (Axes::Slices, [patch[0], patch[1], 1]),
        Dims::TwoAndHalf => (Axes::Patches, patch),
        Dims::Three if whole => (Axes::Volume, patch),
        Dims::Three if network.patch.is_none() => {
            (Axes::Patches, std::array::from_fn(|a| (CORE + 2 * halo[a]).next_multiple_of(multiple[a])))
        }
        Dims::Three => (Axes::Patches, patch),
    };
    if *dims == Dims::TwoAndHalf {
        halo[2] = network.slices() / 2;
        size[2] = if size[2] == 0 { SLICES + 2 * halo[2] } else { size[2] };
    }
    require_core(size, halo)?;
    // A patch that is not cut is made no larger than its multiples ask, so that these alone keep a size fixed.
    let fixed_along = |a: usize| *fixed && (*dims == Dims::Three || a < 2);
    let multiple = std::array::from_fn(|a| if fixed_along(a) { size[a] } else { multiple[a] });
    Ok(Patching { axes, size, multiple, halo, max_batch: *batch })
}
