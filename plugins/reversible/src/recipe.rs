use isoscan_learned::Schedule;
use isoscan_nn::{Error, in_range};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::{ReversibleRecipe, family::HALO};

/// Everything that decides the weights but the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How long and how fast.
    pub schedule: Schedule,
    /// The network.
    pub network: ReversibleRecipe,
    /// Whether every source has its truth: then `paired_weight` counts.
    pub paired: bool,
    /// SUV that is 1 inside the networks.
    pub suv_scale: f64,
    /// Weight of the L1 loss between made and true image, of pairs.
    pub paired_weight: f64,
    /// Weight of the mean uptake of a patch, which then is told apart from its pattern; 0 tells neither apart.
    pub level_weight: f64,
    /// By how much more a voxel counts in the loss of PET per `suv_scale` of its uptake.
    pub uptake_weight: f64,
    /// Weight of the L1 loss between an image and what comes back after both ways.
    pub cycle_weight: f64,
    /// Weight of the discriminators' judgement; 0 trains without them.
    pub adversarial_weight: f64,
    /// Channels of the discriminators' first layer.
    pub discriminator_width: i64,
    /// Made images that each discriminator remembers.
    pub pool: i64,
}

impl Recipe {
    pub(crate) fn params() -> Vec<Param> {
        let mut params = vec![
            Param::int("width", [1, 128], 8, "", "channels on the full grid"),
            Param::int("depth", [0, 4], 4, "", "couplings of the core"),
            Param::float("suv_scale", [0.01, 1000.0], 5.0, "SUV", "what is 1 inside the networks"),
            Param::float("paired_weight", [0.0, 100.0], 1.0, "", "of the L1 loss to the truth, of pairs"),
            Param::float(
                "level_weight",
                [0.0, 100.0],
                0.2,
                "",
                "of a patch's mean uptake, apart from its pattern; 0: as one",
            ),
            Param::float(
                "uptake_weight",
                [0.0, 100.0],
                1.0,
                "",
                "how much more a voxel counts per suv_scale of uptake",
            ),
            Param::float("cycle_weight", [0.0, 100.0], 0.1, "", "of the L1 loss after both ways"),
            Param::float("adversarial_weight", [0.0, 100.0], 0.01, "", "of the discriminators; 0: none"),
            Param::int("discriminator_width", [1, 256], 8, "", "channels of their first layer"),
            Param::int("pool", [0, 500], 20, "", "made images that each remembers"),
        ];
        params.extend(Schedule::params(1e-3));
        params
    }

    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        if !config.context.domains.is_empty() {
            return Err(PluginError::invalid(
                "mr-to-pet learns between two sides: train it with --source and --target",
            ));
        }
        let params = &config.params;
        let network = ReversibleRecipe {
            contrasts: config.context.inputs as i64,
            width: params.int("width")?,
            depth: params.int("depth")?,
        };
        if network.halo() > HALO {
            return Err(PluginError::invalid(format_args!(
                "expected a network that reaches {HALO} voxels at most, found {}",
                network.halo()
            )));
        }
        if config.context.patch[2] == 1 {
            return Err(PluginError::invalid(
                "mr-to-pet learns from volumes, found patches of 1 slice: train with --patch 32x32x32",
            ));
        }
        Ok(Self {
            schedule: Schedule::of(config)?,
            network,
            paired: config.context.paired,
            suv_scale: params.float("suv_scale")?,
            paired_weight: params.float("paired_weight")?,
            level_weight: params.float("level_weight")?,
            uptake_weight: params.float("uptake_weight")?,
            cycle_weight: params.float("cycle_weight")?,
            adversarial_weight: params.float("adversarial_weight")?,
            discriminator_width: params.int("discriminator_width")?,
            pool: params.int("pool")?,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        in_range("suv_scale", self.suv_scale, 0.01..=1000.0)?;
        in_range("paired_weight", self.paired_weight, 0.0..=100.0)?;
        in_range("level_weight", self.level_weight, 0.0..=100.0)?;
        in_range("uptake_weight", self.uptake_weight, 0.0..=100.0)?;
        in_range("cycle_weight", self.cycle_weight, 0.0..=100.0)?;
        in_range("adversarial_weight", self.adversarial_weight, 0.0..=100.0)
    }
}
