use isoscan_learned::Schedule;
use isoscan_nn::{Error, in_range};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::{Backbone, Dimensions, SynthesisRecipe, family::HALO};

/// Everything that decides the weights but the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How long and how fast.
    pub schedule: Schedule,
    /// The generator.
    pub network: SynthesisRecipe,
    /// Whether a registration network absorbs what pairs are off by.
    pub registration: bool,
    /// HU that are 1 inside the networks.
    pub hu_scale: f64,
    /// HU above which a voxel of the CT is tissue; the rest is air.
    pub tissue_hu: f64,
    /// Weight of the discriminator's judgement beside the L1 loss, whose weight is 1; 0 trains without one.
    pub adversarial_weight: f64,
    /// Weight of the cross-entropy of tissue.
    pub tissue_weight: f64,
    /// Weight of the roughness of the displacement.
    pub smoothness_weight: f64,
    /// Channels of the discriminator's first layer.
    pub discriminator_width: i64,
    /// Made images that the discriminator remembers.
    pub pool: i64,
}

impl Recipe {
    pub(crate) fn params() -> Vec<Param> {
        let mut params = vec![
            Param::choice("dimensions", &Dimensions::WORDS, "slices, slices with neighbours as channels, or volumes"),
            Param::int("neighbours", [1, 4], 1, "", "slices to each side, of 2.5d"),
            Param::choice("network", &["unet", "resnet"], "what the generator is built of"),
            Param::int("width", [1, 128], 16, "", "channels on the full grid"),
            Param::int("halvings", [1, 3], 2, "", "times the grid is halved"),
            Param::int("blocks", [1, 16], 1, "", "residual blocks: of a U-Net per level and side, of a ResNet in all"),
            Param::choice("registration", &["off", "on"], "whether pairs may lie a little beside each other"),
            Param::float("hu_scale", [1.0, 10_000.0], 1000.0, "HU", "what is 1 inside the networks"),
            Param::float("tissue_hu", [-1000.0, 0.0], -800.0, "HU", "above it a voxel of the CT is tissue, not air"),
            Param::float("adversarial_weight", [0.0, 100.0], 0.01, "", "beside the L1 loss; 0: no discriminator"),
            Param::float("tissue_weight", [0.0, 100.0], 0.1, "", "of the cross-entropy of tissue"),
            Param::float("smoothness_weight", [0.0, 100.0], 0.5, "", "of the displacement's roughness"),
            Param::int("discriminator_width", [1, 256], 16, "", "channels of its first layer"),
            Param::int("pool", [0, 500], 50, "", "made images that the discriminator remembers"),
        ];
        params.extend(Schedule::params(1e-3));
        params
    }

    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        if !config.context.paired || !config.context.domains.is_empty() {
            return Err(PluginError::invalid(
                "mr-to-ct learns from pairs: train it with --source, --target and --paired",
            ));
        }
        let params = &config.params;
        let network = SynthesisRecipe {
            dimensions: Dimensions::of(params.choice("dimensions")?),
            neighbours: params.int("neighbours")?,
            backbone: if params.choice("network")? == "resnet" { Backbone::ResNet } else { Backbone::UNet },
            width: params.int("width")?,
            halvings: params.int("halvings")?,
            blocks: params.int("blocks")?,
        };
        if network.halo() > HALO {
            return Err(PluginError::invalid(format_args!(
                "expected a network that reaches {HALO} voxels at most, found {}: take fewer halvings or blocks",
                network.halo()
            )));
        }
        let (deep, needed) = (config.context.patch[2], 1 + 2 * network.dimensions.reach(network.neighbours));
        if deep > 0 && (deep as i64) < needed {
            return Err(PluginError::invalid(format_args!(
                "expected patches of {needed} slices or more, found {deep}: train with --patch 64x64x{needed}"
            )));
        }
        Ok(Self {
            schedule: Schedule::of(config)?,
            network,
            registration: params.choice("registration")? == "on",
            hu_scale: params.float("hu_scale")?,
            tissue_hu: params.float("tissue_hu")?,
            adversarial_weight: params.float("adversarial_weight")?,
            tissue_weight: params.float("tissue_weight")?,
            smoothness_weight: params.float("smoothness_weight")?,
            discriminator_width: params.int("discriminator_width")?,
            pool: params.int("pool")?,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        in_range("hu_scale", self.hu_scale, 1.0..=10_000.0)?;
        in_range("tissue_hu", self.tissue_hu, -1000.0..=0.0)?;
        in_range("adversarial_weight", self.adversarial_weight, 0.0..=100.0)?;
        in_range("tissue_weight", self.tissue_weight, 0.0..=100.0)?;
        in_range("smoothness_weight", self.smoothness_weight, 0.0..=100.0)
    }
}
