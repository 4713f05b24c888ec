//! The map between two intensity distributions.
//!
//! Of each image come the *landmarks* `l_0 <= l_1 <= ... <= l_{m+1}`, with `m` = `points`:
//!
//! - `l_0` is the mean (of all voxels) when `threshold_at_mean`, else the minimum, and `l_{m+1}` is the maximum;
//! - `l_j` is the quantile at `p = j / (m + 1)` of the histogram that counts the voxels in `[l_0, l_{m+1}]` in `levels`
//!   bins of equal width. The last bin has its upper edge. The quantile lies in the first bin whose cumulated share
//!   `c` reaches `p`, at the same part of the bin's width as `p` lies between the share before the bin and `c`.
//!
//! A voxel `x` of the image, with `l_j <= x < l_{j+1}`, becomes `r_j + (x - l_j) (r_{j+1} - r_j) / (l_{j+1} - l_j)`, `r`
//! being the landmarks of the reference. Below `l_0` the line goes from (minimum, minimum) to `(l_0, r_0)`.
//!
//! Worked case, `levels` 4, `points` 1, no threshold: voxels 0 0 0 1 2 8 have the bins [0,2) [2,4) [4,6) [6,8] with
//! counts 4 1 0 1. The share of the first bin is 4/6 >= 1/2, so the median landmark is 0 + (1/2) / (4/6) * 2 = 1.5 and
//! the landmarks are 0, 1.5, 8.

/// How landmarks are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) levels: usize,
    pub(crate) points: usize,
    pub(crate) threshold_at_mean: bool,
}

/// Landmarks of one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Landmarks {
    min: f64,
    values: Vec<f64>,
}

impl Landmarks {
    /// `None` when a voxel is not finite or there is none.
    pub(crate) fn of(voxels: &[f32], rule: Rule) -> Option<Self> {
        let (mut min, mut max, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        for voxel in voxels.iter().map(|&v| f64::from(v)) {
            (min, max, sum) = (voxel.min(min), voxel.max(max), sum + voxel);
        }
        if voxels.is_empty() || !f64::is_finite(sum) {
            return None;
        }
        let low = if rule.threshold_at_mean { (sum / voxels.len() as f64).clamp(min, max) } else { min };
        let mut values = vec![low];
        values.extend(quantiles(&histogram(voxels, low, max, rule.levels), low, max, rule.points));
        values.push(max);
        Some(Self { min, values })
    }

    /// The map that carries these landmarks to those of `reference`; `None` when these are a single value.
    pub(crate) fn map_to(&self, reference: &Self) -> Option<Map> {
        if self.values.last() <= Some(&self.min) {
            return None;
        }
        let from: Vec<f64> = [self.min].into_iter().chain(self.values.iter().copied()).collect();
        let to: Vec<f64> = [reference.min].into_iter().chain(reference.values.iter().copied()).collect();
        let slope = |i: usize| {
            let width = from[i + 1] - from[i];
            if width > 0.0 { (to[i + 1] - to[i]) / width } else { 0.0 }
        };
        let slopes = (0..from.len() - 1).map(slope).collect();
        Some(Map { from, to, slopes })
    }
}

/// A monotone, piecewise linear map of intensities.
#[derive(Debug)]
pub(crate) struct Map {
    from: Vec<f64>,
    to: Vec<f64>,
    slopes: Vec<f64>,
}

impl Map {
    /// The mapped value of `x`; `x` must lie in the range of the image that the map was made from.
    pub(crate) fn at(&self, x: f64) -> f64 {
        let piece = self.from.partition_point(|&landmark| landmark <= x);
        if piece == self.from.len() {
            return self.to[piece - 1];
        }
        let start = piece.saturating_sub(1);
        self.to[start] + (x - self.from[start]) * self.slopes[start]
    }
}

fn histogram(voxels: &[f32], low: f64, high: f64, levels: usize) -> Vec<u64> {
    let mut counts = vec![0; levels];
    let per_unit = if high > low { levels as f64 / (high - low) } else { 0.0 };
    for voxel in voxels.iter().map(|&v| f64::from(v)).filter(|v| *v >= low) {
        let bin = ((voxel - low) * per_unit) as usize;
        counts[bin.min(levels - 1)] += 1;
    }
    counts
}

fn quantiles(counts: &[u64], low: f64, high: f64, points: usize) -> Vec<f64> {
    let total: u64 = counts.iter().sum();
    let width = (high - low) / counts.len() as f64;
    let mut quantiles = Vec::with_capacity(points);
    let (mut bin, mut before) = (0, 0);
    for point in 1..=points {
        let wanted = total as f64 * point as f64 / (points + 1) as f64;
        while bin + 1 < counts.len() && ((before + counts[bin]) as f64) < wanted {
            before += counts[bin];
            bin += 1;
        }
        let part = (wanted - before as f64) / counts[bin].max(1) as f64;
        quantiles.push(low + (bin as f64 + part) * width);
    }
    quantiles
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIAN: Rule = Rule { levels: 4, points: 1, threshold_at_mean: false };

    #[test]
    fn landmarks_of_the_worked_case() {
        let rows: [(&[f32], Rule, &[f64]); 4] = [
            (&[0.0, 0.0, 0.0, 1.0, 2.0, 8.0], MEDIAN, &[0.0, 1.5, 8.0]),
            // Bins [0,2) 4, [2,4) 1, [4,6) 0, [6,8] 1; quarter shares at counts 1.5, 3, 4.5.
            (&[0.0, 0.0, 0.0, 1.0, 2.0, 8.0], Rule { points: 3, ..MEDIAN }, &[0.0, 0.75, 1.5, 3.0, 8.0]),
            // Mean 2 leaves 3, 2, 8: [2,3.5) 2, [6.5,8] 1; half of the three is 3/4 of the first bin.
            (&[-1.0, 0.0, 0.0, 3.0, 2.0, 8.0], Rule { threshold_at_mean: true, ..MEDIAN }, &[2.0, 3.125, 8.0]),
            (&[5.0, 5.0], MEDIAN, &[5.0, 5.0, 5.0]),
        ];
        for (voxels, rule, expected) in rows {
            assert_eq!(Landmarks::of(voxels, rule).unwrap().values, expected, "{voxels:?} {rule:?}");
        }
    }

    #[test]
    fn map_is_linear_between_landmarks_and_below_the_threshold() {
        // Landmarks 2, 4, 8 over minimum 0, onto 10, 30, 40 over minimum 5.
        let from = Landmarks { min: 0.0, values: vec![2.0, 4.0, 8.0] };
        let to = Landmarks { min: 5.0, values: vec![10.0, 30.0, 40.0] };
        let map = from.map_to(&to).unwrap();
        let rows = [(0.0, 5.0), (1.0, 7.5), (2.0, 10.0), (3.0, 20.0), (4.0, 30.0), (6.0, 35.0), (8.0, 40.0)];
        for (x, expected) in rows {
            assert_eq!(map.at(x), expected, "{x}");
        }
    }

    #[test]
    fn repeated_landmarks_give_the_upper_one() {
        // Half of the voxels are 0, so the median landmark is the minimum.
        let from = Landmarks { min: 0.0, values: vec![0.0, 0.0, 4.0] };
        let to = Landmarks { min: 1.0, values: vec![1.0, 3.0, 7.0] };
        let map = from.map_to(&to).unwrap();
        assert_eq!([map.at(0.0), map.at(2.0), map.at(4.0)], [3.0, 5.0, 7.0]);
    }

    #[test]
    fn single_valued_image_has_no_map() {
        let flat = Landmarks::of(&[5.0, 5.0], MEDIAN).unwrap();
        assert!(flat.map_to(&flat).is_none());
    }
}
