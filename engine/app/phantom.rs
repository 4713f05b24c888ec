//! `isoscan phantom`: simulated abdomen CT with exact truth.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::ValueEnum;
use isoscan_imaging::Volume;
use isoscan_io::NewSeries;
use isoscan_phantom::{Anatomy, Grid, LABELS, Protocol, abdomen, labels_on, protocol, protocols, scan};
use isoscan_script::Progress;
use rayon::prelude::*;

use crate::{
    failure::Failure,
    progress::{Shown, note, say},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder for the scans; must not exist yet
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// List the protocols with their physics and end
    #[arg(long)]
    list: bool,
    /// Number of subjects
    #[arg(long, default_value_t = 1, value_name = "N")]
    subjects: u32,
    /// Number of the first subject: equal numbers are equal anatomies
    #[arg(long, default_value_t = 0, value_name = "N")]
    first_subject: u32,
    /// Seed of anatomy and noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Protocol to scan with: every subject becomes one file in the folder
    #[arg(long, conflicts_with_all = ["source", "reference"], required_unless_present_any = ["source", "list"])]
    protocol: Option<String>,
    /// Protocol of the source scans of a cohort: every subject becomes a folder
    #[arg(long, requires = "reference")]
    source: Option<String>,
    /// Protocol of the reference scans of a cohort
    #[arg(long, requires = "source")]
    reference: Option<String>,
    /// Format of the scans; labels are always NIfTI
    #[arg(long, default_value = "nifti")]
    format: Format,
    /// Columns and rows of a slice
    #[arg(long, default_value_t = 256, value_name = "N")]
    pixels: usize,
    /// Side of a pixel, mm
    #[arg(long, default_value_t = 1.5, value_name = "MM")]
    pixel_mm: f64,
    /// Scanned length along the body, mm
    #[arg(long, default_value_t = 60.0, value_name = "MM")]
    length_mm: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Nifti,
    Dicom,
}

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let Some(out) = args.out.as_ref().filter(|_| !args.list) else {
        protocols().iter().for_each(|protocol| say(&described(protocol)));
        return Ok(());
    };
    let grid = Grid::new([args.pixels; 2], args.pixel_mm, args.length_mm)?;
    let cohort = match (&args.source, &args.reference, &args.protocol) {
        (Some(source), Some(reference), _) => Some((protocol(source)?, protocol(reference)?)),
        _ => None,
    };
    let single = args.protocol.as_deref().map(protocol).transpose()?;
    let shown = Shown::default();
    isoscan_io::publish_folder(out, |folder| -> Result<(), Failure> {
        shown.begin("phantoms", args.subjects as usize);
        (0..args.subjects).into_par_iter().try_for_each(|n| -> Result<(), Failure> {
            if cancel.load(Ordering::SeqCst) {
                return Err(Failure::new("cancelled"));
            }
            let subject = args.first_subject + n;
            let anatomy = abdomen(args.seed, subject, &grid);
            match (cohort, single) {
                (Some(pair), _) => write_pair(args, folder, &anatomy, subject, pair)?,
                (None, Some(single)) => {
                    let stem = folder.join(format!("sub-{subject:03}_{}", single.id));
                    write_scan(args, &stem, &anatomy, subject, single)?;
                }
                (None, None) => {}
            }
            shown.advance(&format!("sub-{subject:03}"));
            Ok(())
        })?;
        shown.end();
        if let Some((_, reference)) = cohort {
            let subject = args.first_subject + args.subjects;
            let anatomy = abdomen(args.seed, subject, &grid);
            write_scan(
                &Args { format: Format::Nifti, ..copy(args) },
                &folder.join("template"),
                &anatomy,
                subject,
                reference,
            )?;
        }
        write_tables(args, folder)
    })?;
    note(&format!("phantom scans in {}: simulated, no patient", out.display()));
    Ok(())
}

fn copy(args: &Args) -> Args {
    Args {
        out: args.out.clone(),
        protocol: args.protocol.clone(),
        source: args.source.clone(),
        reference: args.reference.clone(),
        ..*args
    }
}

fn described(protocol: &Protocol) -> String {
    format!(
        "{:<14} {} ({} {}): kernel {}, MTF 50 % at {:.2} lp/cm, {} mAs, {} mm slices",
        protocol.id,
        protocol.description,
        protocol.manufacturer,
        protocol.model,
        protocol.kernel.name,
        protocol.kernel.mtf50_per_cm(),
        protocol.exposure_mas,
        protocol.slice_thickness_mm
    )
}

fn write_pair(
    args: &Args,
    folder: &Path,
    anatomy: &Anatomy,
    subject: u32,
    (source, reference): (&Protocol, &Protocol),
) -> Result<(), Failure> {
    let folder = folder.join(format!("sub-{subject:03}"));
    std::fs::create_dir(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let image = write_scan(args, &folder.join("source"), anatomy, subject, source)?;
    write_scan(args, &folder.join("reference"), anatomy, subject, reference)?;
    let labels = labels_on(anatomy, image.geometry());
    isoscan_io::write_nifti(&folder.join("labels.nii.gz"), &labels, None, None)?;
    Ok(())
}

fn write_scan(
    args: &Args,
    stem: &Path,
    anatomy: &Anatomy,
    subject: u32,
    protocol: &Protocol,
) -> Result<Volume, Failure> {
    let image = scan(anatomy, protocol, args.seed, subject)?;
    match args.format {
        Format::Nifti => isoscan_io::write_nifti(&stem.with_added_extension("nii.gz"), &image, None, None)?,
        Format::Dicom => {
            isoscan_io::write_dicom_new(stem, &image, &header(args, subject, protocol))?;
        }
    }
    Ok(image)
}

fn header(args: &Args, subject: u32, protocol: &Protocol) -> NewSeries {
    NewSeries {
        patient_id: format!("PHANTOM-{}-{subject:03}", args.seed),
        description: protocol.description.to_owned(),
        kernel: protocol.kernel.name.to_owned(),
        kvp: protocol.kvp,
        exposure_mas: protocol.exposure_mas,
        thickness_mm: protocol.slice_thickness_mm,
        number: protocols().iter().position(|known| known.id == protocol.id).map_or(1, |n| n as u32 + 1),
        uid_seed: format!("phantom {} {subject}", args.seed),
    }
}

/// Names of the labels (BIDS `dseg.tsv`), and how the phantoms were made.
fn write_tables(args: &Args, folder: &Path) -> Result<(), Failure> {
    let names: String = LABELS.iter().map(|(label, name)| format!("{label}\t{name}\n")).collect();
    let made = serde_json::json!({
        "seed": args.seed, "first_subject": args.first_subject, "subjects": args.subjects,
        "source": args.source, "reference": args.reference, "protocol": args.protocol,
        "pixels": args.pixels, "pixel_mm": args.pixel_mm, "length_mm": args.length_mm,
        "protocols": protocols(), "engine_version": env!("CARGO_PKG_VERSION"),
    });
    let made = serde_json::to_string_pretty(&made).map_err(Failure::new)?;
    for (name, text) in [("dseg.tsv", format!("index\tname\n{names}")), ("phantom.json", made)] {
        isoscan_io::write_atomically(&folder.join(name), |out| out.write_all(text.as_bytes()))?;
    }
    Ok(())
}
