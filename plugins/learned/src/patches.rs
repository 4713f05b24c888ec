use isoscan_nn::image;
use isoscan_sdk::{PluginError, TensorView, TensorViewMut};
use tch::Tensor;

use crate::Failure;

/// A volume `[batch, channel, z, y, x]` as its axial slices `[batch * z, channel, y, x]`, z fastest.
///
/// ```
/// use tch::{Device, Kind, Tensor};
///
/// let volume = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([1, 2, 3, 1, 2]);
/// let slices = isoscan_learned::into_slices(&volume)?;
/// assert_eq!(slices.size(), [3, 2, 1, 2]);
/// assert!(isoscan_learned::from_slices(&slices, 3)?.equal(&volume));
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// # Errors
/// When the tensor has not five axes.
pub fn into_slices(volume: &Tensor) -> Result<Tensor, tch::TchError> {
    volume.f_transpose(1, 2)?.f_flatten(0, 1)
}

/// The inverse of [`into_slices`]: `[batch * z, channel, y, x]` as `[batch, channel, z, y, x]`.
///
/// # Errors
/// When the number of slices is not a multiple of `z`.
pub fn from_slices(slices: &Tensor, z: i64) -> Result<Tensor, tch::TchError> {
    slices.f_unflatten(0, [-1, z])?.f_transpose(1, 2)
}

/// The patches of a view as a tensor of the same shape.
pub(crate) fn tensor(view: &TensorView<'_>) -> Result<Tensor, Failure> {
    Ok(image(view.as_slice(), &view.shape)?)
}

/// Item `index` of a batch, one channel per input in order; an input that was not given is zeros.
pub(crate) fn stacked(inputs: &[Option<TensorView<'_>>], index: usize) -> Result<Tensor, Failure> {
    let first = inputs.iter().flatten().next().ok_or_else(|| PluginError::failed("no input was given"))?;
    let [_, _, z, y, x] = first.shape;
    let mut voxels = Vec::with_capacity(inputs.len() * z * y * x);
    for input in inputs {
        match input {
            Some(view) => {
                let channels = view.shape[1];
                if channels != 1 {
                    return Err(PluginError::invalid(format_args!("expected 1 channel, found {channels}")).into());
                }
                voxels.extend_from_slice(&view.as_slice()[index * z * y * x..][..z * y * x]);
            }
            None => voxels.resize(voxels.len() + z * y * x, 0.0),
        }
    }
    Ok(image(&voxels, &[1, inputs.len(), z, y, x])?)
}

/// Writes a made patch `[1, 1, z, y, x]` as item `index` of the output.
pub(crate) fn put(output: &mut TensorViewMut<'_>, index: usize, made: &Tensor) -> Result<(), Failure> {
    let [_, channels, z, y, x] = output.shape;
    let expected = [1, channels, z, y, x].map(|n| n as i64);
    if made.size() != expected {
        let found = made.size();
        return Err(PluginError::failed(format_args!("the networks made {found:?}, not {expected:?}")).into());
    }
    let voxels = isoscan_nn::values(made)?;
    output.as_mut_slice()[index * voxels.len()..][..voxels.len()].copy_from_slice(&voxels);
    Ok(())
}
