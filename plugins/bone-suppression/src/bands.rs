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
}

impl BandRecipe {
    fn network(&self) -> UNetRecipe {
        UNetRecipe {
            channels_in: 4,
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
        2 * self.network().halo()
    }
}

/// A U-Net from the four half-size Haar bands of a slice to those of another image.
#[derive(Debug)]
pub struct BandNet(UNet);

impl Architecture for BandNet {
    type Recipe = BandRecipe;

    fn build(p: &mut Parameters, recipe: &BandRecipe) -> Result<Self, Error> {
        in_range("levels", recipe.levels as f64, 1.0..=4.0)?;
        Ok(Self(UNet::build(p, &recipe.network())?))
    }
}

impl BandNet {
    /// The image, `[batch, 1, y, x]`, that the network sees in slices of the same size.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when an extent is no multiple of [`BandRecipe::multiple`].
    pub fn forward(&self, slices: &Tensor) -> Result<Tensor, Error> {
        haar_synthesis(&self.0.forward(&haar_analysis(slices)?, None)?)
    }
}
