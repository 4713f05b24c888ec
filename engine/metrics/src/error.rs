use crate::SsimWindow;

/// Why a statistic has no true value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two lists that belong together differ in length.
    #[error("paired values differ in number: {x} against {y}")]
    LengthMismatch {
        /// Values in the first list.
        x: usize,
        /// Values in the second list.
        y: usize,
    },
    /// Fewer subjects than the statistic needs.
    #[error("needs at least {needed} subjects, found {found}")]
    TooFewSubjects {
        /// Smallest number that gives a value.
        needed: usize,
        /// Number given.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("value {index} is {value}, not a finite number")]
    NotFinite {
        /// Position in the list, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Both lists hold one and the same value, so agreement cannot be told from chance.
    #[error("agreement is undefined: both measurements are {value} for every subject")]
    NoVariation {
        /// The one value.
        value: f64,
    },
    /// No feature is left to count.
    #[error("no feature has a defined agreement both before and after")]
    NoFeatures,
    /// The data allow no value, such as an area without a case of either kind.
    #[error("{statistic} is undefined for these data")]
    Undefined {
        /// What was asked for.
        statistic: &'static str,
    },
    /// A number outside its legal range.
    #[error("{name} must be {expected}, found {found}")]
    InvalidArgument {
        /// The argument.
        name: &'static str,
        /// Its legal range in words.
        expected: &'static str,
        /// The value given.
        found: f64,
    },
    /// The volumes are smaller than the window that SSIM averages over.
    #[error("{window} needs at least {needed} voxels along each axis it spans, found {found:?} (x, y, z)")]
    WindowTooLarge {
        /// The window.
        window: SsimWindow,
        /// Its width, voxels.
        needed: usize,
        /// Size of the volumes, voxels.
        found: [usize; 3],
    },
    /// The two volumes or the mask do not lie on one grid, or the mask is empty.
    #[error(transparent)]
    Imaging(#[from] isoscan_imaging::Error),
}
