//! Times of the feature families on a synthetic region of 458,053 voxels.
//!
//! Peers on the same data (in memory, default settings, one thread, 2 cores of an AMD EPYC), milliseconds:
//!
//! | tool | first order | shape | GLCM | all its features |
//! |---|---|---|---|---|
//! | PyRadiomics 3.1.0 | 173 | 1,432 | 85 | 2,660 (107 features, with 346 for reading the mask and binning) |
//! | nyxus 0.11.0 | 270 | 460 | 3,730 | 5,000 |
//! | pictologics 0.9.0 | 14 | 35 | 38 with all textures | 69 |
//! | bound of a plain kernel | 0.8 | 1.4 | 6.9 + 0.35 | 43 |

use criterion::{Criterion, criterion_group, criterion_main};
use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
use isoscan_radiomics::{Settings, extract};
use ndarray::Array3;

const SIZE: [usize; 3] = [256, 256, 128];
const REGION_VOXELS: usize = 458_053;

fn mix(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ h >> 16
}

fn hash(x: u32, y: u32, z: u32, seed: u32) -> u32 {
    mix(x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ z.wrapping_mul(0xC2B2_AE3D) ^ seed)
}

/// Trilinear interpolation of 16-bit hashes on a lattice, in whole numbers: 0..65536.
fn lattice(position: [u32; 3], cell_log2: u32, seed: u32) -> i64 {
    let n = 1i64 << cell_log2;
    let cell = position.map(|p| p >> cell_log2);
    let share = position.map(|p| i64::from(p) & (n - 1));
    let mut sum = 0;
    for corner in 0..8u32 {
        let step: [u32; 3] = std::array::from_fn(|a| corner >> a & 1);
        let [x, y, z] = std::array::from_fn(|a| cell[a] + step[a]);
        let weight: i64 = (0..3).map(|a| if step[a] == 1 { share[a] } else { n - share[a] }).product();
        sum += i64::from(hash(x, y, z, seed) & 0xFFFF) * weight;
    }
    sum >> (3 * cell_log2)
}

/// The synthetic volume of the reference folder, voxel for voxel.
fn synthetic() -> (Volume, Mask) {
    let geometry = Geometry::axis_aligned(SIZE, [0.8, 0.8, 1.5]).expect("the size is not empty");
    let shape = (SIZE[2], SIZE[1], SIZE[0]);
    let position = |(z, y, x): (usize, usize, usize)| [x as u32, y as u32, z as u32];
    let voxels = Array3::from_shape_fn(shape, |index| {
        let p = position(index);
        let (coarse, middle) = (lattice(p, 4, 1), lattice(p, 2, 2));
        let fine = i64::from(hash(p[0], p[1], p[2], 3) & 0xFF);
        (((coarse * 1100) >> 16) + ((middle * 500) >> 16) + (fine >> 1) - 700) as f32
    });
    let half_axes = [SIZE[0] * 15 / 32, SIZE[1] * 14 / 32, SIZE[2] * 18 / 32].map(|a| a as i64);
    let inside = Array3::from_shape_fn(shape, |index| {
        let p = position(index);
        let radius: i64 = (0..3)
            .map(|a| {
                let offset = 2 * i64::from(p[a]) - (SIZE[a] as i64 - 1);
                offset * offset * 65536 / (half_axes[a] * half_axes[a])
            })
            .sum();
        radius < 40000 + ((lattice(p, 5, 7) * 3) >> 2)
    });
    let mask = Mask::new(inside, geometry.clone()).expect("the shape is the geometry's");
    assert_eq!(mask.count(), REGION_VOXELS, "the generator differs from the reference folder's");
    let volume = Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).expect("the shape is the geometry's");
    (volume, mask)
}

fn families(criterion: &mut Criterion) {
    let (volume, mask) = synthetic();
    let mut group = criterion.benchmark_group("synth_big");
    group.sample_size(10);
    for families in ["\"firstorder\"", "\"shape\"", "\"glcm\"", "\"firstorder\", \"shape\", \"glcm\""] {
        let settings = format!("{{\"featureClass\": [{families}]}}");
        let settings = Settings::from_json(&settings).expect("the families are known");
        group.bench_function(families.replace('"', ""), |bencher| {
            bencher.iter(|| extract(&volume, &mask, &settings).expect("the region is valid"));
        });
    }
    group.finish();
}

criterion_group!(benches, families);
criterion_main!(benches);
