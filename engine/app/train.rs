//! `isoscan train`: weights for a plugin, learned through the plugin's own door.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use isoscan_abi::ParamValue;
use isoscan_host::{Plugin, TensorBuf, TrainConfig, TrainSession};
use isoscan_imaging::{Modality, Orientation, Volume, reorient};
use isoscan_pipeline::PatchSampler;
use isoscan_script::Progress;
use serde_json::json;

use crate::{
    failure::Failure,
    plugins::{Where, strict_options},
    progress::{Shown, note, say},
    run::{cores, setting},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of an installed plugin, with `@` a version such as `cyclegan@=1.4`, or the path of a bundle
    plugin: String,
    /// Folder of scans in the style to translate from
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    /// Folder of scans in the style to reach; other subjects than the source's will do
    #[arg(long, value_name = "DIR")]
    target: PathBuf,
    /// The bundle to make; one left by an interrupted training is gone on with
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Optimisation steps in all
    #[arg(long, default_value_t = 3000, value_name = "N")]
    steps: u64,
    /// Patches in a step
    #[arg(long, default_value_t = 4, value_name = "N")]
    batch: usize,
    /// Side of a patch, voxels
    #[arg(long, default_value_t = 64, value_name = "N")]
    patch: usize,
    /// A training parameter of the plugin; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    params: Vec<(String, String)>,
    /// Seed of weights, patches and order
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 250, value_name = "N")]
    checkpoint_every: u64,
    /// Modality of scans whose files do not tell it
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Option<Modality>,
    #[command(flatten)]
    plugins: Where,
}

const LOSSES: &str = "losses.csv";
const RECIPE: &str = "recipe.json";

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let plugin = args.plugins.open(&args.plugin, cores())?;
    let bundle = plugin.bundle();
    let size = [args.patch; 2];
    let (source, source_hash) = scans(&args.source, args.modality)?;
    let (target, target_hash) = scans(&args.target, args.modality)?;
    let source = PatchSampler::new(source, size, args.seed.wrapping_mul(2))?;
    let target = PatchSampler::new(target, size, args.seed.wrapping_mul(2) + 1)?;
    note(&format!("{} source and {} target scans", source.volumes(), target.volumes()));

    let recipe = json!({
        "plugin": bundle.id, "plugin_version": bundle.version, "engine_version": env!("CARGO_PKG_VERSION"),
        "source_sha256": source_hash, "target_sha256": target_hash, "steps": args.steps, "batch": args.batch,
        "patch": args.patch, "seed": args.seed, "params": params(&args.params),
    });
    let resume = begin_or_resume(args, &recipe)?;
    let mut session = plugin.train(&TrainConfig {
        params: params(&args.params),
        seed: args.seed,
        threads: cores(),
        steps: args.steps,
        resume,
        folder: args.output.clone(),
    })?;
    let first = session.first_step();
    if first > 0 {
        note(&format!("going on at step {first} of {}", args.steps));
    }
    let done = learn(args, cancel, &plugin, &mut session, &source, &target)?;
    if !done {
        return Err(Failure::new("training was stopped").help("the same command goes on from the last checkpoint"));
    }
    finish(args, &bundle.dir, &bundle.library)?;
    say(&format!("bundle {}", args.output.display()));
    Ok(())
}

fn params(given: &[(String, String)]) -> BTreeMap<String, ParamValue> {
    let value = |text: &str| {
        text.parse()
            .map(ParamValue::Int)
            .or_else(|_| text.parse().map(ParamValue::Float))
            .or_else(|_| text.parse().map(ParamValue::Bool))
            .unwrap_or_else(|_| ParamValue::Choice(text.to_owned()))
    };
    given.iter().map(|(id, text)| (id.clone(), value(text))).collect()
}

/// Every scan below a folder, turned to patient axes, and one hash over all of them.
fn scans(folder: &Path, modality: Option<Modality>) -> Result<(Vec<Volume>, String), Failure> {
    let mut volumes = Vec::new();
    let mut hashes = String::new();
    for summary in isoscan_io::list(folder)? {
        if summary.modality == Modality::Seg {
            continue;
        }
        let series = isoscan_io::read_series(&summary)?;
        hashes += &series.source.input_sha256()?.unwrap_or_default();
        let volume = series.volume;
        let volume = match modality {
            Some(Modality::Ct) => volume.with_meaning(Modality::Ct, isoscan_imaging::Unit::Hounsfield),
            Some(modality) => volume.with_meaning(modality, isoscan_imaging::Unit::Arbitrary),
            None => volume,
        };
        volumes.push(reorient(&volume, Orientation::LPS));
    }
    if volumes.is_empty() {
        return Err(Failure::new(format!("no image series under {}", folder.display())));
    }
    Ok((volumes, isoscan_io::sha256(hashes.as_bytes())))
}

/// Makes the output folder, or finds the checkpoint of an interrupted training with the same recipe.
fn begin_or_resume(args: &Args, recipe: &serde_json::Value) -> Result<Option<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", args.output.display()));
    let path = args.output.join(RECIPE);
    if !args.output.exists() {
        fs::create_dir_all(&args.output).map_err(failed)?;
        write(&path, &serde_json::to_string_pretty(recipe).map_err(Failure::new)?)?;
        return Ok(None);
    }
    let left = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let left: serde_json::Value = left.ok_or_else(|| {
        Failure::new(format!("{} exists and holds no interrupted training", args.output.display()))
            .help("name an output that does not exist yet")
    })?;
    if &left != recipe {
        return Err(Failure::new(format!("{} holds a training with another recipe", args.output.display()))
            .help("give the same arguments to go on, or name another output"));
    }
    if args.output.join("plugin.toml").exists() {
        return Err(Failure::new(format!("{} holds a finished bundle", args.output.display())));
    }
    let checkpoint = args.output.join("checkpoint");
    Ok(checkpoint.is_dir().then_some(checkpoint))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(isoscan_io::write_atomically(path, |out| out.write_all(text.as_bytes()))?)
}

/// Takes all steps; false when stopped by Ctrl-C.
fn learn(
    args: &Args,
    cancel: &AtomicBool,
    plugin: &Plugin,
    session: &mut TrainSession,
    source: &PatchSampler,
    target: &PatchSampler,
) -> Result<bool, Failure> {
    let shape = [args.batch, 1, 1, args.patch, args.patch];
    let (mut from, mut to) = (plugin.buffer(shape)?, plugin.buffer(shape)?);
    let first = session.first_step();
    let mut log = kept_log(&args.output.join(LOSSES), first);
    let shown = Shown::default();
    let report_every = (args.steps / 100).max(1);
    shown.begin("training", ((args.steps - first.min(args.steps)) / report_every) as usize);
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut summed = 0u32;
    for step in first..args.steps {
        fill(&mut from, source, step, args.batch);
        fill(&mut to, target, step, args.batch);
        let losses = session.step(step, &from, &to)?;
        for (name, value) in losses {
            *sums.entry(name).or_default() += value;
        }
        summed += 1;
        if (step + 1) % report_every == 0 {
            let means = sums.iter().map(|(name, sum)| (name, sum / f64::from(summed)));
            let line: Vec<(String, String)> = means.map(|(name, mean)| (name.clone(), format!("{mean:.6}"))).collect();
            append(&mut log, step + 1, &line);
            let words: Vec<String> = line.iter().map(|(name, value)| format!("{name} {value}")).collect();
            shown.advance(&format!("step {}, {}", step + 1, words.join(", ")));
            (sums, summed) = (BTreeMap::new(), 0);
        }
        let stop = cancel.load(Ordering::SeqCst);
        if stop || (step + 1) % args.checkpoint_every == 0 || step + 1 == args.steps {
            session.save(&args.output, step + 1 < args.steps)?;
            write(&args.output.join(LOSSES), &log)?;
            preview(args, session, &from, step + 1)?;
        }
        if stop && step + 1 < args.steps {
            shown.end();
            return Ok(false);
        }
    }
    shown.end();
    Ok(true)
}

/// Patch numbers follow the step alone, so a resumed training sees the same ones.
fn fill(buffer: &mut TensorBuf, sampler: &PatchSampler, step: u64, batch: usize) {
    let voxels = buffer.len() / batch;
    for (n, patch) in buffer.chunks_exact_mut(voxels).enumerate() {
        sampler.draw(step * batch as u64 + n as u64, patch);
    }
}

/// The loss log up to `step`: what an interrupted run wrote after its last checkpoint is done again.
fn kept_log(path: &Path, step: u64) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| line.split(',').next().and_then(|cell| cell.parse::<u64>().ok());
    let kept = text.lines().filter(|line| row(line).is_none_or(|at| at <= step));
    kept.map(|line| format!("{line}\n")).collect()
}

fn append(log: &mut String, step: u64, line: &[(String, String)]) {
    if log.is_empty() {
        let names: Vec<&str> = line.iter().map(|(name, _)| name.as_str()).collect();
        let _ = writeln!(log, "step,{}", names.join(","));
    }
    let values: Vec<&str> = line.iter().map(|(_, value)| value.as_str()).collect();
    let _ = writeln!(log, "{step},{}", values.join(","));
}

/// A picture of the batch before and after, beside the weights.
fn preview(args: &Args, session: &mut TrainSession, from: &TensorBuf, step: u64) -> Result<(), Failure> {
    let after = session.translate(from)?;
    let picture = isoscan_report::patch_strip(&[from, &after], [args.patch; 2], [40.0, 400.0])?;
    let folder = args.output.join("previews");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let path = folder.join(format!("step-{step:06}.png"));
    Ok(isoscan_io::write_atomically(&path, |out| out.write_all(&picture))?)
}

/// Turns the folder into a bundle: the plugin's manifest and library beside the new weights.
fn finish(args: &Args, bundle: &Path, library: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", args.output.display()));
    let checkpoint = args.output.join("checkpoint");
    if checkpoint.exists() {
        fs::remove_dir_all(&checkpoint).map_err(failed)?;
    }
    let name = library.file_name().unwrap_or_default();
    fs::copy(library, args.output.join(name)).map_err(failed)?;
    isoscan_host::seal_bundle(bundle, &args.output)?;
    isoscan_host::add_golden(&args.output, &strict_options(None)?)?;
    Ok(())
}
