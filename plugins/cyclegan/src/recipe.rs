use isoscan_learned::Schedule;
use isoscan_nn::{DiscriminatorRecipe, Error, GeneratorRecipe, Norm, in_range};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

/// What made the weights, and what is needed to use them: `recipe.json` beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The network sees HU divided by this.
    pub hu_scale: f64,
    /// Seed, steps and rates.
    pub schedule: Schedule,
    /// Both generators.
    pub generator: GeneratorRecipe,
    /// Both discriminators.
    pub discriminator: DiscriminatorRecipe,
    /// Weight of the cycle term, against 1 of the adversarial term.
    pub cycle_weight: f64,
    /// Weight of the identity term; at 0 it is not computed.
    pub identity_weight: f64,
    /// Images that each discriminator's pool holds.
    pub pool: usize,
}

impl Recipe {
    /// The parameters of training, each with the default that the shipped weights were made with.
    pub(crate) fn params() -> Vec<Param> {
        let (generator, discriminator) = (GeneratorRecipe::default(), DiscriminatorRecipe::default());
        let mut params = Schedule::params(2e-4);
        params.extend([
            Param::int("width", [1, 256], generator.width, "", "channels of the generator's stem"),
            Param::int("kernel", [1, 7], generator.kernel, "", "side of the generator's first and last kernel, odd"),
            Param::int("halvings", [0, 2], generator.halvings, "", "times the generator halves the grid"),
            Param::int("blocks", [0, 32], generator.blocks, "", "residual blocks of the generator"),
            Param::choice(
                "norm",
                &["none", "instance"],
                "normalisation in both networks; instance depends on the whole slice",
            ),
            Param::int(
                "discriminator_width",
                [1, 256],
                discriminator.width,
                "",
                "channels of the discriminator's first layer",
            ),
            Param::int(
                "discriminator_halvings",
                [1, 4],
                discriminator.halvings,
                "",
                "strided layers of the discriminator; 2 sees 34 voxels",
            ),
            Param::float("cycle_weight", [0.0, 1e6], 10.0, "", "weight of the cycle loss"),
            Param::float("identity_weight", [0.0, 1e6], 5.0, "", "weight of the identity loss"),
            Param::int("pool", [0, 9999], 50, "", "made patches each discriminator looks back on"),
            Param::float("hu_scale", [1.0, 10000.0], 200.0, "HU", "the networks see HU divided by this"),
        ]);
        params
    }

    /// The recipe that checked parameter values describe.
    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        let params = &config.params;
        let norm = if params.choice("norm")? == "instance" { Norm::Instance } else { Norm::None };
        Ok(Self {
            hu_scale: params.float("hu_scale")?,
            schedule: Schedule::of(config)?,
            generator: GeneratorRecipe {
                width: params.int("width")?,
                kernel: params.int("kernel")?,
                halvings: params.int("halvings")?,
                blocks: params.int("blocks")?,
                norm,
                ..GeneratorRecipe::default()
            },
            discriminator: DiscriminatorRecipe {
                width: params.int("discriminator_width")?,
                halvings: params.int("discriminator_halvings")?,
                norm,
                ..DiscriminatorRecipe::default()
            },
            cycle_weight: params.float("cycle_weight")?,
            identity_weight: params.float("identity_weight")?,
            pool: params.int("pool")? as usize,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        in_range("hu_scale", self.hu_scale, 1.0..=10000.0)?;
        in_range("cycle_weight", self.cycle_weight, 0.0..=1e6)?;
        in_range("identity_weight", self.identity_weight, 0.0..=1e6)?;
        in_range("pool", self.pool as f64, 0.0..=9999.0)
    }
}
