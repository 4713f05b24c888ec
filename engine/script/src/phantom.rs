use std::sync::Arc;

use isoscan_io::Source;
use isoscan_phantom::{
    Acquisition, Grid, Kind, KspaceWindow, LabelMap, Order, SliceProfile, SliceSensitivity, Visit, draw,
};
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};
use serde_json::json;

use crate::{
    Error,
    options::{Options, text, whole, whole3},
    scan::Scan,
    state::Run,
    value::{argument, told},
    verb::of_image_and,
};

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// Registers `phantom`: simulated scans of one subject with exact labels and truth, drawn with the run's seed unless told otherwise.
///
/// - `phantom(subject, protocol)`: an abdomen CT;
/// - `phantom(kind, subject)`: a subject of a kind (`abdomen`, `brain`, ...: `isoscan phantom --list`) under the kind's
///   usual protocols;
/// - `phantom(kind, subject, protocol)` and `phantom(kind, subject, [protocol, ...])`: under the protocols named;
/// - `phantom(kind, subject, protocols, #{condition: "...", pixels: 96, pixel_mm: 2.0, length_mm: 30, session: 2,
///   scanner: "...", seed: 501})`: with other than the usual condition, grid or seed. With a session, counted from 1, the
///   subject lies as on that day in the scanner (else the first protocol's), with the noise of that day.
///
/// Each gives `image` and `labels` of the first protocol; `images`, a map from protocol to image; `maps`, from protocol to
/// all its label maps by name; `names`, from the names of the labels to their numbers, and `names_of`, the same for every
/// label map by its name; `truth`, the numbers that the subject was made with, and the lists of what was planted under
/// `details`.
///
/// Registers `image.truncate_kspace([nx, ny, nz], #{ window: "rectangular" | "hamming", sigma: 0.0, seed: 1 })` too: the
/// image as a scanner of lower resolution would have made it, of the middle of its k-space, with complex noise of that
/// standard deviation in the image's unit. An axis whose number stays is left as it is.
///
/// Registers `image.thick_slices(2, #{ profile: "rectangular" | "gaussian", thickness: 5.0, sigma: 0.0, seed: 1 })` too:
/// the image as a scanner with so many times thicker slices would have made it. The thickness is the full width at half
/// height of the slice sensitivity profile in mm; without it, slices touch. Sigma is as above, of Gaussian noise.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    of_image_and(engine, run, "truncate_kspace", truncate_kspace);
    of_image_and(engine, run, "thick_slices", thick_slices);
    let shared = run.clone();
    engine.register_fn("phantom", move |subject: i64, protocol: &str| -> Verb<Map> {
        Ok(make(&shared, Kind::Abdomen.id(), subject, &[protocol.to_owned()], &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("phantom", move |kind: &str, subject: i64| -> Verb<Map> {
        Ok(make(&shared, kind, subject, &[], &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("phantom", move |kind: &str, subject: i64, protocols: Dynamic| -> Verb<Map> {
        Ok(make(&shared, kind, subject, &words(&protocols)?, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("phantom", move |kind: &str, subject: i64, protocols: Dynamic, options: Map| -> Verb<Map> {
        Ok(make(&shared, kind, subject, &words(&protocols)?, &options)?)
    });
}

fn truncate_kspace(run: &Run, scan: &Scan, matrix: &Dynamic, options: &Map) -> Result<Scan, Error> {
    let options = Options::new("truncate_kspace", options, &["window", "sigma", "seed"])?;
    let windows = [("rectangular", KspaceWindow::Rectangular), ("hamming", KspaceWindow::Hamming)];
    let window = options.choice("window", &windows, KspaceWindow::Rectangular)?;
    let seed = options.get("seed").map_or(Ok(run.seed), |value| whole("seed", value).map(|seed| seed as u64))?;
    let (matrix, sigma) = (whole3("matrix", matrix)?, options.number("sigma", 0.0)?);
    let coarse = isoscan_phantom::truncate_kspace(&scan.volume, matrix, window, sigma, seed)?;
    let step = json!({
        "verb": "truncate_kspace", "matrix": matrix, "window": options.text("window")?, "sigma": sigma, "seed": seed
    });
    scan.then(run, coarse, step)
}

fn thick_slices(run: &Run, scan: &Scan, factor: &Dynamic, options: &Map) -> Result<Scan, Error> {
    let options = Options::new("thick_slices", options, &["profile", "thickness", "sigma", "seed"])?;
    let profiles = [("rectangular", SliceProfile::Rectangular), ("gaussian", SliceProfile::Gaussian)];
    let profile = options.choice("profile", &profiles, SliceProfile::Rectangular)?;
    let seed = options.get("seed").map_or(Ok(run.seed), |value| whole("seed", value).map(|seed| seed as u64))?;
    let (factor, sigma) = (whole("factor", factor)?, options.number("sigma", 0.0)?);
    let thickness_mm = options.number("thickness", factor as f64 * scan.volume.geometry().spacing_mm()[2])?;
    let sensitivity = SliceSensitivity { profile, thickness_mm };
    let coarse = isoscan_phantom::thick_slices(&scan.volume, factor, sensitivity, sigma, seed)?;
    let step = json!({
        "verb": "thick_slices", "factor": factor, "profile": options.text("profile")?, "thickness_mm": thickness_mm,
        "sigma": sigma, "seed": seed
    });
    scan.then(run, coarse, step)
}

/// One protocol or a list of them.
fn words(protocols: &Dynamic) -> Result<Vec<String>, Error> {
    match protocols.read_lock::<Array>() {
        Some(list) => list.iter().map(|word| text("protocols", word)).collect(),
        None if protocols.is_unit() => Ok(Vec::new()),
        None => Ok(vec![text("protocols", protocols)?]),
    }
}

fn make(run: &Run, kind: &str, subject: i64, protocols: &[String], options: &Map) -> Result<Map, Error> {
    let number = u32::try_from(subject).map_err(|_| argument("subject", "a whole number from 0", subject))?;
    let kind: Kind = kind.parse()?;
    let usual: Vec<String> = kind.usual_protocols().iter().map(|word| (*word).to_owned()).collect();
    let protocols = if protocols.is_empty() { &usual } else { protocols };
    let (order, visit) = ordered(run, kind, number, protocols, options)?;
    protocols.iter().try_for_each(|protocol| kind.require(protocol))?;
    let drawn = draw(&order, &visit)?;
    let (mut images, mut maps) = (Map::new(), Map::new());
    let mut made = Map::new();
    for protocol in protocols {
        let Acquisition { image, maps: labels, .. } = drawn.acquire(protocol)?;
        let image = Dynamic::from(Scan::new(run, image, Arc::new(Source::None))?);
        let labelled = label_maps(run, &labels)?;
        if made.is_empty() {
            made.insert("image".into(), image.clone());
            made.insert("labels".into(), labelled.get("labels").cloned().unwrap_or_default());
            let names: Map = labels.iter().map(|map| (map.name.into(), names(map).into())).collect();
            made.insert("names".into(), names.get("labels").cloned().unwrap_or_default());
            made.insert("names_of".into(), names.into());
        }
        images.insert(protocol.as_str().into(), image);
        maps.insert(protocol.as_str().into(), labelled.into());
    }
    made.insert("images".into(), images.into());
    made.insert("maps".into(), maps.into());
    let truth = drawn.truth()?;
    let plain = |value: Result<Dynamic, Box<EvalAltResult>>| {
        value.map_err(|error| Error::Json { what: "the truth of a phantom", reason: error.to_string() })
    };
    let mut numbers: Map = truth.row.columns().map(|(name, value)| (name.into(), value.into())).collect();
    numbers.insert("details".into(), plain(rhai::serde::to_dynamic(&truth.details))?);
    made.insert("truth".into(), numbers.into());
    Ok(made)
}

/// The subject and how it lies.
fn ordered(run: &Run, kind: Kind, subject: u32, protocols: &[String], options: &Map) -> Result<(Order, Visit), Error> {
    let known = ["condition", "pixels", "pixel_mm", "length_mm", "session", "scanner", "seed"];
    let options = Options::new("phantom", options, &known)?;
    let seed = options.get("seed").map_or(Ok(run.seed), |value| whole("seed", value).map(|seed| seed as u64))?;
    let usual = Order::new(kind, seed, subject);
    let gridded = ["pixels", "pixel_mm", "length_mm"].iter().any(|name| options.get(name).is_some());
    let grid = if gridded {
        let [columns, rows] = usual.grid.size();
        let size = options.get("pixels").map_or(Ok([columns, rows]), |value| whole("pixels", value).map(|n| [n; 2]))?;
        let pixel_mm = options.number("pixel_mm", usual.grid.pixel_mm())?;
        Grid::new(size, pixel_mm, options.number("length_mm", usual.grid.length_mm())?)?
    } else {
        usual.grid
    };
    let condition = options.text("condition")?.unwrap_or(usual.condition.clone());
    let scanner = options.text("scanner")?.or_else(|| protocols.first().cloned()).unwrap_or_default();
    let visit = match options.get("session") {
        None => Visit::only(seed),
        Some(value) => {
            let session = u32::try_from(whole("session", value)?).ok().filter(|n| *n > 0);
            let session = session.ok_or_else(|| argument("session", "a whole number from 1", told(value)))?;
            Visit::session(seed, subject, &scanner, session)
        }
    };
    Ok((Order { grid, condition, ..usual }, visit))
}

fn label_maps(run: &Run, labels: &[LabelMap]) -> Result<Map, Error> {
    let scan = |map: &LabelMap| Scan::new(run, map.volume.clone(), Arc::new(Source::None));
    labels.iter().map(|map| Ok((map.name.into(), Dynamic::from(scan(map)?)))).collect()
}

fn names(map: &LabelMap) -> Map {
    map.names.iter().map(|(label, name)| ((*name).into(), i64::from(*label).into())).collect()
}
