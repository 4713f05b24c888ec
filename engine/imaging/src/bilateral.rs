use ndarray::Array3;
use rayon::prelude::*;

use crate::{Error, Volume};

/// Standard deviations that the window reaches in space.
const REACH: f64 = 2.5;

/// The volume smoothed where it is flat: the mean of the neighbours, weighted by nearness in space and in intensity.
///
/// ```text
/// out(p) = Σ_q w(p,q) f(q) / Σ_q w(p,q),   w = exp(-|p - q|² / (2 sigma_mm²) - (f(p) - f(q))² / (2 sigma_intensity²))
/// ```
/// over the voxels `q` whose centre is within 2.5 `sigma_mm` of `p` in the patient and inside the grid. C. Tomasi, R.
/// Manduchi, Bilateral filtering for gray and color images, ICCV 1998. Weights of intensity come from a table, right to
/// 1e-6. A voxel that is no number stays so and counts nowhere else.
///
/// # Errors
/// [`Error::InvalidArgument`] for a sigma that is not positive and finite, or a window of more than 1,000,000 voxels.
pub fn bilateral(volume: &Volume, sigma_mm: f64, sigma_intensity: f64) -> Result<Volume, Error> {
    let steps = window(volume, sigma_mm)?;
    if !(sigma_intensity > 0.0 && sigma_intensity.is_finite()) {
        return Err(Error::InvalidArgument {
            name: "intensity sigma",
            expected: "positive and finite",
            found: sigma_intensity.to_string(),
        });
    }
    let bell = Bell::new(sigma_intensity);
    let [nx, ny, nz] = volume.geometry().size();
    let source = volume.as_slice();
    let mut voxels = vec![0.0; source.len()];
    voxels.par_chunks_mut(nx).enumerate().for_each_init(
        || vec![(0.0f64, 0.0f64); nx],
        |sums, (row, out)| {
            sums.fill((0.0, 0.0));
            let here = &source[row * nx..][..nx];
            for step in &steps {
                let (y, z) = ((row % ny) as i64 + step.offset[1], (row / ny) as i64 + step.offset[2]);
                if !(0..ny as i64).contains(&y) || !(0..nz as i64).contains(&z) {
                    continue;
                }
                let line = &source[(z as usize * ny + y as usize) * nx..][..nx];
                let first = (-step.offset[0]).clamp(0, nx as i64) as usize;
                let end = (nx as i64 - step.offset[0]).clamp(first as i64, nx as i64) as usize;
                let there = &line[(first as i64 + step.offset[0]).clamp(0, nx as i64) as usize..];
                for ((sum, centre), value) in sums[first..end].iter_mut().zip(&here[first..end]).zip(there) {
                    if value.is_finite() {
                        let weight = step.weight * bell.at(value - centre);
                        *sum = (sum.0 + weight * f64::from(*value), sum.1 + weight);
                    }
                }
            }
            for ((out, sum), here) in out.iter_mut().zip(sums.iter()).zip(here) {
                *out = if here.is_finite() { (sum.0 / sum.1) as f32 } else { *here };
            }
        },
    );
    volume.with_voxels(Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel"))
}

/// A neighbour by its voxel steps along x, y, z.
struct Step {
    offset: [i64; 3],
    weight: f64,
}

fn window(volume: &Volume, sigma_mm: f64) -> Result<Vec<Step>, Error> {
    let geometry = volume.geometry();
    let (matrix, inverse) = (geometry.world_from_voxel(), geometry.voxel_from_world().matrix);
    let reach_mm = REACH * sigma_mm;
    let reach = inverse.map(|row| reach_mm * row.iter().map(|m| m * m).sum::<f64>().sqrt());
    let room: f64 = (0..3).map(|a| 2.0 * reach[a].min(geometry.size()[a] as f64) + 1.0).product();
    if !(sigma_mm > 0.0 && room <= 1e6) {
        return Err(Error::InvalidArgument {
            name: "sigma",
            expected: "above 0 mm, with a window of at most 1000000 voxels",
            found: format!("{sigma_mm} mm"),
        });
    }
    let limit = [0, 1, 2].map(|a: usize| reach[a].min((geometry.size()[a] - 1) as f64).floor() as i64);
    let mut steps = Vec::new();
    for z in -limit[2]..=limit[2] {
        for y in -limit[1]..=limit[1] {
            for x in -limit[0]..=limit[0] {
                let away = matrix.matrix.map(|row| row[0] * x as f64 + row[1] * y as f64 + row[2] * z as f64);
                let squared: f64 = away.iter().map(|c| c * c).sum();
                if squared <= reach_mm * reach_mm * (1.0 + 1e-9) {
                    steps.push(Step { offset: [x, y, z], weight: (-0.5 * squared / (sigma_mm * sigma_mm)).exp() });
                }
            }
        }
    }
    Ok(steps)
}

/// `exp(-d² / (2 sigma²))` from a table, linear in `d²`, 0 beyond 6 sigma.
struct Bell {
    table: Vec<f64>,
    places_per_unit: f64,
}

impl Bell {
    const PLACES: usize = 16_384;
    const EXPONENT: f64 = 18.0;

    fn new(sigma: f64) -> Self {
        let exponent = |place: usize| Self::EXPONENT * place as f64 / Self::PLACES as f64;
        let table = (0..=Self::PLACES + 1).map(|place| (-exponent(place)).exp()).collect();
        Self { table, places_per_unit: Self::PLACES as f64 / (Self::EXPONENT * 2.0 * sigma * sigma) }
    }

    #[inline(always)]
    fn at(&self, difference: f32) -> f64 {
        let place = f64::from(difference) * f64::from(difference) * self.places_per_unit;
        if place >= Self::PLACES as f64 {
            return 0.0;
        }
        let index = place as usize;
        let part = place - index as f64;
        self.table[index] * (1.0 - part) + self.table[index + 1] * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality, Unit};

    fn volume(size: [usize; 3], spacing_mm: [f64; 3], value: impl Fn([usize; 3]) -> f32) -> Volume {
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, Geometry::axis_aligned(size, spacing_mm).unwrap(), Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn every_voxel_is_the_weighted_mean_of_its_ball() {
        let (size, spacing) = ([9usize, 7, 5], [0.8, 1.0, 2.0]);
        let value = |[i, j, k]: [usize; 3]| ((i * 7 + j * 13 + k * 29) % 37) as f32;
        let found = bilateral(&volume(size, spacing, value), 1.2, 10.0).unwrap();
        for ((k, j, i), found) in found.voxels().indexed_iter() {
            let (mut sum, mut total) = (0.0, 0.0);
            for (z, y, x) in (0..5).flat_map(|z| (0..7).flat_map(move |y| (0..9).map(move |x| (z, y, x)))) {
                let step = |a: usize, b: usize, s: f64| ((a as f64 - b as f64) * s).powi(2);
                let squared = step(x, i, spacing[0]) + step(y, j, spacing[1]) + step(z, k, spacing[2]);
                let difference = f64::from(value([x, y, z]) - value([i, j, k]));
                if squared <= 9.0 {
                    let weight = (-squared / 2.88 - difference * difference / 200.0).exp();
                    (sum, total) = (sum + weight * f64::from(value([x, y, z])), total + weight);
                }
            }
            assert!((f64::from(*found) - sum / total).abs() < 1e-4, "{i} {j} {k}: {found} {}", sum / total);
        }
    }

    #[test]
    fn an_edge_stays_and_a_voxel_without_value_too() {
        let source = volume([8, 4, 4], [1.0; 3], |[i, j, k]| match (i, j, k) {
            (1, 1, 1) => f32::NAN,
            (0..4, ..) => -1000.0,
            _ => 40.0,
        });
        let found = bilateral(&source, 2.0, 30.0).unwrap();
        for (found, expected) in found.as_slice().iter().zip(source.as_slice()) {
            assert!((found - expected).abs() < 1e-3 || (found.is_nan() && expected.is_nan()));
        }
        for (space, range) in [(0.0, 1.0), (f64::NAN, 1.0), (1.0, 0.0), (1.0, f64::NAN)] {
            assert!(matches!(bilateral(&source, space, range), Err(Error::InvalidArgument { .. })));
        }
    }
}
