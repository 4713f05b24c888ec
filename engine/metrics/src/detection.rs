use crate::Error;
use crate::bootstrap::{Estimate, bootstrap};

/// Area under the receiver operating characteristic of scores of cases, with a bootstrap interval by case.
///
/// `A = P(s₊ > s₋) + P(s₊ = s₋) / 2` over all pairs of a case with and a case without the finding (Mann and Whitney).
/// Worked case: with `[3, 1]` against `[2, 1]` the pairs win 1, 1, 0, 1/2, so A = 2.5/4. Samples that draw only one kind are
/// left out of the interval.
///
/// # Errors
/// [`Error::LengthMismatch`], [`Error::NotFinite`], [`Error::Undefined`] unless there are cases of both kinds.
pub fn auroc(scores: &[f64], has_finding: &[bool], seed: u64) -> Result<Estimate, Error> {
    if scores.len() != has_finding.len() {
        return Err(Error::LengthMismatch { x: scores.len(), y: has_finding.len() });
    }
    require_finite(scores)?;
    bootstrap(scores.len(), seed, |sample| area_of(scores, has_finding, sample))
}

/// What a change of the cases adds to the [`auroc`] of a reader who sees them before and after, with a bootstrap interval that
/// draws a case with both of its scores.
///
/// # Errors
/// As [`auroc`].
pub fn auroc_gain(before: &[f64], after: &[f64], has_finding: &[bool], seed: u64) -> Result<Estimate, Error> {
    if let Some(odd) = [before, after].into_iter().find(|scores| scores.len() != has_finding.len()) {
        return Err(Error::LengthMismatch { x: odd.len(), y: has_finding.len() });
    }
    require_finite(before)?;
    require_finite(after)?;
    bootstrap(before.len(), seed, |sample| {
        Some(area_of(after, has_finding, sample)? - area_of(before, has_finding, sample)?)
    })
}

/// What a reader marked in one case.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct ReadCase {
    /// Lesions that the case really has.
    pub lesions: usize,
    /// For each lesion that was marked, the score of its mark.
    pub hits: Vec<f64>,
    /// The score of every mark that hit no lesion.
    pub false_marks: Vec<f64>,
}

/// Area under the alternative free-response characteristic of marks, with a bootstrap interval by case.
///
/// Every lesion has the score of its mark, every case without lesions the largest score of its false marks; what was not
/// marked scores below every mark. The area is [`auroc`]'s of lesions against cases without lesions (Chakraborty and
/// Winter 1990; false marks in cases with lesions do not count). Worked case: lesions scored 0.9 and not marked, one
/// case without lesions with a false mark of 0.5: one of two pairs wins, A = 1/2.
///
/// # Errors
/// [`Error::NotFinite`], [`Error::InvalidArgument`] for more hits than lesions, [`Error::Undefined`] without a lesion or
/// without a case that has none.
pub fn afroc(cases: &[ReadCase], seed: u64) -> Result<Estimate, Error> {
    for case in cases {
        require_finite(&case.hits)?;
        require_finite(&case.false_marks)?;
        if case.hits.len() > case.lesions {
            let found = case.hits.len() as f64;
            return Err(Error::InvalidArgument { name: "hits", expected: "at most one for each lesion", found });
        }
    }
    bootstrap(cases.len(), seed, |sample| {
        let drawn = || sample.iter().map(|&s| &cases[s]);
        let unmarked = |case: &ReadCase| vec![f64::NEG_INFINITY; case.lesions - case.hits.len()];
        let lesions = drawn().flat_map(|case| case.hits.iter().copied().chain(unmarked(case))).collect();
        let highest = |case: &ReadCase| case.false_marks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        area(lesions, drawn().filter(|case| case.lesions == 0).map(highest).collect())
    })
}

/// [`area`] of the cases that a sample drew.
fn area_of(scores: &[f64], has_finding: &[bool], sample: &[usize]) -> Option<f64> {
    let of_kind = |kind: bool| sample.iter().filter(move |&&s| has_finding[s] == kind).map(|&s| scores[s]).collect();
    area(of_kind(true), of_kind(false))
}

/// The share of pairs in which the positive has the higher score, ties counting half.
fn area(positives: Vec<f64>, mut negatives: Vec<f64>) -> Option<f64> {
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    negatives.sort_by(f64::total_cmp);
    let won = |score: f64| {
        let below = negatives.partition_point(|&n| n < score);
        let not_above = negatives.partition_point(|&n| n <= score);
        (below + not_above) as f64 / 2.0
    };
    let pairs = positives.len() * negatives.len();
    Some(positives.into_iter().map(won).sum::<f64>() / pairs as f64)
}

/// Spearman's rank correlation: Pearson's of the ranks, ties sharing the mean of their ranks; NaN when one list is
/// constant.
///
/// Worked case: `1, 2, 3, 4` with `1, 3, 2, 4` has rank differences 0, -1, 1, 0, so `1 - 6·2/(4·15) = 0.8`.
///
/// # Errors
/// [`Error::LengthMismatch`], [`Error::TooFewSubjects`] below 2, [`Error::NotFinite`].
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, Error> {
    if x.len() != y.len() {
        return Err(Error::LengthMismatch { x: x.len(), y: y.len() });
    }
    if x.len() < 2 {
        return Err(Error::TooFewSubjects { needed: 2, found: x.len() });
    }
    require_finite(x)?;
    require_finite(y)?;
    let (x, y) = (ranks(x), ranks(y));
    let middle = (x.len() + 1) as f64 / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    Ok(product(&x, &y) / (product(&x, &x) * product(&y, &y)).sqrt())
}

/// Ranks from 1.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = first as f64 + (ties.len() + 1) as f64 / 2.0;
        ties.iter().for_each(|&index| ranks[index] = mean);
        first += ties.len();
    }
    ranks
}

fn require_finite(values: &[f64]) -> Result<(), Error> {
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, &value)) => Err(Error::NotFinite { index, value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_count_pairs_and_half_the_ties() {
        let rows: [(&[f64], &[bool], f64); 3] = [
            (&[3.0, 1.0, 2.0, 1.0], &[true, true, false, false], 0.625),
            (&[1.0, 2.0, 3.0], &[false, false, true], 1.0),
            (&[1.0; 4], &[true, false, true, false], 0.5),
        ];
        for (scores, findings, expected) in rows {
            let found = auroc(scores, findings, 3).unwrap();
            assert_eq!((found.value, found.n), (expected, scores.len()));
            assert!(found.ci95[0] <= expected && expected <= found.ci95[1]);
        }
        assert!(matches!(auroc(&[1.0, 2.0], &[true, true], 3), Err(Error::Undefined { .. })));
        assert_eq!(auroc(&[1.0], &[], 3), Err(Error::LengthMismatch { x: 1, y: 0 }));
    }

    #[test]
    fn a_gain_in_area_is_that_of_the_same_cases() {
        let findings = [true, true, false, false];
        let before = [3.0, 1.0, 2.0, 1.0];
        let gain = auroc_gain(&before, &[4.0, 3.0, 2.0, 1.0], &findings, 3).unwrap();
        assert_eq!((gain.value, gain.n), (0.375, 4));
        assert!(gain.ci95[0] >= 0.0, "no sample loses: {gain:?}");
        let same = auroc_gain(&before, &before, &findings, 3).unwrap();
        assert_eq!((same.value, same.ci95), (0.0, [0.0; 2]));
        assert_eq!(auroc_gain(&before, &[1.0], &findings, 3), Err(Error::LengthMismatch { x: 1, y: 4 }));
    }

    #[test]
    fn unmarked_lesions_score_below_every_mark() {
        let ill = ReadCase { lesions: 2, hits: vec![0.9], false_marks: vec![5.0] };
        let healthy = ReadCase { lesions: 0, hits: vec![], false_marks: vec![0.5, 0.2] };
        let clean = ReadCase::default();
        assert_eq!(afroc(&[ill.clone(), healthy.clone()], 1).unwrap().value, 0.5);
        assert_eq!(afroc(&[ill.clone(), clean], 1).unwrap().value, 0.75);
        assert!(matches!(afroc(&[healthy], 1), Err(Error::Undefined { .. })));
        let twice = ReadCase { lesions: 1, hits: vec![1.0, 2.0], ..ReadCase::default() };
        assert!(matches!(afroc(&[ill, twice], 1), Err(Error::InvalidArgument { name: "hits", .. })));
    }

    #[test]
    fn rank_correlation_by_hand() {
        let rows: [([f64; 4], f64); 3] =
            [([1.0, 3.0, 2.0, 4.0], 0.8), ([10.0, 20.0, 300.0, 4000.0], 1.0), ([4.0, 3.0, 2.0, 1.0], -1.0)];
        for (y, expected) in rows {
            assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &y).unwrap() - expected).abs() < 1e-15);
        }
        // Ranks 1.5 1.5 3 against 1 2 3: covariance 1.5, variances 1.5 and 2.
        assert!((spearman(&[5.0, 5.0, 6.0], &[1.0, 2.0, 3.0]).unwrap() - 0.75f64.sqrt()).abs() < 1e-15);
        assert!(spearman(&[1.0, 1.0], &[1.0, 2.0]).unwrap().is_nan());
    }
}
