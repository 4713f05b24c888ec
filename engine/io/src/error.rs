use std::path::PathBuf;

use isoscan_imaging::{Modality, Unit};

use crate::{Finding, SeriesSummary};

/// Why a file could not be read as, or written as, a true image. Paths stand last; no message holds a header's text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action}: {source}: {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is none of the formats that are read.
    #[error("no image of a known format: {}", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// The folder holds no image series.
    #[error("no image series ({unreadable} damaged or unsupported files): {}", path.display())]
    NoSeries {
        /// The folder.
        path: PathBuf,
        /// Files that look like images but could not be read.
        unreadable: usize,
    },
    /// The folder holds several series and one must be chosen.
    #[error("expected one series, found {}: {}; {}", found.len(), summaries(found), path.display())]
    SeveralSeries {
        /// What was found, in a fixed order.
        found: Vec<SeriesSummary>,
        /// The folder.
        path: PathBuf,
    },
    /// A field of the file has a value that the format forbids.
    #[error("{field}: expected {expected}, found {found}: {}", path.display())]
    Malformed {
        /// The field, by the name of its format.
        field: &'static str,
        /// The legal values in words.
        expected: &'static str,
        /// The value in the file.
        found: String,
        /// The file.
        path: PathBuf,
    },
    /// The file ends before its data do.
    #[error("{what} truncated: expected {expected} bytes, found {found}: {}", path.display())]
    Truncated {
        /// The part that is cut.
        what: &'static str,
        /// Bytes that the header promises.
        expected: u64,
        /// Bytes present.
        found: u64,
        /// The file.
        path: PathBuf,
    },
    /// The gzip stream is damaged or its checksum is wrong.
    #[error("damaged gzip stream: {source}: {}", path.display())]
    Gzip {
        /// The decoder's reason.
        source: std::io::Error,
        /// The file.
        path: PathBuf,
    },
    /// A legal file of a kind that is not read or written here.
    #[error("not supported: {what}: {}", path.display())]
    Unsupported {
        /// The kind, in the field's words.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// The file holds several volumes where one is expected.
    #[error("expected one volume, found {volumes}: {}", path.display())]
    SeveralVolumes {
        /// Number of volumes.
        volumes: u64,
        /// The file or folder.
        path: PathBuf,
    },
    /// The compressed pixels could not be decoded.
    #[error("cannot decode transfer syntax {syntax}: {reason}: {}", path.display())]
    Decode {
        /// Transfer syntax UID.
        syntax: String,
        /// The decoder's reason.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The packed bytes of a file other than DICOM could not be decoded.
    #[error("cannot decode {what}: {reason}: {}", path.display())]
    Codec {
        /// What was packed.
        what: &'static str,
        /// The decoder's reason.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The structure set or segmentation holds no such region.
    #[error("no region {wanted}, found {known}: {}", path.display())]
    NoSuchRegion {
        /// What was asked for.
        wanted: String,
        /// The numbers there are.
        known: String,
        /// The file.
        path: PathBuf,
    },
    /// The region has no voxel: it is drawn nowhere, or nowhere on the grid.
    #[error("empty region {number}: {reason}: {}", path.display())]
    EmptyRegion {
        /// Number of the region.
        number: i32,
        /// Why it is empty.
        reason: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The region is drawn in another frame of reference than the image's, so their positions do not compare.
    #[error("frame of reference: expected that of the image, found another: {}", path.display())]
    FrameOfReference {
        /// The file.
        path: PathBuf,
    },
    /// Segments share voxels, so no label map holds them.
    #[error("segments {first} and {second} overlap in {voxels} voxels, so one label map cannot hold them: {}", path.display())]
    OverlappingSegments {
        /// Number of the one segment.
        first: i32,
        /// Number of the other segment.
        second: i32,
        /// Voxels in both.
        voxels: usize,
        /// The file.
        path: PathBuf,
    },
    /// The distance between two neighbouring slices is not that of the series.
    #[error("uneven slices: expected a gap of {expected_mm:.4} mm, found {found_mm:.4} mm after slice {slice} ({missing} missing): {}", path.display())]
    UnevenSlices {
        /// The usual (median) gap of the series, mm.
        expected_mm: f64,
        /// The gap that differs, mm.
        found_mm: f64,
        /// Slice before the gap, counted from 1 along the slice normal.
        slice: usize,
        /// Slices that would fit in the gap; 0 when it is no multiple.
        missing: usize,
        /// The file after the gap.
        path: PathBuf,
    },
    /// The slices of a series do not lie on one line.
    #[error("slices shifted sideways: expected all on one line, found slice {slice} off by {distance_mm:.4} mm: {}", path.display())]
    ShiftedSlice {
        /// The slice, counted from 1 along the slice normal.
        slice: usize,
        /// Distance from the line through the first and the last slice, mm.
        distance_mm: f64,
        /// The slice's file.
        path: PathBuf,
    },
    /// A label map holds something else than whole numbers.
    #[error("expected whole numbers as labels, found {found}: {}", path.display())]
    NotALabelMap {
        /// The first value that is no label.
        found: f32,
        /// The file.
        path: PathBuf,
    },
    /// Voxels that no integer format can hold.
    #[error("expected finite voxels, found {count} that are not: {}", path.display())]
    NotFinite {
        /// Number of NaN or infinite voxels.
        count: usize,
        /// The output.
        path: PathBuf,
    },
    /// No DICOM image class holds this kind of volume.
    #[error("expected a volume of CT, MR, PT, CR or DX for DICOM, found {modality} in {unit}: {}", path.display())]
    NotWritable {
        /// Modality of the volume.
        modality: Modality,
        /// Unit of the volume.
        unit: Unit,
        /// The output.
        path: PathBuf,
    },
    /// What was written broke a rule of the DICOM standard that its source keeps; nothing was published.
    #[error("expected conformant objects, found {}: {}", findings(found), path.display())]
    NotConformant {
        /// The errors, in the order of files.
        found: Vec<Finding>,
        /// The output.
        path: PathBuf,
    },
    /// The output's name does not end as its format does.
    #[error("expected a name ending in {expected}: {}", path.display())]
    OutputName {
        /// The legal endings.
        expected: &'static str,
        /// The output.
        path: PathBuf,
    },
    /// The output folder holds files already; nothing is overwritten.
    #[error("expected an absent or empty folder: {}", path.display())]
    OutputExists {
        /// The folder.
        path: PathBuf,
    },
    /// Slices kept in storage could not be read.
    #[error("cannot write slices that cannot be read: {source}: {}", path.display())]
    Storage {
        /// The storage's own reason.
        source: isoscan_imaging::StorageError,
        /// The output.
        path: PathBuf,
    },
    /// The header describes no valid grid or volume.
    #[error("{source}: {}", path.display())]
    Image {
        /// What is wrong with it.
        source: isoscan_imaging::Error,
        /// The file.
        path: PathBuf,
    },
}

fn findings(found: &[Finding]) -> String {
    let first = found.first().map(|f| format!("{} {}: {}", f.rule, f.attribute, f.found)).unwrap_or_default();
    format!("{} errors, first {first}", found.len())
}

fn summaries(found: &[SeriesSummary]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
