use std::sync::Arc;

use isoscan_imaging::{self as imaging, Interpolation, Mask, Modality, Normalization, Orientation, Unit, Volume};
use isoscan_io::Source;
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};
use serde_json::json;

use crate::{
    Error,
    budget::Lease,
    state::Run,
    value::{argument, integers3, number, numbers3, option_map},
};

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// An image in a script: an opaque handle. Every verb gives a new image; none changes its argument.
#[derive(Clone)]
pub(crate) struct Scan {
    pub(crate) volume: Arc<Volume>,
    pub(crate) source: Arc<Source>,
    /// What was done since the file was read, in order.
    pub(crate) steps: Arc<Vec<serde_json::Value>>,
    /// The plugin that made it, if any.
    pub(crate) maker: Option<Arc<Maker>>,
    _lease: Arc<Lease>,
}

/// The translation that made an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Maker {
    pub(crate) plugin: String,
    pub(crate) version: String,
    pub(crate) library_sha256: String,
    pub(crate) weights_sha256: Option<String>,
    pub(crate) params: serde_json::Value,
    pub(crate) synthetic: bool,
    /// Input voxels outside the intensities that the plugin was made for.
    pub(crate) outside_range: u64,
}

/// A region in a script.
#[derive(Clone)]
pub(crate) struct Roi {
    pub(crate) mask: Arc<Mask>,
    _lease: Arc<Lease>,
}

impl Scan {
    pub(crate) fn new(run: &Run, volume: Volume, source: Arc<Source>) -> Result<Self, Error> {
        let lease = run.budget.lease(4 * volume.geometry().voxel_count() as u64)?;
        Ok(Self { volume: Arc::new(volume), source, steps: Arc::default(), maker: None, _lease: lease })
    }

    /// The image that `step` made of this one.
    pub(crate) fn then(&self, run: &Run, volume: Volume, step: serde_json::Value) -> Result<Self, Error> {
        let mut next = Self::new(run, volume, self.source.clone())?;
        let mut steps = self.steps.as_ref().clone();
        steps.push(step);
        next.steps = Arc::new(steps);
        next.maker.clone_from(&self.maker);
        Ok(next)
    }

    pub(crate) fn by(mut self, maker: Maker) -> Self {
        self.maker = Some(Arc::new(maker));
        self
    }
}

impl Roi {
    pub(crate) fn new(run: &Run, mask: Mask) -> Result<Self, Error> {
        let lease = run.budget.lease(mask.geometry().voxel_count() as u64)?;
        Ok(Self { mask: Arc::new(mask), _lease: lease })
    }
}

/// Registers images and regions with their verbs.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine
        .register_type_with_name::<Scan>("Image")
        .register_get("modality", |scan: &mut Scan| scan.volume.modality().to_string())
        .register_get("unit", |scan: &mut Scan| scan.volume.unit().to_string())
        .register_get("size", |scan: &mut Scan| integers(scan.volume.geometry().size()))
        .register_get("spacing", |scan: &mut Scan| floats(scan.volume.geometry().spacing_mm()))
        .register_get("orientation", |scan: &mut Scan| Orientation::of(scan.volume.geometry()).to_string())
        .register_fn("to_string", |scan: &mut Scan| describe(&scan.volume))
        .register_fn("to_debug", |scan: &mut Scan| describe(&scan.volume));
    engine
        .register_type_with_name::<Roi>("Mask")
        .register_get("voxels", |roi: &mut Roi| roi.mask.count() as i64)
        .register_fn("to_string", |roi: &mut Roi| {
            format!("mask of {} voxels, {}", roi.mask.count(), roi.mask.geometry())
        });
    register_reading(engine, run);
    register_intensities(engine, run);
    register_grids(engine, run);
    register_masks(engine, run);
}

fn describe(volume: &Volume) -> String {
    format!("{} in {}, {}", volume.modality(), volume.unit(), volume.geometry())
}

fn integers(values: [usize; 3]) -> Array {
    values.iter().map(|&v| Dynamic::from_int(v as i64)).collect()
}

fn floats(values: [f64; 3]) -> Array {
    values.iter().map(|&v| Dynamic::from_float(v)).collect()
}

fn register_reading(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("read", move |path: &str| -> Verb<Scan> { Ok(read(&shared, path)?) });
    let shared = run.clone();
    engine.register_fn("read_mask", move |path: &str| -> Verb<Roi> {
        let real = shared.access.readable(path)?;
        let mask = isoscan_io::read_mask(&real, None).map_err(Error::from)?;
        Ok(Roi::new(&shared, mask)?)
    });
    let shared = run.clone();
    engine.register_fn("read_mask", move |path: &str, label: i64| -> Verb<Roi> {
        let real = shared.access.readable(path)?;
        let label = i32::try_from(label).map_err(|_| argument("label", "a 32-bit whole number", label))?;
        let mask = isoscan_io::read_mask(&real, Some(label)).map_err(Error::from)?;
        Ok(Roi::new(&shared, mask)?)
    });
    let shared = run.clone();
    engine.register_fn("write", move |scan: &mut Scan, name: &str| -> Verb<()> {
        crate::write::write_nifti(&shared, scan, name)?;
        Ok(())
    });
    let shared = run.clone();
    engine.register_fn("write_dicom", move |scan: &mut Scan, name: &str| -> Verb<()> {
        crate::write::write_dicom(&shared, scan, name)?;
        Ok(())
    });
}

/// Reads one image and notes it in the ledger.
pub(crate) fn read(run: &Run, path: &str) -> Result<Scan, Error> {
    let real = run.access.readable(path)?;
    let series = isoscan_io::read(&real)?;
    crate::cohort::note_input(run, &series)?;
    Scan::new(run, series.volume, Arc::new(series.source))
}

fn register_intensities(engine: &mut Engine, run: &Arc<Run>) {
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
}

fn normalize(run: &Run, scan: &Scan, mask: Option<&Mask>, kind: &str, options: &Map) -> Result<Scan, Error> {
    let defaults: &[(&str, f64)] = if kind == "percentile" { &[("low", 1.0), ("high", 99.0)] } else { &[] };
    let chosen = option_map("normalize", options, defaults)?;
    let how = match kind {
        "zscore" => Normalization::ZScore,
        "minmax" => Normalization::MinMax,
        "percentile" => Normalization::Percentile { low: chosen["low"], high: chosen["high"] },
        _ => return Err(argument("normalization", "one of zscore, percentile, minmax", kind)),
    };
    let (normalized, _) = imaging::normalize(&scan.volume, mask, how)?;
    scan.then(run, normalized, json!({"verb": "normalize", "kind": kind, "options": chosen, "masked": mask.is_some()}))
}

fn register_grids(engine: &mut Engine, run: &Arc<Run>) {
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
        let resampled = resample(scan, &grid, kind)?;
        Ok(scan.then(&shared, resampled, json!({"verb": "resample", "spacing_mm": spacing, "interpolation": kind}))?)
    });
    let shared = run.clone();
    engine.register_fn("resample_like", move |scan: &mut Scan, other: Scan, kind: &str| -> Verb<Scan> {
        let resampled = resample(scan, other.volume.geometry(), kind)?;
        let grid = other.volume.geometry().to_string();
        Ok(scan.then(&shared, resampled, json!({"verb": "resample_like", "grid": grid, "interpolation": kind}))?)
    });
    let shared = run.clone();
    engine.register_fn("treat_as", move |scan: &mut Scan, modality: &str| -> Verb<Scan> {
        Ok(treat_as(&shared, scan, modality)?)
    });
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
}

/// The same voxels under the modality that the caller vouches for, for files that do not tell it.
fn treat_as(run: &Run, scan: &Scan, term: &str) -> Result<Scan, Error> {
    let modality: Modality = term.parse()?;
    let unit = match modality {
        Modality::Ct => Unit::Hounsfield,
        Modality::Seg => Unit::Label,
        _ => Unit::Arbitrary,
    };
    let volume = scan.volume.as_ref().clone().with_meaning(modality, unit);
    scan.then(run, volume, json!({"verb": "treat_as", "modality": term}))
}

fn resample(scan: &Scan, grid: &imaging::Geometry, kind: &str) -> Result<Volume, Error> {
    let interpolation = match kind {
        "nearest" => Interpolation::Nearest,
        "linear" => Interpolation::Linear,
        "bspline" => Interpolation::BSpline,
        _ => return Err(argument("interpolation", "one of nearest, linear, bspline", kind)),
    };
    Ok(imaging::resample(&scan.volume, grid, interpolation, scan.volume.lowest()))
}

fn register_masks(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("body", move |scan: &mut Scan| -> Verb<Roi> {
        let body = imaging::body(&scan.volume).map_err(Error::from)?;
        Ok(Roi::new(&shared, body)?)
    });
    let shared = run.clone();
    engine.register_fn("threshold", move |scan: &mut Scan, low: Dynamic, high: Dynamic| -> Verb<Roi> {
        let (low, high) = (number("low", &low)?, number("high", &high)?);
        Ok(Roi::new(&shared, imaging::threshold(&scan.volume, low as f32, high as f32))?)
    });
    for (name, change) in [("dilate", imaging::dilate as fn(&Mask, f64) -> _), ("erode", imaging::erode)] {
        let shared = run.clone();
        engine.register_fn(name, move |roi: &mut Roi, radius_mm: Dynamic| -> Verb<Roi> {
            let radius_mm = number("radius", &radius_mm)?;
            Ok(Roi::new(&shared, change(&roi.mask, radius_mm).map_err(Error::from)?)?)
        });
    }
    for (name, change) in
        [("largest_component", imaging::largest_component as fn(&Mask) -> Mask), ("fill_holes", imaging::fill_holes)]
    {
        let shared = run.clone();
        engine.register_fn(name, move |roi: &mut Roi| -> Verb<Roi> { Ok(Roi::new(&shared, change(&roi.mask))?) });
    }
    type Join = fn(&Mask, &Mask) -> Result<Mask, imaging::Error>;
    let pairs: [(&str, Join); 3] =
        [("and", imaging::intersection), ("or", imaging::union), ("minus", imaging::difference)];
    for (name, join) in pairs {
        let shared = run.clone();
        engine.register_fn(name, move |roi: &mut Roi, other: Roi| -> Verb<Roi> {
            Ok(Roi::new(&shared, join(&roi.mask, &other.mask).map_err(Error::from)?)?)
        });
    }
}
