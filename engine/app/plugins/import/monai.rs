//! A MONAI bundle: its exported network with the settings of its inference.

use std::path::PathBuf;

use toml::{Table, Value};

use super::config::{Config, Entry};
use super::transforms::{self, Prepared, numbers};
use super::{Args, Import, card, read, read_table};
use crate::failure::Failure;

/// Files of the network, in the order in which they are looked for.
const NETWORKS: [&str; 4] =
    ["models/model.ts", "models/model_autotrace.ts", "models/model.onnx", "models/model_jit.pt"];
/// Widest spacing that stands for any, mm.
const ANY_MM: [f64; 2] = [0.001, 1000.0];

/// What becomes a bundle out of the folder of a MONAI bundle.
pub(super) fn import(args: &Args) -> Result<Import, Failure> {
    let folder = &args.network;
    let config = |name: &str| {
        let path = folder.join("configs").join(name);
        let missing = || {
            Failure::new(format!("expected a network's file or a MONAI bundle with {}", path.display()))
                .help("configurations in YAML are not read: write them as JSON")
        };
        if path.is_file() { Config::read(&path) } else { Err(missing()) }
    };
    let (metadata, inference) = (config("metadata.json")?, config("inference.json")?);
    let file = network(folder)?;
    let input = only(&metadata, "network_data_format::inputs")?;
    let channels = whole(&metadata, &input, "num_channels")?.unwrap_or(1);
    let before = chain(&inference, "preprocessing", channels, &args.skipped)?;
    let after = chain(&inference, "postprocessing", 1, &args.skipped)?;
    if after.intensities.normalize.is_some() || after.spacing_mm.is_some() || after.multiple.is_some() {
        return Err(Failure::new(
            "postprocessing: statistics of the image, Spacing and DivisiblePad cannot be expressed",
        ));
    }
    let inferer = match inference.at("inferer")? {
        Some(inferer) => Some(inferer),
        None => inference.at("evaluator::inferer")?,
    };
    let window = inferer.map(|inferer| window(&inference, &inferer)).transpose()?.flatten();
    let shape = metadata.inside(&input, "spatial_shape")?.map(|shape| metadata.items(&shape)).transpose()?;
    let dims = window.as_ref().map(|window| window.roi.len()).filter(|n| *n > 1).or(shape.map(|shape| shape.len()));
    let letters = letters(args, before.orientation.as_deref(), dims)?;
    let mut network = layout(&letters, window.as_ref(), before.multiple.as_deref())?;
    network.insert("inputs".to_owned(), inputs(&metadata, &input, channels, &before, &letters)?);
    network.insert("output".to_owned(), Value::Table(output(&metadata, &after)?));
    let text = |place: &str| Ok::<_, Failure>(metadata.at(place)?.and_then(|entry| entry.text().map(str::to_owned)));
    let (name, about) = (text("name")?, text("description")?);
    for (key, value) in [("name", &name), ("summary", &about)] {
        network.extend(value.clone().map(|value| (key.to_owned(), Value::String(value))));
    }
    let mut manifest = match &args.declare {
        Some(path) => read_table(path)?,
        None => Table::new(),
    };
    if let Some(Value::Table(own)) = manifest.remove("network") {
        for (key, value) in own {
            match (network.get_mut(&key), value) {
                (Some(Value::Table(told)), Value::Table(own)) => told.extend(own),
                (_, value) => {
                    network.insert(key, value);
                }
            }
        }
    }
    manifest.insert("network".to_owned(), Value::Table(network));
    manifest.extend(text("version")?.map(|version| ("version".to_owned(), Value::String(version))));
    let model = name.clone().unwrap_or_else(|| "network of a MONAI bundle".to_owned());
    manifest.entry("models").or_insert_with(|| Value::Array(vec![Value::String(model)]));
    let card = match &args.card {
        Some(path) => read(path)?,
        None => {
            let about = [about, text("intended_use")?].into_iter().flatten().collect::<Vec<_>>().join(". ");
            card(&args.id, &format!("{about}."), &text("data_source")?.unwrap_or_default(), "")
        }
    };
    let mut notes = Vec::new();
    if window.is_some() {
        notes.push(
            "the margin of a patch is half of MONAI's overlap: seams can show where the network sees farther than that, and \
             `isoscan plugins check` measures it"
                .to_owned(),
        );
    }
    notes.extend(args.skipped.iter().map(|name| format!("left out: {name}")));
    Ok(Import { file, manifest, card, notes })
}

fn network(folder: &std::path::Path) -> Result<PathBuf, Failure> {
    let found = NETWORKS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::new(format!("expected {} in the MONAI bundle, found none", NETWORKS[0])).help(
            "models/model.pt holds weights without a network: export it with `python -m monai.bundle ckpt_export`",
        )
    })
}

/// The only entry of a map.
fn only(config: &Config, place: &str) -> Result<Entry, Failure> {
    let missing = || Failure::new(format!("configs/metadata.json: expected {place}, found none"));
    let map = config.at(place)?.ok_or_else(missing)?;
    let names: Vec<String> = map.map().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    let [name] = names.as_slice() else { return Err(config.wrong(&map, "one image")) };
    config.inside(&map, name)?.ok_or_else(missing)
}

fn chain(config: &Config, place: &str, channels: usize, skipped: &[String]) -> Result<Prepared, Failure> {
    match config.at(place)? {
        Some(entry) => transforms::read(config, &entry, channels, skipped),
        None => Ok(Prepared {
            intensities: super::intensities::Intensities::unchanged(),
            orientation: None,
            spacing_mm: None,
            multiple: None,
        }),
    }
}

/// The windows of a sliding-window inference, along the tensor's axes.
struct Window {
    /// Voxels; 0 for the whole extent.
    roi: Vec<usize>,
    overlap: Vec<f64>,
    batch: usize,
}

/// `None` where the whole image passes at once.
fn window(config: &Config, inferer: &Entry) -> Result<Option<Window>, Failure> {
    let target = config.inside(inferer, "_target_")?.unwrap_or_else(|| inferer.clone());
    match target.text().unwrap_or_default().rsplit('.').next().unwrap_or_default() {
        "SimpleInferer" => return Ok(None),
        "SlidingWindowInferer" | "SlidingWindowInfererAdapt" => {}
        _ => return Err(config.wrong(&target, "SlidingWindowInferer or SimpleInferer")),
    }
    let Some(roi) = config.inside(inferer, "roi_size")? else { return Err(config.wrong(inferer, "a roi_size")) };
    let roi: Vec<usize> = numbers(config, &roi)?.iter().map(|&n| n.max(0.0) as usize).collect();
    let overlap = match config.inside(inferer, "overlap")? {
        None => vec![0.25],
        Some(overlap) => numbers(config, &overlap)?,
    };
    if overlap.iter().any(|part| !(0.0..1.0).contains(part)) || (overlap.len() > 1 && overlap.len() != roi.len()) {
        return Err(config.wrong(inferer, "an overlap from 0 to below 1 for each axis"));
    }
    Ok(Some(Window { roi, overlap, batch: whole(config, inferer, "sw_batch_size")?.unwrap_or(1).clamp(1, 255) }))
}

fn whole(config: &Config, entry: &Entry, key: &str) -> Result<Option<usize>, Failure> {
    let Some(found) = config.inside(entry, key)? else { return Ok(None) };
    let number = found.value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    number.map(Some).ok_or_else(|| config.wrong(&found, "a whole number above 0"))
}

/// Where each axis of the network's tensor leads.
fn letters(args: &Args, told: Option<&str>, dims: Option<usize>) -> Result<Vec<char>, Failure> {
    let Some(word) = args.orientation.as_deref().or(told) else {
        let failure = Failure::new("the MONAI bundle does not say which way its images lie (no Orientation transform)");
        return Err(failure.help("tell it with --orientation RAS, or RA for slices"));
    };
    let letters: Vec<char> = word.chars().take(dims.unwrap_or(usize::MAX)).collect();
    let legal = matches!(letters.len(), 2 | 3) && letters.iter().all(|letter| axis_of(*letter).is_some());
    if legal {
        return Ok(letters);
    }
    Err(Failure::new(format!("expected an orientation such as RAS, or RA for slices, found '{word}'")))
}

/// 0, 1, 2 for x, y, z.
fn axis_of(letter: char) -> Option<usize> {
    ["LR", "PA", "SI"].iter().position(|pair| pair.contains(letter))
}

/// Values along the tensor's axes, one for all or one for each, as values along x, y, z.
fn along<T: Copy>(letters: &[char], values: &[T], otherwise: T) -> Result<[T; 3], Failure> {
    if values.len() != 1 && values.len() != letters.len() {
        let (expected, found) = (letters.len(), values.len());
        return Err(Failure::new(format!(
            "expected {expected} values, one for each axis of the network, found {found}"
        )));
    }
    let mut out = [otherwise; 3];
    for (index, axis) in letters.iter().filter_map(|letter| axis_of(*letter)).enumerate() {
        out[axis] = values[if values.len() == 1 { 0 } else { index }];
    }
    Ok(out)
}

fn layout(letters: &[char], window: Option<&Window>, multiple: Option<&[f64]>) -> Result<Table, Failure> {
    let voxels = |values: [usize; 3]| {
        Value::Array(values.map(|n| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))).to_vec())
    };
    let mut table = Table::new();
    table.insert("dims".to_owned(), Value::String(format!("{}d", letters.len())));
    table.insert("orientation".to_owned(), Value::String(letters.iter().collect()));
    if let Some(multiple) = multiple {
        let multiple = along(letters, multiple, 1.0)?.map(|n| n.max(1.0) as usize);
        table.insert("multiple".to_owned(), voxels(multiple));
    }
    let Some(Window { roi, overlap, batch }) = window else {
        table.insert("halo".to_owned(), Value::String("whole".to_owned()));
        return Ok(table);
    };
    let roi = along(letters, roi, usize::from(letters.len() == 2))?;
    let overlap = along(letters, overlap, 0.0)?;
    let halo =
        std::array::from_fn(|a| if roi[a] == 0 { 0 } else { (overlap[a] * roi[a] as f64 / 2.0).ceil() as usize });
    let fixed = letters.iter().filter_map(|letter| axis_of(*letter)).all(|axis| roi[axis] > 0);
    if fixed {
        // Windows of one size keep to any stride.
        table.remove("multiple");
    }
    table.insert("patch".to_owned(), voxels(roi));
    table.insert("fixed".to_owned(), Value::Boolean(fixed));
    table.insert("halo".to_owned(), voxels(halo));
    table.insert("batch".to_owned(), Value::Integer(i64::try_from(*batch).unwrap_or(1)));
    Ok(table)
}

fn inputs(
    metadata: &Config,
    input: &Entry,
    channels: usize,
    before: &Prepared,
    letters: &[char],
) -> Result<Value, Failure> {
    let mut common = before.intensities.declared();
    let list = |word: &str| Value::Array(vec![Value::String(word.to_owned())]);
    let text = |key: &str| Ok::<_, Failure>(metadata.inside(input, key)?.and_then(|e| e.text().map(str::to_lowercase)));
    let modality = match text("modality")?.as_deref() {
        Some("ct") => Some("CT"),
        Some("mr" | "mri") => Some("MR"),
        Some("pt" | "pet") => Some("PT"),
        _ => None,
    };
    common.extend(modality.map(|word| ("modalities".to_owned(), list(word))));
    let unit = text("format")?.as_deref().and_then(unit_of).or((modality == Some("CT")).then_some("HU"));
    common.extend(unit.map(|word| ("units".to_owned(), list(word))));
    if let Some(pixdim) = &before.spacing_mm {
        let range = along(letters, pixdim, 0.0)?.map(|mm| if mm > 0.0 { [mm; 2] } else { ANY_MM });
        let range = range.map(|ends| Value::Array(ends.map(Value::Float).to_vec()));
        common.insert("spacing_mm".to_owned(), Value::Array(range.to_vec()));
    }
    let names = metadata.inside(input, "channel_def")?;
    let mut inputs = Vec::new();
    for channel in 0..channels {
        let told = names.as_ref().map(|names| metadata.inside(names, &channel.to_string())).transpose()?.flatten();
        let told = told.and_then(|entry| entry.text().map(str::to_owned)).unwrap_or_default();
        let name = if channels == 1 { "image".to_owned() } else { name_of(&told, channel) };
        let own = [("name".to_owned(), Value::String(name)), ("text".to_owned(), Value::String(told))];
        inputs.push(Value::Table(common.clone().into_iter().chain(own).collect()));
    }
    Ok(Value::Array(inputs))
}

/// An input's name: what the channel is called, as far as a name may hold it.
fn name_of(told: &str, channel: usize) -> String {
    let letters =
        told.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>();
    let word = letters.trim_matches('-');
    if word.is_empty() { format!("channel-{channel}") } else { word.to_owned() }
}

fn output(metadata: &Config, after: &Prepared) -> Result<Table, Failure> {
    let made = only(metadata, "network_data_format::outputs")?;
    let format = metadata.inside(&made, "format")?.and_then(|e| e.text().map(str::to_lowercase)).unwrap_or_default();
    let mut table = after.intensities.declared();
    if let Some([low, high]) = after.intensities.clip {
        // An output is clipped after its line, an input before.
        let mut ends = [low, high].map(|end| after.intensities.scale * end + after.intensities.offset);
        ends.sort_by(f64::total_cmp);
        table.insert("clip".to_owned(), Value::Array(ends.map(Value::Float).to_vec()));
    }
    let unit = unit_of(&format).unwrap_or("normalized");
    table.insert("unit".to_owned(), Value::String(unit.to_owned()));
    Ok(table)
}

/// The unit of a metadata's format.
fn unit_of(format: &str) -> Option<&'static str> {
    match format {
        "hounsfield" | "hu" => Some("HU"),
        "suv" => Some("SUV"),
        "magnitude" | "raw" => Some("arbitrary"),
        _ => None,
    }
}
