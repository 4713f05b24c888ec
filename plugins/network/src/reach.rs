use isoscan_sdk::PluginError;

use crate::pass::pass;
use crate::{Dims, Network, NetworkDeclaration};

/// Extents to try along the axis that is measured, voxels: the margin that can be found is below half of the last.
const EXTENTS: [usize; 5] = [64, 128, 256, 512, 1024];
/// Extents to try along the other axes, voxels, for networks that refuse small images.
const BESIDE: [usize; 3] = [16, 32, 64];

/// How far a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Voxels along x, y, z beyond which nothing changes a voxel of the output: a multiple of the declared `multiple`.
    Voxels([usize; 3]),
    /// Along this axis (0, 1, 2 for x, y, z), at least so many voxels: as far as was looked.
    Beyond(usize, usize),
}

/// Measures how far from an output voxel the image can change it.
///
/// An image of noise is cut in two halves at a multiple of the network's strides, as patches are cut. Other noise in one
/// half must leave the other half's output alone but for the voxels near the cut; the farthest of those, d voxels away, is
/// looked for on both sides with two noises. Inside a cell of m = `multiple` voxels another voxel may reach m - 1 farther,
/// and margins must keep the cells: the result is d + m - 1 rounded up to a multiple of m, or 0 where d is 0 and m is 1.
///
/// A network that takes means over the image, such as instance normalisation does, changes everywhere: [`Reach::Beyond`].
/// Between the slices of a 2.5-D network the reach is half of `slices`, and nothing is measured.
///
/// # Errors
/// What the network says when it refuses every extent that is tried.
pub fn reach(network: &mut impl Network, declared: &NetworkDeclaration) -> Result<Reach, PluginError> {
    let mut found = [0, 0, if declared.dims == Dims::TwoAndHalf { declared.slices() / 2 } else { 0 }];
    for network_axis in declared.layout().axes() {
        let axis = network_axis.axis;
        match along(network, declared, axis)? {
            Ok(distance) => {
                let multiple = declared.multiple[axis];
                found[axis] = (distance + multiple - 1).next_multiple_of(multiple);
            }
            Err(looked) => return Ok(Reach::Beyond(axis, looked)),
        }
    }
    Ok(Reach::Voxels(found))
}

/// The distance along one axis, or how far was looked.
fn along(
    network: &mut impl Network,
    declared: &NetworkDeclaration,
    axis: usize,
) -> Result<Result<usize, usize>, PluginError> {
    let mut refusal = None;
    let mut looked = 0;
    for extent in sizes(declared, axis, &EXTENTS) {
        let beside = sizes(declared, (axis + 1) % 2, &BESIDE).len();
        for attempt in 0..beside {
            let size: [usize; 3] = std::array::from_fn(|a| match a {
                _ if a == axis => extent,
                2 if declared.dims != Dims::Three => declared.slices(),
                _ => {
                    let sizes = sizes(declared, a, &BESIDE);
                    sizes[attempt.min(sizes.len() - 1)]
                }
            });
            match farthest(network, declared, axis, size) {
                Ok(Some(distance)) => return Ok(Ok(distance)),
                Ok(None) => {
                    looked = looked.max(cut(declared, axis, extent));
                    break;
                }
                Err(reason) => refusal = Some(reason),
            }
        }
    }
    match refusal {
        Some(reason) if looked == 0 => Err(reason),
        _ => Ok(Err(looked)),
    }
}

fn sizes(declared: &NetworkDeclaration, axis: usize, extents: &[usize]) -> Vec<usize> {
    if declared.fixed {
        return vec![declared.patch()[axis]];
    }
    let mut sizes: Vec<usize> = extents.iter().map(|n| n.next_multiple_of(2 * declared.multiple[axis])).collect();
    sizes.dedup();
    sizes
}

/// The voxel where the halves meet.
fn cut(declared: &NetworkDeclaration, axis: usize, extent: usize) -> usize {
    let multiple = declared.multiple[axis];
    (extent / 2 / multiple * multiple).max(1)
}

/// The farthest voxel from the cut that changes with what lies beyond it; `None` when a change reaches the image's end.
fn farthest(
    network: &mut impl Network,
    declared: &NetworkDeclaration,
    axis: usize,
    size: [usize; 3],
) -> Result<Option<usize>, PluginError> {
    let cut = cut(declared, axis, size[axis]);
    let refine = declared.output.refine[axis];
    let fine: [usize; 3] = std::array::from_fn(|a| size[a] * declared.output.refine[a]);
    let mut farthest = 0;
    for seed in [1, 2] {
        let base = run(network, declared, size, |_, place| noise(seed, place))?;
        for upper in [false, true] {
            let changed =
                |at: usize, place| if (at >= cut) == upper { noise(seed + 7, place) } else { noise(seed, place) };
            let moved = run(network, declared, size, |index, place| changed(index[axis], place))?;
            for (place, (a, b)) in base.iter().zip(&moved).enumerate() {
                let at = index_of(place, fine)[axis] / refine;
                if a.to_bits() == b.to_bits() || (at >= cut) == upper {
                    continue;
                }
                if at == 0 || at + 1 == size[axis] {
                    return Ok(None);
                }
                farthest = farthest.max(if upper { cut - at } else { at + 1 - cut });
            }
        }
    }
    Ok(Some(farthest))
}

fn run(
    network: &mut impl Network,
    declared: &NetworkDeclaration,
    size: [usize; 3],
    value: impl Fn([usize; 3], usize) -> f32,
) -> Result<Vec<f32>, PluginError> {
    let count: usize = size.iter().product();
    let image = |input: usize| (0..count).map(|place| value(index_of(place, size), input * count + place)).collect();
    let images: Vec<Vec<f32>> = (0..declared.inputs.len()).map(image).collect();
    pass(network, declared, &images, size, |_| Ok(()))
}

/// x, y, z of a voxel, x fastest.
fn index_of(place: usize, size: [usize; 3]) -> [usize; 3] {
    [place % size[0], place / size[0] % size[1], place / size[0] / size[1]]
}

/// Even noise in -1..1 that depends on seed and place alone (the mixing steps of SplitMix64).
fn noise(seed: u64, place: usize) -> f32 {
    let mut bits = (place as u64).wrapping_add(seed << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}
