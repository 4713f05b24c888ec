use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use isoscan_imaging::{Mask, Modality};
use isoscan_io::{BidsDataset, BidsImage, SeriesKind, SeriesSummary};
use rayon::prelude::*;
use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, Map, NativeCallContext};

use crate::{
    Error, bids, reading,
    record::{Failure, Record},
    scan::{Roi, Scan},
    state::Run,
    value::{argument, number},
};

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// The scans of a study, subject by subject, in the order of their names.
#[derive(Clone)]
pub(crate) struct Cohort {
    pub(crate) subjects: Arc<Vec<Subject>>,
    pub(crate) phantom: bool,
}

/// One subject: a scan to translate, perhaps a reference scan of the same anatomy, perhaps labels. What the script
/// measures on it is kept in its record.
#[derive(Clone)]
pub(crate) struct Subject(Arc<Inner>);

struct Inner {
    id: String,
    index: usize,
    source: Place,
    reference: Option<Place>,
    labels: Option<Place>,
    names: Arc<Vec<(i32, String)>>,
    styles: Arc<Vec<Place>>,
    rois: Mutex<Option<Arc<BTreeMap<String, Roi>>>>,
    record: Mutex<Record>,
    bids: Option<(Arc<BidsDataset>, BidsImage)>,
}

/// Where a series lies.
#[derive(Clone)]
enum Place {
    Path(PathBuf),
    Series(Box<SeriesSummary>),
}

impl Place {
    fn read(&self, run: &Run) -> Result<Scan, Error> {
        let series = match self {
            Self::Path(path) => isoscan_io::read(path)?,
            Self::Series(summary) => isoscan_io::read_series(summary)?,
        };
        reading::scan_of(run, series)
    }

    fn modality(&self) -> Option<Modality> {
        match self {
            Self::Path(path) => isoscan_io::list(path).ok()?.first().map(|series| series.modality),
            Self::Series(summary) => Some(summary.modality),
        }
    }
}

impl Subject {
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// The dataset and the image that the subject's scan is, when the cohort is a BIDS dataset.
    pub(crate) fn bids(&self) -> Option<&(Arc<BidsDataset>, BidsImage)> {
        self.0.bids.as_ref()
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Regions by name: the labels of the cohort, or the body when it has none.
    pub(crate) fn rois(&self, run: &Run) -> Result<Arc<BTreeMap<String, Roi>>, Error> {
        let mut kept = self.0.rois.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rois) = kept.as_ref() {
            return Ok(rois.clone());
        }
        let masks = match &self.0.labels {
            Some(labels) => self.labelled(run, labels)?,
            None => vec![("whole-body".to_owned(), isoscan_imaging::body(&self.0.source.read(run)?.volume)?)],
        };
        let rois =
            masks.into_iter().map(|(name, mask)| Ok((name, Roi::new(run, mask)?))).collect::<Result<_, Error>>()?;
        let rois = Arc::new(rois);
        *kept = Some(Arc::clone(&rois));
        Ok(rois)
    }

    fn labelled(&self, run: &Run, labels: &Place) -> Result<Vec<(String, Mask)>, Error> {
        let labels = labels.read(run)?;
        let mut masks: Vec<(String, Mask)> = Vec::new();
        if self.0.names.is_empty() {
            let inside = labels.volume.voxels().mapv(|value| value > 0.0);
            masks.push(("mask".to_owned(), Mask::new(inside, labels.volume.geometry().clone())?));
        }
        for (label, name) in self.0.names.iter() {
            let mask = Mask::of_label(&labels.volume, *label);
            if mask.count() > 0 {
                masks.push((name.clone(), mask));
            }
        }
        for (_, mask) in &masks {
            mask.require_any()?;
        }
        Ok(masks)
    }

    /// Takes `margin_mm` off the edge of every region, so that neighbours do not shine in; a region with nothing left is
    /// dropped.
    fn shrink_rois(&self, run: &Run, margin_mm: f64) -> Result<(), Error> {
        let mut shrunk = BTreeMap::new();
        for (name, roi) in self.rois(run)?.iter() {
            let mask = isoscan_imaging::erode(&roi.mask, margin_mm)?;
            if mask.count() > 0 {
                shrunk.insert(name.clone(), Roi::new(run, mask)?);
            }
        }
        *self.0.rois.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shrunk));
        Ok(())
    }

    /// Keeps only the regions with these names.
    fn keep_rois(&self, run: &Run, names: &[String]) -> Result<(), Error> {
        let rois = self.rois(run)?;
        let kept: BTreeMap<String, Roi> = rois
            .iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(name, roi)| (name.clone(), roi.clone()))
            .collect();
        if kept.is_empty() {
            let there = rois.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(argument("regions", &format!("some of {there}"), names.join(", ")));
        }
        *self.0.rois.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(kept));
        Ok(())
    }

    /// Lets go of what was kept while the subject was worked on.
    fn forget(&self) {
        *self.0.rois.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Finds the subjects below a granted folder.
///
/// In a BIDS dataset every scan that `options` select is a subject (see [`bids::scans`]). Elsewhere every subject is a
/// folder that holds `source` (a NIfTI file or a DICOM folder), perhaps `reference` and `labels` or `mask`, with the
/// labels' names in `dseg.tsv` beside the folders; or every series found below is a subject of its own, without
/// reference. `template` beside them is a scan in the style to reach.
fn open(run: &Run, path: &str, options: &Map) -> Result<Cohort, Error> {
    let folder = run.access.readable(path)?;
    let found = if isoscan_io::is_bids(&folder) {
        from_bids(&folder, options)?
    } else if options.is_empty() {
        from_folders(&folder)?
    } else {
        return Err(argument("options of cohort", "none outside a BIDS dataset", path));
    };
    if found.is_empty() {
        return Err(Error::EmptyCohort { path: PathBuf::from(path) });
    }
    let names = Arc::new(label_names(&folder)?);
    let template = named(&folder, "template").map(Place::Path);
    let styles = Arc::new(template.into_iter().chain(found.iter().map(|found| found.source.clone())).collect());
    let subject = |(index, found): (usize, Found)| {
        Subject(Arc::new(Inner {
            id: found.id,
            index,
            source: found.source,
            reference: found.reference,
            labels: found.labels,
            names: Arc::clone(&names),
            styles: Arc::clone(&styles),
            rois: Mutex::default(),
            record: Mutex::default(),
            bids: found.bids,
        }))
    };
    let subjects = found.into_iter().enumerate().map(subject).collect();
    Ok(Cohort { subjects: Arc::new(subjects), phantom: folder.join("phantom.json").is_file() })
}

fn from_bids(folder: &Path, options: &Map) -> Result<Vec<Found>, Error> {
    let (dataset, scans) = bids::scans(folder, options)?;
    let place = |image: BidsImage| Place::Path(image.path);
    let found = |scan: bids::Found| Found {
        id: scan.image.stem(),
        source: Place::Path(scan.image.path.clone()),
        reference: scan.reference.map(place),
        labels: scan.labels.map(place),
        bids: Some((Arc::clone(&dataset), scan.image)),
    };
    Ok(scans.into_iter().map(found).collect())
}

fn from_folders(folder: &Path) -> Result<Vec<Found>, Error> {
    let found = paired(folder);
    if !found.is_empty() {
        return Ok(found);
    }
    let listed = isoscan_io::list(folder)?;
    let images: Vec<SeriesSummary> = listed.into_iter().filter(|series| series.modality != Modality::Seg).collect();
    let named = series_ids(folder, &images).into_iter().zip(images);
    let place = |series| Place::Series(Box::new(series));
    let found = |(id, series)| Found { id, source: place(series), reference: None, labels: None, bids: None };
    Ok(named.map(found).collect())
}

/// What a folder holds of one subject.
struct Found {
    id: String,
    source: Place,
    reference: Option<Place>,
    labels: Option<Place>,
    bids: Option<(Arc<BidsDataset>, BidsImage)>,
}

fn paired(folder: &Path) -> Vec<Found> {
    let mut folders: Vec<PathBuf> = entries(folder).into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    let subject = |path: &PathBuf| {
        Some(Found {
            id: path.file_name()?.to_string_lossy().into_owned(),
            source: Place::Path(named(path, "source")?),
            reference: named(path, "reference").map(Place::Path),
            labels: named(path, "labels").or_else(|| named(path, "mask")).map(Place::Path),
            bids: None,
        })
    };
    folders.iter().filter_map(subject).collect()
}

/// Names for series that hold nothing of the patient: their places below the cohort's folder, numbered where several
/// share one.
fn series_ids(folder: &Path, found: &[SeriesSummary]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let place = |series: &SeriesSummary| {
        let file = series.paths.first().cloned().unwrap_or_default();
        let place =
            if series.kind == SeriesKind::Dicom && series.paths.len() > 1 { file.parent() } else { Some(&*file) };
        let inside =
            place.and_then(|place| place.strip_prefix(folder).ok()).filter(|rest| !rest.as_os_str().is_empty());
        let name = inside.or_else(|| folder.file_name().map(Path::new)).unwrap_or(folder).display().to_string();
        name.trim_end_matches(".gz").trim_end_matches(".nii").replace(['/', '\\', ' '], "_")
    };
    let mut name = |series: &SeriesSummary| {
        let name = place(series);
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}_{count}") }
    };
    found.iter().map(&mut name).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(folder).into_iter().flatten();
    listing.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

/// `stem`, `stem.nii`, `stem.nii.gz` or `stem_*.nii[.gz]` in `folder`.
fn named(folder: &Path, stem: &str) -> Option<PathBuf> {
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix(stem)?;
        let image = rest.is_empty() || rest.ends_with(".nii") || rest.ends_with(".nii.gz") || rest == ".dcm";
        (image && (rest.is_empty() || rest.starts_with(['.', '_']))).then_some(())
    };
    let mut found: Vec<PathBuf> = entries(folder).into_iter().filter(|path| fits(path).is_some()).collect();
    found.sort();
    found.into_iter().next()
}

/// Label numbers and names of a BIDS `dseg.tsv` (columns `index`, `name`), or none.
fn label_names(folder: &Path) -> Result<Vec<(i32, String)>, Error> {
    let Ok(text) = std::fs::read_to_string(folder.join("dseg.tsv")) else {
        return Ok(Vec::new());
    };
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("index\tname") {
        return Err(argument("dseg.tsv", "a table that starts with the columns index and name", "another first line"));
    }
    let row = |line: &str| {
        let (index, name) = line.split_once('\t')?;
        Some((index.trim().parse().ok()?, name.trim().to_owned()))
    };
    let filled = lines.filter(|line| !line.trim().is_empty());
    filled
        .map(|line| row(line).ok_or_else(|| argument("dseg.tsv", "rows of a label number and a name", line)))
        .collect()
}

/// Registers cohorts and subjects with their verbs.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("cohort", move |path: &str| -> Verb<Cohort> { Ok(open(&shared, path, &Map::new())?) });
    let shared = run.clone();
    engine
        .register_fn("cohort", move |path: &str, options: Map| -> Verb<Cohort> { Ok(open(&shared, path, &options)?) });
    engine
        .register_type_with_name::<Cohort>("Cohort")
        .register_get("count", |cohort: &mut Cohort| cohort.subjects.len() as i64)
        .register_get("subjects", |cohort: &mut Cohort| -> Array {
            cohort.subjects.iter().map(|subject| Dynamic::from(subject.clone())).collect()
        });
    let shared = run.clone();
    engine.register_fn("each", move |context: NativeCallContext, cohort: &mut Cohort, work: FnPtr| -> Verb<Array> {
        each(&context, &shared, cohort, &work)
    });
    engine
        .register_type_with_name::<Subject>("Subject")
        .register_get("id", |subject: &mut Subject| subject.0.id.clone())
        .register_get("index", |subject: &mut Subject| subject.0.index as i64)
        .register_get("has_reference", |subject: &mut Subject| subject.0.reference.is_some());
    let shared = run.clone();
    engine.register_get("source", move |subject: &mut Subject| -> Verb<Scan> { Ok(subject.0.source.read(&shared)?) });
    let shared = run.clone();
    engine.register_get("reference", move |subject: &mut Subject| -> Verb<Scan> {
        let missing = || Error::Lacks { subject: subject.0.id.clone(), what: "reference" };
        Ok(subject.0.reference.as_ref().ok_or_else(missing)?.read(&shared)?)
    });
    let shared = run.clone();
    engine.register_get("rois", move |subject: &mut Subject| -> Verb<Map> {
        let rois = subject.rois(&shared)?;
        Ok(rois.iter().map(|(name, roi)| (name.as_str().into(), Dynamic::from(roi.clone()))).collect())
    });
    let shared = run.clone();
    engine.register_fn("style", move |subject: &mut Subject, like: Scan| -> Verb<Scan> {
        Ok(style(&shared, subject, like.volume.modality())?)
    });
    let shared = run.clone();
    engine.register_fn("keep_rois", move |subject: &mut Subject, names: Array| -> Verb<()> {
        let text =
            |name: &Dynamic| name.clone().into_string().map_err(|_| argument("regions", "a list of names", name));
        let names = names.iter().map(text).collect::<Result<Vec<String>, Error>>()?;
        Ok(subject.keep_rois(&shared, &names)?)
    });
    let shared = run.clone();
    engine.register_fn("shrink_rois", move |subject: &mut Subject, margin_mm: Dynamic| -> Verb<()> {
        Ok(subject.shrink_rois(&shared, number("margin", &margin_mm)?)?)
    });
}

/// A scan in the style to reach: the cohort's `template`, or else its first scan of this modality.
fn style(run: &Run, subject: &Subject, modality: Modality) -> Result<Scan, Error> {
    let missing = || argument("style", "a cohort with a template or a scan of the same modality", modality);
    subject.0.styles.iter().find(|place| place.modality() == Some(modality)).ok_or_else(missing)?.read(run)
}

/// Runs `work` on every subject, on all cores of the run; results come in the order of the subjects. A subject whose
/// closure fails gets a failure in its record, and the others go on.
fn each(context: &NativeCallContext<'_>, run: &Run, cohort: &Cohort, work: &FnPtr) -> Verb<Array> {
    let engine = context.engine();
    let ast = run.ast.get().expect("a closure runs only after its script was compiled");
    run.progress.begin("subjects", cohort.subjects.len());
    let results: Vec<Verb<Dynamic>> = cohort
        .subjects
        .par_iter()
        .map(|subject| {
            let result = own_captures(work).call::<Dynamic>(engine, ast, (subject.clone(),));
            subject.forget();
            run.progress.advance(subject.id());
            settle(run, subject, result)
        })
        .collect();
    run.progress.end();
    results.into_iter().collect()
}

/// A closure with its own copy of the variables that it captured, so that threads do not meet in them.
fn own_captures(work: &FnPtr) -> FnPtr {
    let mut own = work.clone();
    let captured: Vec<Dynamic> = own.iter_curry().map(|value| value.flatten_clone()).collect();
    own.set_curry(captured);
    own
}

/// A failure inside a closure belongs to its subject; a stopped run ends the whole.
fn settle(run: &Run, subject: &Subject, result: Verb<Dynamic>) -> Verb<Dynamic> {
    let error = match result {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let stopped = crate::limits::is_stop(&error) || run.stop.is_set();
    if stopped || crate::limits::is_mistake(&error) {
        return Err(error);
    }
    let message = crate::limits::sentence(&error);
    subject.record().failures.push(Failure { stage: "subject".to_owned(), message });
    Ok(Dynamic::UNIT)
}
