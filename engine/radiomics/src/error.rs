use crate::FeatureFamily;
use crate::spelling::suggestion;

/// Why no features can be extracted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The mask holds no voxel.
    #[error("mask is empty: none of its {voxels} voxels is inside")]
    EmptyMask {
        /// Number of voxels looked at.
        voxels: usize,
    },
    /// The mask does not lie on the image's grid.
    #[error(
        "mask lies on another grid: expected {expected}, found {found}; largest corner distance {distance_mm:.6} mm, \
         tolerance {tolerance_mm:.2e} mm"
    )]
    GeometryMismatch {
        /// Grid of the image.
        expected: String,
        /// Grid of the mask.
        found: String,
        /// Largest distance between corresponding corner voxels, mm; infinite when sizes differ.
        distance_mm: f64,
        /// What `geometryTolerance` allows, mm.
        tolerance_mm: f64,
    },
    /// Part of the region of interest lies outside the image.
    #[error("region reaches outside the image: its box spans voxels {low:?} to {high:?} of an image of size {size:?}")]
    OutsideImage {
        /// Lowest corner of the region's box in image voxels.
        low: [f64; 3],
        /// Highest corner of the region's box in image voxels.
        high: [f64; 3],
        /// Size of the image, voxels.
        size: [usize; 3],
    },
    /// The region is one voxel, of which no feature speaks.
    #[error("region is a single voxel")]
    SingleVoxel,
    /// The region extends along fewer axes than `minimumROIDimensions`.
    #[error("region extends along {found} axes, needs {needed}")]
    TooFewDimensions {
        /// Axes required.
        needed: usize,
        /// Axes along which the region is longer than one voxel.
        found: usize,
    },
    /// The region has several slices across the axis for which shape2D wants one.
    #[error("shape2D needs a region of one slice along {axis}, found {slices}")]
    NotFlat {
        /// The axis across the slice.
        axis: &'static str,
        /// Slices of the region.
        slices: usize,
    },
    /// The region is not larger than `minimumROISize`.
    #[error("region has {found} voxels, needs more than {needed}")]
    RegionTooSmall {
        /// The setting.
        needed: usize,
        /// Voxels in the region.
        found: usize,
    },
    /// Resegmentation left too few voxels.
    #[error("resegmentation to {low} .. {high} keeps {kept} of {voxels} voxels, needs at least 2")]
    ResegmentedAway {
        /// Lower threshold.
        low: f64,
        /// Upper threshold, infinite when none is set.
        high: f64,
        /// Voxels before.
        voxels: usize,
        /// Voxels after.
        kept: usize,
    },
    /// The region holds no voxel with a number, or one that is infinite.
    #[error(
        "region has {nan} NaN and {infinite} infinite of {voxels} voxels; needs a number in at least one and no infinity"
    )]
    NotFinite {
        /// NaN voxels.
        nan: usize,
        /// Infinite voxels.
        infinite: usize,
        /// Voxels in the region.
        voxels: usize,
    },
    /// The image does not vary, so that it cannot be normalised.
    #[error("image does not vary, all voxels are {value}: it cannot be normalised")]
    FlatImage {
        /// The one value.
        value: f64,
    },
    /// Discretisation gives more grey levels than a matrix can hold.
    #[error("discretisation gives {found} grey levels, at most {limit} fit; a wider bin gives fewer")]
    TooManyLevels {
        /// Occupied levels.
        found: usize,
        /// Largest number supported.
        limit: usize,
    },
    /// Known to PyRadiomics, not yet computed here.
    #[error("{kind} {name} is not available yet; available: {available}")]
    NotImplemented {
        /// What kind of thing it is.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What there is instead.
        available: String,
    },
    /// No such setting, image type, feature family or interpolator.
    #[error("unknown {kind} {name}{}; known: {known}", suggestion(name, known))]
    UnknownName {
        /// What kind of thing was named.
        kind: &'static str,
        /// The name given.
        name: String,
        /// Every known name.
        known: String,
    },
    /// No such feature in the family.
    #[error("unknown feature {name} of {family}{}; known: {known}", suggestion(name, known))]
    UnknownFeature {
        /// The family.
        family: FeatureFamily,
        /// The name given.
        name: String,
        /// Every known name.
        known: String,
    },
    /// A setting's value is not of its type or range.
    #[error("setting {name} must be {expected}, found {found}")]
    InvalidSetting {
        /// The setting.
        name: String,
        /// Its legal values in words.
        expected: &'static str,
        /// The value given, as JSON.
        found: String,
    },
    /// The settings are not JSON.
    #[error("settings are not valid JSON at line {line}, column {column}")]
    InvalidJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The settings are not YAML, or use more of it than a parameter file needs.
    #[error("settings are not valid YAML at line {line}, column {column}: {problem}")]
    InvalidYaml {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A setting of a parameter file is refused.
    #[error("line {line}, column {column}: {error}")]
    InFile {
        /// Line of the setting's name, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The refusal.
        error: Box<Error>,
    },
    /// A grid that resampling asks for cannot exist.
    #[error(transparent)]
    Imaging(#[from] isoscan_imaging::Error),
}
