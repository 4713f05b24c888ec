use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, diffusion::Diffusion};

/// What the network predicts of `x_t`. Each follows from any other: with `a = sqrt(abar_t)` and `b = sqrt(1 - abar_t)`,
/// `x_t = a x_0 + b eps` and `v = a eps - b x_0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The noise `eps` (Ho et al. 2020).
    #[default]
    Noise,
    /// The clean image `x_0`.
    Clean,
    /// `v`, which stays well conditioned at both ends (Salimans and Ho 2022).
    Velocity,
}

impl Target {
    /// What the network should have said of each image at its own time.
    ///
    /// # Errors
    /// [`Error::Torch`] when shapes and times do not meet.
    pub fn of(self, diffusion: &Diffusion, clean: &Tensor, noise: &Tensor, times: &[usize]) -> Result<Tensor, Error> {
        let [a, b] = both(diffusion, clean, times)?;
        Ok(match self {
            Self::Noise => noise.shallow_clone(),
            Self::Clean => clean.shallow_clone(),
            Self::Velocity => noise.f_mul(&a)?.f_sub(&clean.f_mul(&b)?)?,
        })
    }

    /// The clean image and the noise that a prediction at time `t` > 0 means.
    ///
    /// # Errors
    /// [`Error::Torch`] when the shapes do not meet.
    pub fn read(
        self,
        diffusion: &Diffusion,
        predicted: &Tensor,
        noisy: &Tensor,
        t: usize,
    ) -> Result<[Tensor; 2], Error> {
        let alpha_bar = diffusion.alpha_bar(t);
        let (a, b) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        let mixed = |x: f64, y: f64| Ok::<_, Error>(noisy.f_mul_scalar(x)?.f_add(&predicted.f_mul_scalar(y)?)?);
        Ok(match self {
            Self::Noise => [mixed(1.0 / a, -b / a)?, predicted.shallow_clone()],
            Self::Clean => [predicted.shallow_clone(), mixed(1.0 / b, -a / b)?],
            Self::Velocity => [mixed(a, -b)?, mixed(b, a)?],
        })
    }
}

fn both(diffusion: &Diffusion, clean: &Tensor, times: &[usize]) -> Result<[Tensor; 2], Error> {
    let axes = clean.dim();
    Ok([diffusion.weights(times, axes, f64::sqrt)?, diffusion.weights(times, axes, |abar| (1.0 - abar).sqrt())?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diffusion::NoiseSchedule, probe::noise};

    #[test]
    fn every_target_gives_back_image_and_noise() {
        let diffusion = Diffusion::new(&NoiseSchedule::SYNDIFF).unwrap();
        let (clean, eps) = (noise(&[1, 1, 4, 4], 1), noise(&[1, 1, 4, 4], 2));
        for target in [Target::Noise, Target::Clean, Target::Velocity] {
            for t in 1..=3 {
                let noisy = diffusion.noised(&clean, &eps, t).unwrap();
                let predicted = target.of(&diffusion, &clean, &eps, &[t]).unwrap();
                let read = target.read(&diffusion, &predicted, &noisy, t).unwrap();
                for (found, expected) in read.iter().zip([&clean, &eps]) {
                    let farthest = (found - expected).abs().max().double_value(&[]);
                    assert!(farthest < 1e-4, "{target:?} {t}: {farthest}");
                }
            }
        }
    }
}
