use isoscan_learned::Schedule;
use isoscan_nn::{Adversarial, Dim, DomainGanRecipe, Error, Norm, in_range};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::{Conditioning, Defaults, RoutedRecipe, Task};

/// What made the weights, and what is needed to use them: `recipe.json` beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Names of the domains; `target` and `mix_with` count them from 0.
    pub domains: Vec<String>,
    /// The domain that a translation goes to unless told otherwise.
    pub target: usize,
    /// The training had two sides, not named domains.
    #[serde(default)]
    pub two_sided: bool,
    /// The value that is 0 to the network.
    #[serde(default)]
    pub zero: f64,
    /// The difference that is 1 to the network.
    #[serde(alias = "hu_scale")]
    pub scale: f64,
    /// Seed, steps and rates.
    pub schedule: Schedule,
    /// The generator.
    pub generator: RoutedRecipe,
    /// The discriminator; it knows the generator's domains and has 2 channels, the image and its texture.
    pub discriminator: DomainGanRecipe,
    /// The adversarial loss.
    pub adversarial: Adversarial,
    /// Weight of the domain term, against 1 of the adversarial term.
    pub domain_weight: f64,
    /// Weight of the way back to the own domain.
    pub cycle_weight: f64,
    /// Weight of the translation to the own domain.
    pub identity_weight: f64,
    /// Weight of equal content features before and after; at 0 it is not computed.
    pub content_weight: f64,
    /// Weight of equal results by way of another domain and directly; at 0 it is not computed.
    pub agreement_weight: f64,
    /// Weight of equal noise power in flat regions; at 0 it is not computed.
    pub noise_weight: f64,
    /// Images that the discriminator's pool holds.
    pub pool: usize,
}

/// The generator that the training parameters describe by default, but for its domains.
pub(crate) const GENERATOR: RoutedRecipe =
    RoutedRecipe { domains: 2, width: 8, levels: 2, routes: 4, conditioning: Conditioning::Both, norm: Norm::None };

impl Recipe {
    /// The parameters of training. `training/README.md` tells those of the shipped weights.
    pub(crate) fn params<T: Task>() -> Vec<Param> {
        let Defaults { unit, zero, scale } = T::defaults();
        let weight = |id, default, text| Param::float(id, [0.0, 1e6], default, "", text);
        let mut params = Schedule::params(1e-3);
        params.extend([
            Param::choice(
                "conditioning",
                &["both", "routes", "adain", "label"],
                "how the target acts: branches and scales, branches, scales, or constant planes beside the image",
            ),
            Param::int("routes", [1, 16], GENERATOR.routes, "", "parallel branches of each layer of the decoder"),
            Param::int("width", [1, 256], GENERATOR.width, "", "channels of the generator on the full grid"),
            Param::int("levels", [1, 3], GENERATOR.levels, "", "times the generator halves the grid"),
            Param::choice("norm", &["none", "instance"], "normalisation; instance depends on the whole slice"),
            Param::int("discriminator_width", [1, 256], 16, "", "channels of the discriminator's first layer"),
            Param::int("discriminator_halvings", [1, 6], 3, "", "strided layers of the discriminator"),
            Param::choice("adversarial", &["least-squares", "hinge"], "adversarial loss"),
            weight("domain_weight", 1.0, "weight of the domain loss"),
            weight("cycle_weight", 10.0, "weight of the cycle loss"),
            weight("identity_weight", 5.0, "weight of the identity loss"),
            weight("content_weight", 1.0, "weight of equal content features; 0 leaves it out"),
            weight("agreement_weight", 0.1, "weight of equal results by way of another domain; 0 leaves it out"),
            weight("noise_weight", 1.0, "weight of equal noise power in flat regions; 0 leaves it out"),
            Param::int("pool", [0, 9999], 50, "", "made patches the discriminator looks back on"),
            Param::float("zero", [-1e6, 1e6], zero, unit, "the value that is 0 to the networks"),
            Param::float("scale", [1e-6, 1e6], scale, unit, "the difference that is 1 to the networks"),
        ]);
        params
    }

    /// The recipe that a checked training session describes.
    ///
    /// Without named domains the two sides of the training are the domains `source` and `target`.
    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        let (params, context) = (&config.params, &config.context);
        if context.paired {
            return Err(PluginError::invalid("it learns from unpaired images"));
        }
        let mut domains = context.domains.clone();
        if domains.is_empty() {
            domains = vec!["source".into(), "target".into()];
        }
        let wanted = context.target_domain.as_deref().or(context.domains.is_empty().then_some("target"));
        let target = match wanted {
            Some(wanted) => domains.iter().position(|name| name == wanted).ok_or_else(|| {
                PluginError::invalid(format_args!("target domain '{wanted}' is not one of {}", domains.join(", ")))
            })?,
            None => 0,
        };
        let count = domains.len() as i64;
        let generator = RoutedRecipe {
            domains: count,
            width: params.int("width")?,
            levels: params.int("levels")?,
            routes: params.int("routes")?,
            conditioning: conditioning(params.choice("conditioning")?),
            norm: if params.choice("norm")? == "instance" { Norm::Instance } else { Norm::None },
        };
        let discriminator = DomainGanRecipe {
            dim: Dim::Two,
            channels_in: 2,
            width: params.int("discriminator_width")?,
            halvings: params.int("discriminator_halvings")?,
            domains: count,
        };
        let hinge = params.choice("adversarial")? == "hinge";
        Ok(Self {
            domains,
            target,
            two_sided: context.domains.is_empty(),
            zero: params.float("zero")?,
            scale: params.float("scale")?,
            schedule: Schedule::of(config)?,
            generator,
            discriminator,
            adversarial: if hinge { Adversarial::Hinge } else { Adversarial::LeastSquares },
            domain_weight: params.float("domain_weight")?,
            cycle_weight: params.float("cycle_weight")?,
            identity_weight: params.float("identity_weight")?,
            content_weight: params.float("content_weight")?,
            agreement_weight: params.float("agreement_weight")?,
            noise_weight: params.float("noise_weight")?,
            pool: params.int("pool")? as usize,
        })
    }

    /// The domain that a translation parameter names: its number, or -1 for the recipe's target.
    pub(crate) fn domain(&self, number: i64) -> Result<usize, PluginError> {
        if number == -1 {
            return Ok(self.target);
        }
        usize::try_from(number).ok().filter(|&domain| domain < self.domains.len()).ok_or_else(|| {
            let names = self.domains.iter().enumerate().map(|(domain, name)| format!("{domain} {name}"));
            let names = names.collect::<Vec<_>>().join(", ");
            PluginError::invalid(format_args!("the weights know no domain {number}, they know {names}"))
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        in_range("zero", self.zero, -1e6..=1e6)?;
        in_range("scale", self.scale, 1e-6..=1e6)?;
        for (field, weight) in [
            ("domain_weight", self.domain_weight),
            ("cycle_weight", self.cycle_weight),
            ("identity_weight", self.identity_weight),
            ("content_weight", self.content_weight),
            ("agreement_weight", self.agreement_weight),
            ("noise_weight", self.noise_weight),
        ] {
            in_range(field, weight, 0.0..=1e6)?;
        }
        in_range("pool", self.pool as f64, 0.0..=9999.0)
    }
}

fn conditioning(choice: &str) -> Conditioning {
    match choice {
        "routes" => Conditioning::Routes,
        "adain" => Conditioning::Adain,
        "label" => Conditioning::Label,
        _ => Conditioning::Both,
    }
}
