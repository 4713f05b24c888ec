//! What the tests of every learned plugin check.

use std::{fs, path::Path};

use isoscan_sdk::{
    ParamValue, TrainContext,
    harness::{Array, Failure, Plugin, Training},
};

use crate::{Family, Learned, Learning};

/// A training session of the family, through its own door.
pub type Session<F> = Training<Learned<F>, Learning<F>>;

/// The plugin of the family, through its own door.
pub type Bundle<F> = Plugin<Learned<F>>;

/// Trains `steps` steps on what `patches` gives for each, in one go and again with a stop, a preview and a resume in the
/// middle, into two folders below `dir`; gives the names of files that differ, and the bundle of the whole training.
///
/// # Errors
/// [`Failure`] as the door gave it.
pub fn resumed_difference<F: Family>(
    dir: &Path,
    params: &[(&str, ParamValue)],
    context: &TrainContext,
    steps: u64,
    patches: impl Fn(u64) -> (Array, Array),
) -> Result<(Vec<String>, Bundle<F>), Failure> {
    let [whole, half] = ["whole", "half"].map(|name| dir.join(name));
    let lost = |error: std::io::Error| Failure { status: -1, message: error.to_string() };
    for folder in [&whole, &half] {
        fs::create_dir_all(folder).map_err(lost)?;
    }
    let begin = |resume: Option<&Path>| Session::<F>::begin_with(params, 3, steps, resume, context);
    let train = |session: &mut Session<F>, steps: std::ops::Range<u64>| -> Result<(), Failure> {
        for step in steps {
            let (source, target) = patches(step);
            session.step(step, &source, &target)?;
        }
        Ok(())
    };
    let mut session = begin(None)?;
    train(&mut session, 0..steps)?;
    session.save(&whole, true)?;

    let mut first = begin(None)?;
    train(&mut first, 0..steps / 2)?;
    first.translate(&patches(steps).0)?;
    first.save(&half, true)?;
    let mut second = begin(Some(&half.join("checkpoint")))?;
    let next = second.first_step;
    train(&mut second, next..steps)?;
    second.save(&half, true)?;

    let mut differing = Vec::new();
    for folder in ["weights", "checkpoint"] {
        for entry in fs::read_dir(whole.join(folder)).map_err(lost)? {
            let name = Path::new(folder).join(entry.map_err(lost)?.file_name());
            if fs::read(whole.join(&name)).map_err(lost)? != fs::read(half.join(&name)).unwrap_or_default() {
                differing.push(name.display().to_string());
            }
        }
    }
    if next != steps / 2 {
        differing.push(format!("first step {next}"));
    }
    Ok((differing, Bundle::<F>::create_in(&whole, 1)?))
}
