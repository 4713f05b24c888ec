use std::sync::Arc;

use isoscan_imaging::{Geometry, Mask, Volume};
use rayon::prelude::*;

use crate::diagnostics::Intensities;
use crate::image::Image;
use crate::interpolate::{GridMap, is_inside};
use crate::roi::Roi;
use crate::settings::{ImageType, Settings, StoredType};
use crate::{Error, Stage};

/// The image as filters see it and the region on its grid.
pub(crate) struct Prepared<'a> {
    pub(crate) image: Arc<Image<'a>>,
    /// Region for shape.
    pub(crate) shape: Roi,
    /// Region for all other families.
    pub(crate) region: Roi,
    /// Intensities of `region`, x fastest; NaN allowed, infinity not.
    pub(crate) values: Vec<f64>,
    pub(crate) stages: Vec<Stage>,
}

/// Type that PyRadiomics holds the intensities in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer { low: f64, high: f64 },
    Single,
    Double,
}

impl Number {
    /// `value` as this type stores it; integers truncate toward zero.
    pub(crate) fn store(self, value: f64) -> f64 {
        match self {
            Self::Integer { low, high } => value.clamp(low, high).trunc(),
            Self::Single => f64::from(value as f32),
            Self::Double => value,
        }
    }
}

/// The whole volume, normalised when asked for.
pub(crate) fn whole_image<'a>(volume: &'a Volume, settings: &Settings) -> Result<Image<'a>, Error> {
    let normalizer = settings.normalize.then(|| Normalizer::of(volume, settings)).transpose()?;
    let number = if normalizer.is_some() { Number::Double } else { stored_number(volume, settings) };
    Ok(Image::whole(volume, normalizer, number))
}

/// Resamples or crops the `whole` image around the region, then resegments the region.
pub(crate) fn prepare<'a>(whole: &Arc<Image<'a>>, mask: &Mask, settings: &Settings) -> Result<Prepared<'a>, Error> {
    let original = Roi::of(mask)?;
    let count_parts = settings.additional_info;
    let mut stages = vec![original.stage("original", mask.geometry(), count_parts)];
    let (image, region) = placed(whole, mask, original, settings, &mut stages)?;
    let values = image.values_of(&region);
    if let Some(stage) = stages.last_mut().filter(|stage| stage.name != "original") {
        stage.intensities = Some(Intensities::of(&values));
    }
    region.require_extent(settings.minimum_roi_dimensions, settings.minimum_roi_size)?;
    let Some(rule) = settings.resegmentation() else {
        require_numbers(&values)?;
        return Ok(Prepared { image, shape: region.clone(), region, values, stages });
    };
    let number = image.number();
    let (low, high) = rule.thresholds(&values, number);
    // PyRadiomics compares an f32 image with the thresholds rounded to f32.
    let (low, high) = if number == Number::Single { (number.store(low), number.store(high)) } else { (low, high) };
    let keep: Vec<bool> = values.iter().map(|&v| v >= low && v <= high).collect();
    let kept = keep.iter().filter(|&&keep| keep).count();
    let refusal = Error::ResegmentedAway { low, high, voxels: values.len(), kept };
    let resegmented = region.keeping(&keep).filter(|_| kept > 1).ok_or(refusal)?;
    let mut stage = resegmented.stage("resegmented", image.geometry(), count_parts);
    resegmented.require_extent(settings.minimum_roi_dimensions, settings.minimum_roi_size)?;
    let values: Vec<f64> = values.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(v, _)| v).collect();
    stage.intensities = Some(Intensities::of(&values));
    stages.push(stage);
    require_numbers(&values)?;
    // PyRadiomics crops the unresegmented mask to the resegmented box for shape.
    let shape = if settings.resegment_shape { resegmented.clone() } else { region.cropped_to(&resegmented) };
    Ok(Prepared { image, shape, region: resegmented, values, stages })
}

/// The image and the region on one grid: resampled, or the whole volume's, or its crop when `preCrop`.
fn placed<'a>(
    whole: &Arc<Image<'a>>,
    mask: &Mask,
    original: Roi,
    settings: &Settings,
    stages: &mut Vec<Stage>,
) -> Result<(Arc<Image<'a>>, Roi), Error> {
    let grid = whole.geometry();
    let count_parts = settings.additional_info;
    if let Some((spacing_mm, method)) = settings.resampled_pixel_spacing.zip(settings.interpolator) {
        require_inside(grid, mask.geometry(), &original)?;
        let resampled =
            resampling_grid(grid, mask.geometry(), &original, spacing_mm, f64::from(settings.pad_distance))?;
        let (image, region) = match resampled {
            Some(geometry) => {
                let region = onto(mask, &geometry)?;
                (Arc::new(whole.resampled(geometry, method)), region)
            }
            None => crop(whole, onto(mask, grid)?, settings.pad_distance)?,
        };
        stages.push(region.stage("interpolated", image.geometry(), count_parts));
        return Ok((image, region));
    }
    let region = match require_grid(grid, mask.geometry(), settings.geometry_tolerance) {
        Ok(()) => original,
        Err(_) if settings.correct_mask => {
            require_inside(grid, mask.geometry(), &original)?;
            let region = onto(mask, grid)?;
            if !settings.pre_crop {
                stages.push(region.stage("corrected", grid, count_parts));
            }
            region
        }
        Err(mismatch) => return Err(mismatch),
    };
    if settings.pre_crop {
        region.require_extent(settings.minimum_roi_dimensions, settings.minimum_roi_size)?;
        return crop(whole, region, settings.pad_distance);
    }
    Ok((Arc::clone(whole), region))
}

/// The image and the region cut to the region's box and `pad` voxels around it.
fn crop<'a>(whole: &Image<'a>, region: Roi, pad: u32) -> Result<(Arc<Image<'a>>, Roi), Error> {
    let grid = whole.geometry();
    let pad = pad as usize;
    let first: [usize; 3] = std::array::from_fn(|a| region.first[a].saturating_sub(pad));
    let size = std::array::from_fn(|a| (region.first[a] + region.size[a] + pad).min(grid.size()[a]) - first[a]);
    let origin_mm = grid.world_from_voxel().apply(first.map(|i| i as f64));
    let geometry = Geometry::new(size, grid.spacing_mm(), origin_mm, grid.direction())?;
    let region = Roi { first: std::array::from_fn(|a| region.first[a] - first[a]), ..region };
    Ok((Arc::new(whole.cropped(first, geometry)), region))
}

/// Whole-image normalisation: `(v - mean) / SD`, clipped, times the scale; SD with n - 1.
#[derive(Clone, Copy)]
pub(crate) struct Normalizer {
    mean: f64,
    inverse_sd: f64,
    clip: f64,
    scale: f64,
}

impl Normalizer {
    fn of(volume: &Volume, settings: &Settings) -> Result<Self, Error> {
        let voxels = volume.as_slice();
        let n = voxels.len() as f64;
        let sum = blocked_sum(voxels, f64::from);
        let mean = sum / n;
        // ITK's formula, exact for whole numbers; with deviations from the mean the last digit would differ.
        let variance = (blocked_sum(voxels, |v| f64::from(v) * f64::from(v)) - sum * sum / n) / (n - 1.0);
        if variance <= 0.0 || voxels.len() < 2 {
            return Err(Error::FlatImage { value: mean });
        }
        let clip = settings.remove_outliers.unwrap_or(f64::INFINITY);
        Ok(Self { mean, inverse_sd: 1.0 / variance.sqrt(), clip, scale: settings.normalize_scale })
    }

    pub(crate) fn apply(&self, voxel: f64) -> f64 {
        ((voxel - self.mean) * self.inverse_sd).clamp(-self.clip, self.clip) * self.scale
    }
}

/// Sum over blocks of fixed length, so that neither threads nor the number of voxels cost accuracy.
fn blocked_sum(voxels: &[f32], term: impl Fn(f32) -> f64 + Sync) -> f64 {
    let blocks: Vec<f64> = voxels.par_chunks(4096).map(|block| block.iter().map(|&v| term(v)).sum()).collect();
    blocks.into_iter().sum()
}

/// The type of the stored voxels. Only resampling, a bin count and resegmentation depend on it, so that nothing is
/// searched for otherwise.
fn stored_number(volume: &Volume, settings: &Settings) -> Number {
    let bits = |bits: i32, signed: bool| {
        let span = 2f64.powi(bits);
        let low = if signed { -span / 2.0 } else { 0.0 };
        Number::Integer { low, high: low + span - 1.0 }
    };
    match settings.stored_type {
        StoredType::Int8 => bits(8, true),
        StoredType::UInt8 => bits(8, false),
        StoredType::Int16 => bits(16, true),
        StoredType::UInt16 => bits(16, false),
        StoredType::Int32 => bits(32, true),
        StoredType::UInt32 => bits(32, false),
        StoredType::Float32 => Number::Single,
        StoredType::Float64 => Number::Double,
        StoredType::Detect => {
            let is_filtered = settings.image_types.iter().any(|(kind, _)| *kind != ImageType::Original);
            let matters = is_filtered
                || settings.resampled_pixel_spacing.is_some()
                || settings.bin_count.is_some()
                || settings.resegment_range.is_some();
            if matters && volume.as_slice().iter().all(|v| v.fract() == 0.0) {
                return Number::Integer { low: f64::NEG_INFINITY, high: f64::INFINITY };
            }
            Number::Single
        }
    }
}

/// Intensities of the region's voxels, x fastest.
pub(crate) fn gather(volume: &Volume, region: &Roi, intensity: impl Fn(f32) -> f64) -> Vec<f64> {
    let [nx, ny, _] = volume.geometry().size();
    let voxels = volume.as_slice();
    let mut values = Vec::with_capacity(region.count());
    for run in region.runs() {
        let (y, z) = (run.row % region.size[1] + region.first[1], run.row / region.size[1] + region.first[2]);
        let start = (z * ny + y) * nx + region.first[0];
        values.extend(voxels[start + run.start..start + run.end].iter().map(|&v| intensity(v)));
    }
    values
}

/// Refuses a mask whose grid differs from the image's in size, or by more than `tolerance` image x spacings in origin
/// or spacing, or by more than `tolerance` in a direction cosine: ITK's rule.
pub(crate) fn require_grid(image: &Geometry, mask: &Geometry, tolerance: f64) -> Result<(), Error> {
    let tolerance_mm = tolerance * image.spacing_mm()[0];
    let within = |a: [f64; 3], b: [f64; 3], limit: f64| (0..3).all(|k| (a[k] - b[k]).abs() <= limit);
    let same = image.size() == mask.size()
        && within(image.origin_mm(), mask.origin_mm(), tolerance_mm)
        && within(image.spacing_mm(), mask.spacing_mm(), tolerance_mm)
        && (0..3).all(|axis| within(image.direction()[axis], mask.direction()[axis], tolerance));
    if same {
        return Ok(());
    }
    Err(Error::GeometryMismatch {
        expected: image.to_string(),
        found: mask.to_string(),
        distance_mm: image.corner_distance_mm(mask),
        tolerance_mm,
    })
}

/// Refuses a region whose box, voxel borders included, leaves the image by more than a thousandth of a voxel.
fn require_inside(image: &Geometry, mask: &Geometry, region: &Roi) -> Result<(), Error> {
    let image_from_mask = GridMap::new(mask, image);
    let ends = [
        image_from_mask.point(region.first.map(|i| i as f64 - 0.5)),
        image_from_mask.point(std::array::from_fn(|a| (region.first[a] + region.size[a]) as f64 - 0.5)),
    ];
    let low: [f64; 3] = std::array::from_fn(|a| ends[0][a].min(ends[1][a]));
    let high: [f64; 3] = std::array::from_fn(|a| ends[0][a].max(ends[1][a]));
    let size = image.size();
    if (0..3).all(|a| low[a] >= -0.501 && high[a] <= size[a] as f64 - 0.499) {
        return Ok(());
    }
    Err(Error::OutsideImage { low, high, size })
}

/// The mask on another grid, by nearest neighbour.
fn onto(mask: &Mask, geometry: &Geometry) -> Result<Roi, Error> {
    let mask_from_grid = GridMap::new(geometry, mask.geometry());
    let source = mask.inside();
    let source = source.as_slice().expect("a mask is contiguous by construction");
    let [mx, my, _] = mask.geometry().size();
    let [nx, ny, nz] = geometry.size();
    let mut grid = vec![false; geometry.voxel_count()];
    grid.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
        for (x, inside) in out.iter_mut().enumerate() {
            let index = mask_from_grid.voxel([x, row % ny, row / ny]);
            if is_inside(index, mask.geometry().size()) {
                let [i, j, k] = index.map(|x| (x + 0.5).floor() as usize);
                *inside = source[(k * my + j) * mx + i];
            }
        }
    });
    Roi::within(&grid, [nx, ny, nz]).ok_or(Error::EmptyMask { voxels: grid.len() })
}

/// PyRadiomics' resampling grid, aligned to the corner of the mask's first voxel and cut to the region's box and `pad`
/// voxels around it; `None` when the image has the spacing already.
fn resampling_grid(
    image: &Geometry,
    mask: &Geometry,
    region: &Roi,
    spacing_mm: [f64; 3],
    pad: f64,
) -> Result<Option<Geometry>, Error> {
    let old = mask.spacing_mm();
    // A spacing of 0 keeps the axis, and a region of one slice is not resampled across it.
    let new: [f64; 3] =
        std::array::from_fn(|a| if spacing_mm[a] == 0.0 || region.size[a] == 1 { old[a] } else { spacing_mm[a] });
    if (0..3).all(|a| (image.spacing_mm()[a] - new[a]).abs() <= 1e-8 + 1e-5 * new[a].abs()) {
        return Ok(None);
    }
    let mut origin_index = [0.0; 3];
    let mut size = [0; 3];
    for axis in 0..3 {
        let ratio = old[axis] / new[axis];
        let (first, end) = (region.first[axis] as f64, (region.first[axis] + region.size[axis]) as f64);
        let lowest = ((first - 0.5) * ratio - pad).floor().max(0.0);
        let last_voxel = (mask.size()[axis] as f64 * ratio).ceil() - 1.0;
        let highest = ((end - 0.5) * ratio + pad).ceil().min(last_voxel);
        size[axis] = (highest - lowest + 1.0) as usize;
        origin_index[axis] = 0.5 * (new[axis] - old[axis]) / old[axis] + lowest / ratio;
    }
    let origin_mm = mask.world_from_voxel().apply(origin_index);
    Ok(Some(Geometry::new(size, new, origin_mm, mask.direction())?))
}

/// Refuses infinite values, and a region without any number.
pub(crate) fn require_numbers(values: &[f64]) -> Result<(), Error> {
    // Zero times a number is zero; sums side by side are fast and nearly always decide.
    let (blocks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    blocks.iter().for_each(|block| sums.iter_mut().zip(block).for_each(|(sum, v)| *sum += v * 0.0));
    if sums.iter().chain(rest).map(|v| v * 0.0).sum::<f64>() == 0.0 && !values.is_empty() {
        return Ok(());
    }
    let nan = values.iter().filter(|v| v.is_nan()).count();
    let infinite = values.iter().filter(|v| v.is_infinite()).count();
    if infinite == 0 && nan < values.len() {
        return Ok(());
    }
    Err(Error::NotFinite { nan, infinite, voxels: values.len() })
}
