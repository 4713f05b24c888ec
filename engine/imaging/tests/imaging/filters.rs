//! Filters and resampling against SimpleITK, SciPy, PyWavelets and scikit-image; `reference.py` makes the values.

use std::collections::BTreeMap;

use isoscan_imaging::{
    Connectivity, Geometry, Interpolation, LabelInterpolation, Mask, Modality, NonLocalMeans, Unit, Volume, Wavelet,
    bilateral, components, distance, fill_cavities, gaussian, gradient, gradient_magnitude, grey_dilate, grey_erode,
    interpolate, laplacian_of_gaussian, median, non_local_means, otsu_levels, resample_labels, signed_distance,
    wavelet_bands,
};
use ndarray::Array3;

const SIZE: [usize; 3] = [15, 12, 12];
/// Every 11th voxel is kept.
const STEP: usize = 11;

fn volume(value: impl Fn([usize; 3]) -> f64) -> Volume {
    let voxels = Array3::from_shape_fn((SIZE[2], SIZE[1], SIZE[0]), |(k, j, i)| value([i, j, k]) as f32);
    let geometry = Geometry::axis_aligned(SIZE, [0.8, 1.0, 2.0]).expect("a valid grid");
    Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).expect("one value per voxel")
}

fn grey() -> Volume {
    volume(|[i, j, k]| ((7 * i * i + 13 * j + 29 * k + 3 * i * j * k) % 101 + 5 * i) as f64)
}

fn smooth() -> Volume {
    volume(|v| {
        let [i, j, k] = v.map(|n| n as f64);
        (50.0 * (i / 3.0).sin() + 40.0 * (j / 4.0 + 0.3).cos() + 30.0 * (k / 2.0).sin()).round()
    })
}

fn region() -> Mask {
    let grid = grey();
    let inside = grid.voxels().indexed_iter().map(|((k, j, i), _)| (i * 5 + j * 3 + k * 7 + i * j) % 11 < 4).collect();
    Mask::new(Array3::from_shape_vec(grid.voxels().dim(), inside).expect("one bool per voxel"), grid.geometry().clone())
        .expect("one bool per voxel")
}

fn reference() -> BTreeMap<String, serde_json::Value> {
    serde_json::from_str(include_str!("reference.json")).expect("valid JSON")
}

fn numbers(name: &str) -> Vec<f64> {
    let all = reference();
    let list = all.get(name).unwrap_or_else(|| panic!("{name} is not in the reference"));
    list.as_array().expect("a number").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Largest difference to the reference over the kept voxels for which `counts` holds.
fn largest(name: &str, found: &Volume, counts: impl Fn([usize; 3]) -> bool) -> f64 {
    let [nx, ny, _] = found.geometry().size();
    let kept = found.as_slice().iter().enumerate().step_by(STEP);
    let expected = numbers(name);
    assert_eq!(kept.len(), expected.len(), "{name}");
    kept.zip(expected)
        .filter(|((index, _), _)| counts([index % nx, index / nx % ny, index / (nx * ny)]))
        .map(|((_, found), expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, f64::max)
}

fn everywhere(_: [usize; 3]) -> bool {
    true
}

/// At least `margin` voxels away from every face of the filter tests' grid.
fn inner(margin: usize) -> impl Fn([usize; 3]) -> bool {
    move |v| (0..3).all(|a| v[a] >= margin && v[a] + margin < SIZE[a])
}

#[test]
fn filters_agree_with_their_peers() {
    let (a, m) = (grey(), region());
    let [x, _, z] = gradient(&a);
    let nlm = NonLocalMeans { patch_radius: 1, search_radius: 2, sigma: 15.0, strength: 0.8, rician: false };
    let rows = [
        ("gaussian_1p2", gaussian(&a, [1.2; 3]).unwrap(), 2e-5),
        ("median_1", median(&a, [1, 1, 1]).unwrap(), 0.0),
        ("median_2_1_0", median(&a, [2, 1, 0]).unwrap(), 0.0),
        ("nlm_1_2", non_local_means(&a, nlm).unwrap(), 1e-3),
        ("gradient_x", x, 1e-5),
        ("gradient_z", z, 1e-5),
        ("grey_dilate_2", grey_dilate(&a, 2.0).unwrap(), 0.0),
        ("grey_erode_2", grey_erode(&a, 2.0).unwrap(), 0.0),
        ("distance", distance(&m).unwrap(), 1e-6),
        ("signed_distance", signed_distance(&m).unwrap(), 1e-6),
        // SimpleITK keeps f32 between its passes too.
        ("log_1.0", laplacian_of_gaussian(&a, 1.0).unwrap(), 1e-3),
        ("log_2.5", laplacian_of_gaussian(&a, 2.5).unwrap(), 1e-3),
    ];
    for (name, found, tolerance) in rows {
        let difference = largest(name, &found, everywhere);
        println!("{name}: {difference:.2e}");
        assert!(difference <= tolerance, "{name}: {difference:e}");
    }
}

/// Where definitions differ: SimpleITK halves the gradient at the edge; its bilateral filter takes a box, not a ball, of
/// neighbours and a table of 100 intensities.
#[test]
fn filters_of_another_definition_are_near() {
    let a = grey();
    let magnitude = largest("gradient_magnitude", &gradient_magnitude(&a), inner(1));
    assert!(magnitude < 1e-4, "{magnitude:e}");
    let difference = largest("bilateral_1_30", &bilateral(&a, 1.0, 30.0).unwrap(), everywhere);
    println!("bilateral: {difference}");
    assert!(difference < 4.0, "{difference}");
}

#[test]
fn wavelet_bands_are_those_of_pywavelets() {
    for (name, level) in [("haar", 1), ("coif1", 1), ("db4", 1), ("sym5", 2)] {
        let wavelet: Wavelet = name.parse().unwrap();
        let bands = wavelet_bands(&grey(), wavelet, level).unwrap();
        assert_eq!(bands.len(), 8);
        for band in bands {
            let name = format!("wavelet_{name}_{level}_{}", band.name);
            let difference = largest(&name, &band.volume, everywhere);
            assert!(difference < 2e-4, "{name}: {difference:e}");
        }
    }
}

fn target(is_oblique: bool) -> Geometry {
    let (c, s) = if is_oblique { (0.2f64.cos(), 0.2f64.sin()) } else { (1.0, 0.0) };
    let direction = [[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]];
    Geometry::new([11, 9, 8], [0.7, 0.9, 1.3], [2.1, 1.7, 3.9], direction).expect("a valid grid")
}

#[test]
fn interpolation_agrees_with_simpleitk() {
    // The sinc of SimpleITK is not divided by the sum of its weights and repeats the edge voxel.
    let rows = [
        ("nearest", Interpolation::Nearest, 0.0),
        ("linear", Interpolation::Linear, 2e-5),
        ("bspline", Interpolation::BSpline, 1e-4),
        ("lanczos5", Interpolation::Lanczos5, 1.5),
    ];
    for (name, interpolation, tolerance) in rows {
        for (place, is_oblique) in [("aligned", false), ("oblique", true)] {
            let name = format!("resample_{name}_{place}");
            let found = interpolate(&smooth(), &target(is_oblique), interpolation, 0.0);
            let difference = largest(&name, &found, everywhere);
            println!("{name}: {difference:.2e}");
            assert!(difference <= tolerance, "{name}: {difference:e}");
        }
    }
}

#[test]
fn labels_agree_with_simpleitk_but_at_some_borders() {
    let labels = volume(|[i, j, k]| ((i / 5 + j / 4 + k / 4) % 4 * 3) as f64);
    for (place, is_oblique) in [("aligned", false), ("oblique", true)] {
        let found = resample_labels(&labels, &target(is_oblique), LabelInterpolation::Gaussian, 0.0);
        let expected = numbers(&format!("labels_gaussian_{place}"));
        let same = found.as_slice().iter().step_by(STEP).zip(&expected).filter(|(a, b)| f64::from(**a) == **b).count();
        println!("{place}: {same} of {}", expected.len());
        assert!(same * 100 >= expected.len() * 90, "{place}: {same} of {}", expected.len());
    }
}

#[test]
fn regions_agree_with_scipy_and_otsu_with_scikit_image() {
    let m = region();
    for (name, connectivity) in
        [("faces", Connectivity::Faces), ("edges", Connectivity::Edges), ("corners", Connectivity::Corners)]
    {
        let found: Vec<f64> = components(&m, connectivity).voxels.into_iter().map(|n| n as f64).collect();
        assert_eq!(found, numbers(&format!("components_{name}")));
    }
    let outside = Mask::new(m.inside().mapv(|inside| !inside), m.geometry().clone()).unwrap();
    assert_eq!(fill_cavities(&outside).count() as f64, numbers("filled_cavities")[0]);
    // scikit-image gives the middle of the bin whose upper edge is ours.
    let a = grey();
    let (low, high) = a.as_slice().iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let half_bin = f64::from(high - low) / 512.0;
    for (found, centre) in otsu_levels(&a, 4).unwrap().into_iter().zip(numbers("otsu_centres_4")) {
        assert!((f64::from(found) - centre - half_bin).abs() < 1e-4, "{found} {centre}");
    }
}
