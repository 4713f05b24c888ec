use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use dicom_dictionary_std::tags;
use isoscan_imaging::{Affine3, Geometry, Mask, Modality, Slices, StorageError, Unit, Volume};

use super::attributes::{decimal, put, put_decimals, text};
use super::frames::{Plane, headers};
use super::group::{Group, SAME_POSITION_MM};
use super::header::Slice;
use super::lut::Rescale;
use super::repair::even_slices;
use super::suv::{Uptake, uptake};
use super::voxels::{Voxels, declares_padding, read_voxels};
use crate::{Error, ReadOptions, Series, Source, StoredSeries, Uneven, Warning, nifti};

/// Headers of the DICOM files that a volume came from, in slice order.
#[derive(Debug, Clone)]
pub struct DicomSource(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    slices: Vec<Slice>,
    stored: Arc<Ordered>,
}

impl DicomSource {
    /// The files in slice order, each once.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for slice in &self.0.slices {
            if seen.insert(&slice.path) {
                paths.push(slice.path.clone());
            }
        }
        paths
    }

    /// Series Instance UID (0020,000E).
    pub fn series_uid(&self) -> &str {
        &self.0.slices[0].series
    }

    /// The grid as read.
    pub fn geometry(&self) -> &Geometry {
        &self.0.stored.geometry
    }

    /// One header per slice of the grid, as if each slice were a file of its own. Where slices were interpolated, that of
    /// the nearest measured one.
    pub(crate) fn slices(&self) -> &[Slice] {
        &self.0.slices
    }

    /// Intensities of some slices, read again, and which of them the files declare as padding; `None` when they declare none.
    ///
    /// # Errors
    /// As when the series was read.
    pub(crate) fn padded(&self, slices: Range<usize>) -> Result<Option<Voxels>, Error> {
        let stored = &self.0.stored;
        if !stored.planes[stored.measured(&slices)].iter().any(|plane| declares_padding(&plane.file)) {
            return Ok(None);
        }
        stored.voxels(slices).map(Some)
    }

    pub(crate) fn modality(&self) -> Modality {
        self.0.stored.modality
    }

    pub(crate) fn unit(&self) -> Unit {
        self.0.stored.unit
    }
}

/// Position of a plane along its normal, row × column, mm; `None` without position and orientation.
pub(crate) fn distance_along_normal(plane: &Plane) -> Option<f64> {
    let normal = normal(plane.orientation?);
    let length = dot(normal, normal).sqrt();
    (length > 0.0).then(|| dot(plane.position.unwrap_or([f64::NAN; 3]), normal) / length).filter(|d| d.is_finite())
}

/// The planes of one volume in their order, and everything else about it but its voxels.
#[derive(Debug)]
struct Ordered {
    planes: Vec<Plane>,
    rescales: Vec<Rescale>,
    spacing: Spacing,
    geometry: Geometry,
    modality: Modality,
    unit: Unit,
    /// The rescales give uptake values where the files have activities.
    converted: bool,
    warnings: Vec<Warning>,
}

impl Ordered {
    /// Sorts the planes by position and checks or makes that they are evenly spaced.
    fn of(group: Group, options: &ReadOptions) -> Result<Self, Error> {
        let Group { summary, planes, mut warnings } = group;
        let told_modality = summary.modality;
        if told_modality == Modality::Seg {
            return Err(planes[0].file.unsupported("DICOM segmentation"));
        }
        let planes = sorted(planes)?;
        warnings.extend(Warning::surplus_frame_items(planes[0].file.frame_items()?.1));
        if planes[0].assumed {
            warnings.push(Warning::AssumedPositions);
        }
        if planes[0].text(tags::PHOTOMETRIC_INTERPRETATION).as_deref() == Some("PALETTE COLOR") {
            warnings.push(Warning::PaletteIndices);
        }
        if let Some(scaling) = planes[0].number(tags::DOSE_GRID_SCALING) {
            warnings.push(Warning::UnscaledDose { scaling });
        }
        let spacing = Spacing::of(&planes, options.uneven, &mut warnings)?;
        let rescales = planes.iter().map(Plane::rescale).collect::<Result<Vec<_>, _>>()?;
        let modality = options.modality.unwrap_or(told_modality);
        let (told_unit, rescales, converted) = match (told_modality, options.unit) {
            (Modality::Pt, None | Some(Unit::Suv)) if modality == Modality::Pt => {
                uptakes(&planes, rescales, &mut warnings)
            }
            _ => (unit_of(&planes[0], told_modality), rescales, false),
        };
        let usual = || if modality == told_modality { told_unit } else { nifti::default_unit(modality) };
        let unit = options.unit.unwrap_or_else(usual);
        let geometry = geometry(&planes, &spacing, &mut warnings)?;
        Ok(Self { planes, rescales, spacing, geometry, modality, unit, converted, warnings })
    }

    /// One header per plane.
    fn headers(&self) -> Vec<Slice> {
        let mut slices = headers(&self.planes, &self.rescales);
        if self.converted {
            slices.iter_mut().for_each(tell_uptake);
        }
        slices
    }

    /// The planes that slices of the grid are made of.
    fn measured(&self, slices: &Range<usize>) -> Range<usize> {
        match &self.spacing {
            Spacing::Even { .. } => slices.clone(),
            Spacing::Evened { even, .. } => even.measured(slices),
        }
    }

    /// Slices of the grid.
    fn voxels(&self, slices: Range<usize>) -> Result<Voxels, Error> {
        let measured = self.measured(&slices);
        let voxels = read_voxels(&self.planes[measured.clone()], &self.rescales[measured])?;
        Ok(match &self.spacing {
            Spacing::Even { .. } => voxels,
            Spacing::Evened { even, .. } => even.of(&voxels, slices),
        })
    }

    fn source(self: &Arc<Self>) -> Source {
        let mut slices = self.headers();
        if let Spacing::Evened { even, .. } = &self.spacing {
            slices = even.nearest().map(|k| slices[k].clone()).collect();
        }
        Source::Dicom(DicomSource(Arc::new(Kept { slices, stored: Arc::clone(self) })))
    }
}

/// Orders the planes of one volume and reads their voxels.
pub(crate) fn stack(group: Group, options: &ReadOptions) -> Result<Series, Error> {
    let ordered = Arc::new(Ordered::of(group, options)?);
    let failed = |source| Error::Image { source, path: ordered.planes[0].file.path.clone() };
    let geometry = ordered.geometry.clone();
    let voxels = ordered.voxels(0..geometry.size()[2])?;
    let volume = Volume::new(voxels.intensities, geometry.clone(), ordered.modality, ordered.unit).map_err(failed)?;
    let padding = voxels.padding.map(|inside| Mask::new(inside, geometry)).transpose().map_err(failed)?.map(Arc::new);
    Ok(Series { volume, source: ordered.source(), padding, warnings: ordered.warnings.clone() })
}

/// A series whose slices are read when they are asked for.
pub(crate) fn open_slices(group: Group, options: &ReadOptions) -> Result<StoredSeries, Error> {
    let ordered = Arc::new(Ordered::of(group, options)?);
    let (source, warnings) = (ordered.source(), ordered.warnings.clone());
    Ok(StoredSeries { slices: Box::new(OnDisk(ordered)), source, warnings })
}

/// Slices that are read from their files.
struct OnDisk(Arc<Ordered>);

impl Slices for OnDisk {
    fn geometry(&self) -> &Geometry {
        &self.0.geometry
    }

    fn modality(&self) -> Modality {
        self.0.modality
    }

    fn unit(&self) -> Unit {
        self.0.unit
    }

    fn read(&self, first: usize, voxels: &mut [f32]) -> Result<(), StorageError> {
        let [nx, ny, _] = self.0.geometry.size();
        let read = self.0.voxels(first..first + voxels.len() / (nx * ny))?;
        voxels.copy_from_slice(read.intensities.as_slice().expect("a new array is contiguous"));
        Ok(())
    }
}

fn sorted(mut planes: Vec<Plane>) -> Result<Vec<Plane>, Error> {
    let unplaced = planes.iter().find(|plane| distance_along_normal(plane).is_none());
    if let (Some(plane), 2..) = (unplaced, planes.len()) {
        return Err(Error::SeveralVolumes { volumes: planes.len() as u64, path: plane.file.path.clone() });
    }
    planes.sort_by(|a, b| {
        let by_distance = distance_along_normal(a).partial_cmp(&distance_along_normal(b));
        by_distance
            .unwrap_or(std::cmp::Ordering::Equal)
            .then_with(|| a.file.path.cmp(&b.file.path))
            .then(a.frame.cmp(&b.frame))
    });
    Ok(planes)
}

/// How the slices of a volume follow each other.
#[derive(Debug)]
enum Spacing {
    /// By one step, LPS mm.
    Even { step: [f64; 3] },
    /// Unevenly; `even` slices one step apart replace them.
    Evened { step: [f64; 3], even: super::repair::EvenSlices },
}

impl Spacing {
    fn of(planes: &[Plane], uneven: Uneven, warnings: &mut Vec<Warning>) -> Result<Self, Error> {
        let [first, .., last] = planes else {
            return Ok(Self::Even { step: single_slice_step(&planes[0], warnings) });
        };
        let distances: Vec<f64> = planes.iter().filter_map(distance_along_normal).collect();
        let gaps: Vec<f64> = distances.windows(2).map(|pair| pair[1] - pair[0]).collect();
        if gaps.iter().any(|&gap| gap < SAME_POSITION_MM) {
            let same = gaps.iter().map(|&gap| u64::from(gap < SAME_POSITION_MM));
            let volumes = 1 + same.fold((0, 0), longest_run).1;
            return Err(Error::SeveralVolumes { volumes, path: first.file.path.clone() });
        }
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let (from, to) = (first.position.unwrap_or_default(), last.position.unwrap_or_default());
        let span = distances[distances.len() - 1] - distances[0];
        let per_mm: [f64; 3] = std::array::from_fn(|a| (to[a] - from[a]) / span);
        require_one_line(planes, &distances, per_mm)?;
        if gaps.iter().all(|gap| (gap - mean).abs() <= (0.01 * mean).max(0.01)) {
            let count = gaps.len() as f64;
            return Ok(Self::Even { step: std::array::from_fn(|a| (to[a] - from[a]) / count) });
        }
        // One long gap drags the mean along; the usual gap names the odd one.
        let usual = median(&gaps);
        if uneven == Uneven::Refuse {
            return Err(uneven_slices(planes, &gaps, usual));
        }
        let even = even_slices(&distances, usual);
        warnings.push(even.warning(&distances, usual));
        Ok(Self::Evened { step: per_mm.map(|x| x * even.gap_mm), even })
    }
}

fn uneven_slices(planes: &[Plane], gaps: &[f64], usual: f64) -> Error {
    let off = |&at: &usize| (gaps[at] - usual).abs();
    let at = (0..gaps.len()).rev().max_by(|p, q| off(p).total_cmp(&off(q))).unwrap_or(0);
    let times = (gaps[at] / usual).round();
    let whole = (gaps[at] / usual - times).abs() < 0.1 && times >= 2.0;
    Error::UnevenSlices {
        expected_mm: usual,
        found_mm: gaps[at],
        slice: at + 1,
        missing: if whole { times as usize - 1 } else { 0 },
        path: planes[at + 1].file.path.clone(),
    }
}

/// Requires that no plane lies more than half a pixel beside the line through the first and the last one, which rises by
/// `per_mm` for each mm along the normal; on a tilted gantry it leans.
fn require_one_line(planes: &[Plane], distances: &[f64], per_mm: [f64; 3]) -> Result<(), Error> {
    let pixel_mm = planes[0].pixel_spacing.map_or(1.0, |[y, x]| y.min(x));
    let first = planes[0].position.unwrap_or_default();
    for (k, (plane, distance)) in planes.iter().zip(distances).enumerate() {
        let position = plane.position.unwrap_or_default();
        let along = distance - distances[0];
        let off: [f64; 3] = std::array::from_fn(|a| position[a] - first[a] - along * per_mm[a]);
        let distance_mm = dot(off, off).sqrt();
        if distance_mm > 0.5 * pixel_mm {
            return Err(Error::ShiftedSlice { slice: k + 1, distance_mm, path: plane.file.path.clone() });
        }
    }
    Ok(())
}

fn geometry(planes: &[Plane], spacing: &Spacing, warnings: &mut Vec<Warning>) -> Result<Geometry, Error> {
    let first = &planes[0];
    let (step, count) = match spacing {
        Spacing::Even { step } => (*step, planes.len()),
        Spacing::Evened { step, even } => (*step, even.count()),
    };
    let [row_distance, column_distance] = first.pixel_spacing.unwrap_or_else(|| {
        warnings.push(Warning::NoPixelSpacing);
        [1.0, 1.0]
    });
    let in_plane = first.orientation.unwrap_or([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    let columns = [in_plane[0].map(|x| x * column_distance), in_plane[1].map(|x| x * row_distance), step];
    let matrix = std::array::from_fn(|row| columns.map(|column| column[row]));
    let translation = first.position.unwrap_or([0.0; 3]);
    Geometry::from_affine([first.columns, first.rows, count], &Affine3 { matrix, translation })
        .map_err(|source| Error::Image { source, path: first.file.path.clone() })
}

fn single_slice_step(plane: &Plane, warnings: &mut Vec<Warning>) -> [f64; 3] {
    let projection = plane.orientation.is_none();
    let normal = plane.orientation.map_or([0.0, 0.0, 1.0], normal);
    let thickness = [tags::SPACING_BETWEEN_SLICES, tags::SLICE_THICKNESS]
        .into_iter()
        .filter(|_| !projection)
        .find_map(|tag| plane.number(tag).map(f64::abs).filter(|&t| t > 0.0));
    if thickness.is_none() && !projection {
        warnings.push(Warning::NoSliceThickness);
    }
    let length = dot(normal, normal).sqrt();
    normal.map(|x| x / length * thickness.unwrap_or(1.0))
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

fn unit_of(plane: &Plane, modality: Modality) -> Unit {
    match (modality, plane.text(tags::RESCALE_TYPE).as_deref()) {
        (Modality::Ct, None | Some("HU")) => Unit::Hounsfield,
        _ => Unit::Arbitrary,
    }
}

/// The unit of a PET volume and the rescales that give it, and whether they differ from the file's.
fn uptakes(planes: &[Plane], rescales: Vec<Rescale>, warnings: &mut Vec<Warning>) -> (Unit, Vec<Rescale>, bool) {
    let factors = match uptake(planes) {
        Uptake::Told => return (Unit::Suv, rescales, false),
        Uptake::Factors(factors) => factors,
        Uptake::Impossible { units, lacking } => {
            warnings.push(Warning::NotUptake { units, lacking });
            return (Unit::Arbitrary, rescales, false);
        }
    };
    let scaled = |rescale: &Rescale, factor: f64| match rescale {
        // Rounded to what a decimal string holds, so that an output can tell exactly the same scale.
        Rescale::Linear { slope, intercept } => {
            let [slope, intercept] = [slope, intercept].map(|x| decimal(x * factor).parse().unwrap_or(x * factor));
            Some(Rescale::Linear { slope, intercept })
        }
        Rescale::Table(_) => None,
    };
    match rescales.iter().zip(factors).map(|(rescale, factor)| scaled(rescale, factor)).collect() {
        Some(rescales) => (Unit::Suv, rescales, true),
        None => {
            let units = planes[0].text(tags::UNITS).unwrap_or_default();
            warnings.push(Warning::NotUptake { units, lacking: "a linear rescale" });
            (Unit::Arbitrary, rescales, false)
        }
    }
}

/// Makes a header say that its intensities are uptake values by body weight.
fn tell_uptake(slice: &mut Slice) {
    use dicom_core::VR;
    let object = Arc::make_mut(&mut slice.object);
    put(object, tags::UNITS, VR::CS, "GML");
    put(object, tags::SUV_TYPE, VR::CS, "BW");
    if let Some(Rescale::Linear { slope, intercept }) = slice.rescale {
        put_decimals(object, tags::RESCALE_SLOPE, &[slope]);
        put_decimals(object, tags::RESCALE_INTERCEPT, &[intercept]);
    }
    if text(object, tags::RESCALE_TYPE).is_some() {
        put(object, tags::RESCALE_TYPE, VR::LO, "GML");
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
