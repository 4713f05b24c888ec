//! Intensity standardisation and bias fields against SimpleITK, TorchIO and intensity-normalization: values made by
//! `intensity/make.py` on volumes given by a formula, and the shared data (skipped where it is absent).

use isoscan_imaging::{
    BiasFieldSettings, Geometry, HistogramMatching, Mask, Modality, Normalization, StandardScale, TissueMode, Unit,
    Volume, correct_bias_field, match_histogram, normalize, standardize,
};
use ndarray::Array3;
use serde_json::Value;

use crate::fixture::{data, read};

fn shared_volume(path: &str) -> Option<Volume> {
    let path = data()?.join(path);
    let folder = std::fs::read_dir(&path).map(|mut files| {
        files
            .find_map(|f| f.ok().filter(|f| f.path().to_string_lossy().ends_with(".nii.gz")))
            .expect("a NIfTI file")
            .path()
    });
    Some(read(&folder.unwrap_or(path)))
}

/// Every `steps`-th voxel from `first` on; only voxels matter here, so the grid is a plain one.
fn subsampled(source: &Volume, first: [usize; 3], steps: [usize; 3], size: [usize; 3]) -> Volume {
    let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| {
        let at = [i, j, k];
        let [x, y, z] = std::array::from_fn(|a| first[a] + at[a] * steps[a]);
        source.voxels()[[z, y, x]]
    });
    let geometry = Geometry::axis_aligned(size, [1.0; 3]).expect("a valid grid");
    Volume::new(voxels, geometry, source.modality(), source.unit()).expect("one value per voxel")
}

fn above(volume: &Volume, level: f32) -> Mask {
    Mask::new(volume.voxels().mapv(|v| v > level), volume.geometry().clone()).expect("one value per voxel")
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |v: &[f32]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let covariance = |a: &[f32], ma: f64, b: &[f32], mb: f64| {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - ma) * (f64::from(*b) - mb)).sum::<f64>()
    };
    covariance(a, ma, b, mb) / (covariance(a, ma, a, ma) * covariance(b, mb, b, mb)).sqrt()
}

fn mean_difference(a: &Volume, b: &Volume) -> f64 {
    let sum: f64 = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / a.as_slice().len() as f64
}

#[test]
fn bias_field_of_a_real_mr_agrees_with_simpleitk() {
    let Some(mr) = shared_volume("expected/sts002_mr") else { return };
    let Some(expected) = shared_volume("expected/proc/mr_n4_shrink221_it30x30x20_crop.nii.gz") else { return };
    let small = subsampled(&mr, [1, 1, 0], [2, 2, 1], [57, 45, 35]);
    // SimpleITK's Otsu threshold with 200 bins.
    let mask = above(&small, 529.676_45);
    let settings = BiasFieldSettings { iterations: vec![30, 30, 20], ..BiasFieldSettings::default() };
    let found = correct_bias_field(&small, Some(&mask), None, &settings).unwrap();
    println!("{:?}", found.levels);
    let crop = subsampled(&found.volume, [8, 2, 9], [1; 3], [40, 40, 16]);
    let relative = |(a, b): (&f32, &f32)| f64::from((a - b).abs()) / f64::from(b.abs()).max(1.0);
    let largest = crop.as_slice().iter().zip(expected.as_slice()).map(relative).fold(0.0, f64::max);
    let mean =
        found.volume.as_slice().iter().map(|v| f64::from(*v)).sum::<f64>() / found.volume.as_slice().len() as f64;
    println!("corrected voxels: largest relative difference {largest:.2e}, mean of all {mean}");
    assert!(largest < 1e-4, "{largest}");
    assert!((mean / 599.856_577_829_895_1 - 1.0).abs() < 1e-4, "{mean}");

    // The same voxels fitted from within the whole volume: its lattice reaches half a step further.
    let mask = above(&mr, 529.676_45);
    let settings = BiasFieldSettings { shrink: [2, 2, 1], ..settings };
    let whole = correct_bias_field(&mr, Some(&mask), None, &settings).unwrap();
    let field = subsampled(&whole.field, [1, 1, 0], [2, 2, 1], [57, 45, 35]);
    let correlation = correlation(field.as_slice(), found.field.as_slice());
    println!("field of the whole volume: correlation {correlation}");
    assert!(correlation > 0.999, "{correlation}");
}

#[test]
fn histogram_matching_of_a_real_mr_agrees_with_simpleitk() {
    let rows = [
        ("mr_histmatch_b256_p7_t1", HistogramMatching { bins: 256, points: 7, threshold_at_mean: true }),
        ("mr_histmatch_b1024_p15_t0", HistogramMatching { bins: 1024, points: 15, threshold_at_mean: false }),
    ];
    for (name, rule) in rows {
        let Some(mr) = shared_volume("expected/sts002_mr") else { return };
        let Some(reference) = shared_volume("expected/mr_sag_hfdl") else { return };
        let Some(expected) = shared_volume(&format!("expected/proc/{name}_crop.nii.gz")) else { return };
        let (found, _) = match_histogram(&mr, None, &reference, None, rule).unwrap();
        let crop = subsampled(&found, [37, 25, 9], [1; 3], [40, 40, 16]);
        let difference = mean_difference(&crop, &expected);
        println!("{name}: mean difference {difference:e}");
        assert!(difference < 1e-3);
    }
}

const SIZE: [usize; 3] = [30, 26, 20];

/// Squared distance from the middle of the head, whose edge is at 400; as in `intensity/make.py`.
fn distance([i, j, k]: [i64; 3]) -> i64 {
    (2 * i - 29).pow(2) * 400 / 841 + (2 * j - 25).pow(2) * 400 / 625 + (2 * k - 19).pow(2) * 400 / 361
}

fn head(subject: i64) -> Volume {
    let voxels = Array3::from_shape_fn((SIZE[2], SIZE[1], SIZE[0]), |(k, j, i)| {
        let [i, j, k] = [i as i64, j as i64, k as i64];
        let shell = match distance([i, j, k]) {
            ..150 => 110,
            150..280 => 70,
            280..400 => 30,
            _ => return 0.0,
        };
        let tissue = shell + if (i + 2 * j + 3 * k) % 37 == 0 { 25 } else { 0 };
        let noise = (i * 7919 + j * 104_729 + k * 1_299_709 + subject * 15_485_863) % 1009 % 97;
        (tissue * (3 * i + 2 * j - k + 200) * (subject + 3) / 32 + noise + 8) as f32 / 8.0
    });
    let geometry = Geometry::axis_aligned(SIZE, [1.0; 3]).expect("a valid grid");
    Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).expect("one value per voxel")
}

fn mask() -> Mask {
    let inside =
        Array3::from_shape_fn((SIZE[2], SIZE[1], SIZE[0]), |(k, j, i)| distance([i as i64, j as i64, k as i64]) < 400);
    Mask::new(inside, Geometry::axis_aligned(SIZE, [1.0; 3]).expect("a valid grid")).expect("one value per voxel")
}

fn values() -> Value {
    serde_json::from_str(include_str!("intensity/values.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Every 389th voxel against the peer's, relative to the largest of them.
fn assert_samples(name: &str, found: &Volume, expected: &Value, tolerance: f64) {
    let expected = numbers(expected);
    let largest = expected.iter().fold(0.0, |l: f64, v| l.max(v.abs()));
    let found = found.as_slice().iter().step_by(389).map(|v| f64::from(*v)).collect::<Vec<_>>();
    assert_eq!(found.len(), expected.len());
    for (n, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * largest, "{name}, sample {n}: {found}, expected {expected}");
    }
}

#[test]
fn the_head_is_that_of_the_generator() {
    let sum: f64 = head(1).as_slice().iter().map(|v| f64::from(*v)).sum();
    assert_eq!(sum, values()["voxel sum of head 1"].as_f64().unwrap());
}

/// Both peers compute in f64 from f32 percentiles; 1e-6 of the range is the rounding of the f32 voxels.
#[test]
fn standard_scale_agrees_with_intensity_normalization_and_torchio() {
    let (values, mask) = (values(), mask());
    let heads = [head(0), head(1), head(2)];
    let training: Vec<_> = heads.iter().map(|head| (head, Some(&mask))).collect();
    let rows = [
        (&values["nyul"], StandardScale::PERCENTILES.to_vec(), StandardScale::ENDS),
        (&values["torchio"], numbers(&values["torchio"]["percentiles"]), [0.0, 100.0]),
    ];
    for (expected, percentiles, ends) in rows {
        let scale = StandardScale::train(&training, &percentiles, ends).unwrap();
        for (found, expected) in scale.landmarks().iter().zip(numbers(&expected["landmarks"])) {
            assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
        }
        let (found, curve) = standardize(&head(4), Some(&mask), &scale).unwrap();
        assert_samples("inside", &found, &expected["head 4"], 1e-6);
        let back = curve.inverse().unwrap().apply(&found, Unit::Arbitrary);
        assert!(mean_difference(&back, &head(4)) < 1e-5);
        if let Some(expected) = expected.get("head 4 with background") {
            let (found, _) = standardize(&head(4), None, &scale).unwrap();
            assert_samples("whole", &found, expected, 1e-6);
        }
        let written = serde_json::to_string(&scale).unwrap();
        assert_eq!(serde_json::from_str::<StandardScale>(&written).unwrap(), scale);
    }
    assert!(serde_json::from_str::<StandardScale>(r#"{"percentiles": [1, 0], "landmarks": [0, 1]}"#).is_err());
}

/// The mode is one of 80 places of the histogram, so it is equal or a place apart; then mean and sd are exact.
#[test]
fn white_stripe_agrees_with_intensity_normalization() {
    let values = values();
    let modes = [("first", TissueMode::First), ("largest", TissueMode::Largest), ("last", TissueMode::Last)];
    for (name, mode) in modes {
        for width in [0.05, 0.2] {
            let expected = &values["white stripe"][format!("{name} {width}")];
            let number = |key: &str| expected[key].as_f64().unwrap();
            let (_, scale) = normalize(&head(1), None, Normalization::TissueMode { mode }).unwrap();
            assert!((scale.scale() / number("mode") - 1.0).abs() < 1e-9, "{name}: {scale:?} {expected}");
            let (found, stripe) = normalize(&head(1), None, Normalization::WhiteStripe { mode, width }).unwrap();
            assert!((stripe.offset() / number("mean") - 1.0).abs() < 1e-5, "{name} {width}: {stripe:?} {expected}");
            assert!((stripe.scale() / number("sd") - 1.0).abs() < 1e-5, "{name} {width}: {stripe:?} {expected}");
            let masked = normalize(&head(1), Some(&mask()), Normalization::WhiteStripe { mode, width }).unwrap();
            assert_eq!(masked.0, found);
            assert!(mean_difference(&stripe.undo(&found, Unit::Arbitrary), &head(1)) < 1e-5);
        }
    }
}

#[test]
fn robust_z_score_agrees_with_scipy() {
    let (_, found) = normalize(&head(1), Some(&mask()), Normalization::RobustZScore).unwrap();
    let expected = &values()["robust z-score"];
    assert_eq!(found.offset(), expected["median"].as_f64().unwrap());
    assert!((found.scale() / expected["scale"].as_f64().unwrap() - 1.0).abs() < 1e-12, "{found:?} {expected}");
}

#[test]
fn histogram_matching_agrees_with_simpleitk() {
    let reference = head(5).map(|v| v * v / 64.0);
    for (bins, points, threshold_at_mean, name) in
        [(256, 7, true, "256 7 True"), (64, 15, false, "64 15 False"), (128, 1, true, "128 1 True")]
    {
        let rule = HistogramMatching { bins, points, threshold_at_mean };
        let (found, _) = match_histogram(&head(1), None, &reference, None, rule).unwrap();
        assert_samples(name, &found, &values()["histogram matching"][name], 1e-6);
    }
}

/// SimpleITK sums in f32 over 24 iterations; 1e-4 of the largest value.
#[test]
fn bias_field_agrees_with_simpleitk() {
    let default = BiasFieldSettings { iterations: vec![10, 8, 6], convergence: 0.0, ..BiasFieldSettings::default() };
    let other = BiasFieldSettings {
        control_points: [5, 4, 6],
        bins: 120,
        full_width_half_maximum: 0.2,
        noise: 0.05,
        ..default.clone()
    };
    for (name, settings) in [("default", default), ("settings", other)] {
        let found = correct_bias_field(&head(1), Some(&mask()), None, &settings).unwrap();
        assert_eq!(found.levels.iter().map(|l| l.iterations).collect::<Vec<_>>(), [10, 8, 6]);
        let expected = &values()["bias field"][name];
        assert_samples(name, &found.volume, &expected["corrected"], 1e-4);
        assert_samples(name, &found.field.map(f32::ln), &expected["log field"], 1e-4);
    }
}

#[test]
fn weights_of_zero_and_one_are_a_mask() {
    let settings = BiasFieldSettings { iterations: vec![5, 5], ..BiasFieldSettings::default() };
    let weighted = |weight: f32| {
        let weights = mask().to_volume().map(|v| v * weight);
        correct_bias_field(&head(1), None, Some(&weights), &settings).unwrap()
    };
    let masked = correct_bias_field(&head(1), Some(&mask()), None, &settings).unwrap();
    assert_eq!(weighted(1.0), masked);
    assert!(mean_difference(&weighted(2.0).field, &masked.field) < 1e-6);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let all = || {
        let (source, reference) = (head(1), head(5));
        let rule = HistogramMatching { bins: 256, points: 7, threshold_at_mean: true };
        let stripe = Normalization::WhiteStripe { mode: TissueMode::Last, width: 0.05 };
        let field = correct_bias_field(&source, Some(&mask()), None, &BiasFieldSettings::default()).unwrap();
        let volumes = [
            field.volume,
            field.field,
            match_histogram(&source, None, &reference, None, rule).unwrap().0,
            normalize(&source, None, stripe).unwrap().0,
            normalize(&source, None, Normalization::ZScore).unwrap().0,
        ];
        volumes.map(|v| v.as_slice().iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    assert_eq!(pool(1).install(all), pool(7).install(all));
}
