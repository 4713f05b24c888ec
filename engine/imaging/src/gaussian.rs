use ndarray::Array3;
use rayon::prelude::*;

use crate::lines::{Edge, filter_lines, symmetric};
use crate::{Error, Geometry, Volume};

/// Standard deviations that the sampled bell reaches to each side.
const TRUNCATE: f64 = 4.0;

/// The volume smoothed by a Gaussian of standard deviation `sigma_mm` along each voxel axis, in mm.
///
/// Along an axis of spacing `s` the weights are `exp(-(k s)² / (2 sigma²))` for whole `k` with
/// `|k| <= round(4 sigma / s)`, divided by their sum; beyond the grid the edge voxel is repeated. What the cut at 4 sigma
/// leaves out is 6e-5 of the bell. Sums are f64; each of the three passes rounds to f32, so the result is within 2e-7 of
/// the largest value of the exact sum. A sigma of 0 leaves its axis alone. A voxel that is no number spoils those within
/// reach. The same as `gaussian_filter(mode="nearest")` of SciPy with sigma in voxels.
///
/// # Errors
/// [`Error::InvalidArgument`] for a sigma that is negative, not finite, or beyond 10,000 voxels.
pub fn gaussian(volume: &Volume, sigma_mm: [f64; 3]) -> Result<Volume, Error> {
    let halves = bells(volume.geometry(), sigma_mm)?;
    let mut voxels = volume.voxels().to_owned();
    let values = voxels.as_slice_mut().expect("an owned copy of contiguous voxels");
    for (axis, half) in halves.iter().enumerate().filter(|(_, half)| half.len() > 1) {
        let reach = half.len() - 1;
        filter_lines(values, volume.geometry().size(), axis, [reach, reach], Edge::Replicate, |lines, out| {
            symmetric(lines, half, out);
        });
    }
    volume.with_voxels(voxels)
}

/// One side of the weights for each axis, centre first.
fn bells(geometry: &Geometry, sigma_mm: [f64; 3]) -> Result<[Vec<f64>; 3], Error> {
    let (spacing, size) = (geometry.spacing_mm(), geometry.size());
    let sigma: [f64; 3] = std::array::from_fn(|a| sigma_mm[a] / spacing[a]);
    if !sigma.iter().all(|s| (0.0..=1e4).contains(s)) {
        return Err(Error::InvalidArgument {
            name: "sigma",
            expected: "at least 0 mm and at most 10000 voxels along every axis",
            found: format!("{sigma_mm:?} mm"),
        });
    }
    Ok(std::array::from_fn(|a| if size[a] == 1 { vec![1.0] } else { bell(sigma[a]) }))
}

/// One side of the bell of `sigma` voxels, centre first; both sides together sum to one.
fn bell(sigma: f64) -> Vec<f64> {
    let reach = (TRUNCATE * sigma + 0.5) as i32;
    let half: Vec<f64> =
        (0..=reach).map(|k| if k == 0 { 1.0 } else { (-0.5 * (f64::from(k) / sigma).powi(2)).exp() }).collect();
    let total = 1.0 + 2.0 * half[1..].iter().sum::<f64>();
    half.into_iter().map(|w| w / total).collect()
}

/// The volume on a grid `factors` times coarser: each voxel is the mean of its `factors[0] x factors[1] x factors[2]`
/// voxels (x, y, z) and lies at their middle; what is left over at the far end of an axis is dropped.
///
/// # Errors
/// [`Error::InvalidArgument`] for a factor of 0 or larger than the axis.
pub fn shrink(volume: &Volume, factors: [usize; 3]) -> Result<Volume, Error> {
    let geometry = volume.geometry();
    let [nx, ny, nz] = geometry.size();
    if (0..3).any(|a| factors[a] == 0 || factors[a] > geometry.size()[a]) {
        return Err(Error::InvalidArgument {
            name: "shrink factor",
            expected: "at least 1 and at most the voxels of its axis",
            found: format!("{factors:?} for {:?} voxels", geometry.size()),
        });
    }
    let [fx, fy, fz] = factors;
    let (wide, high, deep) = (nx / fx, ny / fy, nz / fz);
    let share = 1.0 / (fx * fy * fz) as f64;
    let source = volume.as_slice();
    let mut voxels = vec![0.0; wide * high * deep];
    voxels.par_chunks_mut(wide).enumerate().for_each_init(
        || vec![0.0f64; wide],
        |sums, (row, out)| {
            sums.fill(0.0);
            let (y, z) = (row % high * fy, row / high * fz);
            for (k, j) in (0..fz).flat_map(|k| (0..fy).map(move |j| (k, j))) {
                let line = &source[((z + k) * ny + y + j) * nx..][..wide * fx];
                for (sum, bin) in sums.iter_mut().zip(line.chunks_exact(fx)) {
                    *sum += bin.iter().map(|v| f64::from(*v)).sum::<f64>();
                }
            }
            out.iter_mut().zip(sums.iter()).for_each(|(out, sum)| *out = (sum * share) as f32);
        },
    );
    let middle = factors.map(|f| (f - 1) as f64 / 2.0);
    let spacing = geometry.spacing_mm();
    let coarse = Geometry::new(
        [wide, high, deep],
        std::array::from_fn(|a| spacing[a] * factors[a] as f64),
        geometry.world_from_voxel().apply(middle),
        geometry.direction(),
    )?;
    let voxels = Array3::from_shape_vec((deep, high, wide), voxels).expect("one value per voxel");
    Volume::new(voxels, coarse, volume.modality(), volume.unit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Modality, Unit};

    fn volume(size: [usize; 3], spacing_mm: [f64; 3], value: impl Fn([usize; 3]) -> f32) -> Volume {
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, Geometry::axis_aligned(size, spacing_mm).unwrap(), Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn a_point_becomes_a_bell_in_millimetres() {
        let point = volume([41, 41, 21], [1.0, 1.0, 2.0], |v| if v == [20, 20, 10] { 1.0 } else { 0.0 });
        let found = gaussian(&point, [2.0; 3]).unwrap();
        let sum: f64 = found.as_slice().iter().map(|v| f64::from(*v)).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        // 4 mm away along x and along z: the same share of the centre, exp(-2).
        let at = |k: usize, i: usize| found.voxels()[[k, 20, i]];
        for share in [at(10, 24) / at(10, 20), at(12, 20) / at(10, 20)] {
            assert!((share - (-2.0f32).exp()).abs() < 1e-6, "{share}");
        }
    }

    #[test]
    fn the_edge_is_repeated_and_sigma_0_changes_nothing() {
        let flat = volume([5, 4, 1], [1.0; 3], |_| 7.0);
        assert!(gaussian(&flat, [3.0; 3]).unwrap().as_slice().iter().all(|v| (v - 7.0).abs() < 1e-6));
        let ramp = volume([5, 4, 3], [1.0; 3], |[i, j, k]| (i * j + k) as f32);
        assert_eq!(gaussian(&ramp, [0.0; 3]).unwrap(), ramp);
    }

    #[test]
    fn sigmas_out_of_range_are_refused() {
        for sigma in [-1.0, f64::NAN, f64::INFINITY, 1e5] {
            let refused = gaussian(&volume([5, 4, 3], [1.0; 3], |_| 0.0), [1.0, sigma, 1.0]);
            assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
        }
    }

    #[test]
    fn a_coarser_voxel_is_the_mean_and_lies_in_the_middle() {
        let source = volume([5, 4, 2], [1.0, 2.0, 3.0], |[i, j, k]| (i + 10 * j + 100 * k) as f32);
        let found = shrink(&source, [2, 2, 1]).unwrap();
        assert_eq!(found.geometry().size(), [2, 2, 2]);
        assert_eq!(found.geometry().origin_mm(), [0.5, 1.0, 0.0]);
        assert_eq!(found.as_slice(), [5.5, 7.5, 25.5, 27.5, 105.5, 107.5, 125.5, 127.5]);
        for factors in [[0, 1, 1], [6, 1, 1]] {
            assert!(matches!(shrink(&source, factors), Err(Error::InvalidArgument { .. })));
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let source = volume([70, 37, 21], [0.8, 0.9, 2.0], |[i, j, k]| ((i * 7 + j * 13 + k * 31) % 97) as f32);
        let runs = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| gaussian(&source, [1.7; 3]))
        });
        assert_eq!(runs[0], runs[1]);
    }
}
