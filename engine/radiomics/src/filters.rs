//! The convolutional filters of IBSI-2.
//!
//! [`response`] gives the response map of a [`Filter`] on the grid of the image. Definitions are those of the IBSI-2
//! reference manual (A. Depeursinge et al., Standardised convolutional filtering for radiomics, arXiv 2006.05470) and of
//! P. Whybra et al., Radiology 310 (2024) e231319. Sums are f64; an image is f32 before and after.
//!
//! ```
//! use isoscan_imaging::{Geometry, Modality, Unit, Volume};
//! use isoscan_radiomics::filters::{Boundary, Dimensions, Filter, response};
//! use ndarray::Array3;
//!
//! let geometry = Geometry::axis_aligned([4, 1, 1], [1.0; 3])?;
//! let voxels = Array3::from_shape_vec((1, 1, 4), vec![3.0, 0.0, 0.0, 6.0])?;
//! let volume = Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary)?;
//! let mean = Filter::Mean { support: 3, dimensions: Dimensions::Three, boundary: Boundary::Mirror };
//! // (3 + 3 + 0) / 3, (3 + 0 + 0) / 3, (0 + 0 + 6) / 3, (0 + 6 + 6) / 3
//! assert_eq!(response(&volume, &mean)?.as_slice(), [2.0, 1.0, 2.0, 4.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod boundary;
mod convolve;
mod gabor;
mod laplacian_of_gaussian;
mod laws;
mod radial_wavelet;
mod riesz;
mod rotation;
mod separable_wavelet;
mod settings;
mod spectrum;

use isoscan_imaging::Volume;
use ndarray::Array3;
use rayon::prelude::*;

use crate::Error;
use convolve::{Chain, filter_axes, mean, needed};
use laplacian_of_gaussian::LaplacianOfGaussian;
use rotation::Oriented;

pub(crate) use block::{Block, Source, Window};
pub use boundary::Boundary;
pub use laws::{LawsKernel, LawsKernels};
pub use radial_wavelet::RadialWavelet;
pub use riesz::Riesz;
pub use rotation::Pooling;
pub use separable_wavelet::{Band, Pass};
pub use settings::{Dimensions, Filter};

/// The response map of `filter`, on the grid of `volume` and with its modality and unit. NaN voxels spread as far as the
/// filter reaches.
///
/// # Errors
/// [`Error::InvalidSetting`] for a parameter outside its range.
pub fn response(volume: &Volume, filter: &Filter) -> Result<Volume, Error> {
    let size = volume.geometry().size();
    let values = |window: &Window| Block::of(volume, window).values;
    let source = Source { size, spacing_mm: volume.geometry().spacing_mm(), values: &values };
    let response = response_within(&source, filter, &size.map(|n| 0..n))?;
    let voxels = response.values.par_iter().map(|v| *v as f32).collect();
    let shape = (size[2], size[1], size[0]);
    Ok(volume.with_voxels(Array3::from_shape_vec(shape, voxels).expect("one value per voxel"))?)
}

/// The response of `filter` in a box of the image, as it is there when the whole image is filtered.
///
/// # Errors
/// As [`response`].
pub(crate) fn response_within(source: &Source, filter: &Filter, out: &Window) -> Result<Block, Error> {
    filter.check(source.spacing_mm)?;
    Ok(match *filter {
        Filter::Mean { support, dimensions, boundary } => {
            let oriented = Oriented::fixed(dimensions.chains(|_| vec![mean(support)]));
            oriented.respond(source, boundary, out)
        }
        Filter::LaplacianOfGaussian { sigma_mm, cutoff, dimensions, boundary, riesz } => {
            let filter = LaplacianOfGaussian::new(source.spacing_mm.map(|s| sigma_mm / s), cutoff, dimensions);
            match riesz {
                None => filter.respond(source, boundary, out),
                Some(riesz) => filter.respond_riesz(source, boundary, riesz, out),
            }
        }
        Filter::Laws { kernels, rotations, energy_distance, boundary } => {
            let dimensions = kernels.dimensions();
            let oriented = Oriented::new(kernels.chains(), rotations, dimensions);
            match energy_distance {
                None => oriented.respond(source, boundary, out),
                Some(distance) => {
                    let energy = dimensions.chains(|_| vec![mean(2 * distance + 1)]);
                    let mut map = oriented.respond(source, boundary, &needed(&energy, out, source.size, boundary));
                    map.values.iter_mut().for_each(|v| *v = v.abs());
                    filter_axes(&map, &energy, source.size, boundary, out)
                }
            }
        }
        Filter::Gabor { sigma_mm, wavelength_mm, gamma, boundary, pooling, orthogonal_planes, .. } => {
            let wave = |theta_rad| gabor::Wave { sigma_mm, wavelength_mm, gamma, theta_rad };
            let waves: Vec<_> = filter.angles().into_iter().map(|(angle, times)| (wave(angle), times)).collect();
            let normals: &[usize] = if orthogonal_planes { &[2, 1, 0] } else { &[2] };
            gabor::respond(source, &waves, normals, boundary, pooling, out)
        }
        Filter::SeparableWavelet { wavelet, band, level, rotations, boundary } => {
            Oriented::new(band.chains(wavelet, level), rotations, band.dimensions()).respond(source, boundary, out)
        }
        Filter::NonSeparableWavelet { wavelet, level, dimensions, boundary, riesz } => {
            radial_wavelet::respond(source, wavelet, level, riesz, dimensions, boundary, out)
        }
    })
}

impl Dimensions {
    fn count(self) -> usize {
        if self == Self::Two { 2 } else { 3 }
    }

    /// A chain for each axis; none along z in 2-D.
    fn chains(self, chain: impl Fn(usize) -> Chain) -> [Chain; 3] {
        std::array::from_fn(|a| if a < self.count() { chain(a) } else { Vec::new() })
    }
}
