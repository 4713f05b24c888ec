use std::{io, path::PathBuf};

/// Why a network could not be built, run, trained, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// A file could not be read or written.
    #[error("weights file: {source}: {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not in the safetensors format.
    #[error("not a safetensors file: {source}: {}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: safetensors::SafeTensorError,
    },
    /// A network needs a weight that the file does not hold.
    #[error("weight '{name}' is missing")]
    MissingWeight {
        /// The weight.
        name: String,
    },
    /// A weight belongs to another architecture.
    #[error("weight '{name}' must have shape {expected:?}, found {found:?}")]
    WeightShape {
        /// The weight.
        name: String,
        /// Shape the network has.
        expected: Vec<i64>,
        /// Shape in the file.
        found: Vec<i64>,
    },
    /// Only f32 weights are read.
    #[error("weight '{name}' must be F32, found {found}")]
    WeightKind {
        /// The weight.
        name: String,
        /// Kind in the file.
        found: String,
    },
    /// A number of a recipe is outside of what can be built.
    #[error("recipe: {field} must be in {expected}, found {found}")]
    Recipe {
        /// The field.
        field: &'static str,
        /// The legal range.
        expected: String,
        /// The number given.
        found: f64,
    },
    /// A text file of numbers is not what it must be.
    #[error("recipe: {source}: {}", path.display())]
    RecipeText {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// A recipe could not be read or written.
    #[error("recipe: {source}: {}", path.display())]
    RecipeFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A network was called with a condition that it has no place for, or without the one it needs.
    #[error("the network {}", if *expected { "needs a condition" } else { "takes no condition" })]
    Condition {
        /// Whether one is needed.
        expected: bool,
    },
    /// A tensor does not have the shape that the operation needs.
    #[error("image must be {expected}, found {found:?}")]
    ImageShape {
        /// The shape in words.
        expected: String,
        /// The shape given.
        found: Vec<i64>,
    },
    /// A loss is no longer a finite number.
    #[error("training diverged at step {step}: loss {loss} is not finite")]
    Diverged {
        /// The step.
        step: u64,
        /// Name of the loss.
        loss: &'static str,
    },
}

impl Error {
    /// The first line of the message: libtorch appends a trace of its own.
    pub fn first_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }
}
