//! A vendor's way from source to a signed bundle, and an operator's to running it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::fixture::{cohort, command, refused, root, succeed};

/// A folder to pack the C example from, as the given version and with an edit of its source.
pub(crate) fn clamp_source(folder: &Path, version: &str, edit: impl Fn(String) -> String) -> PathBuf {
    let source = folder.join(format!("clamp-{version}"));
    fs::create_dir_all(&source).unwrap();
    let example = root().join("examples/c-plugin");
    let read = |name: &str| fs::read_to_string(example.join(name)).unwrap().replace("0.1.0", version);
    for name in ["plugin.toml", "CARD.md"] {
        fs::write(source.join(name), read(name)).unwrap();
    }
    let text = source.join("clamp.c");
    fs::write(&text, edit(read("clamp.c"))).unwrap();
    let built = Command::new("cc")
        .args(["-std=c11", "-O2", "-fPIC", "-shared", "-I", "abi/include", "-I", "examples/c-plugin"])
        .current_dir(root())
        .arg(&text)
        .arg("-o")
        .arg(source.join("libisoscan_c_clamp.so"))
        .status();
    assert!(built.unwrap().success());
    fs::remove_file(text).unwrap();
    source
}

/// Packs a source into `folder` and gives the bundle.
pub(crate) fn packed(source: &Path, folder: &Path, version: &str) -> PathBuf {
    succeed(&["plugins", "pack", text(source), "--out", text(folder)]);
    folder.join(format!("c-clamp-{version}"))
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn scan() -> String {
    format!("{}/sub-000/source.nii.gz", cohort().display())
}

/// Runs the program without the leave to run unsigned plugins, which the fixture gives.
fn strictly(arguments: &[&str]) -> (bool, String) {
    let output = command().args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    (output.status.success(), told)
}

#[test]
fn a_bundle_is_packed_signed_trusted_installed_run_and_withdrawn() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let (plugins, store, keys) = (at("plugins"), at("store"), at("keys.toml"));
    fs::create_dir(&plugins).unwrap();
    let bundle = packed(&clamp_source(folder.path(), "1.0.0", |text| text), folder.path(), "1.0.0");
    let place = ["--plugins", &plugins, "--store", &store, "--keys", &keys];
    let translate = |out: &str| strictly(&[&["translate", "c-clamp", &scan(), out][..], &place].concat());

    succeed(&["plugins", "keys", "new", &at("vendor")]);
    succeed(&["plugins", "sign", text(&bundle), "--key", &at("vendor.key")]);
    succeed(&["plugins", "install", text(&bundle), "--plugins", &plugins]);
    fs::write(&keys, "").unwrap();
    let (done, told) = translate(&at("a.nii.gz"));
    assert!(!done && told.contains("checking its signature") && told.contains("the operator must act"), "{told}");

    succeed(&["plugins", "keys", "add", "Vendor", &at("vendor.pub"), "--id", "c-clamp", "--keys", &keys]);
    let (done, told) = translate(&at("a.nii.gz"));
    assert!(done, "{told}");
    assert!(succeed(&["plugins", "verify", text(&bundle), "--keys", &keys]).contains("signed by Vendor"));
    let listed = succeed(&[&["plugins", "list"][..], &place].concat());
    assert!(listed.contains("c-clamp 1.0.0 (signed by Vendor)"), "{listed}");

    fs::write(folder.path().join("plugins/c-clamp-1.0.0/extra"), "").unwrap();
    let listed = succeed(&[&["plugins", "list"][..], &place].concat());
    assert!(
        listed.contains("refused    plugin c-clamp: extra is in its bundle but not in the manifest's [files] table")
    );
    fs::remove_file(folder.path().join("plugins/c-clamp-1.0.0/extra")).unwrap();

    let newer = packed(&clamp_source(folder.path(), "1.1.0", |text| text), folder.path(), "1.1.0");
    succeed(&["plugins", "sign", text(&newer), "--key", &at("vendor.key")]);
    succeed(&["plugins", "install", text(&newer), "--plugins", &plugins]);
    let version_of = |plugin: &str, out: &str| {
        let told = succeed(&[&["translate", plugin, &scan(), out][..], &place].concat());
        told.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(version_of("c-clamp", &at("b.nii.gz")), "1.1.0");
    assert_eq!(version_of("c-clamp@=1.0", &at("c.nii.gz")), "1.0.0");
    succeed(&[&["plugins", "rollback", "c-clamp"][..], &place].concat());
    let listed = succeed(&[&["plugins", "list"][..], &place].concat());
    assert!(listed.contains("withdrawn  plugin c-clamp 1.1.0: withdrawn: by the operator"), "{listed}");
    assert_eq!(version_of("c-clamp", &at("d.nii.gz")), "1.0.0");
    succeed(&[&["plugins", "rollback", "c-clamp", "--undo"][..], &place].concat());
    assert_eq!(version_of("c-clamp", &at("e.nii.gz")), "1.1.0");
}

#[test]
fn an_unsigned_bundle_runs_only_with_leave() {
    let folder = TempDir::new().unwrap();
    let bundle = packed(&clamp_source(folder.path(), "1.0.0", |text| text), folder.path(), "1.0.0");
    let out = folder.path().join("out.nii.gz");
    let told = refused(&["translate", text(&bundle), &scan(), text(&out)]);
    assert!(told.contains("nobody signed it") || told.contains("not signed"), "{told}");
    assert!(!out.exists());
    succeed(&["translate", text(&bundle), &scan(), text(&out), "--allow-unsigned"]);
}

#[test]
fn a_new_project_in_each_language_builds_and_passes_every_rule() {
    let folder = TempDir::new().unwrap();
    for (language, task) in [("c", "denoising"), ("cpp", "super-resolution"), ("rust", "harmonization")] {
        let name = format!("org.demo.{language}");
        succeed(&["plugins", "new", &name, "--lang", language, "--task", task, "--dir", text(folder.path())]);
        let project = folder.path().join(&name);
        if language == "rust" {
            cargo_builds(&project, &format!("liborg_demo_{language}.so"));
        } else {
            for goal in [&["test"][..], &[]] {
                let made = Command::new("make").args(goal).current_dir(&project).output().unwrap();
                assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            }
        }
        let dist = project.join("dist");
        succeed(&["plugins", "pack", text(&project.join("bundle")), "--out", text(&dist)]);
        let report = folder.path().join("report.json");
        let bundle = dist.join(format!("{name}-0.1.0"));
        let told = succeed(&["plugins", "check", text(&bundle), "--json", text(&report)]);
        assert!(told.contains(", 0 failed"), "{told}");
        let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
        assert!(report["cases"].as_array().unwrap().len() >= 30, "{report}");
    }
}

/// Builds and tests a Rust project with the crates that this workspace is locked to, without fetching any.
fn cargo_builds(project: &Path, library: &str) {
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let target = project.join("target");
    for what in [["build", "--release"], ["test", "--release"]] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(what).args(["--quiet", "--offline", "--target-dir"]).arg(&target).current_dir(project);
        let done = cargo.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    fs::copy(target.join("release").join(library), project.join("bundle").join(library)).unwrap();
}
