//! The table while it grows: rows in the order of the cases, each on the disk when it is written.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::row::{Cell, Row, merge_columns};
use crate::failure::Failure;

/// Format of a table, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `.csv`: a line of names, then a line for each row; a column that a row lacks is empty.
    Csv,
    /// `.json`: a list of objects.
    Json,
    /// `.jsonl`, `.ndjson`: an object in each line.
    JsonLines,
    /// `.parquet`.
    Parquet,
}

impl Format {
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        Ok(match ending.as_str() {
            "csv" => Self::Csv,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::JsonLines,
            "parquet" => Self::Parquet,
            _ => {
                return Err(Failure::new(format!(
                    "expected a table whose name ends in .csv, .json, .jsonl or .parquet, found {}",
                    path.display()
                )));
            }
        })
    }
}

/// A file beside `path` with a further ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.{ending}"))
}

/// A table of text that is still being written, under the name `TABLE.part`.
#[derive(Debug)]
pub(crate) struct Stream {
    format: Format,
    part: PathBuf,
    file: File,
    columns: Vec<String>,
    rows: usize,
}

/// Whether a row found its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// The row is written.
    Written,
    /// The row has columns that the table lacks: it must be written anew with these.
    Lacks(Vec<String>),
}

impl Stream {
    /// Begins the table anew, with these columns at first.
    pub(crate) fn begin(path: &Path, format: Format, columns: Vec<String>) -> Result<Self, Failure> {
        let part = beside(path, "part");
        let file = File::create(&part).map_err(|error| unusable(&part, &error))?;
        let mut stream = Self { format, part, file, columns, rows: 0 };
        let head = match format {
            Format::Csv if !stream.columns.is_empty() => csv_line(stream.columns.iter().cloned()),
            Format::Json => b"[".to_vec(),
            _ => Vec::new(),
        };
        stream.write(&head)?;
        Ok(stream)
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: &Row) -> Result<Added, Failure> {
        let cells = row.by_name();
        if self.format == Format::Csv && !self.is_known(&cells) {
            let mut columns = self.columns.clone();
            merge_columns(&mut columns, row);
            return Ok(Added::Lacks(columns));
        }
        let mut line = match self.format {
            Format::Csv => {
                csv_line(self.columns.iter().map(|name| cells.get(name.as_str()).map(|c| c.text()).unwrap_or_default()))
            }
            _ => json_object(row)?,
        };
        if self.format == Format::Json {
            let before: &[u8] = if self.rows == 0 { b"\n" } else { b",\n" };
            line.splice(0..0, before.iter().copied());
        }
        self.rows += 1;
        self.write(&line)?;
        Ok(Added::Written)
    }

    /// Ends the table, which takes its name.
    pub(crate) fn publish(mut self, path: &Path) -> Result<(), Failure> {
        if self.format == Format::Json {
            self.write(b"\n]\n")?;
        }
        let published = self.file.sync_data().and_then(|()| fs::rename(&self.part, path));
        published.map_err(|error| unusable(path, &error))
    }

    /// Whether the table has a column for every cell.
    fn is_known(&self, cells: &BTreeMap<&str, &Cell>) -> bool {
        let found = self.columns.iter().filter(|name| cells.contains_key(name.as_str()));
        found.count() == cells.len()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| unusable(&self.part, &error))
    }
}

fn csv_line(cells: impl Iterator<Item = String>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // A writer into memory refuses nothing, and one record has no other length to differ from.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

fn json_object(row: &Row) -> Result<Vec<u8>, Failure> {
    let object: serde_json::Map<_, _> = row.0.iter().map(|(name, cell)| (name.clone(), cell.json())).collect();
    let mut line = serde_json::to_vec(&object).map_err(Failure::new)?;
    line.push(b'\n');
    Ok(line)
}

pub(crate) fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write: {error}: {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[(&str, Cell)]) -> Row {
        Row(cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect())
    }

    fn written(name: &str, columns: &[&str], rows: &[Row]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let mut stream = Stream::begin(&path, Format::of(&path).unwrap(), columns).unwrap();
        for row in rows {
            assert_eq!(stream.add(row).unwrap(), Added::Written);
        }
        assert!(!path.exists());
        stream.publish(&path).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn each_format_holds_the_same_rows() {
        let rows = [
            row(&[("Image", Cell::Text("a,b.nii".into())), ("Label", Cell::Whole(2)), ("mean", Cell::Number(0.1))]),
            row(&[("Image", Cell::Text("c.nii".into())), ("mean", Cell::Number(f64::NAN))]),
        ];
        let csv = written("t.csv", &["Image", "Label", "mean"], &rows);
        assert_eq!(csv, "Image,Label,mean\n\"a,b.nii\",2,0.1\nc.nii,,NaN\n");
        let lines = written("t.jsonl", &[], &rows);
        assert_eq!(lines, "{\"Image\":\"a,b.nii\",\"Label\":2,\"mean\":0.1}\n{\"Image\":\"c.nii\",\"mean\":null}\n");
        let list: Vec<serde_json::Value> = serde_json::from_str(&written("t.json", &[], &rows)).unwrap();
        assert_eq!((list.len(), &list[0]["Label"]), (2, &2.into()));
        assert_eq!(written("t.json", &[], &[]), "[\n]\n");
    }

    #[test]
    fn a_row_with_further_columns_asks_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let mut stream = Stream::begin(&path, Format::Csv, vec!["a".into(), "c".into()]).unwrap();
        let found = stream.add(&row(&[("a", Cell::Whole(1)), ("b", Cell::Whole(2))])).unwrap();
        assert_eq!(found, Added::Lacks(vec!["a".into(), "b".into(), "c".into()]));
    }
}
