use isoscan_learned::{Failure, Family, Losses, Place, Weights, from_slices, into_slices};
use isoscan_nn::{
    Net, PUBLISHED_BETAS, Random, Trainee, descend,
    diffusion::{Denoiser, Diffusion, Extent, VoxelNoise},
};
use isoscan_sdk::{
    Axes, Descriptor, Input, Modality, Normalize, Output, Param, Patching, PluginError, Region, TrainConfig, Unit,
};
use tch::{Kind, Tensor};

use crate::{
    Recipe,
    healing::{Healing, healed},
};

/// The diffusion network that knows healthy brains.
#[derive(Debug)]
pub struct PseudoHealthy {
    denoiser: Trainee<Denoiser>,
    diffusion: Diffusion,
}

impl Family for PseudoHealthy {
    type Recipe = Recipe;
    type Networks = Net<Denoiser>;
    const NAME: &'static str = "pseudo-healthy";

    /// Whole slices: what is healthy at a place follows from the head around it.
    fn descriptor() -> Descriptor {
        let mut params =
            vec![Param::choice("result", &["healthy", "anomaly"], "the healthy image, or its distance from the image")];
        params.extend(Healing::params());
        Descriptor {
            id: "pseudo-healthy".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Pseudo-healthy brain".into(),
            summary: "Shows a brain MR as if it had no lesions, or how far each voxel is from that".into(),
            family: "diffusion".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Mr],
                units: vec![Unit::Arbitrary],
                spacing_mm: Some([[2.0, 4.0], [2.0, 4.0], [0.5, 10.0]]),
                // From the least intensity, which is 0 in a magnitude image, so that a map taken back starts at 0.
                normalize: Some(Normalize::Percentile { low: 0.0, high: 98.0, region: Region::Body }),
                ..Input::any("image", "T2-weighted axial slices of a head")
            }],
            output: Output::like_input("the healthy image, or the distance from it; both in the image's intensities"),
            patching: Patching { multiple: [4, 4, 1], max_batch: 16, ..Patching::whole(Axes::Slices) },
            params,
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
        let denoiser = Trainee::averaged(&recipe.denoiser, recipe.schedule.seed, 0, PUBLISHED_BETAS)?;
        Ok(Self { denoiser, diffusion: Diffusion::new(&recipe.noise)? })
    }

    /// Source and target are both healthy; each slice gets a time and noise of its own.
    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let image = scaled(&Tensor::f_cat(&[into_slices(source)?, into_slices(target)?], 0)?)?;
        let size = image.size();
        let random = Random::new(recipe.schedule.seed, &[TIMES, step]);
        let deepest = recipe.time(recipe.deepest) as f64;
        let times: Vec<usize> = (0..size[0] as u64).map(|i| 1 + (random.uniform(i) * deepest) as usize).collect();
        let field = VoxelNoise { field: recipe.field, seed: recipe.schedule.seed, volume: TIMES };
        let extent = Extent { origin: [0; 3], size: [size[3], size[2], size[0]].map(|n| n as usize) };
        let noise = match recipe.field {
            isoscan_nn::diffusion::NoiseField::Gaussian => into_slices(&field.draw(extent, step, 0)?)?,
            // Slices of one field are alike; each of the batch takes its own.
            isoscan_nn::diffusion::NoiseField::Simplex(_) => {
                let one = Extent { size: [extent.size[0], extent.size[1], 1], ..extent };
                let slices = (0..size[0] as u64).map(|item| Ok(into_slices(&field.draw(one, step, item)?)?));
                Tensor::f_cat(&slices.collect::<Result<Vec<_>, Failure>>()?, 0)?
            }
        };
        let noisy = self.diffusion.noised_each(&image, &noise, &times)?;
        let told: Vec<f32> =
            times.iter().map(|&t| (1000.0 * t as f64 / self.diffusion.steps() as f64) as f32).collect();
        let predicted = self.denoiser.live().forward(&noisy, &Tensor::f_from_slice(&told)?, None)?;
        let wanted = recipe.target.of(&self.diffusion, &image, &noise, &times)?;
        let loss = predicted.f_sub(&wanted)?.f_square()?.f_mean(Kind::Float)?;
        let descent = isoscan_nn::Descent { clip: Some(1.0), ..recipe.schedule.descent(step) };
        descend(&loss, &mut [self.denoiser.parts()], descent)?;
        self.denoiser.average_in(recipe.schedule.average_decay, step)?;
        Ok(vec![("denoising", loss.f_double_value(&[])?)])
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.denoiser.kept().parameters().named("denoiser")
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.denoiser.named("denoiser")
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        Ok(self.denoiser.load("denoiser", state)?)
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Net<Denoiser>, Failure> {
        recipe.check()?;
        Ok(Net::loaded(&recipe.denoiser, "denoiser", weights)?)
    }

    fn translate(
        denoiser: &Net<Denoiser>,
        recipe: &Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure> {
        let healing = Healing::of(place.params, recipe)?;
        let slices = into_slices(image)?;
        let depth = image.size()[2];
        let healthy =
            healed(denoiser, recipe, &healing, &scaled(&slices)?, place)?.f_add_scalar(1.0)?.f_mul_scalar(0.5)?;
        let made = match place.params.choice("result")? {
            "anomaly" => slices.f_sub(&healthy)?.f_abs()?,
            _ => healthy,
        };
        Ok(from_slices(&made, depth)?)
    }
}

/// 0 to 1 as the -1 to 1 of the network.
fn scaled(image: &Tensor) -> Result<Tensor, Failure> {
    Ok(image.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?)
}

/// Keeps times and noise of training apart from other random numbers.
const TIMES: u64 = 0x7469_6d65_7300;
