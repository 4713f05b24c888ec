use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Error;
use crate::quantile::sorted_quantile;

/// Bootstrap samples that the intervals of this crate draw unless told otherwise.
pub const RESAMPLES: usize = 2000;

/// A number of a group of subjects with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The number for all subjects.
    pub value: f64,
    /// 2.5th and 97.5th percentile over resampled subjects.
    pub ci95: [f64; 2],
    /// Subjects.
    pub n: usize,
}

/// The mean of one value per subject with its bootstrap interval of [`RESAMPLES`] samples.
///
/// Each sample draws as many subjects as there are, with replacement; the interval is the 2.5th to 97.5th percentile of
/// the samples' means. For paired differences give the differences. Worked case: of two subjects with 0 and 2 a sample's
/// mean is 0, 1 or 2 with probabilities 1/4, 1/2, 1/4, so the interval is `[0, 2]`. One subject has an interval of NaN.
///
/// # Errors
/// [`Error::TooFewSubjects`] for an empty list, [`Error::NotFinite`].
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Result<Estimate, Error> {
    if let Some((index, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { index, value });
    }
    let mean = |sample: &[usize]| sample.iter().map(|&s| values[s]).sum::<f64>() / sample.len() as f64;
    bootstrap(values.len(), seed, |sample| Some(mean(sample)))
}

/// A statistic of resampled subjects: `statistic` sees which subjects a sample drew, counted from 0, and may have no
/// value for it; such samples are left out of the interval. One subject has an interval of NaN.
///
/// # Errors
/// [`Error::TooFewSubjects`] for no subject, [`Error::Undefined`] when all subjects together have no value.
pub(crate) fn bootstrap(
    subjects: usize,
    seed: u64,
    statistic: impl Fn(&[usize]) -> Option<f64>,
) -> Result<Estimate, Error> {
    if subjects == 0 {
        return Err(Error::TooFewSubjects { needed: 1, found: 0 });
    }
    let everyone: Vec<usize> = (0..subjects).collect();
    let value = statistic(&everyone).ok_or(Error::Undefined { statistic: "the statistic of all subjects" })?;
    if subjects == 1 {
        return Ok(Estimate { value, ci95: [f64::NAN; 2], n: 1 });
    }
    let [ci95] = intervals(subjects, RESAMPLES, seed, |sample| statistic(sample).map(|value| [value]));
    Ok(Estimate { value, ci95, n: subjects })
}

/// The 2.5th and 97.5th percentile of each of `N` statistics over `resamples` samples of the subjects, drawn with replacement by
/// ChaCha8 of `seed`; NaN when no sample has a value.
pub(crate) fn intervals<const N: usize>(
    subjects: usize,
    resamples: usize,
    seed: u64,
    statistics: impl Fn(&[usize]) -> Option<[f64; N]>,
) -> [[f64; 2]; N] {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut sample = vec![0; subjects];
    let values: Vec<[f64; N]> = (0..resamples)
        .filter_map(|_| {
            sample.fill_with(|| random.random_range(0..subjects as u64) as usize);
            statistics(&sample)
        })
        .collect();
    std::array::from_fn(|which| {
        let mut sorted: Vec<f64> = values.iter().map(|of_sample| of_sample[which]).collect();
        if sorted.is_empty() {
            return [f64::NAN; 2];
        }
        sorted.sort_by(f64::total_cmp);
        [sorted_quantile(&sorted, 0.025), sorted_quantile(&sorted, 0.975)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_two_subjects_is_their_range() {
        assert_eq!(bootstrap_mean(&[0.0, 2.0], 1), Ok(Estimate { value: 1.0, ci95: [0.0, 2.0], n: 2 }));
        assert_eq!(bootstrap_mean(&[3.0; 9], 1), Ok(Estimate { value: 3.0, ci95: [3.0; 2], n: 9 }));
    }

    /// The mean of 100 values 0..99 has standard error √((100²-1)/12/100) = 2.886.
    #[test]
    fn many_subjects_meet_the_normal_interval() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let found = bootstrap_mean(&values, 5).unwrap();
        assert_eq!(found.value, 49.5);
        assert!((found.ci95[0] - (49.5 - 1.96 * 2.886)).abs() < 0.5, "{found:?}");
        assert!((found.ci95[1] - (49.5 + 1.96 * 2.886)).abs() < 0.5, "{found:?}");
        assert_eq!(found, bootstrap_mean(&values, 5).unwrap());
    }

    #[test]
    fn one_subject_has_no_interval_and_none_no_mean() {
        let alone = bootstrap_mean(&[4.0], 1).unwrap();
        assert!(alone.value == 4.0 && alone.ci95[0].is_nan() && alone.n == 1);
        assert_eq!(bootstrap_mean(&[], 1), Err(Error::TooFewSubjects { needed: 1, found: 0 }));
        assert!(matches!(bootstrap_mean(&[1.0, f64::NAN], 1), Err(Error::NotFinite { index: 1, .. })));
    }
}
