//! Resampling a large CT and cutting a volume into patches, each beside a copy of the same volume.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use isoscan_imaging::{
    Blend, Blender, Geometry, Interpolation, Modality, PatchGrid, Unit, Volume, gather, resample, with_spacing,
};
use ndarray::Array3;

fn volume(size: [usize; 3], spacing_mm: [f64; 3]) -> Volume {
    let [nx, ny, nz] = size;
    let voxels = Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| ((i * 31 + j * 17 + k * 7) % 2000) as f32 - 1000.0);
    let geometry = Geometry::axis_aligned(size, spacing_mm).expect("a valid grid");
    Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).expect("one value per voxel")
}

/// 512x512x200 at 0.8x0.8x1.5 mm to 410x410x299 at 1 mm.
fn ct_to_one_millimetre(criterion: &mut Criterion) {
    let source = volume([512, 512, 200], [0.8, 0.8, 1.5]);
    let target = with_spacing(source.geometry(), [1.0; 3]).expect("a valid grid");
    let mut group = criterion.benchmark_group("resample_512x512x200_to_1mm");
    group.sample_size(10);
    group.bench_function("copy_of_the_source", |b| b.iter(|| black_box(source.clone())));
    for (name, interpolation) in [
        ("nearest", Interpolation::Nearest),
        ("linear", Interpolation::Linear),
        ("bspline", Interpolation::BSpline),
        ("lanczos3", Interpolation::Lanczos3),
    ] {
        group.bench_function(name, |b| b.iter(|| resample(black_box(&source), &target, interpolation, -1000.0)));
    }
    let (c, s) = (0.1f64.cos(), 0.1f64.sin());
    let turned = [[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]];
    let turned = Geometry::new(target.size(), [1.0; 3], [20.0, -20.0, 0.0], turned).expect("a valid grid");
    for (name, interpolation) in [
        ("turned_nearest", Interpolation::Nearest),
        ("turned_linear", Interpolation::Linear),
        ("turned_bspline", Interpolation::BSpline),
    ] {
        group.bench_function(name, |b| b.iter(|| resample(black_box(&source), &turned, interpolation, -1000.0)));
    }
    group.finish();
}

/// Gathers and blends a volume of 256x256x128 without a plugin between.
fn patches(criterion: &mut Criterion) {
    let source = volume([256, 256, 128], [1.0; 3]);
    let mut group = criterion.benchmark_group("patches_of_256x256x128");
    group.sample_size(10);
    group.bench_function("copy_of_the_source", |b| b.iter(|| black_box(source.clone())));
    for (name, patch, halo, blend) in [
        ("slices", [256, 256, 1], [0, 0, 0], Blend::Constant),
        ("slices_halo_16", [288, 288, 1], [16, 16, 0], Blend::Constant),
        ("cubes_96_halo_16_constant", [96; 3], [16; 3], Blend::Constant),
        ("cubes_96_halo_16_gaussian", [96; 3], [16; 3], Blend::Gaussian),
    ] {
        let grid = PatchGrid::new(source.geometry().size(), patch, halo, [1; 3]).expect("a valid cut");
        let mut values = vec![0.0; grid.patches()[0].voxel_count()];
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut blender = Blender::new(&grid, blend);
                for patch in grid.patches() {
                    gather(&source, patch, &mut values).expect("a patch of this grid");
                    blender.add(patch, &values).expect("a patch of this grid");
                }
                blender.finish().expect("every patch was added")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ct_to_one_millimetre, patches);
criterion_main!(benches);
