//! `isoscan convert`: an image in another format, and on another grid where that is asked for.

use std::path::{Path, PathBuf};

use isoscan_imaging::{
    Geometry, Interpolation, Modality, Unit, Volume, resample, resample_labels, straighten, with_spacing,
};
use isoscan_io::{Derivation, NiftiOptions, NiftiStored, ReadOptions, Series, SeriesSummary, Uneven, Written};

use crate::{
    failure::Failure,
    progress::{note, say},
    translate::{made_at, options, refuse_existing, tell_exactness},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Image file (DICOM, NIfTI, NRRD, MetaImage, grey PNG or TIFF) or folder of one DICOM series
    input: PathBuf,
    /// Output: a name ending in .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, .png, .tif or .tiff for that format, else a new
    /// folder for a DICOM series
    output: PathBuf,
    /// Modality of an image whose file does not tell it
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Option<Modality>,
    /// The volume of this number, of several; `isoscan info` lists them
    #[arg(long, value_name = "N")]
    volume: Option<usize>,
    /// Every volume: OUTPUT becomes a folder of files of this ending, named by their number; `dicom` for DICOM series
    #[arg(long, value_name = "ENDING", num_args = 0..=1, require_equals = true, default_missing_value = "nii.gz",
        value_parser = ["nii.gz", "nii", "nrrd", "mha", "tif", "dicom"], conflicts_with = "volume")]
    all: Option<String>,
    /// What happens to uneven or missing slices: a refusal, or even ones interpolated between them
    #[arg(long, value_enum, default_value = "refuse")]
    uneven: Slices,
    /// Bring slices of a tilted gantry onto an upright grid
    #[arg(long)]
    straighten: bool,
    /// Distance of voxel centres to resample to, mm
    #[arg(long, value_name = "X,Y,Z", value_parser = three_numbers)]
    spacing: Option<[f64; 3]>,
    /// How values between voxels are found: nearest, linear, bspline, lanczos3, lanczos4 or lanczos5; of label maps
    /// nearest, linear or gaussian
    #[arg(long, value_name = "KIND", default_value = "linear")]
    interpolation: String,
    /// Write DICOM as one enhanced multi-frame file
    #[arg(long)]
    enhanced: bool,
    /// Write NIfTI in 16-bit numbers with a scale, and tell the largest error
    #[arg(long, conflicts_with = "enhanced")]
    scaled: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Slices {
    Refuse,
    Resample,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    refuse_existing(&args.output)?;
    let uneven = match args.uneven {
        Slices::Refuse => Uneven::Refuse,
        Slices::Resample => Uneven::Resample,
    };
    let how = ReadOptions { uneven, ..options(args.modality) };
    if let Some(ending) = &args.all {
        return convert_all(args, ending, &how);
    }
    let series = match args.volume {
        None => isoscan_io::read_with(&args.input, &how)?,
        Some(number) => isoscan_io::read_series_with(&nth(&args.input, number)?, &how)?,
    };
    convert(args, series, &args.output)
}

fn three_numbers(text: &str) -> Result<[f64; 3], String> {
    let refused = || "expected three numbers X,Y,Z".to_owned();
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    numbers.ok().and_then(|numbers| numbers.try_into().ok()).ok_or_else(refused)
}

/// The volume of this number.
fn nth(path: &Path, number: usize) -> Result<SeriesSummary, Failure> {
    let mut found = isoscan_io::list(path)?;
    if number < found.len() {
        return Ok(found.swap_remove(number));
    }
    let count = found.len();
    let path = path.display();
    Err(Failure::new(format!("expected a volume number below {count}, found {number}: {path}"))
        .help("`isoscan info` lists the volumes with their numbers"))
}

/// Every volume into a folder; those that fail are told and leave the others alone.
fn convert_all(args: &Args, ending: &str, how: &ReadOptions) -> Result<(), Failure> {
    let found = isoscan_io::list(&args.input)?;
    let failed = |source| isoscan_io::Error::Io { action: "make folder", path: args.output.clone(), source };
    std::fs::create_dir_all(&args.output).map_err(failed)?;
    let mut failures = 0;
    for (number, summary) in found.iter().enumerate() {
        let name = match (ending, args.enhanced) {
            ("dicom", false) => format!("{number:03}"),
            ("dicom", true) => format!("{number:03}.dcm"),
            _ => format!("{number:03}.{ending}"),
        };
        let done = isoscan_io::read_series_with(summary, how).map_err(Failure::from);
        if let Err(failure) = done.and_then(|series| convert(args, series, &args.output.join(name))) {
            failures += 1;
            say(&format!("volume {number} was not converted"));
            failure.show();
        }
    }
    match (failures, found.len()) {
        (0, 1..) => Ok(()),
        (_, count) => {
            Err(Failure::new(format!("{failures} of {count} volumes were not converted: {}", args.input.display())))
        }
    }
}

fn convert(args: &Args, series: Series, output: &Path) -> Result<(), Failure> {
    for warning in &series.warnings {
        note(&format!("{}: {warning}", args.input.display()));
    }
    let made = Derivation {
        description: "converted".to_owned(),
        params: steps(args),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: made_at(),
        input_sha256: series.source.input_sha256()?.into_iter().collect(),
        ..Derivation::default()
    };
    let volume = on_grid(args, series.volume)?;
    let written = write(args, output, &volume, &series.source, &made)?;
    tell_exactness(&written, volume.unit());
    if args.scaled && written.max_error == 0.0 {
        say("stored numbers give every voxel back exactly");
    }
    say(&format!("{} in {}, {} -> {}", volume.modality(), volume.unit(), volume.geometry(), output.display()));
    Ok(())
}

/// What was asked for beside another format, for the output's provenance.
fn steps(args: &Args) -> serde_json::Value {
    if !args.straighten && args.spacing.is_none() {
        return serde_json::Value::Null;
    }
    serde_json::json!({"straighten": args.straighten, "spacing_mm": args.spacing, "interpolation": args.interpolation})
}

/// Straightened, then resampled, as far as that is asked for.
fn on_grid(args: &Args, volume: Volume) -> Result<Volume, Failure> {
    let labels = volume.unit() == Unit::Label;
    let fill = if labels { 0.0 } else { volume.lowest() };
    let upright = match (args.straighten, labels) {
        (false, _) => volume,
        (true, true) => straighten(&volume, Interpolation::Nearest, fill)?,
        (true, false) => straighten(&volume, args.interpolation.parse()?, fill)?,
    };
    let Some(spacing_mm) = args.spacing else { return Ok(upright) };
    let grid: Geometry = with_spacing(upright.geometry(), spacing_mm)?;
    if labels {
        return Ok(resample_labels(&upright, &grid, args.interpolation.parse()?, fill));
    }
    Ok(resample(&upright, &grid, args.interpolation.parse()?, fill))
}

fn write(
    args: &Args,
    output: &Path,
    volume: &Volume,
    source: &isoscan_io::Source,
    made: &Derivation,
) -> Result<Written, Failure> {
    if args.enhanced {
        return Ok(isoscan_io::write_dicom_enhanced(output, volume, source, made)?);
    }
    if !args.scaled {
        return Ok(isoscan_io::write(output, volume, Some(source), Some(made))?);
    }
    let stored = NiftiOptions { stored: NiftiStored::Scaled16, ..NiftiOptions::default() };
    let written = isoscan_io::write_nifti_volumes(output, &[volume], Some(source), Some(made), &stored)?;
    Ok(Written { files: vec![output.to_owned()], max_error: written.largest_error, clamped: 0 })
}
