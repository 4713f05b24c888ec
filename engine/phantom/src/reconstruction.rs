use std::f64::consts::PI;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::Kernel;
use crate::projection::{Detector, add_interpolated, aperture, knots};

/// Filtered samples per detector element: fine enough that linear interpolation between them costs less than 3 % of
/// the response at any kernel's cut-off.
const FINENESS: usize = 4;

/// Filters views with the ramp and a kernel and gives them on a grid finer than the detector.
pub(crate) struct ViewFilter {
    response: Vec<f64>,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
    detector: Detector,
}

impl ViewFilter {
    /// The response is that of the band-limited ramp's impulse response (Kak & Slaney 1988, equation 3.61), times the
    /// kernel's transfer function, divided by the transfer function of an element's width, so that the kernel's curve
    /// is the transfer function of the whole scan.
    pub(crate) fn new(kernel: &Kernel, detector: Detector) -> Self {
        let length = (2 * detector.elements).next_power_of_two();
        let mut planner = FftPlanner::new();
        let forward = planner.plan_fft_forward(length);
        let mut ramp = impulse_response(length, detector.width_mm);
        forward.process(&mut ramp);
        let response = ramp
            .iter()
            .enumerate()
            .map(|(i, value)| {
                let frequency = i.min(length - i) as f64 / (length as f64 * detector.width_mm);
                let mtf = kernel.mtf(10.0 * frequency);
                if mtf == 0.0 {
                    0.0
                } else {
                    value.re * mtf * detector.width_mm / aperture(frequency, detector.width_mm)
                }
            })
            .collect();
        Self { response, forward, inverse: planner.plan_fft_inverse(length * FINENESS), detector }
    }

    /// Filters two views in one transform; sample `i` lies at `(i/4 - (elements - 1)/2)·width_mm`.
    pub(crate) fn filter_pair(&self, first: &[f64], second: &[f64]) -> [Vec<f32>; 2] {
        let length = self.response.len();
        let mut buffer = vec![Complex::default(); length];
        for (value, (&re, &im)) in buffer.iter_mut().zip(first.iter().zip(second)) {
            *value = Complex { re, im };
        }
        self.forward.process(&mut buffer);
        let mut fine = vec![Complex::default(); length * FINENESS];
        let scale = 1.0 / length as f64;
        for (i, (value, response)) in buffer.iter().zip(&self.response).enumerate() {
            let at = if i < length / 2 { i } else { fine.len() - length + i };
            fine[at] = value * (response * scale);
        }
        self.inverse.process(&mut fine);
        let count = FINENESS * self.detector.elements;
        [fine[..count].iter().map(|v| v.re as f32).collect(), fine[..count].iter().map(|v| v.im as f32).collect()]
    }
}

/// `h(0) = 1/4τ²`, `h(n) = -1/n²π²τ²` for odd n, 0 for even n; negative n at the end.
fn impulse_response(length: usize, tau: f64) -> Vec<Complex<f64>> {
    (0..length)
        .map(|i| {
            let n = i.min(length - i);
            let value = match n {
                0 => 0.25 / (tau * tau),
                n if n % 2 == 1 => -1.0 / (n as f64 * PI * tau).powi(2),
                _ => 0.0,
            };
            Complex { re: value, im: 0.0 }
        })
        .collect()
}

/// A slice being reconstructed: sums of filtered views at pixel centres, 1/mm.
pub(crate) struct Backprojection {
    sums: Vec<f64>,
    columns: usize,
    first_mm: [f64; 2],
    pixel_mm: f64,
    detector: Detector,
}

impl Backprojection {
    /// An empty slice of `size` (columns, rows) whose first pixel centre (x, y) is at `first_mm`.
    pub(crate) fn new(size: [usize; 2], first_mm: [f64; 2], pixel_mm: f64, detector: Detector) -> Self {
        Self { sums: vec![0.0; size[0] * size[1]], columns: size[0], first_mm, pixel_mm, detector }
    }

    /// Adds one filtered view: `f(x, y) += q(x cos θ + y sin θ)` (Kak & Slaney 1988, equation 3.43), with linear
    /// interpolation; a pixel outside the detector gets nothing.
    pub(crate) fn add(&mut self, filtered: &[f32], angle_rad: f64) {
        let (sin, cos) = angle_rad.sin_cos();
        let per_mm = FINENESS as f64 / self.detector.width_mm;
        let center = 0.5 * (self.detector.elements - 1) as f64 * FINENESS as f64;
        let stride = cos * self.pixel_mm * per_mm;
        let last = (filtered.len() - 1) as f64;
        let samples = knots(filtered);
        for (j, row) in self.sums.chunks_mut(self.columns).enumerate() {
            let y = self.first_mm[1] + j as f64 * self.pixel_mm;
            let start = (self.first_mm[0] * cos + y * sin) * per_mm + center;
            let [begin, end] = columns_between(start, stride, last, row.len());
            add_interpolated(&samples, start + begin as f64 * stride, stride, &mut row[begin..end]);
        }
    }

    /// The slice after `views` over 180°, 1/mm.
    pub(crate) fn finish(self, views: usize) -> Vec<f64> {
        let step_rad = PI / views as f64;
        self.sums.into_iter().map(|sum| sum * step_rad).collect()
    }
}

/// The columns `begin..end` of `count` whose position `start + i·stride` lies in `0..last`.
fn columns_between(start: f64, stride: f64, last: f64, count: usize) -> [usize; 2] {
    if stride.abs() < 1e-9 {
        return if start >= 0.0 && start < last { [0, count] } else { [0, 0] };
    }
    let meets = [-start / stride, (last - start) / stride];
    let begin = meets[0].min(meets[1]).ceil().clamp(0.0, count as f64);
    let end = (meets[0].max(meets[1]).floor() + 1.0).clamp(begin, count as f64);
    [begin as usize, end as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramp_response_is_the_frequency_itself() {
        let detector = Detector { elements: 200, width_mm: 1.0 };
        let flat = Kernel { name: "flat", cutoff_per_cm: 1e6, enhancement: 0.0 };
        let filter = ViewFilter::new(&flat, detector);
        let length = filter.response.len();
        for i in [8, 32, 100, 200] {
            let frequency = i as f64 / length as f64;
            let expected = frequency / aperture(frequency, 1.0);
            assert!((filter.response[i] - expected).abs() < 0.002, "{frequency}: {}", filter.response[i]);
        }
    }
}
