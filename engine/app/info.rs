//! `isoscan info`: what a file or folder holds, without a patient's identity.

use std::path::PathBuf;

use isoscan_imaging::Orientation;
use isoscan_io::{RegionFile, RegionKind, Series};

use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Image file (DICOM, NIfTI, NRRD, MetaImage, grey PNG or TIFF), DICOM structure set or segmentation, or folder
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (found, regions) = match (isoscan_io::list(&args.path), isoscan_io::list_regions(&args.path)) {
        (Err(_), Ok(regions)) if !regions.is_empty() => (Vec::new(), regions),
        (found, regions) => (found?, regions?),
    };
    if found.is_empty() && regions.is_empty() {
        return Err(Failure::new(format!("no image series under {}", args.path.display()))
            .help("isoscan reads DICOM, NIfTI, NRRD, MetaImage, and grey PNG and TIFF"));
    }
    for (number, summary) in found.iter().enumerate() {
        match found.len() {
            1 => say(&summary.to_string()),
            _ => say(&format!("{number}: {summary}")),
        }
        match isoscan_io::read_series(summary) {
            Ok(series) => tell(&series),
            Err(error) => say(&format!("  cannot be read: {error}")),
        }
    }
    regions.iter().for_each(tell_regions);
    Ok(())
}

fn tell(series: &Series) {
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
    if let Some(padding) = &series.padding {
        let share = 100.0 * padding.count() as f64 / grid.voxel_count() as f64;
        say(&format!("  padding {share:.1} % of the voxels"));
    }
    series.warnings.iter().for_each(|warning| say(&format!("  note: {warning}")));
}

fn tell_regions(file: &RegionFile) {
    let kind = match file.kind {
        RegionKind::StructureSet => "structure set",
        RegionKind::Segmentation => "segmentation",
    };
    let count = match file.regions.len() {
        1 => "1 region".to_owned(),
        several => format!("{several} regions"),
    };
    say(&format!("{kind} {} with {count}", file.path.display()));
    for (number, name) in &file.regions {
        say(&format!("  region {number}: {name}"));
    }
}
