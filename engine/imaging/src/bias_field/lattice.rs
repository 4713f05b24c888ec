use std::ops::Range;

/// Control points of a uniform cubic B-spline over a box, x fastest. An axis of n points has n - 3 spans.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lattice {
    size: [usize; 3],
    points: Vec<f64>,
}

/// A lattice collapsed along z: `[y, x]`.
pub(super) struct Plane {
    width: usize,
    points: Vec<f64>,
}

/// Where the positions of one axis lie between its control points.
pub(super) struct Axis {
    places: Vec<Place>,
    /// Number of control points.
    pub(super) points: usize,
}

/// The four control points that reach a position, from `first` on, and their weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) first: usize,
    pub(super) weights: [f64; 4],
}

impl Axis {
    /// For the voxels `positions` of an axis of `length` voxels, whose first and last centre are the ends of the spans.
    pub(super) fn new(points: usize, length: usize, positions: impl Iterator<Item = usize>) -> Self {
        let spans = points - 3;
        let place = |position: usize| {
            let at = position as f64 / (length.max(2) - 1) as f64 * spans as f64;
            let first = (at as usize).min(spans - 1);
            Place { first, weights: weights(at - first as f64) }
        };
        Self { places: positions.map(place).collect(), points }
    }

    pub(super) fn at(&self, position: usize) -> Place {
        self.places[position]
    }
}

impl Place {
    /// The spline at this place of one line of control points.
    pub(super) fn value(&self, line: &[f64]) -> f64 {
        let line: &[f64; 4] = line[self.first..][..4].try_into().expect("four points");
        (self.weights[0] * line[0] + self.weights[1] * line[1])
            + (self.weights[2] * line[2] + self.weights[3] * line[3])
    }

    pub(super) fn reach(&self) -> Range<usize> {
        self.first..self.first + 4
    }

    /// `w²`: the weight of a sample in the sum of squares of each point.
    pub(super) fn squares(&self) -> [f64; 4] {
        self.weights.map(|w| w * w)
    }

    /// `w³ / Σ w²`: the weight of a sample's value in the solution of each point.
    pub(super) fn shares(&self) -> [f64; 4] {
        let sum: f64 = self.squares().iter().sum();
        self.weights.map(|w| w * w * w / sum)
    }
}

impl Lattice {
    pub(super) fn flat(size: [usize; 3]) -> Self {
        Self { size, points: vec![0.0; size.iter().product()] }
    }

    pub(super) fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Adds one value per control point.
    pub(super) fn add(&mut self, points: &[f64]) {
        self.points.iter_mut().zip(points).for_each(|(sum, point)| *sum += point);
    }

    /// The same spline with every span halved.
    pub(super) fn refined(&self) -> Self {
        let mut refined = self.clone();
        for axis in 0..3 {
            refined = refined.refined_along(axis);
        }
        refined
    }

    /// Of points `c`, the refined ones are `(c_i + c_{i+1}) / 2` and `(c_i + 6 c_{i+1} + c_{i+2}) / 8` in turn.
    fn refined_along(&self, axis: usize) -> Self {
        let mut size = self.size;
        size[axis] = 2 * size[axis] - 3;
        let stride: usize = self.size[..axis].iter().product();
        let lines: usize = self.size[axis + 1..].iter().product();
        let mut points = Vec::with_capacity(size.iter().product());
        for line in 0..lines {
            let point = |i: usize, s: usize| self.points[(line * self.size[axis] + i) * stride + s];
            for new in 0..size[axis] {
                let i = new / 2;
                points.extend((0..stride).map(|s| {
                    if new % 2 == 0 {
                        return (point(i, s) + point(i + 1, s)) / 2.0;
                    }
                    (point(i, s) + 6.0 * point(i + 1, s) + point(i + 2, s)) / 8.0
                }));
            }
        }
        Self { size, points }
    }

    pub(super) fn plane(&self, axis: &Axis, position: usize) -> Plane {
        let place = axis.at(position);
        let slice = self.size[0] * self.size[1];
        Plane { width: self.size[0], points: collapsed(&self.points, slice, place) }
    }
}

impl Plane {
    pub(super) fn row(&self, axis: &Axis, position: usize) -> Vec<f64> {
        collapsed(&self.points, self.width, axis.at(position))
    }
}

/// The spline along the slowest axis of `points`, whose faster axes hold `length` points.
fn collapsed(points: &[f64], length: usize, place: Place) -> Vec<f64> {
    let mut sum = vec![0.0; length];
    for (layer, weight) in place.reach().zip(place.weights) {
        sum.iter_mut().zip(&points[layer * length..][..length]).for_each(|(sum, point)| *sum += weight * point);
    }
    sum
}

/// The four cubic B-splines that reach `t` in 0..1.
fn weights(t: f64) -> [f64; 4] {
    let s = 1.0 - t;
    [
        s * s * s / 6.0,
        (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
        (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0,
        t * t * t / 6.0,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(lattice: &Lattice, length: usize, [i, j, k]: [usize; 3]) -> f64 {
        let axis = |a: usize| Axis::new(lattice.size()[a], length, 0..length);
        axis(0).at(i).value(&lattice.plane(&axis(2), k).row(&axis(1), j))
    }

    #[test]
    fn weights_sum_to_one_and_reach_the_ends() {
        for t in [0.0, 0.1, 0.5, 0.75, 1.0] {
            assert!((weights(t).iter().sum::<f64>() - 1.0).abs() < 1e-15);
        }
        let axis = Axis::new(5, 9, 0..9);
        assert_eq!((axis.at(0).first, axis.at(4).first, axis.at(8).first), (0, 1, 1));
        assert_eq!(axis.at(8).weights[0], 0.0);
    }

    #[test]
    fn halving_the_spans_keeps_the_spline() {
        let mut lattice = Lattice::flat([4, 5, 6]);
        lattice.add(&(0..120).map(|i| f64::from(i * 37 % 23)).collect::<Vec<_>>());
        let fine = lattice.refined();
        assert_eq!(fine.size(), [5, 7, 9]);
        for position in [[0, 0, 0], [10, 10, 10], [3, 7, 1], [5, 9, 8]] {
            let (coarse, fine) = (value(&lattice, 11, position), value(&fine, 11, position));
            assert!((coarse - fine).abs() < 1e-12, "{position:?}: {coarse} {fine}");
        }
    }
}
