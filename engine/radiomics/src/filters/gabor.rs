use std::f64::consts::TAU;
use std::ops::Range;

use rayon::prelude::*;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;

use super::block::{Block, Source, Window};
use super::rotation::Pool;
use super::spectrum::Plan;
use super::{Boundary, Pooling};

/// Standard deviations of the envelope at which the kernel is cut off; its weight there is below 1e-8.
pub(super) const CUTOFF: f64 = 6.1;

/// Share of a kernel spectrum's largest term below which a column of it is left out.
const NEGLIGIBLE: f64 = 1e-9;

/// A complex plane wave under a Gaussian envelope.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wave {
    pub(super) sigma_mm: f64,
    pub(super) wavelength_mm: f64,
    pub(super) gamma: f64,
    pub(super) theta_rad: f64,
}

impl Wave {
    fn at(&self, u_mm: f64, v_mm: f64) -> Complex64 {
        let (sin, cos) = self.theta_rad.sin_cos();
        let (along, across) = (u_mm * cos + v_mm * sin, v_mm * cos - u_mm * sin);
        let square = along * along + (self.gamma * across).powi(2);
        Complex64::from_polar((-square / (2.0 * self.sigma_mm * self.sigma_mm)).exp(), TAU * along / self.wavelength_mm)
    }

    /// How far the envelope reaches along both axes of the plane.
    fn reach_mm(&self) -> [f64; 2] {
        let (sin, cos) = self.theta_rad.sin_cos();
        let across = 1.0 / self.gamma;
        [cos.hypot(across * sin), sin.hypot(across * cos)].map(|extent| CUTOFF * self.sigma_mm * extent)
    }
}

/// The pooled moduli of the responses in `out` to `waves`, each counted as often as it says, in the planes across each of
/// `normals`.
pub(super) fn respond(
    source: &Source,
    waves: &[(Wave, usize)],
    normals: &[usize],
    boundary: Boundary,
    pooling: Pooling,
    out: &Window,
) -> Block {
    let mut needed = out.clone();
    for normal in normals {
        let axes = plane_axes(*normal);
        for (axis, reach) in axes.into_iter().zip(reach(waves, axes.map(|a| source.spacing_mm[a]))) {
            let places = places(&out[axis], reach, source.size[axis], boundary).into_iter().flatten();
            needed[axis] = places.fold(needed[axis].clone(), |range, p| range.start.min(p)..range.end.max(p + 1));
        }
    }
    let image = source.block(&needed);
    let mut pool = Pool::new(pooling);
    let total = (normals.len() * waves.iter().map(|(_, times)| times).sum::<usize>()) as f64;
    for normal in normals {
        let planes = Planes::of(source, &image, *normal, waves, boundary, out);
        for (wave, times) in waves {
            let weight = if pooling == Pooling::Average { *times as f64 / total } else { 1.0 };
            pool.add(&planes.modulus(wave), weight);
        }
    }
    pool.finish(out)
}

/// The axes of the planes across `normal`, ascending.
fn plane_axes(normal: usize) -> [usize; 2] {
    [[1, 2], [0, 2], [0, 1]][normal]
}

/// Voxels that the farthest-reaching wave reaches along both axes of a plane.
fn reach(waves: &[(Wave, usize)], spacing_mm: [f64; 2]) -> [usize; 2] {
    std::array::from_fn(|k| {
        let reach_mm = waves.iter().map(|(wave, _)| wave.reach_mm()[k]).fold(0.0, f64::max);
        (reach_mm / spacing_mm[k]).ceil() as usize
    })
}

/// Where the image holds the positions `out` of an axis with `reach` more on both sides.
fn places(out: &Range<usize>, reach: usize, length: usize, boundary: Boundary) -> Vec<Option<usize>> {
    let first = out.start as i64 - reach as i64;
    (first..(out.end + reach) as i64).map(|index| boundary.place(index, length)).collect()
}

/// The smallest length from `n` on without a prime factor above 5, which transforms fast.
fn fast_length(n: usize) -> usize {
    let is_fast = |mut n: usize| {
        for factor in [2, 3, 5] {
            while n.is_multiple_of(factor) {
                n /= factor;
            }
        }
        n == 1
    };
    (n..).find(|n| is_fast(*n)).unwrap_or(n)
}

/// The spectra of the planes across one axis, continued as far as the kernels reach; columns, lines along the second
/// axis, one after the other.
struct Planes<'a> {
    out: &'a Window,
    normal: usize,
    reach: [usize; 2],
    spacing_mm: [f64; 2],
    plans: [Plan; 2],
    spectra: Vec<Vec<Complex64>>,
}

impl<'a> Planes<'a> {
    fn of(
        source: &Source,
        image: &Block,
        normal: usize,
        waves: &[(Wave, usize)],
        boundary: Boundary,
        out: &'a Window,
    ) -> Self {
        let axes = plane_axes(normal);
        let spacing_mm = axes.map(|axis| source.spacing_mm[axis]);
        let reach = reach(waves, spacing_mm);
        let mut planner = FftPlanner::new();
        let plans: [Plan; 2] =
            std::array::from_fn(|k| Plan::new(&mut planner, fast_length(out[axes[k]].len() + 2 * reach[k])));
        let strides = [1, image.size[0], image.size[0] * image.size[1]];
        let offsets: [Vec<Option<usize>>; 2] = std::array::from_fn(|k| {
            let axis = axes[k];
            let offset = |place: Option<usize>| place.map(|place| (place - image.first[axis]) * strides[axis]);
            places(&out[axis], reach[k], source.size[axis], boundary).into_iter().map(offset).collect()
        });
        let [width, height] = [plans[0].length(), plans[1].length()];
        let spectrum = |slice: usize| {
            let start = (slice - image.first[normal]) * strides[normal];
            let mut rows = vec![Complex64::default(); width * height];
            for (row, v) in rows.chunks_exact_mut(width).zip(&offsets[1]) {
                let Some(v) = v else { continue };
                for (value, u) in row.iter_mut().zip(&offsets[0]) {
                    value.re = u.map_or(0.0, |u| image.values[start + u + v]);
                }
            }
            plans[0].forward(&mut rows);
            let mut columns = transposed(&rows, width);
            plans[1].forward(&mut columns);
            columns
        };
        let spectra = out[normal].clone().into_par_iter().map(spectrum).collect();
        Self { out, normal, reach, spacing_mm, plans, spectra }
    }

    /// The modulus of the response to one wave.
    fn modulus(&self, wave: &Wave) -> Block {
        let kernel = self.kernel(wave);
        let [u, v] = plane_axes(self.normal);
        let ([width, height], rows) = ([self.plans[0].length(), self.plans[1].length()], self.out[v].len());
        let largest = kernel.iter().map(|term| term.norm_sqr()).fold(0.0, f64::max);
        let is_used =
            |column: &[Complex64]| column.iter().any(|term| term.norm_sqr() > NEGLIGIBLE * NEGLIGIBLE * largest);
        let used: Vec<usize> = (0..width).filter(|i| is_used(&kernel[i * height..][..height])).collect();
        let modulus = |spectrum: &Vec<Complex64>| -> Vec<f64> {
            let mut column = vec![Complex64::default(); height];
            let mut plane = vec![Complex64::default(); width * rows];
            for i in &used {
                let terms = spectrum[i * height..][..height].iter().zip(&kernel[i * height..][..height]);
                column.iter_mut().zip(terms).for_each(|(value, (a, b))| *value = a * b);
                self.plans[1].inverse(&mut column);
                for (row, value) in column[self.reach[1]..][..rows].iter().enumerate() {
                    plane[row * width + i] = *value;
                }
            }
            self.plans[0].inverse(&mut plane);
            let kept = |row: &'_ [Complex64]| row[self.reach[0]..][..self.out[u].len()].to_vec();
            plane.chunks_exact(width).flat_map(kept).map(|value| value.norm()).collect()
        };
        let planes: Vec<Vec<f64>> = self.spectra.par_iter().map(modulus).collect();
        self.assembled(&planes)
    }

    /// The spectrum of a kernel over the number of terms, by columns.
    fn kernel(&self, wave: &Wave) -> Vec<Complex64> {
        let [width, height] = [self.plans[0].length(), self.plans[1].length()];
        let scale = 1.0 / (width * height) as f64;
        let mut columns = vec![Complex64::default(); width * height];
        let signed = |reach: usize| -(reach as i64)..=reach as i64;
        for i in signed(self.reach[0]) {
            let column = i.rem_euclid(width as i64) as usize * height;
            for j in signed(self.reach[1]) {
                let weight = wave.at(i as f64 * self.spacing_mm[0], j as f64 * self.spacing_mm[1]);
                columns[column + j.rem_euclid(height as i64) as usize] = weight * scale;
            }
        }
        self.plans[1].forward(&mut columns);
        let mut rows = transposed(&columns, height);
        self.plans[0].forward(&mut rows);
        transposed(&rows, width)
    }

    /// Planes across the normal as a block.
    fn assembled(&self, planes: &[Vec<f64>]) -> Block {
        let mut block = Block::zeros(self.out);
        let ([u, v], size) = (plane_axes(self.normal), block.size);
        block.values.par_chunks_mut(size[0]).enumerate().for_each(|(row, values)| {
            for (x, value) in values.iter_mut().enumerate() {
                let position = [x, row % size[1], row / size[1]];
                *value = planes[position[self.normal]][position[v] * size[u] + position[u]];
            }
        });
        block
    }
}

/// Rows of `width` values as columns.
fn transposed(rows: &[Complex64], width: usize) -> Vec<Complex64> {
    let height = rows.len() / width;
    let mut columns = vec![Complex64::default(); rows.len()];
    for (j, row) in rows.chunks_exact(width).enumerate() {
        row.iter().enumerate().for_each(|(i, value)| columns[i * height + j] = *value);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond_to(image: &Block, wave: Wave, normal: usize, out: &Window) -> Block {
        let values = |window: &Window| image.cut(window).values;
        let source = Source { size: image.size, spacing_mm: [2.0; 3], values: &values };
        respond(&source, &[(wave, 1)], &[normal], Boundary::Zero, Pooling::Average, out)
    }

    /// The modulus of the kernel is its envelope: exp(-2²/(2·3²)) one voxel along the wave, exp(-(1.5·2)²/(2·3²)) across.
    #[test]
    fn an_impulse_gives_the_envelope() {
        let mut image = Block { first: [0; 3], size: [9, 8, 7], values: vec![0.0; 504] };
        image.values[(3 * 8 + 4) * 9 + 4] = 1.0;
        let wave = Wave { sigma_mm: 3.0, wavelength_mm: 4.0, gamma: 1.5, theta_rad: 0.0 };
        let (along, across) = ((-4.0f64 / 18.0).exp(), (-9.0f64 / 18.0).exp());
        for (normal, neighbours) in [(2, [along, across, 0.0]), (1, [along, 0.0, across]), (0, [0.0, along, across])] {
            let whole = respond_to(&image, wave, normal, &image.window());
            for (at, expected) in [([5, 4, 3], neighbours[0]), ([4, 5, 3], neighbours[1]), ([4, 4, 4], neighbours[2])] {
                let found = whole.values[(at[2] * 8 + at[1]) * 9 + at[0]];
                assert!((found - expected).abs() < 2e-8, "{normal} {at:?}: {found} {expected}");
            }
            let out = [2..6, 0..3, 3..5];
            let part = respond_to(&image, wave, normal, &out);
            let farthest =
                part.values.iter().zip(whole.cut(&out).values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(farthest < 1e-8, "{normal}: {farthest}");
        }
    }
}
