//! A library that serves many bundles describes the one that it was loaded from.

use std::{fs, path::Path};

use isoscan_abi::{Axes, Descriptor, Input, Output, Patching};
use isoscan_host::{Fault, Isolation, Level, Options, Party, Plugin, Step, open_bundle};

use crate::plugins::{built_by_cc, options};

fn lay(folder: &Path, id: &str, described: bool) {
    fs::create_dir(folder).unwrap();
    fs::copy(built_by_cc("engine/host/tests/host/served.c", "libserved.so"), folder.join("lib.so")).unwrap();
    fs::write(folder.join("plugin.toml"), format!("id = \"{id}\"\nversion = \"1.0.0\"\nlibrary = \"lib.so\"\n"))
        .unwrap();
    let descriptor = Descriptor {
        id: id.into(),
        version: "1.0.0".into(),
        name: id.into(),
        summary: String::new(),
        family: "test".into(),
        inputs: vec![Input::any("image", "")],
        output: Output::like_input(""),
        patching: Patching::whole(Axes::Volume),
        params: Vec::new(),
        deterministic: true,
        synthetic: false,
    };
    if described {
        fs::write(folder.join("descriptor.json"), serde_json::to_string(&descriptor).unwrap()).unwrap();
    }
}

#[test]
fn one_library_is_another_plugin_in_each_bundle() {
    let dir = tempfile::tempdir().unwrap();
    for isolation in [Isolation::Worker, Isolation::InProcess] {
        let mut opened = Vec::new();
        for id in ["first", "second"] {
            let folder = dir.path().join(format!("{isolation:?}-{id}"));
            lay(&folder, id, true);
            let mut bundle = open_bundle(&folder).unwrap();
            bundle.level = Level::BuiltIn;
            opened.push(Plugin::open(&bundle, Options { isolation, ..options() }).unwrap());
        }
        let ids: Vec<&str> = opened.iter().map(|plugin| plugin.descriptor().id.as_str()).collect();
        assert_eq!(ids, ["first", "second"], "{isolation:?}");
    }
}

#[test]
fn a_bundle_that_the_library_does_not_take_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("empty");
    lay(&folder, "empty", false);
    match Plugin::open(&open_bundle(&folder).unwrap(), options()).map(|_| ()) {
        Err(Fault::Rejected { step, party, reason, .. }) => {
            assert_eq!((step, party), (Step::Describe, Party::PluginAuthor));
            assert_eq!(reason, "expected descriptor.json in the bundle, found none");
        }
        other => panic!("{other:?}"),
    }
}
