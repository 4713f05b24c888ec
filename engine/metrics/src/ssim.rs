use std::collections::VecDeque;
use std::fmt;

use isoscan_imaging::{Mask, Volume};

use crate::Error;
use crate::similarity::require_comparable;

/// The local window of SSIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SsimWindow {
    /// Box of 7 voxels, sample covariance (n - 1): the default of scikit-image.
    Uniform7,
    /// Gaussian of standard deviation 1.5 voxels cut at 11 voxels, population covariance (Wang et al. 2004).
    Gaussian11,
}

/// The axes that the window spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SsimDimensions {
    /// x and y of every slice; the mean runs over all slices.
    Slices,
    /// x, y and z.
    Volume,
}

impl fmt::Display for SsimWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform7 => "7-voxel box with sample covariance",
            Self::Gaussian11 => "11-voxel Gaussian of sigma 1.5 with population covariance",
        })
    }
}

impl fmt::Display for SsimDimensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slices => "per axial slice",
            Self::Volume => "in 3-D",
        })
    }
}

impl SsimWindow {
    /// Weights along one axis; they sum to 1.
    fn weights(self) -> Vec<f64> {
        match self {
            Self::Uniform7 => vec![1.0 / 7.0; 7],
            Self::Gaussian11 => {
                let bell: Vec<f64> = (-5..=5).map(|k| (-0.5 * (f64::from(k) / 1.5).powi(2)).exp()).collect();
                let sum: f64 = bell.iter().sum();
                bell.iter().map(|w| w / sum).collect()
            }
        }
    }

    /// Factor from population to the window's own covariance over `axes` axes.
    fn covariance_factor(self, axes: i32) -> f64 {
        match self {
            Self::Uniform7 => {
                let n = 7f64.powi(axes);
                n / (n - 1.0)
            }
            Self::Gaussian11 => 1.0,
        }
    }
}

/// Mean structural similarity of `a` and `b` over the voxels whose window lies inside the volume, or over those of them
/// inside `mask`.
///
/// `SSIM = (2μ_aμ_b + c₁)(2σ_ab + c₂) / ((μ_a² + μ_b² + c₁)(σ_a² + σ_b² + c₂))`, `c₁ = (0.01 R)²`, `c₂ = (0.03 R)²`,
/// with local means and covariances under `window` (Wang et al. 2004). It is 1 only for equal volumes.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ or no voxel of the mask has a whole window, [`Error::InvalidArgument`] for a
/// range that is not positive, [`Error::WindowTooLarge`] when the volume is narrower than the window.
pub fn ssim(
    a: &Volume,
    b: &Volume,
    mask: Option<&Mask>,
    range: f64,
    window: SsimWindow,
    dimensions: SsimDimensions,
) -> Result<f64, Error> {
    require_comparable(a, b, mask)?;
    if !(range > 0.0 && range.is_finite()) {
        return Err(Error::InvalidArgument { name: "range", expected: "a positive finite width", found: range });
    }
    let weights = window.weights();
    let [nx, ny, nz] = a.geometry().size();
    let spans_z = dimensions == SsimDimensions::Volume;
    if nx < weights.len() || ny < weights.len() || (spans_z && nz < weights.len()) {
        return Err(Error::WindowTooLarge { window, needed: weights.len(), found: [nx, ny, nz] });
    }
    let formula = Formula {
        c1: (0.01 * range).powi(2),
        c2: (0.03 * range).powi(2),
        factor: window.covariance_factor(if spans_z { 3 } else { 2 }),
    };
    let radius = weights.len() / 2;
    let depth = if spans_z { weights.len() } else { 1 };
    let along_z = if spans_z { weights.clone() } else { vec![1.0] };
    let mut planes = VecDeque::with_capacity(depth);
    let (mut sum, mut count) = (0.0, 0usize);
    for z in 0..nz {
        planes.push_back(Moments::of_slice(a, b, z, &weights));
        if planes.len() < depth {
            continue;
        }
        let centre = z + 1 - depth + depth / 2;
        let width = nx - 2 * radius;
        for index in 0..planes[0].0[0].len() {
            let (y, x) = (index / width + radius, index % width + radius);
            if mask.is_some_and(|mask| !mask.inside()[[centre, y, x]]) {
                continue;
            }
            let local = std::array::from_fn(|m| planes.iter().zip(&along_z).map(|(p, w)| w * p.0[m][index]).sum());
            sum += formula.at(local);
            count += 1;
        }
        planes.pop_front();
    }
    if count == 0 {
        return Err(isoscan_imaging::Error::EmptyMask { voxels: nx * ny * nz }.into());
    }
    Ok(sum / count as f64)
}

struct Formula {
    c1: f64,
    c2: f64,
    factor: f64,
}

impl Formula {
    /// SSIM from the local means of a, b, a², b², ab.
    fn at(&self, [a, b, aa, bb, ab]: [f64; 5]) -> f64 {
        let (var_a, var_b) = (self.factor * (aa - a * a), self.factor * (bb - b * b));
        let covariance = self.factor * (ab - a * b);
        (2.0 * a * b + self.c1) * (2.0 * covariance + self.c2) / ((a * a + b * b + self.c1) * (var_a + var_b + self.c2))
    }
}

/// Local means of a, b, a², b², ab over one slice, where the window fits, x fastest.
struct Moments([Vec<f64>; 5]);

impl Moments {
    fn of_slice(a: &Volume, b: &Volume, z: usize, weights: &[f64]) -> Self {
        let [nx, ny, _] = a.geometry().size();
        let plane = z * nx * ny..(z + 1) * nx * ny;
        let (a, b) = (&a.as_slice()[plane.clone()], &b.as_slice()[plane]);
        let products: [fn(f64, f64) -> f64; 5] = [|a, _| a, |_, b| b, |a, _| a * a, |_, b| b * b, |a, b| a * b];
        Self(products.map(|product| {
            let values: Vec<f64> = a.iter().zip(b).map(|(&a, &b)| product(f64::from(a), f64::from(b))).collect();
            smooth(&values, nx, ny, weights)
        }))
    }
}

/// Weighted means along x, then y, where the weights fit.
fn smooth(values: &[f64], nx: usize, ny: usize, weights: &[f64]) -> Vec<f64> {
    let width = nx + 1 - weights.len();
    let along_x: Vec<f64> = values
        .chunks_exact(nx)
        .flat_map(|row| row.windows(weights.len()).map(|w| w.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>()))
        .collect();
    let mut out = vec![0.0; width * (ny + 1 - weights.len())];
    for (y, row) in out.chunks_exact_mut(width).enumerate() {
        for (k, weight) in weights.iter().enumerate() {
            let source = &along_x[(y + k) * width..(y + k + 1) * width];
            row.iter_mut().zip(source).for_each(|(o, v)| *o += weight * v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    fn volume(size: [usize; 3], value: impl Fn(usize, usize, usize) -> f32) -> Volume {
        let [nx, ny, nz] = size;
        let voxels = Array3::from_shape_fn((nz, ny, nx), |(z, y, x)| value(x, y, z));
        let geometry = Geometry::axis_aligned(size, [1.0; 3]).unwrap();
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    const DEFINITIONS: [(SsimWindow, SsimDimensions); 4] = [
        (SsimWindow::Uniform7, SsimDimensions::Slices),
        (SsimWindow::Uniform7, SsimDimensions::Volume),
        (SsimWindow::Gaussian11, SsimDimensions::Slices),
        (SsimWindow::Gaussian11, SsimDimensions::Volume),
    ];

    #[test]
    fn equal_volumes_have_similarity_one() {
        let a = volume([12, 13, 11], |x, y, z| (x * 7 + y * 3 + z * 5) as f32 % 17.0);
        for (window, dimensions) in DEFINITIONS {
            assert!((ssim(&a, &a, None, 16.0, window, dimensions).unwrap() - 1.0).abs() < 1e-12);
        }
    }

    /// Flat volumes have no covariance: SSIM = (2·3·4 + c1)/(9 + 16 + c1) with c1 = (0.01·10)².
    #[test]
    fn flat_volumes_by_hand() {
        let (a, b) = (volume([12, 12, 12], |_, _, _| 3.0), volume([12, 12, 12], |_, _, _| 4.0));
        for (window, dimensions) in DEFINITIONS {
            let found = ssim(&a, &b, None, 10.0, window, dimensions).unwrap();
            assert!((found - 24.01 / 25.01).abs() < 1e-9, "{window} {dimensions}: {found}");
        }
    }

    /// `structural_similarity` of scikit-image 0.24 with `data_range=20`; for the Gaussian, `sigma=1.5` and
    /// `use_sample_covariance=False`; per slice, the mean over slices.
    #[test]
    fn scikit_image_values() {
        let a = |x: usize, y: usize, z: usize| ((7 * x + 3 * y + 5 * z) % 17) as f32;
        let reference = volume([20, 18, 13], a);
        let other = volume([20, 18, 13], |x, y, z| a(x, y, z) + ((x * y + z) % 5) as f32);
        let expected =
            [0.939_390_095_922_817_4, 0.937_386_974_264_496_2, 0.939_073_641_689_815_2, 0.937_665_364_711_784_9];
        for ((window, dimensions), expected) in DEFINITIONS.into_iter().zip(expected) {
            let found = ssim(&reference, &other, None, 20.0, window, dimensions).unwrap();
            assert!((found - expected).abs() < 1e-12, "{window} {dimensions}: {found}");
        }
    }

    #[test]
    fn a_thin_volume_has_no_window_in_3d() {
        let a = volume([12, 12, 5], |x, _, _| x as f32);
        let refusal = ssim(&a, &a, None, 12.0, SsimWindow::Uniform7, SsimDimensions::Volume);
        assert_eq!(refusal, Err(Error::WindowTooLarge { window: SsimWindow::Uniform7, needed: 7, found: [12, 12, 5] }));
        assert!(ssim(&a, &a, None, 12.0, SsimWindow::Uniform7, SsimDimensions::Slices).is_ok());
    }

    #[test]
    fn a_mask_narrows_the_mean() {
        let a = volume([16, 16, 1], |x, y, _| (x * y) as f32);
        let b = volume([16, 16, 1], |x, y, _| if x < 8 { (x * y) as f32 } else { 0.0 });
        let left = Array3::from_shape_fn((1, 16, 16), |(_, _, x)| x < 5);
        let left = Mask::new(left, a.geometry().clone()).unwrap();
        let whole = ssim(&a, &b, None, 225.0, SsimWindow::Uniform7, SsimDimensions::Slices).unwrap();
        let masked = ssim(&a, &b, Some(&left), 225.0, SsimWindow::Uniform7, SsimDimensions::Slices).unwrap();
        assert!(masked > 1.0 - 1e-9 && whole < 0.9, "{masked} {whole}");
    }
}
