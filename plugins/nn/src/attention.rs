use tch::Tensor;

use crate::{Conv, ConvShape, Dim, Error, Norm, Parameters};

/// Self-attention over all positions (Vaswani et al. 2017): `x + out(softmax(q k^T / sqrt(c / heads)) v)` of the
/// group-normalised `x`.
///
/// Every voxel sees every other. It starts as the identity.
#[derive(Debug)]
pub struct Attention {
    heads: i64,
    mix: Conv,
    out: Conv,
}

impl Attention {
    /// Adds the weights `name.mix` and `name.out`.
    ///
    /// # Errors
    /// [`Error::Recipe`] when `heads` does not divide `channels`.
    pub fn new(parameters: &mut Parameters, name: &str, dim: Dim, channels: i64, heads: i64) -> Result<Self, Error> {
        if heads < 1 || channels % heads != 0 {
            let expected = format!("divisors of {channels}");
            return Err(Error::Recipe { field: "heads", expected, found: heads as f64 });
        }
        let shape = ConvShape::same(dim, [channels, 3 * channels], 1);
        let mix = ConvShape { deviation: (1.0 / channels as f64).sqrt(), ..shape };
        let out = ConvShape { channels: [channels, channels], deviation: 0.0, ..shape };
        Ok(Self {
            heads,
            mix: Conv::new(parameters, &format!("{name}.mix"), mix)?,
            out: Conv::new(parameters, &format!("{name}.out"), out)?,
        })
    }

    /// The attended features, same shape.
    ///
    /// # Errors
    /// [`Error::Torch`] when the image has other channels or memory is short: it grows with the square of the voxels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let (shape, channels) = (x.size(), self.out.channels_out());
        let batch = shape.first().copied().unwrap_or(0);
        let per_head = channels / self.heads;
        // [batch, 3, heads, channels per head, positions]
        let mixed = self.mix.forward(&Norm::Group.apply(x)?)?.f_view([batch, 3, self.heads, per_head, -1])?;
        let part = |index: i64| mixed.f_select(1, index);
        let scores = part(0)?.f_transpose(-2, -1)?.f_matmul(&part(1)?)?.f_mul_scalar(1.0 / (per_head as f64).sqrt())?;
        let weights = scores.f_softmax(-1, None)?;
        let seen = part(2)?.f_matmul(&weights.f_transpose(-2, -1)?)?;
        Ok(x.f_add(&self.out.forward(&seen.f_reshape(shape.as_slice())?)?)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;

    #[test]
    fn attention_starts_as_the_identity_and_then_lets_far_voxels_meet() {
        for dim in [Dim::Two, Dim::Three] {
            let mut parameters = Parameters::new(1, 0);
            let attention = Attention::new(&mut parameters, "a", dim, 4, 2).unwrap();
            let shape = if dim == Dim::Two { vec![1, 4, 3, 5] } else { vec![1, 4, 3, 1, 5] };
            let x = Tensor::arange(60, (Kind::Float, Device::Cpu)).sin().view(shape.as_slice());
            let seen = |x: &Tensor| no_grad(|| attention.forward(x)).unwrap();
            assert!(seen(&x).equal(&x));
            no_grad(|| drop(parameters.tensors()[2].fill_(1.0)));
            let poked = x.copy();
            let _ = poked.flatten(0, -1).narrow(0, 59, 1).fill_(9.0);
            let first = |x: &Tensor| seen(x).flatten(0, -1).double_value(&[0]);
            assert_ne!(first(&poked), first(&x));
        }
    }

    #[test]
    fn equal_positions_attend_equally() {
        let mut parameters = Parameters::new(1, 0);
        let attention = Attention::new(&mut parameters, "a", Dim::Two, 4, 1).unwrap();
        no_grad(|| drop(parameters.tensors()[2].fill_(0.5)));
        let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([1, 4, 1, 1]).repeat([1, 1, 2, 2]);
        let made = no_grad(|| attention.forward(&x)).unwrap().flatten(2, -1);
        let spread = made.f_std_dim(Some([2_i64].as_slice()), false, false).unwrap().max().double_value(&[]);
        assert!(spread < 1e-6, "{spread}");
    }

    #[test]
    fn heads_that_do_not_divide_the_channels_are_refused() {
        let refused = Attention::new(&mut Parameters::new(1, 0), "a", Dim::Two, 4, 3);
        assert_eq!(refused.unwrap_err().to_string(), "recipe: heads must be in divisors of 4, found 3");
    }
}
