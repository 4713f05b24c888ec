//! The main job on a phantom cohort.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::cargo::{Workspace, run};
use crate::error::Error;
use crate::libtorch::remove_folder;
use crate::{say, stage};

/// The two commands of the demo, as a user would type them from the root of the repository.
///
/// `folder` is where the cohort and the report go.
fn commands(folder: &Path) -> [Vec<String>; 2] {
    let cohort = folder.join("cohort").display().to_string();
    let report = folder.join("report").display().to_string();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let phantom = words("phantom --subjects 12 --source b-sharp-low --reference a-soft --seed 7 --out");
    let harmonize = words("run scripts/recipes/harmonize_ct.rhai --seed 1 --out");
    [
        [phantom, vec![cohort.clone()]].concat(),
        [harmonize, vec![report, "--set".into(), format!("input={cohort}")]].concat(),
    ]
}

/// Builds, stages, makes the cohort, runs the recipe, and prints where the report lies.
pub(crate) fn demo(workspace: &Workspace) -> Result<(), Error> {
    stage::stage(workspace, stage::Build::Program)?;
    let folder = workspace.target.join("demo");
    remove_folder(&folder)?;
    fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let start = Instant::now();
    for arguments in commands(&folder) {
        say(&format!("\n$ isoscan {}", arguments.join(" ")));
        let mut program = Command::new(workspace.program());
        program.args(&arguments).current_dir(&workspace.root);
        run(&mut program, &format!("isoscan {}", arguments[0]))?;
    }
    say(&format!("\ndemo: done in {:.0} s", start.elapsed().as_secs_f64()));
    say(&format!("demo: open {}", folder.join("report/report.html").display()));
    Ok(())
}
