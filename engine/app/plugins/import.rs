//! `isoscan plugins import`: a bundle of a network that somebody else exported.

mod config;
mod intensities;
mod monai;
mod transforms;

use std::{
    fs,
    path::{Path, PathBuf},
};

use isoscan_host::{Bundle, Plugin, discover, make_golden, open_bundle, pack_bundle};
use toml::{Table, Value};

use super::place::{built_in, strict_options};
use crate::{failure::Failure, progress::say};

/// What to import and where to.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Network as an ONNX (.onnx) or TorchScript (.pt, .ts, .pth) file, or the folder of a MONAI bundle
    network: PathBuf,
    /// Id of the plugin, such as `org.site.t1-to-t2`
    #[arg(long)]
    id: String,
    /// Version of the plugin; a MONAI bundle tells its own
    #[arg(long)]
    version: Option<String>,
    /// TOML file with the table `[network]`: what goes in and comes out. A MONAI bundle tells most of it, and keys of this
    /// file win; task, models and `[limits]` may stand here too
    #[arg(long, value_name = "FILE")]
    declare: Option<PathBuf>,
    /// Model card in Markdown, with the headings Intended use, Training data and Limits [default: one that says what is
    /// not known]
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Directions in which the axes of the network's tensors grow, such as RAS, for a MONAI bundle that does not turn its
    /// images itself
    #[arg(long, value_name = "LETTERS")]
    orientation: Option<String>,
    /// Leave out a transform of a MONAI bundle that cannot be expressed; may be given more than once
    #[arg(long = "skip", value_name = "TRANSFORM")]
    skipped: Vec<String>,
    /// Folder with the plugins onnx and torchscript, whose libraries run the network [default: `plugins` beside the program]
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Folder that gets the bundle ID-VERSION
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// What becomes a bundle.
struct Import {
    /// The network's file.
    file: PathBuf,
    /// `plugin.toml` without what `declared` adds.
    manifest: Table,
    card: String,
    /// What the operator should know.
    notes: Vec<String>,
}

/// Makes the bundle and prints where it lies.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let import = if args.network.is_dir() { monai::import(args)? } else { plain(args)? };
    let runner = runner(&import.file)?;
    let library = shipped(args.plugins.as_deref(), runner)?;
    fs::create_dir_all(&args.out).map_err(|e| unwritten(&args.out, &e))?;
    let source = args.out.join(format!(".import-{}-{}", args.id, std::process::id()));
    let made = lay(&import, args, &library, &source).and_then(|()| pack(&import, &source, &args.out));
    let _ = fs::remove_dir_all(&source);
    let packed = made?;
    import.notes.iter().for_each(|note| say(note));
    let halo = packed.manifest.descriptor.as_ref().map(|descriptor| descriptor.patching.halo);
    say(&format!("margin x, y, z of a patch: {:?} voxels", halo.unwrap_or_default()));
    say(&packed.dir.display().to_string());
    Ok(())
}

fn plain(args: &Args) -> Result<Import, Failure> {
    let manifest = match &args.declare {
        Some(path) => read_table(path)?,
        None => {
            return Err(Failure::new("expected --declare FILE, which says what goes in and comes out of the network")
                .help(
                    "the least it can hold is: [network] and dims = \"2d\" (or \"2.5d\" with slices = 3, or \"3d\")",
                ));
        }
    };
    let card = match &args.card {
        Some(path) => read(path)?,
        None => card(&args.id, "An imported network.", "", ""),
    };
    Ok(Import { file: args.network.clone(), manifest, card, notes: Vec::new() })
}

/// The plugin whose library runs such a file.
fn runner(file: &Path) -> Result<&'static str, Failure> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "onnx" => Ok("onnx"),
        "pt" | "ts" | "pth" => Ok("torchscript"),
        _ => {
            Err(Failure::new(format!("expected a network ending in .onnx, .pt, .ts or .pth, found {}", file.display()))
                .help("export the network as ONNX (torch.onnx.export) or TorchScript (torch.jit.script, then save)"))
        }
    }
}

/// The library of the newest plugin `id` beside the program.
fn shipped(folder: Option<&Path>, id: &str) -> Result<PathBuf, Failure> {
    let folder = match folder {
        Some(folder) => Some(folder.to_owned()),
        None => built_in()?,
    };
    let mut bundles = folder.iter().flat_map(|folder| discover(folder)).flatten();
    let found = bundles.rfind(|bundle| bundle.id == id);
    let missing = || {
        Failure::new(format!("expected the plugin {id}, whose library runs such networks, found none"))
            .help("name the folder of plugins that holds it with --plugins DIR")
    };
    Ok(found.ok_or_else(missing)?.library)
}

/// Lays what the bundle is packed from into `source`.
fn lay(import: &Import, args: &Args, library: &Path, source: &Path) -> Result<(), Failure> {
    let _ = fs::remove_dir_all(source);
    fs::create_dir_all(source).map_err(|e| unwritten(source, &e))?;
    let ending = import.file.extension().unwrap_or_default().to_string_lossy().into_owned();
    let (library_name, network) = (library.file_name().unwrap_or_default(), format!("network.{ending}"));
    for (from, name) in [(library, Path::new(library_name)), (import.file.as_path(), Path::new(&network))] {
        fs::copy(from, source.join(name)).map_err(|e| Failure::new(format!("cannot copy {}: {e}", from.display())))?;
    }
    write(&source.join("CARD.md"), &import.card)?;
    let mut manifest = import.manifest.clone();
    let version = args.version.clone().or_else(|| Some(manifest.get("version")?.as_str()?.to_owned()));
    let own = [
        ("id", args.id.clone()),
        ("version", version.unwrap_or_else(|| "0.1.0".to_owned())),
        ("library", library_name.to_string_lossy().into_owned()),
        ("weights", network),
        ("card", "CARD.md".to_owned()),
    ];
    manifest.extend(own.map(|(key, value)| (key.to_owned(), Value::String(value))));
    let text = |text: &str| Value::String(text.to_owned());
    manifest.entry("task").or_insert_with(|| text("other"));
    manifest.entry("models").or_insert_with(|| Value::Array(vec![text("an imported network")]));
    let abi = Table::from_iter([("major".to_owned(), Value::Integer(1)), ("needs".to_owned(), Value::Integer(2))]);
    manifest.insert("abi".to_owned(), Value::Table(abi));
    write_manifest(source, &manifest)
}

/// Packs the bundle; a margin that was measured is declared, so that no worker has to measure it again.
fn pack(import: &Import, source: &Path, out: &Path) -> Result<Bundle, Failure> {
    let is_declared = import.manifest.get("network").and_then(|network| network.get("halo")).is_some();
    if !is_declared {
        let opened = Plugin::open(&open_bundle(source)?, strict_options(None)?)?;
        let halo = opened.descriptor().patching.halo;
        let path = source.join("plugin.toml");
        let mut manifest = read_table(&path)?;
        if let Some(Value::Table(network)) = manifest.get_mut("network") {
            let halo = halo.map(|n| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX)));
            network.insert("halo".to_owned(), Value::Array(halo.to_vec()));
        }
        write_manifest(source, &manifest)?;
    }
    Ok(pack_bundle(source, out, &strict_options(None)?, Some(&make_golden))?)
}

/// A card that does not pretend to know.
fn card(id: &str, about: &str, training: &str, limits: &str) -> String {
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    let training = or(training, "Not told by whoever exported the network. Replace this by the cohorts it saw.");
    let limits =
        or(limits, "Not tested by Isoscan. Replace this by the images on which it fails, and how its errors look.");
    format!(
        "# {id}\n\n## Intended use\n{about} Research only, not for diagnosis.\n\n## Training data\n{training}\n\n## Limits\n{limits}\n"
    )
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))
}

fn read_table(path: &Path) -> Result<Table, Failure> {
    let wrong = |e: toml::de::Error| Failure::new(format!("{}: {}", path.display(), e.to_string().trim()));
    toml::from_str(&read(path)?).map_err(wrong)
}

fn write_manifest(folder: &Path, manifest: &Table) -> Result<(), Failure> {
    write(&folder.join("plugin.toml"), &toml::to_string(manifest).map_err(Failure::new)?)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|e| unwritten(path, &e))
}

fn unwritten(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {cause}", path.display()))
}
