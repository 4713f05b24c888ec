use rayon::prelude::*;

use super::hull::Hull;

type Vector = [f64; 3];

/// A box, not necessarily along the axes of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OrientedBox {
    /// Orthonormal directions of the sides.
    axes: [Vector; 3],
    /// Lengths of the sides, mm.
    pub(super) sides_mm: Vector,
}

impl OrientedBox {
    /// A small box around a hull.
    ///
    /// Of the boxes with one side flush with a facet of the hull and another with an edge of its outline, seen along the
    /// first, the smallest; then its sides are turned in pairs, each pair about the third direction into the smallest
    /// rectangle, until nothing shrinks. The smallest box of all (O'Rourke 1985) need not have a flush side, so this is an
    /// upper bound of its volume.
    pub(super) fn around(hull: &Hull, spacing_mm: [f64; 3]) -> Self {
        let corners = hull.corners_mm(spacing_mm);
        // The normal of an affinely stretched facet.
        let normals = hull.normals().into_iter().map(|n| std::array::from_fn(|a| n[a] as f64 / spacing_mm[a]));
        let normals: Vec<Vector> = normals.map(unit).collect();
        let boxes: Vec<Self> = normals.par_iter().map(|&normal| Self::along(normal, &corners)).collect();
        let smallest = boxes.into_iter().min_by(|a, b| a.volume_mm3().total_cmp(&b.volume_mm3()));
        let mut found = smallest.unwrap_or_else(|| Self::along([0.0, 0.0, 1.0], &corners));
        loop {
            let turned = found.axes.map(|axis| Self::along(axis, &corners));
            let best = turned.into_iter().fold(found, |a, b| if b.volume_mm3() < a.volume_mm3() { b } else { a });
            if best.volume_mm3() >= found.volume_mm3() * (1.0 - 1e-9) {
                return found;
            }
            found = best;
        }
    }

    pub(super) fn volume_mm3(&self) -> f64 {
        self.sides_mm.iter().product()
    }

    /// The smallest box with a side along `axis`: across it, the smallest rectangle around the outline has a side on one
    /// of the outline's edges.
    fn along(axis: Vector, corners: &[Vector]) -> Self {
        let smallest = axis.iter().enumerate().min_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).map_or(0, |(k, _)| k);
        let mut across = [0.0; 3];
        across[smallest] = 1.0;
        let u = unit(cross(axis, across));
        let v = cross(axis, u);
        let outline = outline(corners.iter().map(|&p| [dot(p, u), dot(p, v)]).collect());
        let height = extent(corners.iter().map(|&p| dot(p, axis)));
        let boxes = (0..outline.len()).map(|k| {
            let (a, b) = (outline[k], outline[(k + 1) % outline.len()]);
            let length = (b[0] - a[0]).hypot(b[1] - a[1]);
            let [x, y] = if length > 0.0 { [(b[0] - a[0]) / length, (b[1] - a[1]) / length] } else { [1.0, 0.0] };
            let along = extent(outline.iter().map(|p| p[0] * x + p[1] * y));
            let away = extent(outline.iter().map(|p| p[1] * x - p[0] * y));
            let side: Vector = std::array::from_fn(|k| u[k] * x + v[k] * y);
            Self { axes: [axis, side, cross(axis, side)], sides_mm: [height, along, away] }
        });
        let flat = Self { axes: [axis, u, v], sides_mm: [height, 0.0, 0.0] };
        boxes.min_by(|a, b| a.volume_mm3().total_cmp(&b.volume_mm3())).unwrap_or(flat)
    }
}

/// Corners of the convex hull of points of a plane, in order.
fn outline(mut points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    points.sort_unstable_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    let turn = |a: [f64; 2], b: [f64; 2], c: [f64; 2]| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let chain = |points: &mut dyn Iterator<Item = &[f64; 2]>| {
        let mut corners: Vec<[f64; 2]> = Vec::new();
        for &point in points {
            while corners.len() > 1 && turn(corners[corners.len() - 2], corners[corners.len() - 1], point) <= 0.0 {
                corners.pop();
            }
            corners.push(point);
        }
        corners.pop();
        corners
    };
    let mut corners = chain(&mut points.iter());
    corners.extend(chain(&mut points.iter().rev()));
    corners
}

fn extent(values: impl Iterator<Item = f64>) -> f64 {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    high - low
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn unit(v: Vector) -> Vector {
    let length = dot(v, v).sqrt();
    v.map(|c| c / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roi::Roi;

    fn around(size: [usize; 3], spacing_mm: [f64; 3], inside: impl Fn(usize, usize) -> bool) -> OrientedBox {
        let [nx, ny, nz] = size;
        let inside = (0..nx * ny * nz).map(|i| inside(i % nx, i / nx % ny)).collect();
        OrientedBox::around(&Hull::of(&Roi { first: [0; 3], size, inside }), spacing_mm)
    }

    /// Opposite facets of an octahedron with half diagonals 1/2 are 1/√3 apart; the outline across them is a regular
    /// hexagon between two triangles, in a rectangle of √(2/3) x 1/√2.
    #[test]
    fn an_octahedron_lies_on_a_facet() {
        let found = around([1, 1, 1], [1.0; 3], |_, _| true);
        assert!((found.volume_mm3() - 1.0 / 3.0).abs() < 1e-12, "{found:?}");
    }

    /// A band of 41 voxels along the diagonal: about 57 long and 1 to 2 wide, where the box along the axes is 41 x 41.
    #[test]
    fn a_diagonal_band_lies_in_a_narrow_box() {
        let found = around([41, 41, 3], [1.0; 3], |x, y| x == y);
        let mut sides = found.sides_mm;
        sides.sort_by(f64::total_cmp);
        assert!(sides[0] < 1.0 && (sides[1] - 3.0).abs() < 1e-9 && (sides[2] - 57.3).abs() < 0.1, "{sides:?}");
        let anisotropic = around([41, 41, 3], [2.0, 2.0, 5.0], |x, y| x == y);
        assert!((anisotropic.volume_mm3() - 20.0 * found.volume_mm3()).abs() < 1e-6);
    }
}
