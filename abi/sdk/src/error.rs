use std::fmt::Display;

use isoscan_abi::{IsoStatus, STATUS_CANCELLED, STATUS_FAILED, STATUS_INVALID};

/// Why a plugin did not do what was asked; crosses the door as a status and a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The plugin failed.
    #[error("{0}")]
    Failed(String),
    /// A parameter, tensor or setting was not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// The host asked to stop.
    #[error("cancelled by the host")]
    Cancelled,
}

impl PluginError {
    /// The plugin failed for the reason `message`.
    pub fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// What was given is not acceptable for the reason `message`.
    pub fn invalid(message: impl Display) -> Self {
        Self::Invalid(message.to_string())
    }

    pub(crate) fn status(&self) -> IsoStatus {
        match self {
            Self::Failed(_) => STATUS_FAILED,
            Self::Invalid(_) => STATUS_INVALID,
            Self::Cancelled => STATUS_CANCELLED,
        }
    }
}
