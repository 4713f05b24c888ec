use isoscan_learned::Failure;
use isoscan_nn::{
    Activation, Architecture, Error, Generator, GeneratorRecipe, Norm, Parameters, UNet, UNetRecipe, in_range,
};
use isoscan_sdk::PluginError;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Dimensions;

/// The network between the slices of MR and of CT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    /// A U-Net of residual blocks.
    UNet,
    /// A ResNet: halvings, residual blocks, doublings; no skips.
    ResNet,
}

/// The numbers that define a [`Synthesis`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthesisRecipe {
    /// What it sees at once.
    pub dimensions: Dimensions,
    /// Slices to each side that a stack holds, 1 to 4; other dimensions ignore it.
    pub neighbours: i64,
    /// What it is built of.
    pub backbone: Backbone,
    /// Channels on the full grid, doubled by each halving. 1 to 128.
    pub width: i64,
    /// Times the grid is halved, 1 to 3.
    pub halvings: i64,
    /// Residual blocks: of a U-Net per level and side, 1 to 4; of a ResNet in all, up to 16.
    pub blocks: i64,
}

/// Channels that the network gives: HU in its scale, and the logit of tissue.
const CHANNELS_OUT: i64 = 2;

impl SynthesisRecipe {
    /// Grid extents must be multiples of this: 2 to the number of halvings.
    pub fn multiple(&self) -> usize {
        1 << self.halvings.clamp(1, 3)
    }

    /// Receptive field radius in voxels, rounded up to [`SynthesisRecipe::multiple`].
    pub fn halo(&self) -> usize {
        match self.backbone {
            Backbone::UNet => self.unet().halo(),
            Backbone::ResNet => self.resnet().halo(),
        }
    }

    fn channels_in(&self) -> i64 {
        1 + 2 * self.dimensions.reach(self.neighbours)
    }

    fn unet(&self) -> UNetRecipe {
        UNetRecipe {
            dim: self.dimensions.dim(),
            channels_in: self.channels_in(),
            channels_out: CHANNELS_OUT,
            features: (0..=self.halvings.clamp(1, 3)).map(|level| self.width << level).collect(),
            blocks: self.blocks,
            activation: Activation::Leaky,
            residual: None,
            ..UNetRecipe::default()
        }
    }

    fn resnet(&self) -> GeneratorRecipe {
        GeneratorRecipe {
            dim: self.dimensions.dim(),
            channels_in: self.channels_in(),
            channels_out: CHANNELS_OUT,
            width: self.width,
            kernel: 3,
            halvings: self.halvings,
            blocks: self.blocks,
            norm: Norm::None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        in_range("neighbours", self.neighbours as f64, 1.0..=4.0)?;
        in_range("width", self.width as f64, 1.0..=128.0)?;
        in_range("halvings", self.halvings as f64, 1.0..=3.0)?;
        in_range("blocks", self.blocks as f64, 1.0..=16.0)
    }
}

/// The generator: HU and tissue of MR.
#[derive(Debug)]
pub struct Synthesis {
    recipe: SynthesisRecipe,
    layers: Layers,
}

#[derive(Debug)]
enum Layers {
    UNet(UNet),
    ResNet(Generator),
}

impl Architecture for Synthesis {
    type Recipe = SynthesisRecipe;

    fn build(p: &mut Parameters, recipe: &SynthesisRecipe) -> Result<Self, Error> {
        recipe.check()?;
        let layers = match recipe.backbone {
            Backbone::UNet => Layers::UNet(UNet::build(p, &recipe.unet())?),
            Backbone::ResNet => Layers::ResNet(Generator::build(p, &recipe.resnet())?),
        };
        Ok(Self { recipe: recipe.clone(), layers })
    }
}

impl Synthesis {
    /// `[batch, 2, z, y, x]` of normalised MR `[batch, 1, z, y, x]`: HU in the scale of training, and the logit of the
    /// probability that the voxel is tissue.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when an extent is no multiple of [`SynthesisRecipe::multiple`]; z only of volumes.
    pub fn forward(&self, volume: &Tensor) -> Result<Tensor, Error> {
        let SynthesisRecipe { dimensions, neighbours, .. } = self.recipe;
        let z = volume.size().get(2).copied().unwrap_or(0);
        let made = self.layers(&dimensions.arranged(volume, neighbours)?)?;
        dimensions.volume(&made, z)
    }

    /// As [`Synthesis::forward`], slice by slice where slices do not depend on each other, so that memory does not grow
    /// with their number; `progress` hears before each slice which share is done.
    ///
    /// # Errors
    /// As [`Synthesis::forward`], and as `progress`.
    pub fn by_slices(
        &self,
        volume: &Tensor,
        progress: &dyn Fn(f32) -> Result<(), PluginError>,
    ) -> Result<Tensor, Failure> {
        let SynthesisRecipe { dimensions, neighbours, .. } = self.recipe;
        if dimensions == Dimensions::Volumes {
            return Ok(self.forward(volume)?);
        }
        let arranged = dimensions.arranged(volume, neighbours)?;
        let count = arranged.size()[0];
        let made = (0..count).map(|slice| {
            progress(slice as f32 / count as f32)?;
            Ok(self.layers(&arranged.f_narrow(0, slice, 1)?)?)
        });
        let made = Tensor::f_cat(&made.collect::<Result<Vec<_>, Failure>>()?, 0)?;
        Ok(dimensions.volume(&made, volume.size()[2])?)
    }

    fn layers(&self, image: &Tensor) -> Result<Tensor, Error> {
        match &self.layers {
            Layers::UNet(unet) => unet.forward(image, None),
            Layers::ResNet(resnet) => resnet.residual(image),
        }
    }
}

#[cfg(test)]
mod tests {
    use isoscan_nn::{Net, Random, image};
    use tch::no_grad;

    use super::*;

    fn recipe(dimensions: Dimensions, backbone: Backbone) -> SynthesisRecipe {
        SynthesisRecipe { dimensions, neighbours: 1, backbone, width: 2, halvings: 1, blocks: 1 }
    }

    fn noise(shape: [usize; 5]) -> Tensor {
        let random = Random::new(1, &[]);
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| random.normal(i as u64) as f32).collect();
        image(&values, &shape).unwrap()
    }

    /// How far along z the change of one slice reaches.
    fn reach(dimensions: Dimensions) -> i64 {
        let net = Net::<Synthesis>::new(&recipe(dimensions, Backbone::UNet), 1, 0).unwrap();
        let volume = noise([1, 1, 32, 8, 8]);
        let changed = volume.copy();
        let _ = changed.narrow(2, 16, 1).g_add_scalar_(1.0);
        let [a, b] = [&volume, &changed].map(|v| no_grad(|| net.forward(v)).unwrap());
        let differs = |z: i64| !a.narrow(2, z, 1).equal(&b.narrow(2, z, 1));
        (0..32).filter(|&z| differs(z)).map(|z| (z - 16).abs()).max().unwrap()
    }

    #[test]
    fn slices_stand_alone_stacks_see_their_neighbours_and_volumes_their_field() {
        assert_eq!((reach(Dimensions::Slices), reach(Dimensions::Stacks)), (0, 1));
        let halo = recipe(Dimensions::Volumes, Backbone::UNet).halo() as i64;
        let found = reach(Dimensions::Volumes);
        assert!((halo - 4..=halo).contains(&found), "{found} of {halo}");
    }

    #[test]
    fn every_dimension_and_backbone_keeps_the_grid_and_gives_the_same_slice_by_slice() {
        for dimensions in [Dimensions::Slices, Dimensions::Stacks, Dimensions::Volumes] {
            for backbone in [Backbone::UNet, Backbone::ResNet] {
                let net = Net::<Synthesis>::new(&recipe(dimensions, backbone), 1, 0).unwrap();
                let volume = noise([1, 1, 4, 8, 12]);
                let (whole, sliced) =
                    no_grad(|| (net.forward(&volume).unwrap(), net.by_slices(&volume, &|_| Ok(())).unwrap()));
                assert_eq!(whole.size(), [1, 2, 4, 8, 12]);
                assert!((whole - sliced).abs().max().double_value(&[]) < 1e-5, "{dimensions:?} {backbone:?}");
            }
        }
    }

    #[test]
    fn impossible_recipes_are_refused() {
        let refused = SynthesisRecipe { neighbours: 0, ..recipe(Dimensions::Stacks, Backbone::UNet) };
        let refused = Net::<Synthesis>::new(&refused, 1, 0).map(|_| ()).unwrap_err();
        assert_eq!(refused.to_string(), "recipe: neighbours must be in 1..=4, found 0");
    }
}
