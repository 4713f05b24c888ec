//! `isoscan convert`: the same voxels in another format.

use std::path::PathBuf;

use isoscan_imaging::Modality;
use isoscan_io::Derivation;

use crate::{
    failure::Failure,
    progress::say,
    translate::{read, refuse_existing, write},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// NIfTI file, DICOM file or folder of one DICOM series
    input: PathBuf,
    /// Output: `.nii` or `.nii.gz` for NIfTI, else a new folder for a DICOM series
    output: PathBuf,
    /// Modality of an image whose file does not tell it
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Option<Modality>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    refuse_existing(&args.output)?;
    let series = read(&args.input, args.modality)?;
    let made = Derivation {
        description: "converted".to_owned(),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        input_sha256: series.source.input_sha256()?.into_iter().collect(),
        ..Derivation::default()
    };
    write(&args.output, &series.volume, &series.source, &made)?;
    let volume = &series.volume;
    say(&format!("{} in {}, {} -> {}", volume.modality(), volume.unit(), volume.geometry(), args.output.display()));
    Ok(())
}
