//! Patch inference: what the engine adds to a plugin's own time, per slice, beside a copy of the same volume.
//!
//! The identity plugin does nothing but copy, so its translation is the engine's overhead: gather, call, blend, restore.

use std::{
    collections::BTreeMap, hint::black_box, path::PathBuf, process::Command, sync::atomic::AtomicBool, time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isoscan_host::{Isolation, Level, Options, Plugin, Policy, open_bundle};
use isoscan_imaging::{Blend, Blender, Geometry, Modality, PatchGrid, Unit, Volume, gather};
use isoscan_pipeline::{Job, translate};

/// Builds the identity plugin and the worker program, and gives the folder they lie in.
fn built() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let target = program.ancestors().nth(3).expect("benches run from target/release/deps").join("test-libraries");
    let packages = ["--package", "isoscan-identity", "--package", "isoscan-host"];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--target-dir"]).arg(&target).args(packages);
    assert!(cargo.status().is_ok_and(|status| status.success()), "the identity plugin does not build");
    target.join("release")
}

fn volume() -> Volume {
    let geometry = Geometry::axis_aligned([256, 256, 64], [1.5, 1.5, 3.0]).expect("a legal grid");
    Volume::filled(40.0, geometry, Modality::Ct, Unit::Hounsfield)
}

fn patches(criterion: &mut Criterion) {
    let image = volume();
    let folder = built();
    let mut group = criterion.benchmark_group("patches");
    group.throughput(Throughput::Elements(64));
    group.bench_function("copy of the volume", |b| b.iter(|| black_box(image.voxels().to_owned())));
    group.bench_function("gather and blend 64 slices", |b| {
        let grid =
            PatchGrid::new([256, 256, 64], [usize::MAX, usize::MAX, 1], [8, 8, 0], [4, 4, 1]).expect("a legal cut");
        let mut buffer = vec![0.0; grid.patches()[0].voxel_count()];
        b.iter(|| {
            let mut blender = Blender::new(&grid, Blend::Constant);
            for patch in grid.patches() {
                gather(&image, patch, &mut buffer).expect("the buffer fits");
                blender.add(patch, &buffer).expect("the patch belongs to the grid");
            }
            black_box(blender.finish().expect("every patch was added"))
        });
    });
    let mut bundle = open_bundle(&folder.join("libisoscan_identity.so")).expect("the plugin was built");
    bundle.level = Level::BuiltIn;
    for (name, isolation) in
        [("identity in a worker", Isolation::Worker), ("identity in process", Isolation::InProcess)]
    {
        let options = Options {
            isolation,
            workers: 1,
            threads: 1,
            deadline: Some(Duration::from_secs(60)),
            sandbox: Policy::Required,
            spare: false,
            worker_program: folder.join("isoscan-host-worker"),
        };
        let plugin = Plugin::open(&bundle, options).expect("the plugin opens");
        let cancel = AtomicBool::new(false);
        let job = Job { seed: 0, name: "bench", cancel: &cancel };
        group.bench_function(name, |b| {
            b.iter(|| {
                black_box(translate(&plugin, &image, &[], &BTreeMap::new(), &job).expect("identity does not fail"))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, patches);
criterion_main!(benches);
