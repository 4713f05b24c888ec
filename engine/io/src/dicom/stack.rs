use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use dicom_dictionary_std::tags;
use isoscan_imaging::{Affine3, Geometry, Modality, Unit, Volume};
use ndarray::Array3;
use rayon::prelude::*;

use super::attributes::{number, text};
use super::header::Slice;
use super::pixels::{SampleFormat, read_intensities};
use crate::{Error, Series, SeriesSummary, Source, Warning, nifti};

/// Headers of the DICOM files that a volume came from, in slice order.
#[derive(Debug, Clone)]
pub struct DicomSource(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    slices: Vec<Slice>,
    geometry: Geometry,
    modality: Modality,
    unit: Unit,
}

impl DicomSource {
    /// The files in slice order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.slices.iter().map(|slice| slice.path.clone()).collect()
    }

    /// Series Instance UID (0020,000E).
    pub fn series_uid(&self) -> &str {
        &self.0.slices[0].series
    }

    /// The grid as read.
    pub fn geometry(&self) -> &Geometry {
        &self.0.geometry
    }

    pub(crate) fn slices(&self) -> &[Slice] {
        &self.0.slices
    }

    pub(crate) fn modality(&self) -> Modality {
        self.0.modality
    }

    pub(crate) fn unit(&self) -> Unit {
        self.0.unit
    }
}

/// Position of a slice along its normal, row × column, mm; `None` without position and orientation.
pub(crate) fn distance_along_normal(slice: &Slice) -> Option<f64> {
    Some(dot(slice.position?, normal(slice.orientation?)))
}

/// Sorts the slices of one volume by position, checks that they are evenly spaced, and reads their voxels.
pub(crate) fn stack(
    slices: Vec<Slice>,
    summary: &SeriesSummary,
    modality: Option<Modality>,
    unit: Option<Unit>,
) -> Result<Series, Error> {
    let mut warnings = Vec::new();
    let slices = without_twins(slices, &mut warnings);
    slices.iter().try_for_each(require_plain_image)?;
    let slices = sorted(slices)?;
    let geometry = geometry(&slices, &mut warnings)?;
    let voxels = read_voxels(&slices, &geometry)?;
    let told_modality = summary.modality;
    let told_unit = unit_of(&slices[0], told_modality, &mut warnings);
    let modality = modality.unwrap_or(told_modality);
    let unit = unit.unwrap_or(if modality == told_modality { told_unit } else { nifti::default_unit(modality) });
    let path = slices[0].path.clone();
    let volume =
        Volume::new(voxels, geometry.clone(), modality, unit).map_err(|source| Error::Image { source, path })?;
    let source = Source::Dicom(DicomSource(Arc::new(Kept { slices, geometry, modality, unit })));
    Ok(Series { volume, source, warnings })
}

/// Drops files that repeat a SOP Instance UID.
fn without_twins(slices: Vec<Slice>, warnings: &mut Vec<Warning>) -> Vec<Slice> {
    let mut seen = BTreeSet::new();
    slices
        .into_iter()
        .filter(|slice| {
            let first = slice.sop_instance.is_empty() || seen.insert(slice.sop_instance.clone());
            if !first {
                warnings.push(Warning::DuplicateSlice { path: slice.path.clone() });
            }
            first
        })
        .collect()
}

fn require_plain_image(slice: &Slice) -> Result<(), Error> {
    if slice.pixels.is_none() {
        return Err(slice.unsupported("DICOM object without pixels"));
    }
    for (field, found) in [("Rows", slice.rows), ("Columns", slice.columns)] {
        if found == 0 {
            return Err(slice.malformed(field, "1 to 65535", found));
        }
    }
    if slice.frames() > 1 {
        return Err(slice.unsupported(format!("multi-frame image of {} frames", slice.frames())));
    }
    if slice.image_type().iter().any(|word| word == "MOSAIC") {
        return Err(slice.unsupported("Siemens mosaic (several slices in one image)"));
    }
    if slice.modality() == Modality::Seg {
        return Err(slice.unsupported("DICOM segmentation"));
    }
    let format = SampleFormat::of(slice)?;
    let expected = (slice.rows * slice.columns * format.bytes()) as u64;
    match slice.pixels.and_then(|element| element.length) {
        Some(found) if found < expected => {
            Err(Error::Truncated { what: "pixel data", expected, found, path: slice.path.clone() })
        }
        None if expected > MOST_COMPRESSED => {
            Err(slice.unsupported(format!("compressed image of {}x{}", slice.columns, slice.rows)))
        }
        _ => Ok(()),
    }
}

/// Bytes of one slice that a compressed file is trusted to unpack to.
const MOST_COMPRESSED: u64 = 1 << 28;

fn sorted(slices: Vec<Slice>) -> Result<Vec<Slice>, Error> {
    let count = slices.len() as u64;
    let mut keyed: Vec<(Option<f64>, Slice)> =
        slices.into_iter().map(|slice| (distance_along_normal(&slice), slice)).collect();
    keyed.sort_by(|(a, p), (b, q)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal).then(p.path.cmp(&q.path)));
    if count > 1
        && let Some((_, slice)) = keyed.iter().find(|(distance, _)| distance.is_none())
    {
        return Err(Error::SeveralVolumes { volumes: count, path: slice.path.clone() });
    }
    Ok(keyed.into_iter().map(|(_, slice)| slice).collect())
}

fn geometry(slices: &[Slice], warnings: &mut Vec<Warning>) -> Result<Geometry, Error> {
    let first = &slices[0];
    let size = [first.columns, first.rows, slices.len()];
    let [row_distance, column_distance] = first.pixel_spacing.unwrap_or_else(|| {
        warnings.push(Warning::NoPixelSpacing);
        [1.0, 1.0]
    });
    let in_plane = first.orientation.unwrap_or([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    let origin = first.position.unwrap_or([0.0; 3]);
    let step = match slices {
        [_] => single_slice_step(first, warnings),
        _ => mean_step(slices, row_distance.min(column_distance))?,
    };
    let columns = [in_plane[0].map(|x| x * column_distance), in_plane[1].map(|x| x * row_distance), step];
    let matrix = std::array::from_fn(|row| columns.map(|column| column[row]));
    Geometry::from_affine(size, &Affine3 { matrix, translation: origin })
        .map_err(|source| Error::Image { source, path: first.path.clone() })
}

fn single_slice_step(slice: &Slice, warnings: &mut Vec<Warning>) -> [f64; 3] {
    let projection = slice.orientation.is_none();
    let normal = slice.orientation.map_or([0.0, 0.0, 1.0], normal);
    let thickness = [tags::SPACING_BETWEEN_SLICES, tags::SLICE_THICKNESS]
        .into_iter()
        .filter(|_| !projection)
        .find_map(|tag| number(&slice.object, tag).map(f64::abs).filter(|&t| t > 0.0));
    if thickness.is_none() && !projection {
        warnings.push(Warning::NoSliceThickness);
    }
    let length = dot(normal, normal).sqrt();
    normal.map(|x| x / length * thickness.unwrap_or(1.0))
}

/// Mean position difference of neighbouring slices, (last − first) / (n − 1); on a tilted gantry it leans, and so does
/// the grid. Every gap along the normal must agree with the mean within 1 % or 0.01 mm, and no slice may lie more than
/// half a pixel beside the line.
fn mean_step(slices: &[Slice], pixel_mm: f64) -> Result<[f64; 3], Error> {
    let distances: Vec<f64> = slices.iter().filter_map(distance_along_normal).collect();
    let positions: Vec<[f64; 3]> = slices.iter().filter_map(|slice| slice.position).collect();
    let gaps: Vec<f64> = distances.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if gaps.iter().any(|&gap| gap < 1e-3) {
        let volumes = 1 + gaps.iter().map(|&gap| u64::from(gap < 1e-3)).fold((0, 0), longest_run).1;
        return Err(Error::SeveralVolumes { volumes, path: slices[0].path.clone() });
    }
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let tolerance = (0.01 * mean).max(0.01);
    if gaps.iter().any(|gap| (gap - mean).abs() > tolerance) {
        // One long gap drags the mean along; the usual gap names the odd one.
        let usual = median(&gaps);
        let off = |&at: &usize| (gaps[at] - usual).abs();
        let at = (0..gaps.len()).rev().max_by(|p, q| off(p).total_cmp(&off(q))).unwrap_or(0);
        let times = (gaps[at] / usual).round();
        let whole = (gaps[at] / usual - times).abs() < 0.1 && times >= 2.0;
        return Err(Error::UnevenSlices {
            expected_mm: usual,
            found_mm: gaps[at],
            slice: at + 1,
            missing: if whole { times as usize - 1 } else { 0 },
            path: slices[at + 1].path.clone(),
        });
    }
    let last = positions.len() - 1;
    let step: [f64; 3] = std::array::from_fn(|a| (positions[last][a] - positions[0][a]) / last as f64);
    let normal = slices[0].orientation.map_or([0.0, 0.0, 1.0], normal);
    for (k, position) in positions.iter().enumerate() {
        let off: [f64; 3] = std::array::from_fn(|a| position[a] - positions[0][a] - k as f64 * step[a]);
        let along = dot(off, normal);
        let distance_mm = (dot(off, off) - along * along).max(0.0).sqrt();
        if distance_mm > 0.5 * pixel_mm {
            return Err(Error::ShiftedSlice { slice: k + 1, distance_mm, path: slices[k].path.clone() });
        }
    }
    Ok(step)
}

fn longest_run((run, longest): (u64, u64), same: u64) -> (u64, u64) {
    let run = (run + 1) * same;
    (run, longest.max(run))
}

/// The lower of the two middle values when their number is even.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

fn read_voxels(slices: &[Slice], geometry: &Geometry) -> Result<Array3<f32>, Error> {
    let [nx, ny, nz] = geometry.size();
    let mut voxels = Array3::zeros((nz, ny, nx));
    let planes = voxels.as_slice_mut().expect("a new array is contiguous");
    planes
        .par_chunks_mut(nx * ny)
        .zip(slices)
        .map(|(plane, slice)| read_intensities(slice, plane))
        // The first error in slice order, whichever thread met one first.
        .collect::<Vec<_>>()
        .into_iter()
        .collect::<Result<(), _>>()?;
    Ok(voxels)
}

fn unit_of(slice: &Slice, modality: Modality, warnings: &mut Vec<Warning>) -> Unit {
    match modality {
        Modality::Ct => match text(&slice.object, tags::RESCALE_TYPE).as_deref() {
            None | Some("HU") => Unit::Hounsfield,
            Some(_) => Unit::Arbitrary,
        },
        Modality::Pt => match text(&slice.object, tags::UNITS).as_deref() {
            Some("GML") => Unit::Suv,
            units => {
                warnings.push(Warning::NotUptake { units: units.unwrap_or("unknown units").to_owned() });
                Unit::Arbitrary
            }
        },
        _ => Unit::Arbitrary,
    }
}

/// Row × column, the direction in which slices are counted.
pub(crate) fn normal([row, column]: [[f64; 3]; 2]) -> [f64; 3] {
    [
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    ]
}

fn dot(p: [f64; 3], q: [f64; 3]) -> f64 {
    p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
}
