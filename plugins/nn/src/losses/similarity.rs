use tch::Tensor;

use crate::{Dim, Error, dim::dim_of};

/// The Gaussian window of SSIM and the range of the images.
///
/// Published (Wang et al. 2004): radius 5, sigma 1.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SsimWindow {
    /// Voxels from the centre to the edge of the window.
    pub radius: usize,
    /// Standard deviation in voxels.
    pub sigma: f64,
    /// Distance of the largest from the smallest possible value.
    pub range: f64,
}

/// Structural similarity (Wang et al. 2004), mean over the positions where the window fits; a scalar tensor, 1 for equal
/// images.
///
/// ```text
/// (2 m_a m_b + C1) (2 s_ab + C2) / ((m_a^2 + m_b^2 + C1) (s_a^2 + s_b^2 + C2))     C1 = (0.01 range)^2, C2 = (0.03 range)^2
/// ```
/// with weighted means m and population (co)variances s. As a loss: `1 - ssim`.
///
/// # Errors
/// [`Error::ImageShape`] when an extent is smaller than the window or the shapes differ.
pub fn ssim(a: &Tensor, b: &Tensor, window: SsimWindow) -> Result<Tensor, Error> {
    let (luminance, contrast) = terms(a, b, window)?;
    Ok(luminance.f_mul(&contrast)?.f_mean(None)?)
}

/// Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003) over 1 to 5 scales; a scalar tensor, 1 for equal images.
///
/// The contrast terms of all scales but the last and the full SSIM of the last, each mean no less than 1e-6, to the
/// powers .0448, .2856, .3001, .2363, .1333, the first `scales` of them brought to the sum 1; halving by means of 2 voxels
/// along each axis.
///
/// # Errors
/// [`Error::Recipe`] when `scales` is not 1 to 5, [`Error::ImageShape`] when an extent of the last scale is smaller
/// than the window or the shapes differ.
pub fn ms_ssim(a: &Tensor, b: &Tensor, window: SsimWindow, scales: usize) -> Result<Tensor, Error> {
    crate::in_range("scales", scales as f64, 1.0..=5.0)?;
    let powers = &[0.0448, 0.2856, 0.3001, 0.2363, 0.1333][..scales];
    let sum: f64 = powers.iter().sum();
    let (mut a, mut b) = (a.shallow_clone(), b.shallow_clone());
    let mut product: Option<Tensor> = None;
    for (scale, power) in powers.iter().enumerate() {
        let term = if scale + 1 == scales { ssim(&a, &b, window)? } else { terms(&a, &b, window)?.1.f_mean(None)? };
        let factor = term.f_clamp_min(1e-6)?.f_pow_tensor_scalar(power / sum)?;
        product = Some(match product {
            Some(product) => product.f_mul(&factor)?,
            None => factor,
        });
        if scale + 1 < scales {
            (a, b) = (halved(&a)?, halved(&b)?);
        }
    }
    product.ok_or(Error::Condition { expected: false })
}

/// The luminance and the contrast-structure term at every position.
fn terms(a: &Tensor, b: &Tensor, window: SsimWindow) -> Result<(Tensor, Tensor), Error> {
    let dim = dim_of(a)?;
    let side = 2 * window.radius as i64 + 1;
    if a.size() != b.size() || a.size()[2..].iter().any(|&extent| extent < side) {
        let expected = format!("two equal shapes with extents of at least {side}");
        return Err(Error::ImageShape { expected, found: [a.size(), b.size()].concat() });
    }
    let mean = |t: &Tensor| weighted_mean(t, dim, window);
    let (mean_a, mean_b) = (mean(a)?, mean(b)?);
    let products = [a.f_square()?, b.f_square()?, a.f_mul(b)?];
    let [square_a, square_b, product] = [mean(&products[0])?, mean(&products[1])?, mean(&products[2])?];
    let (mean_a2, mean_b2, mean_ab) = (mean_a.f_square()?, mean_b.f_square()?, mean_a.f_mul(&mean_b)?);
    let [c1, c2] = [0.01, 0.03].map(|k| (k * window.range).powi(2));
    let ratio = |above: Tensor, below: Tensor, c: f64| -> Result<Tensor, Error> {
        Ok(above.f_mul_scalar(2.0)?.f_add_scalar(c)?.f_div(&below.f_add_scalar(c)?)?)
    };
    let spread = square_a.f_sub(&mean_a2)?.f_add(&square_b.f_sub(&mean_b2)?)?;
    let contrast = ratio(product.f_sub(&mean_ab)?, spread, c2)?;
    Ok((ratio(mean_ab, mean_a2.f_add(&mean_b2)?, c1)?, contrast))
}

/// The Gaussian mean along each axis in turn, where the window fits.
fn weighted_mean(image: &Tensor, dim: Dim, window: SsimWindow) -> Result<Tensor, Error> {
    let shape = image.size();
    let mut image = match dim {
        Dim::Two => image.f_reshape([shape[0] * shape[1], 1, 1, shape[2], shape[3]])?,
        Dim::Three => image.f_reshape([shape[0] * shape[1], 1, shape[2], shape[3], shape[4]])?,
    };
    let radius = window.radius as i64;
    let raw: Vec<f64> = (-radius..=radius).map(|i| (-0.5 * (i as f64 / window.sigma).powi(2)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    let line = Tensor::f_from_slice(&raw.iter().map(|w| (w / sum) as f32).collect::<Vec<_>>())?;
    let none = None::<Tensor>;
    for axis in 3 - dim.axes()..3 {
        let mut extents = [1, 1, 1, 1, 1];
        extents[2 + axis] = 2 * radius + 1;
        let kernel = line.f_view(extents)?;
        image = image.f_conv3d(&kernel, none.as_ref(), [1, 1, 1], [0, 0, 0], [1, 1, 1], 1)?;
    }
    Ok(image)
}

fn halved(image: &Tensor) -> Result<Tensor, Error> {
    let dim = dim_of(image)?;
    let [twos, zeros] = [2, 0].map(|n| dim.each(n));
    Ok(match dim {
        Dim::Two => image.f_avg_pool2d(twos.clone(), twos, zeros, false, true, None)?,
        Dim::Three => image.f_avg_pool3d(twos.clone(), twos, zeros, false, true, None)?,
    })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn value(similarity: Result<Tensor, Error>) -> f64 {
        similarity.unwrap().f_double_value(&[]).unwrap()
    }

    fn waves(shape: &[i64], frequency: f64) -> Tensor {
        let count = shape.iter().product::<i64>();
        (Tensor::arange(count, (Kind::Float, Device::Cpu)) * frequency).sin().view(shape)
    }

    const WINDOW: SsimWindow = SsimWindow { radius: 1, sigma: 1e9, range: 10.0 };

    #[test]
    fn one_window_of_equal_weights_by_hand() {
        // Means 5 and 7, variances 60/9 and 15/9 (b = 4.5 + a/2), covariance 30/9.
        let a = Tensor::arange_start(1, 10, (Kind::Float, Device::Cpu)).view([1, 1, 3, 3]);
        let b = &a * 0.5 + 4.5;
        let (c1, c2) = (0.01, 0.09);
        let expected = (2.0 * 35.0 + c1) / (25.0 + 49.0 + c1) * (2.0 * 30.0 / 9.0 + c2) / (75.0 / 9.0 + c2);
        assert!((value(ssim(&a, &b, WINDOW)) - expected).abs() < 1e-4);
        assert!((value(ms_ssim(&a, &b, WINDOW, 1)) - expected).abs() < 1e-4);
    }

    #[test]
    fn equal_images_are_similar_and_noise_is_less_so_in_2_and_3_axes() {
        let window = SsimWindow { radius: 2, sigma: 1.5, range: 2.0 };
        for shape in [vec![2, 1, 24, 24], vec![1, 1, 12, 12, 12]] {
            let (a, b) = (waves(&shape, 0.1), waves(&shape, 0.1) + waves(&shape, 1.7));
            for similarity in [ssim as fn(&_, &_, _) -> _, |a: &_, b: &_, w| ms_ssim(a, b, w, 2)] {
                assert!((value(similarity(&a, &a, window)) - 1.0).abs() < 1e-5);
                assert!(value(similarity(&a, &b, window)) < 0.95);
            }
        }
    }

    #[test]
    fn windows_that_do_not_fit_and_scales_that_do_not_exist_are_refused() {
        let a = waves(&[1, 1, 6, 6], 1.0);
        assert!(matches!(ms_ssim(&a, &a, SsimWindow { radius: 2, ..WINDOW }, 2), Err(Error::ImageShape { .. })));
        assert!(matches!(ms_ssim(&a, &a, WINDOW, 6), Err(Error::Recipe { field: "scales", .. })));
        assert!(matches!(ssim(&a, &waves(&[1, 1, 6, 5], 1.0), WINDOW), Err(Error::ImageShape { .. })));
    }
}
