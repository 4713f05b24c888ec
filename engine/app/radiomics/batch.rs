//! Cases in parallel, their rows in order, and what a later run can continue.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
};

use isoscan_script::Progress as _;

use super::{
    cases::Case,
    extraction::{Numbered, Plan, measure, refused},
    journal::{Journal, Record},
    made::Made,
    parquet::{Columns, ParquetTable},
    table::{Added, Format, Stream, beside},
};
use crate::{
    failure::Failure,
    progress::{Shown, note},
};

/// Where the table goes and how.
pub(crate) struct Output<'a> {
    pub(crate) table: &'a Path,
    pub(crate) format: Format,
    pub(crate) made: &'a Made,
    /// Continue an interrupted run.
    pub(crate) resume: bool,
}

/// What became of the cases.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) rows: usize,
    /// The first cases that failed, with their reasons.
    pub(crate) failed: Vec<(String, String, Option<String>)>,
    pub(crate) failures: usize,
}

/// The journal of a table.
pub(crate) fn journal_of(table: &Path) -> PathBuf {
    beside(table, "journal")
}

/// Measures every case that is not done and leaves its rows in the journal and, in the order of the cases, in the table,
/// which is still under its unfinished name.
pub(crate) fn run(
    cases: &[Case],
    plan: &Plan,
    output: &Output<'_>,
    jobs: usize,
    cancel: &AtomicBool,
) -> Result<Growing, Failure> {
    let path = journal_of(output.table);
    let journal = match (output.resume, path.exists()) {
        (true, true) => Journal::resume(&path, output.made)?,
        (false, true) if cases.len() > 1 => {
            return Err(Failure::new(format!("an interrupted run left {}", path.display()))
                .help("continue it with --resume, or remove that file to begin anew"));
        }
        _ => Journal::begin(&path, output.made)?,
    };
    if journal.len() > 0 {
        note(&format!("{} of {} cases are done", journal.len(), cases.len()));
    }
    let mut growing = Growing::begin(output, journal)?;
    growing.write_ready()?;
    let groups = groups(cases, &growing.journal);
    let shown = Shown::default();
    if cases.len() > 1 {
        shown.begin("cases", groups.iter().map(Vec::len).sum());
    }
    let result = work(cases, &groups, plan, jobs, cancel, |case, record| {
        if cases.len() > 1 {
            shown.advance(&told(&cases[case], &record));
        }
        record.warnings.iter().for_each(|warning| note(&format!("{}: {warning}", cases[case].name())));
        growing.journal.add_case(case, &record)?;
        growing.write_ready()
    });
    if cases.len() > 1 {
        shown.end();
    }
    result?;
    if cancel.load(Ordering::SeqCst) && growing.journal.len() < cases.len() {
        return Err(Failure::new(format!("stopped: {} of {} cases are done", growing.journal.len(), cases.len()))
            .help("the same command with --resume continues"));
    }
    Ok(growing)
}

fn told(case: &Case, record: &Record) -> String {
    match &record.failure {
        None => case.name().to_owned(),
        Some((message, _)) => format!("{}: failed: {message}", case.name()),
    }
}

/// Cases that are not done, neighbours with the same files together.
fn groups(cases: &[Case], journal: &Journal) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for case in (0..cases.len()).filter(|case| !journal.holds(*case)) {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| cases[*last].shares_files(&cases[case])) => group.push(case),
            _ => groups.push(vec![case]),
        }
    }
    groups
}

/// Measures groups of cases on `jobs` threads, each of which has one group in memory; the work inside a case is shared
/// by all cores. `take` gets the records as they are made, one at a time.
fn work(
    cases: &[Case],
    groups: &[Vec<usize>],
    plan: &Plan,
    jobs: usize,
    cancel: &AtomicBool,
    mut take: impl FnMut(usize, Record) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let (done, records) = mpsc::sync_channel(jobs);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(groups.len()) {
            let (done, next, stopped) = (done.clone(), &next, &stopped);
            scope.spawn(move || {
                while !cancel.load(Ordering::SeqCst) && !stopped.load(Ordering::SeqCst) {
                    let Some(group) = groups.get(next.fetch_add(1, Ordering::SeqCst)) else { return };
                    let numbered =
                        |case: &usize| Numbered { case: &cases[*case], number: (cases.len() > 1).then_some(*case) };
                    let members: Vec<Numbered<'_>> = group.iter().map(numbered).collect();
                    let measured = catch_unwind(AssertUnwindSafe(|| measure(&members, plan)));
                    let measured = measured.unwrap_or_else(|_| refused(&members, &Failure::new("internal error")));
                    for (case, record) in group.iter().zip(measured) {
                        if done.send((*case, record)).is_err() {
                            return;
                        }
                    }
                }
            });
        }
        drop(done);
        let result = records.into_iter().try_for_each(|(case, record)| take(case, record));
        stopped.store(true, Ordering::SeqCst);
        result
    })
}

/// A table that grows with its journal.
pub(crate) struct Growing {
    pub(crate) journal: Journal,
    table: PathBuf,
    format: Format,
    stream: Option<Stream>,
    /// The first case whose rows are not in the table.
    next: usize,
}

impl Growing {
    fn begin(output: &Output<'_>, journal: Journal) -> Result<Self, Failure> {
        let stream = match output.format {
            Format::Parquet => None,
            format => Some(Stream::begin(output.table, format, Vec::new())?),
        };
        Ok(Self { journal, table: output.table.to_owned(), format: output.format, stream, next: 0 })
    }

    /// Writes the rows of every case up to the first that is not done.
    fn write_ready(&mut self) -> Result<(), Failure> {
        while self.stream.is_some() && self.journal.holds(self.next) {
            self.next = match self.write_case(self.next)? {
                None => self.next + 1,
                Some(columns) => {
                    self.stream = Some(Stream::begin(&self.table, self.format, columns)?);
                    0
                }
            };
        }
        Ok(())
    }

    /// Writes the rows of a case, or gives the columns that the table would need for them.
    fn write_case(&mut self, case: usize) -> Result<Option<Vec<String>>, Failure> {
        let rows = self.journal.case(case)?.unwrap_or_default().rows;
        let Some(stream) = &mut self.stream else { return Ok(None) };
        for row in &rows {
            if let Added::Lacks(columns) = stream.add(row)? {
                return Ok(Some(columns));
            }
        }
        Ok(None)
    }

    /// What became of the cases.
    pub(crate) fn told(&mut self, cases: &[Case]) -> Result<Told, Failure> {
        let mut told = Told::default();
        for (index, case) in cases.iter().enumerate() {
            let record = self.journal.case(index)?.unwrap_or_default();
            told.rows += record.rows.len();
            if let Some((message, help)) = record.failure {
                told.failures += 1;
                if told.failed.len() < 5 {
                    told.failed.push((case.name().to_owned(), message, help));
                }
            }
        }
        Ok(told)
    }

    /// The table takes its name.
    pub(crate) fn publish(&mut self, cases: usize) -> Result<(), Failure> {
        if let Some(stream) = self.stream.take() {
            return stream.publish(&self.table);
        }
        let mut columns = Columns::default();
        for case in 0..cases {
            self.journal.case(case)?.unwrap_or_default().rows.iter().for_each(|row| columns.take(row));
        }
        let mut table = ParquetTable::begin(&self.table, columns)?;
        for case in 0..cases {
            self.journal.case(case)?.unwrap_or_default().rows.into_iter().try_for_each(|row| table.add(row))?;
        }
        table.publish(&self.table)
    }

    /// Removes what an unfinished table left.
    pub(crate) fn discard(self) {
        let _ = fs::remove_file(beside(&self.table, "part"));
        let _ = fs::remove_file(journal_of(&self.table));
    }
}
