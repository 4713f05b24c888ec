use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use dicom_dictionary_std::tags;
use isoscan_imaging::{Mask, Modality, Volume};
use sha2::{Digest, Sha256};

use crate::dicom::text;
use crate::provenance::{hexadecimal, sha256, sha256_file};
use crate::{DicomSource, Error, FileSource, NiftiSource};

/// One image volume as read, with what is needed to write an image derived from it.
#[derive(Debug, Clone)]
pub struct Series {
    /// Voxels after all rescaling of the file, on a grid in LPS mm.
    pub volume: Volume,
    /// Headers of the files that the volume came from.
    pub source: Source,
    /// Voxels that the file declares as padding: inside the array but outside what was measured. Their values in `volume`
    /// are those of the file. `None` when the file declares none.
    pub padding: Option<Arc<Mask>>,
    /// What was repaired or assumed while reading; empty for a clean file.
    pub warnings: Vec<Warning>,
}

/// Where a volume came from. Cheap to clone.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Source {
    /// No file: the volume was computed.
    #[default]
    None,
    /// A NIfTI file.
    Nifti(NiftiSource),
    /// A DICOM series.
    Dicom(DicomSource),
    /// An NRRD, MetaImage, PNG, TIFF or DICOM segmentation file.
    File(FileSource),
}

impl Source {
    /// The format; `None` without a file.
    pub fn kind(&self) -> Option<SeriesKind> {
        match self {
            Self::None => None,
            Self::Nifti(_) => Some(SeriesKind::Nifti),
            Self::Dicom(_) => Some(SeriesKind::Dicom),
            Self::File(file) => Some(file.kind()),
        }
    }

    /// The files, in slice order for a DICOM series; empty without a file.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::None => Vec::new(),
            Self::Nifti(nifti) => nifti.paths().to_vec(),
            Self::Dicom(dicom) => dicom.paths(),
            Self::File(file) => file.paths().to_vec(),
        }
    }

    /// Type of the intensities in the file, such as `int16`, before they became f32 voxels; `None` where the file leaves it
    /// to the reader, as DICOM does.
    pub fn intensity_type(&self) -> Option<&'static str> {
        match self {
            Self::Nifti(nifti) => nifti.intensity_type(),
            Self::File(file) => Some(file.stored().name()),
            Self::None | Self::Dicom(_) => None,
        }
    }

    /// UID of the frame of reference, which images, contours and segments of one space share; `None` when the files tell
    /// none.
    pub fn frame_of_reference(&self) -> Option<String> {
        match self {
            Self::Dicom(dicom) => text(&dicom.slices().first()?.object, tags::FRAME_OF_REFERENCE_UID),
            _ => None,
        }
    }

    /// A digest that is the same for images of one patient and tells nothing else; `None` when the files name none.
    pub fn patient_digest(&self) -> Option<String> {
        self.digest_of(tags::PATIENT_ID)
    }

    /// A digest that is the same for images of one study and tells nothing else; `None` when the files name none.
    pub fn study_digest(&self) -> Option<String> {
        self.digest_of(tags::STUDY_INSTANCE_UID)
    }

    fn digest_of(&self, tag: dicom_core::Tag) -> Option<String> {
        match self {
            Self::Dicom(dicom) => {
                let value = text(&dicom.slices().first()?.object, tag)?;
                let value = value.trim();
                (!value.is_empty()).then(|| sha256(format!("{tag}{value}").as_bytes()))
            }
            _ => None,
        }
    }

    /// SHA-256 that names the input: of the file's bytes, or for several files of their digests in slice order.
    /// `None` without a file.
    ///
    /// # Errors
    /// [`Error::Io`] when a file can no longer be read.
    pub fn input_sha256(&self) -> Result<Option<String>, Error> {
        let paths = self.paths();
        let digests = paths.iter().map(|path| sha256_file(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(match digests.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => {
                let mut all = Sha256::new();
                several.iter().for_each(|digest| all.update(digest));
                Some(hexadecimal(&all.finalize()))
            }
        })
    }
}

/// Format of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum SeriesKind {
    /// NIfTI-1 or NIfTI-2, one file or a header with its image.
    Nifti,
    /// DICOM files of one series.
    Dicom,
    /// NRRD, or its header with the data beside it.
    Nrrd,
    /// MetaImage, or its header with the data beside it.
    MetaImage,
    /// Grey PNG.
    Png,
    /// Grey TIFF, a slice per page.
    Tiff,
    /// A DICOM segmentation, read as a label map.
    Segmentation,
}

impl fmt::Display for SeriesKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nifti => "NIfTI",
            Self::Dicom => "DICOM",
            Self::Nrrd => "NRRD",
            Self::MetaImage => "MetaImage",
            Self::Png => "PNG",
            Self::Tiff => "TIFF",
            Self::Segmentation => "DICOM segmentation",
        })
    }
}

/// One series as its headers describe it; no voxel has been read. Holds no patient identifier.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSummary {
    /// Format.
    pub kind: SeriesKind,
    /// Modality told by the header, the sidecar or the file name.
    pub modality: Modality,
    /// SeriesInstanceUID, or the file name of a NIfTI image.
    pub id: String,
    /// Series Number (0020,0011).
    pub series_number: Option<i32>,
    /// Which volume of a series that holds several, such as `temporal position 2`.
    pub part: Option<String>,
    /// Index of the volume in its files, from 0, where the files hold several; otherwise 0.
    pub volume: usize,
    /// Voxels along x, y, z.
    pub size: [usize; 3],
    /// Distance between voxel centres along x, y, z, mm; not yet checked for even slices.
    pub spacing_mm: [f64; 3],
    /// The files of this volume.
    pub paths: Vec<PathBuf>,
}

impl fmt::Display for SeriesSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [nx, ny, nz] = self.size;
        let [sx, sy, sz] = self.spacing_mm;
        match (self.kind, self.series_number) {
            (SeriesKind::Segmentation, _) => f.write_str("DICOM segmentation")?,
            (SeriesKind::Dicom, Some(number)) => write!(f, "{} series {number}", self.modality)?,
            (SeriesKind::Dicom, None) => write!(f, "{} series without number", self.modality)?,
            _ => write!(f, "{} file {}", self.modality, self.id)?,
        }
        if let Some(part) = &self.part {
            write!(f, " {part}")?;
        }
        write!(f, " of {nx}x{ny}x{nz} at {sx:.3}x{sy:.3}x{sz:.3} mm")
    }
}

/// Something repaired or assumed while reading.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// A slice stood twice with the same SOP Instance UID; the second file was dropped.
    DuplicateSlice {
        /// The dropped file.
        path: PathBuf,
    },
    /// A slice stood twice with the same pixels under another SOP Instance UID; the second file was dropped.
    CopiedSlice {
        /// The dropped file.
        path: PathBuf,
        /// The file that holds the same.
        of: PathBuf,
    },
    /// The slices were uneven, as missing ones make them, and even ones were interpolated along the normal, as asked.
    EvenedSlices {
        /// Distance of the even slices along the normal, mm.
        gap_mm: f64,
        /// The gaps that were not as usual, mm, each with the measured slice before it, counted from 1 along the normal.
        odd_gaps_mm: Vec<(usize, f64)>,
        /// Slices in the files.
        measured: usize,
        /// Slices of the volume.
        slices: usize,
        /// Slices of the volume that are no measured ones.
        interpolated: usize,
    },
    /// The intensities of a dose grid are as stored; times `scaling` they are dose in the file's units.
    UnscaledDose {
        /// Dose Grid Scaling (3004,000E).
        scaling: f64,
    },
    /// The voxels are indices into the colour table of the file, not intensities.
    PaletteIndices,
    /// The header describes more frames than it has pixels for, and does not tell how many there are; the first ones
    /// were taken.
    SurplusFrameItems {
        /// Items of Per-Frame Functional Groups Sequence (5200,9230) without a frame.
        count: usize,
    },
    /// The header does not tell where the slices lie; they were stacked in the order of the frames.
    AssumedPositions,
    /// A file of the folder looks like an image but could not be read, so the series may be incomplete.
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// Why, with the file's path.
        reason: String,
    },
    /// The header tells no pixel size; 1 mm was taken.
    NoPixelSpacing,
    /// The header tells no slice thickness; 1 mm was taken.
    NoSliceThickness,
    /// The header tells no orientation; x to the left of the patient, centred, was taken as other readers do.
    NoOrientation,
    /// The header tells no position; the first voxel's centre was taken as the origin.
    NoPosition,
    /// Stored numbers were scaled as the header says, which some readers do not do.
    Rescaled {
        /// Intensity per stored number.
        slope: f64,
        /// Intensity of the number 0.
        intercept: f64,
    },
    /// Contours were left out.
    ContoursDropped {
        /// How many.
        count: usize,
        /// Why.
        reason: &'static str,
    },
    /// Contours lie between the slices of the grid and were put on the nearest one.
    ContoursBetweenSlices {
        /// How many.
        count: usize,
        /// The largest distance from a slice, in slices.
        farthest: f64,
    },
    /// Contours reach beyond the sides of the grid and were cut.
    ContoursCut {
        /// How many.
        count: usize,
    },
    /// Slices between contours have none and stay empty: the grid is finer than the contours, or they were drawn apart.
    SlicesWithoutContours {
        /// How many.
        count: usize,
    },
    /// Fractions were cut at half of their maximum to give a region.
    Fractional,
    /// The region was resampled to the image's grid, each voxel from the nearest one.
    Resampled,
    /// Part of the region lies outside the image's grid and was left out.
    OutsideGrid {
        /// How many of its voxels.
        voxels: usize,
    },
    /// The PET units are no uptake values, so the intensities are in the file's own unit.
    NotUptake {
        /// Units (0054,1001).
        units: String,
        /// What conversion would need.
        lacking: &'static str,
    },
}

impl Warning {
    /// `None` when `count` is 0.
    pub(crate) fn surplus_frame_items(count: usize) -> Option<Self> {
        (count > 0).then_some(Self::SurplusFrameItems { count })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateSlice { path } => write!(f, "slice present twice, dropped one: {}", path.display()),
            Self::UnreadableFile { reason, .. } => write!(f, "file skipped: {reason}"),
            Self::NoPixelSpacing => f.write_str("no pixel spacing in the header, took 1 mm"),
            Self::NoSliceThickness => f.write_str("no slice thickness in the header, took 1 mm"),
            Self::NoOrientation => f.write_str("no orientation in the header, took the usual one"),
            Self::NotUptake { units, lacking } => {
                write!(f, "PET in {units}, not converted to uptake values: no {lacking}")
            }
            Self::CopiedSlice { path, of } => {
                write!(f, "slice present twice under two names, dropped one: {}, as {}", path.display(), of.display())
            }
            Self::EvenedSlices { gap_mm, odd_gaps_mm, measured, slices, interpolated } => {
                let odd: Vec<_> = odd_gaps_mm.iter().map(|(at, gap)| format!("{gap:.4} mm after slice {at}")).collect();
                let odd = odd.join(", ");
                write!(
                    f,
                    "uneven slices ({odd}): made {slices} at {gap_mm:.4} mm of {measured}, {interpolated} interpolated"
                )
            }
            Self::UnscaledDose { scaling } => write!(f, "dose grid as stored, dose is {scaling} times as much"),
            Self::SurplusFrameItems { count } => {
                write!(f, "no number of frames in the header, left out {count} frame descriptions without pixels")
            }
            Self::PaletteIndices => f.write_str("colours by a table, took the table's indices as voxels"),
            Self::AssumedPositions => {
                f.write_str("no slice positions in the header, took the order of frames along the normal")
            }
            Self::NoPosition => f.write_str("no position in the header, took 0"),
            Self::Rescaled { slope, intercept } => {
                write!(f, "stored numbers scaled by {slope} and shifted by {intercept} as the header says")
            }
            Self::ContoursDropped { count, reason } => write!(f, "{count} contours left out: {reason}"),
            Self::ContoursBetweenSlices { count, farthest } => {
                write!(f, "{count} contours lie up to {farthest:.3} of a slice beside the slices, took the nearest")
            }
            Self::ContoursCut { count } => write!(f, "{count} contours reach beyond the grid and were cut"),
            Self::SlicesWithoutContours { count } => write!(f, "{count} slices between contours have none"),
            Self::Fractional => f.write_str("fractions cut at half of their maximum"),
            Self::Resampled => f.write_str("region resampled to the grid of the image, nearest voxel"),
            Self::OutsideGrid { voxels } => write!(f, "{voxels} voxels of the region lie outside the grid"),
        }
    }
}
