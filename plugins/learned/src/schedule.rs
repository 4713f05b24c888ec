use isoscan_nn::{Descent, Error, in_range, linear_decay};
use isoscan_sdk::{Param, PluginError, TrainConfig};
use serde::{Deserialize, Serialize};

/// How long, how fast and from which seed a training goes: the same for every family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Seed of everything random.
    pub seed: u64,
    /// Steps in all; decides the decay of the learning rate.
    pub steps: u64,
    /// Adam's rate before the decay.
    pub learning_rate: f64,
    /// Share of the steps at the full rate, 0 to 1; the rest decays linearly to 0.
    pub constant_share: f64,
    /// Decay of the moving average of the weights that is kept.
    pub average_decay: f64,
}

impl Schedule {
    /// The parameters that [`Schedule::of`] reads.
    pub fn params(learning_rate: f64) -> Vec<Param> {
        vec![
            Param::float("learning_rate", [0.0, 1.0], learning_rate, "", "Adam's rate before it decays"),
            Param::float("constant_share", [0.0, 1.0], 0.5, "", "share of the steps before the rate decays to 0"),
            Param::float("average_decay", [0.0, 1.0], 0.995, "", "decay of the moving average that is kept"),
        ]
    }

    /// The schedule of a checked training session.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the family does not declare [`Schedule::params`].
    pub fn of(config: &TrainConfig) -> Result<Self, PluginError> {
        Ok(Self {
            seed: config.seed,
            steps: config.steps,
            learning_rate: config.params.float("learning_rate")?,
            constant_share: config.params.float("constant_share")?,
            average_decay: config.params.float("average_decay")?,
        })
    }

    /// Refuses numbers out of their range.
    ///
    /// # Errors
    /// [`Error::Recipe`].
    pub fn check(&self) -> Result<(), Error> {
        in_range("learning_rate", self.learning_rate, 0.0..=1.0)?;
        in_range("constant_share", self.constant_share, 0.0..=1.0)?;
        in_range("average_decay", self.average_decay, 0.0..=1.0)
    }

    /// Rate of a step, and no limit to its gradients.
    pub fn descent(&self, step: u64) -> Descent {
        let constant = (self.steps as f64 * self.constant_share).round() as u64;
        Descent { rate: linear_decay(self.learning_rate, step, constant, self.steps), step, clip: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_stays_and_then_falls_to_nothing() {
        let schedule = Schedule { seed: 1, steps: 100, learning_rate: 0.5, constant_share: 0.5, average_decay: 0.9 };
        let rates = [0, 50, 75, 100].map(|step| schedule.descent(step).rate);
        assert_eq!(rates, [0.5, 0.5, 0.25, 0.0]);
        let refused = Schedule { average_decay: 1.5, ..schedule }.check().unwrap_err();
        assert_eq!(refused.to_string(), "recipe: average_decay must be in 0..=1, found 1.5");
    }
}
