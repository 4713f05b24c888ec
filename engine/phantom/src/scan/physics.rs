//! What a physicist would measure on the scanner: linearity, noise, transfer function, noise power, slice profile.

use std::f64::consts::PI;

use rustfft::num_complex::Complex64;

use super::*;
use crate::{Grid, Kernel, abdomen, labels_on, protocol};

const AXES: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// A disc of `hu` with centre (x, y) and radius, mm; later discs cover earlier ones.
type Disc = ([f64; 2], f64, f64);

/// Discs in air that go on along z, with edge pixels filled by their share of 4 x 4 points.
fn discs(discs: &[Disc], half_mm: f64, pixel_mm: f64, slices: usize) -> Volume {
    let side = 2 * (half_mm / pixel_mm).ceil() as usize + 1;
    let first = -0.5 * (side - 1) as f64 * pixel_mm;
    let geometry = Geometry::new([side, side, slices], [pixel_mm, pixel_mm, 1.0], [first, first, 0.5], AXES).unwrap();
    let at = |x: f64, y: f64| {
        discs.iter().rev().find(|(c, r, _)| (x - c[0]).hypot(y - c[1]) < *r).map_or(-1000.0, |(_, _, hu)| *hu)
    };
    let plane: Vec<f32> = (0..side * side)
        .map(|n| {
            let center = [n % side, n / side].map(|i| first + i as f64 * pixel_mm);
            let shares = (0..16).map(|s| {
                let [dx, dy] = [s % 4, s / 4].map(|q| (f64::from(q) - 1.5) / 4.0 * pixel_mm);
                at(center[0] + dx, center[1] + dy)
            });
            (shares.sum::<f64>() / 16.0) as f32
        })
        .collect();
    let voxels = Array3::from_shape_vec((slices, side, side), plane.repeat(slices)).unwrap();
    Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
}

/// `slices` slices of `thickness_mm` and `side` x `side` pixels from z = 0 on.
fn slices(side: usize, pixel_mm: f64, thickness_mm: f64, slices: usize) -> Geometry {
    let first = -0.5 * (side - 1) as f64 * pixel_mm;
    let spacing = [pixel_mm, pixel_mm, thickness_mm];
    Geometry::new([side, side, slices], spacing, [first, first, 0.5 * thickness_mm], AXES).unwrap()
}

/// Values within `radius` mm of (x, y).
fn inside(volume: &Volume, center: [f64; 2], radius: f64) -> Vec<f64> {
    let world = volume.geometry().world_from_voxel();
    let near = |j: usize, i: usize| {
        let [x, y, _] = world.apply([i as f64, j as f64, 0.0]);
        (x - center[0]).hypot(y - center[1]) < radius
    };
    volume.voxels().indexed_iter().filter(|((_, j, i), _)| near(*j, *i)).map(|(_, &v)| f64::from(v)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Noise alone: the difference of two scans that differ by their seed, over √2.
fn noise_of(truth: &Volume, geometry: &Geometry, protocol: &Protocol) -> Volume {
    let take = |seed| scan_truth(truth, geometry.clone(), protocol, seed, 0).unwrap();
    let (first, second) = (take(1), take(2));
    let noise = (&first.voxels() - &second.voxels()) / std::f32::consts::SQRT_2;
    first.with_voxels(noise).unwrap()
}

/// ∫ f² MTF(f)² df over both signs, 1/mm³.
fn noise_integral(kernel: &Kernel) -> f64 {
    let step = 1e-4;
    (0..8000).map(|i| (f64::from(i) + 0.5) * step).map(|f| 2.0 * (f * kernel.mtf(10.0 * f)).powi(2) * step).sum()
}

#[test]
fn water_is_zero_air_is_minus_thousand_and_inserts_keep_their_density() {
    let inserts = [([60.0, 0.0], 200.0), ([-60.0, 0.0], -100.0), ([0.0, 60.0], 60.0), ([0.0, -60.0], 600.0)];
    let mut all: Vec<Disc> = vec![([0.0, 0.0], 105.0, 0.0)];
    all.extend(inserts.map(|(center, hu)| (center, 18.0, hu)));
    let truth = discs(&all, 108.0, 0.75, 10);
    for id in ["a-soft", "b-sharp-low", "d-edge"] {
        let scanned = scan_truth(&truth, slices(192, 1.5, 5.0, 2), protocol(id).unwrap(), 3, 0).unwrap();
        for (center, hu) in inserts.into_iter().chain([([0.0, 0.0], 0.0)]) {
            let found = mean(&inside(&scanned, center, 13.0));
            assert!((found - hu).abs() < 2.0, "{id}: {found} HU for {hu}");
        }
        let air = mean(&inside(&scanned, [125.0, 60.0], 10.0));
        assert!((air + 1000.0).abs() < 3.0, "{id}: air {air}");
    }
}

#[test]
fn noise_falls_with_the_root_of_dose_and_has_the_predicted_size() {
    // σ_μ² = (π²/views) · w · σ_p² · ∫ f² MTF² df with the element width w and, in the centre of a cylinder, the same
    // σ_p² = (1 + σ_e²/N)/N for every ray (Kak & Slaney 1988, section 5.2). The aperture correction adds about 3 %.
    let radius = 100.0;
    let truth = discs(&[([0.0, 0.0], radius, 0.0)], 102.0, 0.75, 30);
    let geometry = slices(64, 1.5, 5.0, 6);
    for (id, exposures) in [("a-soft", [50.0, 200.0]), ("b-sharp-low", [50.0, 200.0])] {
        for exposure_mas in exposures {
            let protocol = Protocol { exposure_mas, ..*protocol(id).unwrap() };
            let counts = protocol.photons_per_ray() * (-2.0 * radius * protocol.mu_water_per_mm).exp();
            let relative = (1.0 + protocol.electronic_noise.powi(2) / counts) / counts;
            let variance = PI.powi(2) / protocol.views as f64 * relative * noise_integral(&protocol.kernel);
            let expected = 1000.0 / protocol.mu_water_per_mm * (variance * protocol.detector_mm).sqrt();
            let found = deviation(&inside(&noise_of(&truth, &geometry, &protocol), [0.0, 0.0], 25.0));
            assert!((found / expected - 1.0).abs() < 0.08, "{id} at {exposure_mas} mAs: {found} HU for {expected}");
        }
    }
}

/// The frequency, line pairs per cm, where the transfer function of a disc's edge falls to one half.
///
/// The edge profile over the distance to the disc's centre is binned to 0.25 mm, differentiated and transformed.
fn measured_mtf50(protocol: &Protocol) -> f64 {
    let (center, radius, bin) = ([10.37, -5.21], 45.0, 0.25);
    let truth = discs(&[([0.0, 0.0], 80.0, 0.0), (center, radius, 300.0)], 82.0, 0.4, 8);
    let noiseless = Protocol { exposure_mas: 1e7, electronic_noise: 0.0, ..*protocol };
    let scanned = scan_truth(&truth, slices(128, 1.5, protocol.slice_thickness_mm, 1), &noiseless, 1, 0).unwrap();
    let half = 20.0;
    let mut profile = vec![(0.0, 0.0); (2.0 * half / bin) as usize];
    let world = scanned.geometry().world_from_voxel();
    for ((_, j, i), &v) in scanned.voxels().indexed_iter() {
        let [x, y, _] = world.apply([i as f64, j as f64, 0.0]);
        let position = ((x - center[0]).hypot(y - center[1]) - radius + half) / bin;
        if position >= 0.0 && position < profile.len() as f64 {
            profile[position as usize].0 += f64::from(v);
            profile[position as usize].1 += 1.0;
        }
    }
    let edge: Vec<f64> = profile.iter().map(|(sum, count)| sum / count).collect();
    let line: Vec<f64> = edge.windows(2).map(|pair| pair[0] - pair[1]).collect();
    let transfer = |per_cm: f64| {
        let phase = |n: usize| 2.0 * PI * per_cm / 10.0 * bin * n as f64;
        let part = |f: fn(f64) -> f64| line.iter().enumerate().map(|(n, v)| v * f(phase(n))).sum::<f64>();
        part(f64::cos).hypot(part(f64::sin)) / line.iter().sum::<f64>()
    };
    (1..1000).map(|n| 0.01 * f64::from(n)).find(|&f| transfer(f) < 0.5).unwrap()
}

#[test]
fn measured_transfer_function_falls_to_half_where_the_kernel_says() {
    let mut measured: Vec<(f64, f64)> = ["d-smooth-low", "a-soft", "c-standard", "b-medium", "g1", "a-sharp", "d-edge"]
        .map(|id| {
            let protocol = protocol(id).unwrap();
            let (found, declared) = (measured_mtf50(protocol), protocol.kernel.mtf50_per_cm());
            assert!((found / declared - 1.0).abs() < 0.03, "{id}: {found} for {declared} line pairs per cm");
            (declared, found)
        })
        .to_vec();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(measured.windows(2).all(|pair| pair[0].1 < pair[1].1), "{measured:?}");
}

/// Noise power over frequency in rings of one line pair per 96 mm, by a direct transform of 64 x 64 pixels.
fn noise_power(noise: &Volume) -> Vec<f64> {
    const SIDE: usize = 64;
    let wave = |n: usize| Complex64 {
        re: (2.0 * PI * n as f64 / SIDE as f64).cos(),
        im: -(2.0 * PI * n as f64 / SIDE as f64).sin(),
    };
    let waves: Vec<Complex64> = (0..SIDE).map(wave).collect();
    let transform = |values: &[Complex64]| -> Vec<Complex64> {
        (0..SIDE).map(|k| (0..SIDE).map(|n| values[n] * waves[k * n % SIDE]).sum()).collect()
    };
    let mut rings = vec![(0.0, 0.0); SIDE / 2];
    for slice in noise.voxels().outer_iter() {
        let rows: Vec<_> = (0..SIDE)
            .map(|j| transform(&(0..SIDE).map(|i| Complex64::new(f64::from(slice[[j, i]]), 0.0)).collect::<Vec<_>>()))
            .collect();
        for i in 0..SIDE {
            let column = transform(&rows.iter().map(|row| row[i]).collect::<Vec<_>>());
            for (j, value) in column.iter().enumerate() {
                let ring = (i.min(SIDE - i) as f64).hypot(j.min(SIDE - j) as f64).round() as usize;
                if let Some(ring) = rings.get_mut(ring) {
                    *ring = (ring.0 + value.norm_sqr(), ring.1 + 1.0);
                }
            }
        }
    }
    rings.into_iter().map(|(sum, count)| sum / count).collect()
}

#[test]
fn noise_power_follows_ramp_times_squared_transfer_function() {
    let truth = discs(&[([0.0, 0.0], 100.0, 0.0)], 102.0, 0.75, 40);
    let geometry = slices(64, 1.5, 5.0, 8);
    let mut centroids = Vec::new();
    for id in ["a-soft", "a-sharp"] {
        let protocol = protocol(id).unwrap();
        let found = noise_power(&noise_of(&truth, &geometry, protocol));
        let frequency = |ring: usize| ring as f64 / 9.6;
        let theory: Vec<f64> =
            (0..32).map(|ring| frequency(ring) * protocol.kernel.mtf(frequency(ring)).powi(2)).collect();
        // Rings below 0.3 mix with the mean, those above 2.6 line pairs per cm with what sampling folds back.
        let band = 3..25;
        let centroid = |power: &[f64]| {
            let moment = |n: i32| band.clone().map(|r| power[r] * frequency(r).powi(n)).sum::<f64>();
            moment(1) / moment(0)
        };
        let (found, theory) = (centroid(&found), centroid(&theory));
        assert!((found / theory - 1.0).abs() < 0.05, "{id}: {found} for {theory} line pairs per cm");
        centroids.push(found);
    }
    assert!(centroids[1] > 1.25 * centroids[0], "{centroids:?}");
}

#[test]
fn a_thicker_slice_has_less_noise_and_mixes_what_lies_along_z() {
    let uniform = discs(&[([0.0, 0.0], 80.0, 0.0)], 82.0, 1.0, 32);
    let noise = |thickness: f64, count| {
        let protocol =
            Protocol { slice_thickness_mm: thickness, slice_spacing_mm: thickness, ..*protocol("a-soft").unwrap() };
        deviation(&inside(&noise_of(&uniform, &slices(64, 1.5, thickness, count), &protocol), [0.0, 0.0], 35.0))
    };
    let ratio = noise(2.0, 4) / noise(8.0, 4);
    assert!((ratio / 2.0 - 1.0).abs() < 0.08, "four times the photons: noise ratio {ratio}");

    // 100 HU from z = 6 mm on: the 2 mm slices change at once, the 5 mm slice 5..10 mm holds four fifths of it.
    let low = discs(&[([0.0, 0.0], 80.0, 0.0)], 82.0, 1.0, 20);
    let step = low
        .with_voxels(Array3::from_shape_fn(low.voxels().dim(), |at| {
            let hu = low.voxels()[at];
            if at.0 >= 6 && hu == 0.0 { 100.0 } else { hu }
        }))
        .unwrap();
    for (thickness, expected) in [(2.0, vec![0.0, 0.0, 0.0, 100.0, 100.0]), (5.0, vec![0.0, 80.0, 100.0, 100.0])] {
        let protocol =
            Protocol { slice_thickness_mm: thickness, slice_spacing_mm: thickness, ..*protocol("a-soft").unwrap() };
        let scanned = scan_truth(&step, slices(64, 1.5, thickness, expected.len()), &protocol, 1, 0).unwrap();
        for (k, hu) in expected.into_iter().enumerate() {
            let slice = slice_of(&scanned, k);
            let found = mean(&inside(&slice, [0.0, 0.0], 40.0));
            assert!((found - hu).abs() < 2.0, "{thickness} mm, slice {k}: {found} HU for {hu}");
        }
    }
}

fn slice_of(volume: &Volume, k: usize) -> Volume {
    let [nx, ny, _] = volume.geometry().size();
    let old = volume.geometry();
    let geometry = Geometry::new([nx, ny, 1], old.spacing_mm(), old.origin_mm(), AXES).unwrap();
    let voxels = volume.voxels().index_axis(ndarray::Axis(0), k).insert_axis(ndarray::Axis(0)).to_owned();
    Volume::new(voxels, geometry, volume.modality(), volume.unit()).unwrap()
}

#[test]
fn bytes_depend_on_the_key_and_not_on_the_threads() {
    let grid = Grid::new([64, 64], 5.0, 15.0).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let subject = abdomen(5, 2, &grid);
            (scan(&subject, protocol("a-soft").unwrap(), 5, 2).unwrap(), subject)
        })
    };
    let ((one, subject), (three, again)) = (on(1), on(3));
    assert_eq!(subject.truth, again.truth);
    assert_eq!(subject.labels, again.labels);
    assert_eq!(one, three);
    let another_seed = scan(&subject, protocol("a-soft").unwrap(), 6, 2).unwrap();
    assert_ne!(one.as_slice(), another_seed.as_slice());
    assert_ne!(subject.truth.as_slice(), abdomen(6, 2, &grid).truth.as_slice());
    let renamed = Protocol { id: "twin", ..*protocol("a-soft").unwrap() };
    assert_ne!(one, scan(&subject, &renamed, 5, 2).unwrap());
}

#[test]
fn two_protocols_see_the_same_subject_on_the_same_grid() {
    let subject = abdomen(1, 4, &Grid::new([128, 128], 3.0, 15.0).unwrap());
    let [soft, sharp] = ["a-soft", "b-sharp-low"].map(|id| scan(&subject, protocol(id).unwrap(), 1, 4).unwrap());
    assert_eq!(soft.geometry(), sharp.geometry());
    let labels = labels_on(&subject, soft.geometry());
    let labels = labels.voxels();
    // Two pixels inside the organ, where no kernel mixes its neighbours in.
    let interior = |label: f32, k: usize, j: usize, i: usize| {
        (2..126).contains(&j)
            && (2..126).contains(&i)
            && (j - 2..=j + 2).all(|j| (i - 2..=i + 2).all(|i| labels[[k, j, i]] == label))
    };
    for label in [2.0, 4.0, 11.0] {
        let of = |volume: &Volume| {
            let voxels = volume.voxels();
            let all = voxels.indexed_iter().filter(|((k, j, i), _)| interior(label, *k, *j, *i));
            mean(&all.map(|(_, &v)| f64::from(v)).collect::<Vec<_>>())
        };
        assert!((of(&soft) - of(&sharp)).abs() < 2.0, "label {label}: {} and {}", of(&soft), of(&sharp));
    }
}

#[test]
fn what_cannot_be_scanned_is_refused_with_the_numbers() {
    let truth = discs(&[([0.0, 0.0], 20.0, 0.0)], 22.0, 1.0, 4);
    let soft = protocol("a-soft").unwrap();
    let message = |result: Result<Volume, Error>| result.unwrap_err().to_string();
    assert_eq!(
        message(scan_truth(&truth, slices(32, 1.5, 5.0, 1), soft, 1, 0)),
        "slices of [0.0, 5.0] mm (z) reach outside the truth of [0.0, 4.0] mm"
    );
    let labels = truth.clone().with_meaning(Modality::Seg, Unit::Label);
    assert_eq!(
        message(scan_truth(&labels, slices(32, 1.5, 2.0, 1), soft, 1, 0)),
        "needs intensities in HU, found label"
    );
    let dark = Protocol { exposure_mas: 0.0, ..*soft };
    assert_eq!(
        message(scan_truth(&truth, slices(32, 1.5, 2.0, 1), &dark, 1, 0)),
        "exposure_mas must be positive and finite, found 0"
    );
    let overlapping = Protocol { slice_spacing_mm: 4.0, ..*soft };
    assert_eq!(
        message(scan_truth(&truth, slices(32, 1.5, 2.0, 1), &overlapping, 1, 0)),
        "slice_spacing_mm must be at least the thickness, found 4"
    );
}
