use super::{Start, inverse, pieces, sampling::Region};
use crate::{Affine3, Error, Mask, Volume};

/// The map that a registration starts from.
pub(super) fn map(
    fixed: &Volume,
    moving: &Volume,
    fixed_mask: Option<&Mask>,
    moving_mask: Option<&Mask>,
    start: Start,
) -> Result<Affine3, Error> {
    let between = |from: [f64; 3], to: [f64; 3]| Affine3 {
        matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        translation: std::array::from_fn(|a| to[a] - from[a]),
    };
    match start {
        Start::Identity => Ok(between([0.0; 3], [0.0; 3])),
        Start::GeometryCenter => Ok(between(middle(fixed), middle(moving))),
        Start::CenterOfMass => Ok(between(center_of_mass(fixed, fixed_mask)?, center_of_mass(moving, moving_mask)?)),
        Start::Given(map) => inverse(&map).map(|_| map),
    }
}

fn middle(volume: &Volume) -> [f64; 3] {
    volume.geometry().world_from_voxel().apply(volume.geometry().size().map(|n| (n - 1) as f64 / 2.0))
}

/// The mean position of the voxels inside the mask, each weighing its intensity above the smallest one, LPS mm.
fn center_of_mass(volume: &Volume, mask: Option<&Mask>) -> Result<[f64; 3], Error> {
    let (lowest, [nx, ny, nz]) = (volume.lowest(), volume.geometry().size());
    let region = mask.map(Region::of);
    let world = volume.geometry().world_from_voxel();
    let voxels = volume.as_slice();
    let sums = pieces(ny * nz, |rows| {
        let mut sum = [0.0; 4];
        for row in rows {
            for (i, value) in voxels[row * nx..(row + 1) * nx].iter().enumerate() {
                let place = [i as f64, (row % ny) as f64, (row / ny) as f64];
                if !value.is_finite() || region.as_ref().is_some_and(|r| !r.holds(world.apply(place))) {
                    continue;
                }
                let weight = f64::from(*value) - f64::from(lowest);
                (0..3).for_each(|a| sum[a] += weight * place[a]);
                sum[3] += weight;
            }
        }
        sum
    });
    let [x, y, z, mass] = sums.iter().fold([0.0; 4], |total, part| std::array::from_fn(|a| total[a] + part[a]));
    if mass > 0.0 {
        return Ok(world.apply([x / mass, y / mass, z / mass]));
    }
    Err(Error::FlatIntensities { value: lowest })
}
