use crate::{Modality, Unit};

/// Why an image operation could not give a true result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The array's shape is not the geometry's size.
    #[error("array has {found:?} voxels (x, y, z), its geometry {expected:?}")]
    SizeMismatch {
        /// Size of the geometry, voxels along x, y, z.
        expected: [usize; 3],
        /// Size of the array, voxels along x, y, z.
        found: [usize; 3],
    },
    /// Two grids that must be the same differ.
    #[error("grids differ: expected {expected}, found {found}; largest corner distance {distance_mm:.4} mm")]
    GeometryMismatch {
        /// The grid that was required.
        expected: String,
        /// The grid that was given.
        found: String,
        /// Largest distance between corresponding corner voxels, mm; infinite when sizes differ.
        distance_mm: f64,
    },
    /// A grid with no extent, a spacing that is not positive, or axes that do not span space.
    #[error("no valid grid: {reason}")]
    InvalidGeometry {
        /// What is wrong with it, with the numbers.
        reason: String,
    },
    /// The mask holds no voxel.
    #[error("mask is empty: none of its {voxels} voxels is inside")]
    EmptyMask {
        /// Number of voxels looked at.
        voxels: usize,
    },
    /// The operation needs another intensity unit.
    #[error("needs intensities in {expected}, found {found}")]
    UnitMismatch {
        /// What was required.
        expected: Unit,
        /// What the volume carries.
        found: Unit,
    },
    /// The operation needs another modality.
    #[error("needs modality {expected}, found {found}")]
    ModalityMismatch {
        /// What was required.
        expected: Modality,
        /// What the volume carries.
        found: Modality,
    },
    /// A number outside its legal range.
    #[error("{name} must be {expected}, found {found}")]
    InvalidArgument {
        /// The argument.
        name: &'static str,
        /// Its legal range in words.
        expected: &'static str,
        /// The value given.
        found: String,
    },
    /// Intensities do not vary, so they cannot be scaled.
    #[error("intensities do not vary inside the region: all are {value}")]
    FlatIntensities {
        /// The one value found.
        value: f32,
    },
    /// A patch's values do not fill its voxels.
    #[error("patch {index} has {expected} voxels, its values are {found}")]
    PatchLength {
        /// The patch.
        index: usize,
        /// Voxels of the patch.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A patch of another grid.
    #[error("patch {index} is not one of the {patches} patches of this grid")]
    ForeignPatch {
        /// The index it carries.
        index: usize,
        /// Number of patches of the grid.
        patches: usize,
    },
    /// A patch that was already added.
    #[error("patch {index} was added twice")]
    RepeatedPatch {
        /// The patch.
        index: usize,
    },
    /// Patches that were never added, so part of the volume has no value.
    #[error("{missing} of {patches} patches are missing, the first is patch {first}")]
    MissingPatches {
        /// The first of them.
        first: usize,
        /// How many.
        missing: usize,
        /// Number of patches of the grid.
        patches: usize,
    },
}
