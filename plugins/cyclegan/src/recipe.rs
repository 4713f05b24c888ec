use std::path::Path;

use isoscan_nn::{CycleGanRecipe, DiscriminatorRecipe, GeneratorRecipe, Norm, read_recipe, write_recipe};
use isoscan_sdk::{Param, Params, PluginError};
use serde::{Deserialize, Serialize};

use crate::scale::failed;

/// Name of the weights in `weights/`.
pub(crate) const WEIGHTS: &str = "cyclegan.safetensors";
/// Name of the recipe, in `weights/` and `checkpoint/`.
pub(crate) const RECIPE: &str = "recipe.json";
/// Name of the training state in `checkpoint/`.
pub(crate) const STATE: &str = "state.safetensors";

/// What made the weights, and what is needed to use them: `recipe.json` beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The network sees HU divided by this.
    pub hu_scale: f64,
    /// Seed of the training.
    pub seed: u64,
    /// Networks and losses.
    pub cyclegan: CycleGanRecipe,
}

impl Recipe {
    /// The parameters of training, each with the default that the shipped weights were made with.
    pub(crate) fn params() -> Vec<Param> {
        let (generator, discriminator) = (GeneratorRecipe::default(), DiscriminatorRecipe::default());
        vec![
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
            Param::float("learning_rate", [0.0, 1.0], 2e-4, "", "Adam's rate before it decays"),
            Param::float("constant_share", [0.0, 1.0], 0.5, "", "share of the steps before the rate decays to 0"),
            Param::float("cycle_weight", [0.0, 1e6], 10.0, "", "weight of the cycle loss"),
            Param::float("identity_weight", [0.0, 1e6], 5.0, "", "weight of the identity loss"),
            Param::int("pool", [0, 9999], 50, "", "made patches each discriminator looks back on"),
            Param::float("average_decay", [0.0, 1.0], 0.995, "", "decay of the moving average that is kept"),
            Param::float("hu_scale", [1.0, 10000.0], 200.0, "HU", "the networks see HU divided by this"),
        ]
    }

    /// The recipe that checked parameter values describe.
    pub(crate) fn from_params(params: &Params, seed: u64, steps: u64) -> Result<Self, PluginError> {
        let norm = if params.choice("norm")? == "instance" { Norm::Instance } else { Norm::None };
        let cyclegan = CycleGanRecipe {
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
            steps,
            learning_rate: params.float("learning_rate")?,
            constant_share: params.float("constant_share")?,
            cycle_weight: params.float("cycle_weight")?,
            identity_weight: params.float("identity_weight")?,
            pool: params.int("pool")? as usize,
            average_decay: params.float("average_decay")?,
        };
        Ok(Self { hu_scale: params.float("hu_scale")?, seed, cyclegan })
    }

    /// Reads `recipe.json` of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, PluginError> {
        read_recipe(&folder.join(RECIPE)).map_err(failed)
    }

    /// Writes `recipe.json` into an existing folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), PluginError> {
        write_recipe(&folder.join(RECIPE), self).map_err(failed)
    }
}
