use ndarray::{Array3, Axis, Slice};

use crate::{Error, Geometry, Interpolation, Volume, resample};

/// The upright grid around a leaning one, as a tilted gantry makes it: rows, columns, pixel spacing and the planes of the
/// slices stay; the slices follow along the plane normal, their spacing is the distance of the planes, and rows and
/// columns are added until every slice fits in.
///
/// With unit axes `x`, `y` and normal `n = x × y` (turned to the side on which the slices lie) and the step `s` from slice to slice, the
/// spacing is `s · n` and slice `k` lies `k (s · x)` and `k (s · y)` beside the first.
///
/// # Errors
/// [`Error::InvalidGeometry`] when rows and columns are not perpendicular within 1e-4, for then they are not the axes of
/// a pixel grid; or when the grid fits no memory.
pub fn straightened(geometry: &Geometry) -> Result<Geometry, Error> {
    let lean = Lean::of(geometry)?;
    let [nx, ny, nz] = geometry.size();
    let [sx, sy, _] = geometry.spacing_mm();
    let last = (nz - 1) as f64;
    let origin = std::array::from_fn(|a| {
        geometry.origin_mm()[a] + lean.before[0] as f64 * -sx * lean.x[a] + lean.before[1] as f64 * -sy * lean.y[a]
    });
    let more = |along_mm: f64, spacing: f64| (last * along_mm.abs() / spacing - TINY).ceil().max(0.0) as usize;
    let size = [nx.saturating_add(more(lean.along[0], sx)), ny.saturating_add(more(lean.along[1], sy)), nz];
    Geometry::new(size, [sx, sy, lean.apart], origin, [lean.x, lean.y, lean.n])
}

/// The volume on the [`straightened`] grid. Each slice is moved within its own plane, so nothing is blurred from slice to
/// slice; outside of what was measured the result is `fill`.
///
/// # Errors
/// Those of [`straightened`].
pub fn straighten(volume: &Volume, interpolation: Interpolation, fill: f32) -> Result<Volume, Error> {
    let (from, to) = (volume.geometry(), straightened(volume.geometry())?);
    let lean = Lean::of(from)?;
    let [nx, ny, nz] = to.size();
    let mut voxels = Array3::zeros((nz, ny, nx));
    for (k, mut slice) in voxels.axis_iter_mut(Axis(0)).enumerate() {
        let plane = |geometry: &Geometry| {
            let origin = geometry.world_from_voxel().apply([0.0, 0.0, k as f64]);
            let [x, y, _] = geometry.size();
            Geometry::new([x, y, 1], to.spacing_mm(), origin, [lean.x, lean.y, lean.n])
        };
        let measured = volume.voxels().slice_axis(Axis(0), Slice::from(k..k + 1)).to_owned();
        let measured = Volume::new(measured, plane(from)?, volume.modality(), volume.unit())?;
        slice.assign(&resample(&measured, &plane(&to)?, interpolation, fill).voxels().index_axis(Axis(0), 0));
    }
    Volume::new(voxels, to, volume.modality(), volume.unit())
}

/// Parts of a pixel that do not count.
const TINY: f64 = 1e-6;

struct Lean {
    x: [f64; 3],
    y: [f64; 3],
    n: [f64; 3],
    /// How far a slice lies beside the one before along x and y, mm.
    along: [f64; 2],
    /// Distance of the planes, mm.
    apart: f64,
    /// Columns and rows before the first of the leaning grid.
    before: [usize; 2],
}

impl Lean {
    fn of(geometry: &Geometry) -> Result<Self, Error> {
        let [x, y, z] = geometry.direction();
        let dot = |p: [f64; 3], q: [f64; 3]| (0..3).map(|a| p[a] * q[a]).sum::<f64>();
        if dot(x, y).abs() > 1e-4 {
            let reason = format!("rows {x:?} and columns {y:?} are not perpendicular");
            return Err(Error::InvalidGeometry { reason });
        }
        let cross = std::array::from_fn(|a| x[(a + 1) % 3] * y[(a + 2) % 3] - x[(a + 2) % 3] * y[(a + 1) % 3]);
        let n = if dot(cross, z) < 0.0 { cross.map(|c: f64| -c) } else { cross };
        let [sx, sy, sz] = geometry.spacing_mm();
        let (along, apart) = ([dot(x, z) * sz, dot(y, z) * sz], dot(n, z) * sz);
        let last = (geometry.size()[2] - 1) as f64;
        let before = |along_mm: f64, spacing: f64| (-last * along_mm / spacing - TINY).ceil().max(0.0) as usize;
        Ok(Self { x, y, n, along, apart, before: [before(along[0], sx), before(along[1], sy)] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Modality, Unit};

    /// Slices 2 mm apart that each lie one pixel of 1 mm further along y (or back).
    fn leaning(sign: f64) -> Volume {
        let geometry = Geometry::new(
            [2, 3, 3],
            [1.0, 1.0, 5.0f64.sqrt()],
            [10.0, 20.0, 30.0],
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, sign, 2.0]],
        )
        .unwrap();
        let voxels = Array3::from_shape_fn((3, 3, 2), |(z, y, x)| (100 * z + 10 * y + x) as f32);
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn a_leaning_volume_stands_upright_with_every_voxel_in_its_place() {
        for sign in [1.0, -1.0] {
            let source = leaning(sign);
            let upright = straighten(&source, Interpolation::Linear, -1.0).unwrap();
            let geometry = upright.geometry();
            assert_eq!((geometry.size(), geometry.direction()[2]), ([2, 5, 3], [0.0, 0.0, 1.0]));
            assert!((geometry.spacing_mm()[2] - 2.0).abs() < 1e-12);
            for ((z, y, x), &value) in source.voxels().indexed_iter() {
                let world = source.geometry().world_from_voxel().apply([x as f64, y as f64, z as f64]);
                let at = geometry.voxel_from_world().apply(world).map(|c| c.round() as usize);
                assert!((upright.voxels()[[at[2], at[1], at[0]]] - value).abs() < 1e-4, "{sign} {x} {y} {z}");
            }
            let filled = upright.as_slice().iter().filter(|&&v| v == -1.0).count();
            assert_eq!(filled, 2 * 2 * 3);
        }
    }

    #[test]
    fn an_upright_grid_stays_and_a_skewed_pixel_grid_is_refused() {
        let upright =
            Geometry::new([4, 3, 5], [0.7, 0.9, 2.0], [1.0; 3], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
                .unwrap();
        assert_eq!(straightened(&upright).unwrap(), upright);
        let skewed =
            Geometry::new([4, 3, 5], [1.0; 3], [0.0; 3], [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]).unwrap();
        assert!(matches!(straightened(&skewed), Err(Error::InvalidGeometry { .. })));
    }
}
