//! The cases that are done, in a file beside the table: what a later run continues from.
//!
//! The first line says what makes the table. A line `columns` names the columns of rows behind it; a line `case` holds the
//! rows of a case and the files that they came from. Lines are only ever added, so that a line without its end is the
//! one that was being written when the program was killed.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    inputs::Input,
    made::Made,
    row::{Cell, Row},
};
use crate::failure::Failure;

/// A case that is done.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    /// Image and mask as they were read; empty when they could not be.
    pub(crate) inputs: Vec<Input>,
    /// What was assumed or repaired while reading.
    pub(crate) warnings: Vec<String>,
    /// A row for each region.
    pub(crate) rows: Vec<Row>,
    /// What went wrong first, with what to do about it.
    pub(crate) failure: Option<(String, Option<String>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Made(Made),
    Columns(Vec<String>),
    Case(usize, Stored),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    inputs: Vec<Input>,
    warnings: Vec<String>,
    rows: Vec<(usize, Vec<Cell>)>,
    failure: Option<(String, Option<String>)>,
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    columns: Vec<Vec<String>>,
    /// First byte and length of each case's line.
    cases: BTreeMap<usize, (u64, usize)>,
    end: u64,
}

impl Journal {
    /// Begins a journal.
    pub(crate) fn begin(path: &Path, made: &Made) -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|error| unusable(path, &error))?;
        let mut journal = Self { path: path.to_owned(), file, columns: Vec::new(), cases: BTreeMap::new(), end: 0 };
        journal.add(&Line::Made(made.clone()))?;
        Ok(journal)
    }

    /// Opens the journal of an interrupted run, which must have made the same table from the same inputs. Cases that failed
    /// are not done.
    pub(crate) fn resume(path: &Path, made: &Made) -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| unusable(path, &error))?;
        let mut journal = Self { path: path.to_owned(), file, columns: Vec::new(), cases: BTreeMap::new(), end: 0 };
        let read = journal.file.try_clone().map_err(|error| unusable(path, &error))?;
        let mut lines = BufReader::new(read);
        let mut text = String::new();
        let mut first = true;
        loop {
            text.clear();
            let length = lines.read_line(&mut text).map_err(|error| unusable(path, &error))?;
            if !text.ends_with('\n') {
                break;
            }
            let line: Line = serde_json::from_str(&text).map_err(|error| damaged(path, &error))?;
            match line {
                Line::Made(found) if first => made.require_same(&found)?,
                _ if first => return Err(damaged(path, &"expected what makes the table in the first line")),
                Line::Made(_) => return Err(damaged(path, &"what makes the table stands twice")),
                Line::Columns(names) => journal.columns.push(names),
                Line::Case(case, stored) => {
                    if stored.failure.is_none() {
                        stored.inputs.iter().try_for_each(Input::require_same)?;
                        journal.cases.insert(case, (journal.end, length));
                    }
                }
            }
            first = false;
            journal.end += length as u64;
        }
        if first {
            return Err(damaged(path, &"it is empty"));
        }
        journal.file.set_len(journal.end).map_err(|error| unusable(path, &error))?;
        Ok(journal)
    }

    /// Whether the case is done.
    pub(crate) fn holds(&self, case: usize) -> bool {
        self.cases.contains_key(&case)
    }

    /// Number of cases that are done.
    pub(crate) fn len(&self) -> usize {
        self.cases.len()
    }

    /// Adds a case that is done.
    pub(crate) fn add_case(&mut self, case: usize, record: &Record) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for row in &record.rows {
            let known = self.columns.iter().position(|names| names.iter().eq(row.0.iter().map(|(name, _)| name)));
            let columns = match known {
                Some(columns) => columns,
                None => {
                    let names: Vec<String> = row.0.iter().map(|(name, _)| name.clone()).collect();
                    self.add(&Line::Columns(names.clone()))?;
                    self.columns.push(names);
                    self.columns.len() - 1
                }
            };
            rows.push((columns, row.0.iter().map(|(_, cell)| cell.clone()).collect()));
        }
        let stored = Stored {
            inputs: record.inputs.clone(),
            warnings: record.warnings.clone(),
            rows,
            failure: record.failure.clone(),
        };
        let begin = self.end;
        self.add(&Line::Case(case, stored))?;
        self.cases.insert(case, (begin, (self.end - begin) as usize));
        Ok(())
    }

    /// A case that is done.
    pub(crate) fn case(&mut self, case: usize) -> Result<Option<Record>, Failure> {
        let Some(&(begin, length)) = self.cases.get(&case) else { return Ok(None) };
        let mut text = vec![0; length];
        let read = self.file.seek(SeekFrom::Start(begin)).and_then(|_| self.file.read_exact(&mut text));
        read.map_err(|error| unusable(&self.path, &error))?;
        let line: Line = serde_json::from_slice(&text).map_err(|error| damaged(&self.path, &error))?;
        let Line::Case(_, stored) = line else { return Err(damaged(&self.path, &"a line is not that of a case")) };
        let row = |(columns, cells): (usize, Vec<Cell>)| {
            let names = self.columns.get(columns).cloned().unwrap_or_default();
            Row(names.into_iter().zip(cells).collect())
        };
        Ok(Some(Record {
            inputs: stored.inputs,
            warnings: stored.warnings,
            rows: stored.rows.into_iter().map(row).collect(),
            failure: stored.failure,
        }))
    }

    fn add(&mut self, line: &Line) -> Result<(), Failure> {
        let mut text = serde_json::to_vec(line).map_err(|error| damaged(&self.path, &error))?;
        text.push(b'\n');
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(&text));
        written.map_err(|error| unusable(&self.path, &error))?;
        self.end += text.len() as u64;
        Ok(())
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{error}: {}", path.display()))
}

fn damaged(path: &Path, reason: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("the journal of the interrupted run is damaged: {reason}: {}", path.display()))
        .help("remove it to begin anew")
}
