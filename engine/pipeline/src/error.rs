use isoscan_host::Fault;
use isoscan_imaging::StorageError;

/// Why a translation was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plugin does not take this modality.
    #[error("plugin {plugin} takes modality {expected} for '{input}', found {found}")]
    Modality {
        /// Plugin id.
        plugin: String,
        /// Input name.
        input: String,
        /// Accepted modalities.
        expected: String,
        /// Modality of the image.
        found: String,
    },
    /// The plugin does not take this unit.
    #[error("plugin {plugin} takes intensities in {expected} for '{input}', found {found}")]
    Unit {
        /// Plugin id.
        plugin: String,
        /// Input name.
        input: String,
        /// Accepted units.
        expected: String,
        /// Unit of the image.
        found: String,
    },
    /// A parameter is unknown or out of range.
    #[error("{message}")]
    Parameter {
        /// The parameter, what was expected and what was found.
        message: String,
    },
    /// A needed further input was not given, or one that the plugin does not have was.
    #[error("plugin {plugin} takes the inputs {expected}, found {found}")]
    Inputs {
        /// Plugin id.
        plugin: String,
        /// Declared inputs.
        expected: String,
        /// Given inputs.
        found: String,
    },
    /// A further image that must lie on the grid of the first does not.
    #[error("plugin {plugin} takes '{input}' on the grid of the first image, {expected}, found {found}")]
    Grid {
        /// Plugin id.
        plugin: String,
        /// Input name.
        input: String,
        /// Grid of the first image.
        expected: String,
        /// Grid of the further one.
        found: String,
    },
    /// The descriptor asks for patches that no volume can be cut into.
    #[error("plugin {plugin} declares {reason}")]
    Descriptor {
        /// Plugin id.
        plugin: String,
        /// What contradicts itself.
        reason: String,
    },
    /// No patch of the asked size lies on enough of the body.
    #[error("no {size:?} training patch fits volume {volume}: {reason}")]
    NoPatch {
        /// Index of the volume in the order given.
        volume: usize,
        /// Patch size x, y, z.
        size: [usize; 3],
        /// Why none fits.
        reason: &'static str,
    },
    /// The plugin takes the volume in one piece, so it cannot be streamed.
    #[error("plugin {plugin} takes the whole volume at once, so memory must hold it")]
    WholeVolume {
        /// Plugin id.
        plugin: String,
    },
    /// The memory that was granted does not hold the least that a streamed translation takes.
    #[error("expected at least {} MiB for the engine's buffers, found {} MiB", expected.div_ceil(1 << 20), found >> 20)]
    TooLittleMemory {
        /// Bytes that it takes.
        expected: u64,
        /// Bytes that were granted.
        found: u64,
    },
    /// Voxels kept outside memory could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The plugin failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// An image operation failed.
    #[error(transparent)]
    Imaging(#[from] isoscan_imaging::Error),
}
