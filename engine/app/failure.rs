//! Errors as people see them: what is wrong, where, what to do.

use std::fmt;

use isoscan_script::ScriptError;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    help: Option<String>,
    script: Option<Box<ScriptError>>,
    code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: None, script: None, code: 1 }
    }

    /// Another exit code than 1.
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The exit code of a program that ends with this failure.
    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }

    /// What is wrong and what to do, as they stand in a table.
    pub(crate) fn told(&self) -> (&str, Option<&str>) {
        (&self.message, self.help.as_deref())
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Prints the failure to the standard error stream; a failing script with the line it stands in.
    #[expect(clippy::print_stderr, reason = "the one place where errors are shown")]
    pub(crate) fn show(&self) {
        let mut diagnostic = MietteDiagnostic::new(self.message.clone());
        diagnostic.help.clone_from(&self.help);
        let mut report = Report::new(diagnostic.clone());
        if let Some(script) = self.script.as_deref().filter(|script| script.line > 0) {
            let label = LabeledSpan::at(span(script), "here");
            let source = NamedSource::new(script.file.display().to_string(), script.text.clone());
            report = Report::new(diagnostic.with_label(label)).with_source_code(source);
        }
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme());
        match handler.render_report(&mut text, report.as_ref()) {
            Ok(()) => eprint!("{text}"),
            Err(_) => eprintln!("{}", self.message),
        }
        if let Some(script) = self.script.as_deref().filter(|script| script.line > 0) {
            eprintln!("  at {}:{}:{}", script.file.display(), script.line, script.column);
        }
    }
}

/// Colour on a terminal, plain ASCII elsewhere, so that logs stay readable.
fn theme() -> GraphicalTheme {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() { GraphicalTheme::unicode() } else { GraphicalTheme::none() }
}

/// The word at the error's place; the script language tells where it begins, not where it ends.
fn span(script: &ScriptError) -> std::ops::Range<usize> {
    let line_start: usize = script.text.split_inclusive('\n').take(script.line - 1).map(str::len).sum();
    let line = script.text[line_start..].lines().next().unwrap_or("");
    let column = line.char_indices().nth(script.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    let word = line[column..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(line.len() - column);
    let start = line_start + column;
    start..start + word.max(1).min(line.len() - column)
}

impl From<ScriptError> for Failure {
    fn from(error: ScriptError) -> Self {
        let placed = error.line > 0;
        let message =
            if placed { error.message.clone() } else { format!("{}: {}", error.file.display(), error.message) };
        Self { message, help: error.help.clone(), script: Some(Box::new(error)), code: 1 }
    }
}

impl From<isoscan_script::Error> for Failure {
    fn from(error: isoscan_script::Error) -> Self {
        Self { message: error.to_string(), help: error.help().map(str::to_owned), script: None, code: 1 }
    }
}

/// Errors of the libraries, with the same help lines that a script gets.
macro_rules! through_script {
    ($($error:ty),*) => { $(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                isoscan_script::Error::from(error).into()
            }
        }
    )* };
}
through_script!(
    isoscan_imaging::Error,
    isoscan_io::Error,
    isoscan_pipeline::Error,
    isoscan_host::Error,
    isoscan_radiomics::Error,
    isoscan_metrics::Error,
    isoscan_phantom::Error,
    isoscan_report::Error
);

impl From<isoscan_host::Fault> for Failure {
    fn from(fault: isoscan_host::Fault) -> Self {
        isoscan_pipeline::Error::Fault(fault).into()
    }
}

impl From<isoscan_host::PackError> for Failure {
    fn from(error: isoscan_host::PackError) -> Self {
        match error {
            isoscan_host::PackError::Fault(fault) => fault.into(),
            isoscan_host::PackError::Bundle(error) => error.into(),
            other => Self::new(other),
        }
    }
}
