use std::path::{Path, PathBuf};

use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
use rayon::prelude::*;
use walkdir::WalkDir;

use crate::dicom::Slice;
use crate::label_map::read_label_map;
use crate::rtstruct::{self, read_rtstruct};
use crate::seg::{self, read_segment};
use crate::{Error, ReadOptions, Warning, read_with};

/// Voxels looked at by one core at a time.
const RUN: usize = 1 << 16;

/// Which region of a structure set, segmentation or label map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By ROI number, segment number or label.
    Number(i32),
    /// By ROI name or segment label, letter by letter.
    Name(String),
}

impl From<i32> for Selector {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Selector {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl Selector {
    /// The one region that fits.
    pub(crate) fn choose<T>(&self, from: Vec<T>, told: impl Fn(&T) -> (i32, &String), path: &Path) -> Result<T, Error> {
        let known: Vec<String> = from.iter().map(|region| told(region).0.to_string()).collect();
        let fits = |region: &T| match self {
            Self::Number(number) => told(region).0 == *number,
            Self::Name(name) => told(region).1 == name,
        };
        let mut fitting = from.into_iter().filter(fits);
        let wanted = match self {
            Self::Number(number) => format!("of number {number}"),
            Self::Name(name) => format!("of name {name:?}"),
        };
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(no_such(format!("that is the only one {wanted}"), &known, path)),
            (None, _) => Err(no_such(wanted, &known, path)),
        }
    }
}

/// A region of interest on an image's grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// ROI name or segment label; empty for a label map.
    pub name: String,
    /// ROI number, segment number or label; 0 for all labels together.
    pub number: i32,
    /// The voxels.
    pub mask: Mask,
    /// What was assumed or left out.
    pub warnings: Vec<Warning>,
}

/// Kind of a DICOM object that holds regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// Contours (RTSTRUCT).
    StructureSet,
    /// Segments of pixels (SEG).
    Segmentation,
}

/// A DICOM object that holds regions of an image. Its texts are those of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionFile {
    /// Contours or segments.
    pub kind: RegionKind,
    /// The file.
    pub path: PathBuf,
    /// UID of the frame of reference that the regions share, if one.
    pub frame_of_reference: Option<String>,
    /// Series Instance UID of each series that the regions were drawn on, where the file names them.
    pub referenced_series: Vec<String>,
    /// Number and name of each region.
    pub regions: Vec<(i32, String)>,
}

/// The structure sets and segmentations under a file or folder, in the order of their paths; other files and damaged
/// ones are passed over.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn list_regions(path: &Path) -> Result<Vec<RegionFile>, Error> {
    let mut found = Vec::new();
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::Io {
            action: "look into folder",
            path: e.path().unwrap_or(path).to_owned(),
            source: e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")),
        })?;
        if entry.path().is_file() {
            found.extend(Slice::read_header(entry.path()).ok().as_ref().and_then(region_file));
        }
    }
    Ok(found)
}

fn region_file(slice: &Slice) -> Option<RegionFile> {
    let path = slice.path.clone();
    if rtstruct::is_structure_set(slice) {
        let regions = rtstruct::list_rois(&path).ok()?.into_iter().map(|roi| (roi.number, roi.name)).collect();
        let frame_of_reference = rtstruct::frame_of_reference(slice);
        let referenced_series = rtstruct::referenced_series(slice);
        return Some(RegionFile {
            kind: RegionKind::StructureSet,
            path,
            frame_of_reference,
            referenced_series,
            regions,
        });
    }
    if seg::is_segmentation(slice) {
        let segments = seg::list_segments(&path).ok()?;
        let regions = segments.into_iter().map(|segment| (segment.number, segment.label)).collect();
        let frame_of_reference = seg::frame_of_reference(slice);
        let referenced_series = seg::referenced_series(slice);
        return Some(RegionFile {
            kind: RegionKind::Segmentation,
            path,
            frame_of_reference,
            referenced_series,
            regions,
        });
    }
    None
}

/// Reads an image of whole numbers as a label map (modality SEG, unit label); of a DICOM segmentation each label is a
/// segment's number.
///
/// # Errors
/// Those of [`read`](crate::read), [`Error::NotALabelMap`] when a voxel is no whole number, and
/// [`Error::OverlappingSegments`].
pub fn read_labels(path: &Path) -> Result<Volume, Error> {
    let options = ReadOptions { modality: Some(Modality::Seg), unit: Some(Unit::Label), ..ReadOptions::default() };
    let volume = read_with(path, &options)?.volume;
    // Those that fit into i32 are told side by side, and nearly always all do.
    if volume.as_slice().par_chunks(RUN).all(|run| run.iter().fold(true, |whole, &v| whole & ((v as i32) as f32 == v)))
    {
        return Ok(volume);
    }
    match volume.as_slice().iter().find(|v| v.fract() != 0.0 || !v.is_finite()) {
        Some(&found) => Err(Error::NotALabelMap { found, path: path.to_owned() }),
        None => Ok(volume),
    }
}

/// Reads a region of interest on its own grid: the voxels that equal `label`, or without one every voxel that is not 0. Of
/// a DICOM segmentation these are the segment of that number, or all segments, which may overlap.
///
/// # Errors
/// Those of [`read_labels`]; a structure set has no grid and needs [`read_mask_on`]. An empty mask is no error here.
pub fn read_mask(path: &Path, label: Option<i32>) -> Result<Mask, Error> {
    if let Some(slice) = dicom_regions(path)
        && seg::is_segmentation(&slice)
    {
        return seg::read_own_mask(&slice, label);
    }
    let labels = read_label_map(path)?;
    Ok(label.map_or_else(|| labels.foreground(), |label| labels.mask(label)))
}

/// Reads a region of interest from any file that holds one, on the grid of an image: a structure set, a DICOM segmentation
/// or a label map. Without a selector a structure set or segmentation must hold one region, and of a label map every
/// voxel that is not 0 is inside.
///
/// `frame_of_reference` is that of the image ([`Source::frame_of_reference`](crate::Source::frame_of_reference));
/// `None` asks for no check.
///
/// # Errors
/// Those of [`read_rtstruct`], [`read_segment`] and [`read_labels`], and [`Error::Image`] for a label map on another grid.
pub fn read_mask_on(
    path: &Path,
    selector: Option<&Selector>,
    grid: &Geometry,
    frame_of_reference: Option<&str>,
) -> Result<Region, Error> {
    if let Some(slice) = dicom_regions(path)
        && let Some(file) = region_file_or_error(&slice)?
    {
        let only = match file.regions.as_slice() {
            [(number, _)] => Some(Selector::Number(*number)),
            _ => None,
        };
        let known = || file.regions.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>();
        let selector =
            selector.or(only.as_ref()).ok_or_else(|| no_such("that is the only one".to_owned(), &known(), path))?;
        return match file.kind {
            RegionKind::StructureSet => read_rtstruct(path, selector, grid, frame_of_reference),
            RegionKind::Segmentation => read_segment(path, selector, grid, frame_of_reference),
        };
    }
    let label = match selector {
        None => None,
        Some(Selector::Number(label)) => Some(*label),
        Some(Selector::Name(name)) => {
            return Err(no_such(format!("of name {name:?}, because a label map has no names"), &[], path));
        }
    };
    let mask = read_mask(path, label)?;
    grid.require_same(mask.geometry(), 1e-3).map_err(|source| Error::Image { source, path: path.to_owned() })?;
    Ok(Region { name: String::new(), number: label.unwrap_or(0), mask, warnings: Vec::new() })
}

/// Like [`region_file`], with the reason when the file is such an object but damaged.
fn region_file_or_error(slice: &Slice) -> Result<Option<RegionFile>, Error> {
    match region_file(slice) {
        None if rtstruct::is_structure_set(slice) => rtstruct::list_rois(&slice.path).map(|_| None),
        None if seg::is_segmentation(slice) => seg::list_segments(&slice.path).map(|_| None),
        found => Ok(found),
    }
}

/// The header of a structure set or segmentation.
fn dicom_regions(path: &Path) -> Option<Slice> {
    let slice = if path.is_file() { Slice::read_header(path).ok()? } else { return None };
    (rtstruct::is_structure_set(&slice) || seg::is_segmentation(&slice)).then_some(slice)
}

fn no_such(wanted: String, known: &[String], path: &Path) -> Error {
    let known = if known.is_empty() { "none".to_owned() } else { format!("the numbers {}", known.join(", ")) };
    Error::NoSuchRegion { wanted, known, path: path.to_owned() }
}
