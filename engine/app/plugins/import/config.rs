//! A MONAI configuration: JSON in which `@id` stands for another value and `$` begins Python code.

use std::path::Path;

use serde_json::{Map, Value};

use crate::failure::Failure;

/// Most references that lead to one value.
const LINKS: usize = 32;

/// A configuration file.
pub(super) struct Config {
    name: String,
    root: Value,
}

/// A value with its references followed, and its place in the file.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) place: String,
    pub(super) value: Value,
}

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = serde_json::from_str(&super::read(path)?)
            .map_err(|e| Failure::new(format!("{}: expected JSON: {e}", path.display())))?;
        Ok(Self { name, root })
    }

    /// The value at a place such as `inferer::roi_size`; `None` when there is none or it is null.
    pub(super) fn at(&self, place: &str) -> Result<Option<Entry>, Failure> {
        let mut entry = Entry { place: String::new(), value: self.root.clone() };
        for key in place.split("::") {
            match self.inside(&entry, key)? {
                Some(found) => entry = found,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }

    /// The value of a key of a map or a number of a list.
    pub(super) fn inside(&self, entry: &Entry, key: &str) -> Result<Option<Entry>, Failure> {
        let found = match &entry.value {
            Value::Object(map) => map.get(key),
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        let place = if entry.place.is_empty() { key.to_owned() } else { format!("{}::{key}", entry.place) };
        let Some(found) = found.filter(|value| !value.is_null()) else { return Ok(None) };
        self.followed(Entry { place, value: found.clone() }).map(Some)
    }

    /// The items of a list.
    pub(super) fn items(&self, entry: &Entry) -> Result<Vec<Entry>, Failure> {
        let Value::Array(items) = &entry.value else { return Err(self.wrong(entry, "a list")) };
        (0..items.len()).filter_map(|index| self.inside(entry, &index.to_string()).transpose()).collect()
    }

    /// Refuses what stands at a place.
    pub(super) fn wrong(&self, entry: &Entry, expected: &str) -> Failure {
        Failure::new(format!("{}, {}: expected {expected}, found {}", self.name, entry.place, entry.value))
    }

    fn followed(&self, mut entry: Entry) -> Result<Entry, Failure> {
        for _ in 0..LINKS {
            let Value::String(text) = &entry.value else { return Ok(entry) };
            if text.starts_with(['$', '%']) {
                return Err(self
                    .wrong(&entry, "a value")
                    .help("Python code and macros are not run: write the value that it stands for into the file"));
            }
            let Some(target) = text.strip_prefix('@') else { return Ok(entry) };
            let target = target.replace('#', "::");
            let mut value = &self.root;
            for key in target.split("::") {
                let inside = match value {
                    Value::Object(map) => map.get(key),
                    Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                    // What another reference leads to is found by its own name.
                    _ => None,
                };
                value = inside.ok_or_else(|| self.wrong(&entry, "a reference to a value of this file"))?;
            }
            entry = Entry { value: value.clone(), ..entry };
        }
        Err(self.wrong(&entry, "references that end"))
    }
}

impl Entry {
    pub(super) fn number(&self) -> Option<f64> {
        self.value.as_f64()
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.value.as_str()
    }

    pub(super) fn map(&self) -> Option<&Map<String, Value>> {
        self.value.as_object()
    }
}
