//! Several batches of patches in one order change no bit of a translation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use isoscan_host::{Isolation, Level, Options, Plugin, Policy, open_bundle};
use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_pipeline::{Job, translate};

/// The C example, which takes eight slices a call and several calls an order, or the same without the latter.
fn clamp(name: &str, batches: bool) -> Plugin {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = std::fs::read_to_string(root.join("examples/c-plugin/clamp.c")).unwrap();
    let offer = "iso_is(id, ISO_EXTENSION_BATCH)";
    assert!(source.contains(offer));
    let source = if batches { source } else { source.replace(offer, "iso_is(id, \"\")") };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&file, source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-O1", "-fPIC", "-shared", "-I"]).arg(root.join("abi/include"));
    cc.arg("-I").arg(root.join("examples/c-plugin"));
    assert!(cc.arg(&file).arg("-o").arg(&library).status().unwrap().success());
    let mut bundle = open_bundle(&library).unwrap();
    bundle.level = Level::BuiltIn;
    let options = Options {
        isolation: Isolation::InProcess,
        workers: 1,
        threads: 1,
        deadline: Some(Duration::from_secs(60)),
        sandbox: Policy::Required,
        spare: false,
        worker_program: "unused".into(),
    };
    Plugin::open(&bundle, options).unwrap()
}

#[test]
fn batches_in_one_order_give_the_bits_of_single_calls() {
    let geometry = Geometry::axis_aligned([7, 5, 61], [1.0; 3]).unwrap();
    let blank = Volume::filled(0.0, geometry, Modality::Ct, Unit::Hounsfield);
    let mut voxels = blank.voxels().to_owned();
    voxels.iter_mut().enumerate().for_each(|(i, voxel)| *voxel = (i * 7919 % 4001) as f32 / 3.0 - 700.0);
    let image = blank.with_voxels(voxels).unwrap();
    let params = BTreeMap::from([("low".to_owned(), (-100.0).into()), ("high".to_owned(), 300.0.into())]);
    let translated = |plugin: &Plugin| {
        let job = Job { seed: 0, name: "S01", cancel: &false.into() };
        translate(plugin, &image, &[], &params, &job).unwrap().volume
    };
    let (together, single) = (clamp("clamp-batches", true), clamp("clamp-single", false));
    assert!(together.offers_batch() && !single.offers_batch());
    let bits = |volume: &Volume| volume.as_slice().iter().map(|voxel| voxel.to_bits()).collect::<Vec<_>>();
    let expected: Vec<u32> = image.as_slice().iter().map(|voxel| voxel.clamp(-100.0, 300.0).to_bits()).collect();
    assert_eq!(bits(&translated(&together)), expected);
    assert_eq!(bits(&translated(&single)), expected);
}
