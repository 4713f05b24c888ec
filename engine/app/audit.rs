//! `isoscan audit`: what a collection of images holds before something is learned from it.

use std::{collections::BTreeSet, path::PathBuf};

use isoscan_imaging::Modality;
use isoscan_script::{Audit, AuditRequest, Finding, Group, Role, audit};

use crate::{failure::Failure, progress::say, run::setting};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of images that something learns from; may be given more than once, and by NAME=DIR
    #[arg(long, value_name = "[NAME=]DIR", required = true)]
    train: Vec<String>,
    /// Folder of images that judge what was learned; no subject of the others may be among them
    #[arg(long, value_name = "[NAME=]DIR")]
    test: Vec<String>,
    /// Folder of images that decide when a training ends
    #[arg(long, value_name = "[NAME=]DIR")]
    validation: Vec<String>,
    /// Images of the training folders belong together one to one: same subject, same grid
    #[arg(long)]
    paired: bool,
    /// Modality of images whose files do not tell it
    #[arg(long, value_name = "CT|MR|PT|CR|DX")]
    modality: Option<Modality>,
    /// Write the whole audit to this file, JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut request = AuditRequest::default();
    for (role, name, folders) in [
        (Role::Train, "train", &args.train),
        (Role::Validation, "validation", &args.validation),
        (Role::Test, "test", &args.test),
    ] {
        for (number, text) in folders.iter().enumerate() {
            let own = if folders.len() == 1 { name.to_owned() } else { format!("{name} {}", number + 1) };
            let (name, folder) = setting(text).unwrap_or((own, text.clone()));
            if request.groups.iter().any(|group| group.name == name) {
                return Err(Failure::new(format!("two groups are called {name}")));
            }
            request.groups.push(Group { name, folder: folder.into(), role, modality: args.modality });
        }
    }
    if args.paired {
        let training = request.groups.iter().filter(|group| group.role == Role::Train);
        let names: Vec<String> = training.map(|group| group.name.clone()).collect();
        if names.len() < 2 {
            return Err(Failure::new("paired images lie in two folders or more").help("give --train for each"));
        }
        request.together.push(names);
    }
    let found = audit(&request)?;
    table(&found);
    found.findings.iter().for_each(|finding| say(&tell(finding)));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&found).map_err(Failure::new)?;
        isoscan_io::write_atomically(path, |out| out.write_all(text.as_bytes()))?;
    }
    if found.leaks() {
        return Err(Failure::new("training and held-out images share subjects")
            .help("a score on images that were learned from says nothing: take them out of one of the groups"));
    }
    Ok(())
}

/// A finding in one line.
pub(crate) fn tell(finding: &Finding) -> String {
    format!("{}: {}", finding.kind, finding.text)
}

/// One row per group.
fn table(found: &Audit) {
    let groups: Vec<&str> = found.images.iter().map(|image| image.group.as_str()).fold(Vec::new(), |mut all, name| {
        if !all.contains(&name) {
            all.push(name);
        }
        all
    });
    let width = groups.iter().map(|name| name.len()).max().unwrap_or(0).max(5);
    say(&format!(
        "{:width$}  images  subjects  kind                size, voxels         spacing, mm            intensities",
        "group"
    ));
    for group in groups {
        let images: Vec<_> = found.of_group(group).collect();
        let subjects: BTreeSet<&str> = images.iter().map(|image| image.subject.as_str()).collect();
        let kinds: BTreeSet<String> = images.iter().map(|image| format!("{} {}", image.modality, image.unit)).collect();
        let size = |axis: usize| ends(images.iter().map(|image| image.size[axis] as f64), 0);
        let spacing = |axis: usize| ends(images.iter().map(|image| image.spacing_mm[axis]), 3);
        let lowest = images.iter().map(|image| image.intensities[0]).fold(f64::INFINITY, f64::min);
        let highest = images.iter().map(|image| image.intensities[2]).fold(f64::NEG_INFINITY, f64::max);
        say(&format!(
            "{group:width$}  {:6}  {:8}  {:18}  {:19}  {:21}  {lowest} to {highest}",
            images.len(),
            subjects.len(),
            kinds.into_iter().collect::<Vec<_>>().join(", "),
            [0, 1, 2].map(size).join(" x "),
            [0, 1, 2].map(spacing).join(" x "),
        ));
    }
}

/// `3`, or `2-5` where values differ.
fn ends(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let told = |value: f64| {
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    if told(low) == told(high) { told(low) } else { format!("{}-{}", told(low), told(high)) }
}
