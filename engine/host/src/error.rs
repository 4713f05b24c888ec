use std::{fmt, io, path::PathBuf};

/// Who can put a refused plugin right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Party {
    /// Whoever installs plugins on this machine: copy the bundle again, choose another folder, change an option.
    Operator,
    /// Whoever builds the plugin: rebuild or correct it.
    PluginAuthor,
    /// Whoever installs the engine: update it.
    EngineOperator,
}

/// Why a bundle cannot be read. [`Error::party`] says who must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The path is neither a folder with `plugin.toml` nor a shared library.
    #[error("expected a bundle folder with plugin.toml or a library file ending in .so, found {}", path.display())]
    NotABundle {
        /// What was given.
        path: PathBuf,
    },
    /// `plugin.toml` is not what a bundle needs.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Line and cause.
        message: String,
    },
    /// A name in the manifest leads out of the bundle folder.
    #[error("plugin {plugin}: '{name}' leads out of its bundle folder")]
    Escapes {
        /// Plugin id.
        plugin: String,
        /// The name as written.
        name: String,
    },
    /// A file that the manifest names is not in the bundle.
    #[error("plugin {plugin}: {name} is missing from its bundle")]
    MissingFile {
        /// Plugin id.
        plugin: String,
        /// File inside the bundle.
        name: String,
    },
    /// A file of the bundle stands in no line of the manifest's `[files]` table.
    #[error("plugin {plugin}: {name} is in its bundle but not in the manifest's [files] table")]
    UnlistedFile {
        /// Plugin id.
        plugin: String,
        /// File inside the bundle.
        name: String,
    },
    /// A file of the bundle has another content than the manifest says.
    #[error("plugin {plugin}: {name} has another content than the manifest says: expected {expected}, found {found}")]
    Mismatch {
        /// Plugin id.
        plugin: String,
        /// File inside the bundle.
        name: String,
        /// SHA-256 from the manifest, `sha256:` and 64 hexadecimal digits.
        expected: String,
        /// SHA-256 of the file.
        found: String,
    },
    /// A link, device or the like where a plain file or folder is expected.
    #[error("plugin {plugin}: {name} must be a plain file or folder")]
    NotPlain {
        /// Plugin id.
        plugin: String,
        /// File inside the bundle.
        name: String,
    },
}

impl Error {
    /// Who can put it right.
    pub fn party(&self) -> Party {
        match self {
            Self::Read { .. }
            | Self::Write { .. }
            | Self::NotABundle { .. }
            | Self::MissingFile { .. }
            | Self::Mismatch { .. } => Party::Operator,
            Self::Manifest { .. } | Self::Escapes { .. } | Self::UnlistedFile { .. } | Self::NotPlain { .. } => {
                Party::PluginAuthor
            }
        }
    }
}

impl Party {
    pub(crate) const ALL: [Self; 3] = [Self::Operator, Self::PluginAuthor, Self::EngineOperator];
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "the operator",
            Self::PluginAuthor => "the plugin's author",
            Self::EngineOperator => "the operator of the engine",
        })
    }
}
