//! The table of a study: methods side by side, with intervals by subject and counted truth.

use std::fs;

use tempfile::TempDir;

use crate::fixture::{plugins, script, seen_in_a_browser, succeed};

const STUDY: &str = r#"
let table = comparison("Two protocols", #{ baselines: ["identity"], show: ["mae", "lost", "share_ccc"] });
let features = feature_pairs();
for subject in 0..3 {
    let made = phantom("abdomen", subject, ["a-soft", "d-edge"], #{ seed: 31, pixels: 48, pixel_mm: 8.0, length_mm: 10.0 });
    let truth = made.images["a-soft"];
    let body = truth.body();
    let how = #{ mask: body, tissues: made.labels.regions(made.names),
        structures: #{ background: 40, contrast: 200, volume: 100 } };
    features.add(subject, "body", "reference", radiomics(truth, body));
    for method in ["none", "identity", "flat"] {
        let source = made.images["d-edge"];
        let image = switch method { "identity" => source.translate(method), "flat" => truth.paint(body, 0), _ => source };
        table.add(subject, method, agreement(image, truth, how));
        features.add(subject, "body", method, radiomics(image, body));
    }
    print(truth.agreement(truth, how).lost + " " + overlap(body, body).dice + " " + path_error(truth, truth));
}
let shares = features.shares();
for method in ["none", "identity"] { table.pool(method, "share_ccc", shares[method]); }
table.write("study");
try { table.add(0, "none", #{ beauty: 1.0 }); } catch (fault) { print(fault.message); }
"#;

#[test]
fn a_table_shows_methods_side_by_side_and_keeps_every_value() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (script(folder.path(), STUDY), folder.path().join("out"));
    let told = succeed(&[
        "run",
        file.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--plugins",
        plugins().to_str().unwrap(),
    ]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..3], ["0 1.0 0.0"; 3], "{told}");
    let markdown = fs::read_to_string(out.join("tables/study.md")).unwrap();
    assert!(told.contains(markdown.trim_end()), "{told}");
    let row = |start: &str| markdown.lines().find(|line| line.starts_with(start)).unwrap();
    let same = row("| mae (lower is better) | identity |");
    let none = row("| mae (lower is better) | none |");
    assert_eq!(same.split('|').nth(3), none.split('|').nth(3), "{markdown}");
    assert!(same.contains(" +0 [+0, +0] undecided |"), "{markdown}");
    assert!(row("| lost (lower is better) | identity |").contains(" +0 [+0, +0] undecided |"), "{markdown}");
    assert!(row("| share_ccc (higher is better) | identity |").contains(" +0 [+0, +0] undecided |"), "{markdown}");
    assert!(!markdown.contains("mae_liver") && markdown.contains("n = 3 subjects"), "{markdown}");
    let csv = fs::read_to_string(out.join("tables/study.csv")).unwrap();
    assert!(csv.lines().any(|line| line.starts_with("mae_liver,flat,2,,")), "{csv}");
    if let Some(page) = seen_in_a_browser(&out.join("tables/study.html")) {
        assert!(page.contains("<b>identity</b> against none") && page.contains("plugin identity"), "{page}");
    }
    assert!(lines.last().is_some_and(|line| line.contains("better: #{ beauty: \"lower\" }")), "{told}");
}
