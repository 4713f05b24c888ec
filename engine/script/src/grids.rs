//! Verbs that change the grid of an image.

use std::sync::Arc;

use imaging::{Geometry, Interpolation, Orientation, PadMode, Unit, Volume};
use isoscan_imaging as imaging;
use rhai::{Array, Dynamic, Engine};
use serde_json::json;

use crate::{
    Error,
    intensities::treat_as,
    options::{choice, text},
    scan::{Roi, Scan},
    state::Run,
    value::{argument, integers3, number, numbers3},
    verb::{Verb, of_mask_and},
};

/// Registers them.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("reorient", move |scan: &mut Scan, code: &str| -> Verb<Scan> {
        let orientation: Orientation = code.parse().map_err(Error::from)?;
        let turned = imaging::reorient(&scan.volume, orientation);
        Ok(scan.then(&shared, turned, json!({"verb": "reorient", "to": code}))?)
    });
    let shared = run.clone();
    engine.register_fn("resample", move |scan: &mut Scan, spacing: Array, kind: &str| -> Verb<Scan> {
        let spacing = numbers3("spacing", &spacing)?;
        let grid = imaging::with_spacing(scan.volume.geometry(), spacing).map_err(Error::from)?;
        let resampled = resample(&scan.volume, &grid, kind)?;
        Ok(scan.then(&shared, resampled, json!({"verb": "resample", "spacing_mm": spacing, "interpolation": kind}))?)
    });
    let shared = run.clone();
    engine.register_fn("resample_like", move |scan: &mut Scan, other: Scan, kind: &str| -> Verb<Scan> {
        let resampled = resample(&scan.volume, other.volume.geometry(), kind)?;
        let grid = other.volume.geometry().to_string();
        Ok(scan.then(&shared, resampled, json!({"verb": "resample_like", "grid": grid, "interpolation": kind}))?)
    });
    of_mask_and(engine, run, "resample_like", |run, mask, other: Scan| {
        Roi::new(run, imaging::resample_mask(mask, other.volume.geometry()))
    });
    let shared = run.clone();
    engine.register_fn("treat_as", move |scan: &mut Scan, modality: &str| -> Verb<Scan> {
        Ok(treat_as(&shared, scan, modality)?)
    });
    let shared = run.clone();
    engine.register_fn("straighten", move |scan: &mut Scan| -> Verb<Scan> {
        let kind = if scan.volume.unit() == Unit::Label { "nearest" } else { "linear" };
        Ok(straighten(&shared, scan, kind)?)
    });
    let shared = run.clone();
    engine.register_fn("straighten", move |scan: &mut Scan, kind: &str| -> Verb<Scan> {
        Ok(straighten(&shared, scan, kind)?)
    });
    register_boxes(engine, run);
}

fn register_boxes(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("pad_to_multiple", move |scan: &mut Scan, multiple: Array| -> Verb<Scan> {
        let multiple = integers3("multiple", &multiple)?;
        let whole = multiple.map(|n| usize::try_from(n).unwrap_or(0));
        let padded = imaging::pad_to_multiple(&scan.volume, whole, scan.volume.lowest()).map_err(Error::from)?;
        Ok(scan.then(&shared, padded, json!({"verb": "pad_to_multiple", "multiple": multiple}))?)
    });
    let shared = run.clone();
    engine.register_fn("crop", move |scan: &mut Scan, first: Array, size: Array| -> Verb<Scan> {
        let (first, size) = (integers3("first", &first)?, integers3("size", &size)?);
        let extent = [size[0], size[1], size[2]].map(|n| usize::try_from(n).unwrap_or(0));
        let fill = scan.volume.lowest();
        let cropped = imaging::crop(&scan.volume, first, extent, fill).map_err(Error::from)?;
        Ok(scan.then(&shared, cropped, json!({"verb": "crop", "first": first, "size": size, "fill": fill}))?)
    });
    let shared = run.clone();
    engine.register_fn("crop_to", move |scan: &mut Scan, roi: Roi, margin_mm: Dynamic| -> Verb<Scan> {
        let margin_mm = number("margin in mm", &margin_mm)?;
        let cropped = imaging::crop_to_mask(&scan.volume, &roi.mask, margin_mm).map_err(Error::from)?;
        Ok(scan.then(&shared, cropped, json!({"verb": "crop_to", "margin_mm": margin_mm}))?)
    });
    let shared = run.clone();
    engine.register_fn("pad", move |scan: &mut Scan, before: Array, after: Array| -> Verb<Scan> {
        Ok(pad(&shared, scan, &before, &after, &Dynamic::UNIT)?)
    });
    let shared = run.clone();
    engine.register_fn("pad", move |scan: &mut Scan, before: Array, after: Array, mode: Dynamic| -> Verb<Scan> {
        Ok(pad(&shared, scan, &before, &after, &mode)?)
    });
    let shared = run.clone();
    engine.register_fn("fit_to_size", move |scan: &mut Scan, size: Array| -> Verb<Scan> {
        Ok(fit_to_size(&shared, scan, &size, &Dynamic::UNIT)?)
    });
    let shared = run.clone();
    engine.register_fn("fit_to_size", move |scan: &mut Scan, size: Array, mode: Dynamic| -> Verb<Scan> {
        Ok(fit_to_size(&shared, scan, &size, &mode)?)
    });
}

/// How a value between voxels of an image is found, by its name; between those of a label map stands the nearest.
pub(crate) fn interpolation(volume: &Volume, kind: &str) -> Result<Interpolation, Error> {
    if volume.unit() == Unit::Label {
        return choice("interpolation of labels", &[("nearest", Interpolation::Nearest)], kind);
    }
    Ok(kind.parse()?)
}

/// On another grid; between the voxels of a label map stands one of its labels.
fn resample(volume: &Volume, grid: &Geometry, kind: &str) -> Result<Volume, Error> {
    if volume.unit() == Unit::Label {
        return Ok(imaging::resample_labels(volume, grid, kind.parse()?, 0.0));
    }
    Ok(imaging::resample(volume, grid, kind.parse()?, volume.lowest()))
}

fn straighten(run: &Run, scan: &Scan, kind: &str) -> Result<Scan, Error> {
    let upright = imaging::straighten(&scan.volume, interpolation(&scan.volume, kind)?, scan.volume.lowest())?;
    scan.then(run, upright, json!({"verb": "straighten", "interpolation": kind}))
}

/// What new voxels hold: the lowest intensity, one that is given, the edge's or the mirrored ones.
fn pad_mode(scan: &Scan, mode: &Dynamic) -> Result<PadMode, Error> {
    if mode.is_unit() {
        return Ok(PadMode::Constant(scan.volume.lowest()));
    }
    if mode.is_string() {
        let modes = [("edge", PadMode::Edge), ("mirror", PadMode::Mirror)];
        return choice("padding", &modes, &text("padding", mode)?);
    }
    number("padding", mode).map(|value| PadMode::Constant(value as f32))
}

fn voxels(what: &str, values: &Array) -> Result<[usize; 3], Error> {
    let given = integers3(what, values)?;
    let refused = || argument(what, "three whole numbers from 0", format!("{given:?}"));
    let [x, y, z] = given.map(|n| usize::try_from(n).ok());
    Ok([x.ok_or_else(refused)?, y.ok_or_else(refused)?, z.ok_or_else(refused)?])
}

fn pad(run: &Run, scan: &Scan, before: &Array, after: &Array, mode: &Dynamic) -> Result<Scan, Error> {
    let (before, after) = (voxels("before", before)?, voxels("after", after)?);
    let mode = pad_mode(scan, mode)?;
    let padded = imaging::pad(&scan.volume, before, after, mode)?;
    let step = json!({"verb": "pad", "before": before, "after": after, "mode": format!("{mode:?}")});
    scan.then(run, padded, step)
}

fn fit_to_size(run: &Run, scan: &Scan, size: &Array, mode: &Dynamic) -> Result<Scan, Error> {
    let size = voxels("size", size)?;
    let mode = pad_mode(scan, mode)?;
    let fitted = imaging::fit_to_size(&scan.volume, size, mode)?;
    scan.then(run, fitted, json!({"verb": "fit_to_size", "size": size, "mode": format!("{mode:?}")}))
}
