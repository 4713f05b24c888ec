use std::collections::BTreeMap;

use isoscan_metrics::{Ccc, ShareGain};
use ndarray::Array2;

/// Everything that a report page says, as values: the page and the tables are pure functions of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Heading of the page, for instance "Harmonize abdomen CT".
    pub title: String,
    /// Where the images came from; phantoms get their own warning on the page.
    pub origin: Origin,
    /// What the images before translation are, in the words of the study, for instance "sharp kernel, low dose, 1 mm".
    pub source: String,
    /// What they are compared with; `None` when the study has no reference images.
    pub reference: Option<String>,
    /// Features with a CCC at or above this count as reproducible (0.80 unless the script says otherwise).
    pub threshold: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Version of the engine that computed the results.
    pub engine_version: String,
    /// The script that ran.
    pub script: Script,
    /// One row per subject, and one more for each method that failed on a subject.
    pub subjects: Vec<SubjectRow>,
    /// One entry per method in the order of the script.
    pub methods: Vec<MethodResult>,
    /// Slices to look at.
    pub slices: Vec<SliceFigure>,
    /// Features whose differences are plotted one by one.
    pub bland_altman: Vec<DifferencePlot>,
    /// Facts that someone needs who wants to run the study again, as name and value, in the order to print.
    pub provenance: Vec<(String, String)>,
    /// What the reader has to know before using the numbers, one sentence each.
    pub warnings: Vec<String>,
    /// Names and definitions of the measures used, in the order to print.
    pub definitions: Vec<(String, String)>,
}

/// Where the images of a cohort came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Simulated anatomy and scanners.
    Phantom,
    /// Images of a scanner.
    Acquired,
}

/// A script by name and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// File name without its folder.
    pub name: String,
    /// SHA-256 of the file's bytes in hexadecimal digits.
    pub sha256: String,
}

/// What became of one subject, or of one subject under one method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRow {
    /// Pseudonym of the subject; never a patient identifier.
    pub id: String,
    /// The method that the row is about; `None` when it is about the subject as a whole.
    pub method: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a subject's work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All stages ran.
    Done,
    /// A stage failed; the other subjects went on.
    Failed {
        /// The stage in the words of the script: read, translate, radiomics, ...
        stage: String,
        /// The error's message.
        message: String,
    },
}

/// What a method is in the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The method that the study is about; the page's verdict is about the first of them.
    Candidate,
    /// A method to compare it with.
    Baseline,
}

/// The plugin behind a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginVersion {
    /// Plugin id.
    pub id: String,
    /// Plugin version.
    pub version: String,
    /// SHA-256 of the library in hexadecimal digits.
    pub sha256: String,
    /// SHA-256 over the weights, for plugins that have some.
    pub weights_sha256: Option<String>,
}

/// What one method did to the agreement with the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodResult {
    /// Name of the method in the script and in the tables.
    pub name: String,
    /// Candidate or baseline.
    pub role: Role,
    /// The plugin that ran; `None` when nothing could be opened.
    pub plugin: Option<PluginVersion>,
    /// Parameters the plugin ran with.
    pub params: BTreeMap<String, String>,
    /// Why there is no result: the method was refused, or the study has no reference.
    pub not_judged: Option<String>,
    /// Share of features at or above the threshold before and after, with its interval; before means not translated.
    pub gain: Option<ShareGain>,
    /// Agreement of every feature in every ROI.
    pub ccc: Vec<CccRow>,
    /// Image similarity to the reference before and after.
    pub similarity: Vec<SimilarityRow>,
}

/// Agreement of one feature in one ROI with the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct CccRow {
    /// Feature name, for instance `original_firstorder_Mean`.
    pub feature: String,
    /// Name of the region.
    pub roi: String,
    /// Agreement of the untranslated images.
    pub before: Option<Ccc>,
    /// Agreement of the translated images.
    pub after: Option<Ccc>,
    /// Why a value is missing, for instance "both constant".
    pub reason: Option<String>,
}

impl CccRow {
    /// Whether the estimate is lower after translation than before; `None` when either is missing.
    pub fn got_worse(&self) -> Option<bool> {
        let (before, after) = (self.before.as_ref()?, self.after.as_ref()?);
        Some(after.estimate < before.estimate)
    }
}

/// One similarity measure, averaged over the subjects.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarityRow {
    /// Name, for instance "MAE".
    pub name: String,
    /// Unit of the values; empty for a plain number.
    pub unit: String,
    /// Untranslated images against the reference.
    pub before: f64,
    /// Translated images against the reference.
    pub after: f64,
    /// Whether a higher value means more alike.
    pub higher_is_better: bool,
    /// Number of subjects in the mean.
    pub n: usize,
}

/// One slice before and after translation.
///
/// Arrays are `[row, column]` as seen on the screen, row 0 on top, in `unit`.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceFigure {
    /// Pseudonym of the subject.
    pub subject: String,
    /// Name of the method.
    pub method: String,
    /// Whether the translated slice is generated content, to be marked as such.
    pub synthetic: bool,
    /// Where the slice lies, for instance "axial, z = 31".
    pub place: String,
    /// Unit of the values as printed, for instance "HU".
    pub unit: String,
    /// Window as centre and width in `unit`.
    pub window: [f64; 2],
    /// Width and height of a pixel in mm.
    pub pixel_mm: [f64; 2],
    /// The untranslated slice.
    pub before: Array2<f32>,
    /// The translated slice, of the same size.
    pub after: Array2<f32>,
    /// The reference slice at the same place, of any size.
    pub reference: Option<Array2<f32>>,
}

/// A feature whose values are compared with the reference subject by subject.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferencePlot {
    /// Name of the method.
    pub method: String,
    /// Feature name.
    pub feature: String,
    /// Name of the region.
    pub roi: String,
    /// Pairs (untranslated, reference), one per subject.
    pub before: Vec<[f64; 2]>,
    /// Pairs (translated, reference), one per subject.
    pub after: Vec<[f64; 2]>,
}

/// One line of `features.csv`: the features of one subject in one ROI at one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRow {
    /// Pseudonym of the subject.
    pub subject: String,
    /// Name of the region.
    pub roi: String,
    /// Which image was measured.
    pub stage: Stage,
    /// Feature names and values in the order of extraction.
    pub values: Vec<(String, f64)>,
}

/// Which image the features of a row were measured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The untranslated image.
    Source,
    /// The image translated by the named method.
    Translated(String),
    /// The reference image.
    Reference,
}
