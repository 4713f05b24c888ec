use isoscan_metrics::{Better, Judgement};
use minijinja::value::Serde;
use serde::Serialize;

use crate::comparison::{Comparison, Row, distinct, goal, note, shown, shown_rows};
use crate::error::Error;
use crate::model::Script;
use crate::page::rendered;

/// What made a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Making {
    /// Version of the engine.
    pub engine_version: String,
    /// The script that measured.
    pub script: Script,
    /// Facts that someone needs who wants to measure again, as name and value, in the order to print.
    pub provenance: Vec<(String, String)>,
}

/// The table of a study as one HTML page: for every method what it does better and worse than no translation and the
/// baselines, and every metric that is shown with its intervals. No script, nothing fetched, every text escaped.
///
/// # Errors
/// [`Error::Metrics`] when no interval can be drawn, [`Error::Template`] when the library underneath refuses.
pub fn comparison_page(comparison: &Comparison, making: &Making) -> Result<String, Error> {
    let rows = shown_rows(comparison)?;
    let subjects = comparison.subjects();
    let view = View {
        title: &comparison.title,
        seed: comparison.seed,
        engine_version: &making.engine_version,
        script: &making.script.name,
        script_sha256: &making.script.sha256,
        subjects,
        against: &comparison.against,
        verdicts: verdicts(comparison, &rows),
        metrics: distinct(rows.iter().map(|row| row.metric))
            .into_iter()
            .map(|name| metric(&rows, name, subjects))
            .collect(),
        note: note(comparison, &rows),
        provenance: &making.provenance,
    };
    rendered("comparison.html", include_str!("comparison.html"), Serde(view))
}

#[derive(Serialize)]
struct View<'a> {
    title: &'a str,
    seed: u64,
    engine_version: &'a str,
    script: &'a str,
    script_sha256: &'a str,
    subjects: usize,
    against: &'a [String],
    verdicts: Vec<VerdictView<'a>>,
    metrics: Vec<MetricView<'a>>,
    note: String,
    provenance: &'a [(String, String)],
}

/// One method against another one.
#[derive(Serialize)]
struct VerdictView<'a> {
    method: &'a str,
    against: &'a str,
    better: Vec<&'a str>,
    worse: Vec<&'a str>,
    undecided: Vec<&'a str>,
    class: &'static str,
}

#[derive(Serialize)]
struct MetricView<'a> {
    name: &'a str,
    goal: &'static str,
    /// Ends of the tracks.
    ends: Option<[String; 2]>,
    rows: Vec<RowView<'a>>,
}

#[derive(Serialize)]
struct RowView<'a> {
    method: &'a str,
    value: String,
    few: Option<String>,
    /// Places on a track of 100 %: value, begin and width of the interval.
    track: Option<[f64; 3]>,
    differences: Vec<Option<DifferenceView>>,
}

#[derive(Serialize)]
struct DifferenceView {
    text: String,
    word: &'static str,
    class: &'static str,
}

fn verdicts<'a>(comparison: &'a Comparison, rows: &[Row<'a>]) -> Vec<VerdictView<'a>> {
    let mut verdicts = Vec::new();
    for method in distinct(rows.iter().map(|row| row.method)) {
        for (place, against) in comparison.against.iter().enumerate() {
            let judged = |wanted: Judgement| -> Vec<&'a str> {
                let is_wanted = |row: &&Row<'a>| {
                    let difference = row.differences.get(place).and_then(Option::as_ref);
                    row.method == method
                        && row.better != Better::Neither
                        && difference.is_some_and(|(_, judgement)| *judgement == wanted)
                };
                rows.iter().filter(is_wanted).map(|row| row.metric).collect()
            };
            let [better, worse, undecided] = [Judgement::Better, Judgement::Worse, Judgement::Undecided].map(judged);
            let class = match (better.is_empty(), worse.is_empty()) {
                (false, true) => "rises",
                (true, false) => "falls",
                _ => "",
            };
            if !(better.is_empty() && worse.is_empty() && undecided.is_empty()) {
                verdicts.push(VerdictView { method, against, better, worse, undecided, class });
            }
        }
    }
    verdicts
}

fn metric<'a>(rows: &[Row<'a>], name: &'a str, subjects: usize) -> MetricView<'a> {
    let rows: Vec<&Row<'a>> = rows.iter().filter(|row| row.metric == name).collect();
    let estimates = rows.iter().filter_map(|row| row.estimate);
    let numbers = estimates.flat_map(|e| [e.value, e.ci95[0], e.ci95[1]]).filter(|number| number.is_finite());
    let [low, high] = numbers.fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], n| [l.min(n), h.max(n)]);
    let place = |number: f64| 100.0 * (number - low) / (high - low);
    let row = |row: &&Row<'a>| RowView {
        method: row.method,
        value: row.value(),
        few: row.few(subjects),
        track: row.estimate.filter(|e| e.value.is_finite() && high > low).map(|e| {
            let [begin, end] = e.ci95.map(|edge| place(if edge.is_finite() { edge } else { e.value }));
            [place(e.value), begin, end - begin]
        }),
        differences: row
            .differences
            .iter()
            .map(|given| given.as_ref().map(|(e, j)| difference(e, *j, row.better)))
            .collect(),
    };
    let end = |value: f64| shown(&isoscan_metrics::Estimate { value, ci95: [f64::NAN; 2], n: 0 }, false);
    MetricView {
        name,
        goal: rows.first().map_or("", |row| goal(row.better)),
        ends: (high > low).then(|| [end(low), end(high)]),
        rows: rows.iter().map(row).collect(),
    }
}

fn difference(estimate: &isoscan_metrics::Estimate, judgement: Judgement, better: Better) -> DifferenceView {
    let (word, class) = match (better, judgement) {
        (Better::Neither, _) => ("", ""),
        (_, Judgement::Better) => (judgement.word(), "rises"),
        (_, Judgement::Worse) => (judgement.word(), "falls"),
        (_, Judgement::Undecided) => (judgement.word(), ""),
    };
    DifferenceView { text: shown(estimate, true), word, class }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::sample;

    fn made(comparison: &Comparison) -> String {
        let script = Script { name: "study.rhai".into(), sha256: "ab".into() };
        let provenance = vec![("plugin".into(), "net 1.0.0".into())];
        comparison_page(comparison, &Making { engine_version: "0.1.0".into(), script, provenance }).unwrap()
    }

    #[test]
    fn a_method_is_judged_against_each_baseline_in_words() {
        let html = made(&sample());
        assert!(html.contains("<b>net</b> against none"), "{html}");
        assert!(html.contains("better</span> in <b>share</b>") && html.contains("undecided in <b>mae</b>"), "{html}");
        assert!(!html.contains("<b>none</b> against none"));
        assert!(html.contains("+0.250 [+0.125, +0.500]") && html.contains("0.600 (n = 1)"), "{html}");
        assert!(html.contains("net 1.0.0") && html.contains("n = 2 subjects."));
    }

    #[test]
    fn the_page_of_a_table_fetches_nothing_and_escapes_markup() {
        let mut attacked = sample();
        attacked.title = "<script>alert(1)</script>".into();
        attacked.observations[1].method = "<b onload=x>".into();
        let html = made(&attacked);
        assert!(!html.contains("<script") && !html.contains("<b onload"));
        assert!(html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
        for fetched in ["src=\"http", "href=\"http", "url(http", "@import", "<link"] {
            assert!(!html.contains(fetched), "{fetched}");
        }
    }
}
