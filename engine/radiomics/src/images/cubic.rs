use rayon::prelude::*;

use crate::image::{Bounds, Image};
use crate::interpolate::mirror;
use crate::roi::Roi;

/// Pole of the cubic B-spline's inverse filter, √3 - 2 to the last bit. SciPy writes it so; ITK's, the difference of two
/// f64 numbers, is two bits away, enough to turn a comparison.
const POLE: f64 = -0.267_949_192_431_122_7;

/// Cubic B-spline coefficients of an image around a region, mirrored at the image's first and last voxels.
///
/// Beside [`Sampler`](crate::interpolate::Sampler), which follows ITK, this follows SciPy in the order of sums: a sample
/// is compared with the voxel itself, where rounding decides between equals. Lines are filtered from one end of the image
/// to the other: among voxels of 0 the coefficients are what distant voxels leave, and their sign decides.
pub(super) struct Coefficients {
    bounds: Bounds,
    image_size: [usize; 3],
    values: Vec<f64>,
}

impl Coefficients {
    /// The coefficients for positions up to `radius` voxels from `region`.
    pub(super) fn around(image: &Image, region: &Roi, radius: f64) -> Self {
        let image_size = image.geometry().size();
        let [nx, ny, nz] = image_size;
        let bounds = Bounds::of(region).widened([radius.ceil() as usize + 2; 3], image_size);
        let [x, y, z] = bounds.first;
        let [width, height, depth] = bounds.size;
        let across: Vec<Vec<f64>> = (0..ny)
            .into_par_iter()
            .map(|row| {
                let mut plane = image.values_in(Bounds { first: [0, row, 0], size: [nx, 1, nz] });
                to_coefficients(&mut plane, [nx, 1, nz], 2);
                plane[z * nx..][..depth * nx].to_vec()
            })
            .collect();
        let slices: Vec<Vec<f64>> = (0..depth)
            .into_par_iter()
            .map(|k| {
                let mut slice: Vec<f64> =
                    across.iter().flat_map(|plane| plane[k * nx..][..nx].iter().copied()).collect();
                to_coefficients(&mut slice, [nx, ny, 1], 1);
                let rows = &mut slice[y * nx..][..height * nx];
                to_coefficients(rows, [nx, height, 1], 0);
                rows.chunks_exact(nx).flat_map(|row| row[x..][..width].iter().copied()).collect()
            })
            .collect();
        let values = slices.concat();
        Self { bounds, image_size, values }
    }

    /// The value at a position; 0 beyond the first and the last voxel.
    pub(super) fn at(&self, position: [f64; 3]) -> f64 {
        if (0..3).any(|a| position[a] < 0.0 || position[a] > (self.image_size[a] - 1) as f64) {
            return 0.0;
        }
        let base = position.map(|x| x.floor() as i64 - 1);
        let weights: [[f64; 4]; 3] = std::array::from_fn(|a| weights(position[a] - position[a].floor()));
        let place = |axis: usize, k: usize| {
            let mirrored = mirror(base[axis] + k as i64, self.image_size[axis] as i64) as usize;
            (mirrored - self.bounds.first[axis]).min(self.bounds.size[axis] - 1)
        };
        let columns: [usize; 4] = std::array::from_fn(|k| place(0, k));
        let mut sum = 0.0;
        for (k, wz) in weights[2].iter().enumerate() {
            for (j, wy) in weights[1].iter().enumerate() {
                let row = (place(2, k) * self.bounds.size[1] + place(1, j)) * self.bounds.size[0];
                for (column, wx) in columns.iter().zip(&weights[0]) {
                    sum += self.values[row + column] * wz * wy * wx;
                }
            }
        }
        sum
    }
}

fn weights(y: f64) -> [f64; 4] {
    let z = 1.0 - y;
    let second = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0;
    let third = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0;
    let first = z * z * z / 6.0;
    [first, second, third, 1.0 - first - second - third]
}

fn to_coefficients(values: &mut [f64], size: [usize; 3], axis: usize) {
    let n = size[axis];
    if n == 1 {
        return;
    }
    let strides = [1, size[0], size[0] * size[1]];
    let (u, v) = [(1, 2), (0, 2), (0, 1)][axis];
    let mut line = vec![0.0; n];
    for b in 0..size[v] {
        for a in 0..size[u] {
            let start = a * strides[u] + b * strides[v];
            line.iter_mut().enumerate().for_each(|(k, value)| *value = values[start + k * strides[axis]]);
            filter_line(&mut line);
            line.iter().enumerate().for_each(|(k, value)| values[start + k * strides[axis]] = *value);
        }
    }
}

fn filter_line(line: &mut [f64]) {
    let n = line.len();
    let gain = (1.0 - POLE) * (1.0 - 1.0 / POLE);
    line.iter_mut().for_each(|c| *c *= gain);
    let from_end = POLE.powf((n - 1) as f64);
    let mut power = POLE;
    line[0] += from_end * line[n - 1];
    for k in 1..n - 1 {
        line[0] += power * (line[k] + from_end * line[n - 1 - k]);
        power *= POLE;
    }
    line[0] /= 1.0 - from_end * from_end;
    for k in 1..n {
        line[k] += POLE * line[k - 1];
    }
    line[n - 1] = (POLE * line[n - 2] + line[n - 1]) * POLE / (POLE * POLE - 1.0);
    for k in (0..n - 1).rev() {
        line[k] = POLE * (line[k + 1] - line[k]);
    }
}
