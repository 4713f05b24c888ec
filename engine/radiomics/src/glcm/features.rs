use super::NAMES;
use super::maximal_correlation::maximal_correlation;
use crate::first_order::EPSILON;

/// A joint probability p(i, j) of occupied grey levels with its marginals.
pub(crate) struct Joint<'a> {
    p: Vec<f64>,
    grey: &'a [f64],
    px: Vec<f64>,
    py: Vec<f64>,
    /// Position and probability of every cell that is not 0.
    cells: Vec<(usize, usize, f64)>,
    /// Whether p(i, j) is p(j, i).
    symmetrical: bool,
}

impl<'a> Joint<'a> {
    /// Normalises pair counts (row by row over `grey`), after adding the transposed ones when `symmetrical`; `None` when
    /// there is no pair.
    pub(crate) fn of(pairs: &[f64], grey: &'a [f64], symmetrical: bool) -> Option<Self> {
        let side = grey.len();
        let total: f64 = pairs.iter().sum::<f64>() * if symmetrical { 2.0 } else { 1.0 };
        if total == 0.0 {
            return None;
        }
        let mut p = pairs.to_vec();
        if symmetrical {
            for (i, row) in p.chunks_exact_mut(side).enumerate() {
                row.iter_mut().zip(pairs[i..].iter().step_by(side)).for_each(|(p, transposed)| *p += transposed);
            }
        }
        p.iter_mut().for_each(|p| *p /= total);
        let px = p.chunks_exact(side).map(|row| row.iter().sum()).collect();
        let mut py = vec![0.0; side];
        for row in p.chunks_exact(side) {
            py.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
        }
        let cells = p
            .chunks_exact(side)
            .enumerate()
            .flat_map(|(i, row)| row.iter().enumerate().filter(|(_, p)| **p != 0.0).map(move |(j, &p)| (i, j, p)));
        let cells = cells.collect();
        Some(Self { p, grey, px, py, cells, symmetrical })
    }

    /// The features but MCC. `levels` is the number of grey levels, Ng of the formulas; `epsilon` is added inside each
    /// logarithm and to the denominator of the correlation (PyRadiomics' guard; 0 for IBSI).
    pub(crate) fn contents(&self, levels: u32, epsilon: f64) -> Contents {
        let distributions = Distributions::of(self);
        let moments = Moments::of(self);
        let information = Information::of(self, epsilon);
        let ng = f64::from(levels);
        let by_difference = |weight: &dyn Fn(f64) -> f64| -> f64 {
            let nonzero = distributions.difference.iter().enumerate().filter(|(_, p)| **p > 0.0);
            nonzero.map(|(k, p)| p * weight(k as f64)).sum()
        };
        let difference_average = by_difference(&|k| k);
        Contents {
            autocorrelation: moments.autocorrelation,
            cluster_tendency: moments.cluster[0],
            cluster_shade: moments.cluster[1],
            cluster_prominence: moments.cluster[2],
            contrast: by_difference(&|k| k * k),
            correlation: moments.correlation(epsilon),
            difference_average,
            difference_entropy: entropy(&distributions.difference, epsilon),
            difference_variance: by_difference(&|k| (k - difference_average).powi(2)),
            inverse_difference: by_difference(&|k| 1.0 / (1.0 + k)),
            inverse_difference_moment: by_difference(&|k| 1.0 / (1.0 + k * k)),
            inverse_difference_normalised: by_difference(&|k| 1.0 / (1.0 + k / ng)),
            inverse_difference_moment_normalised: by_difference(&|k| 1.0 / (1.0 + k * k / (ng * ng))),
            first_information: information.first(),
            second_information: information.second(),
            inverse_variance: by_difference(&|k| if k == 0.0 { 0.0 } else { 1.0 / (k * k) }),
            joint_average: moments.mean_x,
            joint_variance: moments.variance_x,
            joint_energy: self.p.iter().map(|p| p * p).sum(),
            joint_entropy: information.joint,
            joint_maximum: self.p.iter().copied().fold(0.0, f64::max),
            sum_average: distributions.sum.iter().enumerate().map(|(k, p)| k as f64 * p).sum(),
            sum_entropy: entropy(&distributions.sum, epsilon),
        }
    }

    /// The features of PyRadiomics in the order of [`NAMES`]. `highest` is the highest occupied grey level.
    pub(super) fn features(&self, highest: u32) -> [f64; NAMES.len()] {
        let contents = self.contents(highest, EPSILON);
        [
            contents.autocorrelation,
            contents.cluster_prominence,
            contents.cluster_shade,
            contents.cluster_tendency,
            contents.contrast,
            contents.correlation,
            contents.difference_average,
            contents.difference_entropy,
            contents.difference_variance,
            contents.inverse_difference,
            contents.inverse_difference_moment,
            contents.inverse_difference_moment_normalised,
            contents.inverse_difference_normalised,
            contents.first_information,
            contents.second_information,
            contents.inverse_variance,
            contents.joint_average,
            contents.joint_energy,
            contents.joint_entropy,
            maximal_correlation(&self.p, &self.px, &self.py),
            contents.joint_maximum,
            contents.sum_average,
            contents.sum_entropy,
            contents.joint_variance,
        ]
    }
}

/// What a co-occurrence matrix says in one number each, by the names of the IBSI reference manual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Contents {
    pub(crate) autocorrelation: f64,
    pub(crate) cluster_tendency: f64,
    pub(crate) cluster_shade: f64,
    pub(crate) cluster_prominence: f64,
    pub(crate) contrast: f64,
    pub(crate) correlation: f64,
    pub(crate) difference_average: f64,
    pub(crate) difference_entropy: f64,
    pub(crate) difference_variance: f64,
    pub(crate) inverse_difference: f64,
    pub(crate) inverse_difference_moment: f64,
    pub(crate) inverse_difference_normalised: f64,
    pub(crate) inverse_difference_moment_normalised: f64,
    pub(crate) first_information: f64,
    pub(crate) second_information: f64,
    pub(crate) inverse_variance: f64,
    pub(crate) joint_average: f64,
    pub(crate) joint_variance: f64,
    pub(crate) joint_energy: f64,
    pub(crate) joint_entropy: f64,
    pub(crate) joint_maximum: f64,
    pub(crate) sum_average: f64,
    pub(crate) sum_entropy: f64,
}

/// `p_{x+y}(k)` at index k, and `p_{x-y}(k)` at index k.
struct Distributions {
    sum: Vec<f64>,
    difference: Vec<f64>,
}

impl Distributions {
    fn of(joint: &Joint) -> Self {
        let highest = joint.grey.last().copied().unwrap_or(0.0);
        let mut sum = vec![0.0; 2 * highest as usize + 1];
        let mut difference = vec![0.0; highest as usize];
        for &(i, j, p) in &joint.cells {
            let (i, j) = (joint.grey[i] as usize, joint.grey[j] as usize);
            sum[i + j] += p;
            difference[i.abs_diff(j)] += p;
        }
        Self { sum, difference }
    }
}

fn entropy(p: &[f64], epsilon: f64) -> f64 {
    -p.iter().filter(|p| **p > 0.0).map(|p| p * (p + epsilon).log2()).sum::<f64>()
}

struct Moments {
    mean_x: f64,
    variance_x: f64,
    variance_y: f64,
    covariance: f64,
    autocorrelation: f64,
    /// Σ (i + j - μx - μy)^k p for k = 2, 3, 4.
    cluster: [f64; 3],
}

impl Moments {
    fn of(joint: &Joint) -> Self {
        let mean = |p: &[f64]| -> f64 { p.iter().zip(joint.grey).map(|(p, g)| p * g).sum() };
        let (mean_x, mean_y) = (mean(&joint.px), mean(&joint.py));
        let variance =
            |p: &[f64], mean: f64| -> f64 { p.iter().zip(joint.grey).map(|(p, g)| p * (g - mean).powi(2)).sum() };
        let (mut covariance, mut autocorrelation, mut cluster) = (0.0, 0.0, [0.0; 3]);
        for &(i, j, p) in &joint.cells {
            let (i, j) = (joint.grey[i], joint.grey[j]);
            covariance += p * (i - mean_x) * (j - mean_y);
            autocorrelation += p * i * j;
            let deviation = i + j - mean_x - mean_y;
            let mut power = deviation;
            for sum in &mut cluster {
                power *= deviation;
                *sum += p * power;
            }
        }
        Self {
            mean_x,
            variance_x: variance(&joint.px, mean_x),
            variance_y: variance(&joint.py, mean_y),
            covariance,
            autocorrelation,
            cluster,
        }
    }

    /// 1 when a marginal does not vary.
    fn correlation(&self, epsilon: f64) -> f64 {
        let deviations = self.variance_x.sqrt() * self.variance_y.sqrt();
        if deviations == 0.0 { 1.0 } else { self.covariance / (deviations + epsilon) }
    }
}

/// Entropies of the joint distribution and of its marginals.
struct Information {
    x: f64,
    y: f64,
    joint: f64,
    /// -Σ p(i,j) log₂ px(i)py(j).
    cross: f64,
    /// -Σ px(i)py(j) log₂ px(i)py(j).
    independent: f64,
}

impl Information {
    fn of(joint: &Joint, epsilon: f64) -> Self {
        let side = joint.grey.len();
        let (mut cross, mut independent, mut own) = (0.0, 0.0, 0.0);
        for (i, row) in joint.p.chunks_exact(side).enumerate() {
            // The other half of a symmetrical matrix adds the same again.
            let first = if joint.symmetrical { i } else { 0 };
            for (j, (p, py)) in row.iter().zip(&joint.py).enumerate().skip(first) {
                let product = joint.px[i] * py;
                if product == 0.0 {
                    continue;
                }
                let times = if joint.symmetrical && j > i { 2.0 } else { 1.0 };
                let logarithm = times * (product + epsilon).log2();
                independent -= product * logarithm;
                if *p > 0.0 {
                    cross -= p * logarithm;
                    own -= p * (times * (p + epsilon).log2());
                }
            }
        }
        Self { x: entropy(&joint.px, epsilon), y: entropy(&joint.py, epsilon), joint: own, cross, independent }
    }

    fn first(&self) -> f64 {
        let larger = self.x.max(self.y);
        if larger == 0.0 { 0.0 } else { (self.joint - self.cross) / larger }
    }

    /// NaN when rounding makes the information negative.
    fn second(&self) -> f64 {
        if self.independent == self.joint {
            return 0.0;
        }
        (1.0 - (-2.0 * (self.independent - self.joint)).exp()).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(pairs: &[f64], grey: &[f64]) -> impl Fn(&str) -> f64 {
        let joint = Joint::of(pairs, grey, true).unwrap();
        let values = joint.features(grey[grey.len() - 1] as u32);
        move |name| values[NAMES.iter().position(|(known, _)| *known == name).unwrap()]
    }

    /// Four voxels 1 1 / 2 4, left and right neighbours: pairs (1,1) and (2,4), so p(1,1) = 1/2, p(2,4) = p(4,2) = 1/4.
    /// px = 1/2, 1/4, 1/4 at 1, 2, 4: mean 2, variance 1/2·1 + 0 + 1/4·4 = 3/2.
    #[test]
    fn four_voxels_by_hand() {
        let value = features(&[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], &[1.0, 2.0, 4.0]);
        let rows = [
            ("JointAverage", 2.0),
            ("SumSquares", 1.5),
            ("Autocorrelation", 4.5),
            ("Contrast", 2.0),
            ("Correlation", 0.5 / 1.5),
            ("DifferenceAverage", 1.0),
            ("DifferenceVariance", 1.0),
            ("DifferenceEntropy", 1.0),
            ("JointEnergy", 0.375),
            ("JointEntropy", 1.5),
            ("MaximumProbability", 0.5),
            ("SumAverage", 4.0),
            ("SumEntropy", 1.0),
            ("ClusterTendency", 4.0),
            ("ClusterShade", 0.0),
            ("ClusterProminence", 16.0),
            ("Id", 0.5 + 0.5 / 3.0),
            ("Idm", 0.5 + 0.5 / 5.0),
            ("Idn", 0.5 + 0.5 / 1.5),
            ("Idmn", 0.5 + 0.5 / 1.25),
            ("InverseVariance", 0.125),
            ("Imc1", -1.0),
            ("Imc2", (1.0 - (-3.0f64).exp()).sqrt()),
            ("MCC", 1.0),
        ];
        assert_eq!(rows.len(), NAMES.len());
        for (name, expected) in rows {
            assert!((value(name) - expected).abs() < 1e-12, "{name}: {} {expected}", value(name));
        }
    }

    #[test]
    fn a_flat_region_is_perfectly_correlated() {
        let value = features(&[8.0], &[3.0]);
        let rows = [("Correlation", 1.0), ("MCC", 1.0), ("Imc1", 0.0), ("Imc2", 0.0), ("JointEnergy", 1.0)];
        for (name, expected) in rows {
            assert_eq!(value(name), expected, "{name}");
        }
    }
}
