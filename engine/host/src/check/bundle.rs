//! What lies on disk, and whether it comes to life.

use std::fs;

use isoscan_abi::Descriptor;
use serde_json::Value;

use super::{
    Rule, Words,
    bench::{Bench, Stop, Verdict, image},
};
use crate::{Bundle, Integrity};

/// Headings that a card must have.
const HEADINGS: [&str; 3] = ["intended use", "training data", "limits"];

pub(super) const READS: Words = Words {
    name: "bundle-reads",
    rule: "plugin.toml is understood, and every file that it lists is there with its hash, so that a damaged copy is \
           never run",
    remedy: "correct the line or file that is named, then run isoscan plugins pack again",
};

pub(super) const RULES: [Rule<Bundle>; 2] = [
    Rule {
        words: Words {
            name: "manifest-complete",
            rule: "plugin.toml says what the plugin is, what it is for and the hash of every file, so that an \
                   operator can judge it without running it",
            remedy: "write task, models and card into plugin.toml, then run isoscan plugins pack, which adds the \
                     descriptor and the hashes",
        },
        check: manifest_is_complete,
    },
    Rule {
        words: Words {
            name: "model-card",
            rule: "the model card tells intended use, training data and limits, because nobody else can",
            remedy: "name a card in plugin.toml and give it the headings 'Intended use', 'Training data' and \
                     'Limits', each with text",
        },
        check: card_tells_enough,
    },
];

pub(super) const LOADS: Words = Words {
    name: "library-loads",
    rule: "the library loads inside the sandbox with this engine's contract: no file, network or process while it \
           loads",
    remedy: "build against the contract's header or SDK, ship every library that it links beside it, and do no work \
             in constructors",
};

pub(super) const DESCRIBES: [Rule<Bench>; 1] = [Rule {
    words: Words {
        name: "describe-agrees",
        rule: "describe answers the same text in every process and at every call, and plugin.toml holds the same \
               facts",
        remedy: "make the descriptor a constant, and run isoscan plugins pack after every change of it",
    },
    check: describe_agrees,
}];

pub(super) const CREATES: Words = Words {
    name: "instance",
    rule: "create makes an instance from the bundle folder alone",
    remedy: "list every file that create reads in the bundle, and find it by the 'bundle' path of its config",
};

pub(super) const ANSWERS: Words = Words {
    name: "usual-call",
    rule: "a call with an image of the declared kind and all parameters at their defaults gives an image",
    remedy: "accept the defaults and every patch size that is a declared multiple",
};

fn manifest_is_complete(bundle: &Bundle) -> Verdict {
    let manifest = &bundle.manifest;
    let parts = [
        ("hashes of its files", bundle.integrity == Integrity::Hashed),
        ("what describe answers", manifest.descriptor.is_some()),
        ("task", manifest.task.is_some()),
        ("models", !manifest.models.is_empty()),
        ("card", manifest.card.is_some()),
    ];
    let missing: Vec<&str> = parts.into_iter().filter(|(_, is_there)| !is_there).map(|(part, _)| part).collect();
    if missing.is_empty() {
        return Ok(format!("{} files, every hash agrees", manifest.files.as_ref().map_or(0, |files| files.len())));
    }
    Err(Stop::Fail(format!("plugin.toml lacks {}", missing.join(", "))))
}

fn card_tells_enough(bundle: &Bundle) -> Verdict {
    let name = bundle.manifest.card.as_deref().ok_or(Stop::Fail("plugin.toml names no card".into()))?;
    let text = fs::read_to_string(bundle.dir.join(name)).map_err(|e| Stop::Fail(format!("{name}: {e}")))?;
    let sections = sections(&text);
    let is_told = |heading: &str| sections.iter().any(|(title, has_text)| title.contains(heading) && *has_text);
    let missing: Vec<&str> = HEADINGS.into_iter().filter(|heading| !is_told(heading)).collect();
    if missing.is_empty() {
        return Ok(format!("{name} has {}", HEADINGS.join(", ")));
    }
    Err(Stop::Fail(format!("{name} has no text under a heading '{}'", missing.join("' and '"))))
}

/// Lower-case headings of a Markdown text, and whether text follows them.
fn sections(text: &str) -> Vec<(String, bool)> {
    let mut sections: Vec<(String, bool)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') {
            sections.push((line.trim_start_matches('#').trim().to_lowercase(), false));
        } else if let Some((_, has_text)) = sections.last_mut() {
            *has_text |= !line.is_empty();
        }
    }
    sections
}

fn describe_agrees(bench: &Bench) -> Verdict {
    let Bench { bundle, text, descriptor, .. } = bench;
    let mut raw = bench.load_again()?;
    if raw.descriptor() != text {
        return Err(Stop::Fail("two processes got different descriptors".into()));
    }
    if !raw.describes_alike()? {
        return Err(Stop::Fail("a second call of describe gave another text".into()));
    }
    if raw.create().is_ok() && !raw.describes_alike()? {
        return Err(Stop::Fail("after create, describe gave another text".into()));
    }
    let manifest = &bundle.manifest;
    if !manifest.version.is_empty() && (&manifest.id, &manifest.version) != (&descriptor.id, &descriptor.version) {
        let (Descriptor { id, version, .. }, expected) = (descriptor, format!("{} {}", manifest.id, manifest.version));
        return Err(Stop::Fail(format!("plugin.toml says {expected}, describe says {id} {version}")));
    }
    match &manifest.descriptor {
        None => Ok("the same text three times; plugin.toml holds id and version only".into()),
        Some(written) if written == descriptor => Ok("the same text three times, and in plugin.toml".into()),
        Some(written) => Err(Stop::Fail(first_difference(written, descriptor))),
    }
}

fn first_difference(written: &Descriptor, described: &Descriptor) -> String {
    let object = |descriptor: &Descriptor| serde_json::to_value(descriptor).unwrap_or_default();
    let (written, described) = (object(written), object(described));
    let keys = written.as_object().into_iter().flat_map(|object| object.keys());
    let (of, differing): (Value, _) =
        (Value::Null, keys.into_iter().find(|&key| written.get(key) != described.get(key)));
    let key = differing.map_or("", String::as_str);
    let told = |object: &Value| object.get(key).unwrap_or(&of).to_string();
    format!("'{key}': plugin.toml says {}, describe says {}", told(&written), told(&described))
}

pub(super) fn creates(bench: &Bench) -> Verdict {
    for threads in [1, 2] {
        bench.start_with(threads)?;
    }
    Ok("made with 1 thread and with 2".into())
}

pub(super) fn answers(bench: &Bench) -> Verdict {
    let size = bench.size([16, 16, 4]);
    let mut raw = bench.start()?;
    let reply = raw.call(&bench.usual(size), None)?;
    let seconds = reply.seconds;
    let count = image(reply)?.len();
    Ok(format!("{count} voxels {size:?} in {:.1} ms", 1e3 * seconds))
}
