use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::roi::Roi;
use crate::table::{NanReason, Outcome};

/// Most numbers held at once, as many as take 2 GiB.
const MOST_NUMBERS: usize = 1 << 28;

/// Frequencies worked on at once: those of all slices stay in the cache.
const BLOCK: usize = 64;

/// Moran's I and Geary's C of a region's intensities.
///
/// `I = N/W · Σᵢⱼ wᵢⱼ(xᵢ - μ)(xⱼ - μ) / Σᵢ(xᵢ - μ)²` and `C = (N - 1)/2W · Σᵢⱼ wᵢⱼ(xᵢ - xⱼ)² / Σᵢ(xᵢ - μ)²` over all pairs of
/// different voxels, with `wᵢⱼ = 1/d` of the distance of their centres and `W = Σᵢⱼ wᵢⱼ`.
///
/// The sums over pairs are sums over voxels of two potentials, `Kᵢ = Σⱼ wᵢⱼ` and `φᵢ = Σⱼ wᵢⱼ(xⱼ - μ)`, both convolutions:
/// along the two longer axes of the region's box by Fourier transforms, along the shortest directly. That is exact but
/// for rounding, near 1e-15 of the sums.
pub(super) fn moran_and_geary(region: &Roi, intensities: &[f64], spacing_mm: [f64; 3]) -> [Outcome; 2] {
    let n = intensities.len() as f64;
    if intensities.len() < 2 {
        return [Err(NanReason::OneVoxel); 2];
    }
    let mean = intensities.iter().sum::<f64>() / n;
    let centred: Vec<f64> = intensities.iter().map(|x| x - mean).collect();
    let squares: f64 = centred.iter().map(|x| x * x).sum();
    if intensities.iter().all(|&x| x == intensities[0]) {
        return [Err(NanReason::NoVariation); 2];
    }
    let Some(sums) = pair_sums(region, &centred, spacing_mm) else { return [Err(NanReason::TooManyPairs); 2] };
    let moran = n / sums.weights * sums.products / squares;
    let geary = (n - 1.0) / sums.weights * (sums.squares - sums.products) / squares;
    [Ok(moran), Ok(geary)]
}

/// Sums over all pairs of different voxels i and j, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct PairSums {
    /// `Σ wᵢⱼ`.
    weights: f64,
    /// `Σ wᵢⱼ xᵢ xⱼ`.
    products: f64,
    /// `Σ wᵢⱼ xᵢ²`.
    squares: f64,
}

/// The sums for the values `x` of the region's voxels, or `None` when its box is too large.
fn pair_sums(region: &Roi, x: &[f64], spacing_mm: [f64; 3]) -> Option<PairSums> {
    let mut axes = [0, 1, 2];
    axes.sort_by_key(|&axis| std::cmp::Reverse(region.size[axis]));
    let size = axes.map(|axis| region.size[axis]);
    let plane = Plane::new([size[0], size[1]]);
    if plane.numbers().checked_mul(5 * size[2]).is_none_or(|numbers| numbers > MOST_NUMBERS) {
        return None;
    }
    let mut slices = vec![Vec::new(); size[2]];
    for ((_, position), &value) in region.voxels().zip(x) {
        let [u, v, w] = axes.map(|axis| position[axis] - region.first[axis]);
        slices[w].push(([u, v], value));
    }
    let spectra: Vec<Vec<Complex<f64>>> = slices.par_iter().map(|slice| plane.spectrum(slice)).collect();
    let distance_mm = axes.map(|axis| spacing_mm[axis]);
    let kernels: Vec<Vec<f64>> = (0..size[2]).into_par_iter().map(|offset| plane.kernel(distance_mm, offset)).collect();
    let starts: Vec<usize> = (0..plane.numbers()).step_by(BLOCK).collect();
    let potentials: Vec<Vec<Complex<f64>>> = starts
        .into_par_iter()
        .map(|start| convolved(&spectra, &kernels, start..(start + BLOCK).min(plane.numbers())))
        .collect();
    drop(spectra);
    let of_slice = |w: usize| {
        let parts = potentials.iter().map(|block| &block[w * block.len() / size[2]..(w + 1) * block.len() / size[2]]);
        plane.sums(&slices[w], parts.flatten().copied().collect())
    };
    let per_slice: Vec<PairSums> = (0..size[2]).into_par_iter().map(of_slice).collect();
    Some(per_slice.into_iter().fold(PairSums::default(), |a, b| PairSums {
        weights: a.weights + b.weights,
        products: a.products + b.products,
        squares: a.squares + b.squares,
    }))
}

/// Spectra of the potentials in a range of frequencies, slice by slice: `Σ_w' kernel(|w - w'|) spectrum(w')`.
fn convolved(spectra: &[Vec<Complex<f64>>], kernels: &[Vec<f64>], range: Range<usize>) -> Vec<Complex<f64>> {
    let mut potentials = vec![Complex::default(); spectra.len() * range.len()];
    for (w, potential) in potentials.chunks_exact_mut(range.len()).enumerate() {
        for (other, spectrum) in spectra.iter().enumerate() {
            let kernel = &kernels[w.abs_diff(other)][range.clone()];
            let terms = spectrum[range.clone()].iter().zip(kernel);
            potential.iter_mut().zip(terms).for_each(|(sum, (f, k))| *sum += f * k);
        }
    }
    potentials
}

/// Voxels of one slice: position along the two longer axes, and value.
type Slice = [([usize; 2], f64)];

/// Fourier transforms of slices, padded so that no voxel meets another around the border. A spectrum is transposed.
struct Plane {
    size: [usize; 2],
    padded: [usize; 2],
    forward: [Arc<dyn Fft<f64>>; 2],
    backward: [Arc<dyn Fft<f64>>; 2],
}

impl Plane {
    fn new(size: [usize; 2]) -> Self {
        let padded = size.map(|n| smooth_at_least(2 * n - 1));
        let mut planner = FftPlanner::new();
        let forward = padded.map(|n| planner.plan_fft_forward(n));
        let backward = padded.map(|n| planner.plan_fft_inverse(n));
        Self { size, padded, forward, backward }
    }

    fn numbers(&self) -> usize {
        self.padded[0] * self.padded[1]
    }

    /// Spectrum of the mask, plus i times that of the values.
    fn spectrum(&self, slice: &Slice) -> Vec<Complex<f64>> {
        let mut field = vec![Complex::default(); self.numbers()];
        for &([u, v], value) in slice {
            field[v * self.padded[0] + u] = Complex::new(1.0, value);
        }
        self.transform(field)
    }

    /// Spectrum of 1/distance from the origin to the voxels of the slice `offset` away; real, as the distance is even.
    fn kernel(&self, spacing_mm: [f64; 3], offset: usize) -> Vec<f64> {
        let mut field = vec![Complex::default(); self.numbers()];
        let squared = |steps: usize, axis: usize| (steps as f64 * spacing_mm[axis]).powi(2);
        for v in 0..self.size[1] {
            for u in 0..self.size[0] {
                if (u, v, offset) == (0, 0, 0) {
                    continue;
                }
                let weight = 1.0 / (squared(u, 0) + squared(v, 1) + squared(offset, 2)).sqrt();
                for row in [v, (self.padded[1] - v) % self.padded[1]] {
                    for column in [u, (self.padded[0] - u) % self.padded[0]] {
                        field[row * self.padded[0] + column] = Complex::new(weight, 0.0);
                    }
                }
            }
        }
        self.transform(field).into_iter().map(|c| c.re).collect()
    }

    fn transform(&self, mut field: Vec<Complex<f64>>) -> Vec<Complex<f64>> {
        self.forward[0].process(&mut field);
        let mut field = transposed(&field, self.padded[0]);
        self.forward[1].process(&mut field);
        field
    }

    /// Sums over a slice's voxels from the spectrum of their potentials.
    fn sums(&self, slice: &Slice, mut potential: Vec<Complex<f64>>) -> PairSums {
        self.backward[1].process(&mut potential);
        let mut potential = transposed(&potential, self.padded[1]);
        self.backward[0].process(&mut potential);
        let scale = 1.0 / self.numbers() as f64;
        slice.iter().fold(PairSums::default(), |sums, &([u, v], x)| {
            let potential = potential[v * self.padded[0] + u] * scale;
            PairSums {
                weights: sums.weights + potential.re,
                products: sums.products + x * potential.im,
                squares: sums.squares + x * x * potential.re,
            }
        })
    }
}

fn transposed(field: &[Complex<f64>], width: usize) -> Vec<Complex<f64>> {
    let height = field.len() / width;
    let mut turned = vec![Complex::default(); field.len()];
    for (y, row) in field.chunks_exact(width).enumerate() {
        for (x, &value) in row.iter().enumerate() {
            turned[x * height + y] = value;
        }
    }
    turned
}

/// The smallest product of 2, 3 and 5 that is at least `n`: lengths whose transform is fast.
fn smooth_at_least(n: usize) -> usize {
    let is_smooth = |mut m: usize| {
        for prime in [2, 3, 5] {
            while m.is_multiple_of(prime) {
                m /= prime;
            }
        }
        m == 1
    };
    (n.max(1)..).find(|&m| is_smooth(m)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64], spacing_mm: f64) -> [Outcome; 2] {
        let region = Roi { first: [3; 3], size: [values.len(), 1, 1], inside: vec![true; values.len()] };
        moran_and_geary(&region, values, [spacing_mm, 1.0, 1.0])
    }

    /// 1 2 6 in a row: mean 3, deviations -2 -1 3, squares 14; weights 1, 1 and 1/2, each both ways, W = 5. Products 2 - 3
    /// - 6/2 = -4, both ways -8: I = 3/5 · -8/14. Squared differences 1 + 16 + 25/2 = 29.5, both ways 59: C = 2/10 · 59/14.
    #[test]
    fn three_voxels_by_hand() {
        for spacing_mm in [1.0, 0.3] {
            let [moran, geary] = line(&[1.0, 2.0, 6.0], spacing_mm).map(Outcome::unwrap);
            assert!((moran + 24.0 / 70.0).abs() < 1e-14, "{moran}");
            assert!((geary - 59.0 / 70.0).abs() < 1e-14, "{geary}");
        }
    }

    #[test]
    fn transforms_give_the_sums_over_every_pair() {
        let (size, spacing_mm) = ([5, 9, 7], [0.7, 1.1, 2.5]);
        let inside: Vec<bool> = (0..315).map(|i| i * i % 11 < 6).collect();
        let region = Roi { first: [2, 0, 1], size, inside };
        let voxels: Vec<[usize; 3]> = region.voxels().map(|(_, position)| position).collect();
        let x: Vec<f64> = (0..voxels.len()).map(|i| (i * i % 37) as f64 - 17.0).collect();
        let mut expected = PairSums::default();
        for (i, p) in voxels.iter().enumerate() {
            for (j, q) in voxels.iter().enumerate().filter(|(j, _)| *j != i) {
                let squared: f64 = (0..3).map(|a| ((p[a] as f64 - q[a] as f64) * spacing_mm[a]).powi(2)).sum();
                let weight = 1.0 / squared.sqrt();
                expected.weights += weight;
                expected.products += weight * x[i] * x[j];
                expected.squares += weight * x[i] * x[i];
            }
        }
        let found = pair_sums(&region, &x, spacing_mm).unwrap();
        for (found, expected) in
            [(found.weights, expected.weights), (found.products, expected.products), (found.squares, expected.squares)]
        {
            assert!((found - expected).abs() < 1e-11 * expected.abs(), "{found} {expected}");
        }
    }

    #[test]
    fn what_does_not_vary_has_no_autocorrelation() {
        assert_eq!(line(&[4.0], 1.0), [Err(NanReason::OneVoxel); 2]);
        assert_eq!(line(&[0.1; 6], 1.0), [Err(NanReason::NoVariation); 2]);
    }

    #[test]
    fn a_box_beyond_memory_is_refused() {
        let size = [1 << 12, 1 << 12, 1];
        let mut inside = vec![false; size.iter().product()];
        inside[..2].fill(true);
        let region = Roi { first: [0; 3], size, inside };
        assert_eq!(moran_and_geary(&region, &[1.0, 2.0], [1.0; 3]), [Err(NanReason::TooManyPairs); 2]);
    }

    #[test]
    fn transforms_have_lengths_of_small_primes() {
        for (n, expected) in [(0, 1), (1, 1), (7, 8), (11, 12), (181, 192), (241, 243)] {
            assert_eq!(smooth_at_least(n), expected);
        }
    }
}
