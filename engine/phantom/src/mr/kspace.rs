use std::f64::consts::PI;
use std::sync::Arc;

use isoscan_imaging::{Geometry, Volume};
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};
use rustfft::{Fft, FftPlanner};

use crate::Error;
use crate::random::{Purpose, keyed};

/// Weights that a reconstruction puts on k-space along every sampled axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KspaceWindow {
    /// None: the point spread function is the Dirichlet kernel, whose width at half height is 1.207 sampled voxels.
    Rectangular,
    /// `0.54 + 0.46 cos(2πk/M)` over the M samples: less ringing, a width of 1.8 sampled voxels.
    Hamming,
}

/// One sampled axis: from the object's cells to `acquired` samples of k-space, and from them to `recon` voxels of the
/// same field of view.
///
/// Sample k, from `-⌊M/2⌋` on, is the object's Fourier coefficient at k cycles per field of view. An image of `recon`
/// voxels has the missing samples filled with zeros.
pub(crate) struct Axis {
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
    /// What turns a sum over cells into the coefficient, and shifts the origin to the first voxel of the image.
    factors: Vec<Complex64>,
    window: Vec<f64>,
}

impl Axis {
    /// `solid` cells hold a constant (their transform is multiplied by a sinc); otherwise they are samples of a
    /// band-limited image.
    pub(crate) fn new(fine: usize, acquired: usize, recon: usize, window: KspaceWindow, solid: bool) -> Self {
        let mut planner = FftPlanner::new();
        let order = |index: usize| index as f64 - (acquired / 2) as f64;
        let factor = |k: f64| {
            let phase = PI * k * (1.0 / recon as f64 - 1.0 / fine as f64);
            let cell = PI * k / fine as f64;
            let sinc = if !solid || cell == 0.0 { 1.0 } else { cell.sin() / cell };
            Complex64::from_polar(sinc / fine as f64, phase)
        };
        let weight = |k: f64| match window {
            KspaceWindow::Rectangular => 1.0,
            KspaceWindow::Hamming => 0.54 + 0.46 * (2.0 * PI * k / acquired as f64).cos(),
        };
        Self {
            forward: planner.plan_fft_forward(fine),
            inverse: planner.plan_fft_inverse(recon),
            factors: (0..acquired).map(|i| factor(order(i))).collect(),
            window: (0..acquired).map(|i| weight(order(i))).collect(),
        }
    }

    /// Cells of the object.
    pub(crate) fn fine(&self) -> usize {
        self.forward.len()
    }

    /// Samples of k-space.
    pub(crate) fn acquired(&self) -> usize {
        self.factors.len()
    }

    /// Voxels of the image.
    pub(crate) fn recon(&self) -> usize {
        self.inverse.len()
    }

    /// Cycles per field of view of a sample.
    pub(crate) fn order(&self, index: usize) -> f64 {
        index as f64 - (self.acquired() / 2) as f64
    }

    /// Power that the window leaves of white noise: the sum of its squared weights.
    pub(crate) fn noise_power(&self) -> f64 {
        self.window.iter().map(|w| w * w).sum()
    }

    /// Samples of a line of cells, which is overwritten.
    fn sample(&self, line: &mut [Complex64]) -> Vec<Complex64> {
        self.forward.process(line);
        let (count, first) = (line.len(), line.len() - self.acquired() / 2);
        self.factors.iter().enumerate().map(|(i, factor)| line[(first + i) % count] * factor).collect()
    }

    /// The image of a line of samples.
    fn image(&self, samples: impl Iterator<Item = Complex64>) -> Vec<Complex64> {
        let mut line = vec![Complex64::default(); self.recon()];
        let (count, first) = (line.len(), line.len() - self.acquired() / 2);
        for (i, (sample, weight)) in samples.zip(&self.window).enumerate() {
            line[(first + i) % count] += sample * weight;
        }
        self.inverse.process(&mut line);
        line
    }
}

/// K-space of one plane `[y, x]` of cells: `[ky, kx]`.
pub(crate) fn sample_plane(cells: &[f32], [x, y]: [&Axis; 2]) -> Vec<Complex32> {
    let (wide, high) = (x.acquired(), y.acquired());
    let mut rows = vec![Complex64::default(); wide * y.fine()];
    for (out, row) in rows.chunks_mut(wide).zip(cells.chunks(x.fine())) {
        if row.iter().any(|&v| v != 0.0) {
            let mut line: Vec<Complex64> = row.iter().map(|&v| Complex64::new(f64::from(v), 0.0)).collect();
            out.copy_from_slice(&x.sample(&mut line));
        }
    }
    let mut samples = vec![Complex32::default(); wide * high];
    for kx in 0..wide {
        let mut line: Vec<Complex64> = rows.iter().skip(kx).step_by(wide).copied().collect();
        for (ky, value) in y.sample(&mut line).into_iter().enumerate() {
            samples[ky * wide + kx] = narrow(value);
        }
    }
    samples
}

/// K-space planes after sampling along z as well: from one plane of samples per cell to one per kz.
pub(crate) fn sample_depth(planes: &[Vec<Complex32>], z: &Axis) -> Vec<Vec<Complex32>> {
    across(planes, z.acquired(), |mut line| z.sample(&mut line))
}

/// The image along z of k-space planes: from one plane per kz to one per slice.
pub(crate) fn image_depth(planes: &[Vec<Complex32>], z: &Axis) -> Vec<Vec<Complex32>> {
    across(planes, z.recon(), |line| z.image(line.into_iter()))
}

/// Applies a transform to the lines through planes.
fn across(
    planes: &[Vec<Complex32>],
    count: usize,
    transform: impl Fn(Vec<Complex64>) -> Vec<Complex64> + Sync,
) -> Vec<Vec<Complex32>> {
    let area = planes.first().map_or(0, Vec::len);
    let lines: Vec<Vec<Complex32>> = (0..area)
        .into_par_iter()
        .map(|at| transform(planes.iter().map(|plane| wide(plane[at])).collect()).into_iter().map(narrow).collect())
        .collect();
    (0..count).map(|k| lines.iter().map(|line| line[k]).collect()).collect()
}

/// The image `[y, x]` of a plane of samples `[ky, kx]`.
pub(crate) fn image_plane(samples: &[Complex32], [x, y]: [&Axis; 2]) -> Vec<Complex64> {
    let width = x.acquired();
    let columns: Vec<Vec<Complex64>> =
        (0..width).map(|kx| y.image(samples.iter().skip(kx).step_by(width).map(|&v| wide(v)))).collect();
    (0..y.recon()).flat_map(|j| x.image(columns.iter().map(|column| column[j]))).collect()
}

/// Adds complex Gaussian noise, of standard deviation `sigma` in either part, to the samples of one plane.
pub(crate) fn add_noise(samples: &mut [Complex32], width: usize, sigma: f64, stream: impl Fn(u32) -> ChaCha8Rng) {
    if sigma == 0.0 {
        return;
    }
    for (ky, row) in samples.chunks_mut(width).enumerate() {
        let mut random = stream(ky as u32);
        for sample in row {
            let [re, im]: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut random));
            *sample += narrow(Complex64::new(sigma * re, sigma * im));
        }
    }
}

fn narrow(value: Complex64) -> Complex32 {
    Complex32::new(value.re as f32, value.im as f32)
}

fn wide(value: Complex32) -> Complex64 {
    Complex64::new(f64::from(value.re), f64::from(value.im))
}

/// An image as a scanner of lower resolution would have made it: the middle `matrix` (x, y, z) of its k-space, with
/// complex Gaussian noise, as a magnitude on a grid of `matrix` voxels over the same field of view.
///
/// `sigma` is the standard deviation of the noise in either part of the new image, in its intensities; the magnitude is
/// then Rician (Gudbjartsson & Patz, Magn Reson Med 34, 1995), in air of mean `σ √(π/2)`. An axis that keeps its size
/// is not changed. The mean of a noiseless image is kept.
///
/// # Errors
/// [`Error::InvalidArgument`] for a matrix of no sample or of more than the image has, or a sigma below 0.
pub fn truncate_kspace(
    image: &Volume,
    matrix: [usize; 3],
    window: KspaceWindow,
    sigma: f64,
    seed: u64,
) -> Result<Volume, Error> {
    let geometry = image.geometry();
    let wrong = matrix.iter().zip(geometry.size()).find(|(samples, voxels)| !(1..=*voxels).contains(*samples));
    if let Some((&samples, _)) = wrong {
        let (name, expected) = ("matrix", "1 to the voxels of its axis");
        return Err(Error::InvalidArgument { name, expected, found: samples as f64 });
    }
    if !(sigma.is_finite() && sigma >= 0.0) {
        return Err(Error::InvalidArgument { name: "sigma", expected: "zero or more", found: sigma });
    }
    let [x, y, z] = std::array::from_fn(|a| {
        let window = if matrix[a] == geometry.size()[a] { KspaceWindow::Rectangular } else { window };
        Axis::new(geometry.size()[a], matrix[a], matrix[a], window, false)
    });
    let planes: Vec<_> =
        image.as_slice().par_chunks(x.fine() * y.fine()).map(|plane| sample_plane(plane, [&x, &y])).collect();
    let mut planes = sample_depth(&planes, &z);
    let sigma = sigma / (x.noise_power() * y.noise_power() * z.noise_power()).sqrt();
    planes.par_iter_mut().enumerate().for_each(|(k, plane)| {
        add_noise(plane, x.acquired(), sigma, |ky| keyed(seed, 0, Purpose::Receiver(0), k as u32, ky));
    });
    let slices: Vec<Vec<f32>> = image_depth(&planes, &z)
        .par_iter()
        .map(|plane| image_plane(plane, [&x, &y]).into_iter().map(|v| v.norm() as f32).collect())
        .collect();
    let voxels = Array3::from_shape_vec((matrix[2], matrix[1], matrix[0]), slices.concat())
        .expect("every slice has the size of the matrix");
    Ok(Volume::new(voxels, coarsened(geometry, matrix)?, image.modality(), image.unit())?)
}

/// The grid of `matrix` voxels over the same field of view.
pub(crate) fn coarsened(geometry: &Geometry, matrix: [usize; 3]) -> Result<Geometry, Error> {
    let factor: [f64; 3] = std::array::from_fn(|a| geometry.size()[a] as f64 / matrix[a] as f64);
    let spacing = std::array::from_fn(|a| geometry.spacing_mm()[a] * factor[a]);
    let first = geometry.world_from_voxel().apply(factor.map(|f| 0.5 * (f - 1.0)));
    Ok(Geometry::new(matrix, spacing, first, geometry.direction())?)
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Modality, Unit};

    use super::*;

    fn image(size: [usize; 3], value: impl Fn([usize; 3]) -> f32) -> Volume {
        let geometry = Geometry::axis_aligned(size, [1.0, 1.0, 2.0]).unwrap();
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    /// Width at half height of a peak sampled at steps of one.
    fn width(profile: &[f64]) -> f64 {
        let peak = (0..profile.len()).max_by(|&a, &b| profile[a].total_cmp(&profile[b])).unwrap();
        let half = 0.5 * profile[peak];
        let cross = |from: usize, to: usize| (profile[from] - half) / (profile[from] - profile[to]);
        let right = (peak..).find(|&i| profile[i + 1] < half).unwrap();
        let left = (1..=peak).rev().find(|&i| profile[i - 1] < half).unwrap();
        (right as f64 + cross(right, right + 1)) - (left as f64 - cross(left, left - 1))
    }

    #[test]
    fn a_point_has_the_width_of_its_window() {
        // 32 of 1024 samples, zero-filled back to 1024: a sampled voxel is 32 cells. The Dirichlet kernel falls to one
        // half at 0.6034 voxels; under the Hamming window the half width solves
        // 0.54 sinc u + 0.23 (sinc(u - 1) + sinc(u + 1)) = 0.27: u = 0.9075.
        for (window, voxels) in [(KspaceWindow::Rectangular, 2.0 * 0.6034), (KspaceWindow::Hamming, 2.0 * 0.9075)] {
            let axis = Axis::new(1024, 32, 1024, window, false);
            let mut line = vec![Complex64::default(); 1024];
            line[500] = Complex64::new(1.0, 0.0);
            let samples = axis.sample(&mut line);
            let profile: Vec<f64> = axis.image(samples.into_iter()).iter().map(|v| v.norm()).collect();
            let found = width(&profile) / 32.0;
            assert!((found / voxels - 1.0).abs() < 0.01, "{window:?}: {found} sampled voxels for {voxels}");
        }
    }

    #[test]
    fn all_samples_give_the_image_back() {
        let source = image([7, 6, 3], |[i, j, k]| (3 * i + 5 * j + k * k) as f32 % 7.0);
        let same = truncate_kspace(&source, [7, 6, 3], KspaceWindow::Hamming, 0.0, 1).unwrap();
        assert_eq!(same.geometry(), source.geometry());
        for (a, b) in source.as_slice().iter().zip(same.as_slice()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn a_slow_wave_survives_truncation_at_its_place() {
        let wave = |mm: f64| (5.0 + (2.0 * PI * mm / 32.0).cos()) as f32;
        let source = image([32, 8, 4], |[i, _, _]| wave(i as f64));
        let coarse = truncate_kspace(&source, [16, 4, 4], KspaceWindow::Rectangular, 0.0, 1).unwrap();
        assert_eq!(coarse.geometry().spacing_mm(), [2.0, 2.0, 2.0]);
        assert_eq!(coarse.geometry().origin_mm(), [0.5, 0.5, 0.0]);
        for ((_, _, i), &v) in coarse.voxels().indexed_iter() {
            assert!((v - wave(0.5 + 2.0 * i as f64)).abs() < 1e-5, "{i}: {v}");
        }
    }

    #[test]
    fn noise_in_air_is_rayleigh_with_the_declared_sigma() {
        // Mean σ√(π/2), variance (2 - π/2)σ².
        for window in [KspaceWindow::Rectangular, KspaceWindow::Hamming] {
            let air = truncate_kspace(&image([128, 128, 8], |_| 0.0), [64, 64, 8], window, 3.0, 5).unwrap();
            let n = air.as_slice().len() as f64;
            let mean = air.as_slice().iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let variance = air.as_slice().iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
            assert!((mean / (3.0 * (PI / 2.0).sqrt()) - 1.0).abs() < 0.02, "{window:?}: mean {mean}");
            assert!((variance / (9.0 * (2.0 - PI / 2.0)) - 1.0).abs() < 0.05, "{window:?}: variance {variance}");
        }
    }

    #[test]
    fn a_matrix_beyond_the_image_is_refused() {
        let source = image([4, 4, 2], |_| 1.0);
        for (matrix, sigma) in [([8, 4, 2], 0.0), ([4, 0, 2], 0.0), ([4, 4, 2], -1.0), ([4, 4, 2], f64::NAN)] {
            let result = truncate_kspace(&source, matrix, KspaceWindow::Rectangular, sigma, 1);
            assert!(matches!(result, Err(Error::InvalidArgument { .. })), "{matrix:?} {sigma}");
        }
    }
}
