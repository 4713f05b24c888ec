//! Reading speed beside a plain read of the same bytes and a copy of the same voxels, in the same run.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{NewSeries, read, write_dicom_new, write_nifti};
use ndarray::Array3;

/// A CT-like volume: smooth shapes with noise in the last bits, so that it packs about as an image does.
fn scan(size: [usize; 3]) -> Volume {
    let mut state = 1u32;
    let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(z, y, x)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wave = ((x * x + y * y) as f32 / 2000.0 + z as f32 / 9.0).sin();
        (wave * 400.0 + (state >> 28) as f32).round()
    });
    let geometry = Geometry::axis_aligned(size, [0.8, 0.8, 1.0]).expect("a valid grid");
    Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).expect("same size")
}

/// The volume as int16, whose stored type a second write keeps.
fn int16_nifti(path: &std::path::Path, volume: &Volume) {
    let [nx, ny, nz] = volume.geometry().size();
    let mut bytes = vec![0; 352];
    bytes[..4].copy_from_slice(&348i32.to_le_bytes());
    for (i, n) in [3, nx, ny, nz, 1, 1, 1, 1].into_iter().enumerate() {
        bytes[40 + 2 * i..42 + 2 * i].copy_from_slice(&(n as i16).to_le_bytes());
    }
    bytes[70] = 4;
    bytes[72] = 16;
    bytes[108..112].copy_from_slice(&352f32.to_le_bytes());
    bytes[254] = 1;
    for row in 0..3 {
        bytes[280 + 20 * row..284 + 20 * row].copy_from_slice(&1f32.to_le_bytes());
    }
    bytes[344..347].copy_from_slice(b"n+1");
    bytes.extend(volume.as_slice().iter().flat_map(|&v| (v as i16).to_le_bytes()));
    std::fs::write(path, bytes).expect("a writable folder");
}

fn reading(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let cube = scan([256; 3]);
    let plain = dir.path().join("cube.nii");
    int16_nifti(&plain, &cube);
    let series = read(&plain).expect("a readable cube");
    let packed = dir.path().join("cube.nii.gz");
    write_nifti(&packed, &series.volume, Some(&series.source), None).expect("a writable folder");
    let ct = scan([512, 512, 64]);
    let folder = dir.path().join("ct");
    let files = write_dicom_new(&folder, &ct, &NewSeries { kvp: 120.0, thickness_mm: 1.0, ..NewSeries::default() })
        .expect("a writable folder");

    let mut group = criterion.benchmark_group("read");
    group.sample_size(10);
    let voxels = cube.as_slice().len() as u64;
    group.throughput(Throughput::Bytes(2 * voxels));
    group.bench_function("nifti 256³ int16", |b| b.iter(|| black_box(read(&plain))));
    group.bench_function("nifti 256³ int16 gzip", |b| b.iter(|| black_box(read(&packed))));
    group.bench_function("bytes of nifti 256³ int16", |b| b.iter(|| black_box(std::fs::read(&plain))));
    let rewritten = dir.path().join("again.nii.gz");
    group.bench_function("write nifti 256³ int16 gzip", |b| {
        b.iter(|| write_nifti(&rewritten, &series.volume, Some(&series.source), None));
    });
    group.throughput(Throughput::Bytes(2 * ct.as_slice().len() as u64));
    group.bench_function("dicom 64x512x512", |b| b.iter(|| black_box(read(&folder))));
    let all = |files: &[PathBuf]| files.iter().map(|f| std::fs::read(f).map_or(0, |b| b.len())).sum::<usize>();
    group.bench_function("bytes of dicom 64x512x512", |b| b.iter(|| black_box(all(&files))));
    group.bench_function("copy of voxels 64x512x512", |b| b.iter(|| black_box(ct.as_slice().to_vec())));
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
