use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Error;

/// Normalisation inside a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// None: the output at a voxel depends on its receptive field alone, so patches and whole slices agree.
    None,
    /// Instance normalisation, the published GANs: statistics of the whole extent enter every voxel.
    Instance,
    /// Group normalisation (Wu and He 2018), the published diffusion networks: as above, over groups of channels.
    Group,
}

impl Norm {
    /// Normalises to mean 0 and variance 1, with no learned scale.
    ///
    /// # Errors
    /// [`Error::Torch`] when an image has a single voxel, which has no variance.
    pub fn apply(self, image: &Tensor) -> Result<Tensor, Error> {
        match self {
            Self::None => Ok(image.shallow_clone()),
            Self::Instance => instance_norm(image),
            Self::Group => group_norm(image),
        }
    }
}

/// What bends the result of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x`.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, `0.2 x` elsewhere.
    Leaky,
    /// `x / (1 + exp(-x))`.
    Silu,
}

impl Activation {
    /// The bent values.
    ///
    /// # Errors
    /// [`Error::Torch`] when memory is short.
    pub fn apply(self, x: &Tensor) -> Result<Tensor, Error> {
        match self {
            Self::None => Ok(x.shallow_clone()),
            Self::Relu => Ok(x.f_relu()?),
            Self::Leaky => leaky_relu(x, 0.2),
            Self::Silu => Ok(x.f_silu()?),
        }
    }
}

/// `x` where positive, `slope x` elsewhere.
///
/// # Errors
/// [`Error::Torch`] when memory is short.
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor, Error> {
    Ok(x.f_relu()?.f_mul_scalar(1.0 - slope)?.f_add(&x.f_mul_scalar(slope)?)?)
}

/// Normalises each channel of each image to mean 0 and variance 1 over its extent; no learned scale.
pub(crate) fn instance_norm(image: &Tensor) -> Result<Tensor, Error> {
    let none = None::<Tensor>;
    Ok(image.f_instance_norm(none.as_ref(), none.as_ref(), none.as_ref(), none.as_ref(), true, 0.1, 1e-5, false)?)
}

fn group_norm(image: &Tensor) -> Result<Tensor, Error> {
    let channels = image.size().get(1).copied().unwrap_or(1);
    let none = None::<Tensor>;
    Ok(image.f_group_norm(groups(channels), none.as_ref(), none.as_ref(), 1e-5, false)?)
}

/// The largest divisor of `channels` that is at most `min(channels / 4, 32)`, at least 1.
pub(crate) fn groups(channels: i64) -> i64 {
    let most = (channels / 4).clamp(1, 32);
    (1..=most).rev().find(|n| channels % n == 0).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tensor: Result<Tensor, Error>) -> Vec<f32> {
        Vec::<f32>::try_from(tensor.unwrap().flatten(0, -1)).unwrap()
    }

    #[test]
    fn norms_and_activations_by_hand() {
        // Each channel has mean 2 or 6, variance 1 (population); all four values of the group mean 4, variance 5.
        let image = Tensor::from_slice(&[1.0_f32, 3.0, 5.0, 7.0]).view([1, 2, 1, 2]);
        let fifth = 1.0 / 5.0_f32.sqrt();
        for (norm, expected) in [
            (Norm::None, [1.0, 3.0, 5.0, 7.0]),
            (Norm::Instance, [-1.0, 1.0, -1.0, 1.0]),
            (Norm::Group, [-3.0, -1.0, 1.0, 3.0].map(|v| v * fifth)),
        ] {
            let found = list(norm.apply(&image));
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{norm:?}: {found:?}");
        }
        let x = Tensor::from_slice(&[-5.0_f32, 0.0, 2.0]);
        assert_eq!(list(Activation::Leaky.apply(&x)), [-1.0, 0.0, 2.0]);
        assert_eq!(list(Activation::Relu.apply(&x)), [0.0, 0.0, 2.0]);
        let silu = list(Activation::Silu.apply(&x));
        assert!((silu[2] - 2.0 / (1.0 + (-2.0_f32).exp())).abs() < 1e-6, "{silu:?}");
    }

    #[test]
    fn groups_divide_the_channels() {
        for (channels, expected) in [(1, 1), (3, 1), (8, 2), (12, 3), (20, 5), (22, 2), (256, 32)] {
            assert_eq!(groups(channels), expected, "{channels}");
        }
    }
}
