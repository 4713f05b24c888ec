use std::{fmt::Debug, marker::PhantomData};

use isoscan_learned::{Failure, Family, Losses, Place, Weights, from_slices, into_slices};
use isoscan_nn::{Net, UNet, diffusion::Denoiser};
use isoscan_sdk::{Axes, Descriptor, Param, Patching, PluginError, TrainConfig};
use tch::{Kind, Tensor};

use crate::{
    Couples, Recipe,
    couples::WAYS,
    drawing::{Drawing, draws, spread},
};

/// What a plugin of the family translates. Its images come normalised: 0 and 1 are the -1 and 1 of the networks.
pub trait Task: Debug + Send + 'static {
    /// What of the target the networks' -1 and 1 stand for, in its unit as training gives it.
    const TARGET: [f64; 2];
    /// Whether it translates back too, which needs both sides to have one modality and unit.
    const BACK: bool;

    /// As [`Family::descriptor`], with [`Task::patching`] and [`Task::params`].
    fn descriptor() -> Descriptor;

    /// Whole slices.
    fn patching() -> Patching {
        Patching { multiple: [4, 4, 1], max_batch: 16, ..Patching::whole(Axes::Slices) }
    }

    /// What to make, and how draws are made.
    fn params() -> Vec<Param> {
        let mut params = vec![Param::choice(
            "result",
            &["mean", "spread", "sample", "rough"],
            "mean of the draws, their standard deviation, one draw, or the rough CycleGAN's image",
        )];
        params.extend(Drawing::params());
        if Self::BACK {
            params.push(Param::choice("direction", &WAYS, "forward: source to target contrast"));
        }
        params
    }
}

/// The family of adversarial diffusion between two kinds of image.
#[derive(Debug)]
pub struct SynDiff<T> {
    couples: Couples,
    task: PhantomData<T>,
}

/// Rough generators and denoisers, each to the target and back.
#[derive(Debug)]
pub struct Networks {
    rough: [Net<UNet>; 2],
    denoisers: [Net<Denoiser>; 2],
}

impl<T: Task> Family for SynDiff<T> {
    type Recipe = Recipe;
    type Networks = Networks;
    const NAME: &'static str = "syndiff";

    fn descriptor() -> Descriptor {
        T::descriptor()
    }

    fn params() -> Vec<Param> {
        Recipe::params()
    }

    fn recipe(config: &TrainConfig) -> Result<Recipe, PluginError> {
        Recipe::of(config)
    }

    fn begin(recipe: &Recipe) -> Result<Self, Failure> {
        recipe.check()?;
        Ok(Self { couples: Couples::new(recipe)?, task: PhantomData })
    }

    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let [source, target] = [scaled(&into_slices(source)?, NORMALIZED)?, scaled(&into_slices(target)?, T::TARGET)?];
        self.couples.step(recipe, step, [&source, &target])
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.couples.kept()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.couples.named()
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        Ok(self.couples.load(state)?)
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Networks, Failure> {
        recipe.check()?;
        let rough = |way: &str| Net::loaded(&recipe.rough, &format!("rough.{way}"), weights);
        let denoiser = |way: &str| Net::loaded(&recipe.denoiser, &format!("denoiser.{way}"), weights);
        let [forward, backward] = WAYS;
        Ok(Networks {
            rough: [rough(forward)?, rough(backward)?],
            denoisers: [denoiser(forward)?, denoiser(backward)?],
        })
    }

    fn translate(networks: &Networks, recipe: &Recipe, image: &Tensor, place: &Place<'_>) -> Result<Tensor, Failure> {
        let drawing = Drawing::of(place.params)?;
        let way = usize::from(T::BACK && place.params.choice("direction")? == WAYS[1]);
        let made_of = if way == 0 { T::TARGET } else { NORMALIZED };
        let slices = scaled(&into_slices(image)?, NORMALIZED)?;
        let drawn = |drawing| draws(&networks.denoisers[way], recipe, &slices, place, drawing);
        let made = match place.params.choice("result")? {
            "rough" => unscaled(&networks.rough[way].forward(&slices, None)?, made_of)?,
            "sample" => unscaled(&drawn(Drawing { samples: 1, ..drawing })?.f_select(0, 0)?, made_of)?,
            "spread" if drawing.samples < 2 => {
                return Err(PluginError::invalid("parameter 'samples' must be at least 2 for a spread, found 1").into());
            }
            "spread" => spread(&drawn(drawing)?, drawing.reach)?.f_mul_scalar(0.5 * (made_of[1] - made_of[0]))?,
            _ => unscaled(&drawn(drawing)?.f_mean_dim(Some([0_i64].as_slice()), false, Kind::Float)?, made_of)?,
        };
        Ok(from_slices(&made, image.size()[2])?)
    }
}

/// Ends of the range of normalised images.
const NORMALIZED: [f64; 2] = [0.0, 1.0];

/// The range `low` to `high` as the -1 to 1 of the networks; what lies beyond is not cut.
fn scaled(image: &Tensor, [low, high]: [f64; 2]) -> Result<Tensor, Failure> {
    Ok(image.f_sub_scalar(low)?.f_mul_scalar(2.0 / (high - low))?.f_sub_scalar(1.0)?)
}

/// The inverse of [`scaled`].
fn unscaled(image: &Tensor, [low, high]: [f64; 2]) -> Result<Tensor, Failure> {
    Ok(image.f_add_scalar(1.0)?.f_mul_scalar(0.5 * (high - low))?.f_add_scalar(low)?)
}
