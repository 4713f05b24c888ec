use isoscan_sdk::PluginError;

use crate::{Array, Dims, Feed, Network, NetworkDeclaration};

/// Sends one patch through a network: `images[i]` is what the network sees of input `i`, `[z, y, x]` of `extent` voxels
/// along x, y, z. Gives the declared channel of its output, of so many times the voxels as the output refines by.
///
/// # Errors
/// What the network says, or that its output has another shape than it must.
pub(crate) fn pass(
    network: &mut impl Network,
    declared: &NetworkDeclaration,
    images: &[Vec<f32>],
    extent: [usize; 3],
    mut go_on: impl FnMut(f32) -> Result<(), PluginError>,
) -> Result<Vec<f32>, PluginError> {
    let refine = declared.output.refine;
    let fine: [usize; 3] = std::array::from_fn(|a| extent[a] * refine[a]);
    let mut out = vec![0.0; fine.iter().product()];
    if declared.dims == Dims::Three {
        let given = feed(declared, images, extent, &[0]);
        scatter(declared, network.forward(&given)?, fine, &mut out)?;
        return Ok(out);
    }
    let plane = extent[0] * extent[1];
    let middle = declared.slices() / 2;
    for (z, out) in out.chunks_exact_mut(fine[0] * fine[1]).enumerate() {
        go_on(z as f32 / extent[2] as f32)?;
        // Beyond the first and last slice these two stand for what is not there.
        let starts: Vec<usize> =
            (0..declared.slices()).map(|k| (z + k).saturating_sub(middle).min(extent[2] - 1) * plane).collect();
        let given = feed(declared, images, [extent[0], extent[1], 1], &starts);
        scatter(declared, network.forward(&given)?, [fine[0], fine[1], 1], out)?;
    }
    Ok(out)
}

/// The network's arguments: a block of `extent` voxels of each image from each of `starts` on, a channel each.
fn feed(declared: &NetworkDeclaration, images: &[Vec<f32>], extent: [usize; 3], starts: &[usize]) -> Vec<Array> {
    let layout = declared.layout();
    let blocks = |image: &Vec<f32>| {
        let mut values = Vec::with_capacity(starts.len() * extent.iter().product::<usize>());
        starts.iter().for_each(|start| layout.places(extent, |place| values.push(image[start + place])));
        values
    };
    let array = |channels: usize, values: Vec<f32>| {
        let shape = [1, channels].into_iter().chain(layout.shape(extent)).collect();
        Array { shape, values }
    };
    match declared.feed {
        Feed::Channels => vec![array(images.len() * starts.len(), images.iter().flat_map(blocks).collect())],
        Feed::Arguments => images.iter().map(|image| array(starts.len(), blocks(image))).collect(),
    }
}

/// Puts the network's output into the image `[z, y, x]` of `extent` voxels along x, y, z.
fn scatter(
    declared: &NetworkDeclaration,
    given: Array,
    extent: [usize; 3],
    out: &mut [f32],
) -> Result<(), PluginError> {
    let layout = declared.layout();
    let expected: Vec<usize> = layout.shape(extent);
    let Array { shape, values } = given;
    let count: usize = expected.iter().product();
    if shape.len() != 2 + expected.len() || shape[0] != 1 || shape[2..] != expected {
        let hint = if shape.len() == 2 + expected.len() && shape[0] == 1 {
            "; patch sizes that are multiples of the network's strides are asked for by 'multiple', a finer grid by \
             'output.refine'"
        } else {
            ""
        };
        return Err(PluginError::failed(format_args!(
            "the network's output: expected the shape [1, channels, {}], found {shape:?}{hint}",
            expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        )));
    }
    let channel = match (declared.output.channel, shape[1]) {
        (None, 1) => 0,
        (Some(channel), channels) if channel < channels => channel,
        (None, channels) => {
            return Err(PluginError::failed(format_args!(
                "the network's output: expected 1 channel, or 'output.channel' to say which, found {channels}"
            )));
        }
        (Some(channel), channels) => {
            return Err(PluginError::failed(format_args!(
                "the network's output: expected a channel {channel}, found {channels} channels from 0"
            )));
        }
    };
    let Some(block) = values.get(channel * count..(channel + 1) * count) else {
        let (expected, found) = (shape.iter().product::<usize>(), values.len());
        return Err(PluginError::failed(format_args!(
            "the network's output: expected {expected} values, found {found}"
        )));
    };
    let mut block = block.iter();
    layout.places(extent, |place| {
        if let Some(value) = block.next() {
            out[place] = *value;
        }
    });
    Ok(())
}
