//! `isoscan radiomics`: features of images and masks as a table.

mod batch;
mod cases;
mod diagnostics;
mod extraction;
mod inputs;
mod journal;
mod made;
mod maps;
mod parquet;
mod perturbed;
mod regions;
mod row;
mod sidecar;
mod stability;
mod table;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use isoscan_imaging::Modality;
use isoscan_radiomics::{Mode, Settings, ibsi};

use crate::{
    failure::Failure,
    progress::say,
    run::{cores, setting},
};
use cases::{Case, Wanted, is_list};
use extraction::Plan;
use made::Made;
use maps::{MapFormat, Maps};
use perturbed::Perturbed;
use table::Format;

/// Exit code when the table is complete but some of its rows tell an error.
const ROWS_FAILED: u8 = 3;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Image: NRRD, MetaImage, NIfTI, DICOM file or folder of one series. Without a mask: a CSV file with the columns Image,
    /// Mask and perhaps Label or ROI; or a folder: a BIDS dataset, pairs such as NAME_image.nrrd and NAME_label.nrrd, or DICOM
    /// series with SEG or RTSTRUCT
    input: PathBuf,
    /// Label map, DICOM segmentation or structure set
    mask: Option<PathBuf>,
    /// The table; its name ends in .csv, .json, .jsonl or .parquet. What made it is told in a file beside it that ends in
    /// .provenance.json
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Whose definitions: PyRadiomics 3.1.0, or the Image Biomarker Standardisation Initiative
    #[arg(long, value_enum, default_value_t = Definitions::Pyradiomics)]
    mode: Definitions,
    /// Settings: a PyRadiomics parameter file, or those of the IBSI mode; YAML or JSON
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// One setting of PyRadiomics, which wins over the file; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Label of the region [default: that of the settings, 1]
    #[arg(long, value_name = "N")]
    label: Option<i32>,
    /// Name of the region in a structure set or segmentation
    #[arg(long, value_name = "NAME", conflicts_with = "label")]
    roi: Option<String>,
    /// Every region of the mask, each in a row
    #[arg(long, conflicts_with_all = ["label", "roi"])]
    all_labels: bool,
    /// Bring a mask on another grid to the image's, by nearest voxel
    #[arg(long)]
    resample_mask: bool,
    /// Tell in the columns diagnostics_* also PyRadiomics' hashes of image and mask, the intensities of interpolated images
    /// and every setting, which takes a second pass over the image
    #[arg(long)]
    diagnostics: bool,
    /// Folder for maps of the features in the cube of kernelRadius voxels around each voxel of the region
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// Format of the maps
    #[arg(long, value_enum, default_value_t = MapFormat::NiiGz)]
    map_format: MapFormat,
    /// Measure every region under perturbations of image and mask, told by a YAML or JSON file, and how stable each feature is:
    /// its intraclass correlation over the regions in a table that ends in .stability.csv
    #[arg(long, value_name = "FILE", conflicts_with = "maps")]
    perturb: Option<PathBuf>,
    /// Lower bound of the 95 % interval of ICC(1,1) from which on a feature is called robust
    #[arg(long, default_value_t = isoscan_radiomics::ROBUST, value_name = "ICC")]
    robust: f64,
    /// Seed of the random numbers of perturbations
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Modality of images whose files do not tell it
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Option<Modality>,
    /// Only images of a BIDS dataset with this entity, suffix or datatype, such as suffix=T1w; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    select: Vec<(String, String)>,
    /// Cases worked on at the same time, each with its image in memory [default: number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Continue an interrupted run, with the same cases and settings
    #[arg(long)]
    resume: bool,
}

/// Whose definitions the values follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Definitions {
    Pyradiomics,
    Ibsi,
}

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let format = Format::of(&args.output)?;
    let mode = mode(args)?;
    let resample_mask = args.resample_mask || matches!(&mode, Mode::Pyradiomics(given) if given.correct_mask);
    let maps = args.maps.clone().map(|folder| Maps { folder, format: args.map_format });
    if let (Some(_), Mode::Ibsi(_)) = (&maps, &mode) {
        return Err(Failure::new("maps are those of PyRadiomics, not of the IBSI mode").help("leave out --mode ibsi"));
    }
    let perturbed = args.perturb.as_deref().map(|path| Perturbed::read(path, args.seed)).transpose()?;
    let plan = Plan { mode, resample_mask, modality: args.modality, maps, hashes: args.diagnostics, perturbed };
    let single = args.mask.is_some() && !is_list(&args.input);
    let cases = match &args.mask {
        Some(mask) if single => vec![Case::single(&args.input, mask, wanted(args))],
        Some(_) => return Err(Failure::new("a table of cases names its masks itself").help("leave the mask out")),
        None => cases::find(&args.input, &wanted(args), &args.select)?,
    };
    let made = Made {
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: plan.mode.name().to_owned(),
        settings: plan.told()?,
        perturbations: plan.perturbed.as_ref().map(Perturbed::told),
        cases: cases.len(),
        cases_sha256: isoscan_io::sha256(format!("{cases:?}").as_bytes()),
    };
    let output = batch::Output { table: &args.output, format, made: &made, resume: args.resume };
    let jobs = args.jobs.unwrap_or_else(cores);
    if jobs == 0 {
        return Err(Failure::new("--jobs must be at least 1"));
    }
    let mut growing = batch::run(&cases, &plan, &output, jobs, cancel)?;
    let told = growing.told(&cases)?;
    if single && told.rows == told.failures {
        growing.discard();
        return Err(alone(told));
    }
    growing.publish(cases.len())?;
    sidecar::write(&args.output, &made, &mut growing)?;
    if let Some(perturbed) = &plan.perturbed {
        write_stability(args, perturbed, cases.len(), &mut growing)?;
    }
    growing.discard();
    say(&format!("{} rows by {} -> {}", told.rows, made.mode, args.output.display()));
    if told.failures == 0 { Ok(()) } else { Err(some_failed(&told, cases.len(), args)) }
}

/// Writes the table of stability and tells the share of robust features.
fn write_stability(
    args: &Args,
    perturbed: &Perturbed,
    cases: usize,
    growing: &mut batch::Growing,
) -> Result<(), Failure> {
    let mut ratings = stability::Ratings::default();
    for case in 0..cases {
        growing.journal.case(case)?.unwrap_or_default().rows.iter().for_each(|row| ratings.take(case, row));
    }
    let rows = ratings.rows(perturbed.chain.len(), args.robust);
    let path = args.output.with_extension("stability.csv");
    stability::write(&path, &rows)?;
    let robust = rows.iter().filter(|row| row.get("Robust").is_some_and(|cell| cell.text() == "robust")).count();
    say(&format!("{robust} of {} features are robust -> {}", rows.len(), path.display()));
    Ok(())
}

/// The failure of the only case.
fn alone(told: batch::Told) -> Failure {
    match told.failed.into_iter().next() {
        Some((_, message, Some(help))) => Failure::new(message).help(help),
        Some((_, message, None)) => Failure::new(message),
        None => Failure::new("no region was measured"),
    }
}

fn some_failed(told: &batch::Told, cases: usize, args: &Args) -> Failure {
    let first: Vec<String> = told.failed.iter().map(|(name, message, _)| format!("{name}: {message}")).collect();
    let more = if told.failures > first.len() { ", ..." } else { "" };
    Failure::new(format!("{} of {cases} cases failed: {}{more}", told.failures, first.join(", ")))
        .help(format!("the column Error of {} tells each reason", args.output.display()))
        .code(ROWS_FAILED)
}

fn wanted(args: &Args) -> Wanted {
    match (args.label, &args.roi, args.all_labels) {
        (Some(label), ..) => Wanted::Label(label),
        (_, Some(name), _) => Wanted::Name(name.clone()),
        (.., true) => Wanted::All,
        _ => Wanted::Usual,
    }
}

/// The settings of the file, then those of the command line.
fn mode(args: &Args) -> Result<Mode, Failure> {
    let text = args.settings.as_ref().map(|path| {
        std::fs::read_to_string(path).map_err(|error| Failure::new(format!("{error}: {}", path.display())))
    });
    let text = text.transpose()?;
    match args.mode {
        Definitions::Pyradiomics => {
            let mut settings = text.as_deref().map_or_else(|| Ok(Settings::default()), Settings::from_text)?;
            for (name, value) in &args.set {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
                settings.set(name, &value)?;
            }
            settings.correct_mask |= args.resample_mask;
            Ok(Mode::Pyradiomics(Box::new(settings)))
        }
        Definitions::Ibsi if !args.set.is_empty() => {
            Err(Failure::new("--set gives settings of PyRadiomics, not of the IBSI mode").help("use --settings FILE"))
        }
        Definitions::Ibsi => {
            let settings = text.as_deref().map_or_else(|| Ok(ibsi::Settings::default()), ibsi::Settings::from_text)?;
            Ok(Mode::Ibsi(Box::new(settings)))
        }
    }
}
