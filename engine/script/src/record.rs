use isoscan_metrics::Similarity;
use isoscan_radiomics::FeatureTable;
use isoscan_report::SliceFigure;

use crate::scan::Maker;

/// What a script measured on one subject, in the order of the script.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) features: Vec<Measured>,
    pub(crate) similarities: Vec<Compared>,
    pub(crate) figures: Vec<SliceFigure>,
    pub(crate) failures: Vec<Failure>,
    /// The plugin behind each method.
    pub(crate) makers: Vec<(String, Maker)>,
}

/// Features of one region at one stage.
#[derive(Debug)]
pub(crate) struct Measured {
    /// `source`, `reference`, or the id of the plugin that translated.
    pub(crate) stage: String,
    pub(crate) roi: String,
    pub(crate) table: FeatureTable,
}

/// How close an image is to the reference.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    /// `source`, or the id of the plugin that translated.
    pub(crate) stage: String,
    /// Unit of the absolute errors.
    pub(crate) unit: String,
    pub(crate) alike: Similarity,
}

/// A step that failed on this subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: String,
    pub(crate) message: String,
}
