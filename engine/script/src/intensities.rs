//! Verbs that change intensities voxel by voxel.

use std::sync::Arc;

use imaging::{BiasCorrection, BiasFieldSettings, HistogramMatching, Mask, Normalization, TissueMode, Unit};
use isoscan_imaging as imaging;
use rhai::{Dynamic, Engine, Map};
use serde_json::json;

use crate::{
    Error,
    options::{Options, choice, whole},
    scan::{Roi, Scan},
    state::Run,
    value::number,
    verb::{Verb, of_image_in_mask},
};

/// Registers them.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("clip", move |scan: &mut Scan, low: Dynamic, high: Dynamic| -> Verb<Scan> {
        let (low, high) = (number("low", &low)?, number("high", &high)?);
        let clipped = imaging::clip(&scan.volume, low as f32, high as f32).map_err(Error::from)?;
        Ok(scan.then(&shared, clipped, json!({"verb": "clip", "low": low, "high": high}))?)
    });
    let shared = run.clone();
    engine.register_fn("window", move |scan: &mut Scan, center: Dynamic, width: Dynamic| -> Verb<Scan> {
        let (center, width) = (number("center", &center)?, number("width", &width)?);
        let windowed = imaging::window(&scan.volume, center, width).map_err(Error::from)?;
        Ok(scan.then(&shared, windowed, json!({"verb": "window", "center": center, "width": width}))?)
    });
    register_normalize(engine, run);
    let shared = run.clone();
    engine.register_fn("paint", move |scan: &mut Scan, roi: Roi, value: Dynamic| -> Verb<Scan> {
        Ok(paint(&shared, scan, &roi, number("value", &value)?)?)
    });
    of_image_in_mask(engine, run, "correct_bias", |run, scan, mask, options| {
        let (fitted, step) = fit_bias(scan, mask, options)?;
        scan.then(run, fitted.volume, step)
    });
    of_image_in_mask(engine, run, "bias_field", |run, scan, mask, options| {
        let (fitted, mut step) = fit_bias(scan, mask, options)?;
        step["verb"] = "bias_field".into();
        scan.then(run, fitted.field, step)
    });
    let shared = run.clone();
    engine.register_fn("match_histogram", move |scan: &mut Scan, reference: Scan| -> Verb<Scan> {
        Ok(match_histogram(&shared, scan, &reference, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("match_histogram", move |scan: &mut Scan, reference: Scan, options: Map| -> Verb<Scan> {
        Ok(match_histogram(&shared, scan, &reference, &options)?)
    });
}

fn register_normalize(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("normalize", move |scan: &mut Scan, kind: &str| -> Verb<Scan> {
        Ok(normalize(&shared, scan, None, kind, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("normalize", move |scan: &mut Scan, kind: &str, options: Map| -> Verb<Scan> {
        Ok(normalize(&shared, scan, None, kind, &options)?)
    });
    let shared = run.clone();
    engine.register_fn("normalize", move |scan: &mut Scan, roi: Roi, kind: &str| -> Verb<Scan> {
        Ok(normalize(&shared, scan, Some(&roi.mask), kind, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("normalize", move |scan: &mut Scan, roi: Roi, kind: &str, options: Map| -> Verb<Scan> {
        Ok(normalize(&shared, scan, Some(&roi.mask), kind, &options)?)
    });
}

/// The image with one value in all voxels of a region.
fn paint(run: &Run, scan: &Scan, roi: &Roi, value: f64) -> Result<Scan, Error> {
    scan.volume.geometry().require_same(roi.mask.geometry(), 1e-3)?;
    let painted = ndarray::Zip::from(scan.volume.voxels())
        .and(roi.mask.inside())
        .map_collect(|&voxel, &inside| if inside { value as f32 } else { voxel });
    let step = json!({"verb": "paint", "value": value, "voxels": roi.mask.count()});
    scan.then(run, scan.volume.with_voxels(painted)?, step)
}

fn normalize(run: &Run, scan: &Scan, mask: Option<&Mask>, kind: &str, given: &Map) -> Result<Scan, Error> {
    let kinds: [(&str, &[&str]); 6] = [
        ("zscore", &[]),
        ("percentile", &["low", "high"]),
        ("minmax", &[]),
        ("robust", &[]),
        ("white-stripe", &["mode", "width"]),
        ("tissue-mode", &["mode"]),
    ];
    let options = Options::new("normalize", given, choice("normalization", &kinds, kind)?)?;
    let modes = [("first", TissueMode::First), ("largest", TissueMode::Largest), ("last", TissueMode::Last)];
    let mode = || options.choice("mode", &modes, TissueMode::Last);
    let how = match kind {
        "zscore" => Normalization::ZScore,
        "percentile" => {
            Normalization::Percentile { low: options.number("low", 1.0)?, high: options.number("high", 99.0)? }
        }
        "minmax" => Normalization::MinMax,
        "robust" => Normalization::RobustZScore,
        "white-stripe" => Normalization::WhiteStripe { mode: mode()?, width: options.number("width", 0.05)? },
        _ => Normalization::TissueMode { mode: mode()? },
    };
    let (normalized, _) = imaging::normalize(&scan.volume, mask, how)?;
    let step = json!({"verb": "normalize", "kind": kind, "options": how, "masked": mask.is_some()});
    scan.then(run, normalized, step)
}

/// N4, with the step to record.
fn fit_bias(scan: &Scan, mask: Option<&Mask>, given: &Map) -> Result<(BiasCorrection, serde_json::Value), Error> {
    let known = ["iterations", "convergence", "control_points", "shrink", "bins", "full_width_half_maximum", "noise"];
    let options = Options::new("correct_bias", given, &known)?;
    let usual = BiasFieldSettings::default();
    let size = scan.volume.geometry().size();
    let settings = BiasFieldSettings {
        iterations: options.list("iterations", &usual.iterations, whole)?,
        convergence: options.number("convergence", usual.convergence)?,
        control_points: options.whole3("control_points", usual.control_points)?,
        shrink: options.whole3("shrink", size.map(|voxels| voxels.min(4)))?,
        bins: options.whole("bins", usual.bins)?,
        full_width_half_maximum: options.number("full_width_half_maximum", usual.full_width_half_maximum)?,
        noise: options.number("noise", usual.noise)?,
    };
    let fitted = imaging::correct_bias_field(&scan.volume, mask, None, &settings)?;
    let step = json!({"verb": "correct_bias", "iterations": settings.iterations, "convergence": settings.convergence,
        "control_points": settings.control_points, "shrink": settings.shrink, "bins": settings.bins,
        "full_width_half_maximum": settings.full_width_half_maximum, "noise": settings.noise,
        "masked": mask.is_some()});
    Ok((fitted, step))
}

fn match_histogram(run: &Run, scan: &Scan, reference: &Scan, given: &Map) -> Result<Scan, Error> {
    let known = ["bins", "points", "threshold_at_mean", "mask", "reference_mask"];
    let options = Options::new("match_histogram", given, &known)?;
    let usual = HistogramMatching::default();
    let rule = HistogramMatching {
        bins: options.whole("bins", usual.bins)?,
        points: options.whole("points", usual.points)?,
        threshold_at_mean: options.flag("threshold_at_mean", usual.threshold_at_mean)?,
    };
    let (mask, reference_mask) = (options.mask("mask")?, options.mask("reference_mask")?);
    let (matched, curve) = imaging::match_histogram(
        &scan.volume,
        mask.as_ref().map(|roi| roi.mask.as_ref()),
        &reference.volume,
        reference_mask.as_ref().map(|roi| roi.mask.as_ref()),
        rule,
    )?;
    scan.then(run, matched, json!({"verb": "match_histogram", "options": options.told()?, "curve": curve}))
}

/// The same voxels under the modality that the caller vouches for, for files that do not tell it.
pub(crate) fn treat_as(run: &Run, scan: &Scan, term: &str) -> Result<Scan, Error> {
    let modality: imaging::Modality = term.parse()?;
    let volume = scan.volume.as_ref().clone().with_meaning(modality, usual_unit(modality));
    scan.then(run, volume, json!({"verb": "treat_as", "modality": term}))
}

fn usual_unit(modality: imaging::Modality) -> Unit {
    match modality {
        imaging::Modality::Ct => Unit::Hounsfield,
        imaging::Modality::Seg => Unit::Label,
        _ => Unit::Arbitrary,
    }
}
