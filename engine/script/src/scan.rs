use std::sync::Arc;

use isoscan_imaging::{Mask, Orientation, Volume};
use isoscan_io::{Series, Source, Warning};
use rhai::{Array, Dynamic, Engine};

use crate::{
    Error,
    budget::Lease,
    state::Run,
    value::{argument, integers3},
    verb::Verb,
};

/// An image in a script: an opaque handle. Every verb gives a new image; none changes its argument.
#[derive(Clone)]
pub(crate) struct Scan {
    pub(crate) volume: Arc<Volume>,
    pub(crate) source: Arc<Source>,
    /// What was done since the file was read, in order.
    pub(crate) steps: Arc<Vec<serde_json::Value>>,
    /// The plugin that made it, if any.
    pub(crate) maker: Option<Arc<Maker>>,
    /// Voxels that the file declares as padding, as long as the grid is the file's.
    padding: Option<Arc<Mask>>,
    /// What was repaired or assumed while reading.
    warnings: Arc<Vec<Warning>>,
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
    /// What was repaired or assumed while reading.
    pub(crate) warnings: Arc<Vec<Warning>>,
    _lease: Arc<Lease>,
}

impl Scan {
    pub(crate) fn new(run: &Run, volume: Volume, source: Arc<Source>) -> Result<Self, Error> {
        let lease = run.budget.lease(4 * volume.geometry().voxel_count() as u64)?;
        Ok(Self {
            volume: Arc::new(volume),
            source,
            steps: Arc::default(),
            maker: None,
            padding: None,
            warnings: Arc::default(),
            _lease: lease,
        })
    }

    /// The image as it was read.
    pub(crate) fn of_series(run: &Run, series: Series) -> Result<Self, Error> {
        let scan = Self::new(run, series.volume, Arc::new(series.source))?;
        Ok(Self { padding: series.padding, warnings: Arc::new(series.warnings), ..scan })
    }

    /// The image as a reader would give it.
    pub(crate) fn as_series(&self) -> Series {
        Series {
            volume: self.volume.as_ref().clone(),
            source: self.source.as_ref().clone(),
            padding: self.padding.clone(),
            warnings: self.warnings.as_ref().clone(),
        }
    }

    /// The image that `step` made of this one.
    pub(crate) fn then(&self, run: &Run, volume: Volume, step: serde_json::Value) -> Result<Self, Error> {
        let mut next = Self::new(run, volume, self.source.clone())?;
        let mut steps = self.steps.as_ref().clone();
        steps.push(step);
        next.steps = Arc::new(steps);
        next.maker.clone_from(&self.maker);
        next.warnings.clone_from(&self.warnings);
        next.padding = self.padding.clone().filter(|padding| padding.geometry() == next.volume.geometry());
        Ok(next)
    }

    pub(crate) fn by(mut self, maker: Maker) -> Self {
        self.maker = Some(Arc::new(maker));
        self
    }
}

impl Roi {
    pub(crate) fn new(run: &Run, mask: impl Into<Arc<Mask>>) -> Result<Self, Error> {
        let mask = mask.into();
        let lease = run.budget.lease(mask.geometry().voxel_count() as u64)?;
        Ok(Self { mask, warnings: Arc::default(), _lease: lease })
    }
}

/// Registers images and regions with what they tell.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine
        .register_type_with_name::<Scan>("Image")
        .register_get("modality", |scan: &mut Scan| scan.volume.modality().to_string())
        .register_get("unit", |scan: &mut Scan| scan.volume.unit().to_string())
        .register_get("size", |scan: &mut Scan| integers(scan.volume.geometry().size()))
        .register_get("spacing", |scan: &mut Scan| floats(scan.volume.geometry().spacing_mm()))
        .register_get("orientation", |scan: &mut Scan| Orientation::of(scan.volume.geometry()).to_string())
        .register_get("warnings", |scan: &mut Scan| texts(&scan.warnings))
        .register_get("padding", move |scan: &mut Scan| -> Verb<Dynamic> {
            Ok(match &scan.padding {
                None => Dynamic::UNIT,
                Some(padding) => Dynamic::from(Roi::new(&shared, padding.clone())?),
            })
        })
        .register_fn("at", |scan: &mut Scan, voxel: Array| -> Verb<f64> { Ok(intensity(&scan.volume, &voxel)?) })
        .register_fn("mean", |scan: &mut Scan, region: Roi| -> Verb<f64> { Ok(mean(&scan.volume, &region.mask)?) })
        .register_fn("to_string", |scan: &mut Scan| describe(&scan.volume))
        .register_fn("to_debug", |scan: &mut Scan| describe(&scan.volume));
    engine
        .register_type_with_name::<Roi>("Mask")
        .register_get("voxels", |roi: &mut Roi| roi.mask.count() as i64)
        .register_get("size", |roi: &mut Roi| integers(roi.mask.geometry().size()))
        .register_get("warnings", |roi: &mut Roi| texts(&roi.warnings))
        .register_fn("to_string", |roi: &mut Roi| {
            format!("mask of {} voxels, {}", roi.mask.count(), roi.mask.geometry())
        });
}

fn describe(volume: &Volume) -> String {
    format!("{} in {}, {}", volume.modality(), volume.unit(), volume.geometry())
}

/// The intensity of the voxel `[i, j, k]`, each counted from 0.
fn intensity(volume: &Volume, voxel: &Array) -> Result<f64, Error> {
    let wanted = integers3("voxel", voxel)?;
    let [x, y, z] = wanted.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let found = volume.voxels().get([z, y, x]).copied().map(f64::from);
    found.ok_or_else(|| {
        let size = volume.geometry().size();
        argument("voxel", &format!("from [0, 0, 0] and below {size:?}"), format!("{wanted:?}"))
    })
}

/// The mean intensity inside a region on the image's grid.
fn mean(volume: &Volume, region: &Mask) -> Result<f64, Error> {
    volume.geometry().require_same(region.geometry(), 1e-3)?;
    let voxels = volume.voxels();
    let inside = voxels.iter().zip(region.inside()).filter(|(_, inside)| **inside);
    let (sum, count) = inside.fold((0.0, 0), |(sum, count), (&voxel, _)| (sum + f64::from(voxel), count + 1));
    if count == 0 {
        return Err(argument("region", "at least one voxel", 0));
    }
    Ok(sum / f64::from(count))
}

fn texts(warnings: &[Warning]) -> Array {
    warnings.iter().map(|warning| warning.to_string().into()).collect()
}

pub(crate) fn integers(values: [usize; 3]) -> Array {
    values.iter().map(|&v| Dynamic::from_int(v as i64)).collect()
}

pub(crate) fn floats(values: [f64; 3]) -> Array {
    values.iter().map(|&v| Dynamic::from_float(v)).collect()
}
