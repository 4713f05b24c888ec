//! The main job on phantoms: a recipe over a cohort.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::fixture::{cohort, command, contents, learned_plugins, plugins, script, seen_in_a_browser, succeed};

const RECIPE: &str = "scripts/recipes/harmonize_ct.rhai";

fn recipe(out: &std::path::Path, jobs: &str, plugins: &std::path::Path, methods: &str) -> Vec<String> {
    let words = ["run", RECIPE, "--seed", "5", "--jobs", jobs, "--set", methods, "--plugins"];
    let mut arguments: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    arguments.push(plugins.display().to_string());
    arguments.extend(["--set".to_owned(), format!("input={}", cohort().display())]);
    arguments.extend(["--out".to_owned(), out.display().to_string()]);
    arguments
}

#[test]
fn equal_seeds_give_equal_bytes_on_one_core_and_on_two() {
    let folder = TempDir::new().unwrap();
    let (plugins, methods) = match learned_plugins() {
        Some(learned) => (learned, "methods=cyclegan,histogram"),
        None => (plugins().to_owned(), "methods=histogram,identity"),
    };
    for jobs in ["1", "2"] {
        succeed(&recipe(&folder.path().join(jobs), jobs, &plugins, methods));
    }
    let (one, two) = (contents(&folder.path().join("1")), contents(&folder.path().join("2")));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    let differing: Vec<_> = one.iter().filter(|(path, bytes)| two[*path] != **bytes).map(|(path, _)| path).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn a_study_leaves_images_tables_provenance_and_a_page() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let told = succeed(&recipe(&out, "2", plugins(), "methods=histogram,identity"));
    assert!(told.contains("identity does not show a gain"), "{told}");

    let features = fs::read_to_string(out.join("features.csv")).unwrap();
    let mut lines = features.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(header[..4], ["subject", "roi", "stage", "method"]);
    assert!(header.contains(&"original_glcm_Contrast") && header.contains(&"original_shape_MeshVolume"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let liver = rows.iter().filter(|row| row[1] == "liver").count();
    assert_eq!(liver, 5 * 4, "five subjects at source, reference and two translated stages");

    let agreement = fs::read_to_string(out.join("ccc.csv")).unwrap();
    let identity: Vec<Vec<&str>> =
        agreement.lines().filter(|line| line.starts_with("identity,")).map(|line| line.split(',').collect()).collect();
    assert!(identity.len() > 100);
    assert!(identity.iter().all(|row| row[3] == row[6]), "an unchanged image agrees as it did before");

    let provenance: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["seed"], 5);
    let listed = provenance["outputs"].as_object().unwrap();
    let written = contents(&out);
    assert_eq!(listed.len() + 1, written.len(), "every file but the provenance itself is listed");
    let plugins: Vec<&str> =
        provenance["plugins"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert_eq!(plugins, ["histogram", "identity"]);
    assert_eq!(provenance["plugins"][0]["library_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(provenance["plugins"][0]["trust"], "unsigned");
    assert!(provenance["inputs"].as_object().unwrap().len() >= 5 * 3);

    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("default-src 'none'") && page.contains("data:image&#x2f;png;base64"));
    assert!(["src=\"http", "href=\"http", "url(http", "@import"].iter().all(|remote| !page.contains(remote)));
    if let Some(seen) = seen_in_a_browser(&out.join("report.html")) {
        assert!(seen.contains("<section id=\"verdict\">") && seen.contains("<img src=\"data:image/png;base64"));
    }
}

#[test]
fn the_shipped_weights_make_features_reproducible() {
    let Some(learned) = learned_plugins() else { return };
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("cohort");
    let made = ["phantom", "--subjects", "10", "--seed", "21", "--source", "b-sharp-low", "--reference", "a-soft"];
    let mut arguments: Vec<String> = made.iter().map(|word| (*word).to_owned()).collect();
    arguments.extend(["--length-mm", "30", "--out"].map(str::to_owned));
    arguments.push(data.display().to_string());
    succeed(&arguments);
    let out = folder.path().join("out");
    let words = ["run", RECIPE, "--set", "methods=cyclegan,identity", "--plugins"];
    let mut arguments: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    arguments.push(learned.display().to_string());
    arguments.extend(["--set".to_owned(), format!("input={}", data.display()), "--out".to_owned()]);
    arguments.push(out.display().to_string());
    let told = succeed(&arguments);
    let first = told.lines().next().unwrap();
    assert!(first.starts_with("cyclegan: ") && first.ends_with("significant.") && first.contains(" rises "), "{told}");
}

#[test]
fn ctrl_c_ends_a_run_inside_a_plugin_call_and_leaves_whole_files() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let text = r#"
        let set = settings(#{ input: "" });
        cohort(set.input).each(|subject| {
            subject.source.write("copy-" + subject.id + ".nii.gz");
            subject.source.translate("faulty", #{ fault: "hang" });
        });
    "#;
    let script = script(folder.path(), text);
    let mut child = command()
        .args(["run", script.to_str().unwrap(), "--out", out.to_str().unwrap(), "--jobs", "1", "--deadline", "600"])
        .arg("--allow-unsigned")
        .args(["--plugins", plugins().to_str().unwrap(), "--set", &format!("input={}", cohort().display())])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !out.join("copy-sub-000.nii.gz").exists() && started.elapsed() < Duration::from_secs(60) {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(300), "long before the plugin's deadline");
    let files = contents(&out);
    let names: Vec<String> = files.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["copy-sub-000.nii.gz", "provenance.json"]);
    succeed(&["info", out.join("copy-sub-000.nii.gz").to_str().unwrap()]);
}
