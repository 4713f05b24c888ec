mod filters;

use ndarray::Array3;

use crate::lines::{Edge, LANES, Lanes, filter_lines};
use crate::{Error, Volume};

pub use filters::Wavelet;

/// One band of a wavelet decomposition, on the grid of the volume.
#[derive(Debug, Clone, PartialEq)]
pub struct WaveletBand {
    /// `L` (low-pass) or `H` (high-pass) along x, then y, then z; axes of one voxel have no letter.
    pub name: String,
    /// The coefficients.
    pub volume: Volume,
}

/// The undecimated wavelet bands of level `level` (from 1): 8 for a volume, 4 for a slice, `LLL` first, `HHH` last.
///
/// Along an axis of `n` voxels, with the filter `h` of `F` taps and `u = 2^(level-1)`,
/// ```text
/// band[o] = Σ_j h[j] x[(o + u F / 2 - u j) mod n]
/// ```
/// so the grid repeats itself beyond its ends; an axis with an odd number of voxels repeats its first voxel once more at
/// its end and drops that place again. Each level starts from the `LLL` band of the level before. The same as
/// `pywt.swtn` and the wavelet images of PyRadiomics, whose names it shares. Sums are f64, each pass rounds to f32.
///
/// Worked case: Haar of the row 1 3 8 0 gives `L` = 4 11 8 1 and `H` = -2 -5 8 -1, all by √2.
///
/// # Errors
/// [`Error::InvalidArgument`] for a level of 0 or above 8.
pub fn wavelet_bands(volume: &Volume, wavelet: Wavelet, level: u32) -> Result<Vec<WaveletBand>, Error> {
    if !(1..=8).contains(&level) {
        return Err(Error::InvalidArgument { name: "wavelet level", expected: "1 to 8", found: level.to_string() });
    }
    let even = Even::of(volume);
    let mut approximation = even.voxels.clone();
    let low = wavelet.low();
    for below in 0..level - 1 {
        for axis in even.split_axes() {
            even.convolve(&mut approximation, axis, low, 1 << below);
        }
    }
    let mut bands = vec![(String::new(), approximation)];
    let high = wavelet.high();
    for axis in even.split_axes() {
        let split = |(name, mut low_band): (String, Vec<f32>)| {
            let mut high_band = low_band.clone();
            even.convolve(&mut low_band, axis, low, 1 << (level - 1));
            even.convolve(&mut high_band, axis, high, 1 << (level - 1));
            [(format!("{name}L"), low_band), (format!("{name}H"), high_band)]
        };
        bands = bands.into_iter().flat_map(split).collect();
    }
    bands.into_iter().map(|(name, voxels)| Ok(WaveletBand { name, volume: even.back(volume, &voxels)? })).collect()
}

/// The voxels with every axis of more than one voxel made even.
struct Even {
    size: [usize; 3],
    voxels: Vec<f32>,
}

impl Even {
    fn of(volume: &Volume) -> Self {
        let source = volume.voxels();
        let [nx, ny, nz] = volume.geometry().size();
        let size = [nx, ny, nz].map(|n| if n == 1 { 1 } else { n.next_multiple_of(2) });
        let mut voxels = Vec::with_capacity(size.iter().product());
        for (k, j) in (0..size[2]).flat_map(|k| (0..size[1]).map(move |j| (k, j))) {
            voxels.extend((0..size[0]).map(|i| source[[k % nz, j % ny, i % nx]]));
        }
        Self { size, voxels }
    }

    fn split_axes(&self) -> impl Iterator<Item = usize> {
        let size = self.size;
        (0..3).filter(move |&axis| size[axis] > 1)
    }

    /// Convolves every line along `axis` with `filter`, its taps `apart` voxels apart.
    fn convolve(&self, voxels: &mut [f32], axis: usize, filter: &[f64], apart: usize) {
        let after = apart * filter.len() / 2;
        let before = apart * (filter.len() - 1) - after;
        filter_lines(voxels, self.size, axis, [before, after], Edge::Wrap, |lines, out| {
            for (o, out) in out.iter_mut().enumerate() {
                let mut sum: Lanes = [0.0; LANES];
                for (j, tap) in filter.iter().enumerate() {
                    let here = &lines[o + before + after - apart * j];
                    sum.iter_mut().zip(here).for_each(|(sum, v)| *sum += tap * v);
                }
                *out = sum;
            }
        });
    }

    /// The voxels of the volume's own grid.
    fn back(&self, volume: &Volume, voxels: &[f32]) -> Result<Volume, Error> {
        let [nx, ny, nz] = volume.geometry().size();
        let mut cut = Vec::with_capacity(nx * ny * nz);
        for (k, j) in (0..nz).flat_map(|k| (0..ny).map(move |j| (k, j))) {
            cut.extend_from_slice(&voxels[(k * self.size[1] + j) * self.size[0]..][..nx]);
        }
        volume.with_voxels(Array3::from_shape_vec((nz, ny, nx), cut).expect("one value per voxel"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality, Unit};

    #[test]
    fn haar_by_hand() {
        // Low: (x[o+1] + x[o]) / √2; high: (x[o] - x[o+1]) / √2; the row repeats itself.
        let bands = wavelet_bands(&Volume::row(&[1.0, 3.0, 8.0, 0.0]), "haar".parse().unwrap(), 1).unwrap();
        let expected: [(&str, [f32; 4]); 2] = [("L", [4.0, 11.0, 8.0, 1.0]), ("H", [-2.0, -5.0, 8.0, -1.0])];
        for (band, (name, values)) in bands.iter().zip(expected) {
            assert_eq!(band.name, name);
            for (found, expected) in band.volume.as_slice().iter().zip(values) {
                assert!((found * 2f32.sqrt() - expected).abs() < 1e-5, "{name} {:?}", band.volume.as_slice());
            }
        }
    }

    #[test]
    fn a_volume_has_eight_bands_in_order_and_a_constant_only_the_first() {
        let geometry = Geometry::axis_aligned([5, 4, 3], [1.0; 3]).unwrap();
        let flat = Volume::filled(2.0, geometry, Modality::Ct, Unit::Hounsfield);
        for level in [1, 2, 3] {
            let bands = wavelet_bands(&flat, "coif1".parse().unwrap(), level).unwrap();
            let names: Vec<&str> = bands.iter().map(|b| b.name.as_str()).collect();
            assert_eq!(names, ["LLL", "LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH"]);
            let low = 2.0 * 8f32.sqrt().powi(level as i32);
            for (band, expected) in bands.iter().zip([low, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]) {
                assert_eq!(band.volume.geometry(), flat.geometry());
                assert!(band.volume.as_slice().iter().all(|v| (v - expected).abs() < 1e-4), "{level} {}", band.name);
            }
        }
        assert!(matches!(wavelet_bands(&flat, "haar".parse().unwrap(), 0), Err(Error::InvalidArgument { .. })));
    }
}
