use rustfft::{FftPlanner, num_complex::Complex64};
use serde::{Deserialize, Serialize};

use crate::filter::{frequency_per_cm, transform};

/// Summed power of patches by spatial frequency, in rings of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spectrum {
    /// Width of a ring, lp/cm; the first is centred on 0.
    #[serde(skip)]
    step_per_cm: f64,
    /// As bits in a file: the sums come back exactly.
    #[serde(with = "bits")]
    power: Vec<f64>,
    count: Vec<u64>,
}

mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|value| value.to_bits()).collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<u64>::deserialize(from)?.into_iter().map(f64::from_bits).collect())
    }
}

impl Spectrum {
    /// Empty rings up to the highest frequency of patches of `size` voxels.
    pub(crate) fn new(size: [usize; 2], spacing_mm: [f64; 2]) -> Self {
        let nyquist = 5.0 / spacing_mm[0].min(spacing_mm[1]);
        let step_per_cm = 10.0 / (size[0] as f64 * spacing_mm[0]).min(size[1] as f64 * spacing_mm[1]);
        let rings = (nyquist / step_per_cm).ceil() as usize + 1;
        Self { step_per_cm, power: vec![0.0; rings], count: vec![0; rings] }
    }

    /// These sums over rings of the width of `other`; `None` when there are not as many.
    pub(crate) fn in_rings_of(mut self, other: &Self) -> Option<Self> {
        self.step_per_cm = other.step_per_cm;
        let count = other.power.len();
        (self.power.len() == count && self.count.len() == count).then_some(self)
    }

    /// Adds one patch: less its mean, under a Hann window, transformed.
    pub(crate) fn add(&mut self, patch: &[f32], [nx, ny]: [usize; 2], spacing_mm: [f64; 2]) {
        let mean = patch.iter().map(|&v| f64::from(v)).sum::<f64>() / patch.len() as f64;
        let hann = |i: usize, n: usize| (std::f64::consts::PI * (i as f64 + 0.5) / n as f64).sin().powi(2);
        let mut values: Vec<Complex64> = patch
            .iter()
            .enumerate()
            .map(|(i, &v)| Complex64::new((f64::from(v) - mean) * hann(i % nx, nx) * hann(i / nx, ny), 0.0))
            .collect();
        let mut planner = FftPlanner::new();
        transform(&mut values, [nx, ny], |n| planner.plan_fft_forward(n));
        for (i, value) in values.iter().enumerate() {
            let ring = (frequency_per_cm(i, [nx, ny], spacing_mm) / self.step_per_cm).round() as usize;
            if ring < self.power.len() {
                self.power[ring] += value.norm_sqr();
                self.count[ring] += 1;
            }
        }
    }

    /// Width of a ring, lp/cm.
    pub(crate) fn step_per_cm(&self) -> f64 {
        self.step_per_cm
    }

    /// Amplitude of `target` over that of `self`, ring by ring; 1 at 0, where the patches' means were taken off, and
    /// where this spectrum has no power.
    pub(crate) fn ratio_to(&self, target: &Self) -> Vec<f64> {
        let mean = |spectrum: &Self, ring: usize| spectrum.power[ring] / spectrum.count[ring].max(1) as f64;
        (0..self.power.len())
            .map(|ring| {
                let (from, to) = (mean(self, ring), mean(target, ring));
                if ring == 0 || from <= 0.0 { 1.0 } else { (to / from).sqrt() }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_patches_have_twice_the_amplitude_in_every_ring_but_the_first() {
        let patch: Vec<f32> = (0..256).map(|i| ((i * 37) % 101) as f32).collect();
        let doubled: Vec<f32> = patch.iter().map(|v| 2.0 * v).collect();
        let [mut from, mut to] = [(); 2].map(|()| Spectrum::new([16; 2], [1.0; 2]));
        from.add(&patch, [16; 2], [1.0; 2]);
        to.add(&doubled, [16; 2], [1.0; 2]);
        let ratio = from.ratio_to(&to);
        assert_eq!((ratio[0], ratio.len()), (1.0, 9));
        assert!(ratio[1..].iter().all(|r| (r - 2.0).abs() < 1e-9), "{ratio:?}");
    }

    #[test]
    fn wave_lies_in_the_ring_of_its_frequency() {
        let patch: Vec<f32> = (0..1024).map(|i| (std::f32::consts::TAU * 5.0 * (i % 32) as f32 / 32.0).cos()).collect();
        let mut spectrum = Spectrum::new([32; 2], [0.5; 2]);
        spectrum.add(&patch, [32; 2], [0.5; 2]);
        let loudest = (0..spectrum.power.len()).max_by(|&a, &b| spectrum.power[a].total_cmp(&spectrum.power[b]));
        // 5 periods in 32 voxels of 0.5 mm are 3.125 lp/cm; a ring is 0.625 lp/cm wide.
        assert_eq!((loudest, spectrum.step_per_cm()), (Some(5), 0.625));
    }
}
