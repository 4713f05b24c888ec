//! `isoscan translate`: one image through one plugin.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use isoscan_abi::{Descriptor, ParamKind, ParamValue};
use isoscan_host::Plugin;
use isoscan_imaging::{Geometry, Mask, Modality, SlicesMut, Unit, Volume};
use isoscan_io::{Derivation, ReadOptions, Selector, Series, Source};
use isoscan_pipeline::{Image, Job, memory_bytes, plan, translate, translate_slices};

use crate::{
    failure::Failure,
    memory::{self, Bytes},
    plugins::Where,
    progress::{note, say},
    run::{cores, setting},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of an installed plugin, with `@` a version such as `cyclegan@=1.4`, or the path of a bundle or library
    plugin: String,
    /// Image file (DICOM, NIfTI, NRRD, MetaImage, grey PNG or TIFF) or folder of one DICOM series
    input: PathBuf,
    /// Output: a name ending in .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, .png, .tif or .tiff for that format, .dcm for one
    /// enhanced DICOM file, else a new folder for a derived DICOM series
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
    /// Memory for images and buffers; a larger image goes through in slabs, with files in the folder of the output
    /// [default: 80 % of what is free]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    #[command(flatten)]
    plugins: Where,
}

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    refuse_existing(&args.output)?;
    let plugin = args.plugins.open(&args.plugin, cores())?;
    let further: Vec<(&str, Series)> = args
        .inputs
        .iter()
        .map(|(name, path)| Ok((name.as_str(), read(Path::new(path), args.modality)?)))
        .collect::<Result<_, Failure>>()?;
    let volumes: Vec<(&str, &Volume)> = further.iter().map(|(name, series)| (*name, &series.volume)).collect();
    let params = typed(plugin.descriptor(), &args.params);
    let job = Job { seed: args.seed, name: "translate", cancel };
    let limit = args.memory.map(|bytes| bytes.0).or_else(|| memory::available().map(|bytes| bytes / 5 * 4));
    let needed = needed_bytes(&plugin, &params, &args.input)?;
    let (outside_range, streamed) = match limit.filter(|limit| needed > *limit) {
        None => (in_memory(args, &plugin, &volumes, &params, needed, &job)?, false),
        Some(limit) => (in_slabs(args, &plugin, &volumes, &params, limit, &job)?, true),
    };
    if outside_range > 0 {
        note(&format!("{outside_range} voxels lie outside the intensities that the plugin was made for"));
    }
    let way = if streamed { " in slabs" } else { "" };
    say(&format!("{} {}{way} -> {}", plugin.bundle().id, plugin.bundle().version, args.output.display()));
    Ok(())
}

/// Memory that a translation takes with the whole image in it: the image and what the plan tells.
fn needed_bytes(plugin: &Plugin, params: &Params, input: &Path) -> Result<u64, Failure> {
    let found = isoscan_io::list(input)?;
    let descriptor = plugin.descriptor();
    // What the plan will refuse needs no memory beside the image.
    let refine = descriptor.check_params(params).map_or([1; 3], |params| descriptor.output.refine.factors(&params));
    let needs = |series: &isoscan_io::SeriesSummary| {
        let spacing_mm = series.spacing_mm.map(|mm| if mm > 0.0 { mm } else { 1.0 });
        let geometry = Geometry::axis_aligned(series.size, spacing_mm).ok()?;
        Some(4 * geometry.voxel_count() as u64 + memory_bytes(descriptor, &geometry, refine))
    };
    Ok(found.iter().filter_map(needs).max().unwrap_or(0))
}

type Params = BTreeMap<String, serde_json::Value>;

fn in_memory(
    args: &Args,
    plugin: &Plugin,
    further: &[(&str, &Volume)],
    params: &Params,
    needed: u64,
    job: &Job<'_>,
) -> Result<u64, Failure> {
    let image = read(&args.input, args.modality)?;
    let others: Vec<(&str, Image<'_>)> = further.iter().map(|(name, volume)| (*name, Image::of(*volume))).collect();
    plan(plugin.descriptor(), &Image::of(&image.volume), &others, params)?;
    note(&format!("the whole image goes through memory: at most about {}", memory::told(needed)));
    let done = translate(plugin, &image.volume, further, params, job)?;
    let derivation = derivation(plugin, &done.params, args.seed, &image.source)?;
    write(&args.output, &done.volume, &image.source, &derivation)?;
    Ok(done.outside_range)
}

fn in_slabs(
    args: &Args,
    plugin: &Plugin,
    further: &[(&str, &Volume)],
    params: &Params,
    limit: u64,
    job: &Job<'_>,
) -> Result<u64, Failure> {
    let folder = match args.output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let image = isoscan_io::open_slices(&args.input, &options(args.modality), folder)?;
    image.warnings.iter().for_each(|warning| note(&format!("{}: {warning}", args.input.display())));
    // Half of the rest, because the allocator keeps freed slabs of other sizes for a while.
    let buffers = limit.saturating_sub(RESERVE) / 2;
    note(&format!(
        "the image goes through memory in slabs: at most about {}, with files in {}",
        memory::told(limit),
        folder.display()
    ));
    let mut make = |geometry: &Geometry, modality, unit| -> Result<Box<dyn SlicesMut>, isoscan_pipeline::Error> {
        let spool = isoscan_io::Spool::new(folder, geometry, modality, unit);
        Ok(Box::new(spool.map_err(|error| isoscan_pipeline::Error::Storage(error.into()))?))
    };
    let done = translate_slices(plugin, &*image.slices, further, params, buffers, &mut make, job)?;
    let derivation = derivation(plugin, &done.params, args.seed, &image.source)?;
    let written = isoscan_io::write_slices(&args.output, &*done.slices, &image.source, &derivation)?;
    tell_exactness(&written, done.slices.unit());
    Ok(done.outside_range)
}

/// Memory of a process that translates without any voxels.
const RESERVE: u64 = 32 << 20;

/// Outputs never replace what is there: it may be a source.
pub(crate) fn refuse_existing(output: &Path) -> Result<(), Failure> {
    if output.exists() {
        return Err(Failure::new(format!("{} exists", output.display())).help("name an output that does not exist yet"));
    }
    Ok(())
}

/// Reads an image and shows what was repaired or assumed.
pub(crate) fn read(path: &Path, modality: Option<Modality>) -> Result<Series, Failure> {
    let series = isoscan_io::read_with(path, &options(modality))?;
    for warning in &series.warnings {
        note(&format!("{}: {warning}", path.display()));
    }
    Ok(series)
}

/// Reads a region for an image: of a structure set or segmentation the one of that number or name, else a label.
pub(crate) fn read_region(
    path: &Path,
    label: Option<i32>,
    name: Option<&str>,
    image: &Series,
) -> Result<Mask, Failure> {
    if name.is_none() && isoscan_io::list_regions(path)?.is_empty() {
        return Ok(isoscan_io::read_mask(path, label)?);
    }
    let selector = name.map(Selector::from).or(label.map(Selector::from));
    let frame = image.source.frame_of_reference();
    let region = isoscan_io::read_mask_on(path, selector.as_ref(), image.volume.geometry(), frame.as_deref())?;
    for warning in &region.warnings {
        note(&format!("{}: {warning}", path.display()));
    }
    Ok(region.mask)
}

/// Reading as the file tells, or as an image of the modality that the user vouches for.
pub(crate) fn options(modality: Option<Modality>) -> ReadOptions {
    ReadOptions { modality, unit: modality.map(unit_of), ..ReadOptions::default() }
}

/// The unit that files of a modality carry.
fn unit_of(modality: Modality) -> Unit {
    match modality {
        Modality::Ct => Unit::Hounsfield,
        Modality::Seg => Unit::Label,
        _ => Unit::Arbitrary,
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
    plugin: &Plugin,
    params: &BTreeMap<String, ParamValue>,
    seed: u64,
    source: &Source,
) -> Result<Derivation, Failure> {
    let bundle = plugin.bundle();
    Ok(Derivation {
        plugin_id: bundle.id.clone(),
        plugin_version: bundle.version.clone(),
        plugin_sha256: bundle.sha256.clone(),
        weights_sha256: bundle.weights_sha256.clone(),
        params: serde_json::json!(params),
        seed,
        script_sha256: None,
        description: format!("{} {}", bundle.id, bundle.version),
        synthetic: plugin.descriptor().synthetic,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: made_at(),
        input_sha256: source.input_sha256()?.into_iter().collect(),
    })
}

/// Writes in the format that the name of the output ends in, or a DICOM folder.
pub(crate) fn write(output: &Path, volume: &Volume, source: &Source, made: &Derivation) -> Result<(), Failure> {
    let written = isoscan_io::write(output, volume, Some(source), Some(made))?;
    tell_exactness(&written, volume.unit());
    Ok(())
}

/// Says how truly an output holds the voxels, where it does not hold them exactly.
pub(crate) fn tell_exactness(written: &isoscan_io::Written, unit: Unit) {
    let bound = format!("stored numbers give every voxel back within {} {unit}", written.max_error);
    match written.clamped {
        _ if written.max_error == 0.0 => {}
        0 => say(&bound),
        clamped => say(&format!("{bound}; {clamped} voxels out of range were clamped")),
    }
}

/// The date of outputs, seconds since 1970-01-01 UTC, from the variable `SOURCE_DATE_EPOCH`; `None` when it is not set.
pub(crate) fn made_at() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}
