//! The table of a study, filled by a script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isoscan_metrics::{Better, Estimate};
use isoscan_report::{
    Comparison, Making, Observation, Pooled, Script, comparison_csv, comparison_markdown, comparison_page,
};
use rhai::{Array, Dynamic, Engine, Map};

use crate::{
    Error,
    ledger::PluginRecord,
    options::{Options, choice, list, text},
    state::Run,
    value::{argument, number, told},
    verb::Verb,
};

/// Directions of the metrics that the engine's verbs give; `mae_bone` goes by its first word.
const KNOWN: [(&str, Better); 25] = [
    ("mae", Better::Lower),
    ("rmse", Better::Lower),
    ("bias", Better::NearZero),
    ("psnr", Better::Higher),
    ("ssim", Better::Higher),
    ("sharpness", Better::NearOne),
    ("invented", Better::Lower),
    ("lost", Better::Lower),
    ("found", Better::Neither),
    ("expected", Better::Neither),
    ("dice", Better::Higher),
    ("recall", Better::Higher),
    ("precision", Better::Higher),
    ("cnr", Better::Higher),
    ("auroc", Better::Higher),
    ("afroc", Better::Higher),
    ("ccc", Better::Higher),
    ("share", Better::Higher),
    ("rank", Better::Higher),
    ("accuracy", Better::Higher),
    ("error", Better::Lower),
    ("path", Better::Lower),
    ("residual", Better::Lower),
    ("change", Better::Lower),
    ("score", Better::Higher),
];

const DIRECTIONS: [(&str, Better); 5] = [
    ("lower", Better::Lower),
    ("higher", Better::Higher),
    ("zero", Better::NearZero),
    ("one", Better::NearOne),
    ("neither", Better::Neither),
];

/// A table in a script; copies fill the same one.
#[derive(Clone)]
struct Table(Arc<Mutex<Comparison>>);

impl Table {
    fn lock(&self) -> MutexGuard<'_, Comparison> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers the table of a study, a `Comparison` in scripts.
///
/// - `comparison(title)`, `comparison(title, #{ none: "none", baselines: ["histogram"], show: ["mae", "lost"], better: #{ dose: "lower" } })`:
///   an empty table; every method is compared with `none` and with each baseline. The printed table has the metrics of
///   `show` in this order, else all. `better` is `lower`, `higher`, `zero`, `one` or
///   `neither` for metrics that the engine does not know by their first word (`mae`, `psnr`, `dice`, ...).
/// - `add(subject, method, #{ mae: 41.5, lost: 2 })`: what one subject gave under one method. Several values of one
///   subject count as their mean; `()` and what is not finite are left out of the mean and of `n`.
/// - `pool(method, metric, #{ value: 0.4, ci95: [0.3, 0.5], n: 12, against: #{ none: #{ value: 0.1, ci95: [0.05, 0.15] } } })`:
///   a number that only the whole group has, such as a share of features or an area under a curve.
/// - `write(name)`: writes `tables/name.csv`, `tables/name.md` and the page `tables/name.html`, prints the table and gives
///   its lines.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine.register_type_with_name::<Table>("Comparison");
    let shared = run.clone();
    engine.register_fn("comparison", move |title: &str| -> Verb<Table> { Ok(table(&shared, title, &Map::new())?) });
    let shared = run.clone();
    engine.register_fn("comparison", move |title: &str, options: Map| -> Verb<Table> {
        Ok(table(&shared, title, &options)?)
    });
    engine.register_fn("add", |table: &mut Table, subject: Dynamic, method: &str, values: Map| -> Verb<()> {
        Ok(add(table, &subject, method, &values)?)
    });
    engine.register_fn("pool", |table: &mut Table, method: &str, metric: &str, numbers: Map| -> Verb<()> {
        Ok(pool(table, method, metric, &numbers)?)
    });
    let shared = run.clone();
    engine
        .register_fn("write", move |table: &mut Table, name: &str| -> Verb<Array> { Ok(write(&shared, table, name)?) });
}

fn table(run: &Run, title: &str, options: &Map) -> Result<Table, Error> {
    let options = Options::new("comparison", options, &["none", "baselines", "show", "better"])?;
    let none = options.text("none")?.unwrap_or_else(|| "none".to_owned());
    let mut against = vec![none];
    against.extend(options.list("baselines", &[], text)?);
    let mut better: BTreeMap<String, Better> = KNOWN.iter().map(|(name, way)| ((*name).to_owned(), *way)).collect();
    if let Some(given) = options.get("better") {
        let map = given.read_lock::<Map>().ok_or_else(|| argument("better", "a map", told(given)))?;
        for (metric, way) in map.iter() {
            better.insert(metric.to_string(), choice(metric, &DIRECTIONS, &text(metric, way)?)?);
        }
    }
    Ok(Table(Arc::new(Mutex::new(Comparison {
        title: title.to_owned(),
        against,
        shown: options.list("show", &[], text)?,
        better,
        observations: Vec::new(),
        pooled: Vec::new(),
        seed: run.seed,
    }))))
}

/// Makes sure that the table knows which values of the metric are good.
fn require_direction(table: &mut Comparison, metric: &str) -> Result<(), Error> {
    if table.better.contains_key(metric) {
        return Ok(());
    }
    let first = metric.split('_').next().unwrap_or_default();
    let Some(&way) = table.better.get(first) else {
        let expected = format!("one whose direction is known, or named in better: #{{ {metric}: \"lower\" }}");
        return Err(argument("metric", &expected, metric));
    };
    table.better.insert(metric.to_owned(), way);
    Ok(())
}

fn add(table: &Table, subject: &Dynamic, method: &str, values: &Map) -> Result<(), Error> {
    let mut table = table.lock();
    for (metric, value) in values {
        require_direction(&mut table, metric)?;
        let value = match value.as_float() {
            Ok(float) => float,
            Err(_) if value.is_unit() => f64::NAN,
            Err(_) => number(metric, value)?,
        };
        let (subject, metric) = (subject.to_string(), metric.to_string());
        table.observations.push(Observation { subject, method: method.to_owned(), metric, value });
    }
    Ok(())
}

fn pool(table: &Table, method: &str, metric: &str, numbers: &Map) -> Result<(), Error> {
    let whole = estimate(numbers)?;
    let mut differences = BTreeMap::new();
    if let Some(against) = numbers.get("against") {
        let map = against.read_lock::<Map>().ok_or_else(|| argument("against", "a map", told(against)))?;
        for (name, difference) in map.iter() {
            let map = difference.read_lock::<Map>().ok_or_else(|| argument(name, "a map", told(difference)))?;
            let mut difference = estimate(&map)?;
            if !map.contains_key("n") {
                difference.n = whole.n;
            }
            differences.insert(name.to_string(), difference);
        }
    }
    let mut table = table.lock();
    require_direction(&mut table, metric)?;
    table.pooled.push(Pooled { method: method.to_owned(), metric: metric.to_owned(), estimate: whole, differences });
    Ok(())
}

/// A map with `value`, perhaps `ci95` and `n`.
fn estimate(map: &Map) -> Result<Estimate, Error> {
    let float = |name: &str, given: &Dynamic| given.as_float().or_else(|_| number(name, given));
    let value = map.get("value").ok_or_else(|| argument("value", "given", "nothing"))?;
    let ci95 = match map.get("ci95").filter(|given| !given.is_unit()) {
        None => [f64::NAN; 2],
        Some(given) => {
            let ends = list("ci95", given)?;
            let [low, high] = ends.as_slice() else {
                return Err(argument("ci95", "[low, high]", told(given)));
            };
            [float("ci95", low)?, float("ci95", high)?]
        }
    };
    let n = map.get("n").map_or(Ok(0), |n| crate::options::whole("n", n))?;
    Ok(Estimate { value: float("value", value)?, ci95, n })
}

/// An estimate as a map, as `pool` takes it.
pub(crate) fn told_estimate(estimate: &Estimate) -> Map {
    Map::from([
        ("value".into(), Dynamic::from_float(estimate.value)),
        ("ci95".into(), estimate.ci95.map(Dynamic::from_float).to_vec().into()),
        ("n".into(), Dynamic::from_int(estimate.n as i64)),
    ])
}

/// The plugins that ran so far are what the numbers rest on.
fn making(run: &Run) -> Making {
    let plugin = |record: &PluginRecord| {
        let PluginRecord { id, version, trust, library_sha256, weights_sha256, .. } = record;
        let weights = weights_sha256.as_ref().map_or_else(String::new, |hash| format!(", weights sha256 {hash}"));
        (format!("plugin {id}"), format!("{version}, {trust}, library sha256 {library_sha256}{weights}"))
    };
    Making {
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        script: Script { name: run.script_name.clone(), sha256: run.script_sha256.clone() },
        provenance: run.ledger().plugins.values().map(plugin).collect(),
    }
}

fn write(run: &Run, table: &Table, name: &str) -> Result<Array, Error> {
    let table = table.lock();
    let markdown = comparison_markdown(&table)?;
    let page = comparison_page(&table, &making(run))?;
    for (ending, text) in [("csv", &comparison_csv(&table)?), ("md", &markdown), ("html", &page)] {
        let path = crate::write::place(run, &format!("tables/{name}.{ending}"))?;
        isoscan_io::write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
        run.wrote(&path)?;
    }
    markdown.lines().for_each(|line| run.progress.print(line));
    Ok(markdown.lines().map(|line| line.to_owned().into()).collect())
}
