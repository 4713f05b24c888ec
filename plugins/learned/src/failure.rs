use isoscan_sdk::{Cancelled, PluginError};

/// Why a family could not do what was asked: for a reason of its own, or of its networks.
#[derive(Debug)]
pub enum Failure {
    /// A parameter, a recipe or the host.
    Plugin(PluginError),
    /// A network, its weights or libtorch.
    Network(isoscan_nn::Error),
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        Self::Plugin(error)
    }
}

impl From<Cancelled> for Failure {
    fn from(cancelled: Cancelled) -> Self {
        Self::Plugin(cancelled.into())
    }
}

impl From<isoscan_nn::Error> for Failure {
    fn from(error: isoscan_nn::Error) -> Self {
        Self::Network(error)
    }
}

impl From<tch::TchError> for Failure {
    fn from(error: tch::TchError) -> Self {
        Self::Network(error.into())
    }
}

impl From<Failure> for PluginError {
    /// Of an error of libtorch the first line: it appends a trace of its own.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Plugin(error) => error,
            Failure::Network(error) => Self::failed(error.first_line()),
        }
    }
}
