use tch::{Device, Kind, Tensor};

use crate::{Dim, Edge, Error, conv::padded, dim::dim_of, losses::absolute_difference};

/// Mean of `|log(1 + |A|) - log(1 + |B|)|` over the orthonormal discrete Fourier transforms A and B. A scalar tensor.
///
/// # Errors
/// [`Error::ImageShape`] when an image has neither 2 nor 3 spatial axes, [`Error::Torch`] when the shapes differ.
pub fn log_magnitude_difference(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    let log = |t: &Tensor| Ok::<_, Error>(power(&transformed(t)?)?.f_add_scalar(1e-12)?.f_sqrt()?.f_log1p()?);
    absolute_difference(&log(a)?, &log(b)?)
}

/// Mean of `|A - B|^2` over the orthonormal discrete Fourier transforms A and B, half of the spectrum. A scalar tensor.
///
/// # Errors
/// [`Error::ImageShape`] when an image has neither 2 nor 3 spatial axes, [`Error::Torch`] when the shapes differ.
pub fn spectrum_difference(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    Ok(power(&transformed(&a.f_sub(b)?)?)?.f_mean(None)?)
}

/// Difference of the noise of two batches: mean over `bands` rings of equal width in frequency of
/// `|log(P_a + 1e-6) - log(P_b + 1e-6)|`. A scalar tensor.
///
/// P is the power per voxel of what 3-voxel means leave over, within the weights `flat` (see [`flat_regions`]; 1
/// everywhere counts edges as noise), averaged over the batch. The batches need not hold the same places.
///
/// # Errors
/// [`Error::Recipe`] when `bands` is not 1 to 64, [`Error::ImageShape`] when an image has neither 2 nor 3 spatial axes,
/// [`Error::Torch`] when image and weights differ in shape.
pub fn noise_power_difference(
    [a, flat_a]: [&Tensor; 2],
    [b, flat_b]: [&Tensor; 2],
    bands: i64,
) -> Result<Tensor, Error> {
    crate::in_range("bands", bands as f64, 1.0..=64.0)?;
    let log = |image: &Tensor, flat: &Tensor| -> Result<Tensor, Error> {
        Ok(noise_power(image, flat, bands)?.f_add_scalar(1e-6)?.f_log()?)
    };
    absolute_difference(&log(a, flat_a)?, &log(b, flat_b)?)
}

/// 1 where 5-voxel means change by less than `limit` from the voxel before along every axis, else 0; no gradient.
///
/// # Errors
/// [`Error::ImageShape`] when the image has neither 2 nor 3 spatial axes.
pub fn flat_regions(image: &Tensor, limit: f64) -> Result<Tensor, Error> {
    let dim = dim_of(image)?;
    let smooth = mean(&image.f_detach()?, dim, 2)?;
    let mut flat = smooth.f_ones_like()?;
    for axis in dim.spatial() {
        let step = smooth.f_diff(1, axis, Some(&smooth.f_narrow(axis, 0, 1)?), None)?.f_abs()?;
        flat = flat.f_mul(&step.f_lt(limit)?.f_to_kind(Kind::Float)?)?;
    }
    Ok(flat)
}

/// Power of the noise by ring, `[bands]`.
fn noise_power(image: &Tensor, flat: &Tensor, bands: i64) -> Result<Tensor, Error> {
    let dim = dim_of(image)?;
    let noise = image.f_sub(&mean(image, dim, 1)?)?.f_mul(flat)?;
    let share = flat.f_mean(None)?.f_clamp_min(1e-6)?;
    let power = power(&transformed(&noise)?)?.f_mean_dim(Some([0_i64, 1].as_slice()), false, Kind::Float)?;
    let rings = rings(&image.size()[2..], bands)?;
    let count = Tensor::f_zeros([bands], (Kind::Float, Device::Cpu))?;
    let count = count.f_index_add(0, &rings, &power.f_ones_like()?.f_flatten(0, -1)?)?.f_clamp_min(1.0)?;
    let sums = Tensor::f_zeros([bands], (Kind::Float, Device::Cpu))?;
    Ok(sums.f_index_add(0, &rings, &power.f_flatten(0, -1)?)?.f_div(&count)?.f_div(&share)?)
}

/// The ring of each frequency of the half spectrum; the corner beyond the Nyquist radius belongs to the last one.
fn rings(extents: &[i64], bands: i64) -> Result<Tensor, Error> {
    let last = extents.len() - 1;
    let mut radius = Tensor::f_zeros([1], (Kind::Float, Device::Cpu))?;
    for (axis, &extent) in extents.iter().enumerate() {
        let count = if axis == last { extent / 2 + 1 } else { extent };
        let frequencies: Vec<f32> = (0..count).map(|k| k.min(extent - k) as f32 / extent as f32).collect();
        let line = Tensor::f_from_slice(&frequencies)?;
        radius = radius.f_unsqueeze(-1)?.f_add(&line.f_square()?)?;
    }
    let ring = radius.f_sqrt()?.f_mul_scalar(2.0 * bands as f64)?.f_floor()?.f_clamp_max((bands - 1) as f64)?;
    Ok(ring.f_to_kind(Kind::Int64)?.f_flatten(0, -1)?)
}

fn transformed(image: &Tensor) -> Result<Tensor, Error> {
    let axes = dim_of(image)?.spatial();
    Ok(image.f_fft_rfftn(None::<i64>, Some(axes.as_slice()), "ortho")?.f_view_as_real()?)
}

/// `re^2 + im^2`.
fn power(spectrum: &Tensor) -> Result<Tensor, Error> {
    Ok(spectrum.f_square()?.f_sum_dim_intlist(Some([-1_i64].as_slice()), false, Kind::Float)?)
}

/// The mean over a cube of `2 radius + 1` voxels; the edge is repeated.
fn mean(image: &Tensor, dim: Dim, radius: i64) -> Result<Tensor, Error> {
    let [side, one, zero] = [2 * radius + 1, 1, 0].map(|n| dim.each(n));
    let image = padded(image, dim, radius, Edge::Replicate)?;
    Ok(match dim {
        Dim::Two => image.f_avg_pool2d(side, one, zero, false, true, None)?,
        Dim::Three => image.f_avg_pool3d(side, one, zero, false, true, None)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    fn value(loss: Result<Tensor, Error>) -> f64 {
        loss.unwrap().f_double_value(&[]).unwrap()
    }

    fn noise(shape: &[i64], seed: u64) -> Tensor {
        let random = Random::new(seed, &[]);
        let values: Vec<f32> = (0..shape.iter().product::<i64>()).map(|i| random.normal(i as u64) as f32).collect();
        Tensor::from_slice(&values).view(shape)
    }

    #[test]
    fn a_constant_difference_lies_in_the_first_coefficient_alone() {
        // 4x4, difference 2: orthonormal sum 16 * 2 / 4 = 8 at one of 4 x 3 coefficients.
        let a = noise(&[1, 1, 4, 4], 1);
        let b = &a + 2.0;
        assert!((value(spectrum_difference(&a, &b)) - 64.0 / 12.0).abs() < 1e-5);
        let zero = a.zeros_like();
        assert!((value(log_magnitude_difference(&zero, &(&zero + 2.0))) - 9_f64.ln() / 12.0).abs() < 1e-5);
        assert!(value(log_magnitude_difference(&a, &a)) < 1e-7);
    }

    #[test]
    fn log_magnitude_ignores_a_shift_and_the_complex_difference_does_not() {
        let a = noise(&[1, 1, 4, 6, 8], 2);
        let moved = a.roll([2], [4]);
        assert!(value(log_magnitude_difference(&a, &moved)) < 1e-5);
        assert!(value(spectrum_difference(&a, &moved)) > 0.5);
    }

    #[test]
    fn noise_of_double_strength_differs_by_ln_4_and_of_equal_strength_hardly() {
        for shape in [vec![8, 1, 32, 32], vec![2, 1, 16, 16, 16]] {
            let (a, b) = (noise(&shape, 1), noise(&shape, 2));
            let all = a.ones_like();
            assert!(value(noise_power_difference([&a, &all], [&b, &all], 4)) < 0.1);
            let loud = &b * 2.0;
            let found = value(noise_power_difference([&a, &all], [&loud, &all], 4));
            assert!((found - 4_f64.ln()).abs() < 0.1, "{found}");
        }
        let a = noise(&[1, 1, 8, 8], 1);
        assert!(matches!(noise_power_difference([&a, &a], [&a, &a], 0), Err(Error::Recipe { field: "bands", .. })));
    }

    #[test]
    fn a_step_is_not_flat_and_both_its_sides_are() {
        let image = Tensor::cat(
            &[
                Tensor::zeros([1, 1, 6, 8], (Kind::Float, Device::Cpu)),
                Tensor::ones([1, 1, 6, 8], (Kind::Float, Device::Cpu)),
            ],
            3,
        );
        let flat = flat_regions(&image, 0.1).unwrap();
        let row = Vec::<f32>::try_from(flat.select(2, 3).flatten(0, -1)).unwrap();
        // The mean over 5 rises by 0.2 at each of the voxels 6 to 10.
        let steep = [6, 7, 8, 9, 10];
        for (x, value) in row.iter().enumerate() {
            assert_eq!(*value == 0.0, steep.contains(&x), "{x}: {row:?}");
        }
    }
}
