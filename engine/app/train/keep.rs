//! What is kept on disk while a training runs, so that a killed one goes on as if nothing had happened.
//!
//! A checkpoint is a folder `checkpoints/step-N` that comes into being by one rename: the plugin's state, the best weights so
//! far, the logs and where the training stood. Beside it only copies for people change.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use isoscan_host::TrainSession;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Where a training stands. Numbers that must come back to the last bit are kept as their bits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Steps done.
    pub(super) step: u64,
    /// Sums of the losses since the last row of the log, as bits.
    sums: BTreeMap<String, u64>,
    /// Steps in the sums.
    summed: u32,
    /// Step and score of the best weights, the score as bits.
    best: Option<(u64, u64)>,
    /// Validations since the best.
    pub(super) since_best: u64,
    /// Rows of the loss log and of the validation log.
    pub(super) losses: String,
    pub(super) validation: String,
}

const FOLDER: &str = "checkpoints";
const NEXT: &str = ".next";
const STATE: &str = "state.json";
const BEST: &str = "best";
const WEIGHTS: &str = "weights";

impl State {
    /// Adds the losses of a step.
    pub(super) fn add(&mut self, losses: BTreeMap<String, f64>) {
        for (name, value) in losses {
            let sum = self.sums.entry(name).or_insert(0.0_f64.to_bits());
            *sum = (f64::from_bits(*sum) + value).to_bits();
        }
        self.summed += 1;
    }

    /// The means since the last row, which is now.
    pub(super) fn means(&mut self) -> Vec<(String, f64)> {
        let count = f64::from(self.summed.max(1));
        self.summed = 0;
        std::mem::take(&mut self.sums).into_iter().map(|(name, bits)| (name, f64::from_bits(bits) / count)).collect()
    }

    /// The step of the best weights.
    pub(super) fn best_step(&self) -> Option<u64> {
        self.best.map(|(step, _)| step)
    }

    /// Takes the score of a validation; true when it is the best so far.
    pub(super) fn judge(&mut self, step: u64, score: f64) -> bool {
        let is_best = self.best.is_none_or(|(_, bits)| score < f64::from_bits(bits));
        if is_best {
            self.best = Some((step, score.to_bits()));
            self.since_best = 0;
        } else {
            self.since_best += 1;
        }
        is_best
    }
}

/// Adds a row to a CSV text, before the first one its header.
pub(super) fn add_row(text: &mut String, step: u64, values: &[(String, f64)]) {
    if text.is_empty() {
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        *text += &format!("step,{}\n", names.join(","));
    }
    let values: Vec<String> = values.iter().map(|(_, value)| format!("{value:.6}")).collect();
    *text += &format!("{step},{}\n", values.join(","));
}

/// The newest checkpoint of an output folder, with the state that it holds.
pub(super) fn newest(output: &Path) -> Result<Option<(PathBuf, State)>, Failure> {
    let Some((_, path)) = checkpoints(output).pop() else { return Ok(None) };
    let text = fs::read_to_string(path.join(STATE)).map_err(|error| failed(&path, &error))?;
    let state = serde_json::from_str(&text).map_err(|error| failed(&path, &error))?;
    Ok(Some((path, state)))
}

/// Makes a checkpoint; `is_best` when its weights are the best so far.
pub(super) fn save(output: &Path, session: &mut TrainSession, state: &State, is_best: bool) -> Result<(), Failure> {
    let next = output.join(FOLDER).join(NEXT);
    if next.exists() {
        fs::remove_dir_all(&next).map_err(|error| failed(&next, &error))?;
    }
    fs::create_dir_all(&next).map_err(|error| failed(&next, &error))?;
    session.save(&next, true)?;
    let older = checkpoints(output);
    let best = next.join(BEST).join(WEIGHTS);
    let from = match older.last() {
        _ if is_best => Some(next.join(WEIGHTS)),
        Some((_, older)) => Some(older.join(BEST).join(WEIGHTS)).filter(|weights| weights.exists()),
        None => None,
    };
    from.map_or(Ok(()), |from| copy(&from, &best))?;
    let text = serde_json::to_string_pretty(state).map_err(Failure::new)?;
    fs::write(next.join(STATE), text).map_err(|error| failed(&next, &error))?;
    let place = output.join(FOLDER).join(format!("step-{:08}", state.step));
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|error| failed(&place, &error))?;
    }
    fs::rename(&next, &place).map_err(|error| failed(&place, &error))?;
    for (_, gone) in older.iter().filter(|(_, older)| *older != place) {
        fs::remove_dir_all(gone).map_err(|error| failed(gone, &error))?;
    }
    Ok(())
}

/// Lays the best weights, or the last where none were judged, into the output folder; the checkpoints go.
pub(super) fn take_weights(output: &Path) -> Result<(), Failure> {
    let Some((_, last)) = checkpoints(output).pop() else { return Ok(()) };
    let best = last.join(BEST).join(WEIGHTS);
    let weights = output.join(WEIGHTS);
    if weights.exists() {
        fs::remove_dir_all(&weights).map_err(|error| failed(&weights, &error))?;
    }
    copy(&if best.exists() { best } else { last.join(WEIGHTS) }, &weights)
}

/// Removes the checkpoints of an output folder.
pub(super) fn forget(output: &Path) -> Result<(), Failure> {
    let folder = output.join(FOLDER);
    if folder.exists() { fs::remove_dir_all(&folder).map_err(|error| failed(&folder, &error)) } else { Ok(()) }
}

/// Whole checkpoints by their step, oldest first.
fn checkpoints(output: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(output.join(FOLDER)).into_iter().flatten().flatten();
    let step = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok();
    let mut found: Vec<(u64, PathBuf)> =
        entries.map(|entry| entry.path()).filter_map(|path| Some((step(&path)?, path))).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| failed(from, &error))? {
        let path = entry.map_err(|error| failed(from, &error))?.path();
        let place = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &place)?;
        } else {
            fs::copy(&path, &place).map_err(|error| failed(&place, &error))?;
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_read_again_is_the_same_to_the_last_bit() {
        let mut state = State { step: 3, ..State::default() };
        for value in [0.1, 0.2, 0.30000000000000004] {
            state.add([("loss".to_owned(), value)].into());
        }
        assert!(state.judge(3, 0.1 + 0.2) && !state.judge(4, 0.30000000000000004));
        let mut again: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(again, state);
        assert_eq!((again.best_step(), again.since_best), (Some(3), 1));
        assert_eq!(again.means(), [("loss".to_owned(), (0.1 + 0.2 + 0.30000000000000004) / 3.0)]);
        assert!(again.means().is_empty());
    }

    #[test]
    fn rows_stand_under_a_header() {
        let mut text = String::new();
        for step in [1, 2] {
            add_row(&mut text, step, &[("a".to_owned(), 0.5), ("b".to_owned(), step as f64)]);
        }
        assert_eq!(text, "step,a,b\n1,0.500000,1.000000\n2,0.500000,2.000000\n");
    }
}
