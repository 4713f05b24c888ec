use std::fmt;

/// Two outputs of one golden vector compared, in the output's unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// File of the vector in its bundle.
    pub vector: String,
    /// Voxels compared; 0 where the other version cannot take the vector.
    pub voxels: usize,
    /// Largest absolute difference; infinite where one output has a number and the other has none.
    pub largest: f64,
    /// Mean difference.
    pub mean: f64,
    /// Root of the mean squared difference.
    pub rms: f64,
    /// Voxels that differ by more than the tolerance.
    pub beyond: usize,
    /// Largest absolute difference allowed; `None` allows any.
    pub tolerance: Option<f64>,
}

/// Shows drifts as the lines of a table.
#[derive(Debug, Clone, Copy)]
pub struct DriftTable<'a>(pub &'a [Drift]);

/// Compares `found` with `expected` voxel by voxel; one of them being empty, nothing is compared.
pub(crate) fn compare(vector: &str, found: &[f32], expected: &[f32], tolerance: Option<f64>) -> Drift {
    let voxels = found.len().min(expected.len());
    let (mut largest, mut sum, mut squares, mut beyond) = (0.0_f64, 0.0, 0.0, 0);
    for (&a, &b) in found.iter().zip(expected) {
        let difference = if a.to_bits() == b.to_bits() { 0.0 } else { f64::from(a) - f64::from(b) };
        let distance = if difference.is_nan() { f64::INFINITY } else { difference.abs() };
        largest = largest.max(distance);
        sum += difference;
        squares += difference * difference;
        beyond += usize::from(tolerance.is_some_and(|tolerance| distance > tolerance));
    }
    let count = voxels.max(1) as f64;
    let (mean, rms) = (sum / count, (squares / count).sqrt());
    Drift { vector: vector.to_owned(), voxels, largest, mean, rms, beyond, tolerance }
}

impl Drift {
    /// True when no voxel differs by more than allowed.
    pub fn is_within(&self) -> bool {
        self.beyond == 0
    }

    /// The row in words.
    pub fn sentence(&self) -> String {
        let Self { vector, voxels, largest, mean, rms, beyond, tolerance } = self;
        let tolerance = tolerance.map_or_else(|| "any".to_owned(), |tolerance| tolerance.to_string());
        format!(
            "{vector}: {beyond} of {voxels} voxels beyond {tolerance}, largest difference {}, mean {}, RMS {}",
            short(*largest),
            short(*mean),
            short(*rms)
        )
    }
}

impl fmt::Display for DriftTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|drift| drift.vector.len()).max().unwrap_or(0).max("vector".len());
        let mut line = |cells: [&str; 7]| {
            let [vector, rest @ ..] = cells;
            write!(f, "{vector:width$}")?;
            rest.iter().try_for_each(|cell| write!(f, "  {cell:>10}"))?;
            writeln!(f)
        };
        line(["vector", "voxels", "largest", "mean", "RMS", "beyond", "tolerance"])?;
        self.0.iter().try_for_each(|drift| {
            let numbers = [drift.largest, drift.mean, drift.rms].map(short);
            let [largest, mean, rms] = numbers.each_ref().map(String::as_str);
            let tolerance = drift.tolerance.map_or_else(|| "any".to_owned(), short);
            line([&drift.vector, &drift.voxels.to_string(), largest, mean, rms, &drift.beyond.to_string(), &tolerance])
        })
    }
}

/// Four digits that matter.
fn short(value: f64) -> String {
    let exact = value.abs();
    if exact == 0.0 || (1e-3..1e5).contains(&exact) {
        let text = format!("{value:.4}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return text.to_owned();
    }
    format!("{value:.3e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_by_largest_mean_rms_and_count() {
        let drift = compare("a", &[1.0, 2.0, 3.0, 8.0], &[1.0, 3.0, 3.0, 5.0], Some(1.0));
        let expected = Drift {
            vector: "a".to_owned(),
            voxels: 4,
            largest: 3.0,
            mean: 0.5,
            rms: 2.5_f64.sqrt(),
            beyond: 1,
            tolerance: Some(1.0),
        };
        assert_eq!(drift, expected);
        let sentence = "a: 1 of 4 voxels beyond 1, largest difference 3, mean 0.5, RMS 1.5811";
        assert_eq!(drift.sentence(), sentence);
    }

    #[test]
    fn a_number_that_is_none_is_infinitely_far_unless_both_have_it() {
        let nan = f32::NAN;
        assert_eq!(compare("a", &[nan], &[nan], Some(0.0)).beyond, 0);
        let drift = compare("a", &[nan, 1.0], &[0.0, 1.0], Some(1e300));
        assert_eq!((drift.largest, drift.beyond), (f64::INFINITY, 1));
        assert_eq!(compare("a", &[f32::INFINITY], &[0.0], None).beyond, 0);
    }

    #[test]
    fn the_table_has_a_line_per_vector() {
        let rows = [compare("golden/slice.safetensors", &[1.0], &[1.25], Some(1e-4)), compare("b", &[1.0], &[], None)];
        let expected = "\
vector                        voxels     largest        mean         RMS      beyond   tolerance
golden/slice.safetensors           1        0.25       -0.25        0.25           1    1.000e-4
b                                  0           0           0           0           0         any
";
        assert_eq!(DriftTable(&rows).to_string(), expected);
    }
}
