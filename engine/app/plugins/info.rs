use isoscan_abi::{Param, ParamKind};
use isoscan_host::Plugin;

use super::Where;
use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of an installed plugin, with `@` a version such as `cyclegan@=1.4`, or the path of a bundle or library
    plugin: String,
    #[command(flatten)]
    place: Where,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let plugin = args.place.open(&args.plugin, 1)?;
    say(describe(&plugin).trim_end());
    Ok(())
}

fn describe(plugin: &Plugin) -> String {
    let (bundle, descriptor) = (plugin.bundle(), plugin.descriptor());
    let mut text = format!("{} {}: {}\n", bundle.id, bundle.version, descriptor.summary);
    for input in &descriptor.inputs {
        let modalities: Vec<String> = input.modalities.iter().map(|m| format!("{m:?}").to_uppercase()).collect();
        let kinds = if modalities.is_empty() { "any modality".to_owned() } else { modalities.join(" or ") };
        let optional = if input.optional { ", optional" } else { "" };
        text += &format!("  input {}: {kinds}{optional}; {}\n", input.name, input.text);
    }
    for param in &descriptor.params {
        text += &format!("  --set {}=...  {}; {}\n", param.id, legal(param), param.text);
    }
    text += &format!("  {}{}\n", bundle.level, if plugin.offers_training() { ", can be trained" } else { "" });
    text += &format!("  memory limit {} MiB\n", bundle.manifest.limits.memory_mb);
    for model in &bundle.manifest.models {
        text += &format!("  model {model}\n");
    }
    text += &format!("  manifest sha256 {}\n  library sha256 {}\n", bundle.manifest_sha256, bundle.sha256);
    if let Some(weights) = &bundle.weights_sha256 {
        text += &format!("  weights sha256 {weights}\n");
    }
    if let Some(card) =
        bundle.manifest.card.as_ref().and_then(|name| std::fs::read_to_string(bundle.dir.join(name)).ok())
    {
        text += &format!("\n{card}");
    }
    text
}

fn legal(param: &Param) -> String {
    let unit = if param.unit.is_empty() { String::new() } else { format!(" {}", param.unit) };
    match &param.kind {
        ParamKind::Float { min, max, default } => format!("{min} to {max}{unit}, default {default}"),
        ParamKind::Int { min, max, default } => format!("{min} to {max}{unit}, default {default}"),
        ParamKind::Bool { default } => format!("true or false, default {default}"),
        ParamKind::Choice { choices, default } => format!("one of {}, default {default}", choices.join(", ")),
    }
}
