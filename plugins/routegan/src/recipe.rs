use std::path::Path;

use isoscan_nn::{Adversarial, Dim, DomainGanRecipe, Norm, read_recipe, write_recipe};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::{Conditioning, RouteGanRecipe, RoutedRecipe, scale::failed};

/// Name of the weights in `weights/`.
pub(crate) const WEIGHTS: &str = "routegan.safetensors";
/// Name of the recipe, in `weights/` and `checkpoint/`.
pub(crate) const RECIPE: &str = "recipe.json";
/// Name of the training state in `checkpoint/`.
pub(crate) const STATE: &str = "state.safetensors";

/// What made the weights, and what is needed to use them: `recipe.json` beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Names of the domains; `target` and `mix_with` count them from 0.
    pub domains: Vec<String>,
    /// The domain that a translation goes to unless told otherwise.
    pub target: usize,
    /// The network sees HU divided by this.
    pub hu_scale: f64,
    /// Seed of the training.
    pub seed: u64,
    /// Networks and losses.
    pub routegan: RouteGanRecipe,
}

/// The generator that the training parameters describe by default, but for its domains.
pub(crate) const GENERATOR: RoutedRecipe =
    RoutedRecipe { domains: 2, width: 8, levels: 2, routes: 4, conditioning: Conditioning::Both, norm: Norm::None };

impl Recipe {
    /// The parameters of training. `training/README.md` tells those of the shipped weights.
    pub(crate) fn params() -> Vec<Param> {
        let weight = |id, default, text| Param::float(id, [0.0, 1e6], default, "", text);
        vec![
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
            Param::float("learning_rate", [0.0, 1.0], 1e-3, "", "Adam's rate before it decays"),
            Param::float("constant_share", [0.0, 1.0], 0.5, "", "share of the steps before the rate decays to 0"),
            weight("domain_weight", 1.0, "weight of the domain loss"),
            weight("cycle_weight", 10.0, "weight of the cycle loss"),
            weight("identity_weight", 5.0, "weight of the identity loss"),
            weight("content_weight", 1.0, "weight of equal content features; 0 leaves it out"),
            weight("agreement_weight", 0.1, "weight of equal results by way of another domain; 0 leaves it out"),
            weight("noise_weight", 1.0, "weight of equal noise power in flat regions; 0 leaves it out"),
            Param::int("pool", [0, 9999], 50, "", "made patches the discriminator looks back on"),
            Param::float("average_decay", [0.0, 1.0], 0.995, "", "decay of the moving average that is kept"),
            Param::float("hu_scale", [1.0, 10000.0], 200.0, "HU", "the networks see HU divided by this"),
        ]
    }

    /// The recipe that a checked training session describes.
    ///
    /// Without named domains the two sides of the training are the domains `source` and `target`.
    pub(crate) fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        let (params, context) = (&config.params, &config.context);
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
        let routegan = RouteGanRecipe {
            generator,
            discriminator,
            adversarial: if hinge { Adversarial::Hinge } else { Adversarial::LeastSquares },
            steps: config.steps,
            learning_rate: params.float("learning_rate")?,
            constant_share: params.float("constant_share")?,
            domain_weight: params.float("domain_weight")?,
            cycle_weight: params.float("cycle_weight")?,
            identity_weight: params.float("identity_weight")?,
            content_weight: params.float("content_weight")?,
            agreement_weight: params.float("agreement_weight")?,
            noise_weight: params.float("noise_weight")?,
            pool: params.int("pool")? as usize,
            average_decay: params.float("average_decay")?,
        };
        Ok(Self { domains, target, hu_scale: params.float("hu_scale")?, seed: config.seed, routegan })
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

    /// Reads `recipe.json` of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, PluginError> {
        read_recipe(&folder.join(RECIPE)).map_err(failed)
    }

    /// Writes `recipe.json` into an existing folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), PluginError> {
        write_recipe(&folder.join(RECIPE), self).map_err(failed)
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
