use isoscan_sdk::{PluginError, TensorView};
use tch::Tensor;

/// The axial slices of a patch batch in the network's scale: `[batch * z, 1, y, x]`, HU divided by `hu_scale`.
pub(crate) fn slices(patches: &TensorView<'_>, hu_scale: f64) -> Result<Tensor, PluginError> {
    let [batch, channels, z, y, x] = patches.shape;
    if channels != 1 {
        return Err(PluginError::invalid(format_args!("expected 1 channel, found {channels}")));
    }
    network_scale(patches.as_slice(), [batch * z, 1, y, x], hu_scale)
}

/// HU to the network's scale, as a tensor of `shape`.
pub(crate) fn network_scale(hu: &[f32], shape: [usize; 4], hu_scale: f64) -> Result<Tensor, PluginError> {
    let tensor = isoscan_nn::image(hu, &shape).map_err(failed)?;
    tensor.f_div_scalar(hu_scale).map_err(|error| failed(error.into()))
}

/// The first line of an error: libtorch appends a trace of its own.
pub(crate) fn failed(error: isoscan_nn::Error) -> PluginError {
    PluginError::failed(error.first_line())
}
