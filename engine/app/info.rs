//! `isoscan info`: what a file or folder holds, without a patient's identity.

use std::path::PathBuf;

use isoscan_imaging::Orientation;

use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// NIfTI file, DICOM file or folder
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let found = isoscan_io::list(&args.path)?;
    if found.is_empty() {
        return Err(Failure::new(format!("no image series under {}", args.path.display()))
            .help("isoscan reads NIfTI (.nii, .nii.gz, .hdr/.img) and DICOM"));
    }
    for summary in &found {
        say(&summary.to_string());
        match isoscan_io::read_series(summary) {
            Ok(series) => {
                let grid = series.volume.geometry();
                let [x, y, z] = grid.origin_mm();
                say(&format!("  unit {}, axes towards {}", series.volume.unit(), Orientation::of(grid)));
                say(&format!("  first voxel at ({x:.3}, {y:.3}, {z:.3}) mm LPS"));
                for (axis, direction) in ["x", "y", "z"].into_iter().zip(grid.direction()) {
                    let [a, b, c] = direction;
                    say(&format!("  voxel axis {axis}: ({a:.6}, {b:.6}, {c:.6})"));
                }
                let finite = series.volume.as_slice().iter().copied().filter(|v| v.is_finite());
                let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
                say(&format!("  intensities {low} to {high}"));
                series.warnings.iter().for_each(|warning| say(&format!("  note: {warning}")));
            }
            Err(error) => say(&format!("  cannot be read: {error}")),
        }
    }
    Ok(())
}
