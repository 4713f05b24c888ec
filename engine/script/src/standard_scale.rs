//! The standard intensity scale of Nyúl and Udupa in scripts.

use std::sync::Arc;

use isoscan_imaging::{self as imaging, Mask, StandardScale, Volume};
use rhai::{Array, Dynamic, Engine, Map};
use serde_json::json;

use crate::{
    Error,
    options::{Options, image, mask},
    reading,
    scan::{Roi, Scan},
    state::Run,
    value::{argument, number},
    verb::Verb,
};

/// Registers `standard_scale`, `standardize` and the scale's file.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let numbers = |values: &[f64]| values.iter().map(|&v| Dynamic::from_float(v)).collect::<Array>();
    engine
        .register_type_with_name::<StandardScale>("StandardScale")
        .register_get("percentiles", move |scale: &mut StandardScale| numbers(scale.percentiles()))
        .register_get("landmarks", move |scale: &mut StandardScale| numbers(scale.landmarks()));
    engine.register_fn("standard_scale", |images: Array| -> Verb<StandardScale> { Ok(train(&images, &Map::new())?) });
    engine.register_fn("standard_scale", |images: Array, options: Map| -> Verb<StandardScale> {
        Ok(train(&images, &options)?)
    });
    let shared = run.clone();
    engine.register_fn("standardize", move |scan: &mut Scan, scale: StandardScale| -> Verb<Scan> {
        Ok(standardize(&shared, scan, None, &scale)?)
    });
    let shared = run.clone();
    engine.register_fn("standardize", move |scan: &mut Scan, roi: Roi, scale: StandardScale| -> Verb<Scan> {
        Ok(standardize(&shared, scan, Some(&roi.mask), &scale)?)
    });
    let shared = run.clone();
    engine.register_fn("write", move |scale: &mut StandardScale, name: &str| -> Verb<()> {
        Ok(write(&shared, scale, name)?)
    });
    let shared = run.clone();
    engine.register_fn("read_scale", move |path: &str| -> Verb<StandardScale> { Ok(read(&shared, path)?) });
}

/// Learns from images; option `masks` gives each its region.
fn train(images: &Array, given: &Map) -> Result<StandardScale, Error> {
    let options = Options::new("standard_scale", given, &["percentiles", "ends", "masks"])?;
    let percentiles = options.list("percentiles", &StandardScale::PERCENTILES, number)?;
    let ends = options.list("ends", &StandardScale::ENDS, number)?;
    let [low, high] = ends.as_slice() else {
        return Err(argument("ends", "two numbers [low, high]", format!("{} values", ends.len())));
    };
    let images = images.iter().map(|value| image("image", value)).collect::<Result<Vec<_>, _>>()?;
    let masks = options.list("masks", &[], mask)?;
    if options.get("masks").is_some() && masks.len() != images.len() {
        let expected = format!("one mask for each of {} images", images.len());
        return Err(argument("masks", &expected, masks.len()));
    }
    let volumes: Vec<(&Volume, Option<&Mask>)> = images
        .iter()
        .enumerate()
        .map(|(k, scan)| (scan.volume.as_ref(), masks.get(k).map(|roi| roi.mask.as_ref())))
        .collect();
    Ok(StandardScale::train(&volumes, &percentiles, [*low, *high])?)
}

fn standardize(run: &Run, scan: &Scan, mask: Option<&Mask>, scale: &StandardScale) -> Result<Scan, Error> {
    let (standard, _) = imaging::standardize(&scan.volume, mask, scale)?;
    scan.then(run, standard, json!({"verb": "standardize", "scale": scale, "masked": mask.is_some()}))
}

fn write(run: &Run, scale: &StandardScale, name: &str) -> Result<(), Error> {
    let path = crate::write::place(run, name)?;
    let text = serde_json::to_string_pretty(scale)
        .map_err(|error| Error::Json { what: "the standard scale", reason: error.to_string() })?;
    isoscan_io::write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
    run.wrote(&path)
}

fn read(run: &Run, path: &str) -> Result<StandardScale, Error> {
    let real = run.access.readable(path)?;
    let failed = |source| isoscan_io::Error::Io { action: "read", path: real.clone(), source };
    let text = std::fs::read_to_string(&real).map_err(failed)?;
    reading::note_file(run, &real)?;
    serde_json::from_str(&text).map_err(|error| argument("standard scale", "percentiles and landmarks", error))
}
