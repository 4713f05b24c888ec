use isoscan_learned::Schedule;
use isoscan_nn::{DiscriminatorRecipe, Error, Norm, in_range};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::{DoublingRecipe, Forward, Variant};

/// Everything that decides the weights but the data: `weights/recipe.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Factors z, y, x that the network was trained at.
    pub factors: [i64; 3],
    /// How the coarse images of the training came about; decides what its `consistency` is measured with.
    pub forward: Forward,
    /// The network that doubles an axis.
    pub network: DoublingRecipe,
    /// What tells made planes from real ones.
    pub discriminator: DiscriminatorRecipe,
    /// Weight of the mean absolute difference.
    pub pixel_weight: f64,
    /// Weight of the difference of the logarithms of the spectra; at 0 it is not computed.
    pub frequency_weight: f64,
    /// Weight of the adversarial loss; at 0 there is no discriminator at work.
    pub adversarial_weight: f64,
    /// Largest change of contrast by chance, as a factor; brightness moves by up to as many standard deviations less 1.
    pub contrast: f64,
    /// Steps, rate, seed.
    pub schedule: Schedule,
}

impl Recipe {
    pub(crate) fn params() -> Vec<Param> {
        let weight = |id, default, text| Param::float(id, [0.0, 1e6], default, "", text);
        let mut params = vec![
            crate::family::scale(),
            crate::family::forward(),
            Param::choice(
                "variant",
                &["edsr", "hybrid"],
                "network: on the image, or on the spectrum and then the image",
            ),
            Param::int("width", [2, 256], 16, "", "channels inside the network"),
            Param::int("blocks", [1, 32], 4, "", "residual blocks; of the hybrid per level and side, 4 at most"),
            Param::int("discriminator_width", [1, 256], 16, "", "channels of the discriminator's first layer"),
            Param::int("discriminator_halvings", [1, 4], 2, "", "strided layers of the discriminator"),
            weight("pixel_weight", 1.0, "weight of the mean absolute difference"),
            weight("frequency_weight", 0.1, "weight of the difference of the spectra; 0 leaves it out"),
            weight("adversarial_weight", 0.001, "weight of the adversarial loss; 0 leaves it out"),
            Param::float("contrast", [1.0, 10.0], 2.0, "", "largest change of contrast by chance; 1 for none"),
        ];
        params.extend(Schedule::params(1e-3));
        params
    }

    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        let (params, context) = (&config.params, &config.context);
        if !context.paired {
            return Err(PluginError::invalid("super-resolution learns from pairs: train it with --paired"));
        }
        let [x, y, z] = context.refine.map(|factor| factor as i64);
        let hybrid = params.choice("variant")? == "hybrid";
        Ok(Self {
            factors: [z, y, x],
            forward: Forward::of(params.choice("forward")?),
            network: DoublingRecipe {
                variant: if hybrid { Variant::Hybrid } else { Variant::Edsr },
                width: params.int("width")?,
                blocks: params.int("blocks")?,
            },
            discriminator: DiscriminatorRecipe {
                width: params.int("discriminator_width")?,
                halvings: params.int("discriminator_halvings")?,
                norm: Norm::None,
                ..DiscriminatorRecipe::default()
            },
            pixel_weight: params.float("pixel_weight")?,
            frequency_weight: params.float("frequency_weight")?,
            adversarial_weight: params.float("adversarial_weight")?,
            contrast: params.float("contrast")?,
            schedule: Schedule::of(config)?,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.factors == [1; 3] {
            return Err(Error::Recipe {
                field: "scale",
                expected: "the scales finer than the input".into(),
                found: 1.0,
            });
        }
        in_range("pixel_weight", self.pixel_weight, 0.0..=1e6)?;
        in_range("frequency_weight", self.frequency_weight, 0.0..=1e6)?;
        in_range("adversarial_weight", self.adversarial_weight, 0.0..=1e6)?;
        in_range("contrast", self.contrast, 1.0..=10.0)?;
        self.schedule.check()
    }
}
