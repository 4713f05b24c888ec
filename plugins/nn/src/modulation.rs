use tch::{Device, Kind, Tensor};

use crate::{Error, Linear, Norm, Parameters, norm::instance_norm};

/// Adaptive instance normalisation (Huang and Belongie 2017): `scale * (x - mean_x) / deviation_x + mean`.
///
/// `mean` and `scale` are `[batch, channel]`. The statistics are those of the whole extent given.
///
/// # Errors
/// [`Error::Torch`] when the shapes do not meet.
pub fn adain(x: &Tensor, mean: &Tensor, scale: &Tensor) -> Result<Tensor, Error> {
    shifted(&instance_norm(x)?, mean, scale)
}

/// `scale * x + mean` with one scale and mean per image and channel.
pub(crate) fn shifted(x: &Tensor, mean: &Tensor, scale: &Tensor) -> Result<Tensor, Error> {
    let spread = |t: &Tensor| {
        let mut shape = t.size();
        shape.resize(x.dim(), 1);
        t.f_view(shape.as_slice())
    };
    Ok(x.f_mul(&spread(scale)?)?.f_add(&spread(mean)?)?)
}

/// A normalisation whose scale and mean follow a vector: `norm(x) * (1 + s(c)) + m(c)`, `s` and `m` linear.
///
/// AdaGN with [`Norm::Group`], AdaIN with [`Norm::Instance`], a plain scale and shift (FiLM), which depends on no
/// statistics of the image, with [`Norm::None`]. It starts as the plain norm.
#[derive(Debug)]
pub struct Modulation {
    linear: Linear,
    norm: Norm,
    channels: i64,
}

impl Modulation {
    /// Adds the weights `name.*`; `extents` are the width of the vector and the channels of the image.
    ///
    /// # Errors
    /// [`Error::Torch`] when memory is short or an extent is negative.
    pub fn new(parameters: &mut Parameters, name: &str, extents: [i64; 2], norm: Norm) -> Result<Self, Error> {
        let [width, channels] = extents;
        Ok(Self { linear: Linear::new(parameters, name, [width, 2 * channels], 0.0)?, norm, channels })
    }

    /// Modulates `[batch, channel, ...]` by `[batch, width]`.
    ///
    /// # Errors
    /// [`Error::Torch`] when the shapes do not meet.
    pub fn forward(&self, x: &Tensor, condition: &Tensor) -> Result<Tensor, Error> {
        let both = self.linear.forward(condition)?;
        let scale = both.f_narrow(1, 0, self.channels)?.f_add_scalar(1.0)?;
        let mean = both.f_narrow(1, self.channels, self.channels)?;
        shifted(&self.norm.apply(x)?, &mean, &scale)
    }
}

/// Sines and cosines of a time at frequencies from 1 down to 1/10000 (Vaswani et al. 2017).
///
/// `times` is `[batch]`, `dims` even; gives `[batch, dims]`: `sin(t f_i)` first, then `cos(t f_i)`, with
/// `f_i = 10000^(-i / (dims / 2))`.
///
/// # Errors
/// [`Error::Torch`] when `times` has another shape.
pub fn sinusoids(times: &Tensor, dims: i64) -> Result<Tensor, Error> {
    let half = (dims / 2).max(1);
    let exponents = Tensor::f_arange(half, (Kind::Float, Device::Cpu))?;
    let frequencies = exponents.f_mul_scalar(-(10000.0_f64.ln()) / half as f64)?.f_exp()?;
    let angles = times.f_to_kind(Kind::Float)?.f_view([-1, 1])?.f_mul(&frequencies.f_view([1, half])?)?;
    Ok(Tensor::f_cat(&[angles.f_sin()?, angles.f_cos()?], 1)?)
}

/// [`sinusoids`] of a time through two layers with SiLU between: `[batch]` to `[batch, 4 dims]`.
#[derive(Debug)]
pub struct TimeEmbedding {
    dims: i64,
    first: Linear,
    second: Linear,
}

impl TimeEmbedding {
    /// Adds the weights `name.first` and `name.second`; `dims` even.
    ///
    /// # Errors
    /// [`Error::Torch`] when memory is short or `dims` is negative.
    pub fn new(parameters: &mut Parameters, name: &str, dims: i64) -> Result<Self, Error> {
        let deviation = |inputs: i64| (1.0 / inputs.max(1) as f64).sqrt();
        let first = Linear::new(parameters, &format!("{name}.first"), [dims, 4 * dims], deviation(dims))?;
        let second = Linear::new(parameters, &format!("{name}.second"), [4 * dims, 4 * dims], deviation(4 * dims))?;
        Ok(Self { dims, first, second })
    }

    /// The embedding's width: 4 dims.
    pub fn width(&self) -> i64 {
        4 * self.dims
    }

    /// The embedding of each time.
    ///
    /// # Errors
    /// [`Error::Torch`] when `times` is not `[batch]`.
    pub fn forward(&self, times: &Tensor) -> Result<Tensor, Error> {
        let inner = self.first.forward(&sinusoids(times, self.dims)?)?;
        self.second.forward(&inner.f_silu()?)
    }
}

#[cfg(test)]
mod tests {
    use tch::no_grad;

    use super::*;

    fn close(found: &Tensor, expected: &[f64]) -> bool {
        let found = Vec::<f32>::try_from(found.flatten(0, -1)).unwrap();
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4)
    }

    #[test]
    fn adain_gives_the_wanted_mean_and_deviation() {
        let x = Tensor::from_slice(&[1.0_f32, 3.0, 10.0, 30.0]).view([1, 2, 1, 2]);
        let row = |values: [f32; 2]| Tensor::from_slice(&values).view([1, 2]);
        let made = adain(&x, &row([5.0, -1.0]), &row([2.0, 0.5])).unwrap();
        assert!(close(&made, &[3.0, 7.0, -1.5, -0.5]));
    }

    #[test]
    fn modulation_starts_as_the_plain_norm_and_then_scales_and_shifts() {
        let mut parameters = Parameters::new(1, 0);
        let modulation = Modulation::new(&mut parameters, "m", [1, 1], Norm::None).unwrap();
        let x = Tensor::from_slice(&[2.0_f32, 4.0]).view([1, 1, 1, 2]);
        let condition = Tensor::from_slice(&[3.0_f32]).view([1, 1]);
        assert!(no_grad(|| modulation.forward(&x, &condition)).unwrap().equal(&x));
        // Scale 1 + 0.5 * 3, mean 0.5 * 3 from weights of 0.5.
        no_grad(|| drop(parameters.tensors()[0].fill_(0.5)));
        assert!(close(&no_grad(|| modulation.forward(&x, &condition)).unwrap(), &[6.5, 11.5]));
    }

    #[test]
    fn sinusoids_by_hand() {
        let made = sinusoids(&Tensor::from_slice(&[0.0_f32, 2.0]), 4).unwrap();
        let expected = [0.0, 0.0, 1.0, 1.0, 2_f64.sin(), 0.02_f64.sin(), 2_f64.cos(), 0.02_f64.cos()];
        assert!(close(&made, &expected), "{made:?}");
        let mut parameters = Parameters::new(1, 0);
        let embedding = TimeEmbedding::new(&mut parameters, "t", 4).unwrap();
        let made = embedding.forward(&Tensor::from_slice(&[0.0_f32, 2.0])).unwrap();
        assert_eq!((made.size(), embedding.width()), (vec![2, 16], 16));
    }
}
