//! Verbs that lay one image on another.

use std::sync::Arc;

use isoscan_imaging::{self as imaging, Affine3, Freedom, Registration, RegistrationSettings, Start};
use rhai::{Array, Dynamic, Engine, Map};
use serde_json::json;

use crate::{
    Error,
    grids::interpolation,
    options::{Options, whole},
    reading,
    scan::Scan,
    state::Run,
    value::{argument, number, told},
    verb::Verb,
};

/// Where a point of the fixed image lies in the moving one; its type in scripts is `Transform`.
#[derive(Clone)]
struct Transform {
    world_moving_from_fixed: Affine3,
    /// How it was found; `None` when it was read or turned round.
    found: Option<Registration>,
}

/// Registers `register`, `moved` and the transforms between them.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine
        .register_type_with_name::<Transform>("Transform")
        .register_get("metric", |map: &mut Transform| of(map, |found| found.metric.into()))
        .register_get("converged", |map: &mut Transform| of(map, |found| found.converged.into()))
        .register_get("overlap", |map: &mut Transform| of(map, |found| found.overlap.into()))
        .register_get("iterations", |map: &mut Transform| of(map, |found| Dynamic::from_int(found.iterations as i64)))
        .register_get("matrix", |map: &mut Transform| matrix(&map.world_moving_from_fixed))
        .register_fn("inverse", |map: &mut Transform| -> Verb<Transform> { Ok(inverse(map)?) });
    let shared = run.clone();
    engine.register_fn("register", move |moving: &mut Scan, fixed: Scan| -> Verb<Transform> {
        Ok(find(&shared, moving, &fixed, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("register", move |moving: &mut Scan, fixed: Scan, options: Map| -> Verb<Transform> {
        Ok(find(&shared, moving, &fixed, &options)?)
    });
    let shared = run.clone();
    engine.register_fn("moved", move |moving: &mut Scan, map: Transform, fixed: Scan, kind: &str| -> Verb<Scan> {
        Ok(moved(&shared, moving, &map, &fixed, kind)?)
    });
    let shared = run.clone();
    engine.register_fn("read_transform", move |path: &str| -> Verb<Transform> {
        let real = shared.access.readable(path)?;
        let world_moving_from_fixed = isoscan_io::read_transform(&real).map_err(Error::from)?;
        reading::note_file(&shared, &real)?;
        Ok(Transform { world_moving_from_fixed, found: None })
    });
    let shared = run.clone();
    engine.register_fn("write", move |map: &mut Transform, name: &str| -> Verb<()> {
        let path = crate::write::place(&shared, name)?;
        isoscan_io::write_transform(&path, &map.world_moving_from_fixed).map_err(Error::from)?;
        Ok(shared.wrote(&path)?)
    });
}

fn of(map: &Transform, value: impl Fn(&Registration) -> Dynamic) -> Dynamic {
    map.found.as_ref().map_or(Dynamic::UNIT, value)
}

/// Four rows of four numbers.
fn matrix(map: &Affine3) -> Array {
    let row = |values: [f64; 4]| -> Dynamic { values.map(Dynamic::from_float).to_vec().into() };
    let mut rows: Array =
        map.matrix.iter().zip(map.translation).map(|([a, b, c], shift)| row([*a, *b, *c, shift])).collect();
    rows.push(row([0.0, 0.0, 0.0, 1.0]));
    rows
}

fn inverse(map: &Transform) -> Result<Transform, Error> {
    let turned = map.world_moving_from_fixed.inverse().ok_or_else(|| {
        argument("transform", "a map with an inverse", format!("{:?}", map.world_moving_from_fixed.matrix))
    })?;
    Ok(Transform { world_moving_from_fixed: turned, found: None })
}

fn find(run: &Run, moving: &Scan, fixed: &Scan, given: &Map) -> Result<Transform, Error> {
    let known = [
        "freedom",
        "start",
        "fixed_mask",
        "moving_mask",
        "bins",
        "shrink_factors",
        "samples",
        "max_iterations",
        "tolerance",
        "min_overlap",
        "seed",
    ];
    let options = Options::new("register", given, &known)?;
    let usual = RegistrationSettings::default();
    let settings = RegistrationSettings {
        freedom: options.choice("freedom", &[("rigid", Freedom::Rigid), ("affine", Freedom::Affine)], usual.freedom)?,
        start: start(&options)?,
        bins: options.whole("bins", usual.bins)?,
        shrink_factors: options.list("shrink_factors", &usual.shrink_factors, number)?,
        samples: options.whole("samples", usual.samples)?,
        max_iterations: options.whole("max_iterations", usual.max_iterations)?,
        tolerance: options.number("tolerance", usual.tolerance)?,
        min_overlap: options.number("min_overlap", usual.min_overlap)?,
        seed: match options.get("seed") {
            Some(seed) => whole("seed", seed)? as u64,
            None => run.seed,
        },
    };
    let (fixed_mask, moving_mask) = (options.mask("fixed_mask")?, options.mask("moving_mask")?);
    let found = imaging::register(
        &fixed.volume,
        &moving.volume,
        fixed_mask.as_ref().map(|roi| roi.mask.as_ref()),
        moving_mask.as_ref().map(|roi| roi.mask.as_ref()),
        &settings,
    )?;
    Ok(Transform { world_moving_from_fixed: found.world_moving_from_fixed, found: Some(found) })
}

/// A word, or the transform of a registration before.
fn start(options: &Options<'_>) -> Result<Start, Error> {
    let words = [
        ("identity", Start::Identity),
        ("geometry-center", Start::GeometryCenter),
        ("center-of-mass", Start::CenterOfMass),
    ];
    let Some(given) = options.get("start") else { return Ok(RegistrationSettings::default().start) };
    if let Some(map) = given.read_lock::<Transform>() {
        return Ok(Start::Given(map.world_moving_from_fixed));
    }
    if given.is_string() {
        return options.choice("start", &words, Start::Identity);
    }
    Err(argument("start", "identity, geometry-center, center-of-mass or a transform", told(given)))
}

fn moved(run: &Run, moving: &Scan, map: &Transform, fixed: &Scan, kind: &str) -> Result<Scan, Error> {
    let fill = moving.volume.lowest();
    let world_moving_from_fixed = &map.world_moving_from_fixed;
    let grid = fixed.volume.geometry();
    let laid = imaging::resample_moved(
        &moving.volume,
        world_moving_from_fixed,
        grid,
        interpolation(&moving.volume, kind)?,
        fill,
    )?;
    let step = json!({"verb": "moved", "world_moving_from_fixed": world_moving_from_fixed, "grid": grid.to_string(),
        "interpolation": kind});
    moving.then(run, laid, step)
}
