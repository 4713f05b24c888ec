use super::maximal_correlation::maximal_correlation;
use crate::family::GLCM;
use crate::first_order::EPSILON;

/// A joint probability p(i, j) of occupied grey levels with its marginals.
pub(super) struct Joint<'a> {
    p: Vec<f64>,
    grey: &'a [f64],
    px: Vec<f64>,
    py: Vec<f64>,
}

impl<'a> Joint<'a> {
    /// Normalises pair counts (row by row over `grey`), after adding the transposed ones when `symmetrical`; `None` when
    /// there is no pair.
    pub(super) fn of(pairs: &[f64], grey: &'a [f64], symmetrical: bool) -> Option<Self> {
        let side = grey.len();
        let total: f64 = pairs.iter().sum::<f64>() * if symmetrical { 2.0 } else { 1.0 };
        if total == 0.0 {
            return None;
        }
        let p: Vec<f64> = if symmetrical {
            (0..side * side).map(|k| (pairs[k] + pairs[k % side * side + k / side]) / total).collect()
        } else {
            pairs.iter().map(|count| count / total).collect()
        };
        let px = p.chunks_exact(side).map(|row| row.iter().sum()).collect();
        let mut py = vec![0.0; side];
        for row in p.chunks_exact(side) {
            py.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
        }
        Some(Self { p, grey, px, py })
    }

    /// The features in the order of [`GLCM`]. `highest` is the highest occupied grey level, Ng of the formulas.
    pub(super) fn features(&self, highest: u32) -> [f64; GLCM.len()] {
        let distributions = Distributions::of(self, highest);
        let moments = Moments::of(self);
        let information = Information::of(self);
        let ng = f64::from(highest);
        let by_difference = |weight: &dyn Fn(f64) -> f64| -> f64 {
            let nonzero = distributions.difference.iter().enumerate().filter(|(_, p)| **p > 0.0);
            nonzero.map(|(k, p)| p * weight(k as f64)).sum()
        };
        let difference_average = by_difference(&|k| k);
        let sum_average: f64 = distributions.sum.iter().enumerate().map(|(k, p)| k as f64 * p).sum();
        let maximum = self.p.iter().copied().fold(0.0, f64::max);
        GLCM.map(|(name, _)| match name {
            "Autocorrelation" => moments.autocorrelation,
            "ClusterProminence" => moments.cluster[2],
            "ClusterShade" => moments.cluster[1],
            "ClusterTendency" => moments.cluster[0],
            "Contrast" => by_difference(&|k| k * k),
            "Correlation" => moments.correlation(),
            "DifferenceAverage" => difference_average,
            "DifferenceEntropy" => entropy(&distributions.difference),
            "DifferenceVariance" => by_difference(&|k| (k - difference_average).powi(2)),
            "Id" => by_difference(&|k| 1.0 / (1.0 + k)),
            "Idm" => by_difference(&|k| 1.0 / (1.0 + k * k)),
            "Idmn" => by_difference(&|k| 1.0 / (1.0 + k * k / (ng * ng))),
            "Idn" => by_difference(&|k| 1.0 / (1.0 + k / ng)),
            "Imc1" => information.first(),
            "Imc2" => information.second(),
            "InverseVariance" => by_difference(&|k| if k == 0.0 { 0.0 } else { 1.0 / (k * k) }),
            "JointAverage" => moments.mean_x,
            "JointEnergy" => self.p.iter().map(|p| p * p).sum(),
            "JointEntropy" => information.joint,
            "MCC" => maximal_correlation(&self.p, &self.px, &self.py),
            "MaximumProbability" => maximum,
            "SumAverage" => sum_average,
            "SumEntropy" => entropy(&distributions.sum),
            "SumSquares" => moments.variance_x,
            _ => f64::NAN,
        })
    }

    /// Position and probability of every cell that is not 0.
    fn cells(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let side = self.grey.len();
        self.p.iter().enumerate().filter(|(_, p)| **p != 0.0).map(move |(k, p)| (k / side, k % side, *p))
    }
}

/// `p_{x+y}(k)` at index k, and `p_{x-y}(k)` at index k.
struct Distributions {
    sum: Vec<f64>,
    difference: Vec<f64>,
}

impl Distributions {
    fn of(joint: &Joint, highest: u32) -> Self {
        let mut sum = vec![0.0; 2 * highest as usize + 1];
        let mut difference = vec![0.0; highest as usize];
        for (i, j, p) in joint.cells() {
            let (i, j) = (joint.grey[i] as usize, joint.grey[j] as usize);
            sum[i + j] += p;
            difference[i.abs_diff(j)] += p;
        }
        Self { sum, difference }
    }
}

fn entropy(p: &[f64]) -> f64 {
    -p.iter().filter(|p| **p > 0.0).map(|p| p * (p + EPSILON).log2()).sum::<f64>()
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
        for (i, j, p) in joint.cells() {
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
    fn correlation(&self) -> f64 {
        let deviations = self.variance_x.sqrt() * self.variance_y.sqrt();
        if deviations == 0.0 { 1.0 } else { self.covariance / (deviations + EPSILON) }
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
    fn of(joint: &Joint) -> Self {
        let side = joint.grey.len();
        let (mut cross, mut independent, mut own) = (0.0, 0.0, 0.0);
        for (i, row) in joint.p.chunks_exact(side).enumerate() {
            for (p, py) in row.iter().zip(&joint.py) {
                let product = joint.px[i] * py;
                if product == 0.0 {
                    continue;
                }
                let logarithm = (product + EPSILON).log2();
                independent -= product * logarithm;
                if *p > 0.0 {
                    cross -= p * logarithm;
                    own -= p * (p + EPSILON).log2();
                }
            }
        }
        Self { x: entropy(&joint.px), y: entropy(&joint.py), joint: own, cross, independent }
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
        move |name| values[GLCM.iter().position(|(known, _)| *known == name).unwrap()]
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
        assert_eq!(rows.len(), GLCM.len());
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
