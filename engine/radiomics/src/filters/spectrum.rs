use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};

use super::block::{Block, Source, Window};
use super::{Boundary, Dimensions};

/// Columns that are gathered and transformed together.
const COLUMNS: usize = 8;

/// Frequency of every term of a discrete Fourier transform of `size` voxels, in units of the highest one of each axis;
/// 0 along z in 2-D.
///
/// The grid is the one of the reference response maps: n frequencies from -1 to 1 with both ends, of which the one at
/// ⌊n/2⌋ belongs to term 0. So `ν_k = 2 ((k + ⌊n/2⌋) mod n) / (n - 1) - 1`, which for odd n is the frequency of the
/// transform times n/(n-1), and for even n half a step beside it.
pub(super) fn frequencies(size: [usize; 3], dimensions: Dimensions) -> [Vec<f64>; 3] {
    let along = |a: usize, n: usize| -> Vec<f64> {
        if a >= dimensions.count() || n == 1 {
            return vec![0.0; n];
        }
        (0..n).map(|k| 2.0 * ((k + n / 2) % n) as f64 / (n - 1) as f64 - 1.0).collect()
    };
    std::array::from_fn(|a| along(a, size[a]))
}

/// The response in `out` of a filter given by its transfer function, which `transfer` makes for the size of a transform.
///
/// A periodic image is transformed as it is; others are first continued by `margin` voxels to each side, at most by their
/// own size.
pub(super) fn filter_extended<T: Fn([usize; 3]) -> Complex64 + Sync>(
    source: &Source,
    dimensions: Dimensions,
    boundary: Boundary,
    margin: [usize; 3],
    out: &Window,
    transfer: impl FnOnce([usize; 3]) -> T,
) -> Block {
    let mut window: Window = source.size.map(|n| 0..n);
    if dimensions == Dimensions::Two {
        window[2] = out[2].clone();
    }
    let mut image = source.block(&window);
    let is_continued = |a: usize| boundary != Boundary::Periodic && a < dimensions.count();
    let margin: [usize; 3] = std::array::from_fn(|a| if is_continued(a) { margin[a].min(source.size[a]) } else { 0 });
    if margin != [0; 3] {
        image = image.extended(margin, boundary);
    }
    let inside = std::array::from_fn(|a| {
        let shift = margin[a] as i64 - window[a].start as i64;
        (out[a].start as i64 + shift) as usize..(out[a].end as i64 + shift) as usize
    });
    let response = filter_periodic(&image, dimensions, transfer(image.size), &inside);
    Block { first: std::array::from_fn(|a| out[a].start), ..response }
}

/// The response of a filter given by its `transfer` function on an image that repeats itself, in the box `out` of
/// positions of the block.
///
/// `transfer` takes the terms `[x, y, z]` of the discrete Fourier transform of the block (z = 0 in 2-D, where each slice
/// is filtered for itself). The response is the real part, so only the Hermitian part of `transfer` acts.
fn filter_periodic(
    image: &Block,
    dimensions: Dimensions,
    transfer: impl Fn([usize; 3]) -> Complex64 + Sync,
    out: &Window,
) -> Block {
    let [nx, ny, nz] = image.size;
    let terms = [nx, ny, if dimensions == Dimensions::Three { nz } else { 1 }];
    let scale = 1.0 / terms.iter().product::<usize>() as f64;
    let hermitian = |term: [usize; 3]| {
        let opposite = std::array::from_fn(|a| (terms[a] - term[a]) % terms[a]);
        (transfer(term) + transfer(opposite).conj()) * (0.5 * scale)
    };
    let mut planner = FftPlanner::new();
    let [x_plan, y_plan, z_plan] = terms.map(|length| Plan::new(&mut planner, length));
    if dimensions == Dimensions::Two {
        let mut spectrum = HalfSpectrum::of(image, out[2].clone(), &x_plan);
        spectrum.columns_y(0..out[2].len(), &|x, columns| {
            y_plan.forward(columns);
            for (i, term) in columns.iter_mut().enumerate() {
                *term *= hermitian([x + i / ny, i % ny, 0]);
            }
            y_plan.inverse(columns);
        });
        return spectrum.rows(0, &x_plan, out);
    }
    let mut spectrum = HalfSpectrum::of(image, 0..nz, &x_plan);
    spectrum.columns_y(0..nz, &|_, columns| y_plan.forward(columns));
    spectrum.columns_z(&|y, x, columns| {
        z_plan.forward(columns);
        for (i, term) in columns.iter_mut().enumerate() {
            *term *= hermitian([x + i / nz, y, i % nz]);
        }
        z_plan.inverse(columns);
    });
    spectrum.columns_y(out[2].clone(), &|_, columns| y_plan.inverse(columns));
    spectrum.rows(out[2].start, &x_plan, out)
}

/// Both directions of a transform of one length.
pub(super) struct Plan {
    length: usize,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
}

impl Plan {
    pub(super) fn new(planner: &mut FftPlanner<f64>, length: usize) -> Self {
        Self { length, forward: planner.plan_fft_forward(length), inverse: planner.plan_fft_inverse(length) }
    }

    /// Length of a line.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Transforms lines that lie one after the other.
    pub(super) fn forward(&self, lines: &mut [Complex64]) {
        self.forward.process(lines);
    }

    /// Transforms lines back, without the factor 1/n.
    pub(super) fn inverse(&self, lines: &mut [Complex64]) {
        self.inverse.process(lines);
    }
}

/// The terms 0 to nx/2 along x of a real image; the others are their conjugates.
struct HalfSpectrum {
    half: usize,
    ny: usize,
    values: Vec<Complex64>,
}

impl HalfSpectrum {
    /// The transform along x of the rows of `planes`; two real rows share one complex transform.
    fn of(image: &Block, planes: Range<usize>, plan: &Plan) -> Self {
        let [nx, ny, _] = image.size;
        let half = nx / 2 + 1;
        let rows = &image.values[planes.start * nx * ny..planes.end * nx * ny];
        let mut values = vec![Complex64::default(); half * ny * planes.len()];
        values.par_chunks_mut(2 * half).zip(rows.par_chunks(2 * nx)).for_each_init(
            || vec![Complex64::default(); nx],
            |line, (terms, rows)| {
                let (a, b) = rows.split_at(nx);
                line.iter_mut().zip(a).for_each(|(v, a)| *v = Complex64::new(*a, 0.0));
                line.iter_mut().zip(b).for_each(|(v, b)| v.im = *b);
                plan.forward(line);
                let (a, b) = terms.split_at_mut(half);
                for k in 0..half {
                    let (here, there) = (line[k], line[(nx - k) % nx].conj());
                    a[k] = (here + there) * 0.5;
                    if let Some(b) = b.get_mut(k) {
                        *b = (here - there) * Complex64::new(0.0, -0.5);
                    }
                }
            },
        );
        Self { half, ny, values }
    }

    /// Hands `work` the columns along y of some planes: the first column's x, and columns one after the other.
    fn columns_y(&mut self, planes: Range<usize>, work: &(impl Fn(usize, &mut [Complex64]) + Sync)) {
        let (half, plane) = (self.half, self.half * self.ny);
        self.values[planes.start * plane..planes.end * plane].par_chunks_mut(plane).for_each(|plane| {
            columns(&mut plane.chunks_exact_mut(half).collect::<Vec<_>>(), work);
        });
    }

    /// Hands `work` the columns along z: their y, the first column's x, and columns one after the other.
    fn columns_z(&mut self, work: &(impl Fn(usize, usize, &mut [Complex64]) + Sync)) {
        let mut slabs: Vec<Vec<&mut [Complex64]>> = (0..self.ny).map(|_| Vec::new()).collect();
        for (row, terms) in self.values.chunks_exact_mut(self.half).enumerate() {
            slabs[row % self.ny].push(terms);
        }
        slabs.par_iter_mut().enumerate().for_each(|(y, rows)| columns(rows, &|x, columns| work(y, x, columns)));
    }

    /// The rows of `out`, transformed back along x; `first_plane` of this spectrum is the first of `out`.
    fn rows(&self, first_plane: usize, plan: &Plan, out: &Window) -> Block {
        let mut result = Block::zeros(out);
        let ([nx, ny, _], half) = (result.size, self.half);
        let terms_of = |row: usize| {
            let start = ((first_plane + row / ny) * self.ny + out[1].start + row % ny) * half;
            &self.values[start..start + half]
        };
        result.values.par_chunks_mut(2 * nx).enumerate().for_each_init(
            || vec![Complex64::default(); plan.length],
            |line, (pair, rows)| {
                let (a, b) = rows.split_at_mut(nx);
                let first = terms_of(2 * pair);
                let second = if b.is_empty() { first } else { terms_of(2 * pair + 1) };
                for (k, v) in line.iter_mut().enumerate() {
                    let mirrored = plan.length - k;
                    let term = |terms: &[Complex64]| if k < half { terms[k] } else { terms[mirrored].conj() };
                    *v = term(first) + term(second) * Complex64::i();
                }
                plan.inverse(line);
                a.iter_mut().zip(&line[out[0].clone()]).for_each(|(v, sum)| *v = sum.re);
                b.iter_mut().zip(&line[out[0].clone()]).for_each(|(v, sum)| *v = sum.im);
            },
        );
        result
    }
}

/// Gathers columns across `rows`, lets `work` change them, and puts them back.
fn columns(rows: &mut [&mut [Complex64]], work: &impl Fn(usize, &mut [Complex64])) {
    let (length, width) = (rows.len(), rows.first().map_or(0, |row| row.len()));
    let mut buffer = vec![Complex64::default(); length * COLUMNS];
    for first in (0..width).step_by(COLUMNS) {
        let count = COLUMNS.min(width - first);
        let gathered = &mut buffer[..count * length];
        for (position, row) in rows.iter().enumerate() {
            for (column, term) in row[first..first + count].iter().enumerate() {
                gathered[column * length + position] = *term;
            }
        }
        work(first, gathered);
        for (position, row) in rows.iter_mut().enumerate() {
            for (column, term) in row[first..first + count].iter_mut().enumerate() {
                *term = gathered[column * length + position];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: [usize; 3]) -> Block {
        let values = (0..size.iter().product()).map(|i: usize| (i * i % 17) as f64).collect();
        Block { first: [0; 3], size, values }
    }

    #[test]
    fn a_phase_shift_moves_the_image_round() {
        for (dimensions, size) in
            [(Dimensions::Three, [5, 4, 3]), (Dimensions::Two, [6, 3, 3]), (Dimensions::Three, [1, 7, 2])]
        {
            let image = image(size);
            let turn = |k: usize, n: usize| {
                let signed = if 2 * k > n { k as f64 - n as f64 } else { k as f64 };
                -2.0 * std::f64::consts::PI * signed / n as f64
            };
            // Nyquist terms of an even length cannot be shifted by one odd step as a real image, so y moves by two.
            let transfer = |[_, y, _]: [usize; 3]| Complex64::from_polar(1.0, 2.0 * turn(y, size[1]));
            let window = image.window();
            let out = [0..size[0], 1..size[1], 1..size[2]];
            for out in [&window, &out] {
                let found = filter_periodic(&image, dimensions, transfer, out);
                let [nx, ny, _] = found.size;
                for (i, v) in found.values.iter().enumerate() {
                    let [x, y, z] = [i % nx + out[0].start, i / nx % ny + out[1].start, i / (nx * ny) + out[2].start];
                    let from = (y + 2 * size[1] - 2) % size[1];
                    let expected = image.values[(z * size[1] + from) * size[0] + x];
                    assert!((v - expected).abs() < 1e-12, "{size:?} {x} {y} {z}: {v} {expected}");
                }
            }
        }
    }
}
