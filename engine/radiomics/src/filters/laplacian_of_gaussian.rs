use super::block::{Block, Source, Window};
use super::convolve::{Kernel, filter_axis, needed, slab};
use super::spectrum::{filter_extended, frequencies};
use super::{Boundary, Dimensions, Riesz};

/// Voxels of the continued image at which the Riesz transform may still look.
const RIESZ_MARGIN: usize = 16;

/// The Gaussian and its second derivative along each axis, in voxels, cut off at `cutoff` standard deviations.
pub(super) struct LaplacianOfGaussian {
    dimensions: Dimensions,
    gaussian: [Kernel; 3],
    second: [Kernel; 3],
}

impl LaplacianOfGaussian {
    pub(super) fn new(sigma_voxels: [f64; 3], cutoff: f64, dimensions: Dimensions) -> Self {
        let kernel = |sigma: f64, weight: &dyn Fn(f64) -> f64| {
            let reach = (cutoff * sigma + 0.5).floor() as i64;
            let norm = 1.0 / ((2.0 * std::f64::consts::PI).sqrt() * sigma);
            let taps = (-reach..=reach).map(|k| {
                let square = (k as f64 / sigma).powi(2);
                norm * (-0.5 * square).exp() * weight(square)
            });
            Kernel::centred(taps.collect())
        };
        let gaussian = sigma_voxels.map(|sigma| kernel(sigma, &|_| 1.0));
        let second = sigma_voxels.map(|sigma| kernel(sigma, &|square| (square - 1.0) / (sigma * sigma)));
        Self { dimensions, gaussian, second }
    }

    /// The response in `out`: the sum over axes of the second derivative along one and the Gaussian along the others.
    pub(super) fn respond(&self, source: &Source, boundary: Boundary, out: &Window) -> Block {
        let chains = self.dimensions.chains(|a| vec![self.gaussian[a].clone()]);
        let image = source.block(&needed(&chains, out, source.size, boundary));
        let size = source.size;
        Block::by_slabs(out, slab(&chains[2]), |out| self.respond_slab(&image, size, boundary, out))
    }

    fn respond_slab(&self, image: &Block, image_size: [usize; 3], boundary: Boundary, out: &Window) -> Block {
        let pass = |block: &Block, axis: usize, kernel: &Kernel| {
            filter_axis(block, axis, std::slice::from_ref(kernel), image_size[axis], boundary, &out[axis])
        };
        let gaussian = |block: &Block, axis: usize| pass(block, axis, &self.gaussian[axis]);
        let second = |block: &Block, axis: usize| pass(block, axis, &self.second[axis]);
        let (smooth, curved) = match self.dimensions {
            Dimensions::Two => {
                let slices = image.cut(&[image.window()[0].clone(), image.window()[1].clone(), out[2].clone()]);
                (gaussian(&slices, 1), second(&slices, 1))
            }
            Dimensions::Three => {
                let smooth = gaussian(image, 2);
                let curved = sum(second(&smooth, 1), &gaussian(&second(image, 2), 1));
                (gaussian(&smooth, 1), curved)
            }
        };
        sum(second(&smooth, 0), &gaussian(&curved, 0))
    }

    /// The Riesz transform of the response in `out`.
    ///
    /// Its kernel has no end, so unless the image is periodic it is continued by [`RIESZ_MARGIN`] voxels beyond the reach
    /// of the Laplacian of Gaussian.
    pub(super) fn respond_riesz(&self, source: &Source, boundary: Boundary, riesz: Riesz, out: &Window) -> Block {
        let margin = std::array::from_fn(|a| self.gaussian[a].centre + RIESZ_MARGIN);
        filter_extended(source, self.dimensions, boundary, margin, out, |size| {
            let (log, frequencies) = (self.transfer(size), frequencies(size, self.dimensions));
            move |term: [usize; 3]| riesz.at(std::array::from_fn(|a| frequencies[a][term[a]])) * log(term)
        })
    }

    /// The transfer function on a grid of `size` voxels that repeats itself, at the terms `[x, y, z]`.
    fn transfer(&self, size: [usize; 3]) -> impl Fn([usize; 3]) -> f64 + Sync + '_ {
        let axes = self.dimensions.count();
        let spectra = move |kernels: &[Kernel; 3]| -> Vec<Vec<f64>> {
            kernels[..axes].iter().zip(size).map(|(kernel, n)| even_spectrum(kernel, n)).collect()
        };
        let (gaussian, second) = (spectra(&self.gaussian), spectra(&self.second));
        move |term| {
            let along = |curved: usize, a: usize| if a == curved { second[a][term[a]] } else { gaussian[a][term[a]] };
            (0..axes).map(|curved| (0..axes).map(|a| along(curved, a)).product::<f64>()).sum()
        }
    }
}

/// The discrete Fourier transform of an even kernel on `n` places.
fn even_spectrum(kernel: &Kernel, n: usize) -> Vec<f64> {
    let turn = 2.0 * std::f64::consts::PI / n as f64;
    let term = |k: usize| {
        let wave = |(j, tap): (usize, &f64)| tap * (turn * (k * j % n) as f64).cos();
        kernel.taps[kernel.centre..]
            .iter()
            .enumerate()
            .map(|(j, tap)| if j == 0 { *tap } else { 2.0 * wave((j, tap)) })
            .sum()
    };
    (0..n).map(term).collect()
}

fn sum(mut a: Block, b: &Block) -> Block {
    a.add(1.0, b);
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the centre of an impulse the response is -d / σ² · (2πσ²)^(-d/2).
    #[test]
    fn an_impulse_gives_the_kernel() {
        let mut image = Block { first: [0; 3], size: [9; 3], values: vec![0.0; 729] };
        image.values[364] = 1.0;
        for (dimensions, d) in [(Dimensions::Two, 2), (Dimensions::Three, 3)] {
            let filter = LaplacianOfGaussian::new([1.5; 3], 2.0, dimensions);
            let values = |window: &Window| image.cut(window).values;
            let source = Source { size: [9; 3], spacing_mm: [1.0; 3], values: &values };
            let found = filter.respond(&source, Boundary::Zero, &image.window());
            let variance = 2.25;
            let weight = |square: f64| {
                let normal = (2.0 * std::f64::consts::PI * variance).powf(-f64::from(d) / 2.0);
                (square / variance - f64::from(d)) / variance * normal * (-square / (2.0 * variance)).exp()
            };
            for (at, square) in [([4, 4, 4], 0.0), ([5, 4, 4], 1.0), ([2, 3, 4], 5.0), ([0, 4, 4], f64::INFINITY)] {
                let expected = if square.is_finite() { weight(square) } else { 0.0 };
                let value = found.values[(at[2] * 9 + at[1]) * 9 + at[0]];
                assert!((value - expected).abs() < 1e-15, "{dimensions:?} {at:?}: {value} {expected}");
            }
        }
    }
}
