use std::fmt;
use std::path::PathBuf;

use isoscan_imaging::{Modality, Volume};
use sha2::{Digest, Sha256};

use crate::provenance::{hexadecimal, sha256_file};
use crate::{DicomSource, Error, NiftiSource};

/// One image volume as read, with what is needed to write an image derived from it.
#[derive(Debug, Clone)]
pub struct Series {
    /// Voxels after all rescaling of the file, on a grid in LPS mm.
    pub volume: Volume,
    /// Headers of the files that the volume came from.
    pub source: Source,
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
}

impl Source {
    /// The files, in slice order for a DICOM series; empty without a file.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::None => Vec::new(),
            Self::Nifti(nifti) => nifti.paths().to_vec(),
            Self::Dicom(dicom) => dicom.paths(),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeriesKind {
    /// NIfTI-1 or NIfTI-2, one file or a header with its image.
    Nifti,
    /// DICOM files of one series.
    Dicom,
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
            (SeriesKind::Nifti, _) => write!(f, "{} file {}", self.modality, self.id)?,
            (SeriesKind::Dicom, Some(number)) => write!(f, "{} series {number}", self.modality)?,
            (SeriesKind::Dicom, None) => write!(f, "{} series without number", self.modality)?,
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
    /// The PET units are no uptake values, so the intensities are in the file's own unit.
    NotUptake {
        /// Units (0054,1001).
        units: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateSlice { path } => write!(f, "slice present twice, dropped one: {}", path.display()),
            Self::UnreadableFile { reason, .. } => write!(f, "file skipped: {reason}"),
            Self::NoPixelSpacing => f.write_str("no pixel spacing in the header, took 1 mm"),
            Self::NoSliceThickness => f.write_str("no slice thickness in the header, took 1 mm"),
            Self::NoOrientation => f.write_str("no orientation in the header, took the usual one"),
            Self::NotUptake { units } => write!(f, "PET in {units}, not converted to uptake values"),
        }
    }
}
