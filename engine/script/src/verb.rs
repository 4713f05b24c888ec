use std::sync::Arc;

use imaging::Mask;
use isoscan_imaging as imaging;
use rhai::{Dynamic, Engine, EvalAltResult, Map, Variant};

use crate::{
    Error,
    scan::{Roi, Scan},
    state::Run,
};

/// What a verb gives to a script.
pub(crate) type Verb<T> = Result<T, Box<EvalAltResult>>;

/// Registers a verb of an image with named options, which may be left out.
pub(crate) fn of_image<T: Variant + Clone>(
    engine: &mut Engine,
    run: &Arc<Run>,
    name: &str,
    verb: fn(&Run, &Scan, &Map) -> Result<T, Error>,
) {
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan| -> Verb<T> { Ok(verb(&shared, scan, &Map::new())?) });
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan, options: Map| -> Verb<T> { Ok(verb(&shared, scan, &options)?) });
}

/// Registers a verb of an image with one argument and named options, which may be left out.
pub(crate) fn of_image_and<T: Variant + Clone>(
    engine: &mut Engine,
    run: &Arc<Run>,
    name: &str,
    verb: fn(&Run, &Scan, &Dynamic, &Map) -> Result<T, Error>,
) {
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan, argument: Dynamic| -> Verb<T> {
        Ok(verb(&shared, scan, &argument, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan, argument: Dynamic, options: Map| -> Verb<T> {
        Ok(verb(&shared, scan, &argument, &options)?)
    });
}

/// Registers a verb of an image with a mask and named options, each of which may be left out.
pub(crate) fn of_image_in_mask<T: Variant + Clone>(
    engine: &mut Engine,
    run: &Arc<Run>,
    name: &str,
    verb: fn(&Run, &Scan, Option<&Mask>, &Map) -> Result<T, Error>,
) {
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan| -> Verb<T> { Ok(verb(&shared, scan, None, &Map::new())?) });
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan, options: Map| -> Verb<T> {
        Ok(verb(&shared, scan, None, &options)?)
    });
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan, roi: Roi| -> Verb<T> {
        Ok(verb(&shared, scan, Some(&roi.mask), &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn(name, move |scan: &mut Scan, roi: Roi, options: Map| -> Verb<T> {
        Ok(verb(&shared, scan, Some(&roi.mask), &options)?)
    });
}

/// Registers a verb of a mask with one argument.
pub(crate) fn of_mask_and<A: Variant + Clone, T: Variant + Clone>(
    engine: &mut Engine,
    run: &Arc<Run>,
    name: &str,
    verb: impl Fn(&Run, &Mask, A) -> Result<T, Error> + Send + Sync + 'static,
) {
    let shared = run.clone();
    engine.register_fn(name, move |roi: &mut Roi, argument: A| -> Verb<T> { Ok(verb(&shared, &roi.mask, argument)?) });
}

/// Registers a verb of a mask.
pub(crate) fn of_mask<T: Variant + Clone>(
    engine: &mut Engine,
    run: &Arc<Run>,
    name: &str,
    verb: impl Fn(&Run, &Mask) -> Result<T, Error> + Send + Sync + 'static,
) {
    let shared = run.clone();
    engine.register_fn(name, move |roi: &mut Roi| -> Verb<T> { Ok(verb(&shared, &roi.mask)?) });
}
