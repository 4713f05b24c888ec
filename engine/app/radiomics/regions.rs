use std::path::{Path, PathBuf};

use isoscan_imaging::Mask;
use isoscan_io::{LabelMap, RegionFile, Selector, Series, Warning, list_regions, read_label_map, read_mask_on};

use super::cases::Wanted;
use crate::failure::Failure;

/// The regions of a mask: a label map in memory, or a DICOM object whose regions are read one by one.
pub(crate) enum Regions {
    /// A label map.
    Labels { labels: LabelMap, path: PathBuf },
    /// A structure set or segmentation.
    Dicom(RegionFile),
}

/// One region by its number and, where it has one, its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) label: i32,
    pub(crate) name: String,
}

impl Regions {
    /// Opens a mask of any kind that is read.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let mut files = list_regions(path)?;
        match (files.pop(), files.len()) {
            (None, _) => Ok(Self::Labels { labels: read_label_map(path)?, path: path.to_owned() }),
            (Some(only), 0) => Ok(Self::Dicom(only)),
            (Some(_), others) => {
                let told =
                    format!("expected one structure set or segmentation, found {}: {}", others + 1, path.display());
                Err(Failure::new(told).help("name the file"))
            }
        }
    }

    /// The file that holds them.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Labels { path, .. } => path,
            Self::Dicom(file) => &file.path,
        }
    }

    /// The regions that are wanted; `usual` is the label of the settings, which a label map must hold.
    pub(crate) fn wanted(&self, wanted: &Wanted, usual: i32) -> Result<Vec<Named>, Failure> {
        let there = self.all();
        let known = || {
            let told = |region: &Named| match region.name.as_str() {
                "" => region.label.to_string(),
                name => format!("{} {name:?}", region.label),
            };
            let all: Vec<String> = there.iter().take(20).map(told).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            if there.len() > 20 { format!("{all}, ... ({} in all)", there.len()) } else { all }
        };
        let refused = |what: String| {
            Failure::new(format!("{what} in the mask, found {}: {}", known(), self.path().display()))
                .help("choose with --label N or --roi NAME, or all with --all-labels")
        };
        let only = |fits: &dyn Fn(&Named) -> bool, what: String| {
            let mut fitting = there.iter().filter(|region| fits(region));
            match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(vec![only.clone()]),
                (Some(_), Some(_)) => Err(refused(format!("expected one region{what}"))),
                (None, _) => Err(refused(format!("no region{what}"))),
            }
        };
        match (wanted, self) {
            (Wanted::All, _) if there.is_empty() => Err(refused("no region".to_owned())),
            (Wanted::All, _) => Ok(there),
            (Wanted::Name(name), _) => only(&|region| region.name == *name, format!(" of name {name:?}")),
            (Wanted::Label(label), _) => only(&|region| region.label == *label, format!(" of label {label}")),
            (Wanted::Usual, Self::Dicom(_)) => only(&|_| true, String::new()),
            (Wanted::Usual, _) => only(&|region| region.label == usual, format!(" of label {usual}")),
        }
    }

    /// Every region: labels in ascending order, regions of a DICOM object in its order.
    fn all(&self) -> Vec<Named> {
        match self {
            Self::Labels { labels, .. } => {
                labels.labels().into_iter().map(|label| Named { label, name: String::new() }).collect()
            }
            Self::Dicom(file) => {
                file.regions.iter().map(|(label, name)| Named { label: *label, name: name.clone() }).collect()
            }
        }
    }

    /// The voxels of a region: of a label map on its own grid, else on that of the image, where a segmentation on another
    /// grid is refused unless `resample`.
    pub(crate) fn mask(&self, region: &Named, image: &Series, resample: bool) -> Result<(Mask, Vec<Warning>), Failure> {
        match self {
            Self::Labels { labels, .. } => Ok((labels.mask(region.label), Vec::new())),
            Self::Dicom(file) => {
                let grid = image.volume.geometry();
                let frame = image.source.frame_of_reference();
                let selector = Selector::from(region.label);
                let read = read_mask_on(&file.path, Some(&selector), grid, frame.as_deref())?;
                if !resample && read.warnings.contains(&Warning::Resampled) {
                    let own = isoscan_io::read_mask(&file.path, Some(region.label))?;
                    grid.require_same(own.geometry(), 1e-3)?;
                }
                Ok((read.mask, read.warnings))
            }
        }
    }
}
