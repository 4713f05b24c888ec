use isoscan_learned::Schedule;
use isoscan_nn::{DiscriminatorRecipe, Error, Norm, in_range};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::BandRecipe;

/// Everything that decides the weights but the data: `weights/recipe.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The network that predicts the bone image.
    pub network: BandRecipe,
    /// What tells made soft-tissue images from real ones; it sees the radiograph beside them.
    pub discriminator: DiscriminatorRecipe,
    /// The networks see the log attenuation divided by this.
    pub density_scale: f64,
    /// Weight of the mean absolute difference of the images.
    pub image_weight: f64,
    /// Weight of the mean absolute difference of the low Haar band; at 0 it is left out.
    pub low_band_weight: f64,
    /// Weight of that of each other band.
    pub other_band_weight: f64,
    /// Weight of the adversarial loss; at 0 there is no discriminator at work.
    pub adversarial_weight: f64,
    /// Differences count by the share of photons that comes through to this power: `10^(-power D)` of a log attenuation D.
    pub exposure_power: f64,
    /// Spheres of soft tissue that are planted in both images of every patch.
    pub planted: u64,
    /// Steps, rate, seed.
    pub schedule: Schedule,
}

/// The network that the training parameters describe by default.
pub(crate) const NETWORK: BandRecipe =
    BandRecipe { width: 12, levels: 3, blocks: 1, norm: Norm::None, contrast_gain: 0 };

impl Recipe {
    pub(crate) fn params() -> Vec<Param> {
        let weight = |id, default, text| Param::float(id, [0.0, 1e6], default, "", text);
        let mut params = vec![
            Param::int("width", [1, 256], NETWORK.width, "", "channels of the network's first level"),
            Param::int("levels", [1, 4], NETWORK.levels, "", "levels of the network on the grid of the bands"),
            Param::int("blocks", [1, 4], NETWORK.blocks, "", "residual blocks per level and side"),
            Param::choice("norm", &["none", "instance"], "normalisation; instance depends on the whole slice"),
            Param::int(
                "contrast_gain",
                [0, 1000],
                NETWORK.contrast_gain,
                "",
                "the network sees contrast to the surroundings times this, and their level; 0: the bands as they are",
            ),
            Param::int("discriminator_width", [1, 256], 16, "", "channels of the discriminator's first layer"),
            Param::int("discriminator_halvings", [1, 4], 2, "", "strided layers of the discriminator"),
            Param::float("density_scale", [0.001, 1000.0], 1.0, "", "the networks see log attenuation divided by this"),
            weight("image_weight", 1.0, "weight of the mean absolute difference of the images"),
            weight("low_band_weight", 1.0, "weight of that of the low Haar band; 0 leaves it out"),
            weight("other_band_weight", 2.0, "weight of that of each other Haar band; 0 leaves it out"),
            weight("adversarial_weight", 0.01, "weight of the adversarial loss; 0 leaves it out"),
            Param::float(
                "exposure_power",
                [0.0, 4.0],
                0.0,
                "",
                "differences count by the share of photons that comes through, to this power: lungs before the spine",
            ),
            Param::int("planted", [0, 64], 0, "", "spheres of soft tissue planted in both images of a patch"),
        ];
        params.extend(Schedule::params(1e-3));
        params
    }

    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        let params = &config.params;
        if !config.context.paired {
            return Err(PluginError::invalid("bone suppression learns from pairs: train it with --paired"));
        }
        let network = BandRecipe {
            width: params.int("width")?,
            levels: params.int("levels")?,
            blocks: params.int("blocks")?,
            norm: if params.choice("norm")? == "instance" { Norm::Instance } else { Norm::None },
            contrast_gain: params.int("contrast_gain")?,
        };
        let [x, y, z] = config.context.patch;
        let multiple = network.multiple();
        if [x, y, z].iter().any(|extent| *extent != 1 && extent % multiple != 0) {
            return Err(PluginError::invalid(format_args!(
                "patches of {x}x{y}x{z} voxels are no multiples of {multiple} in their plane: choose others, or fewer levels"
            )));
        }
        Ok(Self {
            network,
            discriminator: DiscriminatorRecipe {
                channels_in: 2,
                width: params.int("discriminator_width")?,
                halvings: params.int("discriminator_halvings")?,
                norm: Norm::None,
                ..DiscriminatorRecipe::default()
            },
            density_scale: params.float("density_scale")?,
            image_weight: params.float("image_weight")?,
            low_band_weight: params.float("low_band_weight")?,
            other_band_weight: params.float("other_band_weight")?,
            adversarial_weight: params.float("adversarial_weight")?,
            exposure_power: params.float("exposure_power")?,
            planted: params.int("planted")?.unsigned_abs(),
            schedule: Schedule::of(config)?,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        in_range("density_scale", self.density_scale, 0.001..=1000.0)?;
        in_range("exposure_power", self.exposure_power, 0.0..=4.0)?;
        in_range("planted", self.planted as f64, 0.0..=64.0)?;
        for (field, weight) in [
            ("image_weight", self.image_weight),
            ("low_band_weight", self.low_band_weight),
            ("other_band_weight", self.other_band_weight),
            ("adversarial_weight", self.adversarial_weight),
        ] {
            in_range(field, weight, 0.0..=1e6)?;
        }
        self.schedule.check()
    }
}
