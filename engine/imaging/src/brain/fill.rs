use ndarray::Array3;
use rayon::prelude::*;

use super::surface::Surface;
use crate::Geometry;

/// The voxels whose centres the surface winds around.
pub(super) fn voxels_within(surface: &Surface, geometry: &Geometry) -> Array3<bool> {
    // Rows of voxels are lines past the surface's corners by less than a voxel's millionth, so no line meets a corner.
    const ASIDE: [f64; 2] = [1.234_567e-6, 2.718_281e-6];
    let voxel_from_world = geometry.voxel_from_world();
    let points: Vec<[f64; 3]> = surface.points.iter().map(|p| voxel_from_world.apply(*p)).collect();
    let [nx, ny, nz] = geometry.size();
    let mut crossings: Vec<Vec<(f64, i32)>> = vec![Vec::new(); ny * nz];
    for triangle in &surface.triangles {
        let [a, b, c] = triangle.map(|p| points[p]);
        let area = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1]);
        if area == 0.0 {
            continue;
        }
        let rows = |axis: usize, size: usize| {
            let low = a[axis].min(b[axis]).min(c[axis]).floor().max(0.0) as usize;
            let high = a[axis].max(b[axis]).max(c[axis]).ceil().min(size as f64 - 1.0);
            low..(high + 1.0).max(0.0) as usize
        };
        for k in rows(2, nz) {
            for j in rows(1, ny) {
                let (y, z) = (j as f64 + ASIDE[0], k as f64 + ASIDE[1]);
                let part = |p: [f64; 3], q: [f64; 3]| ((p[1] - y) * (q[2] - z) - (p[2] - z) * (q[1] - y)) / area;
                let (u, v, w) = (part(b, c), part(c, a), part(a, b));
                if u > 0.0 && v > 0.0 && w > 0.0 {
                    let x = u * a[0] + v * b[0] + w * c[0];
                    crossings[k * ny + j].push((x, if area > 0.0 { 1 } else { -1 }));
                }
            }
        }
    }
    let mut inside = vec![false; nx * ny * nz];
    inside.par_chunks_mut(nx).zip(crossings.par_iter_mut()).for_each(|(row, crossings)| {
        crossings.sort_by(|p, q| p.0.total_cmp(&q.0).then(p.1.cmp(&q.1)));
        let mut winding = 0;
        for pair in crossings.windows(2) {
            winding += pair[0].1;
            if winding != 0 {
                let begin = pair[0].0.ceil().clamp(0.0, nx as f64) as usize;
                let end = (pair[1].0.floor() + 1.0).clamp(begin as f64, nx as f64) as usize;
                row[begin..end].fill(true);
            }
        }
    });
    Array3::from_shape_vec((nz, ny, nx), inside).expect("one bool per voxel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sphere_has_its_volume_on_an_oblique_grid_that_cuts_it() {
        let direction = [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.1, 0.2, 1.0]];
        let geometry = Geometry::new([80, 80, 25], [0.7, 0.8, 1.1], [0.0, -40.0, 0.0], direction).unwrap();
        let center = geometry.world_from_voxel().apply([40.0, 40.0, 0.0]);
        let inside = voxels_within(&Surface::sphere(center, 20.0), &geometry);
        let world = geometry.world_from_voxel();
        let (mut right, mut wrong) = (0, 0);
        for ((k, j, i), found) in inside.indexed_iter() {
            let place = world.apply([i as f64, j as f64, k as f64]);
            let distance = (0..3).map(|a| (place[a] - center[a]).powi(2)).sum::<f64>().sqrt();
            right += usize::from(*found && distance < 20.0);
            wrong += usize::from(*found && distance > 20.0 || !*found && distance < 19.95);
        }
        assert!(wrong == 0 && right > 20_000, "{right} {wrong}");
    }
}
