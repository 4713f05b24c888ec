use crate::discretise::Discretised;
use crate::extent::Extent;
use crate::family::Named;
use crate::table::{NanReason, Outcome, or_nan};

/// Added inside every logarithm, PyRadiomics' guard against log 0.
pub(crate) const EPSILON: f64 = f64::EPSILON;

/// Alphabetical, as PyRadiomics reports them.
pub(crate) const NAMES: [Named; 18] = [
    ("10Percentile", Some("QG58")),
    ("90Percentile", Some("8DWT")),
    ("Energy", Some("N8CA")),
    ("Entropy", Some("TLU2")),
    ("InterquartileRange", Some("SALO")),
    ("Kurtosis", Some("IPH6")),
    ("Maximum", Some("84IY")),
    ("MeanAbsoluteDeviation", Some("4FUA")),
    ("Mean", Some("Q4LE")),
    ("Median", Some("Y12H")),
    ("Minimum", Some("1GSF")),
    ("Range", Some("2OJQ")),
    ("RobustMeanAbsoluteDeviation", Some("1128")),
    ("RootMeanSquared", Some("5ZWQ")),
    ("Skewness", Some("KE2A")),
    ("TotalEnergy", None),
    ("Uniformity", Some("BJ5W")),
    ("Variance", Some("ECT3")),
];

/// First-order statistics of a region's intensities.
///
/// Percentiles are linear between order statistics; moments are central and over N; kurtosis is not an excess; entropy
/// (base 2) and uniformity are of the discretised values.
pub(crate) struct FirstOrder {
    /// Distinct intensities without NaN, ascending, with the number of voxels that have them. An integer image has few.
    distinct: Vec<(f64, usize)>,
    /// Voxels up to and with each of `distinct`.
    cumulative: Vec<usize>,
    mean: f64,
    /// Mean of the second, third and fourth power of the difference from the mean.
    moments: [f64; 3],
    /// Sum of the squares of the shifted intensities.
    energy: f64,
    voxel_volume_mm3: f64,
    /// Share of the voxels at each occupied grey level.
    probabilities: Vec<f64>,
}

impl FirstOrder {
    pub(crate) fn of(values: &[f64], levels: &Discretised, shift: f64, voxel_volume_mm3: f64) -> Self {
        let distinct = distinct(values);
        let cumulative: Vec<usize> = distinct
            .iter()
            .scan(0, |sum, (_, count)| {
                *sum += count;
                Some(*sum)
            })
            .collect();
        let mean = mean(&distinct, |v| v);
        let voxels = values.len() as f64;
        let probabilities = levels.counts.iter().map(|&count| count as f64 / voxels).collect();
        let moments = [2, 3, 4].map(|order| self::mean(&distinct, |v| power(v - mean, order)));
        let energy = sum(&distinct, |v| (v + shift) * (v + shift));
        Self { distinct, cumulative, mean, moments, energy, voxel_volume_mm3, probabilities }
    }

    /// The value of one feature of [`NAMES`] or a deprecated one.
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        let last = self.voxels() - 1;
        let [variance, third, fourth] = self.moments;
        or_nan(
            match name {
                "10Percentile" => self.percentile(0.10),
                "90Percentile" => self.percentile(0.90),
                "Energy" => self.energy,
                "Entropy" => -self.probabilities.iter().map(|p| p * (p + EPSILON).log2()).sum::<f64>(),
                "InterquartileRange" => self.percentile(0.75) - self.percentile(0.25),
                "Kurtosis" => {
                    if variance == 0.0 {
                        0.0
                    } else {
                        fourth / (variance * variance)
                    }
                }
                "Maximum" => self.ordered(last),
                "MeanAbsoluteDeviation" => self.mean_distance_from(self.mean),
                "Mean" => self.mean,
                "Median" => (self.ordered(last / 2) + self.ordered(last.div_ceil(2))) / 2.0,
                "Minimum" => self.ordered(0),
                "Range" => self.ordered(last) - self.ordered(0),
                "RobustMeanAbsoluteDeviation" => return self.robust_mean_absolute_deviation(),
                "RootMeanSquared" => (self.energy / self.voxels() as f64).sqrt(),
                "Skewness" => {
                    if variance == 0.0 {
                        0.0
                    } else {
                        third / variance.powf(1.5)
                    }
                }
                "StandardDeviation" => variance.sqrt(),
                "TotalEnergy" => self.energy * self.voxel_volume_mm3,
                "Uniformity" => self.probabilities.iter().map(|p| p * p).sum(),
                "Variance" => variance,
                _ => return Err(NanReason::Undefined),
            },
            NanReason::Undefined,
        )
    }

    fn voxels(&self) -> usize {
        self.cumulative.last().copied().unwrap_or(0)
    }

    /// The intensity at a rank from 0.
    fn ordered(&self, rank: usize) -> f64 {
        self.distinct[self.cumulative.partition_point(|&sum| sum <= rank)].0
    }

    /// Mean absolute difference from `centre`.
    pub(crate) fn mean_distance_from(&self, centre: f64) -> f64 {
        mean(&self.distinct, |v| (v - centre).abs())
    }

    /// The value below which `share` of the voxels lie, linear between order statistics.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.voxels() - 1;
        let position = last as f64 * share;
        let below = position.floor() as usize;
        let (a, b, t) = (self.ordered(below), self.ordered((below + 1).min(last)), position - below as f64);
        // Both ends exact, as NumPy interpolates; the closed range of the robust deviation depends on it.
        if t >= 0.5 { b - (b - a) * (1.0 - t) } else { a + (b - a) * t }
    }

    fn robust_mean_absolute_deviation(&self) -> Outcome {
        let (low, high) = (self.percentile(0.10), self.percentile(0.90));
        let start = self.distinct.partition_point(|&(v, _)| v < low);
        let end = self.distinct.partition_point(|&(v, _)| v <= high);
        let middle = self.distinct.get(start..end).filter(|middle| !middle.is_empty());
        let middle = middle.ok_or(NanReason::NoVoxelBetweenPercentiles)?;
        let centre = mean(middle, |v| v);
        Ok(mean(middle, |v| (v - centre).abs()))
    }
}

/// Distinct values without NaN, ascending, with their counts. Whole numbers of a narrow range are counted, not sorted.
fn distinct(values: &[f64]) -> Vec<(f64, usize)> {
    let extent = Extent::of(values);
    if let Some(span) = extent.whole_numbers(values.len().max(1 << 12)) {
        let mut counts = vec![0; span];
        values.iter().for_each(|&v| counts[extent.index(v)] += 1);
        let counted = counts.into_iter().enumerate().filter(|(_, n)| *n > 0);
        return counted.map(|(k, n)| (extent.low + k as f64, n)).collect();
    }
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

fn power(value: f64, order: i32) -> f64 {
    let square = value * value;
    match order {
        2 => square,
        3 => square * value,
        _ => square * square,
    }
}

fn mean(distinct: &[(f64, usize)], term: impl Fn(f64) -> f64) -> f64 {
    sum(distinct, term) / distinct.iter().map(|(_, count)| count).sum::<usize>() as f64
}

/// Sum over blocks, whose rounding error grows with the square root of what a plain sum's does.
fn sum(distinct: &[(f64, usize)], term: impl Fn(f64) -> f64) -> f64 {
    distinct.chunks(256).map(|block| block.iter().map(|&(v, count)| term(v) * count as f64).sum::<f64>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discretise::Discretisation;
    use crate::prepare::Number;

    fn statistics(values: &[f64]) -> FirstOrder {
        let levels = Discretised::of(values, Discretisation::BinWidth(2.0), Number::Double).unwrap();
        FirstOrder::of(values, &levels, 1.0, 3.0)
    }

    /// Values 1, 2, 4, 9: mean 4, deviations -3 -2 0 5, variance 38/4, third moment 90/4, fourth 722/4; bins of width 2
    /// hold 1, 1, 1 and 1 voxels.
    #[test]
    fn four_voxels_by_hand() {
        let found = statistics(&[4.0, 1.0, 9.0, 2.0]);
        let rows = [
            ("Mean", 4.0),
            ("Median", 3.0),
            ("Minimum", 1.0),
            ("Maximum", 9.0),
            ("Range", 8.0),
            ("Variance", 9.5),
            ("StandardDeviation", 9.5f64.sqrt()),
            ("Skewness", 22.5 / 9.5f64.powf(1.5)),
            ("Kurtosis", 180.5 / 90.25),
            ("MeanAbsoluteDeviation", 2.5),
            ("Energy", 4.0 + 9.0 + 25.0 + 100.0),
            ("TotalEnergy", 3.0 * 138.0),
            ("RootMeanSquared", 34.5f64.sqrt()),
            ("10Percentile", 1.3),
            ("90Percentile", 7.5),
            ("InterquartileRange", 5.25 - 1.75),
            ("RobustMeanAbsoluteDeviation", 1.0),
            ("Entropy", 2.0),
            ("Uniformity", 0.25),
        ];
        for (name, expected) in rows {
            let value = found.feature(name).unwrap();
            assert!((value - expected).abs() < 1e-12, "{name}: {value} {expected}");
        }
    }

    #[test]
    fn a_flat_region_has_no_skewness_and_two_voxels_no_robust_deviation() {
        let flat = statistics(&[3.0; 5]);
        assert_eq!((flat.feature("Skewness"), flat.feature("Kurtosis")), (Ok(0.0), Ok(0.0)));
        let two = statistics(&[3.0, 4.0]);
        assert_eq!(two.feature("RobustMeanAbsoluteDeviation"), Err(NanReason::NoVoxelBetweenPercentiles));
    }
}
