//! The cases of a run: one image and mask, the lines of a table, or what a folder holds.

mod folder;
mod list;
mod study;

use std::path::{Path, PathBuf};

use isoscan_io::SeriesSummary;

use super::row::{Cell, Row};
use crate::failure::Failure;

pub(crate) use list::is_list;

/// An image and a mask, of which a region or several are measured.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Columns that are carried to the table, `Image` and `Mask` among them.
    pub(crate) carried: Vec<(String, String)>,
    /// What to read, or why nothing can be read.
    pub(crate) pair: Result<Pair, String>,
}

/// What to read of a case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    pub(crate) image: Place,
    pub(crate) mask: PathBuf,
    pub(crate) wanted: Wanted,
}

/// Where an image lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// A file, or a folder of one series.
    Path(PathBuf),
    /// One of several series of a folder.
    Series(Box<SeriesSummary>),
}

/// Which regions of a mask are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The label of the settings; of a structure set or segmentation the only region.
    Usual,
    /// The region of this label or number.
    Label(i32),
    /// The region of this name.
    Name(String),
    /// Every region.
    All,
}

impl Case {
    /// The case as a line of the table begins.
    pub(crate) fn row(&self) -> Row {
        Row(self.carried.iter().map(|(name, value)| (name.clone(), Cell::Text(value.clone()))).collect())
    }

    /// The case's name in messages: its `ID`, or else its image.
    pub(crate) fn name(&self) -> &str {
        let column = |wanted: &str| self.carried.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let named = ["ID", "Patient", "Subject", "Image"].iter().find_map(|name| column(name));
        named.map_or("", |(_, value)| value)
    }

    /// One image and mask.
    pub(crate) fn single(image: &Path, mask: &Path, wanted: Wanted) -> Self {
        let carried =
            [("Image", image), ("Mask", mask)].map(|(name, path)| (name.to_owned(), path.display().to_string()));
        let pair = Pair { image: Place::Path(image.to_owned()), mask: mask.to_owned(), wanted };
        Self { carried: carried.into(), pair: Ok(pair) }
    }

    /// Whether both cases read the same files.
    pub(crate) fn shares_files(&self, other: &Self) -> bool {
        match (&self.pair, &other.pair) {
            (Ok(own), Ok(other)) => own.image == other.image && own.mask == other.mask,
            _ => false,
        }
    }
}

/// The cases of a table of cases or of a folder; `wanted` holds where the input names no region.
pub(crate) fn find(input: &Path, wanted: &Wanted, select: &[(String, String)]) -> Result<Vec<Case>, Failure> {
    let cases = if is_list(input) {
        list::read(input, wanted)?
    } else if !input.is_dir() {
        return Err(Failure::new(format!("no mask is given for {}", input.display())).help(HELP));
    } else if isoscan_io::is_bids(input) {
        folder::of_bids(input, wanted, select)?
    } else {
        let paired = folder::paired(input, wanted)?;
        if paired.is_empty() { study::cases(input, wanted)? } else { paired }
    };
    if cases.is_empty() {
        return Err(Failure::new(format!("no image with a mask: {}", input.display())).help(HELP));
    }
    Ok(cases)
}

const HELP: &str = "give an image and a mask; or a CSV file with the columns Image and Mask; or a folder: a BIDS dataset, \
                    pairs such as NAME_image.nrrd and NAME_label.nrrd, or DICOM series with SEG or RTSTRUCT";
