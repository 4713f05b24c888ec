use std::sync::Arc;

use isoscan_imaging::{Geometry, Orientation, Volume, reorient};
use isoscan_metrics::{self as metrics, PsnrRange};
use isoscan_report::SliceFigure;
use ndarray::{Array2, Axis};
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};

use crate::{
    Error,
    cohort::Subject,
    features,
    options::list,
    record::{Compared, Failure, Measured},
    scan::{Roi, Scan},
    state::Run,
    value::{argument, number},
};

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// Registers what measures: similarity and agreement, for values and for the records of subjects.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine.register_fn("similarity", |a: Scan, b: Scan| -> Verb<Map> { Ok(similarity(&a, &b, None)?) });
    engine.register_fn("similarity", |a: Scan, b: Scan, roi: Roi| -> Verb<Map> { Ok(similarity(&a, &b, Some(&roi))?) });
    engine.register_fn("ccc", |x: Array, y: Array| -> Verb<Map> { Ok(agreement(&x, &y)?) });
    engine.register_fn("icc", |table: Array| -> Verb<Map> { Ok(correlation(&table)?) });
    engine.register_fn("bland_altman", |x: Array, y: Array| -> Verb<Map> { Ok(differences(&x, &y)?) });
    register_records(engine, run);
}

fn register_records(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("measure", move |subject: &mut Subject, stage: &str, scan: Scan| -> Verb<()> {
        Ok(measure(&shared, subject, stage, &scan, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("measure", move |subject: &mut Subject, stage: &str, scan: Scan, settings: Map| -> Verb<()> {
        Ok(measure(&shared, subject, stage, &scan, &settings)?)
    });
    engine.register_fn("compare", |subject: &mut Subject, stage: &str, scan: Scan, reference: Scan| -> Verb<()> {
        let body = isoscan_imaging::body(&reference.volume).map_err(Error::from)?;
        let alike = metrics::similarity(&reference.volume, &scan.volume, Some(&body), PsnrRange::of(&reference.volume));
        let alike = alike.map_err(Error::from)?;
        let unit = reference.volume.unit().to_string();
        subject.record().similarities.push(Compared { stage: stage.to_owned(), unit, alike });
        Ok(())
    });
    engine.register_fn("fail", |subject: &mut Subject, stage: &str, fault: Dynamic| {
        let message = crate::limits::thrown(&fault);
        subject.record().failures.push(Failure { stage: stage.to_owned(), message });
    });
    engine.register_fn(
        "figure",
        |subject: &mut Subject, method: &str, before: Scan, after: Scan, options: Map| -> Verb<()> {
            Ok(figure(subject, method, &before, &after, &options)?)
        },
    );
}

fn measure(run: &Run, subject: &Subject, stage: &str, scan: &Scan, given: &Map) -> Result<(), Error> {
    let mode = features::mode(scan, given)?;
    for (name, roi) in subject.rois(run)?.iter() {
        let table = mode.extract(&scan.volume, &roi.mask)?;
        subject.record().features.push(Measured { stage: stage.to_owned(), roi: name.clone(), table });
    }
    let steps = format!("{}/{stage}", subject.id());
    run.ledger().steps.insert(steps, scan.steps.as_ref().clone());
    if let Some(maker) = &scan.maker {
        subject.record().makers.push((stage.to_owned(), maker.as_ref().clone()));
    }
    Ok(())
}

fn similarity(a: &Scan, b: &Scan, roi: Option<&Roi>) -> Result<Map, Error> {
    let alike = metrics::similarity(&b.volume, &a.volume, roi.map(|roi| roi.mask.as_ref()), PsnrRange::of(&b.volume))?;
    let mut map = Map::new();
    for (name, value) in [("mae", alike.mae), ("rmse", alike.rmse), ("psnr", alike.psnr), ("ssim", alike.ssim)] {
        map.insert(name.into(), Dynamic::from_float(value));
    }
    Ok(map)
}

fn numbers(what: &str, values: &Array) -> Result<Vec<f64>, Error> {
    values.iter().map(|value| number(what, value)).collect()
}

fn agreement(x: &Array, y: &Array) -> Result<Map, Error> {
    let ccc = metrics::ccc(&numbers("x", x)?, &numbers("y", y)?)?;
    let mut map = Map::new();
    map.insert("estimate".into(), Dynamic::from_float(ccc.estimate));
    map.insert("ci95".into(), ccc.ci95.iter().map(|&v| Dynamic::from_float(v)).collect::<Array>().into());
    map.insert("n".into(), Dynamic::from_int(ccc.n as i64));
    Ok(map)
}

/// Of a list of subjects, each a list of ratings: ICC(1,1), (2,1) and (3,1) with their 95 % intervals.
fn correlation(table: &Array) -> Result<Map, Error> {
    let ratings: Vec<Vec<f64>> =
        table.iter().map(|row| numbers("ratings", &list("ratings", row)?)).collect::<Result<_, Error>>()?;
    Ok(coefficients(&metrics::icc(&ratings)?))
}

/// ICC(1,1), (2,1) and (3,1) with their 95 % intervals, `n` subjects and `k` ratings of each.
pub(crate) fn coefficients(icc: &metrics::Icc) -> Map {
    let rows = [
        ("one_way", icc.single_one_way, icc.single_one_way_ci95),
        ("agreement", icc.single_agreement, icc.single_agreement_ci95),
        ("consistency", icc.single_consistency, icc.single_consistency_ci95),
    ];
    let mut map = Map::new();
    for (name, estimate, ci95) in rows {
        map.insert(name.into(), Dynamic::from_float(estimate));
        map.insert(format!("{name}_ci95").into(), ci95.map(Dynamic::from_float).to_vec().into());
    }
    map.insert("n".into(), Dynamic::from_int(icc.n as i64));
    map.insert("k".into(), Dynamic::from_int(icc.k as i64));
    map
}

fn differences(x: &Array, y: &Array) -> Result<Map, Error> {
    let plot = metrics::bland_altman(&numbers("x", x)?, &numbers("y", y)?)?;
    let mut map = Map::new();
    map.insert("mean_difference".into(), Dynamic::from_float(plot.mean_difference));
    map.insert("limits".into(), plot.limits.iter().map(|&v| Dynamic::from_float(v)).collect::<Array>().into());
    Ok(map)
}

/// Keeps the middle slice before and after; options: `window` [centre, width], `reference` an image on the same grid.
fn figure(subject: &Subject, method: &str, before: &Scan, after: &Scan, options: &Map) -> Result<(), Error> {
    let known = ["window", "reference"];
    if let Some(unknown) = options.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(argument("option of figure", "one of window, reference", unknown));
    }
    let window = match options.get("window") {
        None => full_window(&before.volume),
        Some(given) => {
            let pair = given.read_lock::<Array>().map(|pair| pair.to_vec()).unwrap_or_default();
            let [center, width] = pair.as_slice() else {
                return Err(argument("window", "[centre, width]", given));
            };
            [number("window centre", center)?, number("window width", width)?]
        }
    };
    let reference = options.get("reference").filter(|value| !value.is_unit());
    let reference = match reference.map(|value| value.clone().try_cast::<Scan>()) {
        Some(None) => return Err(argument("reference", "an image", "another value")),
        Some(Some(scan)) => Some(middle_slice(&scan.volume)?.pixels),
        None => None,
    };
    let (first, second) = (middle_slice(&before.volume)?, middle_slice(&after.volume)?);
    subject.record().figures.push(SliceFigure {
        subject: subject.id().to_owned(),
        method: method.to_owned(),
        synthetic: after.maker.as_ref().is_some_and(|maker| maker.synthetic),
        place: first.place,
        unit: before.volume.unit().to_string(),
        window,
        pixel_mm: first.pixel_mm,
        before: first.pixels,
        after: second.pixels,
        reference,
    });
    Ok(())
}

/// Centre and width that show the 0.5th to the 99.5th percentile.
fn full_window(volume: &Volume) -> [f64; 2] {
    let mut values: Vec<f32> = volume.as_slice().iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| values.get((share * values.len().saturating_sub(1) as f64) as usize).copied().unwrap_or(0.0);
    let (low, high) = (f64::from(at(0.005)), f64::from(at(0.995)));
    [(low + high) / 2.0, (high - low).max(1.0)]
}

struct Slice {
    pixels: Array2<f32>,
    pixel_mm: [f64; 2],
    place: String,
}

/// The middle slice of the acquisition, turned as radiologists look at it: patient right on the left, front or head up.
fn middle_slice(volume: &Volume) -> Result<Slice, Error> {
    let (code, plane) = upright(volume.geometry());
    let turned = reorient(volume, code.parse::<Orientation>()?);
    let [_, _, depth] = turned.geometry().size();
    let [dx, dy, _] = turned.geometry().spacing_mm();
    let k = depth / 2;
    let pixels = turned.voxels().index_axis(Axis(0), k).to_owned();
    Ok(Slice { pixels, pixel_mm: [dx, dy], place: format!("{plane}, slice {} of {depth}", k + 1) })
}

/// Axes to the screen's right, to its bottom, and through the stack of slices, which stays the stack.
fn upright(geometry: &Geometry) -> (&'static str, &'static str) {
    match Orientation::of(geometry).to_string().chars().nth(2) {
        Some('L' | 'R') => ("PIL", "sagittal"),
        Some('A' | 'P') => ("LIP", "coronal"),
        _ => ("LPS", "axial"),
    }
}
