use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Activation, Architecture, Conv, ConvBlock, ConvShape, Dim, Edge, Error, Norm, Parameters, conv::deviation,
    in_range, leaky_relu,
};

/// The numbers that define a [`PatchGan`].
///
/// Published (Isola et al. 2017): width 64, 3 halvings, instance norm, a field of 70 voxels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorRecipe {
    /// Axes of the images.
    #[serde(default)]
    pub dim: Dim,
    /// Channels of the images, 1 to 64: more than one where a condition lies beside the image.
    #[serde(default = "one")]
    pub channels_in: i64,
    /// Channels of the first layer; doubled by each later one. 1 to 256.
    pub width: i64,
    /// Layers of 4x4 with stride 2. 1 to 4; 2 gives a field of 34 voxels.
    pub halvings: i64,
    /// Normalisation of the layers between first and last.
    pub norm: Norm,
}

impl Default for DiscriminatorRecipe {
    /// Small enough for two cores: width 16, 2 halvings, no norm, one channel, slices.
    fn default() -> Self {
        Self { dim: Dim::Two, channels_in: 1, width: 16, halvings: 2, norm: Norm::None }
    }
}

impl DiscriminatorRecipe {
    fn check(&self) -> Result<(), Error> {
        in_range("discriminator channels_in", self.channels_in as f64, 1.0..=64.0)?;
        in_range("discriminator width", self.width as f64, 1.0..=256.0)?;
        in_range("discriminator halvings", self.halvings as f64, 1.0..=4.0)
    }
}

fn one() -> i64 {
    1
}

/// PatchGAN: a map of scores, each of a patch; 4x4 convolutions, LeakyReLU 0.2, zero padding 1.
#[derive(Debug)]
pub struct PatchGan {
    layers: Vec<ConvBlock>,
}

impl Architecture for PatchGan {
    type Recipe = DiscriminatorRecipe;

    fn build(parameters: &mut Parameters, recipe: &DiscriminatorRecipe) -> Result<Self, Error> {
        recipe.check()?;
        let last = recipe.halvings + 1;
        let mut layers = Vec::new();
        let mut channels_in = recipe.channels_in;
        for layer in 0..=last {
            let stride = if layer < recipe.halvings { 2 } else { 1 };
            let channels_out = if layer == last { 1 } else { recipe.width << layer };
            let norm = if layer > 0 && layer < last { recipe.norm } else { Norm::None };
            let activation = if layer < last { Activation::Leaky } else { Activation::None };
            let deviation = deviation(recipe.norm, recipe.dim, channels_in, 4);
            let shape = strided(recipe.dim, [channels_in, channels_out], stride, deviation);
            layers.push(ConvBlock::new(parameters, &format!("layer{layer}"), shape, norm, activation)?);
            channels_in = channels_out;
        }
        Ok(Self { layers })
    }
}

impl PatchGan {
    /// Scores of `[batch, channel, (z,) y, x]`: `[batch, 1, ...]`, high for real and low for made patches.
    ///
    /// # Errors
    /// [`Error::Torch`] when the image is smaller than the field needs or has other channels.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        self.layers.iter().try_fold(image.shallow_clone(), |x, layer| layer.forward(&x))
    }
}

/// The numbers that define a [`DomainGan`].
///
/// Published (Choi et al. 2018): width 64, 6 halvings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainGanRecipe {
    /// Axes of the images.
    #[serde(default)]
    pub dim: Dim,
    /// Channels of the images, 1 to 64.
    #[serde(default = "one")]
    pub channels_in: i64,
    /// Channels of the first layer; doubled by each later one. 1 to 256.
    pub width: i64,
    /// Layers of 4x4 with stride 2. 1 to 6.
    pub halvings: i64,
    /// Domains to tell apart, 2 to 64.
    pub domains: i64,
}

/// StarGAN's discriminator (Choi et al. 2018): scores of patches, and which domain the image belongs to.
///
/// 4x4 convolutions with stride 2, LeakyReLU 0.01, no norm; then one 3x3 head for the scores and one for the domains.
/// The published domain head spans the whole image, so it is tied to one size; here each place votes and the
/// votes are averaged, so any size will do.
#[derive(Debug)]
pub struct DomainGan {
    layers: Vec<Conv>,
    scores: Conv,
    domains: Conv,
}

impl Architecture for DomainGan {
    type Recipe = DomainGanRecipe;

    fn build(parameters: &mut Parameters, recipe: &DomainGanRecipe) -> Result<Self, Error> {
        in_range("discriminator channels_in", recipe.channels_in as f64, 1.0..=64.0)?;
        in_range("discriminator width", recipe.width as f64, 1.0..=256.0)?;
        in_range("discriminator halvings", recipe.halvings as f64, 1.0..=6.0)?;
        in_range("domains", recipe.domains as f64, 2.0..=64.0)?;
        let dim = recipe.dim;
        let mut layers = Vec::new();
        let mut channels = recipe.channels_in;
        for layer in 0..recipe.halvings {
            let shape = strided(dim, [channels, recipe.width << layer], 2, deviation(Norm::None, dim, channels, 4));
            layers.push(Conv::new(parameters, &format!("layer{layer}"), shape)?);
            channels = recipe.width << layer;
        }
        let head = |channels_out| ConvShape { edge: Edge::Zero, ..ConvShape::same(dim, [channels, channels_out], 3) };
        let scores = Conv::new(parameters, "scores", head(1))?;
        let domains = Conv::new(parameters, "domains", head(recipe.domains))?;
        Ok(Self { layers, scores, domains })
    }
}

impl DomainGan {
    /// Scores `[batch, 1, ...]`, high for real patches, and the logits of the domains `[batch, domains]`.
    ///
    /// # Errors
    /// [`Error::Torch`] when the image is smaller than 2 to the halvings or has other channels.
    pub fn forward(&self, image: &Tensor) -> Result<(Tensor, Tensor), Error> {
        let mut x = image.shallow_clone();
        for layer in &self.layers {
            x = leaky_relu(&layer.forward(&x)?, 0.01)?;
        }
        let votes = self.domains.forward(&x)?.f_flatten(2, -1)?;
        let logits = votes.f_mean_dim(Some([2_i64].as_slice()), false, tch::Kind::Float)?;
        Ok((self.scores.forward(&x)?, logits))
    }
}

fn strided(dim: Dim, channels: [i64; 2], stride: i64, deviation: f64) -> ConvShape {
    ConvShape { dim, channels, kernel: 4, stride, padding: 1, edge: Edge::Zero, deviation }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;
    use crate::{Net, probe};

    #[test]
    fn scores_form_a_map_and_see_34_voxels() {
        let recipe = DiscriminatorRecipe { width: 4, ..DiscriminatorRecipe::default() };
        let discriminator = Net::<PatchGan>::new(&recipe, 1, 0).unwrap();
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
    fn a_volume_beside_its_condition_gets_a_volume_of_scores() {
        let recipe =
            DiscriminatorRecipe { dim: Dim::Three, channels_in: 2, width: 2, halvings: 1, norm: Norm::Instance };
        let discriminator = Net::<PatchGan>::new(&recipe, 1, 0).unwrap();
        assert_eq!(discriminator.forward(&probe::noise(&[1, 2, 8, 12, 16], 1)).unwrap().size(), [1, 1, 2, 4, 6]);
    }

    #[test]
    fn domains_get_one_vote_per_image_of_any_size() {
        for (dim, shape, scores) in
            [(Dim::Two, vec![3, 1, 16, 24], vec![3, 1, 4, 6]), (Dim::Three, vec![1, 1, 4, 8, 8], vec![1, 1, 1, 2, 2])]
        {
            let recipe = DomainGanRecipe { dim, channels_in: 1, width: 2, halvings: 2, domains: 5 };
            let discriminator = Net::<DomainGan>::new(&recipe, 1, 0).unwrap();
            let (map, logits) = discriminator.forward(&probe::noise(&shape, 1)).unwrap();
            assert_eq!((map.size(), logits.size()), (scores, vec![shape[0], 5]));
        }
    }

    #[test]
    fn impossible_recipes_are_errors() {
        for (width, halvings, expected) in [(0, 2, "discriminator width"), (8, 5, "discriminator halvings")] {
            let recipe = DiscriminatorRecipe { width, halvings, ..DiscriminatorRecipe::default() };
            let refused = Net::<PatchGan>::new(&recipe, 1, 0);
            assert!(matches!(refused, Err(Error::Recipe { field, .. }) if field == expected));
        }
        let one_domain = DomainGanRecipe { dim: Dim::Two, channels_in: 1, width: 2, halvings: 2, domains: 1 };
        let refused = Net::<DomainGan>::new(&one_domain, 1, 0);
        assert!(matches!(refused, Err(Error::Recipe { field: "domains", .. })));
    }
}
