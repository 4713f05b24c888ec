use rayon::prelude::*;

use crate::directions::{directions, length_mm, slice_axis};
use crate::family::Named;
use crate::field::LevelField;
use crate::first_order::EPSILON;
use crate::runs::{Lengths, is_sampled};
use crate::settings::Settings;
use crate::size_matrix::{Emphases, SizeMatrix};
use crate::table::{NanReason, Outcome, mean_of_numbers, or_nan};

/// Alphabetical.
pub(crate) const NAMES: [Named; 16] = [
    ("GrayLevelNonUniformity", Some("R5YN")),
    ("GrayLevelNonUniformityNormalized", Some("OVBL")),
    ("GrayLevelVariance", Some("8CE5")),
    ("HighGrayLevelRunEmphasis", Some("G3QZ")),
    ("LongRunEmphasis", Some("W4KF")),
    ("LongRunHighGrayLevelEmphasis", Some("3KUM")),
    ("LongRunLowGrayLevelEmphasis", Some("IVPO")),
    ("LowGrayLevelRunEmphasis", Some("V3SW")),
    ("RunEntropy", Some("HJ9O")),
    ("RunLengthNonUniformity", Some("W92Y")),
    ("RunLengthNonUniformityNormalized", Some("IC23")),
    ("RunPercentage", Some("9ZK5")),
    ("RunVariance", Some("SXLW")),
    ("ShortRunEmphasis", Some("22OV")),
    ("ShortRunHighGrayLevelEmphasis", Some("GD3A")),
    ("ShortRunLowGrayLevelEmphasis", Some("HTZT")),
];

/// Features of the grey level run length matrices of a region.
///
/// Without a weighting norm every feature is computed per direction and averaged over the directions in which some line
/// holds two voxels of the region; with one the matrices are added with weights of the distance between neighbours in mm
/// (1 for `no_weighting`). The weight grows with the distance, unlike that of the GLCM: so does PyRadiomics.
pub(crate) struct Glrlm {
    /// Of each matrix that counts a run.
    emphases: Vec<Emphases>,
    /// Whether there was one matrix for the whole region, which PyRadiomics keeps also when it counts no run.
    is_one_matrix: bool,
}

impl Glrlm {
    pub(crate) fn of(field: &LevelField, spacing_mm: [f64; 3], settings: &Settings) -> Self {
        let steps = directions(field.size, &[1], slice_axis(settings));
        let step_count = steps.len();
        let matrices: Vec<(f64, SizeMatrix)> = steps
            .into_par_iter()
            .filter(|&step| is_sampled(field, step))
            .map_init(
                || Lengths::of(field),
                |lengths, step| {
                    let length = settings.weighting_norm.and_then(|norm| length_mm(norm, step, spacing_mm));
                    (length.unwrap_or(1.0), lengths.runs(step))
                },
            )
            .collect();
        let is_one_matrix = settings.weighting_norm.is_some() || step_count == 1;
        Self { is_one_matrix, ..Self::of_matrices(matrices, settings) }
    }

    /// The features of the matrices of the directions, each with its weight.
    pub(crate) fn of_matrices(matrices: Vec<(f64, SizeMatrix)>, settings: &Settings) -> Self {
        let emphases = |matrix: &SizeMatrix| matrix.emphases(matrix.voxels(), EPSILON);
        if settings.weighting_norm.is_none() {
            let emphases = matrices.iter().filter_map(|(_, matrix)| emphases(matrix)).collect();
            return Self { emphases, is_one_matrix: false };
        }
        let sum = SizeMatrix::sum_of(matrices.iter().map(|(weight, matrix)| (*weight, matrix)));
        Self { emphases: emphases(&sum).into_iter().collect(), is_one_matrix: false }
    }

    /// The value of one feature of [`NAMES`].
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        if self.emphases.is_empty() && self.is_one_matrix && ["RunEntropy", "RunVariance"].contains(&name) {
            return Ok(0.0);
        }
        or_nan(mean_of_numbers(self.emphases.iter().map(|emphases| value(emphases, name))), NanReason::NoLines)
    }
}

fn value(emphases: &Emphases, name: &str) -> f64 {
    match name {
        "GrayLevelNonUniformity" => emphases.grey_non_uniformity,
        "GrayLevelNonUniformityNormalized" => emphases.grey_non_uniformity_normalised,
        "GrayLevelVariance" => emphases.grey_variance,
        "HighGrayLevelRunEmphasis" => emphases.high_grey,
        "LongRunEmphasis" => emphases.large,
        "LongRunHighGrayLevelEmphasis" => emphases.large_high_grey,
        "LongRunLowGrayLevelEmphasis" => emphases.large_low_grey,
        "LowGrayLevelRunEmphasis" => emphases.low_grey,
        "RunEntropy" => emphases.entropy,
        "RunLengthNonUniformity" => emphases.size_non_uniformity,
        "RunLengthNonUniformityNormalized" => emphases.size_non_uniformity_normalised,
        "RunPercentage" => emphases.percentage,
        "RunVariance" => emphases.size_variance,
        "ShortRunEmphasis" => emphases.small,
        "ShortRunHighGrayLevelEmphasis" => emphases.small_high_grey,
        "ShortRunLowGrayLevelEmphasis" => emphases.small_low_grey,
        _ => f64::NAN,
    }
}
