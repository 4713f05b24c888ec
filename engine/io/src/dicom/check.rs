use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dicom_core::{DataDictionary, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::{FileMetaTable, InMemDicomObject, OpenFileOptions};
use rayon::prelude::*;
use serde::Serialize;
use walkdir::WalkDir;

use super::attributes::{text, texts};
use super::derive::SCHEME;
use super::header::Slice;
use crate::Error;

mod classes;
mod derived;
mod file;
mod frames;
mod groups;
mod iods;
mod modules;
mod pixels;
mod place;
mod rules;
mod series;
mod values;

pub use rules::{Rule, check_rules};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The standard, or our own rule for derived images, is broken.
    Error,
    /// Legal, or not to be decided from the files alone, but other programs may stumble.
    Warning,
}

/// One attribute of one file that breaks a rule. Holds no patient identifier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// Short name of the rule.
    pub rule: &'static str,
    /// The file.
    pub file: PathBuf,
    /// The attribute, `(gggg,eeee)`, with its sequence before it; empty for the file as a whole.
    pub tag: String,
    /// The attribute by name.
    pub attribute: String,
    /// What the file has.
    pub found: String,
    /// What the rule asks for.
    pub expected: String,
    /// Where the rule stands.
    pub reference: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, tag, attribute, found, expected, file, .. } = self;
        write!(f, "{rule}: {attribute} {tag}: expected {expected}, found {found}: {}", file.display())
    }
}

/// Checks every DICOM file under a file or folder against the rules of [`check_rules`]: values, modules of its image class,
/// pixel description, derivation, and how the files of a series fit together. Gives findings by file, then by rule.
///
/// Files that are no DICOM are passed over. Objects written by this program are held to more than the standard asks.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read; [`Error::NotAnImage`] when a single file is no DICOM.
pub fn check_dicom(path: &Path) -> Result<Vec<Finding>, Error> {
    let single = !path.is_dir();
    let mut paths = Vec::new();
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::Io {
            action: "look into",
            path: e.path().unwrap_or(path).to_owned(),
            source: e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")),
        })?;
        if entry.path().is_file() {
            paths.push(entry.into_path());
        }
    }
    let lists = Lists::default();
    let checked: Vec<_> = paths.par_iter().map(|path| check_file(path, &lists)).collect();
    let mut members = Vec::new();
    let mut report = Report::default();
    for (path, checked) in paths.into_iter().zip(checked) {
        match checked {
            Ok((member, own)) => {
                members.push(member);
                report.findings.extend(own.findings);
            }
            Err(Error::NotAnImage { .. }) if !single => {}
            Err(error @ (Error::NotAnImage { .. } | Error::Io { .. })) => return Err(error),
            Err(error) => {
                // The reason ends in the path, which the finding names already.
                let words = error.to_string();
                let reason = words.strip_suffix(&format!(": {}", path.display())).unwrap_or(&words).to_owned();
                report.add(&rules::UNREADABLE, &path, &[], reason);
            }
        }
    }
    series::check(&members, &mut report);
    report.findings.sort_by(|a, b| (&a.file, a.rule, &a.tag, &a.found).cmp(&(&b.file, b.rule, &b.tag, &b.found)));
    report.findings.dedup();
    Ok(report.findings)
}

/// Refuses freshly written objects with an error that their sources do not have; `published` is the name in the error.
pub(crate) fn require_conformant(written: &Path, published: &Path, sources: &[PathBuf]) -> Result<(), Error> {
    let mut found = check_dicom(written)?;
    found.retain(|finding| finding.severity == Severity::Error);
    if found.is_empty() {
        return Ok(());
    }
    let mut inherited: BTreeMap<(&str, String), ()> = BTreeMap::new();
    for source in sources {
        inherited.extend(check_dicom(source)?.into_iter().map(|finding| ((finding.rule, finding.tag), ())));
    }
    found.retain(|finding| !inherited.contains_key(&(finding.rule, finding.tag.clone())));
    if found.is_empty() {
        return Ok(());
    }
    for finding in &mut found {
        let name = finding.file.strip_prefix(written).unwrap_or(&finding.file).to_owned();
        finding.file = if name.as_os_str().is_empty() { published.to_owned() } else { published.join(name) };
    }
    Err(Error::NotConformant { found, path: published.to_owned() })
}

/// One parsed file.
pub(crate) struct Object {
    pub(crate) path: PathBuf,
    /// `None` for a file without a meta group.
    pub(crate) meta: Option<FileMetaTable>,
    /// Everything before the pixels, private attributes too.
    pub(crate) data: InMemDicomObject,
    pub(crate) slice: Slice,
    /// Value 1 of Image Type is DERIVED.
    pub(crate) derived: bool,
    /// Made by this program from other images.
    pub(crate) ours: bool,
}

impl Object {
    fn read(path: &Path) -> Result<Self, Error> {
        let slice = Slice::read_header(path)?;
        let options = || OpenFileOptions::new().read_until(Tag(0x7FE0, 0x0000));
        let opened = catch_unwind(AssertUnwindSafe(|| options().open_file(path))).ok().and_then(Result::ok);
        let (meta, data) = match opened {
            Some(file) => (Some(file.meta().clone()), file.into_inner()),
            None => (meta_of(path), (*slice.object).clone()),
        };
        let derived = texts(&data, tags::IMAGE_TYPE).first().is_some_and(|word| word == "DERIVED");
        let block = (0x10..=0xFF).any(|e| text(&data, Tag(0x0099, e)).as_deref() == Some(SCHEME));
        Ok(Self { path: path.to_owned(), meta, data, slice, derived, ours: derived && block })
    }
}

/// The meta group of a file whose data set the parser cannot follow, such as a deflated one.
fn meta_of(path: &Path) -> Option<FileMetaTable> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(128)).ok()?;
    catch_unwind(AssertUnwindSafe(|| FileMetaTable::from_reader(BufReader::new(file)))).ok()?.ok()
}

/// What a comparison with the other files needs of one; the whole headers of a large series do not fit memory together, for
/// each of its files may list all files that it was made from.
pub(crate) struct Member {
    pub(crate) path: PathBuf,
    /// Attributes other than sequences.
    pub(crate) data: InMemDicomObject,
    pub(crate) slice: Slice,
    pub(crate) ours: bool,
    /// SOP Instance UIDs of the images that this one was made from.
    pub(crate) sources: Arc<[String]>,
}

/// Lists of source images, each kept once, however many files have it.
type Lists = Mutex<BTreeSet<Arc<[String]>>>;

impl Member {
    fn of(object: Object, lists: &Lists) -> Self {
        let Object { path, mut data, mut slice, ours, .. } = object;
        let items = data.get(tags::SOURCE_IMAGE_SEQUENCE).and_then(|element| element.items()).unwrap_or_default();
        let uids = items.iter().filter_map(|item| text(item, tags::REFERENCED_SOP_INSTANCE_UID));
        let sources: Vec<String> = uids.collect();
        let mut lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lists.get(&sources[..]).cloned();
        let sources = known.unwrap_or_else(|| {
            let list = Arc::<[String]>::from(sources);
            lists.insert(list.clone());
            list
        });
        drop(lists);
        data.retain(|element| element.vr() != VR::SQ);
        Arc::make_mut(&mut slice.object).remove_element(tags::SOURCE_IMAGE_SEQUENCE);
        slice.unpacked = None;
        Self { path, data, slice, ours, sources }
    }
}

/// Checks a file by itself.
fn check_file(path: &Path, lists: &Lists) -> Result<(Member, Report), Error> {
    let object = Object::read(path)?;
    let report = check_object(&object);
    Ok((Member::of(object, lists), report))
}

fn check_object(object: &Object) -> Report {
    let mut report = Report::default();
    file::check(object, &mut report);
    values::check(object, &mut report);
    iods::check(object, &mut report);
    place::check(object, &mut report);
    pixels::check(object, &mut report);
    frames::check(object, &mut report);
    derived::check(object, &mut report);
    report
}

/// Findings as they are made.
#[derive(Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding with the rule's own words for what is expected. `place` are the sequences and then the attribute.
    pub(crate) fn add(&mut self, rule: &'static Rule, file: &Path, place: &[Tag], found: impl Into<String>) {
        self.add_expecting(rule, file, place, found, rule.expected);
    }

    pub(crate) fn add_expecting(
        &mut self,
        rule: &'static Rule,
        file: &Path,
        place: &[Tag],
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let names: Vec<&str> = place.iter().map(|&tag| name(tag)).collect();
        self.findings.push(Finding {
            severity: rule.severity,
            rule: rule.id,
            file: file.to_owned(),
            tag: place.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            attribute: names.join(" > "),
            found: found.into(),
            expected: expected.into(),
            reference: rule.reference,
            remedy: rule.remedy,
        });
    }
}

fn name(tag: Tag) -> &'static str {
    if tag.group() % 2 == 1 {
        return "private attribute";
    }
    StandardDataDictionary.by_tag(tag).map_or("unknown attribute", |entry| entry.alias)
}

/// The value of an attribute as a report may show it: never a patient's, a person's or a place's.
pub(crate) fn shown(object: &InMemDicomObject, tag: Tag) -> String {
    let Some(element) = object.get(tag) else { return "nothing".to_owned() };
    let Ok(value) = element.to_str() else { return "bytes".to_owned() };
    let value = value.trim_matches([' ', '\0']);
    if value.is_empty() {
        return "no value".to_owned();
    }
    let technical = matches!(
        element.vr(),
        VR::CS | VR::UI | VR::DS | VR::IS | VR::US | VR::SS | VR::UL | VR::SL | VR::FL | VR::FD | VR::AT
    );
    if technical && tag.group() != 0x0010 {
        return value.chars().filter(|c| !c.is_control()).take(80).collect();
    }
    format!("{} characters", value.chars().count())
}
