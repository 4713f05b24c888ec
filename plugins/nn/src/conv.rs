use tch::Tensor;

use crate::{Error, Norm, Parameters};

/// What surrounds the image before a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Padding {
    /// Mirror without repeating the edge.
    Reflect(i64),
    /// Zeros.
    Zero(i64),
}

/// The shape of one convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvShape {
    pub(crate) channels_in: i64,
    pub(crate) channels_out: i64,
    pub(crate) kernel: i64,
    pub(crate) stride: i64,
    pub(crate) padding: Padding,
    /// Standard deviation of the initial weights.
    pub(crate) deviation: f64,
}

/// A 2-D convolution with bias, which starts at 0.
#[derive(Debug)]
pub(crate) struct Conv {
    weight: Tensor,
    bias: Tensor,
    shape: ConvShape,
}

impl Conv {
    pub(crate) fn new(parameters: &mut Parameters, name: &str, shape: ConvShape) -> Result<Self, Error> {
        let ConvShape { channels_in, channels_out, kernel, .. } = shape;
        let weight = parameters.normal(
            format!("{name}.weight"),
            &[channels_out, channels_in, kernel, kernel],
            shape.deviation,
        )?;
        let bias = parameters.zeros(format!("{name}.bias"), &[channels_out])?;
        Ok(Self { weight, bias, shape })
    }

    pub(crate) fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        let (padded, zeros) = match self.shape.padding {
            Padding::Reflect(n) => (image.f_reflection_pad2d([n, n, n, n])?, 0),
            Padding::Zero(n) => (image.shallow_clone(), n),
        };
        let stride = self.shape.stride;
        Ok(padded.f_conv2d(&self.weight, Some(&self.bias), [stride, stride], [zeros, zeros], [1, 1], 1)?)
    }
}

/// Standard deviation of a layer's initial weights.
///
/// 0.02 where instance norm follows and sets the scale anyway (Zhu et al. 2017). Without norm that start lets the signal
/// die out within a few layers, so it is `sqrt(2 / (channels_in * kernel^2))` (He et al. 2015).
pub(crate) fn deviation(norm: Norm, channels_in: i64, kernel: i64) -> f64 {
    match norm {
        Norm::Instance => 0.02,
        Norm::None => (2.0 / (channels_in * kernel * kernel) as f64).sqrt(),
    }
}

/// Normalises each channel of each image to mean 0 and variance 1 over its extent; no learned scale.
pub(crate) fn instance_norm(image: &Tensor) -> Result<Tensor, Error> {
    let none = None::<Tensor>;
    Ok(image.f_instance_norm(none.as_ref(), none.as_ref(), none.as_ref(), none.as_ref(), true, 0.1, 1e-5, false)?)
}

/// `x` where positive, `0.2 x` elsewhere.
pub(crate) fn leaky_relu(image: &Tensor) -> Result<Tensor, Error> {
    Ok(image.f_relu()?.f_mul_scalar(0.8)?.f_add(&image.f_mul_scalar(0.2)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_norm_and_leaky_relu_by_hand() {
        // Mean 2, variance 1 (population), epsilon 1e-5.
        let image = Tensor::from_slice(&[1.0_f32, 3.0, 1.0, 3.0]).view([1, 1, 2, 2]);
        let normed = Vec::<f32>::try_from(instance_norm(&image).unwrap().flatten(0, -1)).unwrap();
        for (found, expected) in normed.iter().zip([-1.0, 1.0, -1.0, 1.0]) {
            assert!((found - expected).abs() < 1e-5, "{normed:?}");
        }
        let bent = leaky_relu(&Tensor::from_slice(&[-5.0_f32, 0.0, 2.0])).unwrap();
        assert_eq!(Vec::<f32>::try_from(bent).unwrap(), [-1.0, 0.0, 2.0]);
    }
}
