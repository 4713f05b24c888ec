//! `isoscan train`: weights for a plugin, learned through the plugin's own door.

mod batch;
mod data;
mod keep;
mod recipe;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use isoscan_abi::{Descriptor, ParamValue, TrainContext, Unit};
use isoscan_host::{Bundle, Plugin, TensorBuf, TrainConfig, TrainSession};
use isoscan_script::{Audit, FindingKind, Progress, audit};
use serde_json::json;

use crate::{
    audit::tell,
    failure::Failure,
    memory::{self, Bytes},
    plugins::{Where, strict_options},
    progress::{Shown, note, say},
    run::setting,
};
use batch::{Judged, Shape, fill, picture};
use data::{Data, Layout, Shelf};
use keep::{State, add_row};
use recipe::{Folders, Given, Modalities, Patch, Recipe};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of an installed plugin, with `@` a version such as `cyclegan@=1.4`, or the path of a bundle
    plugin: Option<String>,
    /// Folder of images to translate from; for a plugin with several inputs NAME=DIR for each, matched by subject
    #[arg(long, value_name = "[NAME=]DIR")]
    source: Vec<String>,
    /// Folder of images to reach; other subjects than the source's will do, unless they are paired
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
    /// A domain of a plugin that translates between several; may be given more than once, instead of source and target
    #[arg(long = "domain", value_name = "NAME=DIR", value_parser = setting)]
    domains: Vec<(String, String)>,
    /// The domain that translations are judged in [default: the first by name]
    #[arg(long, value_name = "NAME")]
    target_domain: Option<String>,
    /// Every source has its truth among the targets: the same subject by `sub-` label, file name or study, on the same grid
    #[arg(long)]
    paired: bool,
    /// Bring images that belong together and lie on different grids onto that of the first input
    #[arg(long)]
    resample: bool,
    /// The bundle to make; one left by an interrupted training is gone on with
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// A recipe file; what the command line says stands above it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Optimisation steps in all [default: 3000]
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Patches in a step [default: 4]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Voxels of a patch: 64, 64x64x3 or 32x32x32 [default: 64]
    #[arg(long, value_name = "SIZE")]
    patch: Option<Patch>,
    /// How patches are varied: flip, flip-y, flip-z, rotate, affine, intensity, any-unit, none. Intensities of HU, SUV and
    /// optical density are varied only with any-unit [default: flip]
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    augment: Vec<String>,
    /// A training parameter of the plugin; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    params: Vec<(String, String)>,
    /// Seed of weights, patches and order [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Held-out images of a group by its name: `source`, `source t1`, `target` or a domain
    #[arg(long, value_name = "NAME=DIR", value_parser = setting)]
    validation: Vec<(String, String)>,
    /// Share of subjects that are held out where no folders are given, chosen by digest [default: 0.1]
    #[arg(long, value_name = "SHARE")]
    validation_share: Option<f64>,
    /// Held-out patches that the weights are judged on [default: 16]
    #[arg(long, value_name = "N")]
    validation_patches: Option<usize>,
    /// Steps between validations [default: those between checkpoints]
    #[arg(long, value_name = "N")]
    validate_every: Option<u64>,
    /// Validations without a better score that end the training; 0 for never [default: 0]
    #[arg(long, value_name = "N")]
    patience: Option<u64>,
    /// Steps between checkpoints [default: 250]
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<u64>,
    /// Memory for images; subjects beyond it are read again when their turn comes [default: 40 % of what is free]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Threads of the plugin [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Modality of images whose files do not tell it: of all, or NAME=MODALITY of a group
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Vec<String>,
    #[command(flatten)]
    plugins: Where,
}

/// Folder of a bundle in which its making is told.
const TRAINING: &str = "training";
/// What it holds: all options, what the weights come from, the audit, logs, and how it ended.
const RECIPE: &str = "recipe.toml";
const ORIGIN: &str = "origin.json";
const AUDIT: &str = "audit.json";
const LOSSES: &str = "losses.csv";
const VALIDATION: &str = "validation.csv";
const PREVIEWS: &str = "previews";
const SUMMARY: &str = "summary.json";

/// A training that can begin.
struct Plan<'a> {
    recipe: &'a Recipe,
    output: &'a Path,
    plugin: &'a Plugin,
    learned: Data,
    judged: Option<Data>,
    shape: Shape,
    /// Whether source and output are in HU.
    is_hu: [bool; 2],
}

pub(crate) fn run(args: &Args, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
    let file = args.config.as_deref().map(recipe::read).transpose()?.unwrap_or_default();
    let recipe = given(args)?.over(file).complete()?;
    let plugin = args.plugins.open(&recipe.plugin, recipe.threads())?;
    let descriptor = plugin.descriptor();
    let params = recipe.param_values()?;
    let refine = refinement(descriptor, &params);
    let (layout, request) = Layout::of(&recipe, descriptor, refine)?;
    let found = audit(&request)?;
    let origin = origin(&recipe, plugin.bundle(), &found)?;
    accept(&found, &recipe)?;
    let begun = begin_or_resume(&args.output, &recipe, &origin)?;
    let output =
        args.output.canonicalize().map_err(|error| Failure::new(format!("{}: {error}", args.output.display())))?;
    let _held = hold(&output)?;
    write(&told(&output, AUDIT), &serde_json::to_string_pretty(&found).map_err(Failure::new)?)?;
    if let Begun::Learned = begun {
        return finish(&output, plugin.bundle());
    }
    let (learned, judged) = Data::split(&layout, &found, &recipe, descriptor, refine)?;
    let held_out = judged.as_ref().map_or_else(String::new, |data| format!(", {} held out", data.told()));
    note(&format!("{}{held_out}", learned.told()));
    let first = found.images.first();
    let source_is_hu = first.is_some_and(|image| image.unit == "HU");
    let output_is_hu = descriptor.output.unit.map_or(source_is_hu, |unit| unit == Unit::Hounsfield);
    let domain = recipe.domains.keys().position(|name| recipe.target_domain.as_ref() == Some(name)).unwrap_or(0);
    let shape = Shape {
        batch: recipe.batch,
        channels: learned.sources.first().map_or(1, data::Stock::channels),
        patch: recipe.patch_size()?,
        refine,
        paired: recipe.paired,
        domains: recipe.domains.len().max(1),
        target_domain: domain,
    };
    let plan = Plan {
        recipe: &recipe,
        output: &output,
        plugin: &plugin,
        learned,
        judged,
        shape,
        is_hu: [source_is_hu, output_is_hu],
    };
    let checkpoint = keep::newest(&output)?;
    let state = plan.learn(params, checkpoint, cancel)?;
    keep::take_weights(&output)?;
    let summary = json!({ "steps": state.step, "best_step": state.best_step(), "validated": plan.judged.is_some() });
    write(&told(&output, SUMMARY), &serde_json::to_string_pretty(&summary).map_err(Failure::new)?)?;
    keep::forget(&output)?;
    if let Some(step) = state.best_step() {
        note(&format!("the weights of step {step} were judged best"));
    }
    finish(&output, plugin.bundle())
}

/// The options of the command line.
fn given(args: &Args) -> Result<Given, Failure> {
    let named = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let source = match args.source.as_slice() {
        [] => None,
        [only] if named(only).is_none() => Some(Folders::One(only.into())),
        several => {
            let pair = |text: &String| {
                let (name, folder) = named(text).ok_or_else(|| {
                    Failure::new(format!("expected NAME=DIR, found {text}"))
                        .help("several sources are the inputs of the plugin, each by its name")
                })?;
                Ok((name, PathBuf::from(folder)))
            };
            Some(Folders::Several(several.iter().map(pair).collect::<Result<_, Failure>>()?))
        }
    };
    let folders = |pairs: &[(String, String)]| {
        let map = pairs.iter().map(|(name, folder)| (name.clone(), PathBuf::from(folder)));
        (!pairs.is_empty()).then(|| map.collect::<BTreeMap<_, _>>())
    };
    let modality = match args.modality.as_slice() {
        [] => None,
        [only] if named(only).is_none() => Some(Modalities::One(only.clone())),
        several => {
            let pair = |text: &String| {
                named(text).ok_or_else(|| Failure::new(format!("expected NAME=MODALITY, found {text}")))
            };
            Some(Modalities::Several(several.iter().map(pair).collect::<Result<_, _>>()?))
        }
    };
    let params = args.params.iter().map(|(id, text)| (id.clone(), recipe::param(text)));
    if let Some(text) = &args.memory {
        text.parse::<Bytes>().map_err(Failure::new)?;
    }
    Ok(Given {
        plugin: args.plugin.clone(),
        source,
        target: args.target.clone(),
        domains: folders(&args.domains),
        target_domain: args.target_domain.clone(),
        paired: args.paired.then_some(true),
        resample: args.resample.then_some(true),
        steps: args.steps,
        batch: args.batch,
        patch: args.patch,
        seed: args.seed,
        augment: (!args.augment.is_empty()).then(|| args.augment.clone()),
        validation: folders(&args.validation),
        validation_share: args.validation_share,
        validation_patches: args.validation_patches,
        validate_every: args.validate_every,
        patience: args.patience,
        checkpoint_every: args.checkpoint_every,
        memory: args.memory.clone(),
        threads: args.threads,
        modality,
        params: (!args.params.is_empty()).then(|| params.collect()),
    })
}

/// How much finer the output is: a training parameter of the same name as the run's chooses, else its default.
fn refinement(descriptor: &Descriptor, params: &BTreeMap<String, ParamValue>) -> [usize; 3] {
    let is_choice = |id: &str| descriptor.params.iter().any(|param| param.id == id);
    let chosen = params.iter().filter(|(id, _)| is_choice(id));
    // A choice such as 2 reads as a number.
    let text = |value: &ParamValue| match value {
        ParamValue::Choice(word) => json!(word),
        ParamValue::Int(number) => json!(number.to_string()),
        other => json!(other),
    };
    let with = chosen.map(|(id, value)| (id.clone(), text(value))).collect();
    let checked = descriptor.check_params(&with).or_else(|_| descriptor.check_params(&BTreeMap::new()));
    descriptor.output.refine.factors(&checked.unwrap_or_default())
}

/// What a training depends on; one with another origin is another training.
fn origin(recipe: &Recipe, bundle: &Bundle, audit: &Audit) -> Result<serde_json::Value, Failure> {
    let images: Vec<String> = audit
        .images
        .iter()
        .map(|image| format!("{} {} {}\n", image.group, image.number, image.voxels_sha256))
        .collect();
    Ok(json!({
        "plugin": bundle.id, "plugin_version": bundle.version, "engine_version": env!("CARGO_PKG_VERSION"),
        "data_sha256": isoscan_io::sha256(images.concat().as_bytes()),
        "recipe": serde_json::to_value(recipe.identity()).map_err(Failure::new)?,
    }))
}

/// What is left to do.
enum Begun {
    /// Steps, from the newest checkpoint where there is one.
    Learning,
    /// Everything was learned; only the bundle is to be made.
    Learned,
}

fn told(output: &Path, name: &str) -> PathBuf {
    output.join(TRAINING).join(name)
}

/// Makes the output folder, or accepts that of an interrupted training of the same origin.
fn begin_or_resume(output: &Path, recipe: &Recipe, origin: &serde_json::Value) -> Result<Begun, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", output.display()));
    let text = serde_json::to_string_pretty(origin).map_err(Failure::new)?;
    if !output.exists() {
        fs::create_dir_all(output.join(TRAINING).join(PREVIEWS)).map_err(failed)?;
        write(&told(output, RECIPE), &recipe.to_toml()?)?;
        write(&told(output, ORIGIN), &text)?;
        return Ok(Begun::Learning);
    }
    let left = fs::read_to_string(told(output, ORIGIN)).map_err(|_| {
        Failure::new(format!("{} exists and holds no interrupted training", output.display()))
            .help("name an output that does not exist yet")
    })?;
    if left != text {
        return Err(Failure::new(format!("{} holds a training of another recipe, plugin or data", output.display()))
            .help("give the same arguments to go on, or name another output"));
    }
    if fs::read_to_string(output.join("plugin.toml")).is_ok_and(|text| text.contains("[[selftest]]")) {
        return Err(Failure::new(format!("{} holds a finished bundle", output.display())));
    }
    let is_learned = keep::newest(output)?.is_none() && told(output, SUMMARY).exists();
    Ok(if is_learned { Begun::Learned } else { Begun::Learning })
}

/// Keeps other processes from training into the same folder as long as the file is open.
fn hold(output: &Path) -> Result<fs::File, Failure> {
    let path = told(output, ORIGIN);
    let file = fs::File::open(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    file.try_lock().map_err(|_| {
        Failure::new(format!("another process is training into {}", output.display()))
            .help("wait for it, or name another output")
    })?;
    Ok(file)
}

/// Refuses data that nothing sound can be learned from, and tells what is doubtful.
fn accept(found: &Audit, recipe: &Recipe) -> Result<(), Failure> {
    found.findings.iter().for_each(|finding| note(&tell(finding)));
    let refused = |kind: FindingKind| match kind {
        FindingKind::Leakage => Some("take the images that are shared out of one of the groups"),
        FindingKind::Unreadable => Some("take the damaged images out, or mend them"),
        FindingKind::Geometry if !recipe.resample => Some("bring them onto one grid, or let --resample do it"),
        FindingKind::Mixed => Some("give each kind a folder of its own, or tell with --modality"),
        _ => None,
    };
    let first = found.findings.iter().find_map(|finding| Some((finding, refused(finding.kind)?)));
    first.map_or(Ok(()), |(finding, help)| Err(Failure::new(tell(finding)).help(help)))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(isoscan_io::write_atomically(path, |out| out.write_all(text.as_bytes()))?)
}

impl Plan<'_> {
    /// Takes all steps, or those until the weights no longer get better.
    fn learn(
        &self,
        params: BTreeMap<String, ParamValue>,
        checkpoint: Option<(PathBuf, State)>,
        cancel: &AtomicBool,
    ) -> Result<State, Failure> {
        let Self { recipe, plugin, shape, .. } = *self;
        let limit = match recipe.memory_bytes()? {
            Some(bytes) => bytes,
            None => memory::available().map_or(1 << 30, |bytes| bytes / 5 * 2),
        };
        let mut shelf = Shelf::new(plugin.descriptor(), limit);
        let judged = self.judged.as_ref();
        let patches = recipe.validation_patches;
        let judged = judged.map(|data| Judged::draw(data, &mut shelf, &shape, patches, plugin)).transpose()?;
        let context = TrainContext {
            paired: shape.paired,
            domains: recipe.domains.keys().cloned().collect(),
            target_domain: recipe.domains.keys().nth(shape.target_domain).cloned(),
            patch: shape.patch,
            inputs: shape.channels,
            refine: shape.refine,
            spacing_mm: self.learned.sources[0].spacing_mm(&mut shelf)?,
        };
        let (resume, mut state) = checkpoint.unzip();
        let config = TrainConfig {
            params,
            seed: recipe.seed,
            threads: recipe.threads(),
            steps: recipe.steps,
            resume: resume.map(|path| path.join("checkpoint")),
            folder: self.output.to_owned(),
            context,
        };
        let mut session = plugin.train(&config)?;
        let mut state = state.take().unwrap_or_default();
        if session.first_step() != state.step {
            let (expected, found) = (state.step, session.first_step());
            return Err(Failure::new(format!("the checkpoint is of step {expected}, the plugin goes on at {found}")));
        }
        if state.step > 0 {
            note(&format!("going on at step {} of {}", state.step, recipe.steps));
        }
        self.steps(&mut session, &mut shelf, judged.as_ref(), &mut state, cancel)?;
        Ok(state)
    }

    fn steps(
        &self,
        session: &mut TrainSession,
        shelf: &mut Shelf<'_>,
        judged: Option<&Judged>,
        state: &mut State,
        cancel: &AtomicBool,
    ) -> Result<(), Failure> {
        let Self { recipe, plugin, shape, .. } = *self;
        let (mut from, mut to) = (plugin.buffer(shape.source())?, plugin.buffer(shape.target())?);
        let vary = recipe.augmentation()?;
        let report_every = (recipe.steps / 100).max(1);
        let shown = Shown::default();
        shown.begin("training", ((recipe.steps - state.step.min(recipe.steps)) / report_every) as usize);
        let (begun, first) = (Instant::now(), state.step);
        let is_over = |state: &State| recipe.patience > 0 && state.since_best >= recipe.patience;
        while state.step < recipe.steps && !is_over(state) {
            fill(&self.learned, shelf, &shape, (recipe.seed, state.step, false), &vary, &mut from, &mut to)?;
            state.add(session.step(state.step, &from, &to)?);
            state.step += 1;
            let step = state.step;
            if step.is_multiple_of(report_every) {
                let means = state.means();
                add_row(&mut state.losses, step, &means);
                let words: Vec<String> = means.iter().map(|(name, mean)| format!("{name} {mean:.6}")).collect();
                let left = begun.elapsed().as_secs_f64() / (step - first) as f64 * (recipe.steps - step) as f64;
                shown.advance(&format!("step {step}, {}, about {} left", words.join(", "), duration(left)));
            }
            let stop = cancel.load(Ordering::SeqCst);
            let last = step == recipe.steps;
            let judging = judged.filter(|_| last || step.is_multiple_of(recipe.validate_every));
            let is_best = match judging {
                Some(judged) => self.judge(session, judged, state)?,
                None => false,
            };
            if stop || last || judging.is_some() || step.is_multiple_of(recipe.checkpoint_every) {
                keep::save(self.output, session, state, is_best)?;
                write(&told(self.output, LOSSES), &state.losses)?;
                write(&told(self.output, VALIDATION), &state.validation)?;
                if judged.is_none() {
                    self.show(step, &from, &session.translate(&from)?, &to)?;
                }
            }
            if stop && !last {
                shown.end();
                return Err(
                    Failure::new("training was stopped").help("the same command goes on from the last checkpoint")
                );
            }
        }
        shown.end();
        if state.step < recipe.steps {
            note(&format!(
                "no better weights in {} validations: the training ends at step {}",
                recipe.patience, state.step
            ));
        }
        note(&format!("subjects were read {} times", shelf.reads));
        Ok(())
    }

    /// Judges the present weights; true when they are the best so far.
    fn judge(&self, session: &mut TrainSession, judged: &Judged, state: &mut State) -> Result<bool, Failure> {
        let (score, made) = judged.score(session, &self.shape)?;
        let mut row = vec![("score".to_owned(), score.score)];
        row.extend(score.terms.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        add_row(&mut state.validation, state.step, &row);
        let (source, target) = judged.first();
        self.show(state.step, source, &made, target)?;
        Ok(state.judge(state.step, score.score))
    }

    /// A picture of a batch before and after.
    fn show(&self, step: u64, source: &TensorBuf, made: &TensorBuf, target: &TensorBuf) -> Result<(), Failure> {
        let truth = self.shape.paired.then_some(target);
        let picture = picture(&self.shape, source, made, truth, self.is_hu)?;
        let path = told(self.output, PREVIEWS).join(format!("step-{step:06}.png"));
        Ok(isoscan_io::write_atomically(&path, |out| out.write_all(&picture))?)
    }
}

/// Minutes and hours as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Turns the folder into a bundle: the plugin's manifest and library beside the new weights.
fn finish(output: &Path, bundle: &Bundle) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", output.display()));
    let name = bundle.library.file_name().unwrap_or_default();
    fs::copy(&bundle.library, output.join(name)).map_err(failed)?;
    isoscan_host::seal_bundle(&bundle.dir, output)?;
    isoscan_host::add_golden(output, &strict_options(None)?)?;
    say(&format!("bundle {}", output.display()));
    Ok(())
}
