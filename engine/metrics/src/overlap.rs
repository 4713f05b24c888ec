use isoscan_imaging::{Mask, Volume};

use crate::Error;
use crate::similarity::require_finite;

/// Grids closer than this at every corner, in mm, count as one.
const GRID_TOLERANCE_MM: f64 = 1e-3;

/// How far a found region covers the true one. A share of nothing is NaN.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Overlap {
    /// `2 |F ∩ T| / (|F| + |T|)`.
    pub dice: f64,
    /// `|F ∩ T| / |T|`.
    pub recall: f64,
    /// `|F ∩ T| / |F|`.
    pub precision: f64,
}

/// Compares a found region with the true one, voxel by voxel.
///
/// Worked case: of four voxels the first two are found, the last three true: `dice = 2/5`, `recall = 1/3`,
/// `precision = 1/2`.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ.
pub fn overlap(found: &Mask, truth: &Mask) -> Result<Overlap, Error> {
    found.geometry().require_same(truth.geometry(), GRID_TOLERANCE_MM)?;
    let both = found.inside().iter().zip(truth.inside()).filter(|(f, t)| **f && **t).count() as f64;
    let (found, truth) = (found.count() as f64, truth.count() as f64);
    Ok(Overlap { dice: 2.0 * both / (found + truth), recall: both / truth, precision: both / found })
}

/// Contrast to noise of a region against a background: `(mean_R - mean_B) / sd_B`, with sd over `n - 1`.
///
/// Worked case: a region of 10 and 12 on a background of 1, 2 and 3 has `(11 - 2) / 1 = 9`.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ or a region is empty, [`Error::NotFinite`].
pub fn contrast_to_noise(image: &Volume, region: &Mask, background: &Mask) -> Result<f64, Error> {
    let [region, background] = [region, background].map(|mask| moments(image, mask));
    let ((mean, _), (level, noise)) = (region?, background?);
    Ok((mean - level) / noise)
}

/// Mean and standard deviation over `n - 1` inside the mask.
fn moments(image: &Volume, mask: &Mask) -> Result<(f64, f64), Error> {
    image.geometry().require_same(mask.geometry(), GRID_TOLERANCE_MM)?;
    mask.require_any()?;
    require_finite(image, Some(mask))?;
    let inside = || image.as_slice().iter().zip(mask.inside()).filter(|(_, inside)| **inside);
    let values = || inside().map(|(&value, _)| f64::from(value));
    let n = mask.count() as f64;
    let mean = values().sum::<f64>() / n;
    let squares: f64 = values().map(|value| (value - mean).powi(2)).sum();
    Ok((mean, (squares / (n - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    fn mask<const N: usize>(bits: [u8; N]) -> Mask {
        let inside = Array3::from_shape_vec((1, 1, N), bits.map(|b| b == 1).to_vec()).unwrap();
        Mask::new(inside, Geometry::axis_aligned([N, 1, 1], [1.0; 3]).unwrap()).unwrap()
    }

    #[test]
    fn four_voxels_by_hand() {
        let found = overlap(&mask([1, 1, 0, 0]), &mask([0, 1, 1, 1])).unwrap();
        assert_eq!(found, Overlap { dice: 0.4, recall: 1.0 / 3.0, precision: 0.5 });
        let nothing = overlap(&mask([0, 0, 0, 0]), &mask([0, 1, 1, 1])).unwrap();
        assert!(nothing.dice == 0.0 && nothing.recall == 0.0 && nothing.precision.is_nan());
    }

    #[test]
    fn contrast_is_told_in_spreads_of_the_background() {
        let voxels = Array3::from_shape_vec((1, 1, 5), vec![10.0, 12.0, 1.0, 2.0, 3.0]).unwrap();
        let geometry = Geometry::axis_aligned([5, 1, 1], [1.0; 3]).unwrap();
        let image = Volume::new(voxels, geometry, Modality::Dx, Unit::Arbitrary).unwrap();
        let (region, background) = (mask([1, 1, 0, 0, 0]), mask([0, 0, 1, 1, 1]));
        assert_eq!(contrast_to_noise(&image, &region, &background), Ok(9.0));
        let empty = contrast_to_noise(&image, &mask([0; 5]), &background);
        assert!(matches!(empty, Err(Error::Imaging(_))));
    }
}
