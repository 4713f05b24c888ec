use isoscan_learned::Schedule;
use isoscan_nn::{
    Activation, DiscriminatorRecipe, Error, UNetRecipe,
    diffusion::{DenoiserRecipe, NoiseSchedule},
    in_range,
};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::CriticRecipe;

/// What made the weights, and what is needed to use them: `recipe.json` beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Both rough generators.
    pub rough: UNetRecipe,
    /// Both discriminators of rough images.
    pub discriminator: DiscriminatorRecipe,
    /// Both denoisers: the noisy image and beside it the other contrast.
    pub denoiser: DenoiserRecipe,
    /// Both critics of diffusion steps.
    pub critic: CriticRecipe,
    /// The few steps to noise.
    pub noise: NoiseSchedule,
    /// Weight of the rough couple's cycle loss.
    pub cycle_weight: f64,
    /// Weight of the edges that rough images have and their sources have not.
    pub structure_weight: f64,
    /// Weight of the critics' judgement of diffusion steps.
    pub adversarial_weight: f64,
    /// Weight of the denoisers' distance from the clean image.
    pub clean_weight: f64,
    /// Standard deviation of the noise that is added to a guess, in the networks' scale of -1 to 1: it hides what the rough
    /// couple writes into its images to find its way back, and is what scans have in the place of the guess.
    pub guess_noise: f64,
    /// R1 penalty gamma of the critics, of the score of one place.
    pub penalty: f64,
    /// Steps from one penalty to the next.
    pub penalty_every: u64,
    /// Made images that each discriminator looks back on.
    pub pool: usize,
    /// Seed, steps and rates.
    pub schedule: Schedule,
}

impl Recipe {
    /// The parameters of training, each with the default that the shipped weights were made with.
    pub(crate) fn params() -> Vec<Param> {
        let mut params = vec![
            Param::int("width", [1, 256], 8, "", "channels of the finest of the three levels of every generator"),
            Param::int("blocks", [1, 4], 1, "", "residual blocks per level and side"),
            Param::bool("residual", false, "whether the rough generators change the scan instead of drawing anew"),
            Param::int("latent", [1, 256], 16, "", "width of the latent that makes a draw one of many"),
            Param::int("critic_width", [1, 128], 8, "", "channels of the first layer of critics and discriminators"),
            Param::int("noise_steps", [1, 64], 4, "", "steps from image to noise"),
            Param::float("cycle_weight", [0.0, 1e6], 3.0, "", "weight of the cycle loss of the rough couple"),
            Param::float("structure_weight", [0.0, 1e6], 1.0, "", "weight of edges that only a rough image has"),
            Param::float("adversarial_weight", [0.0, 1e6], 1.0, "", "weight of the judgement of diffusion steps"),
            Param::float("clean_weight", [0.0, 1e6], 5.0, "", "weight of the distance from the clean image"),
            Param::float("guess_noise", [0.0, 2.0], 0.0, "", "noise added to guesses, of a range of 2"),
            Param::float("penalty", [0.0, 1e6], 1.0, "", "gradient penalty of the critics, of the score of one place"),
            Param::int("penalty_every", [1, 1000], 10, "", "steps from one penalty to the next"),
            Param::int("pool", [0, 9999], 32, "", "made patches each discriminator looks back on"),
        ];
        params.extend(Schedule::params(1.5e-3));
        params
    }

    /// The recipe that a checked training session describes.
    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        if config.context.inputs != 1 || config.context.domains.len() > 1 {
            return Err(PluginError::invalid("it learns between one source and one target kind of image"));
        }
        let params = &config.params;
        let width = params.int("width")?;
        let rough = UNetRecipe {
            features: vec![width, 2 * width, 4 * width],
            blocks: params.int("blocks")?,
            activation: Activation::Leaky,
            residual: params.bool("residual")?.then_some(0),
            ..UNetRecipe::default()
        };
        let unet = UNetRecipe { channels_in: 2, condition: CONDITION, residual: None, ..rough.clone() };
        let critic_width = params.int("critic_width")?;
        let steps = params.int("noise_steps")? as usize;
        Ok(Self {
            rough,
            discriminator: DiscriminatorRecipe { width: critic_width, ..DiscriminatorRecipe::default() },
            denoiser: DenoiserRecipe { unet, latent: params.int("latent")? },
            critic: CriticRecipe { width: critic_width, halvings: 2 },
            noise: NoiseSchedule::VariancePreserving { steps, least: 0.1, most: 20.0 },
            cycle_weight: params.float("cycle_weight")?,
            structure_weight: params.float("structure_weight")?,
            adversarial_weight: params.float("adversarial_weight")?,
            clean_weight: params.float("clean_weight")?,
            guess_noise: params.float("guess_noise")?,
            penalty: params.float("penalty")?,
            penalty_every: params.int("penalty_every")? as u64,
            pool: params.int("pool")? as usize,
            schedule: Schedule::of(config)?,
        })
    }

    /// Refuses numbers out of their range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        in_range("latent", self.denoiser.latent as f64, 1.0..=1024.0)?;
        in_range("penalty_every", self.penalty_every as f64, 1.0..=1e9)?;
        self.schedule.check()
    }
}

/// Width of the vector that carries time and latent.
const CONDITION: i64 = 32;
