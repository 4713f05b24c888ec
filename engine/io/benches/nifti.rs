//! NIfTI speed on a T1-like cube of 256³ int16. With `ISOSCAN_PEERS` (a Python with nibabel) the same file is also read
//! and written by nibabel in the same run.

#![expect(clippy::print_stdout, reason = "a bench tells what it measured")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use criterion::{Criterion, criterion_group, criterion_main};
use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{NiftiOptions, NiftiStored, read, write_nifti, write_nifti_volumes};
use ndarray::Array3;

/// A head of two tissues with noise in air: packs to about 11.5 MB, as a real T1 image of this size does.
fn head() -> Volume {
    const N: usize = 256;
    let mut state = 1u32;
    let mut noise = |bits: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> (32 - bits)) as f32
    };
    let voxels = Array3::from_shape_fn((N, N, N), |(z, y, x)| {
        let [x, y, z] = [x, y, z].map(|i| (i as f32 - 128.0) / 128.0);
        let radius = (x * x / 0.45 + y * y / 0.6 + z * z / 0.5).sqrt();
        if radius > 1.0 {
            return (noise(4) * 0.15).floor();
        }
        let folds = ((x * 19.0).sin() + (y * 23.0).cos() + (z * 17.0).sin()) * 0.5;
        let tissue = if folds > 0.0 { 620.0 } else { 410.0 };
        (tissue * (1.0 - 0.2 * radius) + noise(5) + noise(4)).floor()
    });
    let geometry = Geometry::axis_aligned([N; 3], [0.8, 0.8, 1.0]).expect("a valid grid");
    Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).expect("same size")
}

fn nifti(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    let int16 = NiftiOptions { stored: NiftiStored::Scaled16, ..NiftiOptions::default() };
    let cube = head();
    for name in ["cube.nii", "cube.nii.gz"] {
        write_nifti_volumes(&at(name), &[&cube], None, None, &int16).expect("a writable folder");
    }
    let series = read(&at("cube.nii.gz")).expect("a readable cube");
    println!("packed to {} bytes", std::fs::metadata(at("cube.nii.gz")).map_or(0, |file| file.len()));

    let mut group = criterion.benchmark_group("nifti");
    group.sample_size(10);
    group.bench_function("read .nii", |b| b.iter(|| black_box(read(&at("cube.nii")))));
    group.bench_function("read .nii.gz", |b| b.iter(|| black_box(read(&at("cube.nii.gz")))));
    let mut write = |name: &str, to: &str, volume: &Volume, options: Option<&NiftiOptions>| {
        group.bench_function(name, |b| {
            b.iter(|| match options {
                Some(options) => write_nifti_volumes(&at(to), &[volume], None, None, options).map(drop),
                None => write_nifti(&at(to), volume, Some(&series.source), None),
            });
        });
    };
    write("write .nii", "w.nii", &cube, Some(&int16));
    write("write .nii.gz", "w.nii.gz", &cube, Some(&int16));
    write("write .nii.gz unchanged", "u.nii.gz", &series.volume, None);
    write("write .nii.gz float32", "f.nii.gz", &cube.map(|v| v * 1.01), Some(&NiftiOptions::default()));
    group.finish();
    if let Some(python) = std::env::var_os("ISOSCAN_PEERS") {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/nifti.py");
        let done = Command::new(python).arg(script).arg(dir.path()).output().expect("a Python that starts");
        println!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    }
}

criterion_group!(benches, nifti);
criterion_main!(benches);
