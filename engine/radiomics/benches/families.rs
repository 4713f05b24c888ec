//! Times of the feature families on a synthetic region of 458,053 voxels with 63 grey levels, and of shape on masks that
//! are hard for a search of the largest diameter.
//!
//! What a family cannot do without, on one core: one pass over the mask (8.4 MB) and over the image in its box, at 15 to
//! 32 GB/s 0.6 to 1.2 ms; for a matrix, one addition to a histogram for each voxel and each of 13 directions, 6.0
//! million at near 1 ns. Beside it the peers on the same data (in memory, default settings, one thread), milliseconds:
//!
//! | family | bound | plain kernel | PyRadiomics 3.1.0 | nyxus 0.11.0 | pictologics 0.9.0 |
//! |---|---|---|---|---|---|
//! | shape | 0.6 | 1.4 | 1,432 | 460 | 35 |
//! | firstorder | 1.0 | 2.7 | 173 | 270 | 14 |
//! | glcm | 6.0 | 7.3 | 85 | 3,730 | 38 with all textures |
//! | glrlm | 6.0 | 9.7 to 18 | 133 | 890 | |
//! | glszm | 6.0 | 16.8 | 132 | 630 | |
//! | gldm, ngtdm | 4.4 | 4.4 | 83, 80 | 490, 340 | |
//! | all | 18 | 43 | 2,660 | 5,000 | 69 |
//!
//! `elements` per second are histogram additions for the matrices, voxels of the region for the others.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
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
    let rows =
        [("shape", 1), ("firstorder", 1), ("glcm", 13), ("glrlm", 13), ("glszm", 13), ("gldm", 13), ("ngtdm", 13)];
    for (family, directions) in rows {
        let settings = Settings::from_json(&format!("{{\"featureClass\": [\"{family}\"]}}"));
        let settings = settings.expect("the family is known");
        group.throughput(Throughput::Elements((directions * REGION_VOXELS) as u64));
        group.bench_function(family, |bencher| {
            bencher.iter(|| extract(&volume, &mask, &settings).expect("the region is valid"));
        });
    }
    group.throughput(Throughput::Elements(REGION_VOXELS as u64));
    group.bench_function("all", |bencher| {
        bencher.iter(|| extract(&volume, &mask, &Settings::default()).expect("the region is valid"));
    });
    group.finish();
}

/// Regions in which few pairs of points can be ruled out early, or that fall into very many parts.
fn hard_masks(criterion: &mut Criterion) {
    const SIDE: i64 = 160;
    let centre = |p: [i64; 3]| p.map(|i| 2 * i - (SIDE - 1));
    type Inside = Box<dyn Fn([i64; 3]) -> bool>;
    let rows: [(&str, Inside); 6] = [
        ("shell", Box::new(move |p| (148 * 148..154 * 154).contains(&centre(p).map(|c| c * c).iter().sum::<i64>()))),
        ("islands", Box::new(|[x, y, z]| hash(x as u32, y as u32, z as u32, 9) & 63 == 0)),
        ("checkerboard", Box::new(|p| p.iter().sum::<i64>() % 2 == 0)),
        ("diagonal", Box::new(|[x, y, z]| x == y && y == z)),
        // Distances from the middle of its box are alike, while no two corners lie opposite to each other.
        ("tetrahedron", Box::new(move |[x, y, z]| x + y >= z && y + z >= x && x + z >= y && x + y + z <= 2 * SIDE - 2)),
        (
            "cone",
            Box::new(move |p| {
                let [x, y, _] = centre(p);
                x * x + y * y <= p[2] * p[2]
            }),
        ),
    ];
    let geometry = Geometry::axis_aligned([SIDE as usize; 3], [0.8, 0.8, 1.5]).expect("the size is not empty");
    let shape = (SIDE as usize, SIDE as usize, SIDE as usize);
    let volume = Volume::new(Array3::zeros(shape), geometry.clone(), Modality::Ct, Unit::Hounsfield);
    let volume = volume.expect("the shape is the geometry's");
    let settings = Settings::from_json(r#"{"featureClass": ["shape"]}"#).expect("the family is known");
    let mut group = criterion.benchmark_group("shape of hard masks");
    group.sample_size(10);
    for (name, inside) in rows {
        let inside = Array3::from_shape_fn(shape, |(z, y, x)| inside([x as i64, y as i64, z as i64]));
        let mask = Mask::new(inside, geometry.clone()).expect("the shape is the geometry's");
        group.throughput(Throughput::Elements(mask.count() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| extract(&volume, &mask, &settings).expect("the region is valid"));
        });
    }
    group.finish();
}

criterion_group!(benches, families, hard_masks);
criterion_main!(benches);
