use isoscan_learned::Schedule;
use isoscan_nn::{
    Activation, Error, Norm, UNetRecipe,
    diffusion::{DenoiserRecipe, NoiseField, NoiseSchedule, Simplex, Target},
    in_range,
};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

/// What made the weights, and what is needed to use them: `recipe.json` beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The network.
    pub denoiser: DenoiserRecipe,
    /// How the image turns into noise.
    pub noise: NoiseSchedule,
    /// Into which noise.
    pub field: NoiseField,
    /// What the network predicts.
    pub target: Target,
    /// Share of the way to noise that is learned; no image can be taken further.
    pub deepest: f64,
    /// Seed, steps and rates.
    pub schedule: Schedule,
}

impl Recipe {
    /// The parameters of training, each with the default that the shipped weights were made with.
    pub(crate) fn params() -> Vec<Param> {
        let mut params = vec![
            Param::int("width", [1, 256], 16, "", "channels of the finest of the three levels"),
            Param::int("blocks", [1, 4], 1, "", "residual blocks per level and side"),
            Param::choice("norm", &["none", "group"], "normalisation in the network; group depends on the whole slice"),
            Param::choice("noise", &["simplex", "gaussian"], "noise of many scales, or independent voxels"),
            Param::choice("target", &["velocity", "noise", "clean"], "what the network predicts"),
            Param::int("noise_steps", [1, 10_000], 1000, "", "steps from image to noise, betas from 1e-4 to 0.02"),
            Param::float("deepest", [0.001, 0.6], 0.6, "", "share of the way to noise that is learned"),
        ];
        params.extend(Schedule::params(1e-3));
        params
    }

    /// The recipe that a checked training session describes.
    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        let context = &config.context;
        if context.inputs != 1 || context.domains.len() > 1 {
            return Err(PluginError::invalid("it learns from one kind of image: a source and a target, both healthy"));
        }
        if context.paired {
            return Err(PluginError::invalid("it learns from healthy images alone, and needs no pairs"));
        }
        let params = &config.params;
        let width = params.int("width")?;
        let unet = UNetRecipe {
            features: vec![width, 2 * width, 4 * width],
            blocks: params.int("blocks")?,
            norm: if params.choice("norm")? == "group" { Norm::Group } else { Norm::None },
            activation: Activation::Leaky,
            condition: CONDITION,
            residual: None,
            ..UNetRecipe::default()
        };
        let steps = params.int("noise_steps")? as usize;
        Ok(Self {
            denoiser: DenoiserRecipe { unet, latent: 0 },
            noise: NoiseSchedule::Linear {
                steps,
                first: 0.1 / steps.max(10) as f64,
                last: (20.0 / steps as f64).min(0.999),
            },
            field: match params.choice("noise")? {
                "gaussian" => NoiseField::Gaussian,
                _ => NoiseField::Simplex(Simplex::default()),
            },
            target: match params.choice("target")? {
                "noise" => Target::Noise,
                "clean" => Target::Clean,
                _ => Target::Velocity,
            },
            deepest: params.float("deepest")?,
            schedule: Schedule::of(config)?,
        })
    }

    /// Refuses numbers out of their range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        in_range("deepest", self.deepest, 0.0..=1.0)?;
        self.schedule.check()
    }

    /// The time that a share of the way to noise means, at least 1.
    pub(crate) fn time(&self, share: f64) -> usize {
        ((share * self.noise.steps() as f64).round() as usize).clamp(1, self.noise.steps())
    }
}

/// Width of the vector that carries the time.
const CONDITION: i64 = 64;
