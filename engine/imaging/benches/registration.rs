//! Speed of registration; volumes from a formula.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use isoscan_imaging::{Affine3, Freedom, Geometry, Modality, RegistrationSettings, Unit, Volume, move_by, register};
use ndarray::Array3;

/// Blobs of unequal brightness in a soft ball, 256 mm wide.
fn volume() -> Volume {
    let spacing = 2.0;
    let geometry = Geometry::axis_aligned([128, 128, 96], [spacing; 3]).expect("a valid grid");
    let voxels = Array3::from_shape_fn((96, 128, 128), |(k, j, i)| {
        let [x, y, z] = [i as f64 - 63.0, j as f64 - 66.0, k as f64 - 45.0].map(|v| v * spacing);
        let edge = 1.0 / (1.0 + (((x * x + 1.3 * y * y + 1.5 * z * z).sqrt() - 85.0) / 4.0).exp());
        (edge * (500.0 + 150.0 * (x / 19.0).sin() * (y / 23.0 + 1.0).sin() + 100.0 * (z / 17.0 + x / 40.0).cos()))
            as f32
    });
    Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).expect("one value per voxel")
}

fn registration(c: &mut Criterion) {
    let fixed = volume();
    let (sin, cos) = 0.08f64.sin_cos();
    let shift = Affine3 { matrix: [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], translation: [6.0, -4.0, 5.0] };
    let moving = move_by(&fixed, &shift).expect("an invertible map");
    let mut group = c.benchmark_group("registration_128x128x96");
    group.sample_size(10);
    for freedom in [Freedom::Rigid, Freedom::Affine] {
        let settings = RegistrationSettings { freedom, ..RegistrationSettings::default() };
        group.bench_function(format!("{freedom:?}").to_lowercase(), |b| {
            b.iter(|| register(black_box(&fixed), &moving, None, None, &settings).expect("the volumes overlap"));
        });
    }
    group.finish();
}

criterion_group!(benches, registration);
criterion_main!(benches);
