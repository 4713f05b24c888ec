//! Which features agree with a reference, before and after each method.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isoscan_metrics::{Estimate, RESAMPLES, ShareGain, ccc, share_gain_by_subject, share_gain_by_unit};
use rhai::{Dynamic, Engine, Map};

use crate::{
    Error,
    comparison::told_estimate,
    options::Options,
    state::Run,
    value::{argument, number},
    verb::Verb,
};

/// The two rows of each pair, by their numbers.
type Sides<'a> = BTreeMap<(usize, usize), [Option<&'a Row>; 2]>;

/// Features of subjects by method; copies fill the same.
#[derive(Clone)]
struct Features(Arc<Mutex<Measured>>);

#[derive(Default)]
struct Measured {
    reference: String,
    none: String,
    threshold: f64,
    /// Names of features, with their place in `Row::values`.
    names: BTreeMap<String, usize>,
    subjects: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    subject: usize,
    group: String,
    method: String,
    /// Which of the subject's rows in this group and method it is, from 0.
    place: usize,
    values: Vec<f64>,
}

impl Features {
    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers `feature_pairs`, which says how many features agree with a reference.
///
/// - `feature_pairs()`, `feature_pairs(#{ reference: "reference", none: "none", threshold: 0.80 })`: empty;
/// - `add(subject, group, method, radiomics(...))`: the features of one region. Agreement is asked for every feature in every
///   group, such as `"ge/liver"`, over the subjects; several rows of one subject in one group, such as regions, are pairs of
///   their own that the bootstrap draws together. Shape features are left out, as they see the mask alone;
/// - `shares()`: for each method but the reference the share of features with CCC at or above the threshold as `pool` of a
///   `comparison` takes it, with the gain over `none` under `against`; beside it `features`, `undefined`, `rising` (the
///   share whose CCC is above that of `none`), and of the `units`, one for each group and class of features (first order,
///   texture, and each kind of filtered image), `units_rising`: the share whose mean CCC is above that of `none`, and
///   `share_of_units`, for `pool` too: the share whose mean CCC is at or above the threshold.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine.register_type_with_name::<Features>("Features");
    engine.register_fn("feature_pairs", || -> Verb<Features> { Ok(features(&Map::new())?) });
    engine.register_fn("feature_pairs", |options: Map| -> Verb<Features> { Ok(features(&options)?) });
    engine.register_fn(
        "add",
        |features: &mut Features, subject: Dynamic, group: &str, method: &str, values: Map| -> Verb<()> {
            Ok(add(&mut features.lock(), &subject.to_string(), group, method, &values)?)
        },
    );
    let shared = run.clone();
    engine.register_fn("shares", move |features: &mut Features| -> Verb<Map> {
        Ok(shares(&features.lock(), shared.seed)?)
    });
}

fn features(options: &Map) -> Result<Features, Error> {
    let options = Options::new("feature_pairs", options, &["reference", "none", "threshold"])?;
    let threshold = options.number("threshold", 0.80)?;
    if !(-1.0..=1.0).contains(&threshold) {
        return Err(argument("threshold", "a CCC in -1..1", threshold));
    }
    let reference = options.text("reference")?.unwrap_or_else(|| "reference".to_owned());
    let none = options.text("none")?.unwrap_or_else(|| "none".to_owned());
    Ok(Features(Arc::new(Mutex::new(Measured { reference, none, threshold, ..Measured::default() }))))
}

fn add(measured: &mut Measured, subject: &str, group: &str, method: &str, values: &Map) -> Result<(), Error> {
    let subject = measured.subjects.iter().position(|known| known == subject).unwrap_or_else(|| {
        measured.subjects.push(subject.to_owned());
        measured.subjects.len() - 1
    });
    let mut row = vec![f64::NAN; measured.names.len()];
    for (name, value) in values.iter().filter(|(name, _)| !is_shape(name)) {
        let next = measured.names.len();
        let place = *measured.names.entry(name.to_string()).or_insert(next);
        row.resize(row.len().max(place + 1), f64::NAN);
        row[place] = value.as_float().or_else(|_| number(name, value))?;
    }
    let same = |row: &&Row| row.subject == subject && row.group == group && row.method == method;
    let place = measured.rows.iter().filter(same).count();
    measured.rows.push(Row { subject, group: group.to_owned(), method: method.to_owned(), place, values: row });
    Ok(())
}

/// Whether a feature sees the mask alone.
pub(crate) fn is_shape(name: &str) -> bool {
    name.split('_').nth(1).is_some_and(|family| family.starts_with("shape"))
}

/// First order, texture, or the kind of filtered image that a feature is of.
fn class(name: &str) -> &str {
    let (image, rest) = name.split_once('_').unwrap_or((name, ""));
    match image.split('-').next().unwrap_or(image) {
        "original" if rest.starts_with("firstorder") => "firstorder",
        "original" => "texture",
        filtered => filtered,
    }
}

/// Of one feature in one group the pairs (value, reference).
type Pairs = Vec<[f64; 2]>;

fn shares(measured: &Measured, seed: u64) -> Result<Map, Error> {
    let mut methods: Vec<&str> = Vec::new();
    for row in measured.rows.iter().filter(|row| row.method != measured.reference) {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    let (keys, subjects, before) = pairs(measured, &measured.none);
    let mut told = Map::new();
    let units = units(&keys);
    let threshold = measured.threshold;
    for method in methods {
        let (_, _, after) = pairs(measured, method);
        let none = (method != measured.none).then_some(measured.none.as_str());
        let gain = share_gain_by_subject(&before, &after, &subjects, threshold, seed, RESAMPLES)?;
        let mut map = share(&gain, none);
        let gain = share_gain_by_unit(&before, &after, &subjects, &units, threshold, seed, RESAMPLES)?;
        map.insert("share_of_units".into(), share(&gain, none).into());
        if none.is_some() {
            rising(&keys, &before, &after).into_iter().for_each(|(name, value)| {
                map.insert(name.into(), value);
            });
        }
        told.insert(method.into(), map.into());
    }
    Ok(told)
}

fn share(gain: &ShareGain, none: Option<&str>) -> Map {
    let mut map = told_estimate(&Estimate { value: gain.after, ci95: gain.after_ci95, n: gain.subjects });
    map.insert("features".into(), Dynamic::from_int(gain.features as i64));
    map.insert("undefined".into(), Dynamic::from_int(gain.undefined as i64));
    if let Some(none) = none {
        let change = Estimate { value: gain.gain, ci95: gain.ci95, n: gain.subjects };
        let against = Map::from([(none.into(), Dynamic::from_map(told_estimate(&change)))]);
        map.insert("against".into(), against.into());
    }
    map
}

/// The number of each feature's unit: one for each group and class of features.
fn units(keys: &[(&str, &str)]) -> Vec<usize> {
    let of = |&(group, name): &(&str, &str)| (group.to_owned(), class(name).to_owned());
    let known: std::collections::BTreeSet<(String, String)> = keys.iter().map(of).collect();
    let numbers: BTreeMap<(String, String), usize> = known.into_iter().enumerate().map(|(n, unit)| (unit, n)).collect();
    keys.iter().map(|key| numbers[&of(key)]).collect()
}

/// (group, feature) in the order of their names, the subject of each pair, and the pairs of each.
fn pairs<'a>(measured: &'a Measured, method: &str) -> (Vec<(&'a str, &'a str)>, Vec<usize>, Vec<Pairs>) {
    let mut groups: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
    for row in &measured.rows {
        let side = match &row.method {
            name if *name == measured.reference => 1,
            name if name == method => 0,
            _ => continue,
        };
        groups.entry(&row.group).or_default().entry((row.subject, row.place)).or_default()[side] = Some(row);
    }
    let all: std::collections::BTreeSet<(usize, usize)> =
        measured.rows.iter().map(|row| (row.subject, row.place)).collect();
    let (mut keys, mut found) = (Vec::new(), Vec::new());
    for (group, rows) in groups {
        for (name, &place) in &measured.names {
            let value = |row: Option<&Row>| row.and_then(|row| row.values.get(place)).copied().unwrap_or(f64::NAN);
            let pair = |case: &(usize, usize)| rows.get(case).map_or([f64::NAN; 2], |sides| sides.map(value));
            keys.push((group, name.as_str()));
            found.push(all.iter().map(pair).collect());
        }
    }
    (keys, all.into_iter().map(|(subject, _)| subject).collect(), found)
}

/// The shares of features and of units that agree better than before.
fn rising(keys: &[(&str, &str)], before: &[Pairs], after: &[Pairs]) -> [(&'static str, Dynamic); 3] {
    let agreement = |pairs: &Pairs| {
        let finite = pairs.iter().filter(|pair| pair.iter().all(|value| value.is_finite()));
        let (x, y): (Vec<f64>, Vec<f64>) = finite.map(|&[x, y]| (x, y)).unzip();
        ccc(&x, &y).ok().map(|found| found.estimate)
    };
    let (mut rising, mut counted) = (0_usize, 0_usize);
    let mut units: BTreeMap<(&str, &str), [f64; 2]> = BTreeMap::new();
    for ((group, name), (b, a)) in keys.iter().zip(before.iter().zip(after)) {
        if let (Some(b), Some(a)) = (agreement(b), agreement(a)) {
            counted += 1;
            rising += usize::from(a > b);
            let sums = units.entry((group, class(name))).or_default();
            *sums = [sums[0] + b, sums[1] + a];
        }
    }
    let units_rising = units.values().filter(|[b, a]| a > b).count();
    let share = |part: usize, whole: usize| Dynamic::from_float(part as f64 / whole as f64);
    [
        ("rising", share(rising, counted)),
        ("units", Dynamic::from_int(units.len() as i64)),
        ("units_rising", share(units_rising, units.len())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(mean: f64, wavelet: f64) -> Map {
        let rows =
            [("original_firstorder_Mean", mean), ("wavelet-LLH_glcm_Id", wavelet), ("original_shape_Volume", 1.0)];
        rows.map(|(name, value)| (name.into(), Dynamic::from_float(value))).into()
    }

    /// The mean is shifted far off and corrected by the method; the other feature agrees always.
    #[test]
    fn a_corrected_feature_counts_as_gained() {
        let features = features(&Map::new()).unwrap();
        for (subject, level) in [("a", 1.0), ("b", 2.0), ("c", 4.0), ("d", 5.0)] {
            for (method, shift) in [("none", 50.0), ("net", 0.1), ("reference", 0.0)] {
                add(&mut features.lock(), subject, "liver", method, &values(level + shift, level)).unwrap();
            }
        }
        let found = shares(&features.lock(), 1).unwrap();
        let number = |method: &str, name: &str| found[method].read_lock::<Map>().unwrap()[name].as_float().unwrap();
        assert_eq!((number("none", "value"), number("net", "value")), (0.5, 1.0));
        assert_eq!((number("net", "rising"), number("net", "units_rising")), (0.5, 0.5));
        let net = found["net"].read_lock::<Map>().unwrap();
        assert_eq!((net["features"].as_int(), net["units"].as_int()), (Ok(2), Ok(2)));
        assert_eq!(net["share_of_units"].read_lock::<Map>().unwrap()["value"].as_float(), Ok(1.0));
        assert!(!found.contains_key("reference"));
    }

    #[test]
    fn features_fall_into_classes_by_image_and_family() {
        let rows = [
            ("original_firstorder_Mean", "firstorder"),
            ("original_glcm_Id", "texture"),
            ("wavelet-HHL_firstorder_Mean", "wavelet"),
            ("log-sigma-2-0-mm-3D_glcm_Id", "log"),
        ];
        rows.iter().for_each(|(name, expected)| assert_eq!(class(name), *expected));
    }
}
