use std::path::{Path, PathBuf};

use isoscan_imaging::{Mask, Modality};
use isoscan_io::{ReadOptions, Series};
use isoscan_radiomics::{FeatureTable, Mode, NanReason, StoredType, diagnose};

use super::{
    cases::{Case, Pair, Place},
    diagnostics,
    inputs::Input,
    journal::Record,
    maps::Maps,
    perturbed::Perturbed,
    regions::{Named, Regions},
    row::{Cell, Row},
};
use crate::{failure::Failure, translate::options};

/// How every case is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    /// Bring a mask on another grid to the image's.
    pub(crate) resample_mask: bool,
    pub(crate) modality: Option<Modality>,
    /// Where maps of the features go, when they are wanted.
    pub(crate) maps: Option<Maps>,
    /// Tell hashes of voxels and the intensities of interpolated images as well.
    pub(crate) hashes: bool,
    /// Perturbations of image and mask, when stability is measured.
    pub(crate) perturbed: Option<Perturbed>,
}

/// A case and the folder of what is made of it beside its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered<'a> {
    pub(crate) case: &'a Case,
    /// From 0; `None` for the only case.
    pub(crate) number: Option<usize>,
}

impl Numbered<'_> {
    /// The case's folder, such as `0003_patient-7`, and in it that of one of several regions, such as `2_liver`.
    fn folder(&self, region: &Named, several: bool) -> String {
        let plain = |text: &str| text.replace(|c: char| !(c.is_alphanumeric() || "-.".contains(c)), "_");
        let case = self.number.map(|number| format!("{:04}_{}", number + 1, plain(self.case.name())));
        let region = several.then(|| match region.name.as_str() {
            "" => region.label.to_string(),
            name => format!("{}_{}", region.label, plain(name)),
        });
        case.into_iter().chain(region).collect::<Vec<_>>().join("/")
    }
}

impl Plan {
    /// The label that is measured where none is named.
    fn label(&self) -> i32 {
        match &self.mode {
            Mode::Pyradiomics(settings) => i32::try_from(settings.label).unwrap_or(i32::MAX),
            Mode::Ibsi(_) => 1,
        }
    }

    /// Every setting.
    pub(crate) fn told(&self) -> Result<serde_json::Value, Failure> {
        let told = match &self.mode {
            Mode::Pyradiomics(settings) => serde_json::to_value(settings),
            Mode::Ibsi(settings) => serde_json::to_value(settings),
        };
        told.map_err(Failure::new)
    }

    /// The mode for an image as it was read.
    pub(crate) fn mode_for(&self, image: &Series) -> Mode {
        let mut mode = self.mode.clone();
        if let Mode::Pyradiomics(settings) = &mut mode
            && let (StoredType::Detect, Some(stored)) = (settings.stored_type, image.source.intensity_type())
        {
            // 64-bit whole numbers have no name there and are found by looking at the voxels.
            let _ = settings.set("storedType", &stored.into());
        }
        mode
    }
}

/// Measures cases that share an image and a mask, which are read once; gives the record of each.
pub(crate) fn measure(cases: &[Numbered<'_>], plan: &Plan) -> Vec<Record> {
    let pair = match cases.first().map(|numbered| &numbered.case.pair) {
        Some(Ok(pair)) => pair,
        Some(Err(reason)) => return refused(cases, &Failure::new(reason)),
        None => return Vec::new(),
    };
    match Files::read(pair, plan) {
        Ok(files) => {
            let (records, inputs) = std::thread::scope(|scope| {
                let hashing = scope.spawn(|| files.inputs());
                let records: Vec<Record> = cases.iter().map(|numbered| record(numbered, &files, plan)).collect();
                (records, hashing.join())
            });
            match inputs.unwrap_or_else(|_| Err(Failure::new("the inputs could not be hashed"))) {
                Ok(inputs) => records.into_iter().map(|record| Record { inputs: inputs.clone(), ..record }).collect(),
                Err(failure) => refused(cases, &failure),
            }
        }
        Err(failure) => refused(cases, &failure),
    }
}

/// An image with the regions drawn on it.
pub(crate) struct Files {
    pub(crate) image: Series,
    pub(crate) regions: Regions,
    /// Diagnostics of the image.
    pub(crate) diagnostics: Vec<(String, Cell)>,
    warnings: Vec<String>,
}

impl Files {
    /// Reads image and mask at once, or where both would not fit beside each other the mask first, which then takes a byte for
    /// each voxel.
    fn read(pair: &Pair, plan: &Plan) -> Result<Self, Failure> {
        let options: ReadOptions = options(plan.modality);
        let read_image = || match &pair.image {
            Place::Path(path) => isoscan_io::read_with(path, &options),
            Place::Series(series) => isoscan_io::read_series_with(series, &options),
        };
        let (regions, image) = if is_small(&pair.mask) {
            let (regions, image) = rayon::join(|| Regions::open(&pair.mask), read_image);
            (regions?, image?)
        } else {
            (Regions::open(&pair.mask)?, read_image()?)
        };
        let warnings = image.warnings.iter().map(ToString::to_string).collect();
        let wants = match &plan.mode {
            Mode::Pyradiomics(settings) => settings.additional_info && !plan.hashes,
            Mode::Ibsi(_) => true,
        };
        let diagnostics = if wants { diagnostics::of_image(&image.volume) } else { Vec::new() };
        Ok(Self { image, regions, diagnostics, warnings })
    }

    fn inputs(&self) -> Result<Vec<Input>, Failure> {
        let mask: Vec<PathBuf> = vec![self.regions.path().to_owned()];
        let mask = if mask[0].is_file() { mask } else { Vec::new() };
        [self.image.source.paths(), mask].into_iter().map(Input::of).collect()
    }
}

/// Voxels of a mask that is read beside its image.
const SMALL: usize = 16 << 20;

fn is_small(mask: &Path) -> bool {
    let listed = isoscan_io::list(mask).unwrap_or_default();
    listed.iter().all(|series| series.size.iter().product::<usize>() <= SMALL)
}

fn record(numbered: &Numbered<'_>, files: &Files, plan: &Plan) -> Record {
    let case = numbered.case;
    let wanted = match &case.pair {
        Ok(pair) => files.regions.wanted(&pair.wanted, plan.label()),
        Err(reason) => Err(Failure::new(reason)),
    };
    let regions = match wanted {
        Ok(regions) => regions,
        Err(failure) => return refusal(case.row(), &failure),
    };
    let several = regions.len() > 1;
    let mut record = Record { warnings: files.warnings.clone(), ..Record::default() };
    for regions in regions.chunks((MASKS_BYTES / files.image.volume.as_slice().len().max(1)).max(1)) {
        let masks: Vec<_> =
            regions.iter().map(|region| files.regions.mask(region, &files.image, plan.resample_mask)).collect();
        let there: Vec<&Mask> = masks.iter().flatten().map(|(mask, _)| mask).collect();
        let mut tables = match &plan.perturbed {
            None => plan.mode_for(&files.image).extract_all(&files.image.volume, &there).into_iter(),
            Some(_) => Vec::new().into_iter(),
        };
        for (region, mask) in regions.iter().zip(masks) {
            let mut row = case.row();
            row.set("Label", Cell::Whole(region.label.into()));
            row.set("ROI", Cell::Text(region.name.clone()));
            let found = mask.and_then(|(mask, warnings)| {
                record.warnings.extend(warnings.iter().map(|warning| told_of(region, warning)));
                if let Some(perturbed) = &plan.perturbed {
                    let (rows, failure) = perturbed.rows(&row, files, &mask, plan);
                    record.rows.extend(rows);
                    record.failure = record.failure.take().or(failure);
                    return Ok(None);
                }
                let table = tables.next().map_or_else(|| Err(Failure::new("internal error")), |found| Ok(found?))?;
                if let (Some(maps), Mode::Pyradiomics(settings)) = (&plan.maps, &plan.mode) {
                    let folder = numbered.folder(region, several);
                    let warnings = maps.write(&folder, &files.image, &mask, settings)?;
                    record.warnings.extend(warnings.iter().map(|warning| told_of(region, warning)));
                }
                if let (true, Mode::Pyradiomics(settings)) = (plan.hashes, plan.mode_for(&files.image)) {
                    let diagnostics = diagnose(&files.image.volume, &mask, &settings)?;
                    return Ok(Some(FeatureTable { diagnostics, ..table }));
                }
                Ok(Some(table))
            });
            match found {
                Ok(table) => record.rows.extend(table.map(|table| filled(row, &files.diagnostics, &table))),
                Err(failure) => {
                    let refused = refusal(row, &failure);
                    record.failure = record.failure.or(refused.failure);
                    record.rows.extend(refused.rows);
                }
            }
        }
    }
    record
}

/// Memory of the masks that are measured together.
const MASKS_BYTES: usize = 32 << 20;

fn told_of(region: &Named, warning: &dyn std::fmt::Display) -> String {
    format!("region {}: {warning}", region.label)
}

/// The row of a region whose features are known.
pub(crate) fn filled(mut row: Row, of_image: &[(String, Cell)], table: &FeatureTable) -> Row {
    row.set("Error", Cell::Text(String::new()));
    row.set("Reasons", Cell::Text(reasons(table)));
    row.0.extend(of_image.iter().cloned());
    row.0.extend(diagnostics::of_region(&table.diagnostics));
    row.0.extend(table.features.iter().map(|feature| (feature.name.clone(), Cell::Number(feature.value))));
    row
}

/// Why features are no numbers, each reason once with the features it holds for, and why images were left out.
fn reasons(table: &FeatureTable) -> String {
    let mut told: Vec<(NanReason, Vec<&str>)> = Vec::new();
    for feature in &table.features {
        let Some(reason) = feature.reason else { continue };
        match told.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(&feature.name),
            None => told.push((reason, vec![&feature.name])),
        }
    }
    let told = told.iter().map(|(reason, names)| format!("{reason}: {}", names.join(", ")));
    told.chain(table.diagnostics.left_out.iter().cloned()).collect::<Vec<_>>().join("; ")
}

pub(crate) fn refusal(mut row: Row, failure: &Failure) -> Record {
    let (message, help) = failure.told();
    row.set("Error", Cell::Text(message.to_owned()));
    row.set("Reasons", Cell::Text(String::new()));
    Record { rows: vec![row], failure: Some((message.to_owned(), help.map(str::to_owned))), ..Record::default() }
}

/// The records of cases none of which can be measured.
pub(crate) fn refused(cases: &[Numbered<'_>], failure: &Failure) -> Vec<Record> {
    cases.iter().map(|numbered| refusal(numbered.case.row(), failure)).collect()
}
