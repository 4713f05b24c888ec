/// Why a phantom could not be made or scanned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// No protocol has this id.
    #[error("no protocol {found}: expected one of {expected}")]
    UnknownProtocol {
        /// The ids that exist, joined by commas.
        expected: String,
        /// The id asked for.
        found: String,
    },
    /// The truth ends before the slices of the protocol do.
    #[error("slices of {expected_mm:?} mm (z) reach outside the truth of {found_mm:?} mm")]
    TruthTooShort {
        /// Lower and upper face of the scanned range, LPS z.
        expected_mm: [f64; 2],
        /// Lower and upper face of the truth, LPS z.
        found_mm: [f64; 2],
    },
    /// A grid or a unit that does not fit.
    #[error(transparent)]
    Imaging(#[from] isoscan_imaging::Error),
}
