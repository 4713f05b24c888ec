//! Verbs that make and change regions.

use std::sync::Arc;

use imaging::{Connectivity, Mask, Volume};
use isoscan_imaging as imaging;
use isoscan_io::Source;
use rhai::{Array, Dynamic, Engine, Map};

use crate::{
    Error,
    options::{Options, choice},
    scan::{Roi, Scan},
    state::Run,
    value::{argument, number},
    verb::{Verb, of_image, of_mask, of_mask_and},
};

/// Registers them.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    register_finding(engine, run);
    for (name, change) in [
        ("dilate", imaging::dilate as fn(&Mask, f64) -> _),
        ("erode", imaging::erode),
        ("open", imaging::open),
        ("close", imaging::close),
    ] {
        of_mask_and(engine, run, name, move |run, mask, radius_mm: Dynamic| {
            Roi::new(run, change(mask, number("radius", &radius_mm)?)?)
        });
    }
    for (name, change) in [
        ("largest_component", imaging::largest_component as fn(&Mask) -> Mask),
        ("fill_holes", imaging::fill_holes),
        ("fill_cavities", imaging::fill_cavities),
    ] {
        of_mask(engine, run, name, move |run, mask| Roi::new(run, change(mask)));
    }
    for (name, join) in [
        ("and", imaging::intersection as fn(&Mask, &Mask) -> _),
        ("or", imaging::union),
        ("minus", imaging::difference),
    ] {
        of_mask_and(engine, run, name, move |run, mask, other: Roi| Roi::new(run, join(mask, &other.mask)?));
    }
    of_mask(engine, run, "components", |run, mask| components(run, mask, "faces"));
    of_mask_and(engine, run, "components", |run, mask, joined: rhai::ImmutableString| components(run, mask, &joined));
    for (name, measure) in
        [("distance", imaging::distance as fn(&Mask) -> _), ("signed_distance", imaging::signed_distance)]
    {
        of_mask(engine, run, name, move |run, mask| computed(run, measure(mask)?));
    }
    of_mask(engine, run, "to_labels", |run, mask| computed(run, mask.to_volume()));
}

fn register_finding(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("body", move |scan: &mut Scan| -> Verb<Roi> {
        let body = imaging::body(&scan.volume).map_err(Error::from)?;
        Ok(Roi::new(&shared, body)?)
    });
    of_image(engine, run, "brain", |run, scan, given| {
        let options = Options::new("brain", given, &["fraction"])?;
        Roi::new(run, imaging::brain(&scan.volume, options.number("fraction", 0.5)?)?)
    });
    let shared = run.clone();
    engine.register_fn("threshold", move |scan: &mut Scan, low: Dynamic, high: Dynamic| -> Verb<Roi> {
        let (low, high) = (number("low", &low)?, number("high", &high)?);
        Ok(Roi::new(&shared, imaging::threshold(&scan.volume, low as f32, high as f32))?)
    });
    let shared = run.clone();
    engine.register_fn("above", move |scan: &mut Scan, level: Dynamic| -> Verb<Roi> {
        let level = number("level", &level)? as f32;
        Ok(Roi::new(&shared, imaging::threshold(&scan.volume, level.next_up(), f32::INFINITY))?)
    });
    engine.register_fn("otsu", |scan: &mut Scan| -> Verb<f64> {
        Ok(f64::from(imaging::otsu(&scan.volume).map_err(Error::from)?))
    });
    engine.register_fn("otsu", |scan: &mut Scan, classes: i64| -> Verb<Array> {
        let classes = usize::try_from(classes).unwrap_or(0);
        let levels = imaging::otsu_levels(&scan.volume, classes).map_err(Error::from)?;
        Ok(levels.into_iter().map(|level| Dynamic::from_float(f64::from(level))).collect())
    });
    let shared = run.clone();
    engine.register_fn("region", move |labels: &mut Scan, label: i64| -> Verb<Roi> {
        let label = i32::try_from(label).map_err(|_| argument("label", "a 32-bit whole number", label))?;
        Ok(Roi::new(&shared, Mask::of_label(&labels.volume, label))?)
    });
}

/// An image that no file stands behind.
fn computed(run: &Run, volume: Volume) -> Result<Scan, Error> {
    Scan::new(run, volume, Arc::new(Source::None))
}

/// The pieces, largest first: their `labels` as an image, and `voxels` and `volumes_ml` of each.
fn components(run: &Run, mask: &Mask, joined: &str) -> Result<Map, Error> {
    let ways = [("faces", Connectivity::Faces), ("edges", Connectivity::Edges), ("corners", Connectivity::Corners)];
    let pieces = imaging::components(mask, choice("connectivity", &ways, joined)?);
    let voxels: Array = pieces.voxels.iter().map(|&n| Dynamic::from_int(n as i64)).collect();
    let volumes: Array = pieces.volumes_ml.iter().map(|&ml| Dynamic::from_float(ml)).collect();
    Ok(Map::from([
        ("labels".into(), Dynamic::from(computed(run, pieces.labels)?)),
        ("voxels".into(), voxels.into()),
        ("volumes_ml".into(), volumes.into()),
    ]))
}
