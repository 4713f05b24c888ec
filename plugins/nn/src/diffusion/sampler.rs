use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Error,
    diffusion::{Diffusion, Target},
};

/// A way through the times of a diffusion.
#[derive(Debug, Clone, Copy)]
pub struct Trajectory<'a> {
    /// The process.
    pub diffusion: &'a Diffusion,
    /// What the network predicts.
    pub target: Target,
    /// Falling times, 0 last: [`Diffusion::path`].
    pub times: &'a [usize],
}

/// Variance of a reverse step from time t to s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// That of the posterior.
    #[default]
    FixedSmall,
    /// That of the forward step, `1 - abar_t / abar_s`.
    FixedLarge,
}

/// Samples step by step from the posterior of the predicted image (Ho et al. 2020): from `start` at the first time of the
/// trajectory to a clean image.
///
/// `predict(x_t, t)` is the network; `noise(s)` the standard normal noise that is added on reaching time s, asked for
/// s > 0 alone.
///
/// # Errors
/// As `predict` and `noise`; [`Error::Torch`] when shapes do not meet.
pub fn ancestral(
    trajectory: Trajectory<'_>,
    start: &Tensor,
    variance: Variance,
    mut predict: impl FnMut(&Tensor, usize) -> Result<Tensor, Error>,
    mut noise: impl FnMut(usize) -> Result<Tensor, Error>,
) -> Result<Tensor, Error> {
    let Trajectory { diffusion, target, times } = trajectory;
    let mut x = start.shallow_clone();
    for (t, s) in strides(times) {
        let [clean, _] = target.read(diffusion, &predict(&x, t)?, &x, t)?;
        let posterior = diffusion.posterior(s, t);
        x = clean.f_mul_scalar(posterior.of_clean)?.f_add(&x.f_mul_scalar(posterior.of_noisy)?)?;
        if s > 0 {
            let spread = match variance {
                Variance::FixedSmall => posterior.variance,
                Variance::FixedLarge => 1.0 - diffusion.alpha_bar(t) / diffusion.alpha_bar(s),
            };
            x = x.f_add(&noise(s)?.f_mul_scalar(spread.sqrt())?)?;
        }
    }
    Ok(x)
}

/// Samples by DDIM (Song, Meng and Ermon 2021): `eta` 0 adds no noise and is a fixed map, 1 has the variance of
/// [`Variance::FixedSmall`]. As [`ancestral`] otherwise; noise is asked for only where it is added.
///
/// # Errors
/// As [`ancestral`].
pub fn ddim(
    trajectory: Trajectory<'_>,
    start: &Tensor,
    eta: f64,
    mut predict: impl FnMut(&Tensor, usize) -> Result<Tensor, Error>,
    mut noise: impl FnMut(usize) -> Result<Tensor, Error>,
) -> Result<Tensor, Error> {
    let Trajectory { diffusion, target, times } = trajectory;
    let mut x = start.shallow_clone();
    for (t, s) in strides(times) {
        let [clean, eps] = target.read(diffusion, &predict(&x, t)?, &x, t)?;
        let variance = eta * eta * diffusion.posterior(s, t).variance;
        let kept = (1.0 - diffusion.alpha_bar(s) - variance).max(0.0).sqrt();
        x = clean.f_mul_scalar(diffusion.alpha_bar(s).sqrt())?.f_add(&eps.f_mul_scalar(kept)?)?;
        if variance > 0.0 {
            x = x.f_add(&noise(s)?.f_mul_scalar(variance.sqrt())?)?;
        }
    }
    Ok(x)
}

/// Encodes a clean image by walking [`ddim`] with `eta` 0 backwards: what decoding from the first time of the trajectory
/// brings back.
///
/// Each stride up takes the noise as predicted where it starts, as published; the stride away from the clean image,
/// where no noise can be seen, as predicted where it ends. Every further correction predicts it where the stride ended
/// and goes it anew, which makes the inverse exact in the limit.
///
/// # Errors
/// As [`ancestral`].
pub fn inverted(
    trajectory: Trajectory<'_>,
    image: &Tensor,
    corrections: usize,
    mut predict: impl FnMut(&Tensor, usize) -> Result<Tensor, Error>,
) -> Result<Tensor, Error> {
    let Trajectory { diffusion, target, times } = trajectory;
    let mut x = image.shallow_clone();
    let mut upwards: Vec<(usize, usize)> = strides(times).collect();
    upwards.reverse();
    for (t, s) in upwards {
        let [at_s, at_t] = [s, t].map(|time| diffusion.alpha_bar(time));
        let scale = (at_t / at_s).sqrt();
        let gain = (1.0 - at_t).sqrt() - scale * (1.0 - at_s).sqrt();
        let mut seen = if s == 0 { x.f_mul_scalar(scale)? } else { x.shallow_clone() };
        let mut at = if s == 0 { t } else { s };
        let from = x.f_mul_scalar(scale)?;
        for _ in 0..=corrections {
            let [_, eps] = target.read(diffusion, &predict(&seen, at)?, &seen, at)?;
            seen = from.f_add(&eps.f_mul_scalar(gain)?)?;
            at = t;
        }
        x = seen;
    }
    Ok(x)
}

/// Later and earlier time of each stride.
fn strides(times: &[usize]) -> impl Iterator<Item = (usize, usize)> + '_ {
    times.windows(2).map(|pair| (pair[0], pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diffusion::NoiseSchedule, probe};

    /// The best prediction for voxels that are independent and normal: `E[x_0 | x_t]`.
    fn of_normal(diffusion: &Diffusion, mean: f64, deviation: f64) -> impl Fn(&Tensor, usize) -> Result<Tensor, Error> {
        move |x, t| {
            let alpha_bar = diffusion.alpha_bar(t);
            let gain = alpha_bar.sqrt() * deviation.powi(2) / (alpha_bar * deviation.powi(2) + 1.0 - alpha_bar);
            Ok((x - mean * alpha_bar.sqrt()) * gain + mean)
        }
    }

    fn table() -> Diffusion {
        Diffusion::new(&NoiseSchedule::Linear { steps: 200, first: 5e-4, last: 0.1 }).unwrap()
    }

    #[test]
    fn samplers_draw_from_a_normal_distribution_when_its_score_is_exact() {
        let diffusion = table();
        let times = diffusion.path(200, 200);
        let trajectory = Trajectory { diffusion: &diffusion, target: Target::Clean, times: &times };
        let (start, predict) = (probe::noise(&[1, 1, 64, 64], 1), of_normal(&diffusion, 2.0, 0.5));
        let noise = |s: usize| Ok(probe::noise(&[1, 1, 64, 64], 10 + s as u64));
        for (name, made) in [
            ("small", ancestral(trajectory, &start, Variance::FixedSmall, &predict, noise)),
            ("large", ancestral(trajectory, &start, Variance::FixedLarge, &predict, noise)),
            ("ddim", ddim(trajectory, &start, 0.0, &predict, noise)),
            ("ddim with noise", ddim(trajectory, &start, 1.0, &predict, noise)),
        ] {
            let made = made.unwrap();
            let (mean, deviation) = (made.mean(None).double_value(&[]), made.std(false).double_value(&[]));
            // Four standard errors of 4096 draws, and 2 % for the strides.
            assert!((mean - 2.0).abs() < 0.031, "{name}: {mean}");
            assert!((deviation / 0.5 - 1.0).abs() < 0.064, "{name}: {deviation}");
        }
    }

    #[test]
    fn ddim_with_all_its_noise_is_ancestral_sampling() {
        let diffusion = table();
        let times = diffusion.path(150, 7);
        let trajectory = Trajectory { diffusion: &diffusion, target: Target::Clean, times: &times };
        let (start, predict) = (probe::noise(&[1, 1, 8, 8], 1), of_normal(&diffusion, 1.0, 0.3));
        let noise = |s: usize| Ok(probe::noise(&[1, 1, 8, 8], 10 + s as u64));
        let one = ancestral(trajectory, &start, Variance::FixedSmall, &predict, noise).unwrap();
        let other = ddim(trajectory, &start, 1.0, &predict, noise).unwrap();
        assert!((one - other).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn an_encoded_image_is_decoded_to_itself() {
        let diffusion = table();
        let image = probe::noise(&[1, 1, 16, 16], 3) * 0.5 + 2.0;
        let predict = of_normal(&diffusion, 2.0, 0.5);
        let none = |_: usize| Ok(probe::noise(&[1, 1, 16, 16], 9));
        for (count, corrections, most) in [(120, 0, 5e-2), (120, 30, 1e-4), (12, 60, 1e-3)] {
            let times = diffusion.path(120, count);
            let trajectory = Trajectory { diffusion: &diffusion, target: Target::Clean, times: &times };
            let code = inverted(trajectory, &image, corrections, &predict).unwrap();
            let back = ddim(trajectory, &code, 0.0, &predict, none).unwrap();
            let farthest = (&back - &image).abs().max().double_value(&[]);
            assert!(farthest < most, "{count} strides, {corrections} corrections: {farthest}");
            assert!((code - &image).abs().max().double_value(&[]) > 0.5);
        }
    }
}
