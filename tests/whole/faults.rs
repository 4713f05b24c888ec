//! Plugins that fail: each costs one row, and every other subject finishes.

use std::fs;

use tempfile::TempDir;

use crate::fixture::{cohort, plugins, script, succeed};

#[test]
fn a_crash_a_hang_and_a_panic_cost_one_row_each() {
    let folder = TempDir::new().unwrap();
    let text = r#"
        let set = settings(#{ input: "" });
        let study = cohort(set.input);
        let faults = ["segfault", "hang", "panic"];
        study.each(|subject| {
            let source = subject.source;
            subject.measure("source", source);
            subject.measure("reference", subject.reference);
            let fault = if subject.index < 3 { faults[subject.index] } else { "none" };
            try {
                subject.measure("faulty", source.translate("faulty", #{ fault: fault }));
            } catch (error) {
                subject.fail("faulty", error);
            }
        });
        study.report(#{ methods: ["faulty"] });
    "#;
    let script = script(folder.path(), text);
    let out = folder.path().join("out");
    let input = format!("input={}", cohort().display());
    let mut arguments = vec!["run", script.to_str().unwrap(), "--set", &input, "--jobs", "2", "--deadline", "3"];
    arguments.extend(["--plugins", plugins().to_str().unwrap(), "--out", out.to_str().unwrap()]);
    succeed(&arguments);

    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for words in ["set aside after 2 workers died of it: SIGSEGV", "no answer within 3 s", "panicked"] {
        assert_eq!(page.matches(words).count(), 1, "{words}");
    }
    let features = fs::read_to_string(out.join("features.csv")).unwrap();
    let translated = |subject: &str| {
        features.lines().filter(|line| line.starts_with(subject) && line.contains(",translated,faulty,")).count()
    };
    for (subject, finished) in
        [("sub-000", false), ("sub-001", false), ("sub-002", false), ("sub-003", true), ("sub-004", true)]
    {
        assert_eq!(translated(subject) > 0, finished, "{subject}");
    }
}
