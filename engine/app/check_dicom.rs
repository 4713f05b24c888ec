//! `isoscan check-dicom`: what is wrong with DICOM files, by rule, and what to do about it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use isoscan_io::{Finding, Severity, check_dicom, check_rules};

use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// DICOM file or folder
    #[arg(required_unless_present = "rules")]
    path: Option<PathBuf>,
    /// Output: text for people, grouped by rule, or every finding as JSON
    #[arg(long, default_value = "text")]
    format: Format,
    /// List the rules instead of checking files
    #[arg(long)]
    rules: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Some(path) = args.path.as_ref().filter(|_| !args.rules) else {
        list_rules();
        return Ok(());
    };
    let found = check_dicom(path)?;
    match args.format {
        Format::Json => say(&serde_json::to_string_pretty(&found).map_err(Failure::new)?),
        Format::Text => by_rule(&found),
    }
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
    if errors == 0 {
        return Ok(());
    }
    Err(Failure::new(format!("{errors} errors in DICOM files: {}", path.display()))
        .help("each rule above names its remedy; --format json lists every file"))
}

fn list_rules() {
    for rule in check_rules() {
        say(&format!("{:<30} {:<7} {} ({})", rule.id, word(rule.severity), rule.expected, rule.reference));
    }
}

/// One paragraph per rule and attribute: how many files, the first of them, and the remedy.
fn by_rule(found: &[Finding]) {
    let mut groups: BTreeMap<(Severity, &str, &str), Vec<&Finding>> = BTreeMap::new();
    for finding in found {
        groups.entry((finding.severity, finding.rule, &finding.tag)).or_default().push(finding);
    }
    for ((severity, rule, tag), findings) in &groups {
        let first = findings[0];
        say(&format!("{} {rule}: {} {tag}", word(*severity), first.attribute));
        say(&format!("  expected {}, found {}", first.expected, first.found));
        say(&format!("  in {} files, first {}", findings.len(), first.file.display()));
        say(&format!("  {}; {}", first.reference, first.remedy));
    }
    if groups.is_empty() {
        say("no findings");
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
