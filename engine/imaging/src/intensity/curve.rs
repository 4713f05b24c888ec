use crate::intensity::each;
use crate::{Error, Unit, Volume};

/// A piecewise linear, never falling change of intensity through knots, and its inverse.
///
/// With knots `(x_0, y_0) ... (x_n, y_n)`, `x_j <= x < x_{j+1}` becomes
/// `y_j + (x - x_j) (y_{j+1} - y_j) / (x_{j+1} - x_j)`. Below `x_0` and above `x_n` the first and the last piece go on.
/// Where knots share an `x`, the last of them holds; a piece without width has slope 0, so it goes on as a constant.
///
/// ```
/// use isoscan_imaging::IntensityCurve;
/// let curve = IntensityCurve::new(vec![0.0, 10.0, 20.0], vec![0.0, 50.0, 60.0])?;
/// assert_eq!([-1.0, 5.0, 10.0, 15.0, 30.0].map(|x| curve.at(x)), [-5.0, 25.0, 50.0, 55.0, 70.0]);
/// assert_eq!(curve.inverse()?.at(55.0), 15.0);
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Knots", into = "Knots")]
pub struct IntensityCurve {
    knots: Knots,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Knots {
    from: Vec<f64>,
    to: Vec<f64>,
}

/// `y + (x - from) · slope`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    from: f64,
    to: f64,
    slope: f64,
}

impl IntensityCurve {
    /// The curve through the knots `(from[j], to[j])`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are two knots or more, as many `from` as `to`, all finite and none below
    /// the one before; [`Error::FlatIntensities`] when all `from` are the same.
    pub fn new(from: Vec<f64>, to: Vec<f64>) -> Result<Self, Error> {
        let rises = |values: &[f64]| values.iter().all(|v| v.is_finite()) && values.is_sorted();
        if from.len() != to.len() || from.len() < 2 || !rises(&from) || !rises(&to) {
            return Err(Error::InvalidArgument {
                name: "intensity curve",
                expected: "two or more knots of finite, never falling intensities",
                found: format!("{from:?} to {to:?}"),
            });
        }
        if from[0] == from[from.len() - 1] {
            return Err(Error::FlatIntensities { value: from[0] as f32 });
        }
        let slope = |j: usize| {
            let slope = (to[j + 1] - to[j]) / (from[j + 1] - from[j]);
            if slope.is_finite() { slope } else { 0.0 }
        };
        let last = from.len() - 1;
        let mut pieces = vec![Piece { from: from[0], to: to[0], slope: slope(0) }];
        pieces.extend((0..=last).map(|j| Piece { from: from[j], to: to[j], slope: slope(j.min(last - 1)) }));
        Ok(Self { knots: Knots { from, to }, pieces })
    }

    /// Intensities of the knots before the change.
    pub fn from(&self) -> &[f64] {
        &self.knots.from
    }

    /// Intensities of the knots after the change.
    pub fn to(&self) -> &[f64] {
        &self.knots.to
    }

    /// The changed value of `x`.
    pub fn at(&self, x: f64) -> f64 {
        let piece = self.pieces[self.knots.from.partition_point(|knot| *knot <= x)];
        piece.to + (x - piece.from) * piece.slope
    }

    /// The curve that takes the change back, exactly (up to rounding) wherever this one rises; where it is level many
    /// intensities became one, which gives the highest of them.
    ///
    /// # Errors
    /// [`Error::FlatIntensities`] when this curve is level everywhere.
    pub fn inverse(&self) -> Result<Self, Error> {
        Self::new(self.knots.to.clone(), self.knots.from.clone())
    }

    /// Changes every voxel, in f64 rounded once to f32; the unit becomes `unit`. NaN stays NaN.
    pub fn apply(&self, volume: &Volume, unit: Unit) -> Volume {
        let find = Finder::new(&self.knots.from);
        let changed = each(volume, |x| {
            let x = f64::from(x);
            let piece = self.pieces[find.knots_up_to(x)];
            (piece.to + (x - piece.from) * piece.slope) as f32
        });
        changed.with_meaning(volume.modality(), unit)
    }
}

impl TryFrom<Knots> for IntensityCurve {
    type Error = Error;

    fn try_from(knots: Knots) -> Result<Self, Error> {
        Self::new(knots.from, knots.to)
    }
}

impl From<IntensityCurve> for Knots {
    fn from(curve: IntensityCurve) -> Self {
        curve.knots
    }
}

/// Counts the knots that are not above an intensity, by a table over equal steps of their range.
struct Finder<'a> {
    knots: &'a [f64],
    steps_per_unit: f64,
    first: Vec<u32>,
}

impl<'a> Finder<'a> {
    const STEPS: usize = 4096;

    fn new(knots: &'a [f64]) -> Self {
        let (low, high) = (knots[0], knots[knots.len() - 1]);
        let steps_per_unit = (Self::STEPS as f64 / (high - low)).min(f64::MAX);
        let mut finder = Self { knots, steps_per_unit, first: vec![0; Self::STEPS] };
        // A knot counts as passed only from the step behind its own.
        for knot in knots {
            let step = finder.step(*knot);
            finder.first[(step + 1).min(Self::STEPS)..].iter_mut().for_each(|first| *first += 1);
        }
        finder
    }

    fn step(&self, x: f64) -> usize {
        (((x - self.knots[0]) * self.steps_per_unit) as u32 as usize).min(Self::STEPS - 1)
    }

    fn knots_up_to(&self, x: f64) -> usize {
        let mut count = self.first[self.step(x)] as usize;
        while count < self.knots.len() && self.knots[count] <= x {
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{Geometry, Modality};

    #[test]
    fn the_table_finds_the_piece_of_the_search() {
        let from = vec![-3.0, -3.0, 0.1, 0.100_000_1, 2.0, 2.0, 70.0];
        let to = vec![0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        let curve = IntensityCurve::new(from, to).unwrap();
        let mut values = (-4000..80_000).map(|i| i as f32 * 1e-3).collect::<Vec<_>>();
        values.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX]);
        let geometry = Geometry::axis_aligned([values.len(), 1, 1], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_vec((1, 1, values.len()), values).unwrap();
        let volume = Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap();
        let found = curve.apply(&volume, Unit::Normalized);
        for (x, found) in volume.as_slice().iter().zip(found.as_slice()) {
            let expected = curve.at(f64::from(*x)) as f32;
            assert!(*found == expected || found.is_nan() && expected.is_nan(), "{x}: {found} {expected}");
        }
    }

    #[test]
    fn curves_that_fall_or_stand_still_are_refused() {
        let rows: [(&[f64], &[f64]); 5] = [
            (&[0.0], &[0.0]),
            (&[0.0, 1.0], &[0.0]),
            (&[0.0, -1.0], &[0.0, 1.0]),
            (&[0.0, 1.0], &[1.0, 0.0]),
            (&[0.0, f64::NAN], &[0.0, 1.0]),
        ];
        for (from, to) in rows {
            let found = IntensityCurve::new(from.to_vec(), to.to_vec());
            assert!(matches!(found, Err(Error::InvalidArgument { .. })), "{from:?} {to:?}");
        }
        let flat = IntensityCurve::new(vec![2.0, 2.0], vec![0.0, 1.0]);
        assert_eq!(flat, Err(Error::FlatIntensities { value: 2.0 }));
    }

    #[test]
    fn a_rising_curve_is_taken_back() {
        let curve = IntensityCurve::new(vec![0.0, 1.0, 4.0], vec![-2.0, 3.0, 3.5]).unwrap();
        let back = curve.inverse().unwrap();
        for x in [-7.0, 0.0, 0.3, 1.0, 2.0, 4.0, 11.0] {
            assert!((back.at(curve.at(x)) - x).abs() < 1e-12, "{x}");
        }
    }
}
