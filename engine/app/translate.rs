//! `isoscan translate`: one image through one plugin.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use isoscan_abi::{Descriptor, ParamKind};
use isoscan_host::Bundle;
use isoscan_imaging::{Modality, Volume};
use isoscan_io::{Derivation, Series, Source};
use isoscan_pipeline::{Job, Translation, translate};

use crate::{
    failure::Failure,
    plugins::Where,
    progress::{note, say},
    run::{cores, setting},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of an installed plugin, with `@` a version such as `cyclegan@=1.4`, or the path of a bundle or library
    plugin: String,
    /// NIfTI file, DICOM file or folder of one DICOM series
    input: PathBuf,
    /// Output: `.nii` or `.nii.gz` for NIfTI, else a new folder for a derived DICOM series
    output: PathBuf,
    /// A parameter of the plugin; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    params: Vec<(String, String)>,
    /// A further image of the plugin by name, such as reference=template.nii.gz
    #[arg(long = "input", value_name = "NAME=PATH", value_parser = setting)]
    inputs: Vec<(String, String)>,
    /// Modality of images whose files do not tell it
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Option<Modality>,
    /// Seed of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    plugins: Where,
}

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    refuse_existing(&args.output)?;
    let plugin = args.plugins.open(&args.plugin, cores())?;
    let image = read(&args.input, args.modality)?;
    let further: Vec<(&str, Series)> = args
        .inputs
        .iter()
        .map(|(name, path)| Ok((name.as_str(), read(Path::new(path), args.modality)?)))
        .collect::<Result<_, Failure>>()?;
    let volumes: Vec<(&str, &Volume)> = further.iter().map(|(name, series)| (*name, &series.volume)).collect();
    let params = typed(plugin.descriptor(), &args.params);
    let job = Job { seed: args.seed, name: "translate", cancel };
    let done = translate(&plugin, &image.volume, &volumes, &params, &job)?;
    if done.outside_range > 0 {
        note(&format!("{} voxels lie outside the intensities that the plugin was made for", done.outside_range));
    }
    let derivation = derivation(plugin.descriptor(), plugin.bundle(), &done, args.seed, &image.source)?;
    write(&args.output, &done.volume, &image.source, &derivation)?;
    say(&format!("{} {} -> {}", plugin.bundle().id, plugin.bundle().version, args.output.display()));
    Ok(())
}

/// Outputs never replace what is there: it may be a source.
pub(crate) fn refuse_existing(output: &Path) -> Result<(), Failure> {
    if output.exists() {
        return Err(Failure::new(format!("{} exists", output.display())).help("name an output that does not exist yet"));
    }
    Ok(())
}

/// Reads an image and shows what was repaired or assumed.
pub(crate) fn read(path: &Path, modality: Option<Modality>) -> Result<Series, Failure> {
    let series = match modality {
        None => isoscan_io::read(path)?,
        Some(modality) => isoscan_io::read_as(path, Some(modality), Some(unit_of(modality)))?,
    };
    for warning in &series.warnings {
        note(&format!("{}: {warning}", path.display()));
    }
    Ok(series)
}

/// The unit that files of a modality carry.
fn unit_of(modality: Modality) -> isoscan_imaging::Unit {
    match modality {
        Modality::Ct => isoscan_imaging::Unit::Hounsfield,
        Modality::Seg => isoscan_imaging::Unit::Label,
        _ => isoscan_imaging::Unit::Arbitrary,
    }
}

/// Parameter texts in the types that the plugin declares; an unknown one stays a text, for the plan to refuse.
pub(crate) fn typed(descriptor: &Descriptor, given: &[(String, String)]) -> BTreeMap<String, serde_json::Value> {
    let value = |id: &String, text: &String| {
        let kind = descriptor.params.iter().find(|param| param.id == *id).map(|param| &param.kind);
        match kind {
            Some(ParamKind::Choice { .. }) | None => serde_json::Value::from(text.as_str()),
            Some(_) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        }
    };
    given.iter().map(|(id, text)| (id.clone(), value(id, text))).collect()
}

fn derivation(
    descriptor: &Descriptor,
    bundle: &Bundle,
    done: &Translation,
    seed: u64,
    source: &Source,
) -> Result<Derivation, Failure> {
    Ok(Derivation {
        plugin_id: bundle.id.clone(),
        plugin_version: bundle.version.clone(),
        plugin_sha256: bundle.sha256.clone(),
        weights_sha256: bundle.weights_sha256.clone(),
        params: serde_json::json!(done.params),
        seed,
        script_sha256: None,
        description: format!("{} {}", bundle.id, bundle.version),
        synthetic: descriptor.synthetic,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        input_sha256: source.input_sha256()?.into_iter().collect(),
    })
}

/// Writes NIfTI or DICOM by the name of the output.
pub(crate) fn write(output: &Path, volume: &Volume, source: &Source, made: &Derivation) -> Result<(), Failure> {
    if is_nifti(output) {
        isoscan_io::write_nifti(output, volume, Some(source), Some(made))?;
    } else {
        isoscan_io::write_dicom(output, volume, source, made)?;
    }
    Ok(())
}

pub(crate) fn is_nifti(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".nii") || name.ends_with(".nii.gz")
}
