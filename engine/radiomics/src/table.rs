use std::fmt;

use crate::{Diagnostics, FeatureFamily};

/// One feature of one region.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Feature {
    /// PyRadiomics' name, such as `original_firstorder_Mean`.
    pub name: String,
    /// The family.
    pub family: FeatureFamily,
    /// The value; NaN when [`reason`](Self::reason) says why.
    pub value: f64,
    /// Code of the same quantity in the IBSI reference manual.
    pub ibsi: Option<&'static str>,
    /// Why the value is NaN; `None` for every number.
    pub reason: Option<NanReason>,
}

/// Why a feature has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NanReason {
    /// No voxel pair of the region lies at any of the distances.
    NoPairs,
    /// No line of voxels in any direction holds two voxels of the region.
    NoLines,
    /// No voxel lies between the 10th and the 90th percentile.
    NoVoxelBetweenPercentiles,
    /// The mutual information came out negative by rounding in every direction.
    NegativeInformation,
    /// The region's mesh encloses no volume.
    NoVolume,
    /// The form of one slice is asked for without `force2D`.
    NotForcedTo2D,
    /// PyRadiomics knows the name and gives no value, because another feature is equal to it.
    Superseded,
    /// The eigenvalues of the matrix did not converge.
    NoConvergence,
    /// The region is a single voxel.
    OneVoxel,
    /// All intensities of the region are equal.
    NoVariation,
    /// The region has a single grey level.
    OneLevel,
    /// The region's box is too large to sum over all pairs of voxels.
    TooManyPairs,
    /// A division by zero of the definition.
    Undefined,
}

impl fmt::Display for NanReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPairs => "no voxel pair at any of the distances",
            Self::NoLines => "no line in any direction holds two voxels",
            Self::NoVoxelBetweenPercentiles => "no voxel between the 10th and the 90th percentile",
            Self::NegativeInformation => "mutual information is negative by rounding",
            Self::NoVolume => "mesh encloses no volume",
            Self::NotForcedTo2D => "shape2D needs force2D and a region of one slice",
            Self::Superseded => "deprecated: equal to another feature",
            Self::NoConvergence => "eigenvalues did not converge",
            Self::OneVoxel => "region is a single voxel",
            Self::NoVariation => "intensities do not vary",
            Self::OneLevel => "region has a single grey level",
            Self::TooManyPairs => "region is too large to sum over all pairs of voxels",
            Self::Undefined => "the definition divides by zero",
        })
    }
}

/// The features of one region, in a fixed order: by family, then as the family lists them.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct FeatureTable {
    /// The features.
    pub features: Vec<Feature>,
    /// What the values were computed on.
    pub diagnostics: Diagnostics,
}

impl FeatureTable {
    /// The value of the feature called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.features.iter().find(|feature| feature.name == name).map(|feature| feature.value)
    }
}

/// A value, or why there is none.
pub(crate) type Outcome = Result<f64, NanReason>;

/// `value` as an outcome: a NaN becomes `reason`.
pub(crate) fn or_nan(value: f64, reason: NanReason) -> Outcome {
    if value.is_nan() { Err(reason) } else { Ok(value) }
}

/// `a / b`, or that the definition divides by zero.
pub(crate) fn quotient(a: f64, b: f64) -> Outcome {
    let value = a / b;
    if value.is_finite() { Ok(value) } else { Err(NanReason::Undefined) }
}

/// Mean of the values that are not NaN; NaN when there is none.
pub(crate) fn mean_of_numbers(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.filter(|v| !v.is_nan()).fold((0.0, 0.0), |(n, sum), v| (n + 1.0, sum + v));
    sum / n
}
