mod grey;

use ndarray::Array3;
use rayon::prelude::*;

use crate::{Error, Geometry, Mask};

pub use grey::{grey_close, grey_dilate, grey_erode, grey_open};

/// All voxels whose centre lies within `radius_mm` of the centre of a voxel of the region, distances in patient space
/// (so sheared axes count as they are).
///
/// # Errors
/// [`Error::InvalidArgument`] for a radius that is negative or not finite.
pub fn dilate(mask: &Mask, radius_mm: f64) -> Result<Mask, Error> {
    grown(mask, true, radius_mm)
}

/// The voxels of the region that no voxel outside it comes within `radius_mm` of; what lies beyond the grid does not
/// count, so a region cut by the edge is not eaten from there.
///
/// # Errors
/// [`Error::InvalidArgument`] for a radius that is negative or not finite.
pub fn erode(mask: &Mask, radius_mm: f64) -> Result<Mask, Error> {
    grown(mask, false, radius_mm)
}

/// [`erode`], then [`dilate`]: the parts of the region that a ball of `radius_mm` fits into.
///
/// # Errors
/// As [`dilate`].
pub fn open(mask: &Mask, radius_mm: f64) -> Result<Mask, Error> {
    dilate(&erode(mask, radius_mm)?, radius_mm)
}

/// [`dilate`], then [`erode`]: the region with the gaps filled that a ball of `radius_mm` does not fit into.
///
/// # Errors
/// As [`dilate`].
pub fn close(mask: &Mask, radius_mm: f64) -> Result<Mask, Error> {
    erode(&dilate(mask, radius_mm)?, radius_mm)
}

/// Grows the voxels that equal `value`.
fn grown(mask: &Mask, value: bool, radius_mm: f64) -> Result<Mask, Error> {
    let chords = ball(mask.geometry(), radius_mm)?;
    let [nx, ny, nz] = mask.geometry().size();
    let runs: Vec<Vec<[usize; 2]>> =
        mask.inside().rows().into_iter().map(|line| runs(line.iter().map(|&v| v == value))).collect();
    let mut inside = vec![!value; nx * ny * nz];
    inside.par_chunks_mut(nx).enumerate().for_each_init(
        || vec![0i32; nx + 1],
        |edges, (row, out)| {
            edges.fill(0);
            let (y, z) = ((row % ny) as i64, (row / ny) as i64);
            for chord in &chords {
                let (source_y, source_z) = (y - chord.y, z - chord.z);
                if !(0..ny as i64).contains(&source_y) || !(0..nz as i64).contains(&source_z) {
                    continue;
                }
                for &[begin, end] in &runs[source_z as usize * ny + source_y as usize] {
                    let begin = (begin as i64 + chord.low).clamp(0, nx as i64);
                    let end = (end as i64 + chord.high).clamp(begin, nx as i64);
                    edges[begin as usize] += 1;
                    edges[end as usize] -= 1;
                }
            }
            let mut covers = 0;
            for (out, edge) in out.iter_mut().zip(edges.iter()) {
                covers += edge;
                if covers > 0 {
                    *out = value;
                }
            }
        },
    );
    let inside = Array3::from_shape_vec((nz, ny, nx), inside).expect("one bool per voxel");
    Mask::new(inside, mask.geometry().clone())
}

/// The voxel steps of a ball that share y and z: x from `low` to `high`.
struct Chord {
    y: i64,
    z: i64,
    low: i64,
    high: i64,
}

/// The steps `d` with `|matrix · d| <= radius`, no further than the grid reaches.
fn ball(geometry: &Geometry, radius_mm: f64) -> Result<Vec<Chord>, Error> {
    if !(radius_mm.is_finite() && radius_mm >= 0.0) {
        return Err(Error::InvalidArgument {
            name: "radius",
            expected: "a finite number of mm, at least 0",
            found: radius_mm.to_string(),
        });
    }
    let matrix = geometry.world_from_voxel().matrix;
    let column = |a: usize| [matrix[0][a], matrix[1][a], matrix[2][a]];
    let dot = |p: [f64; 3], q: [f64; 3]| p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
    let inverse = geometry.voxel_from_world().matrix;
    let size = geometry.size();
    // A step of the ball along axis a is longest in the direction of row a of the inverse.
    let reach: [i64; 3] = std::array::from_fn(|a| {
        let longest = radius_mm * dot(inverse[a], inverse[a]).sqrt() + 1e-6;
        longest.min((size[a] - 1) as f64).floor() as i64
    });
    // Room for the rounding of a centre that lies exactly on the ball.
    let radius_squared = radius_mm * radius_mm * (1.0 + 1e-9);
    let along = dot(column(0), column(0));
    let mut chords = Vec::new();
    for z in -reach[2]..=reach[2] {
        for y in -reach[1]..=reach[1] {
            let across: [f64; 3] = std::array::from_fn(|r| y as f64 * matrix[r][1] + z as f64 * matrix[r][2]);
            let slope = dot(column(0), across);
            let rest = slope * slope - along * (dot(across, across) - radius_squared);
            if rest < 0.0 {
                continue;
            }
            let limit = size[0] as f64;
            let low = ((-slope - rest.sqrt()) / along).ceil().clamp(-limit, limit) as i64;
            let high = ((-slope + rest.sqrt()) / along).floor().clamp(-limit, limit) as i64;
            if low <= high {
                chords.push(Chord { y, z, low, high });
            }
        }
    }
    Ok(chords)
}

/// The stretches `[begin, end)` of true values.
fn runs(line: impl Iterator<Item = bool>) -> Vec<[usize; 2]> {
    let mut runs: Vec<[usize; 2]> = Vec::new();
    for (i, _) in line.enumerate().filter(|(_, wanted)| *wanted) {
        match runs.last_mut() {
            Some(run) if run[1] == i => run[1] = i + 1,
            _ => runs.push([i, i + 1]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(geometry: Geometry, inside: impl Fn([usize; 3]) -> bool) -> Mask {
        let [nx, ny, nz] = geometry.size();
        let inside = Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| inside([i, j, k]));
        Mask::new(inside, geometry).unwrap()
    }

    #[test]
    fn a_voxel_grows_to_a_ball_in_millimetres() {
        // spacing 1x1x2.5 mm, radius 2 mm: 13 voxels of the digital disk of radius 2, no neighbour slice.
        // radius 2.5 mm: 21 voxels with x² + y² <= 6.25, and one voxel in each neighbour slice.
        for (radius, expected) in [(0.0, 1), (0.99, 1), (1.0, 5), (2.0, 13), (2.5, 21 + 2)] {
            let grid = Geometry::axis_aligned([9, 9, 5], [1.0, 1.0, 2.5]).unwrap();
            assert_eq!(dilate(&mask(grid, |v| v == [4, 4, 2]), radius).unwrap().count(), expected, "radius {radius}");
        }
    }

    #[test]
    fn growth_on_a_sheared_grid_follows_patient_distances() {
        let direction = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.3, 1.0]];
        let grid = Geometry::new([11, 9, 7], [0.9, 1.1, 1.7], [3.0, -8.0, 1.0], direction).unwrap();
        let world = grid.world_from_voxel();
        let place = |v: [usize; 3]| world.apply(v.map(|i| i as f64));
        let seeds = [[0, 0, 0], [6, 4, 3], [10, 8, 6]];
        let near = |v| {
            let p = place(v);
            seeds.iter().any(|s| place(*s).iter().zip(p).map(|(a, b)| (a - b).powi(2)).sum::<f64>() <= 2.3 * 2.3)
        };
        let found = dilate(&mask(grid.clone(), |v| seeds.contains(&v)), 2.3).unwrap();
        assert_eq!(found, mask(grid, near));
    }

    #[test]
    fn erosion_undoes_the_dilation_of_a_box_and_spares_the_edge() {
        let grid = || Geometry::axis_aligned([12, 12, 12], [1.0; 3]).unwrap();
        let cube = mask(grid(), |v| v.iter().all(|i| (4..8).contains(i)));
        assert_eq!(erode(&dilate(&cube, 2.0).unwrap(), 2.0).unwrap(), cube);
        assert_eq!(erode(&cube, 1.0).unwrap().count(), 8);
        let full = mask(grid(), |_| true);
        assert_eq!(erode(&full, 3.0).unwrap(), full);
        let half = mask(grid(), |[i, _, _]| i < 6);
        assert_eq!(erode(&half, 2.0).unwrap(), mask(grid(), |[i, _, _]| i < 4));
    }

    #[test]
    fn opening_removes_a_thin_bridge_and_closing_a_thin_gap() {
        let grid = || Geometry::axis_aligned([14, 8, 8], [1.0; 3]).unwrap();
        let block = |i: usize| (1..=5).contains(&i) || (8..=12).contains(&i);
        let apart = mask(grid(), |[i, j, k]| block(i) && (1..=6).contains(&j) && (1..=6).contains(&k));
        let bridged =
            mask(grid(), |v| apart.inside()[[v[2], v[1], v[0]]] || v[1..] == [4, 4] && (6..=7).contains(&v[0]));
        assert_eq!(open(&bridged, 1.5).unwrap(), open(&apart, 1.5).unwrap());
        let closed = close(&apart, 1.5).unwrap();
        assert!(closed.inside()[[4, 4, 6]] && closed.inside()[[4, 4, 7]]);
    }

    #[test]
    fn nothing_grows_from_nothing_and_a_huge_ball_fills_the_grid() {
        let grid = || Geometry::axis_aligned([3, 4, 5], [1.0; 3]).unwrap();
        let empty = mask(grid(), |_| false);
        assert_eq!(dilate(&empty, 5.0).unwrap(), empty);
        assert_eq!(erode(&empty, 5.0).unwrap(), empty);
        assert_eq!(dilate(&mask(grid(), |v| v == [0; 3]), 1e12).unwrap().count(), 60);
        for radius in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(dilate(&empty, radius), Err(Error::InvalidArgument { .. })));
        }
    }
}
