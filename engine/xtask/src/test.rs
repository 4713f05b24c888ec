//! Every test of the workspace.

use std::time::Instant;

use crate::cargo::{Workspace, cargo, run};
use crate::error::Error;
use crate::{say, stage};

/// Builds, stages the bundles that whole-program tests call, and runs every test and documentation example.
pub(crate) fn test(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let start = Instant::now();
    stage::stage(workspace, stage::Build::Tests)?;
    say(&format!("testing (built and staged in {:.0} s)", start.elapsed().as_secs_f64()));
    let mut tests = cargo();
    tests.args(["test", "--release", "--workspace"]).args(arguments).current_dir(&workspace.root);
    tests.env("ISOSCAN_STAGED", workspace.release());
    run(&mut tests, "cargo test")?;
    say(&format!("test: everything passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}
