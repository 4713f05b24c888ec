use isoscan_imaging::{Geometry, Interpolation, Mask, Volume, interpolate};

use super::Perturbation;
use crate::Error;

/// Largest factor by which a turned grid may be larger than the one before.
const MOST_GROWTH: usize = 8;

/// Image and region on a turned and shifted grid.
pub(super) fn moved(volume: &Volume, mask: &Mask, perturbation: &Perturbation) -> Result<(Volume, Mask), Error> {
    let angle_deg = perturbation.angle_deg.rem_euclid(360.0);
    if angle_deg == 0.0 && perturbation.shift_voxels == [0.0; 3] {
        return Ok((volume.clone(), mask.clone()));
    }
    let grid = turned(volume.geometry(), mask, angle_deg, perturbation.shift_voxels)?;
    let moved = interpolate(volume, &grid, Interpolation::Linear, volume.lowest());
    let share = interpolate(&mask.to_volume(), &grid, Interpolation::Linear, 0.0);
    let inside = share.voxels().mapv(|share| share >= 0.5);
    Ok((moved, Mask::new(inside, grid)?))
}

/// The grid turned about the middle of the region's box and shifted, widened where the turned region would leave it.
fn turned(grid: &Geometry, mask: &Mask, angle_deg: f64, shift_voxels: [f64; 3]) -> Result<Geometry, Error> {
    let (first, size) = mask.bounding_box().ok_or(Error::EmptyMask { voxels: mask.inside().len() })?;
    let middle: [f64; 3] = std::array::from_fn(|a| first[a] as f64 + (size[a] as f64 - 1.0) / 2.0);
    let centre_mm = grid.world_from_voxel().apply(middle);
    let [along_x, along_y, along_z] = grid.direction();
    let (sin, cos) = angle_deg.to_radians().sin_cos();
    let direction = [
        std::array::from_fn(|a| cos * along_x[a] + sin * along_y[a]),
        std::array::from_fn(|a| cos * along_y[a] - sin * along_x[a]),
        along_z,
    ];
    let spacing_mm = grid.spacing_mm();
    // The centre is at index `middle - shift` of the new grid.
    let at = |origin_index: [f64; 3]| -> [f64; 3] {
        std::array::from_fn(|world| {
            let from_centre =
                |a: usize| (origin_index[a] + shift_voxels[a] - middle[a]) * spacing_mm[a] * direction[a][world];
            centre_mm[world] + (0..3).map(from_centre).sum::<f64>()
        })
    };
    let plain = Geometry::new(grid.size(), spacing_mm, at([0.0; 3]), direction)?;
    let (mut low, mut end) = ([0i64; 3], grid.size().map(|n| n as i64));
    for corner in 0..8usize {
        let voxel = std::array::from_fn(|a| first[a] as f64 + ((corner >> a & 1) * (size[a] - 1)) as f64);
        let index = plain.voxel_from_world().apply(grid.world_from_voxel().apply(voxel));
        low = std::array::from_fn(|a| low[a].min((index[a] + 1e-6).floor() as i64));
        end = std::array::from_fn(|a| end[a].max((index[a] - 1e-6).ceil() as i64 + 1));
    }
    let size: [usize; 3] = std::array::from_fn(|a| end[a].saturating_sub(low[a]).max(1) as usize);
    let voxels = size.iter().try_fold(1usize, |n, &s| n.checked_mul(s));
    if voxels.is_none_or(|n| n / MOST_GROWTH > grid.voxel_count().max(1 << 20)) {
        return Err(Error::InvalidSetting {
            name: "shift_voxels".to_owned(),
            expected: "small beside the image",
            found: format!("{shift_voxels:?}"),
        });
    }
    Ok(Geometry::new(size, spacing_mm, at(low.map(|l| l as f64)), direction)?)
}
