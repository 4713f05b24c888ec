use isoscan_imaging::{Mask, Volume, gradient};

use crate::Error;
use crate::quantile::sorted_quantile;
use crate::similarity::{require_comparable, require_finite};

/// Share of the voxels, the steepest of the truth, that count as its edges.
const EDGE_SHARE: f64 = 0.05;

/// How steep the image is at the truth's edges: 1 as steep as the truth, below 1 blurred, above 1 over-enhanced.
///
/// `S = Σ ∇I·∇T / Σ |∇T|²` over the edges, the 5 % of the voxels (all, or those inside `mask`) where `|∇T|` is largest;
/// gradients are central differences per mm ([`gradient`]). As a projection onto the truth's own direction it is not
/// raised by noise, which has none. Worked case: an image `a T + b` has S = a. A flat truth has no edges and gives NaN.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ or the mask is empty, [`Error::NotFinite`].
pub fn edge_sharpness(truth: &Volume, image: &Volume, mask: Option<&Mask>) -> Result<f64, Error> {
    require_comparable(truth, image, mask)?;
    require_finite(truth, None)?;
    require_finite(image, None)?;
    let (of_truth, of_image) = (gradient(truth), gradient(image));
    let inside = mask.map(Mask::inside);
    let inside = inside.as_ref().and_then(|inside| inside.as_slice());
    let product = |a: &[Volume; 3], b: &[Volume; 3], v: usize| {
        a.iter().zip(b).map(|(a, b)| f64::from(a.as_slice()[v]) * f64::from(b.as_slice()[v])).sum::<f64>()
    };
    let voxels = 0..truth.as_slice().len();
    let steepness: Vec<(f64, usize)> = voxels
        .filter(|&v| inside.is_none_or(|inside| inside[v]))
        .map(|v| (product(&of_truth, &of_truth, v), v))
        .collect();
    let mut sorted: Vec<f64> = steepness.iter().map(|&(square, _)| square).collect();
    sorted.sort_by(f64::total_cmp);
    let least = sorted_quantile(&sorted, 1.0 - EDGE_SHARE);
    let (mut along, mut square_sum) = (0.0, 0.0);
    for &(square, v) in steepness.iter().filter(|(square, _)| *square >= least && *square > 0.0) {
        along += product(&of_image, &of_truth, v);
        square_sum += square;
    }
    Ok(along / square_sum)
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit, gaussian};
    use ndarray::Array3;

    use super::*;

    fn step(high: f32) -> Volume {
        let voxels = Array3::from_shape_fn((4, 4, 20), |(_, _, x)| if x >= 10 { high } else { 7.0 });
        let geometry = Geometry::axis_aligned([20, 4, 4], [0.5; 3]).unwrap();
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn a_scaled_image_is_as_much_steeper() {
        for (high, expected) in [(107.0, 1.0), (57.0, 0.5), (207.0, 2.0), (7.0, 0.0)] {
            assert_eq!(edge_sharpness(&step(107.0), &step(high), None), Ok(expected));
        }
    }

    #[test]
    fn blur_lowers_it_and_a_flat_truth_has_none() {
        let blurred = gaussian(&step(107.0), [1.0; 3]).unwrap();
        let found = edge_sharpness(&step(107.0), &blurred, None).unwrap();
        assert!((0.2..0.6).contains(&found), "{found}");
        assert!(edge_sharpness(&step(7.0), &blurred, None).unwrap().is_nan());
    }
}
