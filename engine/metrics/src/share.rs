use std::collections::BTreeSet;

use crate::Error;
use crate::bootstrap::{RESAMPLES, intervals};
use crate::concordance::Moments;

/// Change in the share of features whose agreement reaches a threshold.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ShareGain {
    /// Share before, in 0..=1.
    pub before: f64,
    /// Share after, in 0..=1.
    pub after: f64,
    /// `after - before`.
    pub gain: f64,
    /// 95 % percentile interval of the gain over resampled subjects.
    pub ci95: [f64; 2],
    /// 95 % percentile interval of `before` over the same samples.
    pub before_ci95: [f64; 2],
    /// 95 % percentile interval of `after` over the same samples.
    pub after_ci95: [f64; 2],
    /// The threshold on the concordance correlation coefficient.
    pub threshold: f64,
    /// Bootstrap samples drawn.
    pub resamples: usize,
    /// Subjects.
    pub subjects: usize,
    /// Features counted, or units of them.
    pub features: usize,
    /// Features left out of every count, because their agreement is undefined before or after.
    pub undefined: usize,
}

impl ShareGain {
    /// True when the interval lies wholly above 0.
    pub fn is_significant(&self) -> bool {
        self.ci95[0] > 0.0
    }
}

/// Share of `values` at or above `threshold`, in 0..=1; NaN counts as below, and an empty list gives NaN.
pub fn share_at_or_above(values: &[f64], threshold: f64) -> f64 {
    values.iter().filter(|&&v| v >= threshold).count() as f64 / values.len() as f64
}

/// [`share_gain_resampled`] with [`RESAMPLES`] samples.
///
/// # Errors
/// As [`share_gain_resampled`].
pub fn share_gain(
    before: &[Vec<[f64; 2]>],
    after: &[Vec<[f64; 2]>],
    threshold: f64,
    seed: u64,
) -> Result<ShareGain, Error> {
    share_gain_resampled(before, after, threshold, seed, RESAMPLES)
}

/// Gain in the share of features whose [`ccc`](crate::ccc) is at or above `threshold`, with a bootstrap interval.
///
/// `before[f][s]` and `after[f][s]` are the pair (measurement, reference) of feature `f` in subject `s`; the subjects
/// stand in one order everywhere. Each bootstrap sample draws subjects with replacement, the same for every feature and
/// for both arms, and takes the difference of the two shares: so the correlation between features, and between before
/// and after, stays in the interval. The interval is the 2.5th to 97.5th percentile of the differences (linear
/// interpolation). A pair with a value that is not finite is left out of its feature; a feature whose agreement is
/// undefined in either arm (fewer than 2 pairs, or no variation) is left out of every count; one that becomes undefined
/// only in a sample counts as below the threshold there. Random numbers are ChaCha8 of `seed`, so the result does not
/// depend on machine or threads.
///
/// # Errors
/// [`Error::LengthMismatch`] when the arms differ in features or a feature in subjects, [`Error::TooFewSubjects`] below
/// 3 subjects, [`Error::NoFeatures`] when nothing can be counted, [`Error::InvalidArgument`] for no resamples.
pub fn share_gain_resampled(
    before: &[Vec<[f64; 2]>],
    after: &[Vec<[f64; 2]>],
    threshold: f64,
    seed: u64,
    resamples: usize,
) -> Result<ShareGain, Error> {
    let subjects = before.first().map_or(0, Vec::len);
    share_gain_by_subject(before, after, &(0..subjects).collect::<Vec<_>>(), threshold, seed, resamples)
}

/// [`share_gain_resampled`] where a subject may have several pairs, such as one for each region.
///
/// `subjects[p]` numbers the subject of the pair at place `p`, from 0 on without gaps. Agreement is that of all pairs; a bootstrap
/// sample draws subjects and takes all pairs of each, so that pairs of one subject do not count as independent.
///
/// # Errors
/// As [`share_gain_resampled`]; [`Error::LengthMismatch`] also when `subjects` has another number of pairs.
pub fn share_gain_by_subject(
    before: &[Vec<[f64; 2]>],
    after: &[Vec<[f64; 2]>],
    subjects: &[usize],
    threshold: f64,
    seed: u64,
    resamples: usize,
) -> Result<ShareGain, Error> {
    share_gain_by_unit(before, after, subjects, &(0..before.len()).collect::<Vec<_>>(), threshold, seed, resamples)
}

/// [`share_gain_by_subject`] of units of features, such as all textures of one region: what counts is the mean
/// [`ccc`](crate::ccc) of a unit's features, and the shares are shares of units.
///
/// `units[f]` numbers the unit of feature `f`. A feature whose agreement is undefined in a sample is left out of its unit's mean
/// there; a unit without any counts as below the threshold. Worked case: a unit with features of CCC 1 and 0.5 has 0.75
/// and is below 0.80, though one of its two features is above.
///
/// # Errors
/// As [`share_gain_by_subject`]; [`Error::LengthMismatch`] also when `units` has another number than there are features.
pub fn share_gain_by_unit(
    before: &[Vec<[f64; 2]>],
    after: &[Vec<[f64; 2]>],
    subjects: &[usize],
    units: &[usize],
    threshold: f64,
    seed: u64,
    resamples: usize,
) -> Result<ShareGain, Error> {
    let pairs_of = require_arms(before, after, subjects)?;
    if units.len() != before.len() {
        return Err(Error::LengthMismatch { x: before.len(), y: units.len() });
    }
    if resamples == 0 {
        return Err(Error::InvalidArgument { name: "resamples", expected: "at least 1", found: 0.0 });
    }
    let everyone: Vec<usize> = (0..subjects.len()).collect();
    let is_defined = |pairs: &[[f64; 2]]| estimate(pairs, &everyone).is_some();
    let defined: Vec<_> =
        before.iter().zip(after).zip(units).filter(|((b, a), _)| is_defined(b) && is_defined(a)).collect();
    let counted: BTreeSet<usize> = defined.iter().map(|(_, unit)| **unit).collect();
    if counted.is_empty() {
        return Err(Error::NoFeatures);
    }
    let last = counted.last().copied().unwrap_or_default();
    let shares = |pairs: &[usize]| {
        let mut sums = vec![[(0.0, 0_usize); 2]; last + 1];
        for ((before, after), unit) in &defined {
            for (sum, feature) in sums[**unit].iter_mut().zip([before, after]) {
                if let Some(agreement) = estimate(feature, pairs) {
                    *sum = (sum.0 + agreement, sum.1 + 1);
                }
            }
        }
        let reached = |arm: usize| {
            let means = sums.iter().filter(|unit| unit[arm].1 > 0).map(|unit| unit[arm].0 / unit[arm].1 as f64);
            means.filter(|&mean| mean >= threshold).count() as f64 / counted.len() as f64
        };
        [reached(0), reached(1)]
    };
    let [share_before, share_after] = shares(&everyone);
    let statistics = |sample: &[usize]| {
        let pairs: Vec<usize> = sample.iter().flat_map(|&s| &pairs_of[s]).copied().collect();
        let [b, a] = shares(&pairs);
        Some([b, a, a - b])
    };
    let [before_ci95, after_ci95, ci95] = intervals(pairs_of.len(), resamples, seed, statistics);
    Ok(ShareGain {
        before: share_before,
        after: share_after,
        gain: share_after - share_before,
        ci95,
        before_ci95,
        after_ci95,
        threshold,
        resamples,
        subjects: pairs_of.len(),
        features: counted.len(),
        undefined: before.len() - defined.len(),
    })
}

fn estimate(pairs: &[[f64; 2]], sample: &[usize]) -> Option<f64> {
    let finite = sample.iter().map(|&s| pairs[s]).filter(|p| p[0].is_finite() && p[1].is_finite());
    let moments = Moments::of(finite.map(|[x, y]| (x, y)));
    moments.ccc()
}

/// The places of each subject's pairs.
fn require_arms(
    before: &[Vec<[f64; 2]>],
    after: &[Vec<[f64; 2]>],
    subjects: &[usize],
) -> Result<Vec<Vec<usize>>, Error> {
    if before.len() != after.len() {
        return Err(Error::LengthMismatch { x: before.len(), y: after.len() });
    }
    if before.is_empty() {
        return Err(Error::NoFeatures);
    }
    if let Some(odd) = before.iter().chain(after).find(|pairs| pairs.len() != subjects.len()) {
        return Err(Error::LengthMismatch { x: subjects.len(), y: odd.len() });
    }
    let count = subjects.iter().max().map_or(0, |last| last + 1);
    if count < 3 || count > subjects.len() {
        return Err(Error::TooFewSubjects { needed: 3, found: count.min(subjects.len()) });
    }
    let mut pairs_of = vec![Vec::new(); count];
    subjects.iter().enumerate().for_each(|(pair, &subject)| pairs_of[subject].push(pair));
    Ok(pairs_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `features` features over `subjects` subjects whose second measurement is off by `shift` reference spreads.
    fn arm(features: usize, subjects: usize, shift: f64) -> Vec<Vec<[f64; 2]>> {
        (0..features)
            .map(|f| {
                (0..subjects)
                    .map(|s| {
                        let reference = s as f64 + (f * s % 5) as f64;
                        [reference + shift * f as f64, reference]
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn a_step_that_removes_a_shift_gains_every_shifted_feature() {
        let found = share_gain(&arm(4, 12, 50.0), &arm(4, 12, 0.0), 0.80, 7).unwrap();
        assert_eq!((found.before, found.after, found.gain), (0.25, 1.0, 0.75));
        assert_eq!((found.ci95, found.before_ci95, found.after_ci95), ([0.75; 2], [0.25; 2], [1.0; 2]));
        assert!(found.is_significant());
        assert_eq!((found.subjects, found.features, found.undefined, found.resamples), (12, 4, 0, RESAMPLES));
    }

    #[test]
    fn doing_nothing_gains_nothing() {
        let same = arm(6, 8, 0.7);
        let found = share_gain(&same, &same, 0.80, 1).unwrap();
        assert_eq!((found.gain, found.ci95), (0.0, [0.0, 0.0]));
        assert!(!found.is_significant());
    }

    #[test]
    fn the_seed_alone_decides_the_interval() {
        let (before, after) = (arm(9, 10, 0.9), arm(9, 10, 0.45));
        let first = share_gain(&before, &after, 0.80, 3).unwrap();
        assert_eq!(first, share_gain(&before, &after, 0.80, 3).unwrap());
        assert!(first.ci95[0] <= first.gain && first.gain <= first.ci95[1]);
    }

    #[test]
    fn features_without_agreement_are_counted_apart() {
        let mut before = arm(2, 5, 0.0);
        let mut after = before.clone();
        before.push(vec![[1.0, 1.0]; 5]);
        after.push(vec![[1.0, 1.0]; 5]);
        before.push(vec![[f64::NAN, 1.0]; 5]);
        after.push(vec![[2.0, 1.0]; 5]);
        let found = share_gain(&before, &after, 0.80, 0).unwrap();
        assert_eq!((found.features, found.undefined, found.before), (2, 2, 1.0));
    }

    /// Four subjects with two regions each; drawn as subjects, both regions of one always come together.
    #[test]
    fn pairs_of_one_subject_are_drawn_together() {
        let (before, after) = (arm(5, 8, 0.9), arm(5, 8, 0.3));
        let by = |subjects: &[usize]| share_gain_by_subject(&before, &after, subjects, 0.80, 2, 500).unwrap();
        let (alone, together) = (by(&[0, 1, 2, 3, 4, 5, 6, 7]), by(&[0, 0, 1, 1, 2, 2, 3, 3]));
        assert_eq!(alone, share_gain_resampled(&before, &after, 0.80, 2, 500).unwrap());
        assert_eq!((together.subjects, together.gain), (4, alone.gain));
        let ragged = share_gain_by_subject(&before, &after, &[0, 1, 2], 0.80, 2, 500);
        assert_eq!(ragged, Err(Error::LengthMismatch { x: 3, y: 8 }));
    }

    /// Two features agree fully and poorly before, both fully after: apart one of two is gained, together the one unit.
    #[test]
    fn a_unit_counts_by_the_mean_of_its_features() {
        let (before, after) = (arm(2, 9, 1.0), arm(2, 9, 0.0));
        let by =
            |units: &[usize]| share_gain_by_unit(&before, &after, &[0, 1, 2, 3, 4, 5, 6, 7, 8], units, 0.99, 1, 50);
        let (apart, together) = (by(&[0, 1]).unwrap(), by(&[1, 1]).unwrap());
        assert_eq!((apart.before, apart.after, apart.features), (0.5, 1.0, 2));
        assert_eq!((together.before, together.after, together.features), (0.0, 1.0, 1));
        assert_eq!(by(&[0]), Err(Error::LengthMismatch { x: 2, y: 1 }));
    }

    #[test]
    fn ragged_arms_are_refused() {
        let rows: [(usize, usize, Error); 3] = [
            (2, 5, Error::LengthMismatch { x: 3, y: 2 }),
            (3, 4, Error::LengthMismatch { x: 5, y: 4 }),
            (0, 5, Error::LengthMismatch { x: 3, y: 0 }),
        ];
        for (features, subjects, expected) in rows {
            assert_eq!(share_gain(&arm(3, 5, 0.0), &arm(features, subjects, 0.0), 0.80, 0), Err(expected));
        }
        assert_eq!(
            share_gain(&arm(1, 2, 0.0), &arm(1, 2, 0.0), 0.80, 0),
            Err(Error::TooFewSubjects { needed: 3, found: 2 })
        );
    }
}
