use isoscan_learned::{Failure, Family, Losses, Place, Weights, from_slices, into_slices};
use isoscan_nn::{Net, UNet, diffusion::Denoiser};
use isoscan_sdk::{
    Axes, Descriptor, Input, Modality, Normalize, Output, Param, Patching, PluginError, Region, TrainConfig, Unit,
};
use tch::Tensor;

use crate::{Couples, Recipe, couples::WAYS, drawing::draws};

/// The family of adversarial diffusion between two contrasts.
#[derive(Debug)]
pub struct SynDiff {
    couples: Couples,
}

/// Rough generators and denoisers, each to the target contrast and back.
#[derive(Debug)]
pub struct Networks {
    rough: [Net<UNet>; 2],
    denoisers: [Net<Denoiser>; 2],
}

impl Family for SynDiff {
    type Recipe = Recipe;
    type Networks = Networks;
    const NAME: &'static str = "syndiff";

    /// Whole slices.
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "syndiff".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "SynDiff".into(),
            summary: "Makes one MR contrast of another by adversarial diffusion, and tells how sure it is".into(),
            family: "diffusion".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Mr],
                units: vec![Unit::Arbitrary],
                spacing_mm: Some([[2.0, 4.0], [2.0, 4.0], [0.5, 10.0]]),
                // From the least intensity, which is 0 in a magnitude image, so that a spread taken back starts at 0.
                normalize: Some(Normalize::Percentile { low: 0.0, high: 98.0, region: Region::Body }),
                ..Input::any("image", "axial slices of a head in the source contrast")
            }],
            output: Output::like_input("the target contrast, or its spread; on the scale of the image's intensities"),
            patching: Patching { multiple: [4, 4, 1], max_batch: 16, ..Patching::whole(Axes::Slices) },
            params: vec![
                Param::choice(
                    "result",
                    &["mean", "spread", "sample", "rough"],
                    "mean of the draws, their standard deviation, one draw, or the rough CycleGAN's image",
                ),
                Param::int("samples", [1, 64], 4, "", "draws of mean and spread"),
                Param::choice("direction", &WAYS, "forward: source to target contrast"),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn params() -> Vec<Param> {
        Recipe::params()
    }

    fn recipe(config: &TrainConfig) -> Result<Recipe, PluginError> {
        Recipe::of(config)
    }

    fn begin(recipe: &Recipe) -> Result<Self, Failure> {
        recipe.check()?;
        Ok(Self { couples: Couples::new(recipe)? })
    }

    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let [source, target] = [scaled(&into_slices(source)?)?, scaled(&into_slices(target)?)?];
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
        let rough = |way: &str| {
            let mut network = Net::<UNet>::new(&recipe.rough, 0, 0)?;
            network.parameters_mut().load(&format!("rough.{way}"), weights)?;
            Ok::<_, Failure>(network)
        };
        let denoiser = |way: &str| {
            let mut network = Net::<Denoiser>::new(&recipe.denoiser, 0, 0)?;
            network.parameters_mut().load(&format!("denoiser.{way}"), weights)?;
            Ok::<_, Failure>(network)
        };
        let [forward, backward] = WAYS;
        Ok(Networks {
            rough: [rough(forward)?, rough(backward)?],
            denoisers: [denoiser(forward)?, denoiser(backward)?],
        })
    }

    fn translate(networks: &Networks, recipe: &Recipe, image: &Tensor, place: &Place<'_>) -> Result<Tensor, Failure> {
        let samples = place.params.int("samples")? as u64;
        let way = usize::from(place.params.choice("direction")? == WAYS[1]);
        let slices = scaled(&into_slices(image)?)?;
        let drawn = |samples| draws(&networks.denoisers[way], recipe, &slices, place, samples);
        let unscaled = |made: &Tensor| made.f_add_scalar(1.0)?.f_mul_scalar(0.5);
        let made = match place.params.choice("result")? {
            "rough" => unscaled(&networks.rough[way].forward(&slices, None)?)?,
            "sample" => unscaled(&Tensor::f_stack(&drawn(1)?, 0)?.f_select(0, 0)?)?,
            "spread" if samples < 2 => {
                return Err(PluginError::invalid("parameter 'samples' must be at least 2 for a spread, found 1").into());
            }
            "spread" => Tensor::f_stack(&drawn(samples)?, 0)?
                .f_std_dim(Some([0_i64].as_slice()), true, false)?
                .f_mul_scalar(0.5)?,
            _ => unscaled(&Tensor::f_stack(&drawn(samples)?, 0)?.f_mean_dim(
                Some([0_i64].as_slice()),
                false,
                tch::Kind::Float,
            )?)?,
        };
        Ok(from_slices(&made, image.size()[2])?)
    }
}

/// 0 to 1 as the -1 to 1 of the networks.
fn scaled(image: &Tensor) -> Result<Tensor, Failure> {
    Ok(image.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?)
}
