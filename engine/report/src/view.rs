//! The report as the template reads it: every number already in words, in the order of the page.

mod slices;

use serde::Serialize;

use crate::error::Error;
use crate::model::{CccRow, DifferencePlot, MethodResult, Origin, Outcome, Report, Role, SimilarityRow};
use crate::plots::{self, significant};
use crate::slice;
use crate::verdict::{Finding, percent, signed_points, verdict};
use crate::view::slices::{SliceView, slice_views};

/// Rows of a list that the page shows before the rest is folded away.
const SHOWN: usize = 12;

#[derive(Serialize)]
pub(crate) struct View<'a> {
    title: &'a str,
    phantom: bool,
    source: &'a str,
    reference: Option<&'a str>,
    threshold: String,
    seed: u64,
    engine_version: &'a str,
    script: &'a str,
    script_sha256: &'a str,
    subjects: usize,
    finished: usize,
    headline: Headline,
    methods: Vec<MethodView<'a>>,
    faults: Vec<Fault<'a>>,
    slices: Vec<SliceView<'a>>,
    gradient: String,
    differences: Vec<DifferenceView<'a>>,
    provenance: &'a [(String, String)],
    warnings: &'a [String],
    definitions: &'a [(String, String)],
    resamples: Option<usize>,
    cyclegan: bool,
}

/// The verdict on top of the page.
#[derive(Serialize)]
struct Headline {
    class: &'static str,
    sentence: String,
    before: Option<String>,
    after: Option<String>,
    gain: Option<String>,
    interval: Option<String>,
    /// A sentence about the baseline that does better, if one does.
    beaten: Option<String>,
}

#[derive(Serialize)]
struct MethodView<'a> {
    name: &'a str,
    candidate: bool,
    class: &'static str,
    sentence: String,
    plugin: Option<String>,
    sha256: Option<&'a str>,
    weights_sha256: Option<&'a str>,
    params: Vec<(&'a str, &'a str)>,
    gain: Option<GainView>,
    scatter: Option<String>,
    counts: Counts,
    worse: Vec<RowView<'a>>,
    worse_rest: Vec<RowView<'a>>,
    rows: Vec<RowView<'a>>,
    similarity: Vec<SimilarityView<'a>>,
}

#[derive(Serialize)]
struct GainView {
    before: String,
    after: String,
    gain: String,
    interval: String,
    /// Positions on a track of 100 %.
    from: f64,
    to: f64,
    left: f64,
    width: f64,
    features: usize,
    undefined: usize,
    subjects: usize,
}

/// How many features crossed the threshold in which direction.
#[derive(Default, Serialize)]
struct Counts {
    total: usize,
    reached: usize,
    lost: usize,
    worse: usize,
}

#[derive(Serialize)]
struct RowView<'a> {
    feature: &'a str,
    roi: &'a str,
    before: String,
    after: String,
    change: String,
    class: &'static str,
}

#[derive(Serialize)]
struct SimilarityView<'a> {
    name: &'a str,
    unit: &'a str,
    before: String,
    after: String,
    class: &'static str,
    n: usize,
}

#[derive(Serialize)]
struct Fault<'a> {
    subject: &'a str,
    method: &'a str,
    stage: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct DifferenceView<'a> {
    method: &'a str,
    feature: &'a str,
    roi: &'a str,
    panels: [PanelView; 2],
}

#[derive(Serialize)]
struct PanelView {
    name: &'static str,
    svg: Option<String>,
    caption: String,
}

impl<'a> View<'a> {
    pub(crate) fn new(report: &'a Report) -> Result<View<'a>, Error> {
        let faults = faults(report);
        let ids: std::collections::BTreeSet<&str> = report.subjects.iter().map(|row| row.id.as_str()).collect();
        let failed: std::collections::BTreeSet<&str> = faults.iter().map(|fault| fault.subject).collect();
        Ok(View {
            title: &report.title,
            phantom: report.origin == Origin::Phantom,
            source: &report.source,
            reference: report.reference.as_deref(),
            threshold: format!("{:.2}", report.threshold),
            seed: report.seed,
            engine_version: &report.engine_version,
            script: &report.script.name,
            script_sha256: &report.script.sha256,
            subjects: ids.len(),
            finished: ids.len() - failed.len(),
            headline: headline(report),
            methods: report
                .methods
                .iter()
                .enumerate()
                .map(|(index, method)| method_view(method, index, report.threshold))
                .collect(),
            faults,
            slices: slice_views(&report.slices)?,
            gradient: slice::signed_gradient(),
            differences: report
                .bland_altman
                .iter()
                .enumerate()
                .map(|(index, plot)| difference_view(plot, index))
                .collect(),
            provenance: &report.provenance,
            warnings: &report.warnings,
            definitions: &report.definitions,
            resamples: report.methods.iter().find_map(|method| method.gain.as_ref().map(|gain| gain.resamples)),
            cyclegan: report.methods.iter().filter_map(|method| method.plugin.as_ref()).any(|p| p.id == "cyclegan"),
        })
    }
}

fn faults(report: &Report) -> Vec<Fault<'_>> {
    let rows = report.subjects.iter();
    rows.filter_map(|row| match &row.outcome {
        Outcome::Done => None,
        Outcome::Failed { stage, message } => {
            Some(Fault { subject: &row.id, method: row.method.as_deref().unwrap_or("all"), stage, message })
        }
    })
    .collect()
}

fn headline(report: &Report) -> Headline {
    let candidate = report.methods.iter().find(|method| method.role == Role::Candidate);
    let Some(method) = candidate.or(report.methods.first()) else {
        return Headline {
            class: class(Finding::CannotBeJudged),
            sentence: "Nothing can be judged: no method was run.".into(),
            before: None,
            after: None,
            gain: None,
            interval: None,
            beaten: None,
        };
    };
    let found = verdict(method, report.threshold);
    let gain = method.gain.as_ref();
    Headline {
        class: class(found.finding),
        sentence: found.sentence,
        before: gain.map(|gain| percent(gain.before)),
        after: gain.map(|gain| percent(gain.after)),
        gain: gain.map(|gain| signed_points(gain.gain)),
        interval: gain.map(|gain| interval(gain.ci95)),
        beaten: gain.and_then(|gain| beaten(report, method, gain.gain)),
    }
}

/// Names the other method with the largest gain if it is larger than `gain`.
fn beaten(report: &Report, method: &MethodResult, gain: f64) -> Option<String> {
    let others = report.methods.iter().filter(|other| other.name != method.name);
    let (name, best) = others
        .filter_map(|other| Some((&other.name, other.gain.as_ref()?.gain)))
        .max_by(|(_, left), (_, right)| left.total_cmp(right))?;
    let words = format!(
        "{name} gains more than {}: {} against {} points.",
        method.name,
        signed_points(best),
        signed_points(gain)
    );
    (best > gain).then_some(words)
}

fn class(finding: Finding) -> &'static str {
    match finding {
        Finding::Rises => "rises",
        Finding::NoGain => "nogain",
        Finding::Falls => "falls",
        Finding::CannotBeJudged => "unjudged",
    }
}

fn interval([low, high]: [f64; 2]) -> String {
    if low.is_finite() && high.is_finite() {
        format!("[{}, {}]", signed_points(low), signed_points(high))
    } else {
        "undefined".into()
    }
}

fn method_view(method: &MethodResult, index: usize, threshold: f64) -> MethodView<'_> {
    let found = verdict(method, threshold);
    let plugin = method.plugin.as_ref();
    let mut worse: Vec<&CccRow> = method.ccc.iter().filter(|row| row.got_worse() == Some(true)).collect();
    worse.sort_by(|left, right| change(left).total_cmp(&change(right)));
    let rest = worse.split_off(worse.len().min(SHOWN));
    MethodView {
        name: &method.name,
        candidate: method.role == Role::Candidate,
        class: class(found.finding),
        sentence: found.sentence,
        plugin: plugin.map(|plugin| format!("{} {}", plugin.id, plugin.version)),
        sha256: plugin.map(|plugin| plugin.sha256.as_str()),
        weights_sha256: plugin.and_then(|plugin| plugin.weights_sha256.as_deref()),
        params: method.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        gain: method.gain.as_ref().map(gain_view),
        scatter: (!method.ccc.is_empty())
            .then(|| plots::agreement(&method.ccc, threshold, &format!("agreement-{index}"))),
        counts: counts(&method.ccc, threshold),
        worse: worse.into_iter().map(|row| row_view(row, threshold)).collect(),
        worse_rest: rest.into_iter().map(|row| row_view(row, threshold)).collect(),
        rows: method.ccc.iter().map(|row| row_view(row, threshold)).collect(),
        similarity: method.similarity.iter().map(similarity_view).collect(),
    }
}

fn gain_view(gain: &isoscan_metrics::ShareGain) -> GainView {
    let position = |share: f64| (1000.0 * share.clamp(0.0, 1.0)).round() / 10.0;
    let (from, to) = (position(gain.before), position(gain.after));
    GainView {
        before: percent(gain.before),
        after: percent(gain.after),
        gain: signed_points(gain.gain),
        interval: interval(gain.ci95),
        from,
        to,
        left: from.min(to),
        width: (10.0 * (to - from).abs()).round() / 10.0,
        features: gain.features,
        undefined: gain.undefined,
        subjects: gain.subjects,
    }
}

fn counts(rows: &[CccRow], threshold: f64) -> Counts {
    let mut counts = Counts { total: rows.len(), ..Counts::default() };
    for row in rows {
        let (Some(before), Some(after)) = (&row.before, &row.after) else { continue };
        let [before, after] = [before.estimate, after.estimate];
        counts.reached += usize::from(before < threshold && after >= threshold);
        counts.lost += usize::from(before >= threshold && after < threshold);
        counts.worse += usize::from(after < before);
    }
    counts
}

fn change(row: &CccRow) -> f64 {
    match (&row.before, &row.after) {
        (Some(before), Some(after)) => after.estimate - before.estimate,
        _ => f64::NAN,
    }
}

fn row_view(row: &CccRow, threshold: f64) -> RowView<'_> {
    let missing = || row.reason.clone().unwrap_or_else(|| "undefined".into());
    let text = |ccc: &Option<isoscan_metrics::Ccc>| {
        ccc.as_ref().map_or_else(missing, |ccc| {
            let [estimate, low, high] = [ccc.estimate, ccc.ci95[0], ccc.ci95[1]].map(three_decimals);
            format!("{estimate} [{low}, {high}]")
        })
    };
    let reached = |ccc: &Option<isoscan_metrics::Ccc>| ccc.as_ref().map(|ccc| ccc.estimate >= threshold);
    let class = match (reached(&row.before), reached(&row.after)) {
        (Some(false), Some(true)) => "gained",
        (Some(true), Some(false)) => "lost",
        (Some(true), Some(true)) => "kept",
        _ => "",
    };
    let change = change(row);
    let change = match (change.is_nan(), change > 0.0) {
        (true, _) => String::new(),
        (_, true) => format!("+{}", three_decimals(change)),
        _ => three_decimals(change),
    };
    RowView { feature: &row.feature, roi: &row.roi, before: text(&row.before), after: text(&row.after), change, class }
}

fn three_decimals(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let text = format!("{:.3}", value.abs());
    if value < 0.0 && text != "0.000" { format!("−{text}") } else { text }
}

fn similarity_view(row: &SimilarityRow) -> SimilarityView<'_> {
    let class = match (row.after > row.before, row.after < row.before) {
        (true, _) if row.higher_is_better => "better",
        (_, true) if !row.higher_is_better => "better",
        (false, false) => "",
        _ => "poorer",
    };
    let [before, after] = [row.before, row.after].map(significant);
    SimilarityView { name: &row.name, unit: &row.unit, before, after, class, n: row.n }
}

fn difference_view(plot: &DifferencePlot, index: usize) -> DifferenceView<'_> {
    let drawn = plots::differences(&plot.before, &plot.after, &format!("differences-{index}"));
    let panel = |name, arm: Result<(String, isoscan_metrics::BlandAltman), String>| match arm {
        Ok((svg, found)) => PanelView {
            name,
            svg: Some(svg),
            caption: format!(
                "mean {}, limits of agreement {} to {}, n = {}",
                significant(found.mean_difference),
                significant(found.limits[0]),
                significant(found.limits[1]),
                found.n
            ),
        },
        Err(reason) => PanelView { name, svg: None, caption: reason },
    };
    DifferenceView {
        method: &plot.method,
        feature: &plot.feature,
        roi: &plot.roi,
        panels: [panel("before", drawn.before), panel("after", drawn.after)],
    }
}
