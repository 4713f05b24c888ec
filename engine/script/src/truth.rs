//! Verbs that compare an image with the truth it should show.

use std::sync::Arc;

use isoscan_imaging::{Mask, Volume};
use isoscan_metrics::{self as metrics, Estimate, PsnrRange, ReadCase, StoppingPower, StructureCriteria};
use ndarray::Array3;
use rhai::{Array, Dynamic, Engine, Map};

use crate::{
    Error,
    comparison::told_estimate,
    options::{Options, image, list, whole},
    scan::{Roi, Scan},
    state::Run,
    value::{argument, number, told},
    verb::Verb,
};

/// Registers what compares with the truth.
///
/// - `agreement(image, truth)`, `agreement(image, truth, options)`: `mae`, `bias`, `rmse`, `psnr`, `ssim` and `sharpness`
///   ([`metrics::edge_sharpness`]) over all voxels or inside the option `mask`. `range: [low, high]` is the range of PSNR
///   and SSIM (else that of a 12-bit CT, or the truth's own). `tissues: #{ bone: 4, soft: [1, 2], air: a_mask }`, numbers
///   being those of the option `labels`, gives `mae_bone`, `bias_bone`, ...; a tissue without a voxel has no number there.
///   `structures: #{ background: 8, contrast: 100, volume: 50 }` (mm, the image's unit, mm³) gives `invented`, `lost`, `found`
///   and `expected` ([`metrics::counted_truth`]).
/// - `overlap(found, truth)` of two masks: `dice`, `recall`, `precision`; `overlap(found, truth, #{ cyst: 3 })` of two label
///   images: `dice_cyst`, ...
/// - `contrast_to_noise(image, region, background)`.
/// - `path_error(image, truth)`, `path_error(image, truth, #{ axis: "y", mask: body, bone: [1600, 1.69] })`: mean absolute error of
///   the water-equivalent length of rays along a voxel axis, mm ([`metrics::water_path_error`]).
/// - `regions(labels, #{ air: 0, soft: [1, 2] })`: a mask by name of the labels with these numbers.
/// - `auroc(scores, findings)`, `auroc_gain(before, after, findings)`, `afroc(cases)` with cases `#{ lesions: 1, hits: [0.9], false_marks: [] }`, `mean(values)`: a
///   `value` with `ci95` and `n`; `spearman(x, y)`.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine.register_fn("agreement", |scan: Scan, truth: Scan| -> Verb<Map> {
        Ok(agreement(&scan, &truth, &Map::new())?)
    });
    engine.register_fn("agreement", |scan: Scan, truth: Scan, options: Map| -> Verb<Map> {
        Ok(agreement(&scan, &truth, &options)?)
    });
    engine.register_fn("overlap", |found: Roi, truth: Roi| -> Verb<Map> {
        let mut map = Map::new();
        insert_overlap(&mut map, "", &found.mask, &truth.mask)?;
        Ok(map)
    });
    engine.register_fn("overlap", |found: Scan, truth: Scan, names: Map| -> Verb<Map> {
        let mut map = Map::new();
        for (name, numbers) in &names {
            let [found, truth] = [&found, &truth].map(|labels| labelled(&labels.volume, name, numbers));
            insert_overlap(&mut map, &format!("_{name}"), &found?, &truth?)?;
        }
        Ok(map)
    });
    engine.register_fn("contrast_to_noise", |scan: Scan, region: Roi, background: Roi| -> Verb<f64> {
        Ok(metrics::contrast_to_noise(&scan.volume, &region.mask, &background.mask).map_err(Error::from)?)
    });
    engine.register_fn("path_error", |scan: Scan, truth: Scan| -> Verb<f64> {
        Ok(path_error(&scan, &truth, &Map::new())?)
    });
    engine.register_fn("path_error", |scan: Scan, truth: Scan, options: Map| -> Verb<f64> {
        Ok(path_error(&scan, &truth, &options)?)
    });
    let shared = run.clone();
    engine.register_fn("regions", move |labels: &mut Scan, names: Map| -> Verb<Map> {
        let mut masks = Map::new();
        for (name, numbers) in &names {
            let mask = labelled(&labels.volume, name, numbers)?;
            masks.insert(name.clone(), Dynamic::from(Roi::new(&shared, mask)?));
        }
        Ok(masks)
    });
    register_statistics(engine, run);
}

fn register_statistics(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("auroc", move |scores: Array, findings: Array| -> Verb<Map> {
        let (scores, findings) = (numbers("scores", &scores)?, flags("findings", &findings)?);
        Ok(told_estimate(&metrics::auroc(&scores, &findings, shared.seed).map_err(Error::from)?))
    });
    let shared = run.clone();
    engine.register_fn("auroc_gain", move |before: Array, after: Array, findings: Array| -> Verb<Map> {
        let (before, after) = (numbers("before", &before)?, numbers("after", &after)?);
        let findings = flags("findings", &findings)?;
        Ok(told_estimate(&metrics::auroc_gain(&before, &after, &findings, shared.seed).map_err(Error::from)?))
    });
    let shared = run.clone();
    engine.register_fn("afroc", move |cases: Array| -> Verb<Map> {
        let cases = cases.iter().map(read_case).collect::<Result<Vec<_>, Error>>()?;
        Ok(told_estimate(&metrics::afroc(&cases, shared.seed).map_err(Error::from)?))
    });
    let shared = run.clone();
    engine.register_fn("mean", move |values: Array| -> Verb<Map> {
        let mean: Estimate = metrics::bootstrap_mean(&numbers("values", &values)?, shared.seed).map_err(Error::from)?;
        Ok(told_estimate(&mean))
    });
    engine.register_fn("spearman", |x: Array, y: Array| -> Verb<f64> {
        Ok(metrics::spearman(&numbers("x", &x)?, &numbers("y", &y)?).map_err(Error::from)?)
    });
}

fn numbers(what: &str, values: &Array) -> Result<Vec<f64>, Error> {
    values.iter().map(|value| number(what, value)).collect()
}

fn flags(what: &str, values: &Array) -> Result<Vec<bool>, Error> {
    let flag = |value: &Dynamic| value.as_bool().map_err(|_| argument(what, "true or false", told(value)));
    values.iter().map(flag).collect()
}

fn read_case(case: &Dynamic) -> Result<ReadCase, Error> {
    let wanted = || argument("case", "a map with lesions, hits and false_marks", told(case));
    let map = case.read_lock::<Map>().ok_or_else(wanted)?;
    let options = Options::new("a case of afroc", &map, &["lesions", "hits", "false_marks"])?;
    Ok(ReadCase {
        lesions: options.whole("lesions", 0)?,
        hits: options.list("hits", &[], number)?,
        false_marks: options.list("false_marks", &[], number)?,
    })
}

fn agreement(scan: &Scan, truth: &Scan, given: &Map) -> Result<Map, Error> {
    let options = Options::new("agreement", given, &["mask", "range", "labels", "tissues", "structures"])?;
    let mask = options.mask("mask")?;
    let mask = mask.as_ref().map(|roi| roi.mask.as_ref());
    let (found, truth) = (scan.volume.as_ref(), truth.volume.as_ref());
    let range = psnr_range(&options, truth)?;
    let alike = metrics::similarity(truth, found, mask, range)?;
    let sharpness = metrics::edge_sharpness(truth, found, mask)?;
    let mut map: Map = [
        ("mae", alike.mae),
        ("bias", alike.bias),
        ("rmse", alike.rmse),
        ("psnr", alike.psnr),
        ("ssim", alike.ssim),
        ("sharpness", sharpness),
    ]
    .map(|(name, value)| (name.into(), Dynamic::from_float(value)))
    .into();
    if let Some(tissues) = options.get("tissues") {
        let names = tissues.read_lock::<Map>().ok_or_else(|| argument("tissues", "a map", told(tissues)))?;
        let labels = options.get("labels").map(|labels| image("labels", labels)).transpose()?;
        for (name, tissue) in names.iter() {
            let region = tissue_mask(labels.as_ref(), name, tissue)?;
            let region = mask.map_or(Ok(region.clone()), |mask| isoscan_imaging::intersection(&region, mask))?;
            for (metric, value) in errors_in(truth, found, &region)? {
                map.insert(format!("{metric}_{name}").into(), Dynamic::from_float(value));
            }
        }
    }
    if let Some(structures) = options.get("structures") {
        let criteria = criteria(structures)?;
        let counts = metrics::counted_truth(truth, found, mask, &criteria)?;
        for (name, count) in [
            ("invented", counts.invented),
            ("lost", counts.lost),
            ("found", counts.found),
            ("expected", counts.expected),
        ] {
            map.insert(name.into(), Dynamic::from_int(count as i64));
        }
    }
    Ok(map)
}

fn path_error(scan: &Scan, truth: &Scan, given: &Map) -> Result<f64, Error> {
    let options = Options::new("path_error", given, &["axis", "mask", "bone"])?;
    let axis = options.choice("axis", &[("x", 0), ("y", 1), ("z", 2)], 1)?;
    let mask = options.mask("mask")?;
    let mut calibration = StoppingPower::default();
    if options.get("bone").is_some() {
        let bone = options.list("bone", &[], number)?;
        let [hu, power] = bone.as_slice() else {
            return Err(argument("bone", "[HU, stopping power]", format!("{} values", bone.len())));
        };
        calibration = StoppingPower { bone_hu: *hu, bone: *power };
    }
    let mask = mask.as_ref().map(|roi| roi.mask.as_ref());
    Ok(metrics::water_path_error(&truth.volume, &scan.volume, mask, axis, &calibration)?)
}

fn psnr_range(options: &Options<'_>, truth: &Volume) -> Result<PsnrRange, Error> {
    let Some(given) = options.get("range") else {
        return Ok(PsnrRange::of(truth));
    };
    let ends = list("range", given)?;
    let [low, high] = ends.as_slice() else {
        return Err(argument("range", "[low, high]", told(given)));
    };
    let name = "named by the script".to_owned();
    Ok(PsnrRange::Named { low: number("range", low)?, high: number("range", high)?, name })
}

/// Error and bias in a region; NaN when it has no voxel.
fn errors_in(truth: &Volume, found: &Volume, region: &Mask) -> Result<[(&'static str, f64); 2], Error> {
    if region.count() == 0 {
        return Ok([("mae", f64::NAN), ("bias", f64::NAN)]);
    }
    let errors = metrics::voxel_errors(truth, found, Some(region))?;
    Ok([("mae", errors.mae), ("bias", errors.bias)])
}

fn criteria(given: &Dynamic) -> Result<StructureCriteria, Error> {
    let map = given.read_lock::<Map>().ok_or_else(|| argument("structures", "a map", told(given)))?;
    let options = Options::new("structures", &map, &["background", "contrast", "volume"])?;
    let needed = |name: &str| match options.get(name) {
        Some(value) => number(name, value),
        None => Err(argument(&format!("{name} of structures"), "given", "nothing")),
    };
    Ok(StructureCriteria {
        background_mm: needed("background")?,
        contrast: needed("contrast")?,
        volume_mm3: needed("volume")?,
    })
}

fn tissue_mask(labels: Option<&Scan>, name: &str, tissue: &Dynamic) -> Result<Mask, Error> {
    if let Some(roi) = tissue.clone().try_cast::<Roi>() {
        return Ok(roi.mask.as_ref().clone());
    }
    let labels = labels.ok_or_else(|| argument("labels", "an image, as the tissues are numbers", "nothing"))?;
    labelled(&labels.volume, name, tissue)
}

/// The voxels whose label is the number, or one of the numbers.
fn labelled(labels: &Volume, name: &str, numbers: &Dynamic) -> Result<Mask, Error> {
    let wanted: Vec<f32> = match numbers.read_lock::<Array>() {
        Some(several) => several.iter().map(|n| Ok(whole(name, n)? as f32)).collect::<Result<_, Error>>()?,
        None => vec![whole(name, numbers)? as f32],
    };
    let inside: Array3<bool> = labels.voxels().mapv(|label| wanted.contains(&label));
    Ok(Mask::new(inside, labels.geometry().clone())?)
}

fn insert_overlap(map: &mut Map, suffix: &str, found: &Mask, truth: &Mask) -> Result<(), Error> {
    let shares = metrics::overlap(found, truth)?;
    for (name, value) in [("dice", shares.dice), ("recall", shares.recall), ("precision", shares.precision)] {
        map.insert(format!("{name}{suffix}").into(), Dynamic::from_float(value));
    }
    Ok(())
}
