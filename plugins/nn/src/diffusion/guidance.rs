use tch::Tensor;

use crate::Error;

/// Classifier-free guidance (Ho and Salimans 2022): `(1 + scale) conditional - scale unconditional`, of predictions of
/// the same target at the same time. 0 is the conditional prediction.
///
/// # Errors
/// [`Error::Torch`] when the shapes do not meet.
pub fn away_from_unconditional(conditional: &Tensor, unconditional: &Tensor, scale: f64) -> Result<Tensor, Error> {
    Ok(conditional.f_mul_scalar(1.0 + scale)?.f_sub(&unconditional.f_mul_scalar(scale)?)?)
}

/// Classifier guidance (Dhariwal and Nichol 2021): `noise - scale sqrt(1 - abar_t) gradient`, with the gradient of the
/// class's log-probability at `x_t`.
///
/// # Errors
/// [`Error::Torch`] when the shapes do not meet.
pub fn towards_class(noise: &Tensor, gradient: &Tensor, alpha_bar: f64, scale: f64) -> Result<Tensor, Error> {
    Ok(noise.f_sub(&gradient.f_mul_scalar(scale * (1.0 - alpha_bar).sqrt())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_by_hand() {
        let [a, b] = [[1.0_f32, 2.0], [0.5, 4.0]].map(|v| Tensor::from_slice(&v));
        let free = Vec::<f32>::try_from(away_from_unconditional(&a, &b, 2.0).unwrap()).unwrap();
        assert_eq!(free, [3.0 - 1.0, 6.0 - 8.0]);
        let pulled = Vec::<f32>::try_from(towards_class(&a, &b, 0.75, 10.0).unwrap()).unwrap();
        assert_eq!(pulled, [1.0 - 2.5, 2.0 - 20.0]);
    }

    #[test]
    fn the_gradient_of_a_class_moves_the_mean_of_a_normal_distribution_as_bayes_says() {
        // x_0 is N(0, 1), so x_t is too and eps = sqrt(1 - abar) x_t; p(class | x_t) = exp(k x_t) moves the mean by k.
        let x = Tensor::from_slice(&[-1.0_f32, 0.0, 2.0]);
        let (alpha_bar, pull) = (0.36_f64, 0.7);
        let noise = &x * (1.0 - alpha_bar).sqrt();
        let guided = towards_class(&noise, &(x.ones_like() * pull), alpha_bar, 1.0).unwrap();
        let expected = (x - pull) * (1.0 - alpha_bar).sqrt();
        assert!((guided - expected).abs().max().double_value(&[]) < 1e-6);
    }
}
