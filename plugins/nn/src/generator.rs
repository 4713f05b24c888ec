use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Activation, Architecture, ConvBlock, ConvShape, Dim, Edge, Error, Norm, Parameters, ResidualBlock, ResidualShape,
    conv::{Conv, deviation},
    enlarged, in_range,
};

/// The numbers that define a [`Generator`].
///
/// Published (Zhu et al. 2017): width 64, kernel 7, halvings 2, 9 blocks, instance norm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorRecipe {
    /// Axes of the images.
    #[serde(default)]
    pub dim: Dim,
    /// Channels of the input, 1 to 64.
    #[serde(default = "one")]
    pub channels_in: i64,
    /// Channels of the output, 1 to 64.
    #[serde(default = "one")]
    pub channels_out: i64,
    /// Channels after the stem; doubled by every halving. 1 to 256.
    pub width: i64,
    /// Side of the stem's and the head's kernel: 1, 3, 5 or 7.
    pub kernel: i64,
    /// Times the grid is halved before the residual blocks, and doubled after them. 0 to 3.
    pub halvings: i64,
    /// Residual blocks of two 3x3 convolutions. 0 to 32.
    pub blocks: i64,
    /// Normalisation after each convolution but the last.
    pub norm: Norm,
}

impl Default for GeneratorRecipe {
    /// Small enough for two cores: width 16, kernel 3, no halvings, 4 blocks, no norm, one channel in and out, slices.
    fn default() -> Self {
        Self {
            dim: Dim::Two,
            channels_in: 1,
            channels_out: 1,
            width: 16,
            kernel: 3,
            halvings: 0,
            blocks: 4,
            norm: Norm::None,
        }
    }
}

impl GeneratorRecipe {
    /// Grid extents must be multiples of this: 2 to the number of halvings.
    pub fn multiple(&self) -> usize {
        1 << self.halvings.clamp(0, 3)
    }

    /// Receptive field radius in voxels, rounded up to [`GeneratorRecipe::multiple`]: how far from a voxel the input
    /// can change its output.
    ///
    /// Stem and head reach half their kernel. At halving level l a voxel stands for 2^l: the 3x3 stride 2 reaches 2^l at the level
    /// it starts from, each block 2 * 2^h at the deepest level h, and each doubling reaches at most 2 * 2^l by linear
    /// resizing and 2^l by its 3x3. With a norm the true radius is the whole extent; this counts the
    /// convolutions alone.
    pub fn halo(&self) -> usize {
        let (halvings, blocks) = (self.halvings.clamp(0, 3) as u32, self.blocks.max(0) as usize);
        let down: usize = (0..halvings).map(|level| 1 << level).sum();
        let up = 3 * down;
        let edge = self.kernel.max(0) as usize / 2;
        let radius = 2 * edge + down + blocks * (2 << halvings) + up;
        radius.next_multiple_of(self.multiple())
    }

    fn check(&self) -> Result<(), Error> {
        in_range("channels_in", self.channels_in as f64, 1.0..=64.0)?;
        in_range("channels_out", self.channels_out as f64, 1.0..=64.0)?;
        in_range("width", self.width as f64, 1.0..=256.0)?;
        in_range("halvings", self.halvings as f64, 0.0..=3.0)?;
        in_range("blocks", self.blocks as f64, 0.0..=32.0)?;
        if ![1, 3, 5, 7].contains(&self.kernel) {
            let expected = "1, 3, 5, 7".to_owned();
            return Err(Error::Recipe { field: "kernel", expected, found: self.kernel as f64 });
        }
        Ok(())
    }
}

fn one() -> i64 {
    1
}

/// ResNet generator with a residual head: `output = input + network(input)`.
///
/// Stem, 3x3 stride 2 per halving, residual blocks, resize and 3x3 per doubling (no transposed convolution, the
/// cause of checkerboards), head; reflection padding; no final squashing, so that the image's scale is kept.
#[derive(Debug)]
pub struct Generator {
    recipe: GeneratorRecipe,
    stem: ConvBlock,
    down: Vec<ConvBlock>,
    blocks: Vec<ResidualBlock>,
    up: Vec<ConvBlock>,
    head: Conv,
}

impl Architecture for Generator {
    type Recipe = GeneratorRecipe;

    fn build(p: &mut Parameters, recipe: &GeneratorRecipe) -> Result<Self, Error> {
        recipe.check()?;
        let GeneratorRecipe { dim, channels_in, channels_out, width, kernel, halvings, norm, .. } = *recipe;
        let same = |channels: [i64; 2], kernel: i64| ConvShape {
            edge: Edge::Reflect,
            deviation: deviation(norm, dim, channels[0], kernel),
            ..ConvShape::same(dim, channels, kernel)
        };
        let relu = Activation::Relu;
        let stem = ConvBlock::new(p, "stem", same([channels_in, width], kernel), norm, relu)?;
        let mut channels = width;
        let mut down = Vec::new();
        for level in 0..halvings {
            let shape = ConvShape { stride: 2, ..same([channels, 2 * channels], 3) };
            down.push(ConvBlock::new(p, &format!("down{level}"), shape, norm, relu)?);
            channels *= 2;
        }
        let shape = ResidualShape {
            edge: Edge::Reflect,
            activation: relu,
            ..ResidualShape::plain(dim, [channels, channels], norm)
        };
        let blocks = (0..recipe.blocks).map(|block| ResidualBlock::new(p, &format!("block{block}"), shape));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let mut up = Vec::new();
        for level in (0..halvings).rev() {
            up.push(ConvBlock::new(p, &format!("up{level}"), same([channels, channels / 2], 3), norm, relu)?);
            channels /= 2;
        }
        let shape = same([channels, channels_out], kernel);
        let head = Conv::new(p, "head", ConvShape { deviation: 0.1 * shape.deviation, ..shape })?;
        Ok(Self { recipe: recipe.clone(), stem, down, blocks, up, head })
    }
}

impl Generator {
    /// The numbers it was built from.
    pub fn recipe(&self) -> &GeneratorRecipe {
        &self.recipe
    }

    /// Translates an image: itself plus its [`Generator::residual`].
    ///
    /// # Errors
    /// As [`Generator::residual`]; [`Error::ImageShape`] when input and output differ in channels.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        with_residual(image, &self.residual(image)?)
    }

    /// What the network makes of `[batch, channel, (z,) y, x]`, to be added or to be the output; in the image's scale.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the shape is not that, or an extent is no multiple of [`GeneratorRecipe::multiple`];
    /// [`Error::Torch`] when an extent is too small to be reflected: it must exceed half the kernel, and be 2
    /// on the coarsest grid.
    pub fn residual(&self, image: &Tensor) -> Result<Tensor, Error> {
        let GeneratorRecipe { dim, channels_in, .. } = self.recipe;
        dim.check(image, channels_in, &dim.each(self.recipe.multiple() as i64))?;
        let mut x = self.stem.forward(image)?;
        for conv in &self.down {
            x = conv.forward(&x)?;
        }
        for block in &self.blocks {
            x = block.forward(&x, None)?;
        }
        for conv in &self.up {
            x = conv.forward(&enlarged(&x, &dim.each(2))?)?;
        }
        self.head.forward(&x)
    }
}

/// `image + residual`, for networks that must not stretch one onto the other.
pub(crate) fn with_residual(image: &Tensor, residual: &Tensor) -> Result<Tensor, Error> {
    if image.size() != residual.size() {
        let expected = format!("{:?} to add the network's result to it", residual.size());
        return Err(Error::ImageShape { expected, found: image.size() });
    }
    Ok(image.f_add(residual)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;
    use crate::{Net, probe};

    fn recipe(width: i64, halvings: i64, blocks: i64, norm: Norm) -> GeneratorRecipe {
        GeneratorRecipe { width, kernel: 7, halvings, blocks, norm, ..GeneratorRecipe::default() }
    }

    fn noise(y: i64, x: i64) -> Tensor {
        probe::noise(&[1, 1, y, x], 5)
    }

    #[test]
    fn halo_by_hand() {
        for (kernel, halvings, blocks, expected) in [
            (7, 0, 0, 3 + 3),
            (3, 0, 4, 1 + 8 + 1),
            (7, 1, 0, 3 + 1 + 3 + 3),
            (7, 2, 9, 92), // 3 + 3 + 9 * 8 + 9 + 3 = 90, up to the next multiple of 4
        ] {
            let recipe = GeneratorRecipe { kernel, ..recipe(8, halvings, blocks, Norm::None) };
            assert_eq!(recipe.halo(), expected, "{recipe:?}");
        }
    }

    #[test]
    fn patch_agrees_with_whole_image_inside_its_halo() {
        for recipe in [recipe(6, 0, 3, Norm::None), recipe(4, 1, 2, Norm::None), recipe(4, 2, 1, Norm::None)] {
            let generator = probe::strong::<Generator>(&recipe);
            let halo = recipe.halo() as i64;
            let (first, core) = (8_i64, 8_i64);
            let extent = first + core + 2 * halo + 8;
            let image = noise(extent, extent);
            let whole = no_grad(|| generator.forward(&image)).unwrap();
            let patch = image.narrow(2, first, core + 2 * halo).narrow(3, first, core + 2 * halo);
            let part = no_grad(|| generator.forward(&patch)).unwrap();
            let inside = |t: &Tensor, from| t.narrow(2, from, core).narrow(3, from, core);
            let difference = (inside(&whole, first + halo) - inside(&part, halo)).abs().max().double_value(&[]);
            let change = (inside(&whole, first + halo) - inside(&image, first + halo)).abs().max().double_value(&[]);
            assert!(difference <= 1e-5 * change && change > 0.1, "{recipe:?}: {difference} of {change}");
        }
    }

    #[test]
    fn nothing_outside_the_halo_reaches_a_voxel_and_something_just_inside_does() {
        let volumes = GeneratorRecipe { dim: Dim::Three, kernel: 3, ..recipe(3, 1, 0, Norm::None) };
        for (recipe, slack) in [(recipe(4, 0, 1, Norm::None), 0), (recipe(4, 1, 1, Norm::None), 1), (volumes, 1)] {
            let generator = probe::strong::<Generator>(&recipe);
            let farthest = probe::farthest(recipe.dim, recipe.halo() as i64, 2, |image| generator.residual(image));
            let halo = recipe.halo() as i64;
            assert!((halo - slack..=halo).contains(&farthest), "{recipe:?}: {farthest} of {halo}");
        }
    }

    #[test]
    fn several_channels_go_in_and_others_come_out() {
        let recipe = GeneratorRecipe { channels_in: 3, channels_out: 2, ..recipe(2, 1, 1, Norm::Group) };
        let generator = Net::<Generator>::new(&recipe, 1, 0).unwrap();
        let image = probe::noise(&[2, 3, 8, 8], 1);
        assert_eq!(generator.residual(&image).unwrap().size(), [2, 2, 8, 8]);
        assert!(matches!(generator.forward(&image), Err(Error::ImageShape { .. })));
    }

    #[test]
    fn zero_weights_return_the_input_bit_for_bit() {
        let generator = Net::<Generator>::new(&recipe(4, 1, 1, Norm::Instance), 1, 0).unwrap();
        no_grad(|| generator.parameters().tensors().iter_mut().for_each(|w| drop(w.zero_())));
        let image = noise(16, 12);
        assert!(no_grad(|| generator.forward(&image)).unwrap().equal(&image));
    }

    #[test]
    fn impossible_recipes_and_images_are_errors() {
        let refused = Net::<Generator>::new(&recipe(0, 0, 1, Norm::None), 1, 0);
        assert!(matches!(refused, Err(Error::Recipe { field: "width", .. })));
        let even = GeneratorRecipe { kernel: 4, ..recipe(2, 0, 0, Norm::None) };
        let refused = Net::<Generator>::new(&even, 1, 0).map_err(|e| e.to_string());
        assert_eq!(refused.unwrap_err(), "recipe: kernel must be in 1, 3, 5, 7, found 4");
        let generator = Net::<Generator>::new(&recipe(2, 2, 0, Norm::None), 1, 0).unwrap();
        let image = Tensor::zeros([1, 1, 10, 12], (Kind::Float, Device::Cpu));
        let refused = generator.forward(&image).map_err(|e| e.to_string());
        assert_eq!(
            refused.unwrap_err(),
            "image must be [batch, 1, y, x] with y and x multiples of 4, found [1, 1, 10, 12]"
        );
        let small = Tensor::zeros([1, 1, 0, 0], (Kind::Float, Device::Cpu));
        assert!(matches!(generator.forward(&small), Err(Error::Torch(_))));
    }
}
