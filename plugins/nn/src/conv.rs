use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Dim, Error, Norm, Parameters};

/// What surrounds the image before a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// Mirror without repeating the edge; an extent must exceed the padding.
    Reflect,
    /// The edge voxel, repeated; any extent.
    Replicate,
    /// Zeros.
    Zero,
}

/// The shape of one convolution, the same along every axis.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    /// Axes of the image.
    pub dim: Dim,
    /// Channels in and out.
    pub channels: [i64; 2],
    /// Side of the kernel.
    pub kernel: i64,
    /// Voxels from one output to the next.
    pub stride: i64,
    /// Voxels added on each side.
    pub padding: i64,
    /// What is added.
    pub edge: Edge,
    /// Standard deviation of the initial weights; 0 starts with a layer that gives 0.
    pub deviation: f64,
}

impl ConvShape {
    /// Stride 1, output as large as the input (odd kernel), repeated edge, He deviation `sqrt(2 / (channels_in kernel^dim))`.
    pub fn same(dim: Dim, channels: [i64; 2], kernel: i64) -> Self {
        let deviation = he_deviation(dim, channels[0], kernel);
        Self { dim, channels, kernel, stride: 1, padding: kernel / 2, edge: Edge::Replicate, deviation }
    }
}

/// A convolution in 2-D or 3-D with bias, which starts at 0.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Tensor,
    shape: ConvShape,
}

impl Conv {
    /// Adds the weights `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// [`Error::Torch`] when memory is short or an extent is negative.
    pub fn new(parameters: &mut Parameters, name: &str, shape: ConvShape) -> Result<Self, Error> {
        let [channels_in, channels_out] = shape.channels;
        let mut extents = vec![channels_out, channels_in];
        extents.extend(shape.dim.each(shape.kernel));
        let weight = parameters.normal(format!("{name}.weight"), &extents, shape.deviation)?;
        let bias = parameters.zeros(format!("{name}.bias"), &[channels_out])?;
        Ok(Self { weight, bias, shape })
    }

    /// Channels out.
    pub fn channels_out(&self) -> i64 {
        self.shape.channels[1]
    }

    /// The convolved image.
    ///
    /// # Errors
    /// [`Error::Torch`] when the image has other channels or axes, or is too small for kernel and edge.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        let ConvShape { dim, stride, padding, edge, .. } = self.shape;
        let zeros = if edge == Edge::Zero { padding } else { 0 };
        let image = if zeros == padding { image.shallow_clone() } else { padded(image, dim, padding, edge)? };
        let [stride, zeros, ones] = [stride, zeros, 1].map(|n| dim.each(n));
        let bias = Some(&self.bias);
        Ok(match dim {
            Dim::Two => image.f_conv2d(&self.weight, bias, stride, zeros, ones, 1)?,
            Dim::Three => image.f_conv3d(&self.weight, bias, stride, zeros, ones, 1)?,
        })
    }
}

/// A fully connected layer with bias, which starts at 0: `[batch, in]` to `[batch, out]`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Adds the weights `name.weight`, drawn with `deviation`, and `name.bias`.
    ///
    /// # Errors
    /// [`Error::Torch`] when memory is short or an extent is negative.
    pub fn new(parameters: &mut Parameters, name: &str, extents: [i64; 2], deviation: f64) -> Result<Self, Error> {
        let [inputs, outputs] = extents;
        let weight = parameters.normal(format!("{name}.weight"), &[outputs, inputs], deviation)?;
        let bias = parameters.zeros(format!("{name}.bias"), &[outputs])?;
        Ok(Self { weight, bias })
    }

    /// `x W^T + b`.
    ///
    /// # Errors
    /// [`Error::Torch`] when `x` has another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// Adds `n` voxels on each side.
pub(crate) fn padded(image: &Tensor, dim: Dim, n: i64, edge: Edge) -> Result<Tensor, Error> {
    let sides = vec![n; 2 * dim.axes()];
    Ok(match edge {
        Edge::Reflect => image.f_pad(sides, "reflect", None)?,
        Edge::Replicate => image.f_pad(sides, "replicate", None)?,
        Edge::Zero => image.f_pad(sides, "constant", 0.0)?,
    })
}

/// Standard deviation of a layer's initial weights.
///
/// 0.02 where a normalisation follows and sets the scale anyway (Zhu et al. 2017). Without norm that start lets the
/// signal die out within a few layers, so it is `sqrt(2 / (channels_in * kernel^dim))` (He et al. 2015).
pub(crate) fn deviation(norm: Norm, dim: Dim, channels_in: i64, kernel: i64) -> f64 {
    match norm {
        Norm::Instance | Norm::Group => 0.02,
        Norm::None => he_deviation(dim, channels_in, kernel),
    }
}

fn he_deviation(dim: Dim, channels_in: i64, kernel: i64) -> f64 {
    let inputs = channels_in as f64 * (kernel as f64).powi(dim.axes() as i32);
    (2.0 / inputs).sqrt()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;

    fn ones(conv: &Parameters) {
        no_grad(|| conv.tensors().iter_mut().for_each(|w| drop(w.fill_(1.0))));
    }

    #[test]
    fn a_kernel_of_ones_sums_its_neighbourhood_by_each_edge_rule() {
        for (dim, edge, corner, centre) in [
            // 2-D, values 1 to 9: corner 1 with neighbours 2, 4, 5; bias 1.
            (Dim::Two, Edge::Zero, 1.0 + 2.0 + 4.0 + 5.0 + 1.0, 46.0),
            (Dim::Two, Edge::Replicate, 4.0 * 1.0 + 2.0 * 2.0 + 2.0 * 4.0 + 5.0 + 1.0, 46.0),
            (Dim::Two, Edge::Reflect, 1.0 + 2.0 * 2.0 + 2.0 * 4.0 + 4.0 * 5.0 + 1.0, 46.0),
            // 3-D, three such slices.
            (Dim::Three, Edge::Zero, 2.0 * 12.0 + 1.0, 3.0 * 45.0 + 1.0),
            (Dim::Three, Edge::Replicate, 3.0 * 21.0 + 1.0, 3.0 * 45.0 + 1.0),
            (Dim::Three, Edge::Reflect, 3.0 * 33.0 + 1.0, 3.0 * 45.0 + 1.0),
        ] {
            let mut parameters = Parameters::new(1, 0);
            let shape = ConvShape { edge, ..ConvShape::same(dim, [1, 1], 3) };
            let conv = Conv::new(&mut parameters, "c", shape).unwrap();
            ones(&parameters);
            let slice = Tensor::arange_start(1, 10, (Kind::Float, Device::Cpu)).view([1, 1, 3, 3]);
            let image = if dim == Dim::Two { slice } else { slice.unsqueeze(2).repeat([1, 1, 3, 1, 1]) };
            let made = no_grad(|| conv.forward(&image)).unwrap().flatten(0, -1);
            assert_eq!(made.double_value(&[0]), corner, "{dim:?} {edge:?}");
            assert_eq!(made.double_value(&[made.size()[0] / 2]), centre, "{dim:?} {edge:?}");
        }
    }

    #[test]
    fn linear_by_hand() {
        let mut parameters = Parameters::new(1, 0);
        let linear = Linear::new(&mut parameters, "l", [2, 1], 1.0).unwrap();
        ones(&parameters);
        let made = no_grad(|| linear.forward(&Tensor::from_slice(&[2.0_f32, 5.0]).view([1, 2]))).unwrap();
        assert_eq!(made.double_value(&[0, 0]), 8.0);
    }
}
