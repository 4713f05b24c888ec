//! The result of a method in words, from its numbers alone.

use isoscan_metrics::ShareGain;

use crate::model::MethodResult;

/// What the share of reproducible features did under a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The interval of the gain lies above zero.
    Rises,
    /// The interval of the gain holds zero.
    NoGain,
    /// The interval of the gain lies below zero.
    Falls,
    /// There is no gain or no interval to judge by.
    CannotBeJudged,
}

/// A finding and the sentence that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the share did.
    pub finding: Finding,
    /// One sentence with the numbers, beginning with the method's name.
    pub sentence: String,
}

/// Judges one method: its gain counts only when the 95 % interval excludes zero.
pub fn verdict(method: &MethodResult, threshold: f64) -> Verdict {
    let name = &method.name;
    let Some(gain) = &method.gain else {
        let reason = method.not_judged.as_deref().unwrap_or("no reference");
        return Verdict { finding: Finding::CannotBeJudged, sentence: format!("{name} cannot be judged: {reason}.") };
    };
    let finding = finding(gain);
    let share = format!("the share of features with CCC ≥ {threshold:.2}");
    let [low, high] = gain.ci95.map(signed_points);
    let numbers = format!("(gain {} points, 95 % CI [{low}, {high}])", signed_points(gain.gain));
    let from_to = format!("from {} to {}", percent(gain.before), percent(gain.after));
    let sentence = match finding {
        Finding::Rises => format!("{name}: {share} rises {from_to} {numbers}: significant."),
        Finding::Falls => format!("{name}: {share} falls {from_to} {numbers}: significant."),
        Finding::NoGain => format!("{name} does not show a gain: {share} goes {from_to} {numbers}, which includes 0."),
        Finding::CannotBeJudged => {
            format!("{name} cannot be judged: {share} goes {from_to}, but the gain has no 95 % interval.")
        }
    };
    Verdict { finding, sentence }
}

fn finding(gain: &ShareGain) -> Finding {
    let [low, high] = gain.ci95;
    if !(low.is_finite() && high.is_finite()) {
        return Finding::CannotBeJudged;
    }
    match (low > 0.0, high < 0.0) {
        (true, _) => Finding::Rises,
        (_, true) => Finding::Falls,
        _ => Finding::NoGain,
    }
}

/// A share as a percentage with one decimal.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A difference of shares in percentage points with its sign, a true minus among them.
pub(crate) fn signed_points(difference: f64) -> String {
    let text = format!("{:.1}", (100.0 * difference).abs());
    match (text.as_str(), difference < 0.0) {
        ("0.0", _) => text,
        (_, true) => format!("−{text}"),
        (_, false) => format!("+{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn each_case_has_its_own_words() {
        let rows = [
            (
                Some((0.412, 0.784, [0.21, 0.52])),
                Finding::Rises,
                "cyclegan: the share of features with CCC ≥ 0.80 rises from 41.2 % to 78.4 % (gain +37.2 points, 95 % CI \
                 [+21.0, +52.0]): significant.",
            ),
            (
                Some((0.412, 0.45, [-0.02, 0.1])),
                Finding::NoGain,
                "cyclegan does not show a gain: the share of features with CCC ≥ 0.80 goes from 41.2 % to 45.0 % (gain \
                 +3.8 points, 95 % CI [−2.0, +10.0]), which includes 0.",
            ),
            (
                Some((0.5, 0.5, [0.0, 0.0])),
                Finding::NoGain,
                "cyclegan does not show a gain: the share of features with CCC ≥ 0.80 goes from 50.0 % to 50.0 % (gain \
                 0.0 points, 95 % CI [0.0, 0.0]), which includes 0.",
            ),
            (
                Some((0.5, 0.25, [-0.4, -0.1])),
                Finding::Falls,
                "cyclegan: the share of features with CCC ≥ 0.80 falls from 50.0 % to 25.0 % (gain −25.0 points, 95 % CI \
                 [−40.0, −10.0]): significant.",
            ),
            (
                Some((0.5, 0.6, [f64::NAN, 0.2])),
                Finding::CannotBeJudged,
                "cyclegan cannot be judged: the share of features with CCC ≥ 0.80 goes from 50.0 % to 60.0 %, but the \
                 gain has no 95 % interval.",
            ),
            (None, Finding::CannotBeJudged, "cyclegan cannot be judged: no reference."),
        ];
        for (numbers, finding, sentence) in rows {
            let found = verdict(&sample::method("cyclegan", numbers), 0.8);
            assert_eq!(found, Verdict { finding, sentence: sentence.into() });
        }
    }

    #[test]
    fn a_refused_method_says_why() {
        let mut method = sample::method("cyclegan", None);
        method.not_judged = Some("wants CT, found MR".into());
        assert_eq!(verdict(&method, 0.8).sentence, "cyclegan cannot be judged: wants CT, found MR.");
    }
}
