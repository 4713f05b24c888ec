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
    /// No voxel of the region is above 0, so none has a logarithm.
    #[error("no voxel to fit to is above 0 among {voxels}")]
    NoPositiveIntensity {
        /// Number of voxels looked at.
        voxels: usize,
    },
    /// Two volumes that are to be registered hardly meet.
    #[error("volumes overlap too little: expected at least {expected:.3} of the smaller one, found {found:.3}")]
    TooLittleOverlap {
        /// Share of the smaller volume or mask that must lie in the other.
        expected: f64,
        /// Share that does.
        found: f64,
    },
    /// The scan holds nothing that could be a brain.
    #[error("no brain found: expected 50 to 2500 ml with dark in front of half of its surface, found {volume_ml:.0} ml and {:.0} %", edge * 100.0)]
    NoBrain {
        /// Volume that the surface ended around, ml.
        volume_ml: f64,
        /// Share of the surface with dark within 8 mm in front of it.
        edge: f64,
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
