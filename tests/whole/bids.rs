//! A BIDS dataset in, a BIDS derivative out.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::{cohort, plugins, refused, script, succeed};

/// Two subjects, each at site `a` (the source protocol of the phantom) and site `b` (the reference protocol).
fn dataset(root: &Path) {
    for (label, subject) in [("01", "sub-000"), ("02", "sub-001")] {
        for (site, name) in [("a", "source"), ("b", "reference")] {
            let folder = root.join(format!("sub-{label}/ses-{site}/anat"));
            fs::create_dir_all(&folder).unwrap();
            let image = folder.join(format!("sub-{label}_ses-{site}_T1w.nii.gz"));
            fs::copy(cohort().join(subject).join(format!("{name}.nii.gz")), image).unwrap();
        }
        let labels = root.join(format!("sub-{label}/ses-a/anat/sub-{label}_ses-a_dseg.nii.gz"));
        fs::copy(cohort().join(subject).join("labels.nii.gz"), labels).unwrap();
    }
    let description = r#"{"Name": "two sites", "BIDSVersion": "1.10.0", "DatasetType": "raw", "Authors": ["A", "B"]}"#;
    fs::write(root.join("dataset_description.json"), description).unwrap();
    fs::write(root.join("T1w.json"), r#"{"BodyPart": "ABDOMEN", "EchoTime": 0.003}"#).unwrap();
}

const SCRIPT: &str = r#"
    let study = cohort("DATA", #{ suffix: "T1w", ses: "a", reference: #{ ses: "b" } });
    study.each(|subject| {
        let translated = subject.source.translate("identity");
        subject.measure("source", subject.source);
        subject.measure("identity", translated);
        subject.measure("reference", subject.reference);
        subject.save("identity", translated);
    });
    study.report(#{ methods: ["identity"] });
    print(study.subjects.map(|subject| subject.id).to_string());
"#;

#[test]
fn a_dataset_gives_a_derivative_that_the_validator_accepts() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    dataset(&data);
    let script = script(folder.path(), &SCRIPT.replace("DATA", data.to_str().unwrap()));
    let out = folder.path().join("out");
    let words = ["run", script.to_str().unwrap(), "--read", data.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let told = succeed(&[&words[..], &["--plugins", plugins().to_str().unwrap()]].concat());
    assert!(told.contains(r#"["sub-01_ses-a_T1w", "sub-02_ses-a_T1w"]"#), "{told}");

    let image = "sub-01/ses-a/anat/sub-01_ses-a_desc-identity_T1w";
    let derivative = out.join("derivative");
    let sidecar = fs::read(derivative.join(format!("{image}.json"))).unwrap();
    let sidecar: Value = serde_json::from_slice(&sidecar).unwrap();
    assert_eq!(sidecar["Sources"][0], "bids:source:sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz");
    assert_eq!((&sidecar["Isoscan"]["Plugin"]["Id"], &sidecar["BodyPart"]), (&"identity".into(), &"ABDOMEN".into()));
    assert_eq!(sidecar.get("EchoTime"), None, "an echo time is no property of a translated image");
    let features = fs::read_to_string(out.join("features.csv")).unwrap();
    assert!(features.lines().any(|row| row.starts_with("sub-02_ses-a_T1w,mask,reference")), "{features}");
    let written = derivative.join(format!("{image}.nii.gz"));
    let source = data.join("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz");
    succeed(&["diff", source.to_str().unwrap(), written.to_str().unwrap(), "--require", "same-image"]);
    validated(&derivative);
}

/// The standard's own validator finds no error; needs it beside the Python of `ISOSCAN_PEERS`.
fn validated(dataset: &Path) {
    let validator =
        std::env::var_os("ISOSCAN_PEERS").map(|python| Path::new(&python).with_file_name("bids-validator-deno"));
    let Some(validator) = validator.filter(|path| path.is_file()) else {
        println!("skipped: no bids-validator-deno beside the Python of ISOSCAN_PEERS");
        return;
    };
    let output = Command::new(validator).args(["--json"]).arg(dataset).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let issues = told["issues"]["issues"].as_array().unwrap();
    let errors: Vec<&Value> = issues.iter().filter(|issue| issue["severity"] == "error").collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn a_dataset_without_a_name_and_options_elsewhere_are_refused() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    dataset(&data);
    let run = |name: &str| {
        let script = script(folder.path(), &SCRIPT.replace("DATA", data.to_str().unwrap()));
        let out = folder.path().join(name);
        refused(&["run", script.to_str().unwrap(), "--read", data.to_str().unwrap(), "--out", out.to_str().unwrap()])
    };
    fs::write(data.join("dataset_description.json"), "{}").unwrap();
    let told = run("nameless");
    assert!(told.contains("expected a text for Name and for BIDSVersion"), "{told}");
    fs::remove_file(data.join("dataset_description.json")).unwrap();
    let told = run("plain");
    assert!(told.contains("must be none outside a BIDS dataset"), "{told}");
}
