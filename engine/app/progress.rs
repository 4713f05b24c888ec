//! Progress: a bar with the time left on a terminal, log lines otherwise.

use std::{
    io::IsTerminal,
    sync::{Mutex, MutexGuard, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows work of a known number of steps.
#[derive(Default)]
pub(crate) struct Shown(Mutex<State>);

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    label: String,
    done: usize,
    total: usize,
}

impl Shown {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log line on the standard error stream.
#[expect(clippy::print_stderr, reason = "progress of the program")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// A line of a command's result on the standard output stream; a reader that has gone away is no error.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl isoscan_script::Progress for Shown {
    fn begin(&self, label: &str, total: usize) {
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(total as u64).with_style(style));
        if let Some(bar) = &bar {
            bar.set_message(label.to_owned());
        }
        *self.state() = State { bar, label: label.to_owned(), done: 0, total };
    }

    fn advance(&self, what: &str) {
        let mut state = self.state();
        state.done += 1;
        match &state.bar {
            Some(bar) => bar.inc(1),
            None => note(&format!("{} {}/{}: {what}", state.label, state.done, state.total)),
        }
    }

    fn end(&self) {
        if let Some(bar) = self.state().bar.take() {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        match &self.state().bar {
            Some(bar) => bar.println(line),
            None => say(line),
        }
    }
}
