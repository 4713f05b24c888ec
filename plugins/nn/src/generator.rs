use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Error, Parameters,
    conv::{Conv, ConvShape, Padding, deviation, instance_norm},
};

/// Normalisation inside a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// None: the output at a voxel depends on its receptive field alone, so patches and whole slices agree.
    None,
    /// Instance normalisation, the published networks: statistics of the whole extent enter every voxel.
    Instance,
}

/// The numbers that define a [`Generator`].
///
/// Published (Zhu et al. 2017): width 64, kernel 7, halvings 2, 9 blocks, instance norm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorRecipe {
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
    /// resizing and 2^l by its 3x3. With [`Norm::Instance`] the true radius is the whole extent; this counts the
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
        let ranges = [
            ("width", self.width, 1..=256, "1..=256"),
            ("kernel", self.kernel, 1..=7, "1, 3, 5, 7"),
            ("halvings", self.halvings, 0..=3, "0..=3"),
            ("blocks", self.blocks, 0..=32, "0..=32"),
        ];
        for (field, found, range, expected) in ranges {
            if !range.contains(&found) || (field == "kernel" && found % 2 == 0) {
                return Err(Error::Recipe { field, expected, found: found as f64 });
            }
        }
        Ok(())
    }
}

/// ResNet generator with a residual head: `output = input + network(input)`.
///
/// Stem, 3x3 stride 2 per halving, residual blocks, resize and 3x3 per doubling (no transposed convolution, the
/// cause of checkerboards), head; reflection padding; no final squashing, so that the image's scale is kept.
#[derive(Debug)]
pub struct Generator {
    recipe: GeneratorRecipe,
    parameters: Parameters,
    stem: Conv,
    down: Vec<Conv>,
    blocks: Vec<[Conv; 2]>,
    up: Vec<Conv>,
    head: Conv,
}

impl Generator {
    /// Builds the network with random weights that depend on `seed` and `network` (which of several) alone.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number is out of its range.
    pub fn new(recipe: &GeneratorRecipe, seed: u64, network: u64) -> Result<Self, Error> {
        recipe.check()?;
        let mut parameters = Parameters::new(seed, network);
        let p = &mut parameters;
        let (width, norm) = (recipe.width, recipe.norm);
        let stem = Conv::new(p, "stem", same(norm, 1, width, recipe.kernel))?;
        let mut channels = width;
        let mut down = Vec::new();
        for level in 0..recipe.halvings {
            let shape = ConvShape { stride: 2, ..same(norm, channels, 2 * channels, 3) };
            down.push(Conv::new(p, &format!("down{level}"), shape)?);
            channels *= 2;
        }
        let mut blocks = Vec::new();
        for block in 0..recipe.blocks {
            let first = Conv::new(p, &format!("block{block}.first"), same(norm, channels, channels, 3))?;
            let second = Conv::new(p, &format!("block{block}.second"), same(norm, channels, channels, 3))?;
            blocks.push([first, second]);
        }
        let mut up = Vec::new();
        for level in (0..recipe.halvings).rev() {
            up.push(Conv::new(p, &format!("up{level}"), same(norm, channels, channels / 2, 3))?);
            channels /= 2;
        }
        let shape = same(norm, channels, 1, recipe.kernel);
        let head = Conv::new(p, "head", ConvShape { deviation: 0.1 * shape.deviation, ..shape })?;
        Ok(Self { recipe: recipe.clone(), parameters, stem, down, blocks, up, head })
    }

    /// The numbers it was built from.
    pub fn recipe(&self) -> &GeneratorRecipe {
        &self.recipe
    }

    /// Its weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Its weights, to load or average into.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Translates `[batch, 1, y, x]`: the image plus its [`Generator::residual`].
    ///
    /// # Errors
    /// As [`Generator::residual`].
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        Ok(image.f_add(&self.residual(image)?)?)
    }

    /// What a translation adds to `[batch, 1, y, x]`; same shape, same scale.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the shape is not that, or an extent is no multiple of [`GeneratorRecipe::multiple`];
    /// [`Error::Torch`] when an extent is too small to be reflected: it must exceed half the kernel, and be 2
    /// on the coarsest grid.
    pub fn residual(&self, image: &Tensor) -> Result<Tensor, Error> {
        self.check(image)?;
        let mut x = self.activated(&self.stem, image)?;
        for conv in &self.down {
            x = self.activated(conv, &x)?;
        }
        for [first, second] in &self.blocks {
            let inner = self.activated(first, &x)?;
            x = x.f_add(&self.normed(second, &inner)?)?;
        }
        for conv in &self.up {
            x = self.activated(conv, &doubled(&x)?)?;
        }
        self.head.forward(&x)
    }

    fn check(&self, image: &Tensor) -> Result<(), Error> {
        let (shape, multiple) = (image.size(), self.recipe.multiple() as i64);
        if let [_, 1, y, x] = shape[..]
            && y % multiple == 0
            && x % multiple == 0
        {
            return Ok(());
        }
        let expected = format!("[batch, 1, y, x] with y and x multiples of {multiple}");
        Err(Error::ImageShape { expected, found: shape })
    }

    fn normed(&self, conv: &Conv, image: &Tensor) -> Result<Tensor, Error> {
        let x = conv.forward(image)?;
        match self.recipe.norm {
            Norm::None => Ok(x),
            Norm::Instance => instance_norm(&x),
        }
    }

    fn activated(&self, conv: &Conv, image: &Tensor) -> Result<Tensor, Error> {
        Ok(self.normed(conv, image)?.f_relu()?)
    }
}

fn same(norm: Norm, channels_in: i64, channels_out: i64, kernel: i64) -> ConvShape {
    let (padding, deviation) = (Padding::Reflect(kernel / 2), deviation(norm, channels_in, kernel));
    ConvShape { channels_in, channels_out, kernel, stride: 1, padding, deviation }
}

fn doubled(image: &Tensor) -> Result<Tensor, Error> {
    let size = image.size();
    let [.., y, x] = size[..] else { return Ok(image.shallow_clone()) };
    Ok(image.f_upsample_bilinear2d([2 * y, 2 * x], false, None, None)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;
    use crate::Random;

    fn recipe(width: i64, halvings: i64, blocks: i64, norm: Norm) -> GeneratorRecipe {
        GeneratorRecipe { width, kernel: 7, halvings, blocks, norm }
    }

    fn noise(y: i64, x: i64) -> Tensor {
        let random = Random::new(5, &[]);
        let values: Vec<f32> = (0..y * x).map(|i| random.normal(i as u64) as f32).collect();
        Tensor::from_slice(&values).view([1, 1, y, x])
    }

    /// Weights large enough for every path to show.
    fn strong(recipe: &GeneratorRecipe) -> Generator {
        let generator = Generator::new(recipe, 3, 0).unwrap();
        no_grad(|| generator.parameters.tensors().iter_mut().for_each(|w| drop(w.g_mul_scalar_(8.0))));
        generator
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
            let generator = strong(&recipe);
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
    fn nothing_outside_the_halo_reaches_a_voxel_and_something_inside_does() {
        let recipe = recipe(4, 0, 1, Norm::None);
        let (generator, halo) = (strong(&recipe), recipe.halo() as i64);
        let base = noise(40, 40);
        let centre = |image: &Tensor| no_grad(|| generator.forward(image)).unwrap().double_value(&[0, 0, 20, 20]);
        let poked = |distance: i64| {
            let image = base.copy();
            let _ = image.narrow(3, 20 + distance, 1).fill_(50.0);
            centre(&image)
        };
        assert_eq!(poked(halo + 1), centre(&base));
        assert_ne!(poked(halo), centre(&base));
    }

    #[test]
    fn zero_weights_return_the_input_bit_for_bit() {
        let generator = Generator::new(&recipe(4, 1, 1, Norm::Instance), 1, 0).unwrap();
        no_grad(|| generator.parameters.tensors().iter_mut().for_each(|w| drop(w.zero_())));
        let image = noise(16, 12);
        assert!(no_grad(|| generator.forward(&image)).unwrap().equal(&image));
    }

    #[test]
    fn impossible_recipes_and_images_are_errors() {
        let refused = Generator::new(&recipe(0, 0, 1, Norm::None), 1, 0);
        assert!(matches!(refused, Err(Error::Recipe { field: "width", .. })));
        let even = GeneratorRecipe { kernel: 4, ..recipe(2, 0, 0, Norm::None) };
        let refused = Generator::new(&even, 1, 0).map_err(|e| e.to_string());
        assert_eq!(refused.unwrap_err(), "recipe: kernel must be in 1, 3, 5, 7, found 4");
        let generator = Generator::new(&recipe(2, 2, 0, Norm::None), 1, 0).unwrap();
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
