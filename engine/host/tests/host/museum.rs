//! Plugins of released contracts on today's engine: see `tests/museum/README.md`.

use std::path::{Path, PathBuf};

use isoscan_abi::{Context, ParamValue, TrainContext};
use isoscan_host::{Fault, Isolation, Options, Party, Plugin, Request, Step, TrainConfig, open_bundle};

use crate::plugins::{built_by_cargo, built_by_cc, built_by_cxx, open, options};

fn of_1_0() -> [(&'static str, PathBuf); 3] {
    [
        ("museum-c", built_by_cc("tests/museum/1.0/plugin.c", "libmuseum_1_0_c.so")),
        ("museum-cpp", built_by_cxx("tests/museum/1.0/plugin.cpp", "libmuseum_1_0_cpp.so")),
        ("museum-rust", rust_of_1_0()),
    ]
}

fn rust_of_1_0() -> PathBuf {
    built_by_cargo("isoscan-museum-1-0", "libisoscan_museum_1_0.so")
}

/// Runs on -1, 0 and 40 with what is added, or the default.
fn run(plugin: &Plugin, add: Option<f64>) -> Vec<f32> {
    let given = add.map(|add| ("add".to_owned(), add.into())).into_iter().collect();
    let params = plugin.descriptor().check_params(&given).unwrap();
    let mut image = plugin.buffer([1, 1, 1, 1, 3]).unwrap();
    image.copy_from_slice(&[-1.0, 0.0, 40.0]);
    let reply = plugin.call(Request {
        inputs: vec![image],
        output_shape: [1, 1, 1, 1, 3],
        params: &params,
        context: &Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] },
        cancel: &false.into(),
        job: "S01",
        progress: None,
    });
    let reply = reply.unwrap();
    assert_eq!(reply.log.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["doubled"]);
    reply.output.to_vec()
}

#[test]
fn plugins_of_contract_1_0_load_describe_themselves_and_run() {
    for isolation in [Isolation::Worker, Isolation::InProcess] {
        for (id, library) in of_1_0() {
            let plugin = open(&library, Options { isolation, ..options() });
            let described = plugin.descriptor();
            assert_eq!((described.id.as_str(), described.version.as_str()), (id, "1.0.0"));
            assert_eq!(described.check_params(&[].into()).unwrap()["add"], ParamValue::Float(1.0));
            assert!(!plugin.offers_batch(), "{id}");
            assert_eq!(run(&plugin, None), [-1.0, 1.0, 81.0], "{id}");
            assert_eq!(run(&plugin, Some(5.0)), [3.0, 5.0, 85.0], "{id}");
        }
    }
}

#[test]
fn types_of_a_rust_plugin_of_contract_1_0_are_compared_and_agree() {
    assert!(open(&rust_of_1_0(), options()).types_compared());
}

#[test]
fn a_plugin_of_contract_1_0_trains() {
    let [(_, library), ..] = of_1_0();
    let plugin = open(&library, options());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_owned();
    let config = TrainConfig {
        params: [].into(),
        seed: 1,
        threads: 1,
        steps: 1,
        resume: None,
        folder,
        context: TrainContext::default(),
    };
    let mut session = plugin.train(&config).unwrap();
    let mut pair = [1.0, 8.0].map(|value| {
        let mut patch = session.buffer([1; 5]).unwrap();
        patch.fill(value);
        patch
    });
    let [source, target] = &mut pair;
    assert_eq!(session.step(0, source, target).unwrap()["shift"], 0.5);
    assert_eq!(*session.translate(source).unwrap(), [8.0]);
}

#[test]
fn a_rust_plugin_whose_field_changed_its_type_is_refused_for_its_types() {
    let library = built_by_cargo("isoscan-drifted", "libisoscan_drifted.so");
    match Plugin::open(&open_bundle(Path::new(&library)).unwrap(), options()).map(|_| ()) {
        Err(Fault::Rejected { step, party, reason, .. }) => {
            assert_eq!((step, party), (Step::Layout, Party::PluginAuthor));
            assert_eq!(reason, "IsoCall.input_count: mismatched type Expected: u32 Found: i32");
        }
        other => panic!("{other:?}"),
    }
}
