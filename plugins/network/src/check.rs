use isoscan_sdk::PluginError;

use crate::{Dims, Halo, InputDeclaration, NetworkDeclaration};

/// Longest extent of a patch or margin, voxels.
const MOST_VOXELS: usize = 1 << 16;
/// Most slices of a 2.5-D network, most patches of a call.
const MOST: usize = 255;

/// Refuses what no network can be.
pub(crate) fn check(network: &NetworkDeclaration) -> Result<(), PluginError> {
    let NetworkDeclaration { dims, slices, fixed, multiple, halo, batch, inputs, output, .. } = network;
    let patch = network.patch();
    check_slices(*dims, *slices)?;
    let layout = network.layout();
    let axes = if *dims == Dims::Three { 3 } else { 2 };
    require(layout.axes().len() == axes, || {
        format!("orientation: expected {axes} letters for a network of these dims, found '{layout}'")
    })?;
    require(multiple.iter().all(|n| (1..=MOST_VOXELS).contains(n)), || {
        format!("multiple: expected 1 to {MOST_VOXELS} along x, y, z, found {multiple:?}")
    })?;
    require(patch.iter().all(|&n| n <= MOST_VOXELS), || {
        format!("patch: expected at most {MOST_VOXELS} voxels, found {patch:?}")
    })?;
    let in_plane = *dims == Dims::Two;
    require(!in_plane || (patch[2] <= 1 && multiple[2] == 1), || {
        format!("patch, multiple: expected no more than 1 along z for slices, found {patch:?} and {multiple:?}")
    })?;
    require(*dims != Dims::TwoAndHalf || multiple[2] == 1, || {
        format!("multiple: expected 1 along z for slices, found {multiple:?}")
    })?;
    require((0..3).all(|a| patch[a].is_multiple_of(multiple[a]) || (in_plane && a == 2)), || {
        format!("patch: expected multiples of {multiple:?}, found {patch:?}")
    })?;
    require(!fixed || patch.iter().take(axes).all(|&n| n > 0), || {
        format!("fixed: expected a patch size for every axis, found {patch:?}")
    })?;
    check_halo(network, *halo)?;
    require((1..=MOST).contains(batch), || format!("batch: expected 1 to {MOST}, found {batch}"))?;
    require((1..=MOST).contains(&inputs.len()), || format!("inputs: expected 1 to {MOST}, found {}", inputs.len()))?;
    inputs.iter().try_for_each(check_input)?;
    let both = output.back && (output.scale.is_some() || output.offset.is_some());
    require(!both, || "output: expected back = true or scale and offset, found both".to_owned())?;
    let (scale, offset) = network.output_change();
    check_change("output", scale, offset, output.clip)?;
    let refine = output.refine;
    require(refine.iter().all(|n| (1..=16).contains(n)) && (*dims == Dims::Three || refine[2] == 1), || {
        format!("output.refine: expected 1 to 16, and 1 along z for slices, found {refine:?}")
    })
}

fn check_slices(dims: Dims, slices: Option<usize>) -> Result<(), PluginError> {
    match (dims, slices) {
        (Dims::TwoAndHalf, Some(n)) if n % 2 == 1 && (3..=MOST).contains(&n) => Ok(()),
        (Dims::TwoAndHalf, found) => {
            let found = found.map_or_else(|| "none".to_owned(), |n| n.to_string());
            Err(invalid(format!("slices: expected an odd number from 3 to {MOST} for a 2.5d network, found {found}")))
        }
        (_, Some(found)) => Err(invalid(format!("slices: expected none unless dims is 2.5d, found {found}"))),
        (_, None) => Ok(()),
    }
}

fn check_halo(network: &NetworkDeclaration, halo: Option<Halo>) -> Result<(), PluginError> {
    let patch = network.patch();
    match halo {
        None => Ok(()),
        Some(Halo::Whole(_)) => require(patch == [0; 3] && !network.fixed, || {
            format!("halo: expected no patch size beside halo = \"whole\", found {patch:?}")
        }),
        Some(Halo::Voxels(halo)) => {
            let flat = network.dims == Dims::Two;
            require(!flat || halo[2] == 0, || format!("halo: expected 0 along z for slices, found {halo:?}"))?;
            let middle = network.slices() / 2;
            require(network.dims != Dims::TwoAndHalf || halo[2] == middle, || {
                format!("halo: expected {middle} along z for {} slices, found {halo:?}", network.slices())
            })?;
            require_core(patch, halo)
        }
    }
}

/// A patch that is cut needs a core between its margins.
pub(crate) fn require_core(patch: [usize; 3], halo: [usize; 3]) -> Result<(), PluginError> {
    let fits = (0..3).all(|a| halo[a] <= MOST_VOXELS && (patch[a] == 0 || halo[a] == 0 || patch[a] > 2 * halo[a]));
    require(fits, || {
        format!("patch: expected more than twice the halo {halo:?}, or 0 for the whole extent, found {patch:?}")
    })
}

fn check_input(input: &InputDeclaration) -> Result<(), PluginError> {
    check_change(&format!("input '{}'", input.name), input.scale, input.offset, input.clip)
}

fn check_change(what: &str, scale: f64, offset: f64, clip: Option<[f64; 2]>) -> Result<(), PluginError> {
    require(scale.is_finite() && scale != 0.0 && offset.is_finite(), || {
        format!("{what}: expected a finite offset and a scale other than 0, found {offset} and {scale}")
    })?;
    require(clip.is_none_or(|[low, high]| low < high), || {
        format!("{what}: expected a clip, smallest first, found {:?}", clip.unwrap_or_default())
    })
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), PluginError> {
    if holds { Ok(()) } else { Err(invalid(otherwise())) }
}

fn invalid(reason: String) -> PluginError {
    PluginError::invalid(format_args!("plugin.toml, [network]: {reason}"))
}
