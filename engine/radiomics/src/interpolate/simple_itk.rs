//! Voxels that SimpleITK 2.5.7 resamples from a small made image.

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;

use super::{GridMap, Sampler};
use crate::settings::Interpolator;

/// Image of 9 × 8 × 7 voxels of 0.7 × 1.3 × 2.5 mm with (37 x + 61 y + 17 z) mod 101, resampled to 0.9 × 1 × 2 mm from
/// (0.05, 0.2, -0.3) mm: `ResampleImageFilter` with the interpolator and nothing else set, f64 in and out.
const VOXELS: [[usize; 3]; 4] = [[0, 0, 0], [2, 3, 3], [5, 8, 6], [4, 1, 2]];
const EXPECTED: [(&str, [f64; 4]); 7] = [
    ("sitkGaussian", [39.477450558218635, 47.479928600436864, 46.13412178949561, 49.56154148774049]),
    ("sitkLabelGaussian", [0.0, 65.0, 3.0, 61.0]),
    ("sitkHammingWindowedSinc", [10.90362608691691, 51.824451673141546, 51.76646534873816, 67.71936394791483]),
    ("sitkCosineWindowedSinc", [11.317024221965216, 49.71583478773262, 52.86071280691939, 66.38047862850628]),
    ("sitkWelchWindowedSinc", [11.449458115228817, 49.35333482433263, 53.2704117495438, 66.16959746536347]),
    ("sitkLanczosWindowedSinc", [11.096861084185196, 50.33145926664797, 52.20644556205376, 66.73350395298878]),
    ("sitkBlackmanWindowedSinc", [10.05767800673068, 52.84517600657599, 49.303770708796925, 68.04412496769989]),
];

#[test]
fn voxels_are_those_of_simple_itk() {
    let geometry = Geometry::axis_aligned([9, 8, 7], [0.7, 1.3, 2.5]).unwrap();
    let axes = geometry.direction();
    let voxels = Array3::from_shape_fn((7, 8, 9), |(z, y, x)| ((37 * x + 61 * y + 17 * z) % 101) as f32);
    let volume = Volume::new(voxels, geometry.clone(), Modality::Ot, Unit::Arbitrary).unwrap();
    let grid = Geometry::new([6, 9, 7], [0.9, 1.0, 2.0], [0.05, 0.2, -0.3], axes).unwrap();
    let map = GridMap::new(&grid, &geometry);
    for (name, expected) in EXPECTED {
        let method = Interpolator::NAMED.iter().find(|(known, _)| *known == name).unwrap().1;
        let whole = Sampler::new(&volume, method, [0.0; 3], [8.0, 7.0, 6.0], f64::from);
        for (voxel, expected) in VOXELS.into_iter().zip(expected) {
            let index = map.voxel(voxel);
            let found = whole.at(index);
            assert!((found - expected).abs() < 1e-12, "{name} {voxel:?}: {found}, expected {expected}");
            let around = Sampler::new(&volume, method, index, index, f64::from);
            assert_eq!(around.at(index), found, "{name}: a box around the position holds all that it needs");
        }
    }
}

/// The weights of a windowed sinc do not sum to 1, nor does a Gaussian's mean of equal values come out equal: SimpleITK
/// truncates both to one less.
#[test]
fn a_flat_image_by_each_method() {
    let geometry = Geometry::axis_aligned([8, 8, 8], [1.0; 3]).unwrap();
    let volume = Volume::filled(7.0, geometry, Modality::Ot, Unit::Arbitrary);
    for (name, method) in Interpolator::NAMED {
        let sampler = Sampler::new(&volume, method, [0.0; 3], [7.0; 3], f64::from);
        let tolerance = if name.ends_with("Sinc") { 0.2 } else { 1e-12 };
        for index in [[3.3, 2.5, 4.8], [-0.4, 7.4, 0.0]] {
            let found = sampler.at(index);
            assert!((found - 7.0).abs() < tolerance, "{name}: {found}");
        }
        assert!((sampler.at([3.0, 4.0, 5.0]) - 7.0).abs() < 1e-12, "{name}");
    }
}
