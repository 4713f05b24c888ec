//! Filters on a volume of 256x256x256, each beside a copy of the same volume.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use isoscan_imaging::{
    Connectivity, Geometry, Modality, NonLocalMeans, Unit, Volume, Wavelet, bilateral, components, crop, dilate,
    gaussian, gradient_magnitude, grey_dilate, laplacian_of_gaussian, median, non_local_means, signed_distance,
    threshold, wavelet_bands,
};
use ndarray::Array3;

fn volume(size: usize) -> Volume {
    let voxels =
        Array3::from_shape_fn((size, size, size), |(k, j, i)| ((i * 31 + j * 17 + k * 7) % 2000) as f32 - 1000.0);
    let geometry = Geometry::axis_aligned([size; 3], [1.0; 3]).expect("a valid grid");
    Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).expect("one value per voxel")
}

fn filters(criterion: &mut Criterion) {
    let source = volume(256);
    let region = threshold(&source, 0.0, 500.0);
    let mut group = criterion.benchmark_group("filters_of_256x256x256");
    group.sample_size(10);
    group.bench_function("copy_of_the_source", |b| b.iter(|| black_box(source.clone())));
    group.bench_function("gaussian_2mm", |b| b.iter(|| gaussian(black_box(&source), [2.0; 3])));
    group.bench_function("laplacian_of_gaussian_2mm", |b| b.iter(|| laplacian_of_gaussian(black_box(&source), 2.0)));
    group.bench_function("gradient_magnitude", |b| b.iter(|| gradient_magnitude(black_box(&source))));
    let coif1: Wavelet = "coif1".parse().expect("a wavelet's name");
    group.bench_function("wavelet_coif1", |b| b.iter(|| wavelet_bands(black_box(&source), coif1, 1)));
    group.bench_function("median_27", |b| b.iter(|| median(black_box(&source), [1; 3])));
    group.bench_function("grey_dilate_2mm", |b| b.iter(|| grey_dilate(black_box(&source), 2.0)));
    group.bench_function("dilate_3mm", |b| b.iter(|| dilate(black_box(&region), 3.0)));
    group.bench_function("signed_distance", |b| b.iter(|| signed_distance(black_box(&region))));
    group.bench_function("components_26", |b| b.iter(|| components(black_box(&region), Connectivity::Corners)));
    group.finish();
}

fn slow_filters(criterion: &mut Criterion) {
    let source = crop(&volume(128), [16; 3], [96; 3], 0.0).expect("a box inside");
    let settings = NonLocalMeans { patch_radius: 1, search_radius: 3, sigma: 50.0, strength: 0.8, rician: false };
    let mut group = criterion.benchmark_group("filters_of_96x96x96");
    group.sample_size(10);
    group.bench_function("copy_of_the_source", |b| b.iter(|| black_box(source.clone())));
    group.bench_function("bilateral_1.5mm", |b| b.iter(|| bilateral(black_box(&source), 1.5, 50.0)));
    group.bench_function("non_local_means_1_3", |b| b.iter(|| non_local_means(black_box(&source), settings)));
    group.finish();
}

criterion_group!(benches, filters, slow_filters);
criterion_main!(benches);
