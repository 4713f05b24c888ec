use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Activation, Architecture, Conv, ConvShape, Dim, Error, Norm, Parameters, ResidualBlock, ResidualShape, enlarged,
    generator::with_residual, in_range, polyphase_merge,
};

/// The numbers that define an [`Edsr`].
///
/// Published (Lim et al. 2017): width 64, 16 blocks, or 256 and 32.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdsrRecipe {
    /// Axes of the images.
    pub dim: Dim,
    /// Channels of the image, in and out. 1 to 64.
    pub channels: i64,
    /// Channels inside, 1 to 512.
    pub width: i64,
    /// Residual blocks of two 3x3 convolutions, 0 to 64.
    pub blocks: i64,
    /// How many times finer the output is along z, y, x, 1 to 8 each; slices leave z aside. All 1 refines the same grid.
    pub factors: [i64; 3],
}

impl Default for EdsrRecipe {
    /// Small enough for two cores: width 16, 4 blocks, slices twice as fine.
    fn default() -> Self {
        Self { dim: Dim::Two, channels: 1, width: 16, blocks: 4, factors: [1, 2, 2] }
    }
}

impl EdsrRecipe {
    /// The factors of the image's axes.
    pub fn spatial_factors(&self) -> &[i64] {
        &self.factors[3 - self.dim.axes()..]
    }

    /// Receptive field radius in voxels of the input: stem, the trunk's end and head 1 each, each block 2.
    ///
    /// The head works on the finer grid, where 1 voxel reaches at most 1 of the input.
    pub fn halo(&self) -> usize {
        3 + 2 * self.blocks.max(0) as usize
    }

    fn check(&self) -> Result<(), Error> {
        in_range("channels", self.channels as f64, 1.0..=64.0)?;
        in_range("width", self.width as f64, 1.0..=512.0)?;
        in_range("blocks", self.blocks as f64, 0.0..=64.0)?;
        self.factors.iter().try_for_each(|&factor| in_range("factors", factor as f64, 1.0..=8.0))
    }
}

/// EDSR: residual blocks without norm on the coarse grid, pixel shuffling to the fine one, added to linear interpolation.
///
/// Each block adds 0.1 of what it computes, as published, so that wide ones train. Edges repeat the last voxel.
#[derive(Debug)]
pub struct Edsr {
    recipe: EdsrRecipe,
    stem: Conv,
    blocks: Vec<ResidualBlock>,
    trunk: Conv,
    spread: Conv,
    head: Conv,
}

impl Architecture for Edsr {
    type Recipe = EdsrRecipe;

    fn build(p: &mut Parameters, recipe: &EdsrRecipe) -> Result<Self, Error> {
        recipe.check()?;
        let EdsrRecipe { dim, channels, width, .. } = *recipe;
        let same = |channels| ConvShape::same(dim, channels, 3);
        let stem = Conv::new(p, "stem", same([channels, width]))?;
        let shape = ResidualShape {
            activation: Activation::Relu,
            share: 0.1,
            ..ResidualShape::plain(dim, [width, width], Norm::None)
        };
        let blocks = (0..recipe.blocks).map(|block| ResidualBlock::new(p, &format!("block{block}"), shape));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let trunk = Conv::new(p, "trunk", same([width, width]))?;
        let phases: i64 = recipe.spatial_factors().iter().product();
        let spread = Conv::new(p, "spread", ConvShape::same(dim, [width, width * phases], 1))?;
        let shape = same([width, channels]);
        let head = Conv::new(p, "head", ConvShape { deviation: 0.1 * shape.deviation, ..shape })?;
        Ok(Self { recipe: recipe.clone(), stem, blocks, trunk, spread, head })
    }
}

impl Edsr {
    /// The numbers it was built from.
    pub fn recipe(&self) -> &EdsrRecipe {
        &self.recipe
    }

    /// `[batch, channels, (z,) y, x]` on the finer grid, whose voxels divide those of the input.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the shape is not that.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        let (EdsrRecipe { dim, channels, .. }, factors) = (&self.recipe, self.recipe.spatial_factors());
        dim.check(image, *channels, &dim.each(1))?;
        let stem = self.stem.forward(image)?;
        let mut x = stem.shallow_clone();
        for block in &self.blocks {
            x = block.forward(&x, None)?;
        }
        let x = self.trunk.forward(&x)?.f_add(&stem)?;
        let fine = polyphase_merge(&self.spread.forward(&x)?, factors)?;
        with_residual(&enlarged(image, factors)?, &self.head.forward(&fine)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::no_grad;

    use super::*;
    use crate::{Net, probe};

    #[test]
    fn the_output_is_finer_by_its_factors_and_starts_near_interpolation() {
        for (dim, factors, shape, expected) in [
            (Dim::Two, [9, 3, 2], vec![2, 1, 5, 6], vec![2, 1, 15, 12]),
            (Dim::Three, [4, 1, 2], vec![1, 1, 2, 5, 6], vec![1, 1, 8, 5, 12]),
        ] {
            let recipe = EdsrRecipe { dim, width: 4, blocks: 1, factors: factors.map(|f| f.min(8)), channels: 1 };
            let edsr = Net::<Edsr>::new(&recipe, 1, 0).unwrap();
            let image = probe::noise(&shape, 1);
            assert_eq!(edsr.forward(&image).unwrap().size(), expected);
            no_grad(|| edsr.parameters().tensors().iter_mut().for_each(|w| drop(w.zero_())));
            let plain = enlarged(&image, recipe.spatial_factors()).unwrap();
            assert!(no_grad(|| edsr.forward(&image)).unwrap().equal(&plain));
        }
    }

    #[test]
    fn nothing_outside_the_halo_reaches_a_voxel_and_something_at_its_rim_does() {
        let same_grid = EdsrRecipe { width: 3, blocks: 2, factors: [1, 1, 1], ..EdsrRecipe::default() };
        for recipe in [same_grid.clone(), EdsrRecipe { dim: Dim::Three, blocks: 1, ..same_grid }] {
            let edsr = probe::strong::<Edsr>(&recipe);
            let farthest = probe::farthest(recipe.dim, recipe.halo() as i64, 1, |image| edsr.forward(image));
            assert_eq!(farthest, recipe.halo() as i64, "{recipe:?}");
        }
    }

    #[test]
    fn a_patch_agrees_with_the_whole_inside_its_halo_on_the_finer_grid() {
        let recipe = EdsrRecipe { width: 3, blocks: 1, factors: [3, 1, 2], dim: Dim::Three, channels: 1 };
        let edsr = probe::strong::<Edsr>(&recipe);
        let halo = recipe.halo() as i64;
        let volume = probe::noise(&[1, 1, 2 * halo + 4, 3, 3], 1);
        let whole = no_grad(|| edsr.forward(&volume)).unwrap().narrow(2, 3 * (halo + 1), 3);
        let part = no_grad(|| edsr.forward(&volume.narrow(2, 1, 2 * halo + 1))).unwrap().narrow(2, 3 * halo, 3);
        assert!((whole - part).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn impossible_recipes_and_images_are_errors() {
        let refused = Net::<Edsr>::new(&EdsrRecipe { factors: [1, 0, 2], ..EdsrRecipe::default() }, 1, 0);
        assert!(matches!(refused, Err(Error::Recipe { field: "factors", .. })));
        let edsr = Net::<Edsr>::new(&EdsrRecipe { width: 2, blocks: 0, ..EdsrRecipe::default() }, 1, 0).unwrap();
        assert!(matches!(edsr.forward(&probe::noise(&[1, 2, 4, 4], 1)), Err(Error::ImageShape { .. })));
    }
}
