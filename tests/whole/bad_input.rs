//! Bad input: what is told, word for word.

use std::fs;

use tempfile::TempDir;

use crate::fixture::{cohort, plugins, refused, script};

/// Runs a script over the phantom cohort and gives what is told.
fn script_refused(text: &str, more: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let path = script(folder.path(), text);
    let out = folder.path().join("out");
    let mut arguments = vec!["run", path.to_str().unwrap(), "--out", out.to_str().unwrap(), "--jobs", "1"];
    arguments.extend(["--plugins", plugins().to_str().unwrap(), "--read", cohort().to_str().unwrap()]);
    arguments.extend(more);
    refused(&arguments)
        .replace(&folder.path().display().to_string(), "FOLDER")
        .replace(&cohort().display().to_string(), "COHORT")
}

fn read(name: &str) -> String {
    format!("let image = read(\"{}\");", cohort().join(name).display())
}

#[test]
fn each_mistake_of_a_script_is_told_with_its_place_and_a_remedy() {
    let image = read("sub-000/source.nii.gz");
    let rows: [(String, &[&str], &[&str]); 9] = [
        ("let x = ;\n".to_owned(), &[], &["script.rhai:1:9", "the script was not started"]),
        (
            "loop { }\n".to_owned(),
            &[],
            &["the script ran past its limit of operations", "look for a loop that does not end", "script.rhai:1:"],
        ),
        (
            "let x = 1;\nlet y = raed(\"a\");\n".to_owned(),
            &[],
            &["no such function: raed", "check the name", "script.rhai:2:9"],
        ),
        (
            "read(\"missing.nii\");\n".to_owned(),
            &[],
            &["no such file or folder: missing.nii", "check the path", "script.rhai:1:1"],
        ),
        (
            "read(\"/etc/hostname\");\n".to_owned(),
            &[],
            &["not granted: /etc/hostname lies outside the folders that this run may touch", "--read DIR"],
        ),
        (
            format!("{image}\nimage.translate(\"histogram\");\n"),
            &[],
            &["plugin histogram takes the inputs reference, found only the image", "script.rhai:2:"],
        ),
        (
            format!("{image}\nimage.translate(\"identity\", #{{ strength: 2 }});\n"),
            &[],
            &["plugin identity has no parameter 'strength': it has none", "plugins list"],
        ),
        (
            format!("{image}\nimage.translate(\"cyclegun\");\n"),
            &[],
            &["no plugin 'cyclegun': found faulty, histogram, identity"],
        ),
        (
            "let set = settings(#{ input: \"\" });\n".to_owned(),
            &["--set", "inptu=x"],
            &["unknown setting 'inptu': the script declares input", "script.rhai:1:11"],
        ),
    ];
    for (text, more, expected) in rows {
        let told = script_refused(&text, more);
        for words in expected {
            assert!(told.contains(words), "{text}\nexpected {words}\ntold {told}");
        }
    }
}

#[test]
fn each_bad_file_is_told_with_what_was_expected_and_found() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let scan = cohort().join("sub-000/source.nii.gz");
    let labels = cohort().join("sub-000/labels.nii.gz");
    let (scan, labels) = (scan.to_str().unwrap(), labels.to_str().unwrap());
    let bytes = fs::read(scan).unwrap();
    fs::write(at("truncated.nii.gz"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(at("text.nii"), "this is not an image").unwrap();
    fs::write(at("settings.json"), r#"{"setting": {"binWidht": 10}}"#).unwrap();
    let other = at("other");
    crate::fixture::succeed(&[
        "phantom",
        "--out",
        &other,
        "--protocol",
        "a-soft",
        "--pixels",
        "64",
        "--pixel-mm",
        "5",
        "--length-mm",
        "10",
    ]);
    let other = format!("{other}/sub-000_a-soft.nii.gz");
    let plugins = plugins().to_str().unwrap();
    let (out, csv, settings) = (at("out.nii.gz"), at("out.csv"), at("settings.json"));
    let (missing, truncated, text) = (at("missing.nii"), at("truncated.nii.gz"), at("text.nii"));
    let rows: [(&[&str], &str); 8] = [
        (&["info", &missing], "missing.nii"),
        (&["convert", &truncated, &out], "truncated"),
        (&["convert", &text, &out], "text.nii"),
        (&["radiomics", scan, labels, "--label", "99", "-o", &csv], "mask is empty"),
        (&["radiomics", scan, &other, "-o", &csv], "grids differ"),
        (&["radiomics", scan, labels, "--settings", &settings, "-o", &csv], "binWidht"),
        (
            &["translate", "identity", scan, &out, "--set", "a=1", "--plugins", plugins],
            "plugin identity has no parameter 'a'",
        ),
        (&["translate", "identity", scan, scan, "--plugins", plugins], "exists"),
    ];
    for (arguments, words) in rows {
        let told = refused(arguments);
        assert!(told.contains(words), "{arguments:?}\nexpected {words}\ntold {told}");
    }
    assert!(!folder.path().join("out.nii.gz").exists() && !folder.path().join("out.csv").exists());
}
