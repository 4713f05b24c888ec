use std::sync::Arc;

use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::roi::Roi;
use crate::table::{NanReason, Outcome};

/// Most numbers held at once, as many as take 2 GiB.
const MOST_NUMBERS: usize = 1 << 28;

/// Lines worked on at once: those of all fields stay in the cache.
const BLOCK: usize = 32;

/// Moran's I and Geary's C of a region's intensities.
///
/// `I = N/W · Σᵢⱼ wᵢⱼ(xᵢ - μ)(xⱼ - μ) / Σᵢ(xᵢ - μ)²` and `C = (N - 1)/2W · Σᵢⱼ wᵢⱼ(xᵢ - xⱼ)² / Σᵢ(xᵢ - μ)²` over all pairs of
/// different voxels, with `wᵢⱼ = 1/d` of the distance of their centres and `W = Σᵢⱼ wᵢⱼ`.
///
/// The distance depends on the offset of a pair alone, so that a sum over pairs is one over offsets, of 1/d times a
/// correlation of two fields, and by Parseval's theorem one over frequencies: `Σᵢⱼ wᵢⱼ aᵢ bⱼ = 1/P · Σₖ Kₖ Re(Aₖ* Bₖ)` with
/// the transforms of 1/d and of the fields, padded to P voxels so that no voxel meets another around the border. That is
/// exact but for rounding, near 1e-15 of the sums.
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

impl PairSums {
    fn plus(self, other: Self, times: f64) -> Self {
        Self {
            weights: self.weights + times * other.weights,
            products: self.products + times * other.products,
            squares: self.squares + times * other.squares,
        }
    }
}

/// The sums for the values `x` of the region's voxels, or `None` when its box is too large.
fn pair_sums(region: &Roi, x: &[f64], spacing_mm: [f64; 3]) -> Option<PairSums> {
    let mut axes = [0, 1, 2];
    axes.sort_by_key(|&axis| std::cmp::Reverse(region.size[axis]));
    let grid = Grid::new(axes.map(|axis| region.size[axis]));
    let [_, _, slices] = grid.size;
    if grid.plane().checked_mul(5 * slices).is_none_or(|numbers| numbers > MOST_NUMBERS) {
        return None;
    }
    let mut voxels = vec![Vec::new(); slices];
    for ((_, position), &value) in region.voxels().zip(x) {
        let [u, v, w] = axes.map(|axis| position[axis] - region.first[axis]);
        voxels[w].push(([u, v], value));
    }
    let with_values = voxels.par_iter().map(|slice| grid.spectrum([slice, slice], [|_| 1.0, |x| x]));
    let with_squares = voxels.par_chunks(2).map(|pair| {
        let second = pair.get(1).map_or(&[][..], Vec::as_slice);
        grid.spectrum([&pair[0], second], [|x| x * x, |x| x * x])
    });
    let with_values: Vec<_> = with_values.collect();
    let with_squares: Vec<_> = with_squares.collect();
    let kernel = grid.kernel(axes.map(|axis| spacing_mm[axis]));
    // The fields are real, so that opposite frequencies say the same: half of those along the first axis are enough.
    let half = grid.padded[0] / 2;
    let of_frequency = |u: usize| {
        let alone = u == 0 || 2 * u == grid.padded[0];
        PairSums::default().plus(
            grid.sums_at(u, &with_values, &with_squares, &kernel),
            if alone { 1.0 } else { 2.0 } / (grid.plane() * grid.padded[2]) as f64,
        )
    };
    let found: Vec<PairSums> = (0..=half).into_par_iter().map(of_frequency).collect();
    Some(found.into_iter().fold(PairSums::default(), |sums, part| sums.plus(part, 1.0)))
}

/// Voxels of one slice: position along the two longer axes, and value.
type Slice = [([usize; 2], f64)];

/// The region's box, its longest axis first, and the transforms along its axes, padded.
struct Grid {
    size: [usize; 3],
    padded: [usize; 3],
    forward: [Arc<dyn Fft<f64>>; 3],
}

impl Grid {
    fn new(size: [usize; 3]) -> Self {
        let padded = size.map(|n| smooth_at_least(2 * n - 1));
        let mut planner = FftPlanner::new();
        Self { size, padded, forward: padded.map(|n| planner.plan_fft_forward(n)) }
    }

    /// Numbers of a padded slice.
    fn plane(&self) -> usize {
        self.padded[0] * self.padded[1]
    }

    /// Spectrum of a real field of one slice plus i times that of another; frequencies of the second axis fastest.
    fn spectrum(&self, slices: [&Slice; 2], of: [fn(f64) -> f64; 2]) -> Vec<Complex<f64>> {
        let mut field = vec![Complex::default(); self.padded[0] * self.size[1]];
        for &([u, v], value) in slices[0] {
            field[v * self.padded[0] + u].re = of[0](value);
        }
        for &([u, v], value) in slices[1] {
            field[v * self.padded[0] + u].im = of[1](value);
        }
        self.forward[0].process(&mut field);
        let mut field = turned(&field, self.padded[0], self.padded[1]);
        self.forward[1].process(&mut field);
        field
    }

    /// Transform of 1/distance over the offsets of pairs, 0 at none. It is real and even, so that frequencies up to half of
    /// each axis are all; those of the third axis come fastest, then those of the first.
    fn kernel(&self, spacing_mm: [f64; 3]) -> Vec<f64> {
        let [nu, nv, nw] = self.size;
        let squared = |steps: usize, axis: usize| (steps as f64 * spacing_mm[axis]).powi(2);
        let mut field: Vec<f64> = (0..nw)
            .flat_map(|w| (0..nv).flat_map(move |v| (0..nu).map(move |u| [u, v, w])))
            .map(|[u, v, w]| 1.0 / (squared(u, 0) + squared(v, 1) + squared(w, 2)).sqrt())
            .collect();
        field[0] = 0.0;
        for axis in 0..3 {
            field = even_spectra(&field, self.size[axis], self.forward[axis].as_ref());
            if axis < 2 {
                let length = self.padded[axis] / 2 + 1;
                field = turned(&field, length, field.len() / length);
            }
        }
        field
    }

    /// The sums over all frequencies whose first is `u`.
    fn sums_at(
        &self,
        u: usize,
        with_values: &[Vec<Complex<f64>>],
        with_squares: &[Vec<Complex<f64>>],
        kernel: &[f64],
    ) -> PairSums {
        let [pu, pv, pw] = self.padded;
        let opposite = |frequency: usize, padded: usize| (padded - frequency) % padded;
        let (row, other) = (u * pv, opposite(u, pu) * pv);
        let mut scratch = vec![Complex::default(); self.forward[2].get_inplace_scratch_len()];
        let mut lines = vec![Complex::default(); 3 * BLOCK * pw];
        let mut sums = PairSums::default();
        for start in (0..pv).step_by(BLOCK) {
            let block = start..(start + BLOCK).min(pv);
            lines.fill(Complex::default());
            let (masks, rest) = lines.split_at_mut(BLOCK * pw);
            let (values, squares) = rest.split_at_mut(BLOCK * pw);
            for v in block.clone() {
                let line = (v - start) * pw;
                let (here, there) = (row + v, other + opposite(v, pv));
                for (w, spectrum) in with_values.iter().enumerate() {
                    (masks[line + w], values[line + w]) = parts(spectrum[here], spectrum[there]);
                }
                let squares = &mut squares[line..line + with_values.len()];
                for (pair, spectrum) in squares.chunks_mut(2).zip(with_squares) {
                    let (first, second) = parts(spectrum[here], spectrum[there]);
                    pair.iter_mut().zip([first, second]).for_each(|(square, part)| *square = part);
                }
            }
            for field in [&mut *masks, &mut *values, &mut *squares] {
                self.forward[2].process_with_scratch(&mut field[..block.len() * pw], &mut scratch);
            }
            for v in block {
                let line = (v - start) * pw;
                let (columns, depths) = (pu / 2 + 1, pw / 2 + 1);
                let first = (v.min(opposite(v, pv)) * columns + u) * depths;
                let weights = &kernel[first..first + depths];
                for w in 0..pw {
                    let (mask, value, square) = (masks[line + w], values[line + w], squares[line + w]);
                    let weight = weights[w.min(pw - w)];
                    sums.weights += weight * mask.norm_sqr();
                    sums.products += weight * value.norm_sqr();
                    sums.squares += weight * (mask.re * square.re + mask.im * square.im);
                }
            }
        }
        sums
    }
}

/// Spectra of two real fields at a frequency, from that of the first plus i times the second there and at the opposite
/// frequency.
fn parts(here: Complex<f64>, there: Complex<f64>) -> (Complex<f64>, Complex<f64>) {
    let (sum, difference) = (here + there.conj(), here - there.conj());
    (sum * 0.5, Complex::new(difference.im, -difference.re) * 0.5)
}

/// Transforms of even lines, each given by its first `length` numbers up to the middle and zeros from there: the
/// frequencies up to half of each, which are real.
fn even_spectra(lines: &[f64], length: usize, forward: &dyn Fft<f64>) -> Vec<f64> {
    let (padded, half) = (forward.len(), forward.len() / 2 + 1);
    let mut spectra = vec![0.0; lines.len() / length * half];
    let pairs = spectra.par_chunks_mut(2 * half).zip(lines.par_chunks(2 * length));
    let buffers = || (vec![Complex::default(); padded], vec![Complex::default(); forward.get_inplace_scratch_len()]);
    pairs.for_each_init(buffers, |(field, scratch), (spectra, lines)| {
        field.fill(Complex::default());
        let (first, second) = lines.split_at(length);
        for k in 0..length {
            let both = Complex::new(first[k], second.get(k).copied().unwrap_or_default());
            (field[k], field[(padded - k) % padded]) = (both, both);
        }
        forward.process_with_scratch(field, scratch);
        for (k, spectrum) in spectra.chunks_exact_mut(half).enumerate() {
            let part = |both: &Complex<f64>| if k == 0 { both.re } else { both.im };
            spectrum.iter_mut().zip(field.iter()).for_each(|(real, both)| *real = part(both));
        }
    });
    spectra
}

/// Rows of `width` numbers as columns, which zeros extend to `height`.
fn turned<T: Copy + Default>(field: &[T], width: usize, height: usize) -> Vec<T> {
    let mut turned = vec![T::default(); width * height];
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
