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
    /// A word that names nothing.
    #[error("no {what} {found}: expected one of {expected}")]
    UnknownName {
        /// What it should name.
        what: &'static str,
        /// The words that exist, joined by commas.
        expected: String,
        /// The word given.
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
    /// A head has no place left for a finding.
    #[error("found room for {placed} of {expected} findings of the kind {finding:?}")]
    NoRoom {
        /// What was to be placed.
        finding: crate::FindingKind,
        /// How many of the kind have a place.
        placed: u32,
        /// How many of the kind were asked for.
        expected: u32,
    },
    /// More findings than a label map of bytes can tell apart.
    #[error("findings may have {expected} tissues in all, found {found}")]
    TooManyFindings {
        /// The most there may be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The field of view misses the region that uptakes are compared with.
    #[error("no voxel of {region}, which uptake ratios refer to")]
    NoReference {
        /// The reference region.
        region: &'static str,
    },
    /// A grid whose axes are not those of the truth.
    #[error("needs a grid with the axes of the truth, found an axis turned by {found_deg} degrees")]
    Oblique {
        /// Largest angle between an axis of the grid and that of the truth, degrees.
        found_deg: f64,
    },
    /// A grid or a unit that does not fit.
    #[error(transparent)]
    Imaging(#[from] isoscan_imaging::Error),
}
