use std::f64::consts::{LN_2, PI};

use super::BiasFieldSettings;
use super::samples::Samples;

/// The expected true logarithm `E(u|v)` of each observed one, at equally spaced places.
pub(super) struct Sharpening {
    low: f64,
    places_per_unit: f64,
    expected: Vec<f64>,
}

impl Sharpening {
    /// `None` when all corrected logarithms are the same.
    ///
    /// With the histogram `V` and a Gaussian `F` of the set width: `U = max(0, V * G)`, `G` the Wiener inverse
    /// `F̂ / (F̂² + noise)` in frequency, and `E(u|v) = F * (u U) / F * U`.
    pub(super) fn of(samples: &Samples, settings: &BiasFieldSettings) -> Option<Self> {
        let bins = settings.bins;
        let (low, high) = samples.range();
        let (low, width) = (f64::from(low), (f64::from(high) - f64::from(low)) / (bins - 1) as f64);
        if width <= 0.0 {
            return None;
        }
        let padded = 2 * bins.next_power_of_two();
        let offset = (padded - bins) / 2;
        let mut observed = Spectrum::zeros(padded);
        observed.real[offset..][..bins].copy_from_slice(&samples.histogram(bins, width));
        let blur = gaussian(padded, settings.full_width_half_maximum / width);
        let sharpened = observed.filtered(|n| blur[n] / (blur[n] * blur[n] + settings.noise));
        let density = sharpened.real.iter().map(|u| u.max(0.0));
        let moment = density.clone().enumerate().map(|(n, u)| (low + (n as f64 - offset as f64) * width) * u);
        // Two real signals go through one transform as its real and imaginary part; the filter is real and even.
        let both = Spectrum { real: moment.collect(), imaginary: density.collect() };
        let both = both.filtered(|n| blur[n]);
        // Where the density is mere rounding the quotient may be anything; a mean lies among the places.
        let (lowest, highest) = (low - offset as f64 * width, low + (padded - offset) as f64 * width);
        let expected = (offset..offset + bins).map(|n| {
            if both.imaginary[n] == 0.0 {
                return low + (n - offset) as f64 * width;
            }
            (both.real[n] / both.imaginary[n]).clamp(lowest, highest)
        });
        Some(Self { low, places_per_unit: width.recip(), expected: expected.collect() })
    }

    /// The corrected logarithm less its expected value.
    pub(super) fn residual(&self, log: f32) -> f64 {
        let place = (f64::from(log) - self.low) * self.places_per_unit;
        let bin = (place as usize).min(self.expected.len() - 2);
        let (below, above) = (self.expected[bin], self.expected[bin + 1]);
        f64::from(log) - (below + (above - below) * (place - bin as f64))
    }
}

/// The transform of the unit-area Gaussian of this full width at half maximum around place 0, which is real.
fn gaussian(length: usize, full_width: f64) -> Vec<f64> {
    let exponent = 4.0 * LN_2 / (full_width * full_width);
    let peak = 2.0 * (LN_2 / PI).sqrt() / full_width;
    let at = |n: usize| peak * (-(n.min(length - n) as f64).powi(2) * exponent).exp();
    let mut spectrum = Spectrum { real: (0..length).map(at).collect(), imaginary: vec![0.0; length] };
    spectrum.transform();
    spectrum.real
}

/// A complex signal whose length is a power of two.
struct Spectrum {
    real: Vec<f64>,
    imaginary: Vec<f64>,
}

impl Spectrum {
    fn zeros(length: usize) -> Self {
        Self { real: vec![0.0; length], imaginary: vec![0.0; length] }
    }

    /// The signal after an even, real filter in frequency, scaled by its length.
    fn filtered(mut self, filter: impl Fn(usize) -> f64) -> Self {
        self.transform();
        for (n, (real, imaginary)) in self.real.iter_mut().zip(&mut self.imaginary).enumerate() {
            let factor = filter(n);
            // The conjugate's forward transform is the conjugate of the inverse transform.
            (*real, *imaginary) = (*real * factor, -*imaginary * factor);
        }
        self.transform();
        self.imaginary.iter_mut().for_each(|i| *i = -*i);
        self
    }

    /// The discrete Fourier transform in place, by powers of two.
    fn transform(&mut self) {
        let length = self.real.len();
        let bits = length.trailing_zeros();
        for n in 0..length {
            let reversed = n.reverse_bits() >> (usize::BITS - bits);
            if n < reversed {
                self.real.swap(n, reversed);
                self.imaginary.swap(n, reversed);
            }
        }
        let turns = (0..length / 2).map(|n| (-2.0 * PI * n as f64 / length as f64).sin_cos()).collect::<Vec<_>>();
        let mut half = 1;
        while half < length {
            for start in (0..length).step_by(2 * half) {
                for k in 0..half {
                    let (sin, cos) = turns[k * (length / (2 * half))];
                    let (a, b) = (start + k, start + k + half);
                    let real = self.real[b] * cos - self.imaginary[b] * sin;
                    let imaginary = self.real[b] * sin + self.imaginary[b] * cos;
                    (self.real[b], self.imaginary[b]) = (self.real[a] - real, self.imaginary[a] - imaginary);
                    (self.real[a], self.imaginary[a]) = (self.real[a] + real, self.imaginary[a] + imaginary);
                }
            }
            half *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transform_of_a_shifted_impulse_and_back() {
        let mut spectrum = Spectrum::zeros(8);
        spectrum.real[1] = 1.0;
        spectrum.transform();
        for n in 0..8 {
            let angle = -PI * n as f64 / 4.0;
            assert!(
                (spectrum.real[n] - angle.cos()).abs() < 1e-15 && (spectrum.imaginary[n] - angle.sin()).abs() < 1e-15
            );
        }
        let signal = Spectrum { real: (0..8).map(f64::from).collect(), imaginary: vec![1.0; 8] };
        let back = signal.filtered(|_| 0.125);
        for n in 0..8 {
            assert!((back.real[n] - n as f64).abs() < 1e-14 && (back.imaginary[n] - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn a_narrow_gaussian_keeps_every_frequency() {
        assert!(gaussian(64, 3.0).iter().take(4).all(|g| *g > 0.8));
        assert!((gaussian(512, 8.0)[0] - 1.0).abs() < 1e-12);
    }
}
