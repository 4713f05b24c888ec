use tch::Tensor;

use crate::{Activation, Conv, ConvShape, Dim, Edge, Error, Modulation, Norm, Parameters, conv::deviation};

/// Convolution, normalisation, activation.
#[derive(Debug)]
pub struct ConvBlock {
    conv: Conv,
    norm: Norm,
    activation: Activation,
}

impl ConvBlock {
    /// Adds the convolution's weights under `name`.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn new(
        parameters: &mut Parameters,
        name: &str,
        shape: ConvShape,
        norm: Norm,
        activation: Activation,
    ) -> Result<Self, Error> {
        Ok(Self { conv: Conv::new(parameters, name, shape)?, norm, activation })
    }

    /// The features of an image.
    ///
    /// # Errors
    /// As [`Conv::forward`] and [`Norm::apply`].
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        self.activation.apply(&self.norm.apply(&self.conv.forward(image)?)?)
    }
}

/// The numbers that define a [`ResidualBlock`].
#[derive(Debug, Clone, Copy)]
pub struct ResidualShape {
    /// Axes of the image.
    pub dim: Dim,
    /// Channels in and out; a 1x1 convolution joins them where they differ.
    pub channels: [i64; 2],
    /// What surrounds the image.
    pub edge: Edge,
    /// Normalisation after both convolutions.
    pub norm: Norm,
    /// Activation after the first.
    pub activation: Activation,
    /// Width of the vector that modulates the first normalisation; 0 for none.
    pub condition: i64,
    /// Share of the result that is added to the input.
    pub share: f64,
}

impl ResidualShape {
    /// Repeated edge, SiLU, no condition, added in full.
    pub fn plain(dim: Dim, channels: [i64; 2], norm: Norm) -> Self {
        Self { dim, channels, edge: Edge::Replicate, norm, activation: Activation::Silu, condition: 0, share: 1.0 }
    }
}

/// Two 3x3 convolutions whose result is added to the input (He et al. 2016): it reaches 2 voxels.
///
/// With a condition the first normalisation is a [`Modulation`]: AdaGN with [`Norm::Group`].
#[derive(Debug)]
pub struct ResidualBlock {
    first: Conv,
    modulation: Option<Modulation>,
    second: Conv,
    skip: Option<Conv>,
    shape: ResidualShape,
}

impl ResidualBlock {
    /// Adds the weights `name.first`, `name.second`, and `name.modulation` and `name.skip` where needed.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn new(parameters: &mut Parameters, name: &str, shape: ResidualShape) -> Result<Self, Error> {
        let ResidualShape { dim, channels: [channels_in, channels_out], edge, norm, condition, .. } = shape;
        let conv = |channels: [i64; 2]| ConvShape {
            edge,
            deviation: deviation(norm, dim, channels[0], 3),
            ..ConvShape::same(dim, channels, 3)
        };
        let first = Conv::new(parameters, &format!("{name}.first"), conv([channels_in, channels_out]))?;
        let modulation = match condition {
            0 => None,
            _ => Some(Modulation::new(parameters, &format!("{name}.modulation"), [condition, channels_out], norm)?),
        };
        let second = Conv::new(parameters, &format!("{name}.second"), conv([channels_out, channels_out]))?;
        let skip = match channels_in == channels_out {
            true => None,
            false => {
                let shape = ConvShape::same(dim, [channels_in, channels_out], 1);
                Some(Conv::new(parameters, &format!("{name}.skip"), shape)?)
            }
        };
        Ok(Self { first, modulation, second, skip, shape })
    }

    /// The features plus what the block adds; `condition` is `[batch, width]`.
    ///
    /// # Errors
    /// [`Error::Condition`] when the block wants a condition and has none, or the other way round; else as
    /// [`Conv::forward`] and [`Norm::apply`].
    pub fn forward(&self, x: &Tensor, condition: Option<&Tensor>) -> Result<Tensor, Error> {
        let ResidualShape { norm, activation, .. } = self.shape;
        let inner = self.first.forward(x)?;
        let inner = match (&self.modulation, condition) {
            (Some(modulation), Some(condition)) => modulation.forward(&inner, condition)?,
            (None, None) => norm.apply(&inner)?,
            (wanted, _) => return Err(Error::Condition { expected: wanted.is_some() }),
        };
        let inner = norm.apply(&self.second.forward(&activation.apply(&inner)?)?)?;
        let kept = match &self.skip {
            Some(skip) => skip.forward(x)?,
            None => x.shallow_clone(),
        };
        if self.shape.share == 1.0 {
            return Ok(kept.f_add(&inner)?);
        }
        Ok(kept.f_add(&inner.f_mul_scalar(self.shape.share)?)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;

    fn block(channels: [i64; 2], condition: i64) -> (Parameters, ResidualBlock) {
        let mut parameters = Parameters::new(1, 0);
        let shape = ResidualShape { condition, ..ResidualShape::plain(Dim::Three, channels, Norm::None) };
        let block = ResidualBlock::new(&mut parameters, "r", shape).unwrap();
        (parameters, block)
    }

    #[test]
    fn a_block_of_zeros_returns_its_input_and_a_wider_one_fits_it() {
        let (parameters, same) = block([2, 2], 0);
        no_grad(|| parameters.tensors().iter_mut().for_each(|w| drop(w.zero_())));
        let x = Tensor::arange(2 * 27, (Kind::Float, Device::Cpu)).view([1, 2, 3, 3, 3]);
        assert!(no_grad(|| same.forward(&x, None)).unwrap().equal(&x));
        assert_eq!(block([2, 5], 0).1.forward(&x, None).unwrap().size(), [1, 5, 3, 3, 3]);
    }

    #[test]
    fn a_condition_must_be_given_exactly_where_it_is_wanted() {
        let x = Tensor::zeros([1, 2, 3, 3, 3], (Kind::Float, Device::Cpu));
        let condition = Tensor::ones([1, 4], (Kind::Float, Device::Cpu));
        assert!(matches!(block([2, 2], 4).1.forward(&x, None), Err(Error::Condition { expected: true })));
        assert!(matches!(block([2, 2], 0).1.forward(&x, Some(&condition)), Err(Error::Condition { expected: false })));
        assert_eq!(block([2, 2], 4).1.forward(&x, Some(&condition)).unwrap().size(), x.size());
    }
}
