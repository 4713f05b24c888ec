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
pub(crate) type Span = (u32, u32);
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
        let slices: Vec<Hull> = (0..nz).map(|z| Hull::of((0..ny).map(|y| cuts.along_x[z * ny + y]))).collect();
        let columns: Vec<Hull> = (0..ny).map(|y| Hull::of((0..nz).map(|z| cuts.along_x[z * ny + y]))).collect();
        let rows: Vec<Hull> = (0..nx).map(|x| Hull::of((0..nz).map(|z| cuts.along_y[x * nz + z]))).collect();
        let slice = largest_of(&slices, [half[1], half[0]]);
        let column = largest_of(&columns, [half[2], half[0]]);
        let row = largest_of(&rows, [half[2], half[1]]);
        // The ends of the largest distance are corners of the hull in each of the three planes through them.
        let column_corners = corner_marks(&columns, ny * nz, |y, z| z * ny + y);
        let row_corners = corner_marks(&rows, nx * nz, |x, z| x * nz + z);
        let is_corner = |&([x, y, z], end): &([u32; 3], u8)| {
            let (line, across) = (z as usize * ny + y as usize, x as usize * nz + z as usize);
            let (low, high) = cuts.along_y[across];
            let ends = (u8::from(y == low) * LOW) | (u8::from(y == high) * HIGH);
            column_corners[line] & end != 0 && row_corners[across] & ends != 0
        };
        let corners = (0..).zip(&slices).flat_map(|(z, hull): (u32, _)| {
            let ends = [(&hull.low, LOW), (&hull.high, HIGH)];
            ends.into_iter().flat_map(move |(chain, end)| chain.iter().map(move |&[y, x]| ([x, y, z], end)))
        });
        let points = corners.filter(is_corner).map(|(p, _)| std::array::from_fn(|a| f64::from(p[a]) * half[a]));
        let whole = diameter(points.collect(), slice.max(column).max(row));
        Self { whole_mm: whole.sqrt(), slice_mm: slice.sqrt(), column_mm: column.sqrt(), row_mm: row.sqrt() }
    }
}

const LOW: u8 = 1;
const HIGH: u8 = 2;

/// Which ends of the span of a line are corners, at the index that `at` gives for plane and line.
fn corner_marks(planes: &[Hull], lines: usize, at: impl Fn(usize, usize) -> usize) -> Vec<u8> {
    let mut marks = vec![0; lines];
    for (plane, hull) in planes.iter().enumerate() {
        hull.low.iter().for_each(|[line, _]| marks[at(plane, *line as usize)] |= LOW);
        hull.high.iter().for_each(|[line, _]| marks[at(plane, *line as usize)] |= HIGH);
    }
    marks
}

/// Corners of the convex hull of the ends of the spans of a plane, as (line, coordinate), by line: the ends of the
/// largest distance in the plane are among them.
pub(crate) struct Hull {
    low: Vec<[u32; 2]>,
    high: Vec<[u32; 2]>,
}

impl Hull {
    pub(crate) fn of(spans: impl Iterator<Item = Span>) -> Self {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for (line, span) in (0..).zip(spans).filter(|(_, span)| span.0 <= span.1) {
            extend(&mut low, [line, span.0], 1);
            extend(&mut high, [line, span.1], -1);
        }
        Self { low, high }
    }

    /// Largest squared distance between its points, each of the two coordinates times its `unit_mm`.
    pub(crate) fn diameter(&self, unit_mm: [f64; 2]) -> f64 {
        let mut largest = 0.0f64;
        let distance = |a: &[u32; 2], b: &[u32; 2], k: usize| (f64::from(a[k]) - f64::from(b[k])) * unit_mm[k];
        for (index, a) in self.corners().enumerate() {
            for b in self.corners().take(index) {
                largest = largest.max(distance(a, b, 0).powi(2) + distance(a, b, 1).powi(2));
            }
        }
        largest
    }

    fn corners(&self) -> impl Iterator<Item = &[u32; 2]> {
        self.low.iter().chain(&self.high)
    }

    /// Squared diagonal of the box around it.
    fn diagonal(&self, unit_mm: [f64; 2]) -> f64 {
        let side = |k: usize| {
            let span = self.corners().fold(EMPTY, |(low, high), corner| (low.min(corner[k]), high.max(corner[k])));
            f64::from(span.1.saturating_sub(span.0)) * unit_mm[k]
        };
        side(0).powi(2) + side(1).powi(2)
    }
}

/// Adds a point to a chain of corners that keeps turning the same way.
fn extend(chain: &mut Vec<[u32; 2]>, point: [u32; 2], turn: i64) {
    while let [.., a, b] = chain[..]
        && turn * cross(a, b, point) <= 0
    {
        chain.pop();
    }
    chain.push(point);
}

/// Largest squared distance within a plane; the planes with the longest diagonals are tried first.
fn largest_of(planes: &[Hull], unit_mm: [f64; 2]) -> f64 {
    let mut by_diagonal: Vec<(f64, &Hull)> = planes.iter().map(|hull| (hull.diagonal(unit_mm), hull)).collect();
    by_diagonal.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut largest = 0.0f64;
    for (diagonal, hull) in by_diagonal {
        // A hair of slack, so that rounding leaves out no plane.
        if diagonal * (1.0 + 1e-12) < largest {
            break;
        }
        largest = largest.max(hull.diameter(unit_mm));
    }
    largest
}

fn cross(a: [u32; 2], b: [u32; 2], c: [u32; 2]) -> i64 {
    let difference = |p: [u32; 2], k: usize| i64::from(p[k]) - i64::from(a[k]);
    difference(b, 0) * difference(c, 1) - difference(b, 1) * difference(c, 0)
}

/// Largest squared distance between points, or `at_least` when none is larger. Pairs are tried from the outermost point
/// inwards and left out when their distances from the centre cannot add up to the largest found.
fn diameter(points: Vec<[f64; 3]>, at_least: f64) -> f64 {
    let squared = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>();
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for point in &points {
        low = std::array::from_fn(|k| low[k].min(point[k]));
        high = std::array::from_fn(|k| high[k].max(point[k]));
    }
    let centre: [f64; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    let mut by_radius: Vec<(f64, [f64; 3])> = points.into_iter().map(|p| (squared(&p, &centre).sqrt(), p)).collect();
    by_radius.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut largest = at_least;
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
        assert_eq!(diameter(points.clone(), 0.0), every);
        assert_eq!(diameter(points, every), every);
    }

    #[test]
    fn a_hull_keeps_the_corners_of_a_square() {
        let hull = Hull::of([(2, 6), (3, 5), (2, 6)].into_iter());
        assert_eq!((hull.low, hull.high), (vec![[0, 2], [2, 2]], vec![[0, 6], [2, 6]]));
    }

    /// Voxels scattered over a box, among them lone ones, lines and lumps: the same as from every pair of cut edges.
    #[test]
    fn corners_of_three_planes_hold_the_diameters() {
        let size = [9usize, 7, 8];
        for seed in 1..40u64 {
            let inside = |[x, y, z]: [usize; 3]| {
                let within = (0..3).all(|a| (1..=size[a]).contains(&[x, y, z][a]));
                within && (((x * 31 + y * 17 + z * 7) as u64 * (2 * seed + 1) * 0x9E37_79B9) >> 20) % 23 < seed % 5 + 1
            };
            let (mut cuts, mut points) = (Cuts::new(size.map(|n| n + 2)), Vec::new());
            for cube in 0..(size[0] + 1) * (size[1] + 1) * (size[2] + 1) {
                let p = [
                    cube % (size[0] + 1),
                    cube / (size[0] + 1) % (size[1] + 1),
                    cube / ((size[0] + 1) * (size[1] + 1)),
                ];
                let corner = |c: usize| inside([p[0] + 1 - (c & 1), p[1] + (c >> 1 & 1), p[2] + (c >> 2 & 1)]);
                cuts.add((0..8).map(|c| u8::from(corner(c)) << c).sum(), p);
                let last = p.map(|i| i + 1);
                for axis in 0..3 {
                    let mut before = last;
                    before[axis] -= 1;
                    if inside(before) != inside(last) {
                        let middle: [usize; 3] = std::array::from_fn(|a| before[a] + last[a]);
                        points.push(middle.map(|i| i as f64 / 2.0));
                    }
                }
            }
            let spacing = [0.8, 1.0, 2.5];
            let largest = |equal: &[usize]| {
                let pairs = points.iter().flat_map(|a| points.iter().map(move |b| (a, b)));
                let pairs = pairs.filter(|(a, b)| equal.iter().all(|&axis| a[axis] == b[axis]));
                let squared = pairs.map(|(a, b)| (0..3).map(|k| ((a[k] - b[k]) * spacing[k]).powi(2)).sum::<f64>());
                squared.fold(0.0, f64::max).sqrt()
            };
            let found = Diameters::of(&cuts, spacing);
            let pairs = [
                (found.whole_mm, largest(&[])),
                (found.slice_mm, largest(&[2])),
                (found.column_mm, largest(&[1])),
                (found.row_mm, largest(&[0])),
            ];
            assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-12), "{seed}: {pairs:?}");
        }
    }
}
