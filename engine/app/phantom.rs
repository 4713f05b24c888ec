//! `isoscan phantom`: simulated scans with exact truth.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::ValueEnum;
use isoscan_phantom::{Grid, Kind, Order, Truth};
use isoscan_script::Progress;
use rayon::prelude::*;

use crate::{
    failure::Failure,
    progress::{Shown, note, say},
};

mod header;
mod layout;
mod tables;
mod travel;
mod write;

use layout::Layout;
use write::Writer;

#[derive(clap::Args)]
#[command(after_help = "\
A protocol is named by its word in the list, with `:VIEW` where the list shows views. Without any, every subject is
scanned under the usual protocols of its kind. All scans of a subject show the same anatomy in the same place.

  isoscan phantom brain --subjects 4 --out heads             # a folder per subject: several contrasts, labels, truth
  isoscan phantom --source b-sharp-low --reference a-soft --subjects 12 --out cohort
  isoscan phantom --scanners a-soft,b-medium --sessions 3 --out travelling")]
pub(crate) struct Args {
    /// What to image: see --list; abdomen when not told
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// Folder for the scans; must not exist yet
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// List the protocols of the kind, or of all kinds, with their physics and end
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
    /// What subjects suffer from: see --list
    #[arg(long, value_name = "WORD")]
    condition: Option<String>,
    /// Protocol to scan with: every subject becomes one file in the folder
    #[arg(long, conflicts_with_all = ["protocols", "source", "reference", "scanners"])]
    protocol: Option<String>,
    /// Protocols to scan with, separated by commas: every subject becomes a folder with one series per protocol
    #[arg(long, value_delimiter = ',', value_name = "WORDS", conflicts_with_all = ["source", "reference", "scanners"])]
    protocols: Vec<String>,
    /// Protocol of the source scans of a cohort: every subject becomes a folder
    #[arg(long, requires = "reference", conflicts_with = "scanners")]
    source: Option<String>,
    /// Protocol of the reference scans of a cohort
    #[arg(long, requires = "source")]
    reference: Option<String>,
    /// Protocols that every subject travels to, separated by commas: sessions in the folders of BIDS
    #[arg(long, value_delimiter = ',', value_name = "WORDS")]
    scanners: Vec<String>,
    /// Sessions of a travelling subject in each scanner, with other noise and another position each
    #[arg(long, default_value_t = 1, value_name = "M", requires = "scanners",
          value_parser = clap::value_parser!(u32).range(1..=99))]
    sessions: u32,
    /// Format of the scans; labels are always NIfTI, and a DICOM segmentation too beside DICOM scans
    #[arg(long, default_value = "nifti")]
    format: Format,
    /// Columns and rows of a slice; else as usual for the kind
    #[arg(long, value_name = "N")]
    pixels: Option<usize>,
    /// Side of a pixel, mm; else as usual for the kind
    #[arg(long, value_name = "MM")]
    pixel_mm: Option<f64>,
    /// Scanned length along the body, mm; else as usual for the kind
    #[arg(long, value_name = "MM")]
    length_mm: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Nifti,
    Dicom,
}

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let named = args.kind.as_deref().map(str::parse::<Kind>).transpose()?;
    let Some(out) = args.out.as_ref().filter(|_| !args.list) else {
        named.map_or(Kind::ALL.to_vec(), |kind| vec![kind]).into_iter().for_each(list);
        return Ok(());
    };
    let kind = named.unwrap_or(Kind::Abdomen);
    let layout = Layout::of(args, kind);
    let order = order(args, kind)?;
    layout.check(&order)?;
    let writer = Writer { dicom: args.format == Format::Dicom, layout: &layout, cancel };
    let shown = Shown::default();
    isoscan_io::publish_folder(out, |folder| -> Result<(), Failure> {
        shown.begin("phantoms", args.subjects as usize);
        let truths: Vec<Vec<Truth>> = (0..args.subjects)
            .into_par_iter()
            .map(|n| {
                require_going_on(cancel)?;
                let subject = Order { subject: args.first_subject + n, ..order.clone() };
                let truths = writer.subject(folder, &subject)?;
                shown.advance(&format!("sub-{:03}", subject.subject));
                Ok(truths)
            })
            .collect::<Result<_, Failure>>()?;
        shown.end();
        let after = Order { subject: args.first_subject + args.subjects, ..order.clone() };
        writer.template(folder, &after)?;
        tables::write(folder, &truths.concat())?;
        tables::write_made(folder, args, &order, &layout)
    })?;
    note(&format!("phantom scans in {}: simulated, no patient", out.display()));
    Ok(())
}

/// # Errors
/// A failure once the work was cancelled.
fn require_going_on(cancel: &AtomicBool) -> Result<(), Failure> {
    if cancel.load(Ordering::SeqCst) { Err(Failure::new("cancelled")) } else { Ok(()) }
}

fn order(args: &Args, kind: Kind) -> Result<Order, Failure> {
    let usual = Order::new(kind, args.seed, args.first_subject);
    let grid = if (args.pixels, args.pixel_mm, args.length_mm) == (None, None, None) {
        usual.grid
    } else {
        let [columns, rows] = args.pixels.map_or(usual.grid.size(), |pixels| [pixels; 2]);
        let pixel_mm = args.pixel_mm.unwrap_or(usual.grid.pixel_mm());
        Grid::new([columns, rows], pixel_mm, args.length_mm.unwrap_or(usual.grid.length_mm()))?
    };
    let condition = args.condition.clone().unwrap_or(usual.condition.clone());
    Ok(Order { grid, condition, ..usual })
}

fn list(kind: Kind) {
    say(&format!("{}: {}", kind.id(), kind.described()));
    for (word, described) in kind.conditions() {
        say(&format!("  --condition {word:<20} {described}"));
    }
    for offer in kind.offers() {
        say(&format!("  {:<22} {}", offer.id, offer.described));
    }
    let views = kind.offers().into_iter().next().map(|offer| offer.views).unwrap_or_default();
    if !views.is_empty() {
        say(&format!("  views, after a colon: {}", views.join(", ")));
    }
}
