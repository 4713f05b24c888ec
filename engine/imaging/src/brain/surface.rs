use std::collections::BTreeMap;

/// A closed surface of triangles, seen from outside counterclockwise.
pub(super) struct Surface {
    pub(super) points: Vec<[f64; 3]>,
    pub(super) triangles: Vec<[usize; 3]>,
    /// The neighbours of each point, in order around it.
    rings: Vec<Vec<usize>>,
}

impl Surface {
    /// A sphere: the icosahedron with each triangle cut in four, four times; 2562 points.
    pub(super) fn sphere(center: [f64; 3], radius: f64) -> Self {
        let (mut points, mut triangles) = icosahedron();
        for _ in 0..4 {
            triangles = cut_in_four(&mut points, &triangles);
        }
        let rings = rings(points.len(), &triangles);
        let points = points.into_iter().map(|p| std::array::from_fn(|a| center[a] + radius * p[a])).collect();
        Self { points, triangles, rings }
    }

    /// The outward unit normal at a point: the sum of the triangles' around it.
    pub(super) fn normal(&self, point: usize) -> [f64; 3] {
        let (here, ring) = (self.points[point], &self.rings[point]);
        let mut sum = [0.0; 3];
        for (index, &from) in ring.iter().enumerate() {
            let to = ring[(index + 1) % ring.len()];
            let normal = cross(minus(self.points[from], here), minus(self.points[to], here));
            (0..3).for_each(|a| sum[a] += normal[a]);
        }
        let length = dot(sum, sum).sqrt().max(f64::MIN_POSITIVE);
        sum.map(|x| x / length)
    }

    /// From a point to the mean of its neighbours.
    pub(super) fn to_neighbours(&self, point: usize) -> [f64; 3] {
        let (here, ring) = (self.points[point], &self.rings[point]);
        std::array::from_fn(|a| ring.iter().map(|&n| self.points[n][a]).sum::<f64>() / ring.len() as f64 - here[a])
    }

    /// The mean distance of neighbours.
    pub(super) fn mean_distance_mm(&self) -> f64 {
        let of = |point: usize| {
            let to =
                |&n: &usize| dot(minus(self.points[n], self.points[point]), minus(self.points[n], self.points[point]));
            self.rings[point].iter().map(|n| to(n).sqrt()).sum::<f64>() / self.rings[point].len() as f64
        };
        (0..self.points.len()).map(of).sum::<f64>() / self.points.len() as f64
    }

    /// The share of edges whose two triangles lie folded on each other: their normals more than 120 degrees apart.
    pub(super) fn folded_share(&self) -> f64 {
        let normals: Vec<[f64; 3]> = self.triangles.iter().map(|t| self.triangle_normal(*t)).collect();
        let mut owner = BTreeMap::new();
        for (index, &[a, b, c]) in self.triangles.iter().enumerate() {
            for edge in [[a, b], [b, c], [c, a]] {
                owner.insert(edge, index);
            }
        }
        let folded = |([a, b], here): &(&[usize; 2], &usize)| {
            owner.get(&[*b, *a]).is_some_and(|there| dot(normals[**here], normals[*there]) < -0.5)
        };
        owner.iter().filter(folded).count() as f64 / owner.len() as f64
    }

    fn triangle_normal(&self, [a, b, c]: [usize; 3]) -> [f64; 3] {
        let normal = cross(minus(self.points[b], self.points[a]), minus(self.points[c], self.points[a]));
        let length = dot(normal, normal).sqrt().max(f64::MIN_POSITIVE);
        normal.map(|x| x / length)
    }
}

fn icosahedron() -> (Vec<[f64; 3]>, Vec<[usize; 3]>) {
    let golden = (1.0 + 5f64.sqrt()) / 2.0;
    let mut points = Vec::new();
    for axis in 0..3 {
        for (first, second) in [(-1.0, -golden), (1.0, -golden), (-1.0, golden), (1.0, golden)] {
            let mut point = [0.0; 3];
            point[(axis + 1) % 3] = first;
            point[(axis + 2) % 3] = second;
            points.push(unit(point));
        }
    }
    let near = |a: usize, b: usize| dot(minus(points[a], points[b]), minus(points[a], points[b])) < 1.2;
    let mut triangles = Vec::new();
    for a in 0..12 {
        for b in a + 1..12 {
            for c in b + 1..12 {
                if near(a, b) && near(b, c) && near(a, c) {
                    let outward = dot(points[a], cross(minus(points[b], points[a]), minus(points[c], points[a]))) > 0.0;
                    triangles.push(if outward { [a, b, c] } else { [a, c, b] });
                }
            }
        }
    }
    (points, triangles)
}

fn cut_in_four(points: &mut Vec<[f64; 3]>, triangles: &[[usize; 3]]) -> Vec<[usize; 3]> {
    let mut middles = BTreeMap::new();
    let mut middle = |a: usize, b: usize| {
        *middles.entry([a.min(b), a.max(b)]).or_insert_with(|| {
            let (p, q) = (points[a], points[b]);
            points.push(unit(std::array::from_fn(|axis| p[axis] + q[axis])));
            points.len() - 1
        })
    };
    let mut cut = Vec::with_capacity(4 * triangles.len());
    for &[a, b, c] in triangles {
        let (ab, bc, ca) = (middle(a, b), middle(b, c), middle(c, a));
        cut.extend([[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]);
    }
    cut
}

/// The neighbours of each point, so that each and the next form a triangle with it.
fn rings(points: usize, triangles: &[[usize; 3]]) -> Vec<Vec<usize>> {
    let mut next = vec![BTreeMap::new(); points];
    for &[a, b, c] in triangles {
        next[a].insert(b, c);
        next[b].insert(c, a);
        next[c].insert(a, b);
    }
    let ring = |next: BTreeMap<usize, usize>| {
        let mut ring: Vec<usize> = next.keys().take(1).copied().collect();
        while ring.len() < next.len() {
            ring.push(next[&ring[ring.len() - 1]]);
        }
        ring
    };
    next.into_iter().map(ring).collect()
}

fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = dot(v, v).sqrt();
    v.map(|x| x / length)
}

fn minus(p: [f64; 3], q: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|a| p[a] - q[a])
}

fn cross(p: [f64; 3], q: [f64; 3]) -> [f64; 3] {
    [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
}

pub(super) fn dot(p: [f64; 3], q: [f64; 3]) -> f64 {
    p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sphere_of_2562_points_looks_outward_and_does_not_cross_itself() {
        let mut surface = Surface::sphere([1.0, 2.0, 3.0], 10.0);
        assert_eq!((surface.points.len(), surface.triangles.len()), (2562, 5120));
        for point in [0, 100, 2561] {
            let outward = minus(surface.points[point], [1.0, 2.0, 3.0]).map(|x| x / 10.0);
            assert!(dot(surface.normal(point), outward) > 0.999);
            assert!(dot(surface.to_neighbours(point), outward) < 0.0);
        }
        assert_eq!(surface.folded_share(), 0.0);
        // A point drawn along the surface past its neighbour folds the edges around it.
        let neighbour = surface.points[surface.rings[5][0]];
        surface.points[5] = std::array::from_fn(|a| 2.5 * neighbour[a] - 1.5 * surface.points[5][a]);
        let found = surface.folded_share();
        assert!(found > 0.0 && found < 0.01, "{found}");
    }
}
