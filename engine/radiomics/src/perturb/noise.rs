use isoscan_imaging::{Volume, Wavelet, wavelet_bands};
use ndarray::Array3;
use rayon::prelude::*;

use super::random::{Draws, Purpose};
use crate::Error;

/// Median of the absolute value of a standard normal variable.
const MEDIAN_OF_NORMAL: f64 = 0.674_489_750_196_081_7;

/// The standard deviation of a volume's noise, in its unit: the median absolute value of the highest wavelet band of
/// each slice (coiflet 1, high-pass along x and y, where structure is rarest) over that of a normal variable. Across
/// slices an image is too coarse to tell noise from structure.
///
/// S. Chang, B. Yu, M. Vetterli, Adaptive wavelet thresholding for image denoising and compression, IEEE Transactions on
/// Image Processing 9 (2000) 1532-1546, from D. Donoho and I. Johnstone 1994. 0 for a volume without numbers.
///
/// # Errors
/// [`Error::Imaging`] when the bands cannot be computed.
pub fn noise_level(volume: &Volume) -> Result<f64, Error> {
    let coiflet: Wavelet = "coif1".parse()?;
    let [nx, ny, nz] = volume.geometry().size();
    let slices: Vec<Vec<f64>> = (0..nz)
        .into_par_iter()
        .map(|z| {
            let geometry = isoscan_imaging::Geometry::axis_aligned([nx, ny, 1], [1.0; 3])?;
            let voxels = volume.as_slice()[z * nx * ny..(z + 1) * nx * ny].to_vec();
            let voxels = Array3::from_shape_vec((1, ny, nx), voxels).expect("a slice of the volume");
            let slice = Volume::new(voxels, geometry, volume.modality(), volume.unit())?;
            let bands = wavelet_bands(&slice, coiflet, 1)?;
            let detail = bands.last().map(|band| band.volume.as_slice().to_vec()).unwrap_or_default();
            Ok(detail.into_iter().filter(|v| v.is_finite()).map(|v| f64::from(v).abs()).collect())
        })
        .collect::<Result<_, Error>>()?;
    let mut details = slices.concat();
    if details.is_empty() {
        return Ok(0.0);
    }
    let middle = details.len() / 2;
    Ok(*details.select_nth_unstable_by(middle, f64::total_cmp).1 / MEDIAN_OF_NORMAL)
}

/// `volume` with normal noise of its own level.
pub(super) fn add_noise(volume: &Volume, seed: u64, repetition: u32) -> Result<Volume, Error> {
    let level = noise_level(volume)?;
    let draws = Draws::new(seed, Purpose::Noise, repetition);
    let voxels = volume.as_slice().par_iter().enumerate();
    let noisy = voxels.map(|(index, &v)| (f64::from(v) + level * draws.normal(index as u64)) as f32).collect();
    let noisy = Array3::from_shape_vec(volume.voxels().dim(), noisy).expect("one value per voxel");
    Ok(volume.with_voxels(noisy)?)
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};

    use super::*;

    #[test]
    fn the_noise_of_a_phantom_is_found() {
        let geometry = Geometry::axis_aligned([60, 50, 9], [1.0, 1.0, 3.0]).unwrap();
        let draws = Draws::new(3, Purpose::Growth, 0);
        for sigma in [2.0, 15.0] {
            // Two tissues with a smooth gradient.
            let voxels = Array3::from_shape_fn((9, 50, 60), |(z, y, x)| {
                let tissue = if (x as f64 - 30.0).hypot(y as f64 - 25.0) < 7.0 { 100.0 } else { 0.0 };
                let index = ((z * 50 + y) * 60 + x) as u64;
                (tissue + 0.3 * x as f64 + sigma * draws.normal(index)) as f32
            });
            let volume = Volume::new(voxels, geometry.clone(), Modality::Ct, Unit::Hounsfield).unwrap();
            let found = noise_level(&volume).unwrap();
            assert!((found / sigma - 1.0).abs() < 0.1, "{found}, expected {sigma}");
            let twice = noise_level(&add_noise(&volume, 1, 0).unwrap()).unwrap();
            assert!((twice / found - 2f64.sqrt()).abs() < 0.1, "{twice}");
        }
    }

    #[test]
    fn a_volume_without_variation_has_no_noise() {
        let geometry = Geometry::axis_aligned([8, 8, 2], [1.0; 3]).unwrap();
        let flat = Volume::filled(7.0, geometry, Modality::Ct, Unit::Hounsfield);
        assert!(noise_level(&flat).unwrap() < 1e-5);
    }
}
