use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Error;

/// What a discriminator's scores are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adversarial {
    /// [`least_squares`] (Mao et al. 2017).
    LeastSquares,
    /// Discriminator `max(0, 1 - real) + max(0, 1 + made)`, generator `-made` (Lim and Ye 2017).
    Hinge,
    /// Discriminator `softplus(-real) + softplus(made)`, generator `softplus(-made)` (Goodfellow et al. 2014, non-saturating).
    Softplus,
}

impl Adversarial {
    /// The generator's loss on the scores of what it made; a scalar tensor.
    ///
    /// # Errors
    /// [`Error::Torch`] when libtorch refuses the tensor.
    pub fn generator(self, made: &Tensor) -> Result<Tensor, Error> {
        match self {
            Self::LeastSquares => least_squares(made, true),
            Self::Hinge => Ok(made.f_mean(None)?.f_neg()?),
            Self::Softplus => Ok(made.f_neg()?.f_softplus()?.f_mean(None)?),
        }
    }

    /// The discriminator's loss on scores of real and made images, summed; a scalar tensor.
    ///
    /// # Errors
    /// [`Error::Torch`] when libtorch refuses a tensor.
    pub fn discriminator(self, real: &Tensor, made: &Tensor) -> Result<Tensor, Error> {
        let [real, made] = match self {
            Self::LeastSquares => [least_squares(real, true)?, least_squares(made, false)?],
            Self::Hinge => {
                let short = |t: Tensor| Ok::<_, Error>(t.f_add_scalar(1.0)?.f_relu()?.f_mean(None)?);
                [short(real.f_neg()?)?, short(made.shallow_clone())?]
            }
            Self::Softplus => [real.f_neg()?.f_softplus()?.f_mean(None)?, made.f_softplus()?.f_mean(None)?],
        };
        Ok(real.f_add(&made)?)
    }
}

/// Least-squares adversarial loss (Mao et al. 2017): mean of `(score - label)^2`, label 1 for real and 0 for made.
///
/// Differentiable; a scalar tensor.
///
/// # Errors
/// [`Error::Torch`] when libtorch refuses the tensor.
pub fn least_squares(scores: &Tensor, real: bool) -> Result<Tensor, Error> {
    let difference = if real { scores.f_sub_scalar(1.0)? } else { scores.shallow_clone() };
    Ok(difference.f_square()?.f_mean(None)?)
}

/// R1 (Mescheder et al. 2018): mean over the batch of the squared norm of the score's gradient at real images.
///
/// `score` is called once with the images. Differentiable in the discriminator's weights; a scalar tensor, to be
/// weighted with gamma / 2.
///
/// # Errors
/// As `score`; [`Error::Torch`] when the scores do not depend on the images.
pub fn gradient_penalty(real: &Tensor, score: impl FnOnce(&Tensor) -> Result<Tensor, Error>) -> Result<Tensor, Error> {
    let images = real.f_detach()?.f_set_requires_grad(true)?;
    let total = score(&images)?.f_sum(None)?;
    let gradients = Tensor::f_run_backward(&[&total], &[&images], true, true)?;
    let batch = real.size().first().copied().unwrap_or(1).max(1);
    let squares = gradients.iter().map(|gradient| Ok(gradient.f_square()?.f_sum(None)?));
    let squares = squares.collect::<Result<Vec<_>, Error>>()?;
    Ok(Tensor::f_stack(&squares, 0)?.f_sum(None)?.f_div_scalar(batch as f64)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(loss: Result<Tensor, Error>) -> f64 {
        loss.unwrap().f_double_value(&[]).unwrap()
    }

    #[test]
    fn losses_by_hand() {
        let scores = Tensor::from_slice(&[1.0_f32, 0.0, 0.5, 2.0]);
        assert_eq!(value(least_squares(&scores, true)), (0.0 + 1.0 + 0.25 + 1.0) / 4.0);
        assert_eq!(value(least_squares(&scores, false)), (1.0 + 0.0 + 0.25 + 4.0) / 4.0);
        let (real, made) = (Tensor::from_slice(&[0.5_f32, 3.0]), Tensor::from_slice(&[-2.0_f32, 1.0]));
        let softplus = |x: f64| (1.0 + x.exp()).ln();
        for (kind, generator, discriminator) in [
            (Adversarial::LeastSquares, (9.0 + 0.0) / 2.0, (0.25 + 4.0) / 2.0 + (4.0 + 1.0) / 2.0),
            (Adversarial::Hinge, 0.5, 0.5 / 2.0 + 2.0 / 2.0),
            (
                Adversarial::Softplus,
                (softplus(2.0) + softplus(-1.0)) / 2.0,
                (softplus(-0.5) + softplus(-3.0) + softplus(-2.0) + softplus(1.0)) / 2.0,
            ),
        ] {
            assert!((value(kind.generator(&made)) - generator).abs() < 1e-6, "{kind:?}");
            assert!((value(kind.discriminator(&real, &made)) - discriminator).abs() < 1e-6, "{kind:?}");
        }
    }

    #[test]
    fn gradient_penalty_of_a_quadratic_by_hand() {
        // score = w x^2: gradient 2 w x; squares 4 w^2 (1 + 4 + 9 + 16) over a batch of 2; its slope in w is twice that / w.
        let weight = Tensor::from_slice(&[3.0_f32]).set_requires_grad(true);
        let images = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]);
        let penalty = gradient_penalty(&images, |x| Ok(x.f_square()?.f_mul(&weight)?)).unwrap();
        assert_eq!(penalty.double_value(&[]), 4.0 * 9.0 * 30.0 / 2.0);
        let slope = Tensor::run_backward(&[&penalty], &[&weight], false, false);
        assert_eq!(slope[0].double_value(&[0]), 8.0 * 3.0 * 30.0 / 2.0);
    }
}
