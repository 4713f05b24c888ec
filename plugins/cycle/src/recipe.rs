use isoscan_learned::Schedule;
use isoscan_nn::{DiscriminatorRecipe, Error, GeneratorRecipe, Norm, in_range};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::{Defaults, Task};

/// What made the weights, and what is needed to use them: `recipe.json` beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The value that is 0 to the networks.
    #[serde(default)]
    pub zero: f64,
    /// The difference that is 1 to the networks.
    #[serde(alias = "hu_scale")]
    pub scale: f64,
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
    /// The parameters of training, with the defaults of the task. `training/README.md` tells those of shipped weights.
    pub(crate) fn params<T: Task>() -> Vec<Param> {
        let Defaults { unit, zero, scale, generator } = T::defaults();
        let discriminator = DiscriminatorRecipe::default();
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
            Param::float("zero", [-1e6, 1e6], zero, unit, "the value that is 0 to the networks"),
            Param::float("scale", [1e-6, 1e6], scale, unit, "the difference that is 1 to the networks"),
        ]);
        params
    }

    /// The recipe that checked parameter values describe.
    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        let params = &config.params;
        let norm = if params.choice("norm")? == "instance" { Norm::Instance } else { Norm::None };
        Ok(Self {
            zero: params.float("zero")?,
            scale: params.float("scale")?,
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
        in_range("zero", self.zero, -1e6..=1e6)?;
        in_range("scale", self.scale, 1e-6..=1e6)?;
        in_range("cycle_weight", self.cycle_weight, 0.0..=1e6)?;
        in_range("identity_weight", self.identity_weight, 0.0..=1e6)?;
        in_range("pool", self.pool as f64, 0.0..=9999.0)
    }
}
