//! `isoscan plugins new`: a plugin's project that builds and keeps the contract at once.

mod files;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args as ClapArgs, ValueEnum};

use crate::{failure::Failure, progress::say};

/// What to make and where.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Id of the plugin and name of its folder, such as `edge-keeper` or `org.vendor.t1-to-t2`
    name: String,
    /// Language
    #[arg(long, value_enum)]
    lang: Language,
    /// What the plugin is for
    #[arg(long, value_enum)]
    task: Task,
    /// Folder to make it in
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    C,
    Cpp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    Harmonization,
    StyleTransfer,
    SuperResolution,
    BoneSuppression,
    Synthesis,
    Denoising,
    Test,
    Other,
}

/// Makes the project; nothing that exists is touched.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    check_name(&args.name)?;
    let folder = args.dir.join(&args.name);
    let unwritten = |cause: io::Error| Failure::new(format!("cannot make {}: {cause}", folder.display()));
    match fs::create_dir(&folder) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            let failure = Failure::new(format!("{} exists already", folder.display()));
            return Err(failure.help("choose another name, or another folder with --dir"));
        }
        made => made.map_err(unwritten)?,
    }
    for (name, text) in project(&args.name, args.lang, args.task)? {
        write(&folder.join(name), &text).map_err(unwritten)?;
    }
    say(&format!("made {}; README.md there has the commands to build, pack, check and sign it", folder.display()));
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, text)
}

/// Ids of plugins that can also be names of folders, crates and libraries.
fn check_name(name: &str) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let ends = name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts && ends && name.len() <= 64 && name.chars().all(legal) && !name.contains("..") {
        return Ok(());
    }
    Err(Failure::new(format!(
        "expected a name of lower-case letters, digits, '.', '-' and '_' that begins with a letter, found '{name}'"
    ))
    .help("examples: edge-keeper, org.vendor.t1-to-t2"))
}

/// Every file of the project by its place in the folder.
fn project(name: &str, lang: Language, task: Task) -> Result<Vec<(String, String)>, Failure> {
    let (summary, strength) = task.starting_point();
    let package = name.replace('.', "-");
    let values = [
        ("id", name),
        ("package", &package),
        ("crate", &package.replace('-', "_")),
        ("task", task.word()),
        ("summary", summary),
        ("strength", strength),
        ("language", if lang == Language::C { "C" } else { "C++" }),
        ("ending", if lang == Language::C { "c" } else { "cpp" }),
    ];
    let filled = |text: &str| {
        let place = |text: String, (key, value): &(&str, &str)| text.replace(&format!("{{{{{key}}}}}"), value);
        values.iter().fold(text.to_owned(), place)
    };
    let templates = files::COMMON.iter().chain(match lang {
        Language::Rust => files::RUST,
        Language::C => files::C,
        Language::Cpp => files::CPP,
    });
    let mut files: Vec<(String, String)> = templates.map(|(name, text)| (filled(name), filled(text))).collect();
    if lang == Language::Rust {
        files.extend(files::sdk().map_err(|cause| Failure::new(format!("the SDK cannot be copied: {cause}")))?);
    }
    Ok(files)
}

impl Task {
    /// The word of `plugin.toml`.
    fn word(self) -> &'static str {
        match self {
            Self::Harmonization => "harmonization",
            Self::StyleTransfer => "style-transfer",
            Self::SuperResolution => "super-resolution",
            Self::BoneSuppression => "bone-suppression",
            Self::Synthesis => "synthesis",
            Self::Denoising => "denoising",
            Self::Test => "test",
            Self::Other => "other",
        }
    }

    /// What the first version does, and by how much.
    fn starting_point(self) -> (&'static str, &'static str) {
        match self {
            Self::Harmonization => ("Brings a sharp reconstruction kernel towards a smooth one", "0.5"),
            Self::StyleTransfer => ("Gives an image the smooth look of another protocol", "0.5"),
            Self::SuperResolution => ("Sharpens edges that a coarse grid has blurred", "-0.5"),
            Self::BoneSuppression => ("Softens fine bright structures", "0.75"),
            Self::Synthesis => ("Makes a smooth companion of an image", "1.0"),
            Self::Denoising => ("Takes noise out of slices", "0.5"),
            Self::Test | Self::Other => ("Mixes each voxel with its neighbours", "0.5"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_ids_are_refused() {
        for name in ["a", "edge-keeper", "org.vendor.t1-to-t2", "x_1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "1a", "-a", "a-", "a.", "a..b", "a/b", "../a", "a b", "ä", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn every_project_has_its_papers_and_no_place_left_open() {
        for lang in Language::value_variants() {
            for task in Task::value_variants() {
                let files = project("org.x.net", *lang, *task).unwrap();
                let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
                for name in ["bundle/plugin.toml", "bundle/CARD.md", "README.md", ".gitignore"] {
                    assert!(names.contains(&name), "{lang:?} {name}");
                }
                let own = files.iter().filter(|(name, _)| !name.starts_with("isoscan/"));
                let open: Vec<&String> =
                    own.filter(|(_, text)| text.contains("{{id") || text.contains("{{crate")).map(|(n, _)| n).collect();
                assert!(open.is_empty(), "{open:?}");
                let manifest = &files.iter().find(|(name, _)| name == "bundle/plugin.toml").unwrap().1;
                let manifest = isoscan_host::Manifest::parse(manifest).unwrap();
                assert_eq!((manifest.id.as_str(), manifest.library.as_str()), ("org.x.net", "liborg_x_net.so"));
                let written = serde_json::to_value(manifest.task).unwrap();
                assert_eq!(written, task.word());
            }
        }
    }
}
