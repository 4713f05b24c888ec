use tch::{Reduction, Tensor};

use crate::Error;

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

/// L1 loss: mean of `|a - b|`, the cycle and the identity term. Differentiable; a scalar tensor.
///
/// # Errors
/// [`Error::Torch`] when the shapes cannot be brought together.
pub fn absolute_difference(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    Ok(a.f_l1_loss(b, Reduction::Mean)?)
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
        assert_eq!(value(absolute_difference(&scores, &Tensor::from_slice(&[0.0_f32, 0.0, 1.0, 4.0]))), 3.5 / 4.0);
    }

    #[test]
    fn shapes_that_do_not_meet_are_an_error() {
        let loss = absolute_difference(&Tensor::from_slice(&[1.0_f32; 3]), &Tensor::from_slice(&[1.0_f32; 4]));
        assert!(matches!(loss, Err(Error::Torch(_))), "{loss:?}");
    }
}
