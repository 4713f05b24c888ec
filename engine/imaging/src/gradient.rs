use ndarray::Array3;
use rayon::prelude::*;

use crate::{Geometry, Volume};

/// The gradient as three volumes: how fast intensity grows towards the patient's left, back and head (LPS), per mm.
///
/// Along a voxel axis the slope is half the difference of the two neighbours, at the ends of the axis the difference to
/// the one neighbour, on an axis of one voxel 0. With `g` these slopes and `M` the matrix of `world_from_voxel`, the
/// gradient in the patient is `M⁻ᵀ g`, so oblique and sheared grids are right too.
pub fn gradient(volume: &Volume) -> [Volume; 3] {
    [0, 1, 2].map(|component| mapped(volume, |g| g[component]))
}

/// The length of the [`gradient`], per mm.
pub fn gradient_magnitude(volume: &Volume) -> Volume {
    mapped(volume, |[x, y, z]| (x * x + y * y + z * z).sqrt())
}

fn mapped(volume: &Volume, value: impl Fn([f64; 3]) -> f64 + Sync) -> Volume {
    let [nx, ny, nz] = volume.geometry().size();
    let world = covariant(volume.geometry());
    let source = volume.as_slice();
    let mut voxels = vec![0.0; source.len()];
    voxels.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
        let (j, k) = (row % ny, row / ny);
        let line = |j: usize, k: usize| &source[(k * ny + j) * nx..][..nx];
        let (here, (y, y_share), (z, z_share)) = (line(j, k), neighbours(j, ny), neighbours(k, nz));
        let (above, below, behind, before) = (line(y[1], k), line(y[0], k), line(j, z[1]), line(j, z[0]));
        for (i, out) in out.iter_mut().enumerate() {
            let (x, x_share) = neighbours(i, nx);
            let slopes = [
                (f64::from(here[x[1]]) - f64::from(here[x[0]])) * x_share,
                (f64::from(above[i]) - f64::from(below[i])) * y_share,
                (f64::from(behind[i]) - f64::from(before[i])) * z_share,
            ];
            *out = value(world.map(|row| row[0] * slopes[0] + row[1] * slopes[1] + row[2] * slopes[2])) as f32;
        }
    });
    let voxels = Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel");
    volume.with_voxels(voxels).expect("one value per voxel")
}

/// The voxels before and after `index` on an axis, the ends standing for themselves, and the share per voxel.
#[inline(always)]
fn neighbours(index: usize, size: usize) -> ([usize; 2], f64) {
    let (before, after) = (index.saturating_sub(1), (index + 1).min(size - 1));
    let share = if after - before == 2 { 0.5 } else { 1.0 };
    ([before, after], share)
}

/// `M⁻ᵀ`: slopes per voxel to slopes per mm.
fn covariant(geometry: &Geometry) -> [[f64; 3]; 3] {
    let inverse = geometry.voxel_from_world().matrix;
    std::array::from_fn(|row| std::array::from_fn(|column| inverse[column][row]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Modality, Unit};

    #[test]
    fn a_ramp_in_the_patient_has_its_slope_on_every_grid() {
        let grids = [
            ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [0.5, 0.7, 2.0]),
            ([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, -1.0]], [0.5, 0.7, 2.0]),
            ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.3, 1.0]], [1.0, 1.0, 3.0]),
        ];
        for (direction, spacing) in grids {
            let geometry = Geometry::new([5, 4, 3], spacing, [3.0, -2.0, 1.0], direction).unwrap();
            let world = geometry.world_from_voxel();
            let voxels = Array3::from_shape_fn((3, 4, 5), |(k, j, i)| {
                let [x, y, z] = world.apply([i as f64, j as f64, k as f64]);
                (3.0 * x - 4.0 * y + 12.0 * z) as f32
            });
            let ramp = Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap();
            for (found, expected) in gradient(&ramp).iter().zip([3.0, -4.0, 12.0]) {
                assert!(found.as_slice().iter().all(|v| (v - expected).abs() < 1e-4), "{direction:?}");
            }
            assert!(gradient_magnitude(&ramp).as_slice().iter().all(|v| (v - 13.0).abs() < 1e-4));
        }
    }

    #[test]
    fn an_axis_of_one_voxel_has_no_slope() {
        let slice = Volume::new(
            Array3::from_shape_fn((1, 3, 3), |(_, j, _)| j as f32),
            Geometry::axis_aligned([3, 3, 1], [1.0; 3]).unwrap(),
            Modality::Cr,
            Unit::Arbitrary,
        );
        assert!(gradient_magnitude(&slice.unwrap()).as_slice().iter().all(|v| *v == 1.0));
    }
}
