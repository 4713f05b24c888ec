//! The files of a plugin's project, as they lie in the repository.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// A file by its place in the project; both may hold `{{id}}`, `{{crate}}` and the like.
type File = (&'static str, &'static str);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../templates/", $path))
    };
}

macro_rules! repository {
    ($path:literal) => {
        include_str!(concat!("../../../../", $path))
    };
}

pub(super) const COMMON: &[File] = &[
    ("bundle/plugin.toml", template!("all/plugin.toml")),
    ("bundle/CARD.md", template!("all/CARD.md")),
    (".gitignore", template!("all/gitignore")),
];

pub(super) const RUST: &[File] = &[
    ("README.md", template!("rust/README.md")),
    ("Cargo.toml", template!("rust/Cargo.toml")),
    ("src/lib.rs", template!("rust/lib.rs")),
];

pub(super) const C: &[File] = &[
    ("README.md", template!("c/README.md")),
    ("Makefile", template!("c/Makefile")),
    ("src/{{crate}}.c", template!("c/plugin.c")),
    ("tests/test.c", template!("c/test.c")),
    ("include/isoscan.h", repository!("abi/include/isoscan.h")),
    ("include/checked.h", repository!("examples/c-plugin/checked.h")),
];

pub(super) const CPP: &[File] = &[
    ("README.md", template!("c/README.md")),
    ("Makefile", template!("cpp/Makefile")),
    ("src/{{crate}}.cpp", template!("cpp/plugin.cpp")),
    ("tests/test.cpp", template!("c/test.c")),
    ("include/isoscan.h", repository!("abi/include/isoscan.h")),
    ("include/checked.h", repository!("examples/c-plugin/checked.h")),
];

macro_rules! sources {
    ($($path:literal),* $(,)?) => { &[$(($path, repository!($path))),*] };
}

/// The contract and the SDK, which a project in Rust is built with: their folder `abi` becomes `isoscan`.
const SDK: &[File] = sources![
    "abi/README.md",
    "abi/src/batch.rs",
    "abi/src/bundle.rs",
    "abi/src/descriptor.rs",
    "abi/src/layout.rs",
    "abi/src/lib.rs",
    "abi/src/root.rs",
    "abi/src/tensor.rs",
    "abi/src/train.rs",
    "abi/sdk/src/call.rs",
    "abi/sdk/src/door.rs",
    "abi/sdk/src/door/batch.rs",
    "abi/sdk/src/door/bundle.rs",
    "abi/sdk/src/door/train.rs",
    "abi/sdk/src/error.rs",
    "abi/sdk/src/export.rs",
    "abi/sdk/src/harness.rs",
    "abi/sdk/src/lib.rs",
    "abi/sdk/src/mapped.rs",
    "abi/sdk/src/params.rs",
    "abi/sdk/src/tensor.rs",
    "abi/sdk/src/translator.rs",
];

/// The SDK's files by their place in a project.
pub(super) fn sdk() -> Result<Vec<(String, String)>, String> {
    let moved = |name: &str| name.replacen("abi", "isoscan", 1);
    let mut files: Vec<(String, String)> = SDK.iter().map(|(name, text)| (moved(name), (*text).to_owned())).collect();
    let workspace = repository!("Cargo.toml");
    files.push(("isoscan/Cargo.toml".into(), standing_alone(repository!("abi/Cargo.toml"), workspace)?));
    files.push(("isoscan/sdk/Cargo.toml".into(), standing_alone(repository!("abi/sdk/Cargo.toml"), workspace)?));
    Ok(files)
}

/// A crate's manifest with what it takes from its workspace written out, and without what only this repository needs.
fn standing_alone(manifest: &str, workspace: &str) -> Result<String, String> {
    let parsed = |text: &str| text.parse::<Table>().map_err(|e| e.to_string());
    let (mut manifest, workspace) = (parsed(manifest)?, parsed(workspace)?);
    let workspace = workspace.get("workspace").and_then(Value::as_table).ok_or("there is no workspace")?;
    for key in ["dev-dependencies", "lints"] {
        manifest.remove(key);
    }
    for (key, from) in [("package", "package"), ("dependencies", "dependencies")] {
        let source = workspace.get(from).and_then(Value::as_table).ok_or("the workspace shares nothing")?;
        if let Some(Value::Table(entries)) = manifest.get_mut(key) {
            entries.iter_mut().for_each(|(name, entry)| write_out(entry, source.get(name)));
        }
    }
    toml::to_string(&manifest).map_err(|e| e.to_string())
}

/// Replaces `workspace = true` by what it stands for, features added.
fn write_out(entry: &mut Value, shared: Option<&Value>) {
    let (Value::Table(own), Some(shared)) = (&mut *entry, shared) else { return };
    if own.remove("workspace").is_none() {
        return;
    }
    let whole: BTreeMap<String, Value> = match shared {
        Value::Table(table) => table.clone().into_iter().collect(),
        version if own.is_empty() => {
            *entry = version.clone();
            return;
        }
        version => [("version".to_owned(), version.clone())].into(),
    };
    for (key, value) in whole {
        match (own.get_mut(&key), value) {
            (Some(Value::Array(features)), Value::Array(more)) => features.extend(more),
            // The contract lies in the folder above the SDK, as here.
            (None, Value::String(path)) if key == "path" && path == "abi" => {
                own.insert(key, "..".into());
            }
            (None, value) => {
                own.insert(key, value);
            }
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn sources_in(folder: &Path, name: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                sources_in(&entry.path(), &name, found);
            } else {
                found.push(name);
            }
        }
    }

    #[test]
    fn no_source_of_the_sdk_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = vec!["abi/README.md".to_owned()];
        for folder in ["abi/src", "abi/sdk/src"] {
            sources_in(&root.join(folder), folder, &mut found);
        }
        found.sort();
        let mut listed: Vec<&str> = SDK.iter().map(|(name, _)| *name).collect();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn a_crate_that_stands_alone_takes_nothing_from_a_workspace() {
        let files = sdk().unwrap();
        let manifest = |name: &str| files.iter().find(|(file, _)| file == name).unwrap().1.parse::<Table>().unwrap();
        let (abi, sdk) = (manifest("isoscan/Cargo.toml"), manifest("isoscan/sdk/Cargo.toml"));
        for table in [&abi, &sdk] {
            assert!(!table.to_string().contains("workspace"), "{table}");
            assert_eq!(table["package"]["edition"].as_str(), Some("2024"));
        }
        assert_eq!(sdk["dependencies"]["isoscan-abi"]["path"].as_str(), Some(".."));
        assert_eq!(abi["dependencies"]["serde"]["optional"].as_bool(), Some(true));
        assert_eq!(abi["dependencies"]["serde"]["features"][0].as_str(), Some("derive"));
    }
}
