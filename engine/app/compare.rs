//! `isoscan compare`: how alike two images on the same grid are.

use std::path::PathBuf;

use isoscan_imaging::Mask;
use isoscan_metrics::{PsnrRange, bland_altman, similarity};

use crate::{
    failure::Failure,
    progress::say,
    translate::{read, read_region},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image to judge
    a: PathBuf,
    /// The reference
    b: PathBuf,
    /// Compare inside this mask only
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Label of the mask [default: every voxel above 0]
    #[arg(long, value_name = "N")]
    label: Option<i32>,
    /// Name of the region in a structure set or segmentation
    #[arg(long, value_name = "NAME", conflicts_with = "label")]
    roi: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (a, reference) = (read(&args.a, None)?.volume, read(&args.b, None)?);
    let region = |path: &PathBuf| read_region(path, args.label, args.roi.as_deref(), &reference);
    let mask = args.mask.as_ref().map(region).transpose()?;
    let b = &reference.volume;
    let alike = similarity(b, &a, mask.as_ref(), PsnrRange::of(b))?;
    let (x, y) = paired(a.as_slice(), b.as_slice(), mask.as_ref());
    let differences = bland_altman(&x, &y)?;
    if args.json {
        let document = serde_json::json!({"similarity": alike, "bland_altman": differences, "voxels": x.len()});
        say(&serde_json::to_string_pretty(&document).map_err(Failure::new)?);
        return Ok(());
    }
    let unit = b.unit();
    say(&format!("voxels  {}", x.len()));
    say(&format!("MAE     {:.6} {unit}", alike.mae));
    say(&format!("RMSE    {:.6} {unit}", alike.rmse));
    say(&format!("PSNR    {:.4} dB", alike.psnr));
    say(&format!("SSIM    {:.6}", alike.ssim));
    let [low, high] = differences.limits;
    say(&format!("mean difference {:.6} {unit}, 95 % limits {low:.6} to {high:.6}", differences.mean_difference));
    for text in [&alike.psnr_definition, &alike.ssim_definition] {
        say(text);
    }
    Ok(())
}

fn paired(a: &[f32], b: &[f32], mask: Option<&Mask>) -> (Vec<f64>, Vec<f64>) {
    let every = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    match mask {
        None => every.unzip(),
        Some(mask) => every.zip(mask.inside().iter()).filter(|(_, inside)| **inside).map(|(pair, _)| pair).unzip(),
    }
}
