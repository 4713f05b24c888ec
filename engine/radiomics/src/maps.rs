mod glcm;
mod kernel;
mod spectrum;
mod textures;

use std::sync::Arc;

use isoscan_imaging::{Geometry, Mask, Volume};
use ndarray::Array3;
use rayon::prelude::*;

use crate::discretise::Discretised;
use crate::families::wanted_features;
use crate::first_order::FirstOrder;
use crate::image::Bounds;
use crate::images::{Derived, derive};
use crate::prepare::{prepare, require_numbers, whole_image};
use crate::roi::Roi;
use crate::table::Outcome;
use crate::{Error, FeatureFamily, NanReason, Settings};
use glcm::{Glcm, Logs};
use kernel::{Field, Kernel, View};
use textures::{Neighbours, run_lengths, zones};

/// Centres that are held beside the maps.
const BLOCK: usize = 8192;

/// Centres that one thread takes at a time.
const SHARE: usize = 32;

/// The values of one feature around every voxel of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMap {
    /// PyRadiomics' name, such as `original_glcm_Contrast`.
    pub name: String,
    /// The family.
    pub family: FeatureFamily,
    /// Code of the same quantity in the IBSI reference manual.
    pub ibsi: Option<&'static str>,
    /// Values, axes z, y, x: the region's box and `kernelRadius` voxels around it as far as the image reaches.
    pub values: Array3<f64>,
    /// The grid of `values`.
    pub geometry: Geometry,
    /// Value outside the region, `initValue`.
    pub outside: f64,
    /// Voxels of the region where the feature has no value and is NaN.
    pub undefined: usize,
    /// Why the first of them has none.
    pub reason: Option<NanReason>,
}

/// Feature maps of the region `mask` of `volume`: every feature of the settings' families in the cube of `kernelRadius`
/// voxels around each voxel of the region (a square with `force2D`), for every image type. The shape families have none.
///
/// Grey levels are those of the whole region. With `maskedKernel` only voxels of the region count in a kernel; without
/// it all do within the region's box and `kernelRadius` voxels around it, and the levels are those of that box.
/// `voxelBatch` has no effect. Values are f64; they equal PyRadiomics' where it gives a number, except that GLCM
/// JointAverage and MCC are averaged over the directions that hold a pair like all others: PyRadiomics gives NaN for the
/// one, and no value in the whole batch for the other.
///
/// # Errors
/// As [`extract`](crate::extract).
pub fn maps(volume: &Volume, mask: &Mask, settings: &Settings) -> Result<Vec<FeatureMap>, Error> {
    settings.check()?;
    let prepared = prepare(&Arc::new(whole_image(volume, settings)?), mask, settings)?;
    let image = &prepared.image;
    let region = &prepared.region;
    let bounds = Bounds::of(region).widened([settings.kernel_radius as usize; 3], image.geometry().size());
    let geometry = grid_of(bounds, image.geometry())?;
    let inside = inside_of(region, bounds);
    let target = Roi::of_box(bounds.first, bounds.size);
    let mut found = Vec::new();
    for (kind, own) in settings.images()? {
        for derived in derive(kind, image, region, &target, &own)? {
            found.extend(maps_of_image(&derived, &inside, &geometry, &own)?);
        }
    }
    Ok(found)
}

impl FeatureMap {
    /// The map as a volume of the grid `on`, in f32, with [`outside`](Self::outside) where it does not reach. Give the
    /// image's own grid, or [`geometry`](Self::geometry) for the map alone.
    ///
    /// # Errors
    /// [`Error::GeometryMismatch`] when the map's voxels are not voxels of `on`, as after resampling.
    pub fn volume(&self, on: &Geometry, modality: isoscan_imaging::Modality) -> Result<Volume, Error> {
        let corner = on.voxel_from_world().apply(self.geometry.origin_mm());
        let shift = corner.map(f64::round);
        let near = |a: [f64; 3], b: [f64; 3], tolerance: f64| (0..3).all(|k| (a[k] - b[k]).abs() <= tolerance);
        let fits = near(corner, shift, 1e-3)
            && near(on.spacing_mm(), self.geometry.spacing_mm(), 1e-6)
            && (0..3).all(|axis| near(on.direction()[axis], self.geometry.direction()[axis], 1e-6))
            && (0..3).all(|a| shift[a] >= 0.0 && shift[a] as usize + self.geometry.size()[a] <= on.size()[a]);
        if !fits {
            return Err(Error::GeometryMismatch {
                expected: on.to_string(),
                found: self.geometry.to_string(),
                distance_mm: on.corner_distance_mm(&self.geometry),
                tolerance_mm: 1e-3 * on.spacing_mm()[0],
            });
        }
        let [x, y, z] = shift.map(|shift| shift as usize);
        let [nx, ny, nz] = on.size();
        let mut voxels = Array3::from_elem((nz, ny, nx), self.outside as f32);
        for ((k, j, i), &value) in self.values.indexed_iter() {
            voxels[[z + k, y + j, x + i]] = value as f32;
        }
        Ok(Volume::new(voxels, on.clone(), modality, isoscan_imaging::Unit::Arbitrary)?)
    }
}

fn grid_of(bounds: Bounds, image: &Geometry) -> Result<Geometry, Error> {
    let origin_mm = image.world_from_voxel().apply(bounds.first.map(|i| i as f64));
    Ok(Geometry::new(bounds.size, image.spacing_mm(), origin_mm, image.direction())?)
}

/// Which voxels of a box that holds the region belong to it.
fn inside_of(region: &Roi, bounds: Bounds) -> Vec<bool> {
    let mut inside = vec![false; bounds.count()];
    for (_, position) in region.voxels() {
        let [x, y, z]: [usize; 3] = std::array::from_fn(|a| position[a] - bounds.first[a]);
        inside[(z * bounds.size[1] + y) * bounds.size[0] + x] = true;
    }
    inside
}

/// A feature wanted and the place of its value among those of its family.
struct Column {
    family: FeatureFamily,
    name: &'static str,
    ibsi: Option<&'static str>,
}

fn maps_of_image(
    image: &Derived,
    inside: &[bool],
    geometry: &Geometry,
    settings: &Settings,
) -> Result<Vec<FeatureMap>, Error> {
    let counts = |voxel: &usize| !settings.masked_kernel || inside[*voxel];
    let members: Vec<usize> = (0..inside.len()).filter(counts).collect();
    let values: Vec<f64> = members.iter().map(|&voxel| image.values[voxel]).collect();
    require_numbers(&values)?;
    let levels = Discretised::of(&values, settings.discretisation(), image.number)?;
    let mut positions = vec![0; inside.len()];
    members.iter().zip(&levels.levels).for_each(|(&voxel, &level)| positions[voxel] = level);
    let field = Field { size: geometry.size(), values: &image.values, positions, grey: &levels.grey };

    let columns = columns(settings);
    let task = Task {
        kernel: Kernel::of(settings, field.size),
        logs: Logs::new(),
        families: settings.features.keys().copied().collect(),
        columns: &columns,
        spacing_mm: geometry.spacing_mm(),
        field,
        settings,
    };
    let centres: Vec<usize> = (0..inside.len()).filter(|&voxel| inside[voxel]).collect();
    let mut maps: Vec<Vec<f64>> = columns.iter().map(|_| vec![settings.init_value; inside.len()]).collect();
    let mut reasons: Vec<(usize, Option<NanReason>)> = vec![(0, None); columns.len()];
    for block in centres.chunks(BLOCK) {
        let shares = block.par_chunks(SHARE).map_init(|| Worker::of(&task), |worker, share| worker.rows(share));
        let rows: Vec<Vec<Outcome>> = shares.collect();
        let rows = rows.iter().flat_map(|share| share.chunks_exact(columns.len().max(1)));
        for (&centre, row) in block.iter().zip(rows) {
            for ((map, outcome), (undefined, reason)) in maps.iter_mut().zip(row).zip(&mut reasons) {
                map[centre] = outcome.unwrap_or(f64::NAN);
                *undefined += usize::from(outcome.is_err());
                *reason = reason.or(outcome.err());
            }
        }
    }
    let [nx, ny, nz] = geometry.size();
    let finished = columns.iter().zip(maps).zip(reasons).map(|((column, values), (undefined, reason))| FeatureMap {
        name: format!("{}_{}_{}", image.name, column.family, column.name),
        family: column.family,
        ibsi: column.ibsi,
        values: Array3::from_shape_vec((nz, ny, nx), values).expect("a map has a value for each voxel of its grid"),
        geometry: geometry.clone(),
        outside: settings.init_value,
        undefined,
        reason,
    });
    Ok(finished.collect())
}

/// The features wanted, family by family.
fn columns(settings: &Settings) -> Vec<Column> {
    let has_maps = |family: &FeatureFamily| !matches!(family, FeatureFamily::Shape | FeatureFamily::Shape2D);
    let families = settings.features.iter().filter(|(family, _)| has_maps(family));
    families
        .flat_map(|(&family, wanted)| {
            let features = wanted_features(family, wanted).filter(move |(name, _)| !family.is_superseded(name));
            features.map(move |&(name, ibsi)| Column { family, name, ibsi })
        })
        .collect()
}

/// What every thread computes from.
struct Task<'a> {
    kernel: Kernel,
    logs: Logs,
    families: Vec<FeatureFamily>,
    columns: &'a [Column],
    spacing_mm: [f64; 3],
    field: Field<'a>,
    settings: &'a Settings,
}

/// What one thread reuses from centre to centre.
struct Worker<'a> {
    task: &'a Task<'a>,
    view: View,
    glcm: Glcm<'a>,
    neighbours: Neighbours,
}

impl<'a> Worker<'a> {
    fn of(task: &'a Task<'a>) -> Self {
        let Task { kernel, logs, spacing_mm, field, settings, .. } = task;
        let with_mcc = task.columns.iter().any(|column| column.name == "MCC");
        Self {
            task,
            view: View::new(kernel, field.grey.len()),
            glcm: Glcm::of(kernel, field.grey, *spacing_mm, settings, with_mcc, logs),
            neighbours: Neighbours::new(kernel, settings),
        }
    }

    /// The values of the columns, centre by centre.
    fn rows(&mut self, centres: &[usize]) -> Vec<Outcome> {
        let [nx, ny, _] = self.task.field.size;
        let mut rows = Vec::with_capacity(centres.len() * self.task.columns.len());
        for &centre in centres {
            let centre = [centre % nx, centre / nx % ny, centre / (nx * ny)];
            self.view.look(&self.task.kernel, &self.task.field, centre);
            let has = |family| self.task.families.contains(&family);
            if has(FeatureFamily::Gldm) || has(FeatureFamily::Ngtdm) {
                self.neighbours.look(&self.task.kernel, &self.view);
            }
            for family in &self.task.families {
                self.family(*family, &mut rows);
            }
        }
        rows
    }

    fn family(&mut self, family: FeatureFamily, rows: &mut Vec<Outcome>) {
        let Task { kernel, columns, spacing_mm, settings, .. } = self.task;
        let view = &self.view;
        let value_of: Box<dyn Fn(&str) -> Outcome> = match family {
            FeatureFamily::FirstOrder => first_order(view, settings, spacing_mm.iter().product()),
            FeatureFamily::Glcm => {
                let values = self.glcm.features(view);
                Box::new(move |name| glcm::feature(&values, name))
            }
            FeatureFamily::Glrlm => {
                let matrices = run_lengths(kernel, view, *spacing_mm, settings);
                Box::new(move |name| matrices.feature(name))
            }
            FeatureFamily::Glszm => {
                let matrix = zones(kernel, view);
                Box::new(move |name| matrix.feature(name))
            }
            FeatureFamily::Gldm => {
                let matrix = self.neighbours.dependences(view);
                Box::new(move |name| matrix.feature(name))
            }
            FeatureFamily::Ngtdm => {
                let matrix = self.neighbours.tone_differences(view);
                Box::new(move |name| matrix.feature(name))
            }
            _ => return,
        };
        rows.extend(columns.iter().filter(|column| column.family == family).map(|column| value_of(column.name)));
    }
}

fn first_order(view: &View, settings: &Settings, voxel_volume_mm3: f64) -> Box<dyn Fn(&str) -> Outcome> {
    if view.values.iter().all(|value| value.is_nan()) {
        return Box::new(|_| Err(NanReason::Undefined));
    }
    let levels = Discretised { levels: Vec::new(), grey: view.grey.clone(), counts: view.counts.clone() };
    let statistics = FirstOrder::of(&view.values, &levels, settings.voxel_array_shift, voxel_volume_mm3);
    Box::new(move |name| statistics.feature(name))
}
