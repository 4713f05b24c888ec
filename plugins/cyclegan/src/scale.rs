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
    let tensor = Tensor::f_from_slice(hu).and_then(|t| t.f_view(shape.map(|n| n as i64)));
    tensor.and_then(|t| t.f_div_scalar(hu_scale)).map_err(|error| failed(error.into()))
}

/// The values of a tensor, x fastest.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>, PluginError> {
    let mut values = vec![0.0; tensor.numel()];
    let copied = tensor.f_contiguous().and_then(|t| t.f_copy_data(&mut values, t.numel()));
    copied.map_err(|error| failed(error.into()))?;
    Ok(values)
}

/// The first line of an error: libtorch appends a trace of its own.
pub(crate) fn failed(error: isoscan_nn::Error) -> PluginError {
    let message = error.to_string();
    PluginError::failed(message.lines().next().unwrap_or_default())
}
