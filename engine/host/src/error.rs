use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::Step;

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

/// Why a bundle is not taken. [`Error::step`] says where it stopped, [`Error::party`] who must act; every message is one
/// line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {cause}", path_line(path))]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {cause}", path_line(path))]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The path is neither a folder with `plugin.toml` nor a shared library.
    #[error("expected a bundle folder with plugin.toml or a library file ending in .so, found {}", path_line(path))]
    NotABundle {
        /// What was given.
        path: PathBuf,
    },
    /// `plugin.toml` is not what a bundle needs.
    #[error("{}: {}", path_line(path), line(message))]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Line and cause.
        message: String,
    },
    /// The plugin needs another contract than the engine has.
    #[error("plugin {plugin}: it needs contract {}.{}, the engine has {}.{}", needs[0], needs[1], has[0], has[1])]
    Contract {
        /// Plugin id.
        plugin: String,
        /// Major and smallest minor version in the manifest.
        needs: [u32; 2],
        /// Major and minor version of the engine.
        has: [u32; 2],
    },
    /// A name in the manifest leads out of the bundle folder.
    #[error("plugin {plugin}: '{}' leads out of its bundle folder", line(name))]
    Escapes {
        /// Plugin id.
        plugin: String,
        /// The name as written.
        name: String,
    },
    /// A file that the manifest names is not in the bundle.
    #[error("plugin {plugin}: {} is missing from its bundle", line(name))]
    MissingFile {
        /// Plugin id.
        plugin: String,
        /// File inside the bundle.
        name: String,
    },
    /// A file of the bundle stands in no line of the manifest's `[files]` table.
    #[error("plugin {plugin}: {} is in its bundle but not in the manifest's [files] table", line(name))]
    UnlistedFile {
        /// Plugin id.
        plugin: String,
        /// File inside the bundle.
        name: String,
    },
    /// A file of the bundle has another content than the manifest says.
    #[error(
        "plugin {plugin}: {} has another content than the manifest says: expected {}, found {}",
        line(name),
        line(expected),
        line(found)
    )]
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
    #[error("plugin {plugin}: {} must be a plain file or folder", line(name))]
    NotPlain {
        /// Plugin id.
        plugin: String,
        /// File inside the bundle.
        name: String,
    },
    /// More than a bundle or archive may hold.
    #[error("{}: expected at most {most} {what}, found more", path_line(path))]
    TooLarge {
        /// The bundle folder or archive.
        path: PathBuf,
        /// `files`, `bytes` or `entries`.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// The manifest has no `[files]` table, so nothing vouches for the content.
    #[error("plugin {plugin}: its manifest has no [files] table with the hash of every file")]
    Unhashed {
        /// Plugin id.
        plugin: String,
    },
    /// Nobody vouches for the bundle.
    #[error("plugin {plugin}: it is not signed, and unsigned plugins are not allowed here")]
    Unsigned {
        /// Plugin id.
        plugin: String,
    },
    /// The signature file is not a signature.
    #[error("plugin {plugin}: its signature cannot be read: {}", line(message))]
    Signature {
        /// Plugin id.
        plugin: String,
        /// What was expected and found.
        message: String,
    },
    /// A key that the operator does not trust made the signature.
    #[error("plugin {plugin}: it is signed by key {key}, which is not trusted here")]
    UnknownKey {
        /// Plugin id.
        plugin: String,
        /// Key id, 16 hexadecimal digits.
        key: String,
    },
    /// A trusted key made the signature, but not for this plugin.
    #[error("plugin {plugin}: key {} may not sign it, only {}", line(key), line(&ids.join(", ")))]
    KeyNotForId {
        /// Plugin id.
        plugin: String,
        /// Name of the key.
        key: String,
        /// Ids that it may sign.
        ids: Vec<String>,
    },
    /// The signature is not one of this manifest.
    #[error("plugin {plugin}: the signature by key {} does not match its plugin.toml", line(key))]
    Forged {
        /// Plugin id.
        plugin: String,
        /// Name of the key.
        key: String,
    },
    /// A key, or a file of keys, is not what is needed.
    #[error("{}: {}", path_line(path), line(message))]
    Key {
        /// The file of the key or keys.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// An archive is none, or holds what an archive of a bundle must not.
    #[error("{}: {}", path_line(path), line(message))]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Entry and what is wrong with it.
        message: String,
    },
    /// Another content of the same plugin and version lies there.
    #[error("plugin {plugin} {version}: {} has another content of this version", path_line(path))]
    Occupied {
        /// Plugin id.
        plugin: String,
        /// Version.
        version: String,
        /// The bundle that is there.
        path: PathBuf,
    },
}

impl Error {
    /// The step that failed.
    pub fn step(&self) -> Step {
        match self {
            Self::Unsigned { .. }
            | Self::Signature { .. }
            | Self::UnknownKey { .. }
            | Self::KeyNotForId { .. }
            | Self::Forged { .. }
            | Self::Key { .. } => Step::Trust,
            Self::Write { .. } | Self::Unhashed { .. } | Self::Occupied { .. } => Step::Stage,
            Self::Read { .. }
            | Self::NotABundle { .. }
            | Self::Manifest { .. }
            | Self::Contract { .. }
            | Self::Escapes { .. }
            | Self::MissingFile { .. }
            | Self::UnlistedFile { .. }
            | Self::Mismatch { .. }
            | Self::NotPlain { .. }
            | Self::TooLarge { .. }
            | Self::Archive { .. } => Step::Read,
        }
    }

    /// Who can put it right.
    pub fn party(&self) -> Party {
        match self {
            Self::Read { .. }
            | Self::Write { .. }
            | Self::NotABundle { .. }
            | Self::MissingFile { .. }
            | Self::Mismatch { .. }
            | Self::Unsigned { .. }
            | Self::UnknownKey { .. }
            | Self::KeyNotForId { .. }
            | Self::Forged { .. }
            | Self::Key { .. }
            | Self::Occupied { .. } => Party::Operator,
            Self::Contract { needs, has, .. } if needs > has => Party::EngineOperator,
            Self::Contract { .. }
            | Self::Manifest { .. }
            | Self::Escapes { .. }
            | Self::UnlistedFile { .. }
            | Self::NotPlain { .. }
            | Self::TooLarge { .. }
            | Self::Unhashed { .. }
            | Self::Signature { .. }
            | Self::Archive { .. } => Party::PluginAuthor,
        }
    }

    /// True for what a bundle looks like while it is still being copied: a file is missing, cut short, or not yet
    /// under its own name. False for what more bytes cannot put right.
    pub fn may_be_unfinished(&self) -> bool {
        match self {
            Self::Read { cause, .. } => cause.kind() == io::ErrorKind::NotFound,
            Self::NotABundle { .. }
            | Self::Manifest { .. }
            | Self::MissingFile { .. }
            | Self::UnlistedFile { .. }
            | Self::Mismatch { .. }
            | Self::Unhashed { .. }
            | Self::Unsigned { .. }
            | Self::Signature { .. }
            | Self::Forged { .. } => true,
            _ => false,
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

/// Text of others as part of a message: one line, no control characters, not endless.
pub(crate) fn line(text: &str) -> String {
    line_of(text, 300)
}

/// [`line`] for what may be a few sentences.
pub(crate) fn long_line(text: &str) -> String {
    line_of(text, 4000)
}

fn line_of(text: &str, longest: usize) -> String {
    let joined = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut short: String = joined.chars().take(longest).map(shown).collect();
    if joined.chars().nth(longest).is_some() {
        short.push('…');
    }
    short
}

fn path_line(path: &Path) -> String {
    const LONGEST: usize = 4096;
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    path.to_string_lossy().chars().take(LONGEST).map(shown).collect()
}
