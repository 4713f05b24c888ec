//! The table of a study: methods side by side, with intervals by subject.

use std::collections::BTreeMap;

use isoscan_metrics::{Better, Estimate, Judgement, RESAMPLES, bootstrap_mean, paired_difference};

use crate::error::Error;
use crate::tables::{finish, number};

/// What a study measured: values of metrics by subject and method, and numbers of the whole group.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Heading of the table.
    pub title: String,
    /// Methods that the others are compared with: no translation first, then the baseline, which is itself compared with what
    /// stands before it.
    pub against: Vec<String>,
    /// Metrics that the Markdown table shows, in this order; empty for all of them.
    pub shown: Vec<String>,
    /// Which values are good, by metric.
    pub better: BTreeMap<String, Better>,
    /// Values of single subjects; several of one subject, method and metric count as their mean.
    pub observations: Vec<Observation>,
    /// Numbers that only the whole group has, such as a share of features.
    pub pooled: Vec<Pooled>,
    /// Seed of the intervals.
    pub seed: u64,
}

/// One value of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Subject id.
    pub subject: String,
    /// Method.
    pub method: String,
    /// Metric.
    pub metric: String,
    /// Value; not finite where it is undefined.
    pub value: f64,
}

/// One number of the whole group.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooled {
    /// Method.
    pub method: String,
    /// Metric.
    pub metric: String,
    /// The number with its interval.
    pub estimate: Estimate,
    /// Its difference to a method of [`Comparison::against`].
    pub differences: BTreeMap<String, Estimate>,
}

/// One metric of one method.
pub(crate) struct Row<'a> {
    pub(crate) metric: &'a str,
    pub(crate) method: &'a str,
    pub(crate) better: Better,
    pub(crate) estimate: Option<Estimate>,
    /// Of [`Comparison::against`], in its order.
    pub(crate) differences: Vec<Option<(Estimate, Judgement)>>,
}

impl Comparison {
    /// Subjects with a value.
    pub(crate) fn subjects(&self) -> usize {
        distinct(self.observations.iter().map(|o| o.subject.as_str())).len()
    }
}

impl Row<'_> {
    /// How many subjects it rests on, where that is not all of them.
    pub(crate) fn few(&self, subjects: usize) -> Option<String> {
        self.estimate.filter(|estimate| estimate.n != subjects).map(|estimate| format!(" (n = {})", estimate.n))
    }

    pub(crate) fn value(&self) -> String {
        self.estimate.as_ref().map_or_else(|| "undefined".to_owned(), |estimate| shown(estimate, false))
    }
}

/// Writes the table as CSV: every value of every subject, then every row of the summary.
///
/// Columns are `metric, method, subject, against, value, ci_low, ci_high, n, judgement`. A line with a `subject` is one
/// measured value; one without is the mean over subjects, or, with `against`, the paired difference to that method.
///
/// # Errors
/// [`Error::Metrics`] when no interval can be drawn, [`Error::Csv`] only if the writer refuses, which no value causes.
pub fn comparison_csv(comparison: &Comparison) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["metric", "method", "subject", "against", "value", "ci_low", "ci_high", "n", "judgement"])?;
    for o in &comparison.observations {
        let value = number(o.value);
        writer.write_record([&o.metric, &o.method, &o.subject, "", &value, "", "", "", ""])?;
    }
    for row in rows(comparison)? {
        let told = |estimate: &Estimate| {
            [estimate.value, estimate.ci95[0], estimate.ci95[1]].map(number).into_iter().chain([estimate.n.to_string()])
        };
        let named = |against: &str| [row.metric, row.method, "", against].map(str::to_owned).into_iter();
        if let Some(estimate) = &row.estimate {
            writer.write_record(named("").chain(told(estimate)).chain([String::new()]))?;
        }
        for (against, difference) in comparison.against.iter().zip(&row.differences) {
            if let Some((estimate, judgement)) = difference {
                writer.write_record(named(against).chain(told(estimate)).chain([judgement.word().to_owned()]))?;
            }
        }
    }
    finish(writer)
}

/// The table in Markdown: a row for every metric that is shown and every method, with the mean, its interval, and for each method of
/// [`Comparison::against`] the paired difference, its interval and `better`, `worse` or `undecided`.
///
/// # Errors
/// [`Error::Metrics`] when no interval can be drawn.
pub fn comparison_markdown(comparison: &Comparison) -> Result<String, Error> {
    let (rows, subjects) = (shown_rows(comparison)?, comparison.subjects());
    let heads: String = comparison.against.iter().map(|name| format!(" against {name} |")).collect();
    let rules: String = comparison.against.iter().map(|_| "---|").collect();
    let mut text =
        format!("### {}\n\n| metric | method | value [95 % CI] |{heads}\n|---|---|---|{rules}\n", comparison.title);
    for row in &rows {
        let (value, few) = (row.value(), row.few(subjects));
        let differences: String = row
            .differences
            .iter()
            .map(|difference| match difference {
                None => "  |".to_owned(),
                Some((estimate, _)) if row.better == Better::Neither => format!(" {} |", shown(estimate, true)),
                Some((estimate, judgement)) => format!(" {} {} |", shown(estimate, true), judgement.word()),
            })
            .collect();
        let (metric, goal, method) = (row.metric, goal(row.better), row.method);
        text += &format!("| {metric} ({goal}) | {method} | {value}{} |{differences}\n", few.unwrap_or_default());
    }
    text += &format!("\n{}\n", note(comparison, &rows));
    Ok(text)
}

/// How the intervals came about.
pub(crate) fn note(comparison: &Comparison, rows: &[Row<'_>]) -> String {
    let sizes = rows.iter().any(|row| matches!(row.better, Better::NearZero | Better::NearOne));
    let note = if sizes { " Of a metric that should be 0 or 1, its distance from there is compared." } else { "" };
    let (subjects, seed) = (comparison.subjects(), comparison.seed);
    format!(
        "n = {subjects} subjects. Intervals: 95 % percentile bootstrap by subject, {RESAMPLES} samples, seed {seed}.{note}"
    )
}

/// The rows of the metrics that are shown, in their order.
pub(crate) fn shown_rows(comparison: &Comparison) -> Result<Vec<Row<'_>>, Error> {
    let mut rows = rows(comparison)?;
    if !comparison.shown.is_empty() {
        let rank = |row: &Row<'_>| comparison.shown.iter().position(|name| name == row.metric);
        rows.retain(|row| rank(row).is_some());
        rows.sort_by_key(rank);
    }
    Ok(rows)
}

pub(crate) fn goal(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
        Better::NearZero => "0 is best",
        Better::NearOne => "1 is best",
        Better::Neither => "as it is",
    }
}

pub(crate) fn shown(estimate: &Estimate, signed: bool) -> String {
    let numbers = [estimate.value, estimate.ci95[0], estimate.ci95[1]];
    let largest = numbers.iter().filter(|number| number.is_finite()).fold(0.0_f64, |most, n| most.max(n.abs()));
    let [value, low, high] = numbers.map(|number| plain(number, decimals(largest), signed));
    if estimate.ci95.iter().all(|end| end.is_finite()) { format!("{value} [{low}, {high}]") } else { value }
}

/// As many as give a number of this size three digits that count.
fn decimals(size: f64) -> usize {
    if size == 0.0 { 0 } else { (2.0 - size.log10().floor()).clamp(0.0, 9.0) as usize }
}

/// With a sign for differences.
fn plain(value: f64, decimals: usize, signed: bool) -> String {
    let text = if signed { format!("{value:+.decimals$}") } else { format!("{value:.decimals$}") };
    text.replace('-', "−")
}

fn rows(comparison: &Comparison) -> Result<Vec<Row<'_>>, Error> {
    let named = comparison.observations.iter().map(|o| (o.metric.as_str(), o.method.as_str()));
    let pooled = comparison.pooled.iter().map(|p| (p.metric.as_str(), p.method.as_str()));
    let pairs: Vec<(&str, &str)> = named.chain(pooled).collect();
    let metrics = distinct(pairs.iter().map(|(metric, _)| *metric));
    let methods = distinct(pairs.iter().map(|(_, method)| *method));
    let means = subject_means(comparison);
    let mut rows = Vec::new();
    for metric in metrics {
        for method in methods.iter().copied().filter(|method| pairs.contains(&(metric, *method))) {
            rows.push(row(comparison, &means, metric, method)?);
        }
    }
    Ok(rows)
}

/// (metric, method) -> subject -> mean value.
type Means<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<&'a str, f64>>;

fn subject_means(comparison: &Comparison) -> Means<'_> {
    let mut values: BTreeMap<(&str, &str), BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for o in &comparison.observations {
        let subjects = values.entry((&o.metric, &o.method)).or_default();
        let of_subject = subjects.entry(&o.subject).or_default();
        if o.value.is_finite() {
            of_subject.push(o.value);
        }
    }
    let mean = |list: &Vec<f64>| list.iter().sum::<f64>() / list.len() as f64;
    let of_subjects = |(key, subjects): (_, BTreeMap<_, Vec<f64>>)| {
        (key, subjects.into_iter().map(|(subject, list)| (subject, mean(&list))).collect())
    };
    values.into_iter().map(of_subjects).collect()
}

fn row<'a>(comparison: &Comparison, means: &Means<'_>, metric: &'a str, method: &'a str) -> Result<Row<'a>, Error> {
    let better = comparison.better.get(metric).copied().unwrap_or(Better::Lower);
    if let Some(whole) = comparison.pooled.iter().find(|p| p.metric == metric && p.method == method) {
        let difference = |against: &String| {
            let estimate = whole.differences.get(against)?;
            Some((*estimate, better.judge(estimate)))
        };
        let differences = comparison.against.iter().map(difference).collect();
        return Ok(Row { metric, method, better, estimate: Some(whole.estimate), differences });
    }
    let own = &means[&(metric, method)];
    let finite: Vec<f64> = own.values().copied().filter(|value| value.is_finite()).collect();
    let estimate = if finite.is_empty() { None } else { Some(bootstrap_mean(&finite, comparison.seed)?) };
    let difference = |against: &String| {
        let other = means.get(&(metric, against.as_str()))?;
        let (x, y): (Vec<f64>, Vec<f64>) = own.iter().filter_map(|(s, &x)| Some((x, *other.get(s)?))).unzip();
        paired_difference(&x, &y, better, comparison.seed).ok()
    };
    let before = comparison.against.iter().position(|name| name == method).unwrap_or(comparison.against.len());
    let difference_at = |(place, against)| if place < before { difference(against) } else { None };
    let differences = comparison.against.iter().enumerate().map(difference_at).collect();
    Ok(Row { metric, method, better, estimate, differences })
}

/// In the order in which they first appear.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    names.for_each(|name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
    });
    seen
}

#[cfg(test)]
pub(crate) fn sample() -> Comparison {
    let rows = [
        ("1", "none", "mae", 30.0),
        ("1", "net", "mae", 10.0),
        ("2", "none", "mae", 60.0),
        ("2", "net", "mae", 50.0),
        ("1", "net", "dice", 0.5),
        ("1", "net", "dice", 0.7),
        ("2", "net", "dice", f64::NAN),
    ];
    let observation = |(subject, method, metric, value): (&str, &str, &str, f64)| Observation {
        subject: subject.into(),
        method: method.into(),
        metric: metric.into(),
        value,
    };
    let share = |method: &str, value, differences| Pooled {
        method: method.into(),
        metric: "share".into(),
        estimate: Estimate { value, ci95: [value, value], n: 2 },
        differences,
    };
    let gain = Estimate { value: 0.25, ci95: [0.125, 0.5], n: 9 };
    Comparison {
        title: "Two subjects".into(),
        shown: vec!["mae".into(), "share".into(), "dice".into()],
        against: vec!["none".into()],
        better: [("mae", Better::Lower), ("dice", Better::Higher), ("share", Better::Higher)]
            .map(|(name, better)| (name.to_owned(), better))
            .into(),
        observations: rows.map(observation).into(),
        pooled: vec![share("none", 0.25, BTreeMap::new()), share("net", 0.5, [("none".into(), gain)].into())],
        seed: 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_means_differences_and_what_is_missing() {
        let expected = "\
### Two subjects

| metric | method | value [95 % CI] | against none |
|---|---|---|---|
| mae (lower is better) | none | 45.0 [30.0, 60.0] |  |
| mae (lower is better) | net | 30.0 [10.0, 50.0] | −15.0 [−20.0, −10.0] undecided |
| share (higher is better) | none | 0.250 [0.250, 0.250] |  |
| share (higher is better) | net | 0.500 [0.500, 0.500] | +0.250 [+0.125, +0.500] better |
| dice (higher is better) | net | 0.600 (n = 1) |  |

n = 2 subjects. Intervals: 95 % percentile bootstrap by subject, 2000 samples, seed 3.
";
        assert_eq!(comparison_markdown(&sample()).unwrap(), expected);
    }

    #[test]
    fn the_long_form_holds_every_value() {
        let csv = comparison_csv(&sample()).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[1], "mae,none,1,,30.0,,,,");
        assert_eq!(lines[7], "dice,net,2,,NaN,,,,");
        assert!(lines.contains(&"mae,net,,none,-15.0,-20.0,-10.0,2,undecided"), "{csv}");
        assert!(lines.contains(&"share,net,,none,0.25,0.125,0.5,9,better"), "{csv}");
        assert_eq!(lines.len(), 1 + 7 + 5 + 2);
    }
}
