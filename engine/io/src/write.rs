use std::path::{Path, PathBuf};

use isoscan_imaging::Volume;

use crate::raster::IntegerScale;
use crate::{
    Derivation, Error, NiftiOptions, Source, write_dicom, write_dicom_enhanced, write_metaimage, write_nifti_volumes,
    write_nrrd, write_png, write_tiff,
};

/// An output: its files and how truly they hold the voxels.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The files, slices in their order; one for a multi-frame object.
    pub files: Vec<PathBuf>,
    /// Largest distance of a voxel from what the file gives back, in the volume's unit. A clamped voxel counts.
    pub max_error: f64,
    /// Voxels outside the range of the stored numbers; they hold the nearest number of that range.
    pub clamped: usize,
}

/// Writes a volume in the format that the output's name ends in: `.nii`, `.nii.gz`, `.nrrd`, `.nhdr`, `.mha`, `.mhd`,
/// `.png`, `.tif`, `.tiff`, `.dcm` for one enhanced multi-frame file; any other name becomes a folder of a derived DICOM series.
///
/// PNG and TIFF are written without a window, so nothing is clipped.
///
/// # Errors
/// Those of the format's own function.
pub fn write(
    path: &Path,
    volume: &Volume,
    source: Option<&Source>,
    derivation: Option<&Derivation>,
) -> Result<Written, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = |from: &str, to: &str| path.with_file_name(format!("{}{to}", name.trim_end_matches(from)));
    let exact = |files: Vec<PathBuf>| Written { files, max_error: 0.0, clamped: 0 };
    let one = || vec![path.to_owned()];
    let whole = || volume.as_slice().iter().all(|v| v.fract() == 0.0);
    let scaled =
        |scale: IntegerScale| Written { max_error: scale.bound(whole()), clamped: scale.clipped, ..exact(one()) };
    match ending(&name) {
        "nii" => {
            let written = write_nifti_volumes(path, &[volume], source, derivation, &NiftiOptions::default())?;
            Ok(Written { max_error: written.largest_error, ..exact(one()) })
        }
        "nrrd" => write_nrrd(path, volume, source, derivation).map(|()| exact(one())),
        "nhdr" => write_nrrd(path, volume, source, derivation)
            .map(|()| exact(vec![path.to_owned(), beside(".nhdr", ".raw.gz")])),
        "mha" => write_metaimage(path, volume, source, derivation).map(|()| exact(one())),
        "mhd" => write_metaimage(path, volume, source, derivation)
            .map(|()| exact(vec![path.to_owned(), beside(".mhd", ".zraw")])),
        "png" => write_png(path, volume, None, derivation).map(scaled),
        "tif" | "tiff" => write_tiff(path, volume, None, derivation).map(scaled),
        "dcm" => write_dicom_enhanced(
            path,
            volume,
            source.unwrap_or(&Source::None),
            derivation.unwrap_or(&Derivation::default()),
        ),
        _ => write_dicom(path, volume, source.unwrap_or(&Source::None), derivation.unwrap_or(&Derivation::default())),
    }
}

/// What tells the format of an output's name: all behind the last point, packed or not.
pub(crate) fn ending(name: &str) -> &str {
    name.trim_end_matches(".gz").rsplit_once('.').map_or("", |(_, ending)| ending)
}
