use crate::Error;
use crate::bootstrap::{Estimate, bootstrap_mean};

/// Fewest pairs that decide.
const FEWEST_PAIRS: usize = 6;

/// Which values of a metric are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// The lower the better, such as an error.
    Lower,
    /// The higher the better, such as an overlap.
    Higher,
    /// The closer to 0 the better, such as a bias.
    NearZero,
    /// The closer to 1 the better, such as a ratio to the truth.
    NearOne,
    /// No value is better than another, such as the number of structures that there are.
    Neither,
}

impl Better {
    /// What is compared between methods: the value itself, or its distance from where it should be.
    pub fn compared(self, value: f64) -> f64 {
        match self {
            Self::Lower | Self::Higher | Self::Neither => value,
            Self::NearZero => value.abs(),
            Self::NearOne => (value - 1.0).abs(),
        }
    }

    /// What a difference of [`compared`](Self::compared) values shows; that of fewer than 6 subjects decides nothing, as even if all
    /// of them go one way a sign test stays above 5 %.
    pub fn judge(self, difference: &Estimate) -> Judgement {
        let [low, high] = difference.ci95;
        let [low, high] = if self == Self::Higher { [-high, -low] } else { [low, high] };
        match (low, high) {
            _ if self == Self::Neither || difference.n < FEWEST_PAIRS => Judgement::Undecided,
            (_, high) if high < 0.0 => Judgement::Better,
            (low, _) if low > 0.0 => Judgement::Worse,
            _ => Judgement::Undecided,
        }
    }
}

/// What a paired difference shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// The interval lies wholly on the good side of 0.
    Better,
    /// The interval lies wholly on the bad side of 0.
    Worse,
    /// The interval holds 0, or the subjects are too few.
    Undecided,
}

impl Judgement {
    /// The word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Undecided => "undecided",
        }
    }
}

/// The mean over subjects of `method - against`, each as [`Better::compared`] takes it, with its bootstrap interval by subject.
///
/// Pairs stand in one order; one with a value that is not finite is left out. Worked case: three subjects with
/// errors 1 against 3 and three with 2 against 6 differ by -2 and -4: the mean is -3, the interval lies within `[-4, -2]`, and
/// lower being better the judgement is better.
///
/// # Errors
/// [`Error::LengthMismatch`], [`Error::TooFewSubjects`] when no pair is left.
pub fn paired_difference(
    method: &[f64],
    against: &[f64],
    better: Better,
    seed: u64,
) -> Result<(Estimate, Judgement), Error> {
    if method.len() != against.len() {
        return Err(Error::LengthMismatch { x: method.len(), y: against.len() });
    }
    let differences: Vec<f64> = method
        .iter()
        .zip(against)
        .map(|(&m, &a)| better.compared(m) - better.compared(a))
        .filter(|difference| difference.is_finite())
        .collect();
    let mean = bootstrap_mean(&differences, seed)?;
    Ok((mean, better.judge(&mean)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_judged_by_the_direction_of_its_metric() {
        let rows = [
            (Better::Lower, [1.0, 2.0], [3.0, 6.0], -3.0, Judgement::Better),
            (Better::Higher, [1.0, 2.0], [3.0, 6.0], -3.0, Judgement::Worse),
            (Better::NearZero, [-1.0, 1.0], [-3.0, 6.0], -3.5, Judgement::Better),
            (Better::NearOne, [0.5, 2.0], [1.0, 1.0], 0.75, Judgement::Worse),
            (Better::Lower, [1.0, 9.0], [3.0, 6.0], 0.5, Judgement::Undecided),
            (Better::Neither, [1.0, 2.0], [3.0, 6.0], -3.0, Judgement::Undecided),
        ];
        for (better, method, against, mean, judgement) in rows {
            let found = paired_difference(&method.repeat(3), &against.repeat(3), better, 1).unwrap();
            assert_eq!((found.0.value, found.1), (mean, judgement), "{better:?}");
            let few = paired_difference(&method, &against, better, 1).unwrap();
            assert_eq!((few.0.value, few.1), (mean, Judgement::Undecided), "{better:?}");
        }
    }

    #[test]
    fn one_pair_decides_nothing_and_undefined_values_leave_theirs() {
        let found = paired_difference(&[1.0, f64::NAN], &[3.0, 1.0], Better::Lower, 1).unwrap();
        assert_eq!((found.0.n, found.0.value, found.1), (1, -2.0, Judgement::Undecided));
        let none = paired_difference(&[f64::INFINITY], &[1.0], Better::Higher, 1);
        assert_eq!(none, Err(Error::TooFewSubjects { needed: 1, found: 0 }));
    }
}
