//! Results of SimpleITK and NumPy on a real MR, CT and PET, from the shared data; skipped where it is absent.

use isoscan_imaging::{Interpolation, Normalization, Volume, normalize, otsu, resample};

use crate::fixture::{data, read};

fn range(volume: &Volume) -> f32 {
    let (low, high) = volume.as_slice().iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    high - low
}

/// A crop carries its own grid, so resampling onto that grid must give its voxels.
#[test]
fn resampling_agrees_with_simpleitk() {
    let Some(data) = data() else { return };
    // Tolerances: share of the source's range, data-io page section 5.
    let rows = [
        ("dicom/sts002_mr", "mr_on_ct_grid_linear", Interpolation::Linear, 1e-3),
        ("dicom/sts002_mr", "mr_iso1mm_linear", Interpolation::Linear, 1e-3),
        ("dicom/sts002_mr", "mr_iso1mm_bspline3", Interpolation::BSpline, 2e-3),
        ("dicom/sts002_pet", "pet_on_ct_grid_nearest", Interpolation::Nearest, 2e-6),
    ];
    for (source, peer, interpolation, tolerance) in rows {
        let source = read(&data.join(source));
        let expected = read(&data.join(format!("expected/proc/{peer}_crop.nii.gz")));
        let found = resample(&source, expected.geometry(), interpolation, 0.0);
        let largest = found.as_slice().iter().zip(expected.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let share = largest / range(&source);
        println!("{peer}: largest difference {largest} of range {} = {share:.2e}", range(&source));
        assert!(share <= tolerance, "{peer}: {share:e} of the range, {largest}");
    }
}

/// `stats mr` of values.json: mean, population sd and percentiles by NumPy, Otsu by SimpleITK with 200 bins.
#[test]
fn statistics_agree_with_numpy_and_otsu_with_simpleitk() {
    let Some(data) = data() else { return };
    let mr = read(&data.join("dicom/sts002_mr"));
    let rows = [
        (Normalization::ZScore, 463.713_957_211_870_25, 382.249_777_399_137_77),
        (Normalization::Percentile { low: 2.0, high: 98.0 }, 1.0, 1013.0 - 1.0),
        (Normalization::Percentile { low: 0.5, high: 99.5 }, 0.0, 1038.0),
        (Normalization::Percentile { low: 50.0, high: 95.0 }, 371.0, 991.0 - 371.0),
    ];
    for (normalization, offset, scale) in rows {
        let (_, found) = normalize(&mr, None, normalization).unwrap();
        assert!((found.offset() - offset).abs() < 1e-9 && (found.scale() - scale).abs() < 1e-9, "{found:?}");
    }
    // One bin of each histogram: 1198 / 200 + 1198 / 256.
    let level = f64::from(otsu(&mr).unwrap());
    assert!((level - 527.146_362_304_687_5).abs() < 10.7, "{level}");
}
