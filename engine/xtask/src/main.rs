//! The two set-up commands, `cargo xtask demo` and `cargo xtask test`, and the steps they share.
//!
//! - `cargo xtask libtorch` fetches libtorch once into `.libtorch/`; a `LIBTORCH` of the environment wins.
//! - `cargo xtask stage` builds everything and lays the plugin bundles beside the program.
//! - `cargo xtask demo` runs the main job on a phantom cohort and prints where its report lies.
//! - `cargo xtask test [ARGS]` runs every test, documentation examples included; `ARGS` go to `cargo test`.
//!
//! Each command does what the one before it does first, and does nothing twice.

mod cargo;
mod demo;
mod error;
mod libtorch;
mod stage;
mod test;

use std::process::ExitCode;

use crate::cargo::Workspace;
use crate::error::Error;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo         build, run the main job on a phantom cohort, print where the report lies
  test [ARGS]  build and run every test; ARGS are passed to `cargo test`
  stage        build and lay the plugin bundles beside the program
  libtorch     fetch libtorch into .libtorch/ (once; LIBTORCH wins when set)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            if let Some(help) = error.help() {
                say(&format!("help: {help}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Error> {
    let (command, rest) = arguments.split_first().ok_or(Error::Usage)?;
    if command != "test"
        && let Some(extra) = rest.first()
    {
        return Err(Error::ExtraArgument { found: extra.clone() });
    }
    let workspace = Workspace::here()?;
    match command.as_str() {
        "libtorch" => libtorch::ensure(&workspace.root).map(|_| ()),
        "stage" => stage::stage(&workspace, stage::Build::Program).map(|_| ()),
        "demo" => demo::demo(&workspace),
        "test" => test::test(&workspace, rest),
        _ => Err(Error::Usage),
    }
}

/// Prints one line of progress to standard error, so that standard output stays free for results.
#[expect(clippy::print_stderr, reason = "this program talks to the person at the terminal")]
fn say(line: &str) {
    eprintln!("{line}");
}
