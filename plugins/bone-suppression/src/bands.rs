use isoscan_nn::{
    Activation, Architecture, Error, Norm, Parameters, UNet, UNetRecipe, haar_analysis, haar_synthesis, in_range,
};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The numbers that define a [`BandNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandRecipe {
    /// Channels of the first level, doubled by each deeper one.
    pub width: i64,
    /// Levels on the grid of the bands, 1 to 4.
    pub levels: i64,
    /// Residual blocks per level and side, 1 to 4.
    pub blocks: i64,
    /// Normalisation in every block; instance norm depends on the whole slice.
    pub norm: Norm,
    /// Ribs are a twentieth of what lies behind them. Above 0 the network sees the bands less the mean of the low one over
    /// 33 x 33 of its pixels, times this gain, and that mean beside them; its result is divided by the gain. At 0 it sees the bands.
    pub contrast_gain: i64,
}

/// Side of the square that the surroundings are averaged over, pixels of the bands; odd.
const SURROUND: i64 = 33;

impl BandRecipe {
    fn network(&self) -> UNetRecipe {
        UNetRecipe {
            channels_in: if self.contrast_gain > 0 { 5 } else { 4 },
            channels_out: 4,
            features: (0..self.levels.clamp(1, 4)).map(|level| self.width << level).collect(),
            blocks: self.blocks,
            norm: self.norm,
            activation: Activation::Leaky,
            residual: None,
            ..UNetRecipe::default()
        }
    }

    /// Extents of slices must be multiples of this.
    pub fn multiple(&self) -> usize {
        2 * self.network().multiple()
    }

    /// Receptive field radius in pixels.
    pub fn halo(&self) -> usize {
        let surround = if self.contrast_gain > 0 { SURROUND as usize / 2 } else { 0 };
        2 * (self.network().halo() + surround)
    }
}

/// A U-Net from the four half-size Haar bands of a slice to those of another image.
#[derive(Debug)]
pub struct BandNet {
    network: UNet,
    contrast_gain: i64,
}

impl Architecture for BandNet {
    type Recipe = BandRecipe;

    fn build(p: &mut Parameters, recipe: &BandRecipe) -> Result<Self, Error> {
        in_range("levels", recipe.levels as f64, 1.0..=4.0)?;
        in_range("contrast_gain", recipe.contrast_gain as f64, 0.0..=1000.0)?;
        Ok(Self { network: UNet::build(p, &recipe.network())?, contrast_gain: recipe.contrast_gain })
    }
}

impl BandNet {
    /// The image, `[batch, 1, y, x]`, that the network sees in slices of the same size.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when an extent is no multiple of [`BandRecipe::multiple`].
    pub fn forward(&self, slices: &Tensor) -> Result<Tensor, Error> {
        let bands = haar_analysis(slices)?;
        if self.contrast_gain == 0 {
            return haar_synthesis(&self.network.forward(&bands, None)?);
        }
        let gain = self.contrast_gain as f64;
        let low = bands.f_narrow(1, 0, 1)?;
        let level = low.f_avg_pool2d([SURROUND; 2], [1; 2], [SURROUND / 2; 2], false, false, None::<i64>)?;
        let contrast = Tensor::f_cat(&[low.f_sub(&level)?, bands.f_narrow(1, 1, 3)?], 1)?.f_mul_scalar(gain)?;
        let made = self.network.forward(&Tensor::f_cat(&[contrast, level], 1)?, None)?;
        haar_synthesis(&made.f_div_scalar(gain)?)
    }
}
