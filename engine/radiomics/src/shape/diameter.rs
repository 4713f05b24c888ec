/// Largest distances between points of the surface, mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Diameters {
    pub(super) whole_mm: f64,
    /// Between points of equal z.
    pub(super) slice_mm: f64,
    /// Between points of equal y.
    pub(super) column_mm: f64,
    /// Between points of equal x.
    pub(super) row_mm: f64,
}

/// First and last coordinate of the points on a line; empty when the first is beyond the last.
type Span = (u32, u32);
const EMPTY: Span = (u32::MAX, 0);

/// The middles of the voxel edges that the surface cuts, in half voxels. Of the points on a line along one axis only the
/// outermost two can end a diameter, so only these are kept.
pub(super) struct Cuts {
    /// Half-voxel positions along x, y, z.
    size: [usize; 3],
    /// Along x, for every z and y.
    along_x: Vec<Span>,
    /// Along y, for every x and z.
    along_y: Vec<Span>,
}

impl Cuts {
    /// No points yet, in a box of `size` voxels.
    pub(super) fn new(size: [usize; 3]) -> Self {
        let size = size.map(|n| 2 * n);
        Self { size, along_x: vec![EMPTY; size[2] * size[1]], along_y: vec![EMPTY; size[0] * size[2]] }
    }

    /// Adds the cut edges that end in the corner (0, 1, 1) of the cube at `position`; every edge of a padded region ends
    /// in that corner of just one cube.
    pub(super) fn add(&mut self, code: u8, [x, y, z]: [usize; 3]) {
        let differs = |corner: u32| (code >> 7 ^ code >> corner) & 1 == 1;
        if differs(6) {
            self.point([2 * x + 1, 2 * y + 2, 2 * z + 2]);
        }
        if differs(5) {
            self.point([2 * x, 2 * y + 1, 2 * z + 2]);
        }
        if differs(3) {
            self.point([2 * x, 2 * y + 2, 2 * z + 1]);
        }
    }

    fn point(&mut self, [x, y, z]: [usize; 3]) {
        let span = &mut self.along_x[z * self.size[1] + y];
        *span = (span.0.min(x as u32), span.1.max(x as u32));
        let span = &mut self.along_y[x * self.size[2] + z];
        *span = (span.0.min(y as u32), span.1.max(y as u32));
    }
}

impl Diameters {
    pub(super) fn of(cuts: &Cuts, spacing_mm: [f64; 3]) -> Self {
        let half = spacing_mm.map(|s| s / 2.0);
        let [nx, ny, nz] = cuts.size;
        let slices: Vec<Vec<[u32; 2]>> = (0..nz).map(|z| hull((0..ny).map(|y| cuts.along_x[z * ny + y]))).collect();
        let columns = (0..ny).map(|y| hull((0..nz).map(|z| cuts.along_x[z * ny + y])));
        let rows = (0..nx).map(|x| hull((0..nz).map(|z| cuts.along_y[x * nz + z])));
        let slice = slices.iter().map(|points| flat_diameter(points, [half[1], half[0]])).fold(0.0, f64::max);
        let column = columns.map(|points| flat_diameter(&points, [half[2], half[0]])).fold(0.0, f64::max);
        let row = rows.map(|points| flat_diameter(&points, [half[2], half[1]])).fold(0.0, f64::max);
        let points: Vec<[f64; 3]> = slices
            .iter()
            .enumerate()
            .flat_map(|(z, points)| points.iter().map(move |[y, x]| [*x, *y, z as u32]))
            .map(|p| std::array::from_fn(|a| f64::from(p[a]) * half[a]))
            .collect();
        Self { whole_mm: diameter(points).sqrt(), slice_mm: slice.sqrt(), column_mm: column.sqrt(), row_mm: row.sqrt() }
    }
}

/// Corners of the convex hull of the ends of the spans, as (line, coordinate): the ends of a diameter are among them.
fn hull(spans: impl DoubleEndedIterator<Item = Span> + ExactSizeIterator) -> Vec<[u32; 2]> {
    let lines: Vec<(u32, Span)> = (0..).zip(spans).filter(|(_, span)| span.0 <= span.1).collect();
    let chain = |points: &mut dyn Iterator<Item = [u32; 2]>, turn: i64| {
        let mut corners: Vec<[u32; 2]> = Vec::new();
        for point in points {
            while corners.len() > 1 && turn * cross(corners[corners.len() - 2], corners[corners.len() - 1], point) <= 0
            {
                corners.pop();
            }
            corners.push(point);
        }
        corners
    };
    let mut corners = chain(&mut lines.iter().map(|(line, span)| [*line, span.0]), 1);
    corners.extend(chain(&mut lines.iter().map(|(line, span)| [*line, span.1]), -1));
    corners
}

fn cross(a: [u32; 2], b: [u32; 2], c: [u32; 2]) -> i64 {
    let difference = |p: [u32; 2], k: usize| i64::from(p[k]) - i64::from(a[k]);
    difference(b, 0) * difference(c, 1) - difference(b, 1) * difference(c, 0)
}

/// Largest squared distance between points of a plane.
fn flat_diameter(points: &[[u32; 2]], half_mm: [f64; 2]) -> f64 {
    let mut largest = 0.0f64;
    for (index, a) in points.iter().enumerate() {
        for b in &points[..index] {
            let distance = |k: usize| (f64::from(a[k]) - f64::from(b[k])) * half_mm[k];
            largest = largest.max(distance(0).powi(2) + distance(1).powi(2));
        }
    }
    largest
}

/// Largest squared distance between points. Pairs are tried from the outermost point inwards and left out when their
/// distances from the centre cannot add up to the largest found.
fn diameter(points: Vec<[f64; 3]>) -> f64 {
    let squared = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>();
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for point in &points {
        low = std::array::from_fn(|k| low[k].min(point[k]));
        high = std::array::from_fn(|k| high[k].max(point[k]));
    }
    let centre: [f64; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    let mut by_radius: Vec<(f64, [f64; 3])> = points.into_iter().map(|p| (squared(&p, &centre).sqrt(), p)).collect();
    by_radius.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut largest = 0.0f64;
    for (index, (radius, a)) in by_radius.iter().enumerate() {
        // A hair of slack, so that rounding leaves out no pair.
        let reach = largest.sqrt() * (1.0 - 1e-12) - radius;
        if by_radius[0].0 < reach {
            break;
        }
        let candidates = by_radius[..index].iter().take_while(|(other, _)| *other >= reach);
        largest = candidates.fold(largest, |largest, (_, b)| largest.max(squared(a, b)));
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_finds_the_same_diameter_as_every_pair() {
        let points: Vec<[f64; 3]> =
            (0..300u32).map(|i| [17, 29, 41].map(|m| f64::from(i * i % (m * 7) * 13 % 101))).collect();
        let every = points
            .iter()
            .flat_map(|a| points.iter().map(move |b| (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>()))
            .fold(0.0, f64::max);
        assert_eq!(diameter(points), every);
    }

    #[test]
    fn a_hull_keeps_the_corners_of_a_square() {
        let corners = hull([(2, 6), (3, 5), (2, 6)].into_iter());
        assert_eq!(corners, [[0, 2], [2, 2], [0, 6], [2, 6]]);
    }
}
