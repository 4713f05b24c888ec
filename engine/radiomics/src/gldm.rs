use crate::family::Named;
use crate::first_order::EPSILON;
use crate::neighbourhoods::Neighbourhoods;
use crate::size_matrix::{Emphases, SizeMatrix};
use crate::table::{NanReason, Outcome};

/// Alphabetical. IBSI's codes are those of the neighbouring grey level dependence matrix (NGLDM).
pub(crate) const NAMES: [Named; 14] = [
    ("DependenceEntropy", Some("FCBV")),
    ("DependenceNonUniformity", Some("Z87G")),
    ("DependenceNonUniformityNormalized", Some("OKJI")),
    ("DependenceVariance", Some("DNX2")),
    ("GrayLevelNonUniformity", Some("FP8K")),
    ("GrayLevelVariance", Some("1PFV")),
    ("HighGrayLevelEmphasis", Some("OAE7")),
    ("LargeDependenceEmphasis", Some("IMOQ")),
    ("LargeDependenceHighGrayLevelEmphasis", Some("9QMG")),
    ("LargeDependenceLowGrayLevelEmphasis", Some("NBZI")),
    ("LowGrayLevelEmphasis", Some("TL9H")),
    ("SmallDependenceEmphasis", Some("SODN")),
    ("SmallDependenceHighGrayLevelEmphasis", Some("JA6D")),
    ("SmallDependenceLowGrayLevelEmphasis", Some("EQ3F")),
];

/// Features of the grey level dependence matrix of a region; every one has a value.
pub(crate) struct Gldm(Option<Emphases>);

impl Gldm {
    pub(crate) fn of(neighbourhoods: &Neighbourhoods) -> Self {
        Self::of_matrix(&neighbourhoods.dependences())
    }

    /// The features of the matrix of dependences.
    pub(crate) fn of_matrix(matrix: &SizeMatrix) -> Self {
        Self(matrix.emphases(matrix.counts.iter().sum(), EPSILON))
    }

    /// The value of one feature of [`NAMES`].
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        let emphases = self.0.as_ref().ok_or(NanReason::Undefined)?;
        Ok(match name {
            "DependenceEntropy" => emphases.entropy,
            "DependenceNonUniformity" => emphases.size_non_uniformity,
            "DependenceNonUniformityNormalized" => emphases.size_non_uniformity_normalised,
            "DependenceVariance" => emphases.size_variance,
            "GrayLevelNonUniformity" => emphases.grey_non_uniformity,
            "GrayLevelVariance" => emphases.grey_variance,
            "HighGrayLevelEmphasis" => emphases.high_grey,
            "LargeDependenceEmphasis" => emphases.large,
            "LargeDependenceHighGrayLevelEmphasis" => emphases.large_high_grey,
            "LargeDependenceLowGrayLevelEmphasis" => emphases.large_low_grey,
            "LowGrayLevelEmphasis" => emphases.low_grey,
            "SmallDependenceEmphasis" => emphases.small,
            "SmallDependenceHighGrayLevelEmphasis" => emphases.small_high_grey,
            "SmallDependenceLowGrayLevelEmphasis" => emphases.small_low_grey,
            _ => return Err(NanReason::Undefined),
        })
    }
}
