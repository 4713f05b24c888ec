//! What must hold for any image: symmetry, shift of intensities, threads, and a value or a reason for every feature.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
use isoscan_radiomics::{Error, FeatureTable, Settings, extract};
use ndarray::{Array3, Axis};

/// SplitMix64 of a seed and a counter (Steele, Lea and Flood 2014).
fn random(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add((counter + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Whole numbers with slow and fast variation.
fn textured(shape: (usize, usize, usize), seed: u64) -> Array3<f32> {
    let (_, ny, nx) = shape;
    Array3::from_shape_fn(shape, |(z, y, x)| {
        let noise = random(seed, ((z * ny + y) * nx + x) as u64) % 40;
        let slow = 60.0 * ((x as f64 / 5.0).sin() + (y as f64 / 4.0).cos() + z as f64 / 6.0);
        slow.round() as f32 + noise as f32
    })
}

/// A lumpy region with a cavity and a part apart.
fn lumpy((nz, ny, nx): (usize, usize, usize)) -> Array3<bool> {
    Array3::from_shape_fn((nz, ny, nx), |(z, y, x)| {
        let c = [x as f64 / nx as f64, y as f64 / ny as f64, z as f64 / nz as f64].map(|c| c - 0.45);
        let r = c[0] * c[0] + 1.4 * c[1] * c[1] + 0.8 * c[2] * c[2] + 0.05 * c[0] * c[1];
        (0.004..0.13 + 0.02 * (9.0 * c[0]).sin()).contains(&r) || (x > nx - 3 && y > ny - 3 && z > nz - 4)
    })
}

fn image(voxels: Array3<f32>, spacing_mm: [f64; 3]) -> Volume {
    let (nz, ny, nx) = voxels.dim();
    let geometry = Geometry::axis_aligned([nx, ny, nz], spacing_mm).unwrap();
    Volume::new(voxels.as_standard_layout().into_owned(), geometry, Modality::Mr, Unit::Arbitrary).unwrap()
}

fn region(inside: Array3<bool>, volume: &Volume) -> Mask {
    Mask::new(inside.as_standard_layout().into_owned(), volume.geometry().clone()).unwrap()
}

fn features(voxels: Array3<f32>, inside: Array3<bool>, json: &str) -> FeatureTable {
    let volume = image(voxels, [1.5; 3]);
    let mask = region(inside, &volume);
    extract(&volume, &mask, &Settings::from_json(json).unwrap()).unwrap()
}

fn assert_same(found: &FeatureTable, expected: &FeatureTable, skip: &[&str], what: &str) {
    for (found, expected) in found.features.iter().zip(&expected.features) {
        assert_eq!(found.name, expected.name);
        let short = found.name.trim_start_matches("original_");
        let (a, b) = (found.value, expected.value);
        let same = (a - b).abs() <= 1e-12 * b.abs() + 1e-11 || (a.is_nan() && b.is_nan());
        // The eigenvalue of the MCC comes from an iteration.
        let same = same || (short == "glcm_MCC" && (a - b).abs() < 1e-9);
        // Central moments of mixed sign cancel.
        let same = same || (short == "glcm_ClusterShade" && (a - b).abs() < 1e-9);
        assert!(same || skip.contains(&short), "{what}: {short} is {a}, expected {b}");
    }
}

/// Lengths along the axes of the grid, which turn with it.
const ALONG_AXES: [&str; 3] =
    ["shape_Maximum2DDiameterSlice", "shape_Maximum2DDiameterColumn", "shape_Maximum2DDiameterRow"];

#[test]
fn quarter_turns_and_flips_change_nothing() {
    let shape = (11, 14, 12);
    let (voxels, inside) = (textured(shape, 1), lumpy(shape));
    let json = r#"{"binWidth": 10, "gldm_a": 1, "additionalInfo": false}"#;
    let expected = features(voxels.clone(), inside.clone(), json);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let turned = |axes: [usize; 2]| {
            let (mut voxels, mut inside) = (voxels.clone(), inside.clone());
            voxels.swap_axes(axes[0], axes[1]);
            voxels.invert_axis(Axis(axes[0]));
            inside.swap_axes(axes[0], axes[1]);
            inside.invert_axis(Axis(axes[0]));
            features(voxels, inside, json)
        };
        assert_same(&turned([a, b]), &expected, &ALONG_AXES, &format!("turn in the plane of axes {a} and {b}"));
    }
    for axis in 0..3 {
        let (mut voxels, mut inside) = (voxels.clone(), inside.clone());
        voxels.invert_axis(Axis(axis));
        inside.invert_axis(Axis(axis));
        assert_same(&features(voxels, inside, json), &expected, &[], &format!("flip of axis {axis}"));
    }
}

#[test]
fn slices_across_any_axis_are_alike() {
    let shape = (9, 12, 10);
    let (voxels, inside) = (textured(shape, 2), lumpy(shape));
    let json = |dimension: usize| {
        format!(
            r#"{{"setting": {{"binWidth": 10, "force2D": true, "force2Ddimension": {dimension}}},
                "featureClass": ["glcm", "glrlm", "glszm", "gldm", "ngtdm"]}}"#
        )
    };
    let expected = features(voxels.clone(), inside.clone(), &json(0));
    for axis in 1..3 {
        let (mut voxels, mut inside) = (voxels.clone(), inside.clone());
        voxels.swap_axes(0, axis);
        inside.swap_axes(0, axis);
        assert_same(&features(voxels, inside, &json(axis)), &expected, &[], &format!("slices across axis {axis}"));
    }
}

#[test]
fn names_of_labels_do_not_matter() {
    let shape = (8, 9, 10);
    let volume = image(textured(shape, 3), [1.0, 1.0, 2.0]);
    let label =
        |index: (usize, usize, usize)| 1 + random(4, (index.0 / 4 + index.1 / 5 * 3 + index.2 / 5 * 7) as u64) % 3;
    let settings = Settings::from_json(r#"{"binWidth": 12}"#).unwrap();
    let table = |rename: [u64; 3], wanted: i32| {
        let labels = Array3::from_shape_fn(shape, |index| rename[label(index) as usize - 1] as f32);
        extract(&volume, &Mask::of_label(&image(labels, [1.0, 1.0, 2.0]), wanted), &settings).unwrap()
    };
    for (number, renamed) in [(1, 9), (2, 1), (3, 40)] {
        assert_eq!(bits(&table([1, 2, 3], number)), bits(&table([9, 1, 40], renamed)));
    }
}

fn bits(table: &FeatureTable) -> Vec<(String, u64)> {
    table.features.iter().map(|feature| (feature.name.clone(), feature.value.to_bits())).collect()
}

#[test]
fn a_constant_shifts_only_where_intensities_lie() {
    let shape = (8, 13, 12);
    let (voxels, inside) = (textured(shape, 5), lumpy(shape));
    let json = r#"{"binCount": 32}"#;
    let expected = features(voxels.clone(), inside.clone(), json);
    let shifted = features(voxels + 512.0, inside, json);
    let moved = ["10Percentile", "90Percentile", "Maximum", "Mean", "Median", "Minimum"];
    let scaled = ["Energy", "TotalEnergy", "RootMeanSquared"];
    for (found, expected) in shifted.features.iter().zip(&expected.features) {
        let name = found.name.trim_start_matches("original_");
        match name.strip_prefix("firstorder_") {
            Some(short) if moved.contains(&short) => assert!((found.value - expected.value - 512.0).abs() < 1e-9),
            Some(short) if scaled.contains(&short) => assert!(found.value > expected.value),
            Some(_) => assert!((found.value - expected.value).abs() <= 1e-9 * expected.value.abs(), "{name}"),
            None => assert_eq!(found.value.to_bits(), expected.value.to_bits(), "{name}"),
        }
    }
}

#[test]
fn threads_do_not_change_a_bit_of_a_large_region() {
    let shape = (60, 50, 40);
    let (volume, inside) = (image(textured(shape, 6), [0.9, 0.9, 2.0]), lumpy(shape));
    let mask = region(inside, &volume);
    for json in [
        r#"{"binWidth": 25}"#,
        r#"{"binWidth": 60, "gldm_a": 1, "distances": [1, 2], "weightingNorm": "euclidean"}"#,
        r#"{"setting": {"binWidth": 0.5}, "featureClass": ["firstorder", "glrlm", "glszm", "gldm", "ngtdm"]}"#,
    ] {
        let settings = Settings::from_json(json).unwrap();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            bits(&pool.install(|| extract(&volume, &mask, &settings)).unwrap())
        };
        let one = on(1);
        for threads in [2, 3, 8] {
            assert_eq!(on(threads), one, "{threads} threads, {json}");
        }
    }
}

/// Regions that few images have, in a grid of 7 x 6 x 5 voxels.
fn odd_regions() -> Vec<(&'static str, Array3<bool>)> {
    let of =
        |inside: &dyn Fn(usize, usize, usize) -> bool| Array3::from_shape_fn((5, 6, 7), |(z, y, x)| inside(x, y, z));
    let mut regions = vec![
        ("one voxel", of(&|x, y, z| (x, y, z) == (3, 3, 2))),
        ("two voxels side by side", of(&|x, y, z| (y, z) == (0, 0) && x < 2)),
        ("two voxels at a corner", of(&|x, y, z| (x, y, z) == (0, 0, 0) || (x, y, z) == (1, 1, 1))),
        ("two voxels on no line", of(&|x, y, z| (x, y, z) == (0, 0, 0) || (x, y, z) == (1, 2, 4))),
        ("two voxels on a line with a gap", of(&|x, y, z| (x, y, z) == (0, 0, 0) || (x, y, z) == (3, 3, 3))),
        ("a line along x", of(&|_, y, z| (y, z) == (5, 4))),
        ("a line along y", of(&|x, _, z| (x, z) == (6, 0))),
        ("a line along z", of(&|x, y, _| (x, y) == (2, 2))),
        ("a diagonal", of(&|x, y, z| x == y && y == z)),
        ("a checkerboard", of(&|x, y, z| (x + y + z) % 2 == 0)),
        ("voxels apart", of(&|x, y, z| x % 3 == 0 && y % 3 == 0 && z % 2 == 0)),
        ("one slice", of(&|_, _, z| z == 4)),
        ("a slice across x", of(&|x, _, _| x == 0)),
        ("the whole image", of(&|_, _, _| true)),
        ("the shell of the image", of(&|x, y, z| [0, 6].contains(&x) || [0, 5].contains(&y) || [0, 4].contains(&z))),
    ];
    regions.extend((0..12).map(|seed| {
        let share = 2 + seed % 5;
        let kept = move |x, y, z| random(seed, (x + 7 * (y + 6 * z)) as u64).is_multiple_of(share + 1);
        ("scattered voxels", of(&kept))
    }));
    regions
}

#[test]
fn every_feature_is_a_number_or_has_its_reason() {
    type Texture = fn(usize, usize, usize) -> f32;
    let textures: [(&str, Texture); 4] = [
        ("varied", |x, y, z| ((x * 31 + y * 17 + z * 57) % 97) as f32),
        ("flat", |_, _, _| 7.0),
        ("two levels", |x, _, _| if x < 3 { -100.0 } else { 300.0 }),
        ("some NaN", |x, y, z| if (x + y) % 4 == 3 { f32::NAN } else { (x * y + z) as f32 }),
    ];
    let rows = [
        r#"{"minimumROIDimensions": 1}"#,
        r#"{"minimumROIDimensions": 1, "binCount": 8, "weightingNorm": "manhattan"}"#,
        r#"{"minimumROIDimensions": 1, "force2D": true, "force2Ddimension": 2, "gldm_a": 2}"#,
        r#"{"minimumROIDimensions": 1, "binWidth": 6, "distances": [1, 3, 9]}"#,
    ];
    for ((name, inside), (texture, value)) in
        odd_regions().into_iter().flat_map(|region| textures.map(|texture| (region.clone(), texture)))
    {
        let volume = image(Array3::from_shape_fn((5, 6, 7), |(z, y, x)| value(x, y, z)), [1.0, 0.5, 3.0]);
        let mask = region(inside.clone(), &volume);
        for json in rows {
            let table = match extract(&volume, &mask, &Settings::from_json(json).unwrap()) {
                Ok(table) => table,
                Err(Error::SingleVoxel | Error::NotFinite { .. } | Error::EmptyMask { .. }) => continue,
                Err(other) => panic!("{name}, {texture}, {json}: {other}"),
            };
            for feature in &table.features {
                let is_explained = feature.value.is_nan() == feature.reason.is_some();
                let what = format!("{name}, {texture}, {json}: {} is {}", feature.name, feature.value);
                assert!(is_explained && !feature.value.is_infinite(), "{what}, {:?}", feature.reason);
            }
        }
    }
}
