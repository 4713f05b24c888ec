use crate::roi::Roi;

/// The convex hull of a region's mesh, in half voxels from the first corner of the region's box. All arithmetic is exact.
pub(super) struct Hull {
    /// Corners of the hull.
    pub(super) corners: Vec<[i64; 3]>,
    /// Triangles as positions in `corners`, anticlockwise from outside.
    pub(super) triangles: Vec<[usize; 3]>,
}

/// A triangle of the growing hull.
struct Facet {
    points: [usize; 3],
    /// Facets across the edges 0-1, 1-2, 2-0.
    neighbours: [usize; 3],
    normal: [i64; 3],
    offset: i64,
    /// Points beyond this facet and not yet of the hull.
    beyond: Vec<usize>,
    alive: bool,
}

impl Facet {
    fn new(points: [usize; 3], neighbours: [usize; 3], all: &[[i64; 3]]) -> Self {
        let [a, b, c] = points.map(|p| all[p]);
        let normal = cross(difference(b, a), difference(c, a));
        Self { points, neighbours, normal, offset: dot(normal, a), beyond: Vec::new(), alive: true }
    }

    /// Positive when `point` lies outside; proportional to the distance.
    fn height(&self, point: [i64; 3]) -> i64 {
        dot(self.normal, point) - self.offset
    }
}

impl Hull {
    /// The hull of the middles of the edges between voxels inside and outside, by quickhull (Barber 1996).
    ///
    /// A voxel adds its centre ± half a voxel along each axis, so that the hull is never flat; of a row of voxels only the
    /// first and the last can touch it.
    pub(super) fn of(region: &Roi) -> Self {
        let points = candidates(region);
        let mut facets = first_tetrahedron(&points);
        for index in 0..points.len() {
            assign(&mut facets, 0..4, index, &points);
        }
        let mut next = 0;
        while next < facets.len() {
            extend(&mut facets, next, &points);
            next += 1;
        }
        let mut kept: Vec<usize> = facets.iter().filter(|f| f.alive).flat_map(|f| f.points).collect();
        kept.sort_unstable();
        kept.dedup();
        let position = |point: usize| kept.binary_search(&point).unwrap_or_default();
        let triangles = facets.iter().filter(|f| f.alive).map(|f| f.points.map(position)).collect();
        Self { corners: kept.iter().map(|&point| points[point]).collect(), triangles }
    }

    /// Corners in mm.
    pub(super) fn corners_mm(&self, spacing_mm: [f64; 3]) -> Vec<[f64; 3]> {
        let half = spacing_mm.map(|s| 0.5 * s);
        self.corners.iter().map(|corner| std::array::from_fn(|a| corner[a] as f64 * half[a])).collect()
    }

    pub(super) fn volume_mm3(&self, spacing_mm: [f64; 3]) -> f64 {
        let six_fold: i128 = self
            .triangles
            .iter()
            .map(|triangle| {
                let [a, b, c] = triangle.map(|corner| self.corners[corner]);
                i128::from(dot(a, cross(b, c)))
            })
            .sum();
        six_fold as f64 / 48.0 * spacing_mm.iter().product::<f64>()
    }

    pub(super) fn area_mm2(&self, spacing_mm: [f64; 3]) -> f64 {
        let half = spacing_mm.map(|s| 0.5 * s);
        let area = |triangle: &[usize; 3]| {
            let [a, b, c] = triangle.map(|corner| self.corners[corner]);
            let [x, y, z] = cross(difference(b, a), difference(c, a)).map(|n| n as f64);
            let normal = [x * half[1] * half[2], y * half[2] * half[0], z * half[0] * half[1]];
            0.5 * normal.iter().map(|n| n * n).sum::<f64>().sqrt()
        };
        self.triangles.iter().map(area).sum()
    }

    /// Directions of the facets in half voxels, each once, opposite ones once.
    pub(super) fn normals(&self) -> Vec<[i64; 3]> {
        let mut normals: Vec<[i64; 3]> = self
            .triangles
            .iter()
            .map(|triangle| {
                let [a, b, c] = triangle.map(|corner| self.corners[corner]);
                let normal = cross(difference(b, a), difference(c, a));
                let divisor = normal.into_iter().fold(0, greatest_common_divisor);
                let sign = if normal.into_iter().find(|&n| n != 0).unwrap_or(1) < 0 { -1 } else { 1 };
                normal.map(|n| sign * n / divisor)
            })
            .collect();
        normals.sort_unstable();
        normals.dedup();
        normals
    }
}

fn candidates(region: &Roi) -> Vec<[i64; 3]> {
    let [nx, ny, _] = region.size;
    let mut points = Vec::new();
    for (row, inside) in region.inside.chunks_exact(nx).enumerate() {
        let Some(first) = inside.iter().position(|&inside| inside) else { continue };
        let last = inside.iter().rposition(|&inside| inside).unwrap_or(first);
        let centre = |x: usize| [2 * x as i64 + 1, 2 * (row % ny) as i64 + 1, 2 * (row / ny) as i64 + 1];
        for (x, outward) in [(first, -1), (last, 1)] {
            let [x, y, z] = centre(x);
            points.extend([[x + outward, y, z], [x, y - 1, z], [x, y + 1, z], [x, y, z - 1], [x, y, z + 1]]);
        }
    }
    points.sort_unstable();
    points.dedup();
    points
}

/// Four points that span a volume: the ends of the longest extent found and the points farthest from it.
fn first_tetrahedron(points: &[[i64; 3]]) -> Vec<Facet> {
    let (a, b) = (0, points.len() - 1);
    let farthest = |measure: &dyn Fn([i64; 3]) -> i128| {
        (0..points.len()).max_by_key(|&p| (measure(points[p]), std::cmp::Reverse(p))).unwrap_or_default()
    };
    let along = difference(points[b], points[a]);
    let c = farthest(&|p| {
        cross(difference(p, points[a]), along).iter().map(|&n| i128::from(n) * i128::from(n)).sum::<i128>()
    });
    let normal = cross(along, difference(points[c], points[a]));
    let height = |p: [i64; 3]| i128::from(dot(normal, difference(p, points[a])));
    let d = farthest(&|p| height(p).abs());
    let (b, c) = if height(points[d]) > 0 { (c, b) } else { (b, c) };
    // Facets across from d, a, b and c; edge k of a facet runs from its point k to the next.
    [([a, b, c], [3, 1, 2]), ([b, d, c], [3, 2, 0]), ([a, c, d], [0, 1, 3]), ([a, d, b], [2, 1, 0])]
        .map(|(corners, neighbours)| Facet::new(corners, neighbours, points))
        .into()
}

/// Gives `point` to the first of the facets that it lies beyond.
fn assign(facets: &mut [Facet], among: impl IntoIterator<Item = usize>, point: usize, points: &[[i64; 3]]) {
    let owner = among.into_iter().find(|&facet| facets[facet].height(points[point]) > 0);
    if let Some(facet) = owner {
        facets[facet].beyond.push(point);
    }
}

/// Takes the point farthest beyond `facet` into the hull; what lay beyond the facets it sees goes to new ones.
fn extend(facets: &mut Vec<Facet>, facet: usize, points: &[[i64; 3]]) {
    let height = |&point: &usize| (facets[facet].height(points[point]), std::cmp::Reverse(point));
    let Some(apex) = facets[facet].beyond.iter().copied().max_by_key(height) else { return };
    let (visible, horizon) = visible_from(facets, facet, points[apex]);
    let first_new = facets.len();
    let new = first_new..first_new + horizon.len();
    for (index, &(across, from, to)) in horizon.iter().enumerate() {
        // The horizon runs around the apex: the facet before ends, the one after starts, at this edge's points.
        let before = first_new + (index + horizon.len() - 1) % horizon.len();
        let after = first_new + (index + 1) % horizon.len();
        facets.push(Facet::new([from, to, apex], [across, after, before], points));
        let edge = (0..3).find(|&edge| facets[across].points[edge] == to).unwrap_or_default();
        facets[across].neighbours[edge] = first_new + index;
    }
    for gone in visible {
        facets[gone].alive = false;
        for point in std::mem::take(&mut facets[gone].beyond) {
            if point != apex {
                assign(facets, new.clone(), point, points);
            }
        }
    }
}

/// An edge of the horizon: the facet across it, its first and its second point.
type Horizon = Vec<(usize, usize, usize)>;

/// The facets that `apex` sees, and the edges around them in order.
fn visible_from(facets: &[Facet], start: usize, apex: [i64; 3]) -> (Vec<usize>, Horizon) {
    let mut visible = vec![start];
    let mut horizon = Vec::new();
    // Depth first, each facet's edges from the one after that it was entered by: so the horizon comes out in order.
    let mut stack = vec![(start, 0, 3)];
    while let Some((facet, edge, left)) = stack.pop() {
        if left == 0 {
            continue;
        }
        stack.push((facet, (edge + 1) % 3, left - 1));
        let across = facets[facet].neighbours[edge];
        let (from, to) = (facets[facet].points[edge], facets[facet].points[(edge + 1) % 3]);
        if facets[across].height(apex) <= 0 {
            horizon.push((across, from, to));
        } else if !visible.contains(&across) {
            visible.push(across);
            let entry = (0..3).find(|&e| facets[across].neighbours[e] == facet).unwrap_or_default();
            stack.push((across, (entry + 1) % 3, 2));
        }
    }
    (visible, horizon)
}

fn difference(a: [i64; 3], b: [i64; 3]) -> [i64; 3] {
    std::array::from_fn(|k| a[k] - b[k])
}

fn dot(a: [i64; 3], b: [i64; 3]) -> i64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cross(a: [i64; 3], b: [i64; 3]) -> [i64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hull(size: [usize; 3], inside: impl Fn([usize; 3]) -> bool) -> Hull {
        let [nx, ny, nz] = size;
        let voxels = (0..nx * ny * nz).map(|i| inside([i % nx, i / nx % ny, i / (nx * ny)]));
        Hull::of(&Roi { first: [0; 3], size, inside: voxels.collect() })
    }

    /// One voxel is an octahedron with half diagonals 1/2: volume 1/6, area √3, four directions of facets.
    #[test]
    fn one_voxel_is_an_octahedron() {
        let found = hull([1, 1, 1], |_| true);
        assert_eq!((found.corners.len(), found.triangles.len(), found.normals().len()), (6, 8, 4));
        assert!((found.volume_mm3([1.0; 3]) - 1.0 / 6.0).abs() < 1e-15);
        assert!((found.area_mm2([1.0; 3]) - 3f64.sqrt()).abs() < 1e-14);
    }

    #[test]
    fn a_hull_encloses_every_point_and_all_its_edges_are_shared() {
        let found = hull([17, 13, 9], |p| {
            let r: f64 = p.iter().zip([8.0, 6.0, 4.0]).map(|(&p, c)| ((p as f64 - c) / (c + 0.4)).powi(2)).sum();
            r < 1.0
        });
        let (corners, triangles) = (found.corners.len(), found.triangles.len());
        assert_eq!(triangles, 2 * corners - 4);
        for triangle in &found.triangles {
            let [a, b, c] = triangle.map(|corner| found.corners[corner]);
            let normal = cross(difference(b, a), difference(c, a));
            assert_ne!(normal, [0; 3]);
            assert!(found.corners.iter().all(|&p| dot(normal, difference(p, a)) <= 0));
        }
    }

    /// The octahedron's middle square, of diagonal 1, drawn out by 4, and half an octahedron at each end.
    #[test]
    fn islands_share_one_hull() {
        let found = hull([5, 1, 1], |[x, _, _]| x == 0 || x == 4);
        assert!((found.volume_mm3([1.0; 3]) - (4.0 * 0.5 + 1.0 / 6.0)).abs() < 1e-14);
        assert!((found.volume_mm3([2.0, 3.0, 5.0]) - 30.0 * (4.0 * 0.5 + 1.0 / 6.0)).abs() < 1e-12);
    }
}
