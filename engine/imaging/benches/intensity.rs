//! Intensity standardisation of a head of 256x256x256, beside a copy of it. `intensity.py` times SimpleITK and
//! scikit-image on the same head.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use isoscan_imaging::{
    BiasFieldSettings, Geometry, HistogramMatching, Mask, Modality, Normalization, StandardScale, TissueMode, Unit,
    Volume, correct_bias_field, match_histogram, normalize, standardize,
};
use ndarray::Array3;

/// Three tissues in shells, noise and a gain that rises along every axis; 0 outside.
fn head(subject: i64) -> Volume {
    let voxels = Array3::from_shape_fn((256, 256, 256), |(k, j, i)| {
        let [i, j, k] = [i as i64, j as i64, k as i64];
        let shell = match ((2 * i - 255).pow(2) + (2 * j - 255).pow(2) + (2 * k - 255).pow(2)) / 100 {
            ..150 => 110,
            150..300 => 70,
            300..500 => 30,
            _ => return 0.0,
        };
        let noise = (i * 7919 + j * 104_729 + k * 1_299_709 + subject * 15_485_863) % 1009 % 97;
        (shell * (3 * i + 2 * j + k + 1500) * (subject + 3) / 256 + noise + 8) as f32 / 8.0
    });
    let geometry = Geometry::axis_aligned([256; 3], [1.0; 3]).expect("a valid grid");
    Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).expect("one value per voxel")
}

fn intensity(criterion: &mut Criterion) {
    let (source, reference) = (head(1), head(4));
    let mask = Mask::new(source.voxels().mapv(|v| v > 0.0), source.geometry().clone()).expect("one bool per voxel");
    let mut group = criterion.benchmark_group("intensity_256x256x256");
    group.sample_size(10);
    group.bench_function("copy_of_the_source", |b| b.iter(|| black_box(source.clone())));
    for (name, bins, points) in [("histogram_256_bins_7_points", 256, 7), ("histogram_1024_bins_15_points", 1024, 15)] {
        let rule = HistogramMatching { bins, points, threshold_at_mean: true };
        group.bench_function(name, |b| b.iter(|| match_histogram(black_box(&source), None, &reference, None, rule)));
    }
    let scale = StandardScale::train(&[(&reference, Some(&mask))], &StandardScale::PERCENTILES, StandardScale::ENDS)
        .expect("a head has a spread");
    group.bench_function("standard_scale", |b| b.iter(|| standardize(black_box(&source), Some(&mask), &scale)));
    for (name, normalization) in [
        ("z_score", Normalization::ZScore),
        ("percentile", Normalization::Percentile { low: 1.0, high: 99.0 }),
        ("robust_z_score", Normalization::RobustZScore),
        ("white_stripe", Normalization::WhiteStripe { mode: TissueMode::Last, width: 0.05 }),
    ] {
        group.bench_function(name, |b| b.iter(|| normalize(black_box(&source), None, normalization)));
    }
    for (name, shrink, iterations) in
        [("n4_shrink_4", 4, vec![50, 50, 30, 20]), ("n4_shrink_2_10_iterations", 2, vec![10])]
    {
        let settings =
            BiasFieldSettings { iterations, shrink: [shrink; 3], convergence: 0.0, ..BiasFieldSettings::default() };
        group.bench_function(name, |b| {
            b.iter(|| correct_bias_field(black_box(&source), Some(&mask), None, &settings));
        });
    }
    group.finish();
}

criterion_group!(benches, intensity);
criterion_main!(benches);
