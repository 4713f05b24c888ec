use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::samples::head;

/// The lines of a header.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) path: PathBuf,
    /// First byte behind the header.
    pub(crate) end: u64,
    /// Names of the files of `data file: LIST`.
    pub(crate) listed: Vec<String>,
    fields: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
}

impl Fields {
    /// Reads to the empty line, or to the end of a detached header.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        const LONGEST: u64 = 1 << 22;
        let bytes = head(path, LONGEST)?;
        let mut read = Self {
            path: path.to_owned(),
            end: 0,
            listed: Vec::new(),
            fields: BTreeMap::new(),
            values: BTreeMap::new(),
        };
        let mut at = 0;
        let mut ended = false;
        let mut listing = false;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            at += line.len();
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches(['\n', '\r']);
            match text {
                _ if at == line.len() => {}
                "" => {
                    ended = true;
                    break;
                }
                _ if text.starts_with('#') => {}
                name if listing => read.listed.push(name.trim().to_owned()),
                _ => listing = read.line(text)?,
            }
        }
        read.end = at as u64;
        if ended || read.detached() {
            return Ok(read);
        }
        let found = bytes.len() as u64;
        Err(Error::Truncated { what: "NRRD header", expected: found + 1, found, path: path.to_owned() })
    }

    /// Takes a line; whether a list of files follows.
    fn line(&mut self, text: &str) -> Result<bool, Error> {
        let value = text.find(":=");
        let field = text.find(": ").or_else(|| text.ends_with(':').then(|| text.len() - 1));
        match (value, field) {
            (Some(at), field) if field.is_none_or(|field| at < field) => {
                self.values.insert(unescaped(&text[..at]), unescaped(&text[at + 2..]));
                Ok(false)
            }
            (_, Some(at)) => {
                let name = text[..at].trim().to_ascii_lowercase();
                let name = if name == "datafile" { "data file".to_owned() } else { name };
                let content = text[at + 1..].trim().to_owned();
                let listing = name == "data file" && content.split_whitespace().next() == Some("LIST");
                if self.fields.insert(name, content).is_some() {
                    return Err(self.malformed("header", "each field once", "a field twice"));
                }
                Ok(listing)
            }
            _ => Err(self.malformed("header", "lines of field: value", "another line")),
        }
    }

    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    pub(crate) fn required(&self, field: &'static str) -> Result<&str, Error> {
        self.get(field).ok_or_else(|| self.malformed(field, "a value", "nothing"))
    }

    /// A key/value pair.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub(crate) fn data_file(&self) -> Option<&str> {
        self.get("data file")
    }

    pub(crate) fn detached(&self) -> bool {
        self.data_file().is_some()
    }

    pub(crate) fn whole(&self, field: &'static str, default: i64) -> Result<i64, Error> {
        let other = self.get(&field.replace(' ', ""));
        match self.get(field).or(other) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| self.malformed(field, "a whole number", text)),
        }
    }

    pub(crate) fn malformed(&self, field: &'static str, expected: &'static str, found: impl ToString) -> Error {
        Error::Malformed { field, expected, found: found.to_string(), path: self.path.clone() }
    }

    pub(crate) fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported { what: what.to_owned(), path: self.path.clone() }
    }
}

/// Undoes `\n` and `\\`.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}
