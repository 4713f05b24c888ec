use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, in_range};

/// How fast the image turns into noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NoiseSchedule {
    /// `beta_t` on a straight line from `first` to `last` (Ho et al. 2020: 1e-4 to 0.02 in 1000 steps).
    Linear {
        /// Steps, 1 to 10000.
        steps: usize,
        /// `beta_1`.
        first: f64,
        /// `beta_steps`.
        last: f64,
    },
    /// `abar_t = f(t) / f(0)`, `f(t) = cos^2((t / steps + 0.008) / 1.008 pi / 2)`, `beta_t` at most 0.999 (Nichol and
    /// Dhariwal 2021).
    Cosine {
        /// Steps, 1 to 10000.
        steps: usize,
    },
    /// The continuous variance-preserving process (Song et al. 2021), `abar(u) = exp(-least u - (most - least) u^2 / 2)`, at
    /// `u_t = 0.001 + 0.999 t / steps` and relative to `u_0`. With 4 steps and 0.1 to 20 it is the grid of SynDiff
    /// (Ozbey et al. 2023).
    VariancePreserving {
        /// Steps, 1 to 10000.
        steps: usize,
        /// Rate at the image.
        least: f64,
        /// Rate at the noise.
        most: f64,
    },
}

impl NoiseSchedule {
    /// The grid of SynDiff: 4 steps, rates 0.1 to 20.
    pub const SYNDIFF: Self = Self::VariancePreserving { steps: 4, least: 0.1, most: 20.0 };

    /// Number of steps.
    pub fn steps(&self) -> usize {
        match *self {
            Self::Linear { steps, .. } | Self::Cosine { steps } | Self::VariancePreserving { steps, .. } => steps,
        }
    }

    fn check(&self) -> Result<(), Error> {
        in_range("noise steps", self.steps() as f64, 1.0..=10_000.0)?;
        match *self {
            Self::Linear { first, last, .. } => {
                in_range("first beta", first, 1e-9..=0.999)?;
                in_range("last beta", last, first..=0.999)
            }
            Self::Cosine { .. } => Ok(()),
            Self::VariancePreserving { least, most, .. } => {
                in_range("least rate", least, 1e-6..=1000.0)?;
                in_range("most rate", most, least..=1000.0)
            }
        }
    }

    /// `beta_t`, t from 1.
    fn beta(&self, t: usize) -> f64 {
        let share = |t: usize| t as f64 / self.steps() as f64;
        match *self {
            Self::Linear { steps: 1, first, .. } => first,
            Self::Linear { steps, first, last } => first + (last - first) * (t - 1) as f64 / (steps - 1) as f64,
            Self::Cosine { .. } => {
                let f = |t| (((share(t) + 0.008) / 1.008) * std::f64::consts::FRAC_PI_2).cos().powi(2);
                (1.0 - f(t) / f(t - 1)).min(0.999)
            }
            Self::VariancePreserving { least, most, .. } => {
                let log = |t| {
                    let u = 0.001 + 0.999 * share(t);
                    -least * u - 0.5 * (most - least) * u * u
                };
                1.0 - (log(t) - log(t - 1)).exp()
            }
        }
    }
}

/// The table of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    /// By time; the clean image's 1 first.
    alpha_bar: Vec<f64>,
}

/// `q(x_s | x_t, x_0)` for s < t: normal, with mean `of_clean x_0 + of_noisy x_t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// `sqrt(abar_s) beta / (1 - abar_t)` with `beta = 1 - abar_t / abar_s`.
    pub of_clean: f64,
    /// `sqrt(abar_t / abar_s) (1 - abar_s) / (1 - abar_t)`.
    pub of_noisy: f64,
    /// `beta (1 - abar_s) / (1 - abar_t)`.
    pub variance: f64,
}

impl Diffusion {
    /// The table of a schedule.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number of the schedule is out of its range.
    pub fn new(schedule: &NoiseSchedule) -> Result<Self, Error> {
        schedule.check()?;
        let mut alpha_bar = vec![1.0];
        for t in 1..=schedule.steps() {
            alpha_bar.push(alpha_bar[t - 1] * (1.0 - schedule.beta(t)));
        }
        Ok(Self { alpha_bar })
    }

    /// The time of noise alone.
    pub fn steps(&self) -> usize {
        self.alpha_bar.len() - 1
    }

    /// Share of the image's variance that is left at time `t`; past the end that of the end.
    pub fn alpha_bar(&self, t: usize) -> f64 {
        self.alpha_bar[t.min(self.steps())]
    }

    /// `x_t` of a clean image and standard normal noise of its shape.
    ///
    /// # Errors
    /// [`Error::Torch`] when the shapes do not meet.
    pub fn noised(&self, clean: &Tensor, noise: &Tensor, t: usize) -> Result<Tensor, Error> {
        let alpha_bar = self.alpha_bar(t);
        Ok(clean.f_mul_scalar(alpha_bar.sqrt())?.f_add(&noise.f_mul_scalar((1.0 - alpha_bar).sqrt())?)?)
    }

    /// [`Diffusion::noised`] with a time per image of the batch.
    ///
    /// # Errors
    /// [`Error::Torch`] when there is not one time per image.
    pub fn noised_each(&self, clean: &Tensor, noise: &Tensor, times: &[usize]) -> Result<Tensor, Error> {
        let weights = |of: fn(f64) -> f64| self.weights(times, clean.dim(), of);
        Ok(clean.f_mul(&weights(f64::sqrt)?)?.f_add(&noise.f_mul(&weights(|a| (1.0 - a).sqrt())?)?)?)
    }

    /// `of(abar_t)` of each time as `[batch, 1, ...]` with so many axes.
    pub(crate) fn weights(&self, times: &[usize], axes: usize, of: impl Fn(f64) -> f64) -> Result<Tensor, Error> {
        let values: Vec<f32> = times.iter().map(|&t| of(self.alpha_bar(t)) as f32).collect();
        let mut shape = vec![times.len() as i64];
        shape.resize(axes, 1);
        Ok(Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?)
    }

    /// The posterior of an earlier time `s` given a later one `t`.
    pub fn posterior(&self, s: usize, t: usize) -> Posterior {
        let [at_s, at_t] = [s, t].map(|time| self.alpha_bar(time));
        let beta = 1.0 - at_t / at_s;
        let rest = 1.0 - at_t;
        Posterior {
            of_clean: at_s.sqrt() * beta / rest,
            of_noisy: (at_t / at_s).sqrt() * (1.0 - at_s) / rest,
            variance: beta * (1.0 - at_s) / rest,
        }
    }

    /// Times from `level` down to 0 in at most `count` strides of nearly equal length.
    pub fn path(&self, level: usize, count: usize) -> Vec<usize> {
        let level = level.min(self.steps());
        let count = count.clamp(1, level.max(1));
        (0..=count).map(|stride| (level * (count - stride) + count / 2) / count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::noise;

    fn table(schedule: NoiseSchedule) -> Diffusion {
        Diffusion::new(&schedule).unwrap()
    }

    #[test]
    fn alpha_bar_by_hand() {
        let linear = table(NoiseSchedule::Linear { steps: 3, first: 0.1, last: 0.3 });
        for (t, expected) in [(0, 1.0), (1, 0.9), (2, 0.9 * 0.8), (3, 0.9 * 0.8 * 0.7)] {
            assert!((linear.alpha_bar(t) - expected).abs() < 1e-12, "{t}");
        }
        // cos^2 of the shares 0.008, 0.508 and 1.008 of 1.008, times pi / 2; the last beta is held at 0.999.
        let cosine = table(NoiseSchedule::Cosine { steps: 2 });
        let f = |share: f64| (share / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        assert!((cosine.alpha_bar(1) - f(0.508) / f(0.008)).abs() < 1e-12);
        assert!((cosine.alpha_bar(2) - 0.001 * f(0.508) / f(0.008)).abs() < 1e-12);
        // -0.1 u - 9.95 u^2 at u = 0.001, 0.25075, 0.5005, 0.75025, 1, relative to the first.
        let four = table(NoiseSchedule::SYNDIFF);
        for (t, log) in [(1, -0.650_597), (2, -2.542_429), (3, -5.675_483), (4, -10.049_890)] {
            assert!((four.alpha_bar(t).ln() - log).abs() < 1e-4, "{t}: {}", four.alpha_bar(t).ln());
        }
        assert!(table(NoiseSchedule::Linear { steps: 1000, first: 1e-4, last: 0.02 }).alpha_bar(1000) < 5e-5);
    }

    #[test]
    fn posterior_by_hand_and_it_returns_the_image_at_the_end() {
        // abar 0.9 and 0.72: beta 0.2, rest 0.28.
        let posterior = table(NoiseSchedule::Linear { steps: 3, first: 0.1, last: 0.3 }).posterior(1, 2);
        assert!((posterior.of_clean - 0.9_f64.sqrt() * 0.2 / 0.28).abs() < 1e-12);
        assert!((posterior.of_noisy - 0.8_f64.sqrt() * 0.1 / 0.28).abs() < 1e-12);
        assert!((posterior.variance - 0.2 * 0.1 / 0.28).abs() < 1e-12);
        let last = table(NoiseSchedule::SYNDIFF).posterior(0, 1);
        assert!((last.of_clean - 1.0).abs() < 1e-12 && last.of_noisy == 0.0 && last.variance == 0.0);
    }

    #[test]
    fn forward_noising_has_the_moments_of_its_formula() {
        let diffusion = table(NoiseSchedule::Linear { steps: 100, first: 1e-3, last: 0.05 });
        let (clean, eps) =
            (Tensor::full([1, 1, 100, 100], 3.0, (tch::Kind::Float, tch::Device::Cpu)), noise(&[1, 1, 100, 100], 1));
        for t in [1, 40, 100] {
            let noised = diffusion.noised(&clean, &eps, t).unwrap();
            let alpha_bar = diffusion.alpha_bar(t);
            let (mean, variance) = (noised.mean(None).double_value(&[]), noised.var(false).double_value(&[]));
            // Four standard errors of 10000 draws.
            assert!((mean - 3.0 * alpha_bar.sqrt()).abs() < 0.04 * (1.0 - alpha_bar).sqrt(), "{t}: {mean}");
            assert!((variance / (1.0 - alpha_bar) - 1.0).abs() < 0.057, "{t}: {variance}");
            let each = diffusion.noised_each(&clean, &eps, &[t]).unwrap();
            assert!((each - noised).abs().max().double_value(&[]) < 1e-6);
        }
    }

    #[test]
    fn a_path_ends_at_the_image_and_never_stands_still() {
        let diffusion = table(NoiseSchedule::Linear { steps: 10, first: 1e-4, last: 0.02 });
        for (level, count, expected) in [
            (10, 10, (0..=10).rev().collect()),
            (10, 3, vec![10, 7, 3, 0]),
            (2, 50, vec![2, 1, 0]),
            (99, 1, vec![10, 0]),
        ] {
            assert_eq!(diffusion.path(level, count), expected, "{level} {count}");
        }
    }

    #[test]
    fn schedules_out_of_range_are_refused() {
        let refused = Diffusion::new(&NoiseSchedule::Linear { steps: 5, first: 0.1, last: 0.05 }).unwrap_err();
        assert_eq!(refused.to_string(), "recipe: last beta must be in 0.1..=0.999, found 0.05");
        assert!(Diffusion::new(&NoiseSchedule::Cosine { steps: 0 }).is_err());
    }
}
