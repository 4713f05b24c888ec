use std::path::Path;

use isoscan_imaging::Slices;

use crate::open::group_of;
use crate::write::ending;
use crate::{
    Derivation, Error, ReadOptions, SeriesKind, Source, Warning, Written, dicom, list, nifti, write_dicom_slices,
    write_nifti_slices,
};

/// One image volume whose voxels stay on disk.
pub struct StoredSeries {
    /// Voxels after all rescaling of the file, read slice by slice.
    pub slices: Box<dyn Slices>,
    /// Headers of the files that the volume came from.
    pub source: Source,
    /// What was repaired or assumed while reading; empty for a clean file.
    pub warnings: Vec<Warning>,
}

/// Opens the one image volume of a file or folder without reading its voxels; the values are those of
/// [`read_with`](crate::read_with). Slices of DICOM series and of plain NIfTI files are read from the files themselves; a
/// packed NIfTI file is first unpacked into a [`Spool`](crate::Spool) in `scratch`.
///
/// # Errors
/// Those of [`read_with`](crate::read_with), and [`Error::Unsupported`] for a format or a repair that needs the whole volume.
pub fn open_slices(path: &Path, options: &ReadOptions, scratch: &Path) -> Result<StoredSeries, Error> {
    let mut found = list(path)?;
    if found.len() > 1 {
        return Err(Error::SeveralSeries { found, path: path.to_owned() });
    }
    let Some(only) = found.pop() else {
        return Err(Error::NoSeries { path: path.to_owned(), unreadable: 0 });
    };
    match only.kind {
        SeriesKind::Nifti => nifti::open_slices(&only.paths[0], options, scratch),
        SeriesKind::Dicom => dicom::open_slices(group_of(&only)?, options),
        other => Err(Error::Unsupported { what: format!("{other} slice by slice"), path: path.to_owned() }),
    }
}

/// Writes an image whose voxels stay in storage, slice by slice: `.nii` and `.nii.gz`; any name without the ending of
/// another format becomes a folder of a derived DICOM series.
///
/// # Errors
/// [`Error::OutputName`] for the formats of [`write()`](crate::write()) that need the whole volume; those of
/// [`write_nifti_slices`] and [`write_dicom_slices`].
pub fn write_slices(
    path: &Path,
    slices: &dyn Slices,
    source: &Source,
    derivation: &Derivation,
) -> Result<Written, Error> {
    match ending(&path.file_name().unwrap_or_default().to_string_lossy()) {
        "nii" => {
            write_nifti_slices(path, slices, Some(source), Some(derivation))?;
            Ok(Written { files: vec![path.to_owned()], max_error: 0.0, clamped: 0 })
        }
        "nrrd" | "nhdr" | "mha" | "mhd" | "png" | "tif" | "tiff" | "dcm" => {
            let expected = ".nii or .nii.gz, or in none for a DICOM folder, for an image larger than memory";
            Err(Error::OutputName { expected, path: path.to_owned() })
        }
        _ => write_dicom_slices(path, slices, source, derivation),
    }
}
