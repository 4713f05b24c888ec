use std::collections::VecDeque;
use std::fmt;

use isoscan_imaging::{Mask, Volume};
use ndarray::Axis;
use rayon::prelude::*;

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
    let along_z = if spans_z { weights.clone() } else { vec![1.0] };
    let (sum, count) = summed(a, b, mask, &weights, &along_z, &formula);
    if count == 0 {
        return Err(isoscan_imaging::Error::EmptyMask { voxels: nx * ny * nz }.into());
    }
    Ok(sum / count as f64)
}

/// Sum and number of the voxels' similarities: slices in stretches, of which only the reach of `along_z` is kept.
fn summed(
    a: &Volume,
    b: &Volume,
    mask: Option<&Mask>,
    weights: &[f64],
    along_z: &[f64],
    formula: &Formula,
) -> (f64, usize) {
    let (nz, depth) = (a.geometry().size()[2], along_z.len());
    let stretch = 4 * rayon::current_num_threads();
    let mut planes: VecDeque<Moments> = VecDeque::new();
    let (mut sum, mut count) = (0.0, 0usize);
    let mut first = 0;
    for begin in (0..nz).step_by(stretch) {
        let read = begin..(begin + stretch).min(nz);
        planes.par_extend(read.into_par_iter().map(|z| Moments::of_slice(a, b, z, weights)));
        let whole = (planes.len() + 1).saturating_sub(depth);
        let sums: Vec<(f64, usize)> = (0..whole)
            .into_par_iter()
            .map(|z| summed_slice(&planes, z, first + z + depth / 2, mask, along_z, formula))
            .collect();
        sums.into_iter().for_each(|(slice_sum, slice_count)| (sum, count) = (sum + slice_sum, count + slice_count));
        planes.drain(..whole);
        first += whole;
    }
    (sum, count)
}

/// Sum and number over the slice `centre`, whose window begins at `planes[begin]`.
fn summed_slice(
    planes: &VecDeque<Moments>,
    begin: usize,
    centre: usize,
    mask: Option<&Mask>,
    along_z: &[f64],
    formula: &Formula,
) -> (f64, usize) {
    let (radius, width) = (planes[begin].radius, planes[begin].width);
    let mut rows = [(); 4].map(|()| vec![0.0; width]);
    let (mut sum, mut count) = (0.0, 0);
    for y in 0..planes[begin].means[0].len() / width {
        for (m, row) in rows.iter_mut().enumerate() {
            row.fill(0.0);
            for (plane, weight) in planes.range(begin..).zip(along_z) {
                let source = &plane.means[m][y * width..(y + 1) * width];
                row.iter_mut().zip(source).for_each(|(mean, v)| *mean += weight * v);
            }
        }
        let inside = mask.and_then(|mask| {
            mask.inside().index_axis_move(Axis(0), centre).index_axis_move(Axis(0), y + radius).to_slice()
        });
        for x in (0..width).filter(|&x| inside.is_none_or(|inside| inside[x + radius])) {
            sum += formula.at([rows[0][x], rows[1][x], rows[2][x], rows[3][x]]);
            count += 1;
        }
    }
    (sum, count)
}

struct Formula {
    c1: f64,
    c2: f64,
    factor: f64,
}

impl Formula {
    /// SSIM from the local means of a, b, a² + b², ab.
    #[inline(always)]
    fn at(&self, [a, b, squares, ab]: [f64; 4]) -> f64 {
        let variances = self.factor * (squares - a * a - b * b);
        let covariance = self.factor * (ab - a * b);
        (2.0 * a * b + self.c1) * (2.0 * covariance + self.c2) / ((a * a + b * b + self.c1) * (variances + self.c2))
    }
}

/// Local means of a, b, a² + b², ab over one slice, where the window fits, x fastest.
struct Moments {
    means: [Vec<f64>; 4],
    /// Voxels along x.
    width: usize,
    /// Voxels by which the window reaches over its centre.
    radius: usize,
}

impl Moments {
    fn of_slice(a: &Volume, b: &Volume, z: usize, weights: &[f64]) -> Self {
        let [nx, ny, _] = a.geometry().size();
        let plane = z * nx * ny..(z + 1) * nx * ny;
        let (a, b) = (&a.as_slice()[plane.clone()], &b.as_slice()[plane]);
        let mut row = Vec::with_capacity(nx);
        let mut mean = |product: fn(f64, f64) -> f64| {
            smooth(weights, nx, ny, |y| {
                let place = y * nx..(y + 1) * nx;
                row.clear();
                row.extend(a[place.clone()].iter().zip(&b[place]).map(|(&a, &b)| product(f64::from(a), f64::from(b))));
                combine_shifted(&row, weights)
            })
        };
        let means = [mean(|a, _| a), mean(|_, b| b), mean(|a, b| a * a + b * b), mean(|a, b| a * b)];
        Self { means, width: nx + 1 - weights.len(), radius: weights.len() / 2 }
    }
}

/// Weighted means along y, where the weights fit, of the rows that `smooth_row` makes.
fn smooth(weights: &[f64], nx: usize, ny: usize, mut smooth_row: impl FnMut(usize) -> Vec<f64>) -> Vec<f64> {
    let width = nx + 1 - weights.len();
    let mut out = vec![0.0; width * (ny + 1 - weights.len())];
    let mut rows = VecDeque::with_capacity(weights.len());
    for y in 0..ny {
        rows.push_back(smooth_row(y));
        if rows.len() < weights.len() {
            continue;
        }
        let target = &mut out[(y + 1 - weights.len()) * width..][..width];
        for (row, weight) in rows.iter().zip(weights) {
            target.iter_mut().zip(row).for_each(|(o, v)| *o += weight * v);
        }
        rows.pop_front();
    }
    out
}

/// Weighted means along a row, where the weights fit.
fn combine_shifted(row: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; row.len() + 1 - weights.len()];
    for (shift, weight) in weights.iter().enumerate() {
        out.iter_mut().zip(&row[shift..]).for_each(|(o, v)| *o += weight * v);
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
    fn the_number_of_threads_does_not_change_a_bit() {
        let a = volume([20, 18, 40], |x, y, z| ((7 * x + 3 * y + 5 * z) % 17) as f32);
        let b = volume([20, 18, 40], |x, y, z| ((5 * x + 3 * y + 7 * z) % 13) as f32);
        for (window, dimensions) in DEFINITIONS {
            let runs = [1, 3].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| ssim(&a, &b, None, 16.0, window, dimensions)).unwrap()
            });
            assert_eq!(runs[0].to_bits(), runs[1].to_bits());
        }
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
