use tch::{Reduction, Tensor};

use crate::{Error, dim::dim_of, haar_analysis};

/// L1 loss: mean of `|a - b|`. Differentiable; a scalar tensor.
///
/// # Errors
/// [`Error::Torch`] when the shapes cannot be brought together.
pub fn absolute_difference(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    Ok(a.f_l1_loss(b, Reduction::Mean)?)
}

/// L1 loss inside a mask of weights: `sum(mask |a - b|) / sum(mask)`; 0 where the mask is empty. A scalar tensor.
///
/// # Errors
/// [`Error::Torch`] when the shapes cannot be brought together.
pub fn masked_absolute_difference(a: &Tensor, b: &Tensor, mask: &Tensor) -> Result<Tensor, Error> {
    let (difference, mask) = (a.f_sub(b)?.f_abs()?, mask.f_expand_as(a)?);
    let weight = mask.f_sum(None)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
    Ok(difference.f_mul(&mask)?.f_sum(None)?.f_div(&weight)?)
}

/// Charbonnier loss: mean of `sqrt((a - b)^2 + epsilon^2)`, an L1 without the corner (Lai et al. 2017). A scalar tensor.
///
/// # Errors
/// [`Error::Torch`] when the shapes cannot be brought together.
pub fn charbonnier(a: &Tensor, b: &Tensor, epsilon: f64) -> Result<Tensor, Error> {
    Ok(a.f_sub(b)?.f_square()?.f_add_scalar(epsilon * epsilon)?.f_sqrt()?.f_mean(None)?)
}

/// Gradient difference (Mathieu et al. 2016, power 2): mean of `(|step of a| - |step of b|)^2`, summed over the axes. A scalar
/// tensor.
///
/// # Errors
/// [`Error::ImageShape`] when the images have neither 2 nor 3 spatial axes, [`Error::Torch`] when the shapes differ.
pub fn gradient_difference(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    over_axes(a, |axis| Ok(steps(a, axis)?.f_abs()?.f_sub(&steps(b, axis)?.f_abs()?)?.f_square()?.f_mean(None)?))
}

/// Total variation: mean of `|step|` from voxel to voxel, summed over the axes. A scalar tensor.
///
/// # Errors
/// [`Error::ImageShape`] when the image has neither 2 nor 3 spatial axes.
pub fn total_variation(image: &Tensor) -> Result<Tensor, Error> {
    over_axes(image, |axis| Ok(steps(image, axis)?.f_abs()?.f_mean(None)?))
}

/// L1 of every Haar band, `sum of weight_i mean |A_i - B_i|`, the first weight for the low band and the second for each
/// other one. A scalar tensor.
///
/// # Errors
/// As [`haar_analysis`]; [`Error::Torch`] when the shapes differ.
pub fn haar_difference(a: &Tensor, b: &Tensor, weights: [f64; 2]) -> Result<Tensor, Error> {
    let bands = 1_i64 << dim_of(a)?.axes();
    let difference = haar_analysis(a)?.f_sub(&haar_analysis(b)?)?.f_abs()?;
    let shape = difference.size();
    let by_band = difference.f_view([shape[0], shape[1] / bands, bands, -1])?;
    let low = by_band.f_select(2, 0)?.f_mean(None)?;
    let others = by_band.f_narrow(2, 1, bands - 1)?.f_mean(None)?.f_mul_scalar((bands - 1) as f64)?;
    Ok(low.f_mul_scalar(weights[0])?.f_add(&others.f_mul_scalar(weights[1])?)?)
}

fn steps(image: &Tensor, axis: i64) -> Result<Tensor, Error> {
    let count = image.size()[axis as usize] - 1;
    Ok(image.f_narrow(axis, 1, count)?.f_sub(&image.f_narrow(axis, 0, count)?)?)
}

/// The sum of a term over the spatial axes that have more than one voxel; 0 when none has.
fn over_axes(image: &Tensor, term: impl Fn(i64) -> Result<Tensor, Error>) -> Result<Tensor, Error> {
    let dim = dim_of(image)?;
    let mut total = image.f_sum(None)?.f_mul_scalar(0.0)?;
    for axis in (2..2 + dim.axes()).filter(|&axis| image.size()[axis] > 1) {
        total = total.f_add(&term(axis as i64)?)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(loss: Result<Tensor, Error>) -> f64 {
        loss.unwrap().f_double_value(&[]).unwrap()
    }

    fn square(values: [f32; 4]) -> Tensor {
        Tensor::from_slice(&values).view([1, 1, 2, 2])
    }

    #[test]
    fn losses_by_hand() {
        let (a, b) = (square([1.0, 0.0, 0.5, 2.0]), square([0.0, 0.0, 1.0, 4.0]));
        assert_eq!(value(absolute_difference(&a, &b)), 3.5 / 4.0);
        assert_eq!(value(masked_absolute_difference(&a, &b, &square([1.0, 0.0, 0.0, 3.0]))), (1.0 + 6.0) / 4.0);
        assert_eq!(value(masked_absolute_difference(&a, &b, &square([0.0; 4]))), 0.0);
        let charbonnier_by_hand = [1.0_f64, 0.0, 0.5, 2.0].iter().map(|d| (d * d + 0.01).sqrt()).sum::<f64>() / 4.0;
        assert!((value(charbonnier(&a, &b, 0.1)) - charbonnier_by_hand).abs() < 1e-6);
        // Steps of a: y -0.5, 2; x -1, 1.5. Of b: y 1, 4; x 0, 3.
        assert_eq!(value(total_variation(&a)), 2.5 / 2.0 + 2.5 / 2.0);
        let by_hand = (0.5_f64.powi(2) + 4.0) / 2.0 + (1.0 + 1.5_f64.powi(2)) / 2.0;
        assert_eq!(value(gradient_difference(&a, &b)), by_hand);
        // a - b = 1, 0, -0.5, -2: LL -0.75, LH 1.25, HL 1.75, HH -0.25.
        assert!((value(haar_difference(&a, &b, [1.0, 2.0])) - (0.75 + 2.0 * 3.25)).abs() < 1e-6);
    }

    #[test]
    fn an_axis_of_one_voxel_has_no_gradient() {
        let slab = Tensor::from_slice(&[1.0_f32, 4.0]).view([1, 1, 1, 1, 2]);
        assert_eq!(value(total_variation(&slab)), 3.0);
    }

    #[test]
    fn shapes_that_do_not_meet_are_an_error() {
        let loss = absolute_difference(&Tensor::from_slice(&[1.0_f32; 3]), &Tensor::from_slice(&[1.0_f32; 4]));
        assert!(matches!(loss, Err(Error::Torch(_))), "{loss:?}");
        assert!(matches!(total_variation(&Tensor::from_slice(&[1.0_f32])), Err(Error::ImageShape { .. })));
    }
}
