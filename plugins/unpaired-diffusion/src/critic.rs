use isoscan_nn::{
    Activation, Architecture, Conv, ConvShape, Dim, Error, Norm, Parameters, ResidualBlock, ResidualShape,
    TimeEmbedding, blurred_down, in_range,
};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The numbers that define a [`Critic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriticRecipe {
    /// Channels of the first layer, doubled by each halving. 1 to 128.
    pub width: i64,
    /// Times the grid is halved, 1 to 5.
    pub halvings: i64,
}

/// Tells real from made steps of a diffusion: of an image at a time and itself one step later, knowing the time.
///
/// Residual blocks shifted and scaled by the embedded time, each followed by a blurred halving; the published one ends in
/// a single score, this in a score per place.
#[derive(Debug)]
pub struct Critic {
    time: TimeEmbedding,
    stem: Conv,
    blocks: Vec<ResidualBlock>,
    head: Conv,
}

impl Architecture for Critic {
    type Recipe = CriticRecipe;

    fn build(p: &mut Parameters, recipe: &CriticRecipe) -> Result<Self, Error> {
        in_range("critic width", recipe.width as f64, 1.0..=128.0)?;
        in_range("critic halvings", recipe.halvings as f64, 1.0..=5.0)?;
        let time = TimeEmbedding::new(p, "time", TIME)?;
        let stem = Conv::new(p, "stem", ConvShape::same(Dim::Two, [2, recipe.width], 3))?;
        let mut blocks = Vec::new();
        for level in 0..recipe.halvings {
            let channels = [recipe.width << level, recipe.width << (level + 1)];
            let shape = ResidualShape {
                activation: Activation::Leaky,
                condition: time.width(),
                share: std::f64::consts::FRAC_1_SQRT_2,
                ..ResidualShape::plain(Dim::Two, channels, Norm::None)
            };
            blocks.push(ResidualBlock::new(p, &format!("block{level}"), shape)?);
        }
        let shape = ConvShape::same(Dim::Two, [recipe.width << recipe.halvings, 1], 3);
        let head = Conv::new(p, "head", ConvShape { deviation: 0.1 * shape.deviation, ..shape })?;
        Ok(Self { time, stem, blocks, head })
    }
}

impl Critic {
    /// Scores of `[batch, 1, y, x]` at the earlier and the later time, with the later times `[batch]` in thousandths of the
    /// whole way: `[batch, 1, ...]`, high for real ones.
    ///
    /// # Errors
    /// [`Error::Torch`] when the images do not fit each other or are smaller than the halvings need.
    pub fn forward(&self, earlier: &Tensor, later: &Tensor, times: &Tensor) -> Result<Tensor, Error> {
        let condition = self.time.forward(times)?;
        let mut x = self.stem.forward(&Tensor::f_cat(&[earlier, later], 1)?)?;
        for block in &self.blocks {
            x = blurred_down(&block.forward(&x, Some(&condition))?)?;
        }
        self.head.forward(&Activation::Leaky.apply(&x)?)
    }
}

/// Dimensions of the embedded time.
const TIME: i64 = 8;
