use std::f64::consts::FRAC_PI_2;

use rustfft::num_complex::Complex64;

use super::block::{Block, Source, Window};
use super::spectrum::{filter_extended, frequencies};
use super::{Boundary, Dimensions, Riesz};

/// A wavelet that is the same in all directions. `ν` is a frequency in units of the highest one of an axis, and the band
/// of level j ends at `ν_j = 2^(1-j)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RadialWavelet {
    /// Simoncelli, PRT7: `cos(π/2 log2(2‖ν‖/ν_j))` for `ν_j/4 <= ‖ν‖ <= ν_j`, else 0.
    Simoncelli,
    /// Shannon: 1 for `ν_j/2 <= ‖ν‖ <= ν_j`, else 0.
    Shannon,
}

impl RadialWavelet {
    fn at(self, radius: f64, level: u32) -> f64 {
        let highest = 0.5f64.powi(level as i32 - 1);
        match self {
            Self::Simoncelli if radius >= highest / 4.0 && radius <= highest => {
                (FRAC_PI_2 * (2.0 * radius / highest).log2()).cos()
            }
            Self::Shannon if radius >= highest / 2.0 && radius <= highest => 1.0,
            Self::Simoncelli | Self::Shannon => 0.0,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Simoncelli => "simoncelli",
            Self::Shannon => "shannon",
        }
    }
}

/// The response in `out`.
pub(super) fn respond(
    source: &Source,
    wavelet: RadialWavelet,
    level: u32,
    riesz: Option<Riesz>,
    dimensions: Dimensions,
    boundary: Boundary,
    out: &Window,
) -> Block {
    filter_extended(source, dimensions, boundary, [16 << level; 3], out, |size| {
        let frequencies = frequencies(size, dimensions);
        move |term: [usize; 3]| {
            let frequency: [f64; 3] = std::array::from_fn(|a| frequencies[a][term[a]]);
            let radius = frequency.iter().map(|f| f * f).sum::<f64>().sqrt();
            let radial = wavelet.at(radius, level);
            riesz.map_or(Complex64::from(radial), |riesz| riesz.at(frequency) * radial)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_peak_in_their_middle_and_neighbours_share_the_energy() {
        for level in [1, 2, 3] {
            let end = 0.5f64.powi(level - 1);
            let at = |share: f64, level: i32| RadialWavelet::Simoncelli.at(share * end, level as u32);
            for (share, expected) in [(0.2, 0.0), (0.25, 0.0), (0.5, 1.0), (1.0, 0.0), (1.1, 0.0)] {
                assert!((at(share, level) - expected).abs() < 1e-15, "{level} {share}");
            }
            assert!((at(0.4, level).powi(2) + at(0.4, level + 1).powi(2) - 1.0).abs() < 1e-15);
            assert_eq!(RadialWavelet::Shannon.at(0.75 * end, level as u32), 1.0);
            assert_eq!(RadialWavelet::Shannon.at(0.4 * end, level as u32), 0.0);
        }
    }
}
