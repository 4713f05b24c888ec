use std::{collections::BTreeMap, sync::Arc};

use isoscan_metrics::{Similarity, ccc, share_gain};
use isoscan_radiomics::FeatureFamily;
use isoscan_report::{
    CccRow, DifferencePlot, FeatureRow, MethodResult, Origin, Outcome, PluginVersion, Report, Role, Script,
    SimilarityRow, Stage, SubjectRow,
};
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};

use crate::{
    Error,
    cohort::{Cohort, Subject},
    record::{Compared, Record},
    scan::Maker,
    state::Run,
    value::{argument, number, told},
};

type Verb<T> = Result<T, Box<EvalAltResult>>;

const SOURCE: &str = "source";
const REFERENCE: &str = "reference";
/// Features that the page plots subject by subject.
const PLOTTED: [&str; 3] =
    ["original_firstorder_Mean", "original_firstorder_Variance", "original_glcm_DifferenceEntropy"];
/// Fewer subjects than this carry no interval of agreement.
const FEWEST_SUBJECTS: usize = 4;

/// Registers `report`, which judges what the subjects' records hold and writes the tables and the page.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("report", move |cohort: &mut Cohort, options: Map| -> Verb<Map> {
        Ok(write(&shared, cohort, &Options::parse(&options)?)?)
    });
}

struct Options {
    title: String,
    methods: Vec<String>,
    threshold: f64,
    source: String,
    reference: Option<String>,
}

impl Options {
    fn parse(given: &Map) -> Result<Self, Error> {
        let known = ["title", "methods", "threshold", "source", "reference"];
        if let Some(unknown) = given.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(argument("option of report", &format!("one of {}", known.join(", ")), unknown));
        }
        let text = |key: &str| given.get(key).and_then(|value| value.clone().into_string().ok());
        let methods = given.get("methods").and_then(|value| value.read_lock::<Array>().map(|list| list.to_vec()));
        let methods: Vec<String> = methods.into_iter().flatten().filter_map(|name| name.into_string().ok()).collect();
        if methods.is_empty() {
            return Err(argument(
                "methods",
                "a list of plugin ids, the judged one first",
                told_or_nothing(given, "methods"),
            ));
        }
        let threshold = given.get("threshold").map_or(Ok(0.80), |value| number("threshold", value))?;
        if !(-1.0..=1.0).contains(&threshold) {
            return Err(argument("threshold", "a CCC in -1..1", threshold));
        }
        Ok(Self {
            title: text("title").unwrap_or_else(|| "Isoscan study".to_owned()),
            methods,
            threshold,
            source: text("source").unwrap_or_else(|| "the scans of the cohort".to_owned()),
            reference: text("reference"),
        })
    }
}

fn told_or_nothing(map: &Map, key: &str) -> String {
    map.get(key).map_or_else(|| "nothing".to_owned(), told)
}

/// Values of one feature by subject at one stage.
type BySubject = BTreeMap<usize, f64>;
/// (region, feature), in the order of names.
type Key = (String, String);

/// Writes `features.csv`, `ccc.csv`, `report.html` and gives the script the share before and after by method.
fn write(run: &Run, cohort: &Cohort, options: &Options) -> Result<Map, Error> {
    let report = judge(run, cohort, options)?;
    let rows: Vec<FeatureRow> = cohort.subjects.iter().flat_map(rows).collect();
    let files = [
        ("features.csv", isoscan_report::features_csv(&rows)?),
        ("ccc.csv", isoscan_report::ccc_csv(&report.methods)?),
        ("report.html", isoscan_report::page(&report)?),
    ];
    for (name, text) in files {
        let path = run.access.writable(name)?;
        isoscan_io::write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
        run.wrote(&path)?;
    }
    let mut summary = Map::new();
    let judged = report.methods.iter().map(|method| isoscan_report::verdict(method, options.threshold).sentence.into());
    summary.insert("verdicts".into(), judged.collect::<Array>().into());
    for method in &report.methods {
        let mut map = Map::new();
        if let Some(gain) = &method.gain {
            map.insert("before".into(), Dynamic::from_float(gain.before));
            map.insert("after".into(), Dynamic::from_float(gain.after));
            map.insert("gain".into(), Dynamic::from_float(gain.gain));
            map.insert("ci95".into(), gain.ci95.iter().map(|&v| Dynamic::from_float(v)).collect::<Array>().into());
        }
        summary.insert(method.name.as_str().into(), map.into());
    }
    Ok(summary)
}

fn rows(subject: &Subject) -> Vec<FeatureRow> {
    let record = subject.record();
    let stage = |name: &str| match name {
        SOURCE => Stage::Source,
        REFERENCE => Stage::Reference,
        method => Stage::Translated(method.to_owned()),
    };
    let measured = record.features.iter();
    measured
        .map(|row| FeatureRow {
            subject: subject.id().to_owned(),
            roi: row.roi.clone(),
            stage: stage(&row.stage),
            values: row.table.features.iter().map(|f| (f.name.clone(), f.value)).collect(),
        })
        .collect()
}

fn judge(run: &Run, cohort: &Cohort, options: &Options) -> Result<Report, Error> {
    let values = by_stage(cohort);
    let has_reference = values.contains_key(REFERENCE);
    let methods: Vec<MethodResult> = options
        .methods
        .iter()
        .enumerate()
        .map(|(rank, name)| method(run, cohort, options, &values, name, rank))
        .collect::<Result<_, _>>()?;
    let mut slices = Vec::new();
    let mut subjects = Vec::new();
    for subject in cohort.subjects.iter() {
        let mut record = subject.record();
        slices.append(&mut record.figures);
        subjects.extend(outcomes(subject.id(), &record));
    }
    let plotted = options.methods.iter().flat_map(|name| plots(&values, name)).collect();
    Ok(Report {
        title: options.title.clone(),
        origin: if cohort.phantom { Origin::Phantom } else { Origin::Acquired },
        source: options.source.clone(),
        reference: options.reference.clone().filter(|_| has_reference),
        threshold: options.threshold,
        seed: run.seed,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        script: Script { name: run.script_name.clone(), sha256: run.script_sha256.clone() },
        subjects,
        methods,
        slices,
        bland_altman: plotted,
        provenance: provenance(run),
        warnings: warnings(cohort),
        definitions: definitions(cohort),
    })
}

/// stage -> (region, feature) -> subject -> value. Shape features are left out: they see the mask alone, which is the
/// same at every stage.
fn by_stage(cohort: &Cohort) -> BTreeMap<String, BTreeMap<Key, BySubject>> {
    let mut values: BTreeMap<String, BTreeMap<Key, BySubject>> = BTreeMap::new();
    for (index, subject) in cohort.subjects.iter().enumerate() {
        for row in &subject.record().features {
            let stage = values.entry(row.stage.clone()).or_default();
            let judged = row.table.features.iter().filter(|f| f.family != FeatureFamily::Shape);
            for feature in judged {
                stage.entry((row.roi.clone(), feature.name.clone())).or_default().insert(index, feature.value);
            }
        }
    }
    values
}

/// Pairs (value, reference), one for each subject.
type Pairs = Vec<[f64; 2]>;

/// Pairs of the subjects that have both, and the untranslated pairs of the same subjects.
fn pairs(values: &BTreeMap<String, BTreeMap<Key, BySubject>>, method: &str, key: &Key) -> Option<(Pairs, Pairs)> {
    let at = |stage: &str| values.get(stage).and_then(|features| features.get(key));
    let (source, reference, after) = (at(SOURCE)?, at(REFERENCE)?, at(method)?);
    let mut both = (Vec::new(), Vec::new());
    for (subject, &goal) in reference {
        if let (Some(&untranslated), Some(&translated)) = (source.get(subject), after.get(subject)) {
            both.0.push([untranslated, goal]);
            both.1.push([translated, goal]);
        }
    }
    Some(both)
}

fn method(
    run: &Run,
    cohort: &Cohort,
    options: &Options,
    values: &BTreeMap<String, BTreeMap<Key, BySubject>>,
    name: &str,
    rank: usize,
) -> Result<MethodResult, Error> {
    let maker = cohort.subjects.iter().find_map(|subject| {
        let record = subject.record();
        record.makers.iter().find(|(stage, _)| stage == name).map(|(_, maker)| maker.clone())
    });
    let mut rows = Vec::new();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let keys = values.get(name).map(|features| features.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    for key in keys {
        let Some((untranslated, translated)) = pairs(values, name, &key) else { continue };
        let (first, second) = (agreement(&untranslated), agreement(&translated));
        let reason = first.as_ref().err().or(second.as_ref().err()).cloned();
        rows.push(CccRow { roi: key.0, feature: key.1, before: first.ok(), after: second.ok(), reason });
        if untranslated.len() >= FEWEST_SUBJECTS {
            before.push(untranslated);
            after.push(translated);
        }
    }
    let not_judged = not_judged(cohort, values, name, before.is_empty());
    let gain = match before.is_empty() {
        true => None,
        false => Some(share_gain(&common(&before), &common(&after), options.threshold, run.seed)?),
    };
    Ok(MethodResult {
        name: name.to_owned(),
        role: if rank == 0 { Role::Candidate } else { Role::Baseline },
        params: maker.as_ref().map(params).unwrap_or_default(),
        plugin: maker.map(|maker| PluginVersion {
            id: maker.plugin,
            version: maker.version,
            sha256: maker.library_sha256,
            weights_sha256: maker.weights_sha256,
        }),
        not_judged,
        gain,
        ccc: rows,
        similarity: similarity(cohort, name),
    })
}

/// Only features that the largest number of subjects have: the bootstrap draws whole subjects.
fn common(features: &[Vec<[f64; 2]>]) -> Vec<Vec<[f64; 2]>> {
    let most = features.iter().map(Vec::len).max().unwrap_or(0);
    features.iter().filter(|pairs| pairs.len() == most).cloned().collect()
}

fn agreement(pairs: &[[f64; 2]]) -> Result<isoscan_metrics::Ccc, String> {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&[x, y]| (x, y)).unzip();
    ccc(&x, &y).map_err(|error| error.to_string())
}

fn not_judged(
    cohort: &Cohort,
    values: &BTreeMap<String, BTreeMap<Key, BySubject>>,
    name: &str,
    no_pairs: bool,
) -> Option<String> {
    if !no_pairs {
        return None;
    }
    if !values.contains_key(name) {
        let failure = cohort.subjects.iter().find_map(|subject| {
            let record = subject.record();
            record.failures.iter().find(|failure| failure.stage == name).map(|failure| failure.message.clone())
        });
        return Some(failure.unwrap_or_else(|| "the script did not measure it".to_owned()));
    }
    if !values.contains_key(REFERENCE) {
        return Some("there is no reference to agree with".to_owned());
    }
    Some(format!("fewer than {FEWEST_SUBJECTS} subjects have source, translated and reference values"))
}

fn params(maker: &Maker) -> BTreeMap<String, String> {
    let object = maker.params.as_object().into_iter().flatten();
    object.map(|(name, value)| (name.clone(), value.to_string().trim_matches('"').to_owned())).collect()
}

/// Means over the subjects that have both the source and the method compared.
fn similarity(cohort: &Cohort, name: &str) -> Vec<SimilarityRow> {
    let mut pairs: Vec<(Similarity, Similarity)> = Vec::new();
    let mut unit = String::new();
    for subject in cohort.subjects.iter() {
        let record = subject.record();
        let of = |stage: &str| record.similarities.iter().find(|compared| compared.stage == stage).cloned();
        if let (Some(before), Some(after)) = (of(SOURCE), of(name)) {
            unit.clone_from(&before.unit);
            pairs.push((before.alike, after.alike));
        }
    }
    if pairs.is_empty() {
        return Vec::new();
    }
    let mean =
        |value: &dyn Fn(&(Similarity, Similarity)) -> f64| pairs.iter().map(value).sum::<f64>() / pairs.len() as f64;
    let row = |name: &str, unit: &str, higher: bool, value: fn(&Similarity) -> f64| SimilarityRow {
        name: name.to_owned(),
        unit: unit.to_owned(),
        before: mean(&|pair| value(&pair.0)),
        after: mean(&|pair| value(&pair.1)),
        higher_is_better: higher,
        n: pairs.len(),
    };
    vec![
        row("MAE", &unit, false, |s| s.mae),
        row("RMSE", &unit, false, |s| s.rmse),
        row("PSNR", "dB", true, |s| s.psnr),
        row("SSIM", "", true, |s| s.ssim),
    ]
}

fn outcomes(id: &str, record: &Record) -> Vec<SubjectRow> {
    let failed = |failure: &crate::record::Failure| {
        let whole = failure.stage == "subject";
        SubjectRow {
            id: id.to_owned(),
            method: (!whole).then(|| failure.stage.clone()),
            outcome: Outcome::Failed {
                stage: if whole { "subject".to_owned() } else { "translate".to_owned() },
                message: failure.message.clone(),
            },
        }
    };
    let whole_failed = record.failures.iter().any(|failure| failure.stage == "subject");
    let done = (!whole_failed).then(|| SubjectRow { id: id.to_owned(), method: None, outcome: Outcome::Done });
    done.into_iter().chain(record.failures.iter().map(failed)).collect()
}

fn plots(values: &BTreeMap<String, BTreeMap<Key, BySubject>>, method: &str) -> Vec<DifferencePlot> {
    let Some(features) = values.get(method) else { return Vec::new() };
    let region = |key: &&Key| ["liver", "whole-body", "mask"].contains(&key.0.as_str());
    let wanted = features.keys().filter(region).filter(|key| PLOTTED.contains(&key.1.as_str()));
    wanted
        .filter_map(|key| {
            let (before, after) = pairs(values, method, key)?;
            let (roi, feature) = key.clone();
            Some(DifferencePlot { method: method.to_owned(), feature, roi, before, after })
        })
        .collect()
}

fn provenance(run: &Run) -> Vec<(String, String)> {
    let ledger = run.ledger();
    let mut facts: Vec<(String, String)> =
        ledger.settings.iter().map(|(key, value)| (format!("setting {key}"), value.to_string())).collect();
    facts.push(("input files".to_owned(), ledger.inputs.len().to_string()));
    let listed = serde_json::to_string(&ledger.inputs).unwrap_or_default();
    facts.push(("SHA-256 of the list of inputs".to_owned(), isoscan_io::sha256(listed.as_bytes())));
    facts
}

fn warnings(cohort: &Cohort) -> Vec<String> {
    let mut outside: BTreeMap<String, u64> = BTreeMap::new();
    for subject in cohort.subjects.iter() {
        for (_, maker) in &subject.record().makers {
            if maker.outside_range > 0 {
                *outside.entry(maker.plugin.clone()).or_default() += 1;
            }
        }
    }
    let said = |(plugin, subjects): (String, u64)| {
        format!("{subjects} subjects hold voxels outside the intensities that plugin {plugin} was made for")
    };
    outside.into_iter().map(said).collect()
}

fn definitions(cohort: &Cohort) -> Vec<(String, String)> {
    let mut named = vec![
        (
            "CCC".to_owned(),
            "Lin's concordance correlation coefficient with variances over n; 95 % interval by Fisher's z".to_owned(),
        ),
        (
            "Share".to_owned(),
            "features of all regions with CCC at or above the threshold, shape features left out since they see \
             only the mask; 95 % interval by resampling subjects 2000 times"
                .to_owned(),
        ),
    ];
    let compared = cohort.subjects.iter().find_map(|subject| subject.record().similarities.first().cloned());
    if let Some(Compared { alike, .. }) = compared {
        named.push(("MAE, RMSE".to_owned(), "over the voxels of the reference's body".to_owned()));
        named.push(("PSNR".to_owned(), alike.psnr_definition));
        named.push(("SSIM".to_owned(), alike.ssim_definition));
    }
    named
}
