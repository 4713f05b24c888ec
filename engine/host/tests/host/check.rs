//! The checker against plugins that keep the contract and plugins that break one rule each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use isoscan_host::{Case, CheckOptions, Outcome, Report, check_bundle, check_rules, make_golden, pack_bundle};

use crate::plugins::{clamp, identity, invert, median, options, wrong};

/// What no bare library has.
const PAPERS: [&str; 3] = ["manifest-complete", "model-card", "golden-vectors"];

fn failed(report: &Report) -> Vec<&'static str> {
    report.cases.iter().filter(|case| matches!(case.outcome, Outcome::Fail { .. })).map(|case| case.name).collect()
}

fn checked(library: &Path) -> Report {
    check_bundle(library, &CheckOptions { host: options(), only: None })
}

#[test]
fn bare_libraries_that_keep_the_contract_lack_their_papers_only() {
    for library in [identity().to_owned(), clamp(), median(), wrong("BREAKS_NOTHING"), wrong("SLOW")] {
        let report = checked(&library);
        assert_eq!(failed(&report), PAPERS, "{report}");
        assert!(report.cases.iter().map(|case| case.name).eq(check_rules().into_iter().map(|(name, _)| name)));
    }
}

/// What each variant of `wrong.c` breaks.
const BROKEN: [(&str, &[&str]); 38] = [
    ("LOADING", &["library-loads"]),
    ("DESCRIBE", &["describe-agrees"]),
    ("CREATE", &["instance"]),
    ("DEFAULTS", &["usual-call"]),
    ("ENDS", &["parameter-ends"]),
    ("RANGE", &["parameter-range"]),
    ("VALUE_TYPE", &["parameter-type"]),
    ("NAMES", &["parameter-names"]),
    ("TYPE", &["tensor-type"]),
    ("DIMENSIONS", &["tensor-dimensions"]),
    ("STRIDES", &["tensor-strides"]),
    ("BYTES", &["tensor-bytes"]),
    ("EMPTY", &["tensor-empty"]),
    ("OUTPUT_SHAPE", &["output-shape"]),
    ("MISSING", &["input-missing"]),
    ("EXTRA", &["input-extra"]),
    ("OPTIONAL", &["input-optional"]),
    ("MESSAGES", &["refusal-message"]),
    ("FILLED", &["output-filled"]),
    ("ZEROED", &["output-filled"]),
    ("AFTER", &["stays-inside"]),
    ("BEFORE", &["stays-inside"]),
    ("READING", &["stays-inside"]),
    ("CONSTANT", &["constant-image"]),
    ("EXTREMES", &["extreme-intensities"]),
    ("NAN", &["nan-policy"]),
    ("NAN_CRASH", &["nan-policy"]),
    ("SAME_BYTES", &["deterministic"]),
    ("HISTORY", &["deterministic"]),
    ("THREADS_AGREE", &["deterministic"]),
    ("BATCH", &["batch-equals-singles"]),
    ("PATCHES", &["patch-invariance"]),
    // A NaN travels as far as the neighbourhood.
    ("HALO", &["nan-policy", "patch-invariance"]),
    ("CANCEL", &["cancel"]),
    ("MEMORY", &["no-leak"]),
    ("THREADS_END", &["no-thread-left"]),
    ("FILES", &["no-file-left"]),
    ("DESTROY", &["instances-freed"]),
];

#[test]
fn a_plugin_that_breaks_one_rule_fails_that_case_only() {
    let judge = |(variant, broken): &(&str, &[&str])| {
        let report = checked(&wrong(&format!("BREAKS_{variant}")));
        let found: Vec<&str> = failed(&report).into_iter().filter(|name| !PAPERS.contains(name)).collect();
        (found != *broken).then(|| format!("{variant}: {report}"))
    };
    let wrong: Vec<String> = BROKEN.iter().filter_map(judge).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const CARD: &str = "# Card\n\n## Intended use\n\nTests.\n\n## Training data\n\nNone.\n\n## Limits\n\nMany.\n";

/// A bundle of `library`, packed as its author would.
fn packed(id: &str, version: &str, library: &Path, dir: &Path) -> PathBuf {
    let source = dir.join(format!("{id}-source"));
    fs::create_dir(&source).unwrap();
    let name = library.file_name().unwrap().to_str().unwrap();
    fs::copy(library, source.join(name)).unwrap();
    fs::write(source.join("CARD.md"), CARD).unwrap();
    let papers = format!(
        "id = \"{id}\"\nversion = \"{version}\"\nlibrary = \"{name}\"\ncard = \"CARD.md\"\ntask = \"test\"\nmodels = [\"none\"]\n"
    );
    fs::write(source.join("plugin.toml"), papers).unwrap();
    pack_bundle(&source, &dir.join("dist"), &options(), Some(&make_golden)).unwrap().dir
}

#[test]
fn packed_plugins_of_every_language_pass_every_case() {
    let dir = tempfile::tempdir().unwrap();
    let rows =
        [("identity", identity().to_owned()), ("invert", invert()), ("c-clamp", clamp()), ("cpp-median", median())];
    for (id, library) in rows {
        let report = checked(&packed(id, "0.1.0", &library, dir.path()));
        assert!(report.passed(), "{report}");
        assert_eq!((report.plugin.as_str(), report.version.as_str()), (id, "0.1.0"));
    }
}

#[test]
fn a_bundle_without_its_papers_fails_the_case_that_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = packed("wrong", "1.0.0", &wrong("BREAKS_NOTHING"), dir.path());
    assert_eq!(failed(&checked(&bundle)), [""; 0]);
    // What `plugin.toml` says of the library, what it lists, and what it is compared with.
    type Row = (&'static str, fn(&str) -> String, &'static [&'static str]);
    let rows: [Row; 5] = [
        ("plugin.toml", |text| text.replace("task = \"test\"\n", ""), &["manifest-complete"]),
        ("plugin.toml", |text| text.replace("card = \"CARD.md\"\n", ""), &["manifest-complete", "model-card"]),
        (
            "plugin.toml",
            |text| text.replace("summary = \"Smooths\"", "summary = \"Rough\""),
            &["describe-agrees", "golden-vectors"],
        ),
        ("plugin.toml", |text| text.replace("version = \"1.0.0\"", "version = \"one\""), &["bundle-reads"]),
        ("CARD.md", |text| text.replace("Many.", "Few."), &["bundle-reads"]),
    ];
    for (file, edit, broken) in rows {
        let path = bundle.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert_ne!(edit(&before), before, "{broken:?}");
        fs::write(&path, edit(&before)).unwrap();
        let report = checked(&bundle);
        assert_eq!(failed(&report), broken, "{report}");
        fs::write(&path, before).unwrap();
    }
}

#[test]
fn one_case_can_be_asked_for_alone() {
    let ask = |library: &Path, only: &str| {
        check_bundle(library, &CheckOptions { host: options(), only: Some(only.to_owned()) })
    };
    let report = ask(&wrong("BREAKS_MEMORY"), "no-leak");
    assert_eq!((report.cases.len(), failed(&report).as_slice()), (1, &["no-leak"][..]), "{report}");
    // A case that cannot be reached is not one that was kept.
    let report = ask(&wrong("BREAKS_CREATE"), "no-leak");
    assert_eq!(report.cases.len(), 1);
    let why = "it needs 'instance', which failed".to_owned();
    assert_eq!(report.cases[0].outcome, Outcome::Skipped { why });
}

#[test]
fn a_report_is_a_table_and_a_json_document() {
    let report = Report {
        plugin: "net".into(),
        version: "1.0.0".into(),
        cases: vec![
            Case { name: "a", rule: "it is so", outcome: Outcome::Pass { found: "so".into() } },
            Case {
                name: "long",
                rule: "it is not",
                outcome: Outcome::Fail { found: "it is".into(), remedy: "undo it" },
            },
            Case { name: "b", rule: "it may be", outcome: Outcome::Skipped { why: "nobody knows".into() } },
        ],
    };
    let table = "PASS  a     so\nFAIL  long  it is\n      rule: it is not\n      remedy: undo it\n\
                 SKIP  b     nobody knows\nnet 1.0.0: 1 passed, 1 failed, 1 skipped";
    assert_eq!(report.to_string(), table);
    assert!(!report.passed());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["cases"][1]["outcome"], "fail");
    assert_eq!(json["cases"][1]["remedy"], "undo it");
    assert_eq!(json["cases"][2]["why"], "nobody knows");
}
