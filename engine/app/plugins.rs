//! `isoscan plugins ...`: what an operator and a vendor do with plugins.

mod check;
mod import;
mod info;
mod install;
mod keys;
mod list;
mod new;
mod pack;
mod place;
mod rollback;
mod sign;
mod verify;

use clap::Subcommand;

pub(crate) use place::{Where, strict_options};

use crate::failure::Failure;

/// What to do with plugins.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the installed plugins with their trust and state
    List(list::Args),
    /// Tell what a plugin is, takes, gives and can be told
    Info(info::Args),
    /// Bring a bundle into the folder of plugins, whole or not at all
    Install(install::Args),
    /// Take the newest version of a plugin out of service, here and in every running engine
    Rollback(rollback::Args),
    /// Tell who vouches for a bundle, and everything that is wrong with it
    Verify(verify::Args),
    /// Make key pairs, and say which keys are trusted for which plugins
    Keys(keys::Args),
    /// Make the project of a new plugin
    New(new::Args),
    /// Make a bundle of an exported network: an ONNX or TorchScript file, or a MONAI bundle
    Import(import::Args),
    /// Check a bundle against the contract, rule by rule
    Check(check::Args),
    /// Make a bundle of a folder with plugin.toml, the library and whatever else the plugin needs
    Pack(pack::Args),
    /// Sign a bundle's manifest, which vouches for all its files
    Sign(sign::Args),
}

/// Runs `isoscan plugins ...`.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(args),
        Command::Info(args) => info::run(args),
        Command::Install(args) => install::run(args),
        Command::Rollback(args) => rollback::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Keys(args) => keys::run(args),
        Command::New(args) => new::run(args),
        Command::Import(args) => import::run(args),
        Command::Check(args) => check::run(args),
        Command::Pack(args) => pack::run(args),
        Command::Sign(args) => sign::run(args),
    }
}
