use std::collections::BTreeMap;

use tch::{Tensor, no_grad};

use crate::{Error, Parameters};

/// Adam (Kingma and Ba 2015) with its moments in the open, so that a checkpoint can hold them.
///
/// ```text
/// m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
/// w <- w - rate m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + 1e-8)
/// ```
/// with betas b1 and b2 as given.
#[derive(Debug)]
pub struct Adam {
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    betas: [f64; 2],
}

/// Decays for adversarial training (Radford et al. 2016).
pub const ADVERSARIAL_BETAS: [f64; 2] = [0.5, 0.999];
/// Decays as published (Kingma and Ba 2015).
pub const PUBLISHED_BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

impl Adam {
    /// Moments of zero for the weights of a network.
    ///
    /// # Errors
    /// [`Error::Torch`] when memory is short.
    pub fn new(parameters: &Parameters, betas: [f64; 2]) -> Result<Self, Error> {
        let zeros =
            || parameters.tensors().iter().map(|t| Ok(t.f_zeros_like()?.f_detach()?)).collect::<Result<_, Error>>();
        Ok(Self { first: zeros()?, second: zeros()?, betas })
    }

    /// Moves the weights along `gradients` (same order as the weights); `update` counts from 1. A weight with no
    /// gradient, which the loss does not depend on, stays as it is.
    ///
    /// # Errors
    /// [`Error::Torch`] when a gradient has another shape than its weight.
    pub fn step(&mut self, parameters: &Parameters, gradients: &[Tensor], rate: f64, update: u64) -> Result<(), Error> {
        let betas = self.betas;
        let [bias_1, bias_2] = betas.map(|beta| 1.0 - beta.powf(update as f64));
        no_grad(|| {
            let moments = self.first.iter_mut().zip(&mut self.second);
            for ((mut weight, gradient), (m, v)) in parameters.tensors().into_iter().zip(gradients).zip(moments) {
                if !gradient.defined() {
                    continue;
                }
                let _ = m.f_mul_scalar_(betas[0])?.f_add_(&gradient.f_mul_scalar(1.0 - betas[0])?)?;
                let _ = v.f_mul_scalar_(betas[1])?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - betas[1])?)?;
                let scale = v.f_div_scalar(bias_2)?.f_sqrt()?.f_add_scalar(EPSILON)?;
                let _ = weight.f_sub_(&m.f_div(&scale)?.f_mul_scalar(rate / bias_1)?)?;
            }
            Ok(())
        })
    }

    /// The moments as named tensors, for a checkpoint.
    pub fn named(&self, parameters: &Parameters, prefix: &str) -> Vec<(String, Tensor)> {
        let mut all = Vec::new();
        for (moments, kind) in [(&self.first, "first"), (&self.second, "second")] {
            for ((name, _), moment) in parameters.named(&format!("{prefix}.{kind}")).into_iter().zip(moments) {
                all.push((name, moment.shallow_clone()));
            }
        }
        all
    }

    /// Takes the moments from a checkpoint.
    ///
    /// # Errors
    /// [`Error::MissingWeight`] or [`Error::WeightShape`] when the checkpoint is of another network.
    pub fn load(
        &mut self,
        parameters: &Parameters,
        prefix: &str,
        file: &BTreeMap<String, Tensor>,
    ) -> Result<(), Error> {
        for (moments, kind) in [(&mut self.first, "first"), (&mut self.second, "second")] {
            for ((name, _), moment) in parameters.named(&format!("{prefix}.{kind}")).into_iter().zip(moments) {
                let found = file.get(&name).ok_or_else(|| Error::MissingWeight { name: name.clone() })?;
                if found.size() != moment.size() {
                    return Err(Error::WeightShape { name, expected: moment.size(), found: found.size() });
                }
                moment.f_copy_(found)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_updates_by_hand() {
        let mut parameters = Parameters::new(0, 0);
        let weight = parameters.zeros("w".into(), &[1]).unwrap();
        let mut adam = Adam::new(&parameters, ADVERSARIAL_BETAS).unwrap();
        adam.step(&parameters, &[Tensor::from_slice(&[2.0_f32])], 0.1, 1).unwrap();
        // m/b = g, v/b = g^2: the first move is the rate against the sign.
        assert!((weight.double_value(&[0]) + 0.1).abs() < 1e-6);
        adam.step(&parameters, &[Tensor::from_slice(&[-1.0_f32])], 0.1, 2).unwrap();
        // m = 0.5*1 - 0.5 = 0; so the second move is nothing.
        assert!((weight.double_value(&[0]) + 0.1).abs() < 1e-6);
        adam.step(&parameters, &[Tensor::from_slice(&[1.0_f32])], 0.1, 3).unwrap();
        // m = 0.5, bias 0.875; v = 0.001*(4*0.999^2 + 0.999 + 1), bias 1 - 0.999^3.
        let v: f64 = 0.001 * (4.0 * 0.999_f64.powi(2) + 0.999 + 1.0) / (1.0 - 0.999_f64.powi(3));
        let expected = -0.1 - 0.1 * (0.5 / 0.875) / v.sqrt();
        assert!((weight.double_value(&[0]) - expected).abs() < 1e-6);
    }
}
