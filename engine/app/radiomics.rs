//! `isoscan radiomics`: features of one image and mask as a table.

use std::path::PathBuf;

use isoscan_imaging::Modality;
use isoscan_radiomics::{Settings, extract};

use crate::{
    failure::Failure,
    progress::say,
    translate::{read, read_region},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// NIfTI file, DICOM file or folder of one DICOM series
    image: PathBuf,
    /// Label map on the image's grid, DICOM segmentation or structure set
    mask: PathBuf,
    /// Label of the mask [default: every voxel above 0]
    #[arg(long, value_name = "N")]
    label: Option<i32>,
    /// Name of the region in a structure set or segmentation
    #[arg(long, value_name = "NAME", conflicts_with = "label")]
    roi: Option<String>,
    /// Settings by PyRadiomics names, JSON
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The table
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Modality of an image whose file does not tell it
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Option<Modality>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let settings = match &args.settings {
        None => Settings::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
            Settings::from_json(&text)?
        }
    };
    let image = read(&args.image, args.modality)?;
    let mask = read_region(&args.mask, args.label, args.roi.as_deref(), &image)?;
    let table = extract(&image.volume, &mask, &settings)?;
    let named = [("image", args.image.display().to_string()), ("mask", args.mask.display().to_string())];
    let text = isoscan_report::features_table_csv(&named, &table_columns(&table))?;
    isoscan_io::write_atomically(&args.output, |out| out.write_all(text.as_bytes()))?;
    say(&format!("{} features -> {}", table.features.len(), args.output.display()));
    Ok(())
}

fn table_columns(table: &isoscan_radiomics::FeatureTable) -> Vec<(String, f64)> {
    table.features.iter().map(|feature| (feature.name.clone(), feature.value)).collect()
}
