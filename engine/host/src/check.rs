//! Does a plugin keep the contract? Every rule is a case with a name, run in worker processes.

mod bench;
mod bundle;
mod output;
mod params;
mod patches;
mod repeat;
mod tensors;
mod wear;

use std::{fmt, path::Path};

use serde::Serialize;

use crate::{Options, open_bundle};
use bench::{Bench, Stop, Verdict};

/// How a bundle is checked.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// How its workers are run. Isolation is always [`Worker`](crate::Isolation::Worker); the numbers of workers and
    /// threads are the rules' own.
    pub host: Options,
    /// Name of the one rule to report; `None` reports all.
    pub only: Option<String>,
}

/// What the rules found, in their order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Plugin id; the path as given when the bundle cannot be read.
    pub plugin: String,
    /// Plugin version; empty when the bundle cannot be read.
    pub version: String,
    /// One per rule.
    pub cases: Vec<Case>,
}

/// One rule and what it found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// Short name, such as `no-leak`.
    pub name: &'static str,
    /// What the plugin must do and why.
    pub rule: &'static str,
    /// Whether it does.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The plugin keeps the rule.
    Pass {
        /// What was seen.
        found: String,
    },
    /// The plugin breaks the rule.
    Fail {
        /// What was seen.
        found: String,
        /// What its author can do.
        remedy: &'static str,
    },
    /// The rule does not apply, or another one failed that it needs.
    Skipped {
        /// Why.
        why: String,
    },
}

/// Checks the bundle (a folder with `plugin.toml`, or a bare library) at `path` against every rule.
///
/// A crash, hang or refusal of the plugin fails the case that met it; the others go on in workers of their own. What
/// cannot be reached, such as calls into a library that does not load, is skipped.
pub fn check_bundle(path: &Path, options: &CheckOptions) -> Report {
    let host =
        Options { isolation: crate::Isolation::Worker, workers: 1, threads: 1, spare: false, ..options.host.clone() };
    let mut log = Log { only: options.only.as_deref(), blocked: None, cases: Vec::new() };
    let bundle = log.gate(&bundle::READS, || {
        let bundle = open_bundle(path).map_err(|e| Stop::Fail(e.to_string()))?;
        let found = format!("{} {}", bundle.id, bundle.version);
        Ok((bundle, found))
    });
    log.rules(&bundle::RULES, bundle.as_ref());
    let (plugin, version) = bundle.as_ref().map_or_else(
        || (path.display().to_string(), String::new()),
        |bundle| (bundle.id.clone(), bundle.version.clone()),
    );
    let bench = log.gate(&bundle::LOADS, || Bench::load(bundle.ok_or(Stop::Unmet)?, host));
    log.rules(&bundle::DESCRIBES, bench.as_ref());
    let created =
        log.gate(&bundle::CREATES, || bundle::creates(bench.as_ref().ok_or(Stop::Unmet)?).map(|found| ((), found)));
    let bench = bench.filter(|_| created.is_some());
    let answers =
        log.gate(&bundle::ANSWERS, || bundle::answers(bench.as_ref().ok_or(Stop::Unmet)?).map(|found| ((), found)));
    let bench = bench.filter(|_| answers.is_some());
    for rules in FURTHER {
        log.rules(rules, bench.as_ref());
    }
    Report { plugin, version, cases: log.cases }
}

/// Name and sentence of every rule, in the order of a report.
pub fn check_rules() -> Vec<(&'static str, &'static str)> {
    let of_bundle = bundle::RULES.iter().map(|rule| rule.words);
    let of_bench = bundle::DESCRIBES.iter().map(|rule| rule.words);
    let further = FURTHER.iter().flat_map(|rules| rules.iter()).map(|rule| rule.words);
    let words = [bundle::READS].into_iter().chain(of_bundle).chain([bundle::LOADS]).chain(of_bench);
    let words = words.chain([bundle::CREATES, bundle::ANSWERS]).chain(further);
    words.map(|words| (words.name, words.rule)).collect()
}

/// The rules of a plugin that answers.
const FURTHER: [&[Rule<Bench>]; 6] =
    [&params::RULES, &tensors::RULES, &output::RULES, &repeat::RULES, &patches::RULES, &wear::RULES];

/// What a rule says.
#[derive(Clone, Copy)]
struct Words {
    name: &'static str,
    rule: &'static str,
    remedy: &'static str,
}

/// A rule and how it is looked at.
struct Rule<T: 'static> {
    words: Words,
    check: fn(&T) -> Verdict,
}

struct Log<'a> {
    only: Option<&'a str>,
    /// The first gate that did not open.
    blocked: Option<&'static str>,
    cases: Vec<Case>,
}

impl Log<'_> {
    /// A rule that others need; `None` when it is not kept.
    fn gate<T>(&mut self, words: &Words, check: impl FnOnce() -> Result<(T, String), Stop>) -> Option<T> {
        let (value, verdict) = match check() {
            Ok((value, found)) => (Some(value), Ok(found)),
            Err(stop) => (None, Err(stop)),
        };
        self.note(words, verdict);
        if value.is_none() {
            self.blocked.get_or_insert(words.name);
        }
        value
    }

    fn rules<T>(&mut self, rules: &[Rule<T>], subject: Option<&T>) {
        let only = self.only;
        for rule in rules.iter().filter(|rule| only.is_none_or(|only| only == rule.words.name)) {
            self.note(&rule.words, subject.ok_or(Stop::Unmet).and_then(rule.check));
        }
    }

    fn note(&mut self, words: &Words, verdict: Verdict) {
        let Words { name, rule, remedy } = *words;
        if self.only.is_some_and(|only| only != name) {
            return;
        }
        let outcome = match verdict {
            Ok(found) => Outcome::Pass { found },
            Err(Stop::Fail(found)) => Outcome::Fail { found, remedy },
            Err(Stop::Skip(why)) => Outcome::Skipped { why },
            Err(Stop::Unmet) => {
                Outcome::Skipped { why: format!("it needs '{}', which failed", self.blocked.unwrap_or_default()) }
            }
        };
        self.cases.push(Case { name, rule, outcome });
    }
}

impl Report {
    /// True when no case failed.
    pub fn passed(&self) -> bool {
        !self.cases.iter().any(|case| matches!(case.outcome, Outcome::Fail { .. }))
    }
}

/// A table with one line per case, and below a failed one its rule and remedy.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
        let mut counts = [0; 3];
        for Case { name, rule, outcome } in &self.cases {
            let (word, text, count) = match outcome {
                Outcome::Pass { found } => ("PASS", found, 0),
                Outcome::Fail { found, .. } => ("FAIL", found, 1),
                Outcome::Skipped { why } => ("SKIP", why, 2),
            };
            counts[count] += 1;
            writeln!(f, "{word}  {name:width$}  {text}")?;
            if let Outcome::Fail { remedy, .. } = outcome {
                writeln!(f, "      rule: {rule}")?;
                writeln!(f, "      remedy: {remedy}")?;
            }
        }
        let [passed, failed, skipped] = counts;
        write!(f, "{} {}: {passed} passed, {failed} failed, {skipped} skipped", self.plugin, self.version)
    }
}
