use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Error, Norm, Parameters,
    conv::{Conv, ConvShape, Padding, deviation, instance_norm, leaky_relu},
};

/// The numbers that define a [`PatchGan`].
///
/// Published (Isola et al. 2017): width 64, 3 halvings, instance norm, a field of 70 voxels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorRecipe {
    /// Channels of the first layer; doubled by each later one. 1 to 256.
    pub width: i64,
    /// Layers of 4x4 with stride 2. 1 to 4; 2 gives a field of 34 voxels.
    pub halvings: i64,
    /// Normalisation of the layers between first and last.
    pub norm: Norm,
}

/// PatchGAN: a map of scores, each of a patch; 4x4 convolutions, LeakyReLU 0.2, zero padding 1.
#[derive(Debug)]
pub struct PatchGan {
    parameters: Parameters,
    layers: Vec<Conv>,
    norm: Norm,
}

impl PatchGan {
    /// Builds the network with random weights that depend on `seed` and `network` (which of several) alone.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number is out of its range.
    pub fn new(recipe: &DiscriminatorRecipe, seed: u64, network: u64) -> Result<Self, Error> {
        if !(1..=256).contains(&recipe.width) {
            let (field, expected) = ("discriminator width", "1..=256");
            return Err(Error::Recipe { field, expected, found: recipe.width as f64 });
        }
        if !(1..=4).contains(&recipe.halvings) {
            let (field, expected) = ("discriminator halvings", "1..=4");
            return Err(Error::Recipe { field, expected, found: recipe.halvings as f64 });
        }
        let mut parameters = Parameters::new(seed, network);
        let mut layers = Vec::new();
        let mut channels_in = 1;
        for layer in 0..recipe.halvings + 2 {
            let stride = if layer < recipe.halvings { 2 } else { 1 };
            let channels_out = if layer == recipe.halvings + 1 { 1 } else { recipe.width << layer };
            let deviation = deviation(recipe.norm, channels_in, 4);
            let shape =
                ConvShape { channels_in, channels_out, kernel: 4, stride, padding: Padding::Zero(1), deviation };
            layers.push(Conv::new(&mut parameters, &format!("layer{layer}"), shape)?);
            channels_in = channels_out;
        }
        Ok(Self { parameters, layers, norm: recipe.norm })
    }

    /// Its weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Its weights, to load.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Scores of `[batch, 1, y, x]`: `[batch, 1, y', x']`, near 1 for real and near 0 for made patches.
    ///
    /// # Errors
    /// [`Error::Torch`] when the image is smaller than the field needs.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        let last = self.layers.len() - 1;
        let mut x = image.shallow_clone();
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x)?;
            if index > 0 && index < last && self.norm == Norm::Instance {
                x = instance_norm(&x)?;
            }
            if index < last {
                x = leaky_relu(&x)?;
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;

    #[test]
    fn scores_form_a_map_and_see_34_voxels() {
        let recipe = DiscriminatorRecipe { width: 4, halvings: 2, norm: Norm::None };
        let discriminator = PatchGan::new(&recipe, 1, 0).unwrap();
        let image = Tensor::zeros([2, 1, 64, 64], (Kind::Float, Device::Cpu));
        let scores = |image: &Tensor| no_grad(|| discriminator.forward(image)).unwrap();
        assert_eq!(scores(&image).size(), [2, 1, 14, 14]);
        // 14 scores at stride 4; the field is 4 -> 7 -> 16 -> 34 voxels from the last layer to the first.
        let touched: Vec<i64> = (0..64)
            .filter(|&x| {
                let poked = image.copy();
                let _ = poked.narrow(2, 30, 1).narrow(3, x, 1).fill_(1.0);
                scores(&poked).double_value(&[0, 0, 7, 7]) != scores(&image).double_value(&[0, 0, 7, 7])
            })
            .collect();
        assert_eq!(touched.len(), 34);
    }

    #[test]
    fn impossible_recipes_are_errors() {
        for (width, halvings, expected) in [(0, 2, "discriminator width"), (8, 5, "discriminator halvings")] {
            let refused = PatchGan::new(&DiscriminatorRecipe { width, halvings, norm: Norm::None }, 1, 0);
            assert!(matches!(refused, Err(Error::Recipe { field, .. }) if field == expected));
        }
    }
}
