use isoscan_imaging::Geometry;
use ndarray::Array3;
use rayon::prelude::*;

use super::tree::{VesselTree, along, distance, dot, minus};

/// Points that each edge of a voxel is divided into; their cube is the number of bits of a word.
const SUBDIVISION: usize = 4;

/// A piece of an artery: all points within the radius, which runs linearly from one end to the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Piece {
    pub(crate) from: [f64; 3],
    pub(crate) to: [f64; 3],
    pub(crate) radii: [f64; 2],
    pub(crate) content: Content,
}

/// What a piece is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Content {
    pub(crate) label: u8,
    pub(crate) signal: f32,
}

/// Arteries on a grid, `[z, y, x]`.
pub(crate) struct Painted {
    /// Share of each voxel that blood fills.
    pub(crate) fraction: Array3<f32>,
    /// Sum over the voxel's share of the blood's signal.
    pub(crate) signal: Array3<f32>,
    /// Label of the blood that fills at least half of the voxel, or 0.
    pub(crate) label: Array3<f32>,
}

/// Labels of blood: healthy artery, narrowed artery, sac.
pub(crate) struct BloodLabels {
    pub(crate) artery: u8,
    pub(crate) stenosis: u8,
    pub(crate) aneurysm: u8,
}

/// The tree as pieces; `signal` tells that of the blood at a point of an artery (by their indices).
pub(crate) fn pieces(tree: &VesselTree, labels: &BloodLabels, signal: impl Fn(usize, usize) -> f32) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (v, vessel) in tree.vessels.iter().enumerate() {
        for i in 1..vessel.points_mm.len() {
            let radii = [vessel.radii_mm[i - 1], vessel.radii_mm[i]];
            let narrowed = radii.iter().any(|radius| *radius < 0.9 * vessel.radius_mm);
            let label = if narrowed { labels.stenosis } else { labels.artery };
            let (from, to) = (vessel.points_mm[i - 1], vessel.points_mm[i]);
            pieces.push(Piece { from, to, radii, content: Content { label, signal: signal(v, i) } });
        }
    }
    for sac in &tree.aneurysms {
        let upstream = tree.vessels.iter().position(|vessel| vessel.name == sac.vessel);
        let filled = upstream.map_or(0.0, |v| signal(v, tree.vessels[v].points_mm.len() - 1));
        let content = Content { label: labels.aneurysm, signal: filled };
        let (center, radius) = (sac.center_mm, 0.5 * sac.diameter_mm);
        pieces.push(Piece { from: center, to: center, radii: [radius; 2], content });
    }
    pieces
}

/// Paints the pieces on a grid along the axes of the patient; a later piece does not cover an earlier one.
pub(crate) fn paint(pieces: &[Piece], geometry: &Geometry) -> Painted {
    let [nx, ny, nz] = geometry.size();
    let empty = || Array3::<f32>::zeros((nz, ny, nx));
    let mut painted = Painted { fraction: empty(), signal: empty(), label: empty() };
    fn planes(array: &mut Array3<f32>, plane: usize) -> rayon::slice::ChunksMut<'_, f32> {
        array.as_slice_mut().expect("a new array is contiguous").par_chunks_mut(plane)
    }
    planes(&mut painted.fraction, nx * ny)
        .zip(planes(&mut painted.signal, nx * ny))
        .zip(planes(&mut painted.label, nx * ny))
        .enumerate()
        .for_each(|(k, ((fraction, signal), label))| {
            for (i, voxel) in slice(pieces, geometry, k).into_iter().enumerate().filter(|(_, voxel)| voxel.bits != 0) {
                let count = voxel.bits.count_ones() as f32;
                fraction[i] = count / POINTS as f32;
                signal[i] = voxel.signal / POINTS as f32;
                label[i] = if 2.0 * count >= POINTS as f32 { f32::from(voxel.label) } else { 0.0 };
            }
        });
    painted
}

const POINTS: usize = SUBDIVISION * SUBDIVISION * SUBDIVISION;

/// One voxel: which of its points lie in blood, the sum of their signals, the label of the piece that came first.
#[derive(Clone, Copy, Default)]
struct Voxel {
    bits: u64,
    signal: f32,
    label: u8,
}

fn slice(pieces: &[Piece], geometry: &Geometry, k: usize) -> Vec<Voxel> {
    let ([nx, ny, _], origin, step) = (geometry.size(), geometry.origin_mm(), geometry.spacing_mm());
    let z = origin[2] + k as f64 * step[2];
    let mut voxels = vec![Voxel::default(); nx * ny];
    for piece in pieces {
        let reach = piece.radii[0].max(piece.radii[1]);
        let span = |axis: usize| {
            let low = piece.from[axis].min(piece.to[axis]) - reach - 0.5 * step[axis];
            [low, piece.from[axis].max(piece.to[axis]) + reach + 0.5 * step[axis]]
        };
        let [below, above] = span(2);
        if z < below || z > above {
            continue;
        }
        let indices = |axis: usize, count: usize| {
            let [low, high] = span(axis).map(|at| (at - origin[axis]) / step[axis]);
            low.ceil().clamp(0.0, count as f64) as usize..(high.floor() + 1.0).clamp(0.0, count as f64) as usize
        };
        for j in indices(1, ny) {
            for i in indices(0, nx) {
                let center = [origin[0] + i as f64 * step[0], origin[1] + j as f64 * step[1], z];
                voxels[j * nx + i].fill(piece.covered(center, step), piece.content);
            }
        }
    }
    voxels
}

impl Voxel {
    fn fill(&mut self, bits: u64, content: Content) {
        let fresh = bits & !self.bits;
        if fresh == 0 {
            return;
        }
        if self.bits == 0 {
            self.label = content.label;
        }
        self.bits |= fresh;
        self.signal += fresh.count_ones() as f32 * content.signal;
    }
}

impl Piece {
    /// One bit for each point of the voxel that lies in the piece.
    fn covered(&self, center: [f64; 3], step: [f64; 3]) -> u64 {
        let half_diagonal = 0.5 * step.iter().map(|s| s * s).sum::<f64>().sqrt();
        let depth = self.depth(center);
        if depth >= half_diagonal {
            return u64::MAX;
        }
        if depth < -2.0 * half_diagonal {
            return 0;
        }
        let offset = |n: usize, axis: usize| ((n as f64 + 0.5) / SUBDIVISION as f64 - 0.5) * step[axis];
        (0..POINTS).fold(0, |bits, n| {
            let [x, y, z] = [n % SUBDIVISION, n / SUBDIVISION % SUBDIVISION, n / SUBDIVISION / SUBDIVISION];
            let point = [center[0] + offset(x, 0), center[1] + offset(y, 1), center[2] + offset(z, 2)];
            bits | u64::from(self.depth(point) > 0.0) << n
        })
    }

    /// How deep a point lies below the surface, mm; negative outside.
    fn depth(&self, point: [f64; 3]) -> f64 {
        let axis = minus(self.to, self.from);
        let length = dot(axis, axis);
        let t = if length > 0.0 { (dot(minus(point, self.from), axis) / length).clamp(0.0, 1.0) } else { 0.0 };
        self.radii[0] + t * (self.radii[1] - self.radii[0]) - distance(point, along(self.from, t, axis))
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    const AXES: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

    fn grid(size: usize, step_mm: f64) -> Geometry {
        let first = -0.5 * (size - 1) as f64 * step_mm;
        Geometry::new([size; 3], [step_mm; 3], [first; 3], AXES).unwrap()
    }

    fn volume_mm3(pieces: &[Piece], geometry: &Geometry) -> f64 {
        let sum: f64 = paint(pieces, geometry).fraction.iter().map(|&f| f64::from(f)).sum();
        sum * geometry.voxel_volume_mm3()
    }

    #[test]
    fn tubes_thinner_and_thicker_than_a_voxel_keep_their_volume() {
        let content = Content { label: 1, signal: 2.0 };
        let (from, to) = ([-5.3, -4.1, -6.2], [5.1, 4.7, 5.6]);
        let length = distance(from, to);
        for (radius, tolerance) in [(0.4, 0.05), (1.0, 0.03), (2.5, 0.02)] {
            let piece = Piece { from, to, radii: [radius; 2], content };
            let expected = PI * radius * radius * length + 4.0 / 3.0 * PI * radius.powi(3);
            let found = volume_mm3(&[piece], &grid(32, 0.8));
            assert!((found / expected - 1.0).abs() < tolerance, "{radius}: {found} for {expected} mm³");
        }
    }

    #[test]
    fn pieces_that_overlap_count_once_and_keep_the_first_label() {
        let piece = |label, signal| Piece {
            from: [-3.0, 0.0, 0.0],
            to: [3.0, 0.0, 0.0],
            radii: [1.5; 2],
            content: Content { label, signal },
        };
        let geometry = grid(12, 1.0);
        let (one, two) = (paint(&[piece(5, 2.0)], &geometry), paint(&[piece(5, 2.0), piece(6, 7.0)], &geometry));
        assert_eq!(one.fraction, two.fraction);
        assert_eq!(one.signal, two.signal);
        assert!(two.label.iter().all(|&label| label == 0.0 || label == 5.0));
        assert!(one.signal.iter().zip(&one.fraction).all(|(signal, fraction)| *signal == 2.0 * fraction));
    }
}
