use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Activation, Architecture, Attention, Conv, ConvShape, Dim, Error, Norm, Parameters, ResidualBlock, ResidualShape,
    Up, UpKind, blurred_down, conv::deviation, generator::with_residual, in_range,
};

/// The numbers that define a [`UNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetRecipe {
    /// Axes of the images.
    pub dim: Dim,
    /// Channels of the input, 1 to 64.
    pub channels_in: i64,
    /// Channels of the output, 1 to 64.
    pub channels_out: i64,
    /// Channels of each level, the full grid first, each level half as fine. 1 to 6 levels of 1 to 1024.
    pub features: Vec<i64>,
    /// Residual blocks per level and side, 1 to 4.
    pub blocks: i64,
    /// Normalisation in every block.
    pub norm: Norm,
    /// Activation in every block.
    pub activation: Activation,
    /// How the grid is doubled.
    pub up: UpKind,
    /// Halve behind a blur filter instead of by a strided convolution.
    pub blur: bool,
    /// Levels with self-attention behind their last block on the way down, from 0.
    pub attention: Vec<usize>,
    /// Heads of the attention.
    pub heads: i64,
    /// Width of the vector that modulates every block; 0 for none. A time, a latent, a domain.
    pub condition: i64,
    /// First of the input channels that the result is added to; none for a result that stands alone.
    pub residual: Option<i64>,
}

impl Default for UNetRecipe {
    /// Small enough for two cores: 16-32-64 on slices, one block, no norm, ReLU, resizing, one channel in and added to.
    fn default() -> Self {
        Self {
            dim: Dim::Two,
            channels_in: 1,
            channels_out: 1,
            features: vec![16, 32, 64],
            blocks: 1,
            norm: Norm::None,
            activation: Activation::Relu,
            up: UpKind::Resize,
            blur: false,
            attention: Vec::new(),
            heads: 1,
            condition: 0,
            residual: Some(0),
        }
    }
}

impl UNetRecipe {
    /// Grid extents must be multiples of this: 2 to the number of halvings.
    pub fn multiple(&self) -> usize {
        1 << self.features.len().clamp(1, 6).saturating_sub(1)
    }

    /// Receptive field radius in voxels, rounded up to [`UNetRecipe::multiple`].
    ///
    /// Stem and head reach 1. A level l, whose voxel stands for 2^l, reaches 2 * 2^l with each of its blocks, on both sides but
    /// the deepest; leaving it downwards 2^l, or behind a blur 4 * 2^l; entering it from below 3 * 2^l, transposed
    /// 2 * 2^l. With a norm or attention the true radius is the whole extent; this counts the convolutions alone.
    pub fn halo(&self) -> usize {
        let (levels, blocks) = (self.features.len().clamp(1, 6), self.blocks.clamp(0, 4) as usize);
        let (down, up) = (if self.blur { 4 } else { 1 }, if self.up == UpKind::Transposed { 2 } else { 3 });
        let sides: usize = (0..levels - 1).map(|level| (4 * blocks + down + up) << level).sum();
        let radius = 2 + sides + ((2 * blocks) << (levels - 1));
        radius.next_multiple_of(self.multiple())
    }

    fn check(&self) -> Result<(), Error> {
        in_range("channels_in", self.channels_in as f64, 1.0..=64.0)?;
        in_range("channels_out", self.channels_out as f64, 1.0..=64.0)?;
        in_range("levels", self.features.len() as f64, 1.0..=6.0)?;
        for &channels in &self.features {
            in_range("features", channels as f64, 1.0..=1024.0)?;
        }
        in_range("blocks", self.blocks as f64, 1.0..=4.0)?;
        in_range("condition", self.condition as f64, 0.0..=4096.0)?;
        for &level in &self.attention {
            in_range("attention", level as f64, 0.0..=(self.features.len() - 1) as f64)?;
        }
        if let Some(first) = self.residual {
            in_range("residual", first as f64, 0.0..=(self.channels_in - self.channels_out) as f64)?;
        }
        Ok(())
    }
}

/// U-Net (Ronneberger et al. 2015) of residual blocks, with skips by concatenation; edges repeat the last voxel.
#[derive(Debug)]
pub struct UNet {
    recipe: UNetRecipe,
    stem: Conv,
    down: Vec<Level>,
    up: Vec<(Up, Level)>,
    head: Conv,
}

#[derive(Debug)]
struct Level {
    /// From the level above, on the way down.
    entry: Option<Conv>,
    blocks: Vec<ResidualBlock>,
    attention: Option<Attention>,
}

impl Architecture for UNet {
    type Recipe = UNetRecipe;

    fn build(p: &mut Parameters, recipe: &UNetRecipe) -> Result<Self, Error> {
        recipe.check()?;
        let UNetRecipe { dim, norm, features, .. } = recipe;
        let first = features[0];
        let stem = Conv::new(p, "stem", ConvShape::same(*dim, [recipe.channels_in, first], 3))?;
        let mut down = Vec::new();
        for (level, &channels) in features.iter().enumerate() {
            let above = if level == 0 { first } else { features[level - 1] };
            let entry = match level {
                0 => None,
                _ => {
                    let stride = if recipe.blur { 1 } else { 2 };
                    let shape = ConvShape { stride, ..ConvShape::same(*dim, [above, channels], 3) };
                    Some(Conv::new(p, &format!("down{level}.entry"), shape)?)
                }
            };
            let attention = recipe.attention.contains(&level);
            let blocks = blocks(p, &format!("down{level}"), recipe, [channels, channels])?;
            let attention = match attention {
                true => Some(Attention::new(p, &format!("down{level}.attention"), *dim, channels, recipe.heads)?),
                false => None,
            };
            down.push(Level { entry, blocks, attention });
        }
        let mut up = Vec::new();
        for level in (0..features.len() - 1).rev() {
            let channels = [features[level + 1], features[level]];
            let deviation = deviation(*norm, *dim, channels[0], 3);
            let entry = Up::new(p, &format!("up{level}.entry"), *dim, recipe.up, channels, deviation)?;
            let blocks = blocks(p, &format!("up{level}"), recipe, [2 * features[level], features[level]])?;
            up.push((entry, Level { entry: None, blocks, attention: None }));
        }
        let shape = ConvShape::same(*dim, [first, recipe.channels_out], 3);
        let head = Conv::new(p, "head", ConvShape { deviation: 0.1 * shape.deviation, ..shape })?;
        Ok(Self { recipe: recipe.clone(), stem, down, up, head })
    }
}

fn blocks(
    p: &mut Parameters,
    name: &str,
    recipe: &UNetRecipe,
    [channels_in, channels]: [i64; 2],
) -> Result<Vec<ResidualBlock>, Error> {
    let shape = ResidualShape {
        activation: recipe.activation,
        condition: recipe.condition,
        ..ResidualShape::plain(recipe.dim, [channels, channels], recipe.norm)
    };
    let mut made = Vec::new();
    for block in 0..recipe.blocks {
        let channels = if block == 0 { [channels_in, channels] } else { [channels, channels] };
        made.push(ResidualBlock::new(p, &format!("{name}.block{block}"), ResidualShape { channels, ..shape })?);
    }
    Ok(made)
}

impl UNet {
    /// The numbers it was built from.
    pub fn recipe(&self) -> &UNetRecipe {
        &self.recipe
    }

    /// The network's output for `[batch, channels_in, (z,) y, x]`; `condition` is `[batch, width]` where the recipe has one.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the shape is not that, or an extent is no multiple of [`UNetRecipe::multiple`];
    /// [`Error::Condition`] when the condition is missing or not wanted.
    pub fn forward(&self, image: &Tensor, condition: Option<&Tensor>) -> Result<Tensor, Error> {
        let UNetRecipe { dim, channels_in, channels_out, activation, .. } = self.recipe;
        dim.check(image, channels_in, &dim.each(self.recipe.multiple() as i64))?;
        let mut x = self.stem.forward(image)?;
        let mut skips = Vec::new();
        for level in &self.down {
            if let Some(entry) = &level.entry {
                skips.push(x.shallow_clone());
                x = entry.forward(&if self.recipe.blur { blurred_down(&x)? } else { x })?;
            }
            x = level.forward(&x, condition)?;
        }
        for (entry, level) in &self.up {
            let mut both = vec![entry.forward(&x)?];
            both.extend(skips.pop());
            x = level.forward(&Tensor::f_cat(&both, 1)?, condition)?;
        }
        let made = self.head.forward(&activation.apply(&self.recipe.norm.apply(&x)?)?)?;
        match self.recipe.residual {
            Some(first) => with_residual(&image.f_narrow(1, first, channels_out)?, &made),
            None => Ok(made),
        }
    }
}

impl Level {
    fn forward(&self, x: &Tensor, condition: Option<&Tensor>) -> Result<Tensor, Error> {
        let mut x = x.shallow_clone();
        for block in &self.blocks {
            x = block.forward(&x, condition)?;
        }
        match &self.attention {
            Some(attention) => attention.forward(&x),
            None => Ok(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::no_grad;

    use super::*;
    use crate::{Net, probe};

    fn tiny() -> UNetRecipe {
        UNetRecipe { features: vec![2, 3], ..UNetRecipe::default() }
    }

    #[test]
    fn halo_by_hand() {
        for (recipe, expected) in [
            (UNetRecipe { features: vec![4], ..tiny() }, 2 + 2),
            (tiny(), 2 + 8 + 4),
            (UNetRecipe { features: vec![4; 3], blocks: 2, ..tiny() }, 56), // 2 + 12 + 24 + 16 = 54
            (UNetRecipe { blur: true, up: UpKind::Transposed, ..tiny() }, 2 + 10 + 4),
        ] {
            assert_eq!(recipe.halo(), expected, "{recipe:?}");
        }
    }

    #[test]
    fn nothing_outside_the_halo_reaches_a_voxel_and_something_just_inside_does() {
        let three_levels = UNetRecipe { features: vec![2, 2, 2], ..tiny() };
        for recipe in [
            tiny(),
            three_levels.clone(),
            UNetRecipe { blur: true, ..tiny() },
            UNetRecipe { up: UpKind::Shuffle, ..tiny() },
            UNetRecipe { up: UpKind::Transposed, ..three_levels },
            UNetRecipe { dim: Dim::Three, ..tiny() },
        ] {
            let unet = probe::strong::<UNet>(&recipe);
            let (halo, multiple) = (recipe.halo() as i64, recipe.multiple() as i64);
            let farthest = probe::farthest(recipe.dim, halo, multiple, |image| unet.forward(image, None));
            assert!((halo - 2 * multiple..=halo).contains(&farthest), "{recipe:?}: {farthest} of {halo}");
        }
    }

    #[test]
    fn zero_weights_return_the_channels_that_the_result_is_added_to() {
        let recipe = UNetRecipe { channels_in: 3, residual: Some(1), norm: Norm::Group, ..tiny() };
        let unet = Net::<UNet>::new(&recipe, 1, 0).unwrap();
        no_grad(|| unet.parameters().tensors().iter_mut().for_each(|w| drop(w.zero_())));
        let stack = probe::noise(&[2, 3, 6, 8], 1);
        assert!(no_grad(|| unet.forward(&stack, None)).unwrap().equal(&stack.narrow(1, 1, 1)));
        let alone = Net::<UNet>::new(&UNetRecipe { channels_out: 5, residual: None, ..recipe }, 1, 0).unwrap();
        assert_eq!(alone.forward(&stack, None).unwrap().size(), [2, 5, 6, 8]);
    }

    #[test]
    fn a_condition_changes_each_image_of_the_batch_for_itself() {
        let recipe = UNetRecipe {
            condition: 4,
            norm: Norm::Group,
            activation: Activation::Silu,
            blur: true,
            attention: vec![1],
            ..tiny()
        };
        let unet = probe::strong::<UNet>(&recipe);
        let image = probe::noise(&[1, 1, 8, 8], 1).repeat([2, 1, 1, 1]);
        let condition = probe::noise(&[2, 4], 2);
        let both = no_grad(|| unet.forward(&image, Some(&condition))).unwrap();
        assert!(!both.narrow(0, 0, 1).equal(&both.narrow(0, 1, 1)));
        let second = no_grad(|| unet.forward(&image.narrow(0, 0, 1), Some(&condition.narrow(0, 1, 1)))).unwrap();
        assert!((second - both.narrow(0, 1, 1)).abs().max().double_value(&[]) < 1e-4);
        assert!(matches!(unet.forward(&image, None), Err(Error::Condition { expected: true })));
    }

    #[test]
    fn impossible_recipes_and_images_are_errors() {
        for (recipe, expected) in [
            (UNetRecipe { features: Vec::new(), ..tiny() }, "recipe: levels must be in 1..=6, found 0"),
            (UNetRecipe { features: vec![4, 0], ..tiny() }, "recipe: features must be in 1..=1024, found 0"),
            (UNetRecipe { attention: vec![2], ..tiny() }, "recipe: attention must be in 0..=1, found 2"),
            (UNetRecipe { channels_out: 2, ..tiny() }, "recipe: residual must be in 0..=-1, found 0"),
        ] {
            let refused = Net::<UNet>::new(&recipe, 1, 0).map(|_| ());
            assert_eq!(refused.unwrap_err().to_string(), expected);
        }
        let unet = Net::<UNet>::new(&tiny(), 1, 0).unwrap();
        let odd = unet.forward(&probe::noise(&[1, 1, 7, 8], 1), None).map(|_| ());
        assert!(matches!(odd, Err(Error::ImageShape { .. })));
    }
}
