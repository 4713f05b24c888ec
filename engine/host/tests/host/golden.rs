//! Golden vectors: made, tested, and compared between versions.

use std::{fs, path::Path};

use isoscan_host::{
    Bundle, DriftTable, Fault, Golden, Party, Plugin, Step, canary, make_golden, measure_canary, measure_golden,
    test_golden,
};

use crate::{
    plugins::{clamp, faulty, identity, open, options},
    versions::{Made, made, opened, vector},
};

fn refusal<T: std::fmt::Debug>(outcome: Result<T, Fault>) -> (Step, Party, String) {
    match outcome {
        Err(Fault::Rejected { step, party, reason, .. }) => (step, party, reason),
        other => panic!("{other:?}"),
    }
}

fn golden(file: &str, tolerance: f64) -> Golden {
    Golden { file: file.to_owned(), params: [].into(), spacing_mm: [1.0; 3], seed: 0, tolerance, drift: None }
}

/// `plugin` with the files of `dir` as its golden vectors.
fn with_vectors(plugin: &Plugin, dir: &Path, selftest: Vec<Golden>) -> Bundle {
    let mut bundle = plugin.bundle().clone();
    bundle.dir = dir.to_owned();
    bundle.manifest.selftest = selftest;
    bundle
}

#[test]
fn a_version_that_does_as_its_golden_vector_says_passes() {
    let (_dir, plugin) = opened(made(100_007));
    let drifts = test_golden(&plugin, plugin.bundle()).unwrap();
    assert_eq!((drifts.len(), drifts[0].voxels, drifts[0].largest), (1, 8, 0.0));
}

#[test]
fn a_version_that_does_otherwise_is_refused_in_one_line_and_shown_in_a_table() {
    let (_dir, plugin) = opened(Made { flags: &["-DOFFSET=2.5f"], ..made(100_007) });
    let (step, party, reason) = refusal(test_golden(&plugin, plugin.bundle()));
    assert_eq!((step, party), (Step::Test, Party::PluginAuthor));
    let expected = "its output differs from what is expected: golden/a.safetensors: 8 of 8 voxels beyond 0.001, \
                    largest difference 2.5, mean 2.5, RMS 2.5";
    assert_eq!(reason, expected);
    let table = DriftTable(&measure_golden(&plugin, plugin.bundle()).unwrap()).to_string();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["golden/a.safetensors", "8", "2.5", "2.5", "2.5", "8", "0.001"]);
}

#[test]
fn two_workers_that_differ_are_no_deterministic_plugin() {
    let (_dir, plugin) = opened(Made { flags: &["-DRANDOM"], ..made(100_007) });
    let (step, _, reason) = refusal(measure_golden(&plugin, plugin.bundle()));
    let expected = "expected the same output twice, found 1 of 8 voxels of golden/a.safetensors differing";
    assert_eq!((step, reason.as_str()), (Step::Test, expected));
}

#[test]
fn a_version_that_dies_of_its_golden_vector_is_refused() {
    let (_dir, plugin) = opened(Made { flags: &["-DCRASH"], ..made(100_007) });
    let (step, party, reason) = refusal(test_golden(&plugin, plugin.bundle()));
    assert_eq!((step, party), (Step::Test, Party::PluginAuthor));
    assert!(reason.starts_with("golden vector golden/a.safetensors: ") && reason.contains("SIGABRT"), "{reason}");
}

#[test]
fn a_vector_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let one = [1.0_f32];
    type Tensors<'a> = &'a [(&'a str, &'a [f32])];
    let files: [(&str, Tensors<'_>); 4] = [
        ("no-output", &[("image", &one)]),
        ("no-input", &[("expected", &one)]),
        ("unknown", &[("image", &one), ("mask", &one), ("expected", &one)]),
        ("good", &[("image", &one), ("expected", &one)]),
    ];
    for (name, tensors) in files {
        fs::write(dir.path().join(name), vector(tensors)).unwrap();
    }
    fs::write(dir.path().join("text"), "not at all").unwrap();
    let rows = [
        ("no-output", 0.0, "golden vector no-output: expected a tensor 'expected', found none"),
        ("no-input", 0.0, "golden vector no-input: expected 1 to 1 inputs (image), found 0"),
        ("unknown", 0.0, "golden vector unknown: it has no input 'mask'"),
        ("text", 0.0, "golden vector text: is no safetensors file: "),
        ("nothing", 0.0, "golden vector nothing: cannot be read: "),
        ("../good", 0.0, "golden vector ../good: expected a file inside its bundle"),
        ("good", f64::NAN, "golden vector good: expected a tolerance of at least 0, found NaN"),
        ("good", -1.0, "golden vector good: expected a tolerance of at least 0, found -1"),
    ];
    let plugin = open(identity(), options());
    for (file, tolerance, words) in rows {
        let bundle = with_vectors(&plugin, dir.path(), vec![golden(file, tolerance)]);
        let (step, _, reason) = refusal(test_golden(&plugin, &bundle));
        assert!(step == Step::Test && reason.starts_with(words), "{reason}");
    }
    let bundle = with_vectors(&plugin, dir.path(), vec![golden("good", 0.0)]);
    assert_eq!(test_golden(&plugin, &bundle).unwrap().len(), 1);
}

#[test]
fn made_vectors_pass_on_their_plugin_and_fail_on_another() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = open(&clamp(), options());
    let made = make_golden(&plugin, dir.path()).unwrap();
    let again = make_golden(&plugin, dir.path()).unwrap();
    assert_eq!(made, again);
    assert!(made.iter().all(|golden| golden.tolerance > 0.0 && dir.path().join(&golden.file).is_file()));
    let drifts = test_golden(&plugin, &with_vectors(&plugin, dir.path(), made.clone())).unwrap();
    assert!(drifts.iter().all(|drift| drift.largest == 0.0 && drift.voxels > 1000), "{drifts:?}");

    // `clamp` cuts what the identity keeps.
    let other = open(identity(), options());
    let (step, _, reason) = refusal(test_golden(&other, &with_vectors(&other, dir.path(), made)));
    assert!(step == Step::Test && reason.contains("voxels beyond"), "{reason}");
}

#[test]
fn a_plugin_that_takes_no_phantom_says_so_itself() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = open(faulty(), options());
    // Its parameter's default is no fault, so that it takes them.
    assert!(!make_golden(&plugin, dir.path()).unwrap().is_empty());
    let (_bundle, crashing) = opened(Made { flags: &["-DCRASH"], ..made(100_001) });
    assert!(matches!(make_golden(&crashing, dir.path()), Err(Fault::Poisoned { .. })));
}

#[test]
fn a_new_version_may_drift_as_far_as_it_declares() {
    let (_old_dir, old) = opened(made(100_001));
    for (drift, passes) in [(None, true), (Some(3.0), true), (Some(2.5), false)] {
        let (_new_dir, new) = opened(Made { drift, ..made(100_004) });
        let drifts = measure_canary(&new, &old).unwrap();
        let found: Vec<(f64, Option<f64>)> = drifts.iter().map(|drift| (drift.largest, drift.tolerance)).collect();
        // Both versions have the same input, which is compared once.
        assert_eq!(found, drift.map(|drift| (3.0, Some(drift))).into_iter().collect::<Vec<_>>());
        if passes {
            canary(&new, &old).unwrap();
        } else {
            let (step, party, reason) = refusal(canary(&new, &old));
            assert_eq!((step, party), (Step::Test, Party::PluginAuthor));
            assert!(reason.starts_with("its output differs from version 1.100001.0: golden/a.safetensors: 8 of 8"));
        }
    }
}
