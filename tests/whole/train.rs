//! Training through the plugin's door, its audit, and what plugins of several inputs and finer outputs give.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use isoscan_imaging::{Geometry, Modality, Orientation, Unit, Volume, refined, reorient};
use tempfile::TempDir;

use crate::fixture::{command, contents, isoscan, plugins, refused, script, succeed};

/// A body of 40x36x4 voxels in air, whose texture follows from `seed`.
fn body(seed: usize, spacing_mm: [f64; 3]) -> Volume {
    let geometry = Geometry::axis_aligned([40, 36, 4], spacing_mm).unwrap();
    let voxels = ndarray::Array3::from_shape_fn((4, 36, 40), |(z, y, x)| {
        let inside = (4..36).contains(&x) && (4..32).contains(&y);
        if inside { 60.0 + ((x * 7 + y * 5 + z * 3 + seed * 13) % 17) as f32 } else { 0.0 }
    });
    Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
}

fn write(folder: &Path, name: &str, volume: &Volume) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    isoscan_io::write(&path, volume, None, None).unwrap();
}

fn at(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn read(path: &str) -> Volume {
    isoscan_io::read(Path::new(path)).unwrap().volume
}

/// Trains the learner, which must succeed.
fn train(arguments: &[&str]) {
    let output = isoscan(&all(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn all<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["train", "learner", "--plugins", plugins().to_str().unwrap(), "--modality", "MR", "--patch", "16"];
    [&fixed[..], arguments].concat()
}

/// Weights of a bundle: gain, second, offset.
fn line(bundle: &str) -> [f64; 3] {
    let text = fs::read_to_string(format!("{bundle}/weights/line.json")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    ["gain", "second", "offset"].map(|name| line[name].as_f64().unwrap())
}

#[test]
fn a_finer_output_lies_on_the_refined_grid_in_every_orientation() {
    let folder = TempDir::new().unwrap();
    let upright = body(1, [2.0, 3.0, 4.0]);
    // Twice the voxels towards the patient's left, three times those towards the back.
    for (orientation, factors, ending) in [
        ("LPS", [2, 3, 1], ".nii.gz"),
        ("PIR", [3, 1, 2], ".nii.gz"),
        ("PLI", [3, 2, 1], ""),
        ("SLA", [1, 2, 3], ".nrrd"),
    ] {
        let image = reorient(&upright, orientation.parse().unwrap());
        let (source, out) = (format!("{orientation}.nii"), at(&folder, &format!("{orientation}-fine{ending}")));
        write(folder.path(), &source, &image);
        let how = ["--plugins", plugins().to_str().unwrap(), "--modality", "MR", "--set", "scale=2"];
        succeed(&[&["translate", "learner", &at(&folder, &source), &out][..], &how].concat());
        let fine = read(&out);
        let expected = refined(image.geometry(), factors).unwrap();
        assert!(expected.corner_distance_mm(fine.geometry()) < 1e-3, "{orientation}: {}", fine.geometry());
        for ((k, j, i), &value) in fine.voxels().indexed_iter() {
            let coarse = image.voxels()[[k / factors[2], j / factors[1], i / factors[0]]];
            assert!((value - coarse).abs() < 1e-2, "{orientation} {i} {j} {k}: {value} {coarse}");
        }
    }
}

#[test]
fn a_finer_output_in_slabs_has_the_bytes_of_one_in_memory() {
    let folder = TempDir::new().unwrap();
    let geometry = Geometry::axis_aligned([128, 96, 48], [2.0, 2.0, 3.0]).unwrap();
    let voxels = ndarray::Array3::from_shape_fn((48, 96, 128), |(z, y, x)| ((x * 7 + y * 5 + z * 3) % 251) as f32);
    let image = Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap();
    write(folder.path(), "image.nii", &reorient(&image, "PIR".parse::<Orientation>().unwrap()));
    let (whole, slabs) = (at(&folder, "whole.nii"), at(&folder, "slabs.nii"));
    let how = ["--plugins", plugins().to_str().unwrap(), "--modality", "MR", "--set", "scale=2"];
    succeed(&[&["translate", "learner", &at(&folder, "image.nii"), &whole][..], &how].concat());
    let told = succeed(
        &[&["translate", "learner", &at(&folder, "image.nii"), &slabs, "--memory", "56MiB"][..], &how].concat(),
    );
    assert!(told.contains("in slabs"), "{told}");
    assert_eq!(read(&slabs), read(&whole));
}

/// An image of the same place that looks the same everywhere.
fn pattern(seed: usize) -> Volume {
    let voxels =
        ndarray::Array3::from_shape_fn((4, 36, 40), |(z, y, x)| ((x * 11 + y * 3 + z * 5 + seed * 7) % 23) as f32);
    body(0, [1.0; 3]).with_voxels(voxels).unwrap()
}

/// Four subjects of two inputs and their truth, `2 image - other + 5`.
fn pairs(folder: &TempDir) {
    for subject in 0..4 {
        let (image, other) = (body(subject, [1.0; 3]), pattern(subject));
        let truth = image.with_voxels(&(&image.voxels() * 2.0) - &other.voxels() + 5.0).unwrap();
        write(folder.path(), &format!("a/sub-{subject}_T1w.nii"), &image);
        write(folder.path(), &format!("b/sub-{subject}_T2w.nii"), &other);
        write(folder.path(), &format!("truth/sub-{subject}_ce.nii"), &truth);
    }
}

#[test]
fn paired_training_of_two_inputs_finds_the_truth_and_makes_a_bundle_that_passes() {
    let folder = TempDir::new().unwrap();
    pairs(&folder);
    let bundle = at(&folder, "bundle");
    let (image, other) = (format!("image={}", at(&folder, "a")), format!("other={}", at(&folder, "b")));
    let truth = at(&folder, "truth");
    train(&["--source", &image, "--source", &other, "--target", &truth, "--paired", "-o", &bundle, "--steps", "600"]);
    let [gain, second, offset] = line(&bundle);
    assert!((gain - 2.0).abs() < 0.1 && (second + 1.0).abs() < 0.2, "{gain} {second} {offset}");
    let losses = fs::read_to_string(format!("{bundle}/training/losses.csv")).unwrap();
    assert_eq!((losses.lines().next(), losses.lines().count()), (Some("step,error"), 101));
    let validation = fs::read_to_string(format!("{bundle}/training/validation.csv")).unwrap();
    assert!(validation.starts_with("step,score,invented,mae\n250,"), "{validation}");
    let summary = fs::read_to_string(format!("{bundle}/training/summary.json")).unwrap();
    assert!(summary.contains("\"validated\": true"), "{summary}");
    assert!(contents(format!("{bundle}/training/previews").as_ref()).len() >= 3);
    succeed(&["plugins", "check", &bundle]);

    let out = at(&folder, "out.nii");
    let (scan, beside) = (at(&folder, "a/sub-2_T1w.nii"), format!("other={}", at(&folder, "b/sub-2_T2w.nii")));
    let translate = ["translate", &bundle, &scan, &out, "--modality", "MR", "--allow-unsigned"];
    succeed(&[&translate[..], &["--input", &beside]].concat());
    let (made, truth) = (read(&out), read(&at(&folder, "truth/sub-2_ce.nii")));
    let error = (&made.voxels() - &truth.voxels()).mapv(f32::abs).mean().unwrap();
    assert!(error < 3.0, "{error}");
    let text = format!(
        "let a = read(\"{scan}\", #{{ modality: \"MR\" }}); let b = read(\"{}\", #{{ modality: \"MR\" }});\n\
         a.translate(\"learner\", #{{}}, #{{ other: b }}).write(\"out.nii\");",
        at(&folder, "b/sub-2_T2w.nii")
    );
    let (text, results) = (script(folder.path(), &text), at(&folder, "results"));
    let store = at(&folder, "store");
    fs::create_dir(&store).unwrap();
    fs::rename(&bundle, format!("{store}/learner")).unwrap();
    let run = [
        "run",
        text.to_str().unwrap(),
        "--out",
        &results,
        "--plugins",
        &store,
        "--read",
        folder.path().to_str().unwrap(),
    ];
    succeed(&run);
    assert_eq!(read(&format!("{results}/out.nii")).voxels(), made.voxels());
    write(folder.path(), "elsewhere.nii", &body(7, [1.0, 1.0, 1.5]));
    let wrong = format!("other={}", at(&folder, "elsewhere.nii"));
    let bundle = format!("{store}/learner");
    let again = at(&folder, "again.nii");
    let translate = ["translate", &bundle, &scan, &again, "--modality", "MR", "--allow-unsigned", "--input", &wrong];
    assert!(refused(&translate).contains("takes 'other' on the grid of the first image"));
}

#[test]
fn a_killed_or_interrupted_training_goes_on_to_the_bytes_of_one_that_was_not() {
    let folder = TempDir::new().unwrap();
    pairs(&folder);
    let (source, target) = (at(&folder, "a"), at(&folder, "truth"));
    let short = [
        "--steps",
        "100",
        "--checkpoint-every",
        "7",
        "--validate-every",
        "9",
        "--augment",
        "flip,rotate,affine,intensity",
    ];
    let wait = ["--set", "wait_ms=15", "--memory", "60KiB"];
    let run = |output: &str| {
        let paths = ["--source", &source, "--target", &target, "-o"];
        let words = all(&[&paths[..], &[output], &short, &wait].concat());
        let mut program = command();
        program.args(words).arg("--allow-unsigned").current_dir(folder.path());
        program.stdout(Stdio::null()).stderr(Stdio::piped());
        program
    };
    let begun = |output: &str| {
        let training = run(output).spawn().unwrap();
        let checkpoints = folder.path().join(output).join("checkpoints");
        let patience = Instant::now() + Duration::from_secs(60);
        let is_there =
            |name: &str| fs::read_dir(&checkpoints).into_iter().flatten().flatten().any(|e| e.file_name() == name);
        while !is_there("step-00000014") && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
        training
    };
    assert!(run("whole").output().unwrap().status.success());

    let mut killed = begun("killed");
    let beside = run("killed").output().unwrap();
    assert!(String::from_utf8_lossy(&beside.stderr).contains("another process is training into"));
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success());

    let interrupted = begun("interrupted");
    assert!(Command::new("kill").args(["-INT", &interrupted.id().to_string()]).status().unwrap().success());
    let interrupted = interrupted.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&interrupted.stderr);
    assert_eq!(interrupted.status.code(), Some(130), "{words}");
    assert!(words.contains("training was stopped") && words.contains("the same command goes on"), "{words}");

    let whole = contents(&folder.path().join("whole"));
    for output in ["killed", "interrupted"] {
        assert!(!folder.path().join(output).join("plugin.toml").exists());
        let told = run(output).output().unwrap();
        let words = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success() && words.contains("going on at step"), "{output}: {words}");
        let resumed = contents(&folder.path().join(output));
        assert_eq!(whole.keys().collect::<Vec<_>>(), resumed.keys().collect::<Vec<_>>());
        for (name, bytes) in &whole {
            assert!(bytes == &resumed[name], "{output}: {} differs", name.display());
        }
    }
    let again = run("killed").output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("holds a finished bundle"));
}

#[test]
fn domains_are_learned_towards_the_target_domain_and_weights_that_do_not_get_better_end_it() {
    let folder = TempDir::new().unwrap();
    for subject in 0..3 {
        for (domain, gain, add) in [("p", 1.0, 0.0), ("q", 1.5, 20.0), ("r", 1.0, 10.0)] {
            let name = format!("{domain}/{subject}{domain}.nii");
            write(folder.path(), &name, &body(subject, [1.0; 3]).map(|v| if v > 0.0 { gain * v + add } else { v }));
        }
    }
    let recipe = "batch = 6\nsteps = 4000\npatience = 3\nvalidate_every = 20\ntarget_domain = \"q\"\npatch = \"16x16x2\"\n\
                  [domains]\np = \"p\"\nq = \"q\"\nr = \"r\"\n[params]\nrate = 0.02\n";
    fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    let (config, bundle) = (at(&folder, "recipe.toml"), at(&folder, "bundle"));
    let fixed = ["train", "learner", "--plugins", plugins().to_str().unwrap(), "--modality", "MR"];
    let done = isoscan(&[&fixed[..], &["--config", &config, "-o", &bundle]].concat());
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("no better weights in 3 validations"), "{told}");
    let rows = fs::read_to_string(format!("{bundle}/training/validation.csv")).unwrap();
    let scores: Vec<f64> = rows.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().parse().unwrap()).collect();
    let best = scores.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(scores[scores.len() - 4], best, "{scores:?}");
    let kept = fs::read_to_string(format!("{bundle}/training/recipe.toml")).unwrap();
    assert!(kept.contains("target_domain = \"q\"") && kept.contains("patience = 3"), "{kept}");
    fs::write(folder.path().join("wrong.toml"), format!("patiense = 1\n{recipe}")).unwrap();
    let wrong = at(&folder, "wrong.toml");
    let told = refused(&[&fixed[..], &["--config", &wrong, "-o", &at(&folder, "x")]].concat());
    assert!(told.contains("unknown key patiense, did you mean patience"), "{told}");
}

#[test]
fn shared_subjects_and_other_grids_are_refused_before_anything_is_learned() {
    let folder = TempDir::new().unwrap();
    pairs(&folder);
    write(folder.path(), "c/sub-9_T1w.nii", &body(2, [1.0; 3]));
    write(folder.path(), "c/sub-8_T1w.nii", &body(20, [1.0; 3]));
    let (a, c, json) = (at(&folder, "a"), at(&folder, "c"), at(&folder, "audit.json"));
    let told = isoscan(&["audit", "--train", &a, "--test", &c, "--modality", "MR", "--json", &json]);
    let table = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(1));
    assert!(table.contains("train 3 and test 2 are on both sides of a split and have the same voxels"), "{table}");
    assert!(!table.contains("sub-") && !fs::read_to_string(&json).unwrap().contains("sub-"), "{table}");
    succeed(&["audit", "--train", &a, "--train", &at(&folder, "truth"), "--paired", "--modality", "MR"]);

    let (target, out) = (at(&folder, "truth"), at(&folder, "x"));
    let (from, to) = (format!("source={c}"), format!("target={c}"));
    let sides = ["--source", &a, "--target", &target, "-o", &out];
    let told = refused(&all(&[&sides[..], &["--validation", &from, "--validation", &to]].concat()));
    assert!(told.contains("leakage: source 3 and validation source 2"), "{told}");
    write(folder.path(), "truth/sub-1_ce.nii", &body(5, [1.0, 1.0, 2.0]));
    let out = at(&folder, "y");
    let told = refused(&all(&["--source", &a, "--target", &target, "--paired", "-o", &out]));
    assert!(told.contains("geometry: source 2 and target 2 lie on different grids"), "{told}");
    train(&["--source", &a, "--target", &target, "--paired", "--resample", "-o", &at(&folder, "z"), "--steps", "3"]);
    let told = refused(&all(&[
        "--source",
        &format!("imag={a}"),
        "--source",
        &format!("other={a}"),
        "--target",
        &target,
        "-o",
        "w",
    ]));
    assert!(told.contains("the plugin has no input 'imag'"), "{told}");
}
