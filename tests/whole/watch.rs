//! A watched folder, and plugins that are exchanged meanwhile.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    fixture::{cohort, command, script, succeed},
    vendor::{clamp_source, packed, text},
};

const SCRIPT: &str = r#"
    let study = cohort(settings(#{ input: "" }).input);
    study.each(|subject| subject.save("clamped", subject.source.translate("c-clamp", #{ high: 80.0 })));
"#;

/// The running program; interrupted and awaited when dropped.
struct Watching(Child);

impl Watching {
    fn start(folder: &Path) -> Self {
        let at = |name: &str| text(&folder.join(name)).to_owned();
        let script = script(folder, SCRIPT);
        let mut watch = command();
        watch.args(["watch", text(&script), "--input", &at("in"), "--out", &at("out"), "--settle", "0.5"]);
        watch.args(["--plugins", &at("plugins"), "--store", &at("store"), "--allow-unsigned", "--jobs", "2"]);
        let log = fs::File::create(folder.join("log")).unwrap();
        Self(watch.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn interrupt(mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `holds`, at most a minute, and shows the program's log otherwise.
fn await_that(folder: &Path, what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come true: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets a study arrive.
fn arrive(folder: &Path, name: &str) {
    let study = folder.join("in").join(name);
    fs::create_dir(&study).unwrap();
    fs::copy(cohort().join("sub-000/source.nii.gz"), study.join("scan.nii.gz")).unwrap();
}

/// The version that made a result.
fn version(folder: &Path, study: &str) -> String {
    let provenance = fs::read_to_string(folder.join("out").join(study).join("provenance.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&provenance).unwrap();
    document["plugins"][0]["version"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn studies_get_the_newest_version_that_holds_and_none_is_lost() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path();
    for name in ["in", "plugins", "packed"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let install = |version: &str, edit: &dyn Fn(String) -> String| {
        let bundle = packed(&clamp_source(folder, version, edit), &folder.join("packed"), version);
        succeed(&["plugins", "install", text(&bundle), "--plugins", text(&folder.join("plugins"))]);
    };
    let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
    let done = |study: &str| folder.join("out").join(study).exists();
    install("1.0.0", &|text| text);
    let watching = Watching::start(folder);
    arrive(folder, "first");
    await_that(folder, "the first study", || done("first"));
    assert_eq!(version(folder, "first"), "1.0.0");

    install("1.1.0", &|text| text);
    await_that(folder, "the newer version", || log().contains("1.1.0: serves"));
    arrive(folder, "second");
    await_that(folder, "the second study", || done("second"));
    assert_eq!(version(folder, "second"), "1.1.0");

    // Its golden vectors are small: it passes its tests and crashes on every image of a patient's size.
    let bad = |text: String| {
        let place = "    const float *image";
        assert!(text.contains(place), "the example's text has changed");
        text.replace(place, &format!("    if (count >= 96 * 96) {{ __builtin_trap(); }}\n{place}"))
    };
    install("1.2.0", &bad);
    await_that(folder, "the bad version", || log().contains("1.2.0: serves"));
    let studies = ["third", "fourth", "fifth", "sixth", "seventh"];
    studies.iter().for_each(|study| arrive(folder, study));
    await_that(folder, "the rollback", || log().contains("1.2.0: withdrawn"));
    await_that(folder, "every study", || studies.iter().all(|study| done(study)));
    for study in studies {
        assert_eq!(version(folder, study), "1.1.0", "{study}: {}", log());
    }
    let results = fs::read_dir(folder.join("out")).unwrap().count();
    assert_eq!(results, 7, "one result for each study and nothing else");
    assert_eq!(watching.interrupt(), Some(130));

    let watching = Watching::start(folder);
    arrive(folder, "eighth");
    await_that(folder, "the eighth study", || done("eighth"));
    assert_eq!(version(folder, "eighth"), "1.1.0", "a withdrawn version stays out of service");
    drop(watching);
}
