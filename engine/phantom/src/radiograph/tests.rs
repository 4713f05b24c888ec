//! What a physicist would measure on the radiography system, and a reader on its images.

use std::f64::consts::{LN_10, PI};

use super::*;
use crate::radiograph::shadow::{CORTICAL_G_CM3, CORTICAL_HU, composition};

const SIDE: usize = 96;

fn bench(pixel_mm: f64) -> Geometry {
    image_geometry([SIDE; 2], pixel_mm).unwrap()
}

/// The system without scatter.
fn clean() -> RadiographProtocol {
    RadiographProtocol { scatter: 0.0, ..*radiograph_protocol("dx-a").unwrap() }
}

fn taken(protocol: &RadiographProtocol, beam: usize) -> Exposure<'_> {
    Exposure { seed: 1, subject: 0, protocol, beam }
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

fn variance(values: &[f32]) -> f64 {
    let mean = mean(values);
    values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64
}

#[test]
fn a_slab_has_the_density_of_its_attenuation() {
    let protocol = clean();
    let (water, bone) = (vec![20.0; SIDE * SIDE], vec![1.5; SIDE * SIDE]);
    for (beam, [w, b]) in [[0.2059, 0.3148], [0.2683, 0.6655]].into_iter().enumerate() {
        for (mineral, path) in [(None, w * 20.0), (Some(&bone[..]), w * 20.0 + b * 1.5)] {
            let areal = Areal { water: &water, bone: mineral };
            let found = taken(&protocol, beam).expected(&areal, &bench(1.0)).unwrap();
            assert!(found.as_slice().iter().all(|&od| (f64::from(od) - path / LN_10).abs() < 1e-5), "beam {beam}");
        }
    }
}

#[test]
fn scatter_adds_its_share_and_nothing_to_an_empty_beam() {
    // Behind a wide slab of path p the source is the same everywhere: N = N₀ e⁻ᵖ (1 + k p).
    let protocol = radiograph_protocol("dx-b").unwrap();
    let exposure = taken(protocol, 0);
    let slab = vec![10.0; SIDE * SIDE];
    let found = exposure.expected(&Areal { water: &slab, bone: None }, &bench(1.0)).unwrap();
    let path: f64 = 2.059;
    let expected = (path - (1.0 + 0.28 * path).ln()) / LN_10;
    assert!((mean(found.as_slice()) - expected).abs() < 1e-5);
    let air = vec![0.0; SIDE * SIDE];
    let found = exposure.expected(&Areal { water: &air, bone: None }, &bench(1.0)).unwrap();
    assert!(found.as_slice().iter().all(|&od| od.abs() < 1e-6));
}

#[test]
fn a_weighted_difference_of_two_energies_has_no_bone() {
    let mut protocol = clean();
    protocol.blur_mm = 0.0;
    let water: Vec<f64> = (0..SIDE * SIDE).map(|i| 5.0 + 0.1 * (i % SIDE) as f64).collect();
    let bone: Vec<f64> = (0..SIDE * SIDE).map(|i| if i / SIDE % 7 < 3 { 0.8 } else { 0.0 }).collect();
    let areal = Areal { water: &water, bone: Some(&bone) };
    let [high, low] = [0, 1].map(|beam| taken(&protocol, beam).expected(&areal, &bench(1.0)).unwrap());
    let weight = 0.6655 / 0.3148;
    for (i, (high, low)) in high.as_slice().iter().zip(low.as_slice()).enumerate() {
        let found = (weight * f64::from(*high) - f64::from(*low)) * LN_10;
        let expected = (weight * 0.2059 - 0.2683) * water[i];
        assert!((found - expected).abs() < 1e-5, "pixel {i}: {found} for {expected}");
    }
}

#[test]
fn noise_variance_is_one_over_the_dose() {
    // var(OD) = 1/(N ln²10), less by the detector's blur, which none of these systems has.
    for photons_per_mm2 in [2e4, 1e5, 4e5] {
        let mut protocol = RadiographProtocol { blur_mm: 0.0, ..clean() };
        protocol.beams[0].photons_per_mm2 = photons_per_mm2;
        let slab = vec![10.0; SIDE * SIDE];
        let found = taken(&protocol, 0).measured(&Areal { water: &slab, bone: None }, &bench(1.0)).unwrap();
        let expected = 1.0 / (photons_per_mm2 * (-2.059f64).exp() * LN_10 * LN_10);
        let ratio = variance(found.as_slice()) / expected;
        assert!((ratio - 1.0).abs() < 0.06, "{photons_per_mm2} photons per mm²: {ratio}");
    }
}

/// Amplitude of a wave of `cycles` over the image along x, mean over rows, `[row][column]` from `from` on.
fn wave(image: &Volume, cycles: usize) -> f64 {
    let rows: Vec<f64> = image
        .as_slice()
        .chunks(SIDE)
        .map(|row| {
            let part = |f: fn(f64) -> f64| {
                let at = |i: usize| f(2.0 * PI * (cycles * i) as f64 / SIDE as f64);
                row.iter().enumerate().map(|(i, &v)| f64::from(v) * at(i)).sum::<f64>()
            };
            part(f64::cos).powi(2) + part(f64::sin).powi(2)
        })
        .collect();
    rows.iter().sum::<f64>() / rows.len() as f64
}

#[test]
fn signal_and_noise_have_the_transfer_function_of_the_detector() {
    let blur_mm = 0.6;
    let pixel_mm = 0.5;
    let [sharp, blurred] = [0.0, blur_mm].map(|blur_mm| RadiographProtocol { blur_mm, ..clean() });
    let mtf = |cycles: usize| {
        let frequency = cycles as f64 / (SIDE as f64 * pixel_mm);
        (-2.0 * (PI * blur_mm * frequency).powi(2)).exp()
    };
    for cycles in [4, 8, 12, 16] {
        // A wave of 1 % contrast: small enough to be linear.
        let path = |i: usize| 0.01 * (2.0 * PI * (cycles * (i % SIDE)) as f64 / SIDE as f64).cos();
        let water: Vec<f64> = (0..SIDE * SIDE).map(|i| (2.0 + path(i)) / 0.2059).collect();
        let areal = Areal { water: &water, bone: None };
        let power = |protocol: &RadiographProtocol| {
            wave(&taken(protocol, 0).expected(&areal, &bench(pixel_mm)).unwrap(), cycles)
        };
        let found = (power(&blurred) / power(&sharp)).sqrt();
        // Edges are not periodic, hence the slack.
        assert!((found - mtf(cycles)).abs() < 0.03, "{cycles} cycles: MTF {found} for {}", mtf(cycles));
    }
    let flat = vec![10.0; SIDE * SIDE];
    let areal = Areal { water: &flat, bone: None };
    let noise = |protocol: &RadiographProtocol| taken(protocol, 0).measured(&areal, &bench(pixel_mm)).unwrap();
    let (sharp, blurred) = (noise(&sharp), noise(&blurred));
    for band in [2..6, 6..10, 10..14, 14..18usize] {
        let power = |image: &Volume| band.clone().map(|cycles| wave(image, cycles)).sum::<f64>();
        // Blur along y lowers every frequency along x alike: by the mean of MTF² over all frequencies along y.
        let along_y = (0..SIDE).map(|c| mtf(c.min(SIDE - c)).powi(2)).sum::<f64>() / SIDE as f64;
        let expected = band.clone().map(|cycles| mtf(cycles).powi(2)).sum::<f64>() / band.len() as f64 * along_y;
        let found = power(&blurred) / power(&sharp);
        assert!((found / expected - 1.0).abs() < 0.2, "{band:?} cycles: NPS {found} for {expected}");
    }
}

#[test]
fn bone_is_soft_tissue_and_mineral_that_give_its_density() {
    assert_eq!(composition(0.0, false), [1.0, 0.0]);
    assert_eq!(composition(-750.0, false), [0.25, 0.0]);
    assert_eq!(composition(CORTICAL_HU, true), [0.0, CORTICAL_G_CM3]);
    // At 70 keV, μ/ρ of water is 0.193 cm²/g and that of cortical bone 0.2616 cm²/g.
    for hu in [100.0, 400.0, 900.0] {
        let [water, bone] = composition(hu, true);
        let found = 1000.0 * ((0.193 * water + 0.2616 * bone) / 0.193 - 1.0);
        assert!((found - hu).abs() < 2.0, "{found} HU for {hu}");
    }
}

fn small(condition: ChestCondition, id: &str, subject: u32) -> Radiograph {
    radiograph(3, subject, condition, [64, 64], 5.6, radiograph_protocol(id).unwrap()).unwrap()
}

/// Mean of an image where the masks agree with `test`.
fn within(image: &Volume, test: impl Fn(usize) -> bool) -> f64 {
    let values: Vec<f32> = image.as_slice().iter().enumerate().filter(|(i, _)| test(*i)).map(|(_, &v)| v).collect();
    mean(&values)
}

#[test]
fn soft_and_bone_make_the_radiograph_and_bone_lies_in_the_bones() {
    let image = small(ChestCondition::Healthy, "dx-a", 1);
    let residual: Vec<f32> = (0..64 * 64)
        .map(|i| image.standard.as_slice()[i] - image.soft.as_slice()[i] - image.bone.as_slice()[i])
        .collect();
    assert!(mean(&residual).abs() < 1e-3 && variance(&residual).sqrt() < 0.01, "{}", variance(&residual));
    let (ribs, lungs) = (image.ribs.as_slice(), image.lungs.as_slice());
    let bare = |i: usize| lungs[i] == 1.0 && ribs[i] == 0.0;
    let (on, off) = (within(&image.bone, |i| ribs[i] == 1.0 && lungs[i] == 1.0), within(&image.bone, bare));
    // Between the ribs of the lungs lie the edges of spine and shoulder blades.
    assert!(on > 0.03 && off.abs() < 0.5 * on, "{on} on ribs, {off} between");
    assert!(within(&image.soft, bare) < within(&image.soft, |i| image.heart.as_slice()[i] == 1.0));
    assert_eq!(image.standard.unit(), Unit::OpticalDensity);
    assert_eq!(image.processed.unit(), Unit::Arbitrary);
    assert!(image.processed.as_slice().iter().all(|v| (0.0..=4095.0).contains(v) && v.fract() == 0.0));
}

#[test]
fn nodules_shadow_where_the_list_puts_them() {
    let mut seen = 0;
    for subject in 0..4 {
        let image = small(ChestCondition::Healthy, "dx-a", subject);
        for (n, finding) in image.findings.iter().enumerate().filter(|(_, f)| f.diameter_mm > 9.0) {
            let [x, y, z] = finding.center_mm;
            let voxel = image.nodules.geometry().voxel_from_world().apply([x, 0.0, z]);
            let [i, j] = [voxel[0], voxel[1]].map(|v| v.round() as usize);
            assert!(y.abs() < 140.0);
            assert_eq!(image.nodules.voxels()[[0, j, i]], (n + 1) as f32, "subject {subject}: {finding:?}");
            seen += 1;
        }
        assert_eq!(image.row.number("nodules"), Some(image.findings.len() as f64));
    }
    assert!(seen >= 2, "{seen} nodules");
}

#[test]
fn a_failing_heart_is_wider_and_its_lungs_are_denser() {
    let [healthy, failing] = [ChestCondition::Healthy, ChestCondition::HeartFailure].map(|c| small(c, "dx-b", 2));
    let width = |image: &Radiograph| {
        let columns = image.heart.as_slice().iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(i, _)| i % 64);
        let (low, high) = columns.fold((64, 0), |(low, high), i| (low.min(i), high.max(i)));
        (high + 1 - low) as f64
    };
    let ratio = |image: &Radiograph| image.row.number("cardiothoracic_ratio").unwrap();
    let expected = ratio(&failing) / ratio(&healthy);
    assert!((width(&failing) / width(&healthy) / expected - 1.0).abs() < 0.12, "{expected}");
    let lung = |image: &Radiograph| {
        within(&image.soft, |i| failing.lungs.as_slice()[i] == 1.0 && failing.heart.as_slice()[i] == 0.0)
    };
    assert!(lung(&failing) > lung(&healthy) + 0.02);
}

#[test]
fn vendors_show_the_same_shadow_differently() {
    let [a, b] = ["dx-a", "dx-b"].map(|id| small(ChestCondition::Healthy, id, 0));
    assert_eq!(a.ribs, b.ribs);
    assert_eq!(a.row, b.row);
    let noise = |image: &Radiograph| {
        let residual: Vec<f32> = (0..64 * 64)
            .map(|i| image.standard.as_slice()[i] - image.soft.as_slice()[i] - image.bone.as_slice()[i])
            .collect();
        variance(&residual)
    };
    assert!(noise(&b) > 1.2 * noise(&a));
    let (low, high) = (
        within(&a.processed, |i| a.lungs.as_slice()[i] == 1.0),
        within(&b.processed, |i| a.lungs.as_slice()[i] == 1.0),
    );
    assert!((low - high).abs() > 100.0, "mean grey of the lungs {low} and {high}");
}

#[test]
fn bytes_depend_on_the_key_and_not_on_the_threads() {
    let protocol = radiograph_protocol("dx-a").unwrap();
    let tiny = |subject| radiograph(3, subject, ChestCondition::InterstitialDisease, [24, 24], 2.0, protocol).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tiny(4))
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(one.standard, three.standard);
    assert_eq!(one.processed, three.processed);
    assert_eq!(one.nodules, three.nodules);
    assert_ne!(one.standard, tiny(5).standard);
}

#[test]
fn what_makes_no_image_is_refused_with_the_numbers() {
    let soft = radiograph_protocol("dx-a").unwrap();
    let message = |size, pixel_mm, protocol: &RadiographProtocol| {
        radiograph(1, 0, ChestCondition::Healthy, size, pixel_mm, protocol).unwrap_err().to_string()
    };
    assert_eq!(message([8, 64], 1.0, soft), "image size must be 16 to 1024 pixels, found 8");
    assert_eq!(message([64, 64], f64::NAN, soft), "pixel_mm must be 0.4 to 10 mm, found NaN");
    let shaken = RadiographProtocol { blur_mm: -1.0, ..*soft };
    assert_eq!(message([64, 64], 5.0, &shaken), "blur_mm must be zero or more, found -1");
    assert_eq!(radiograph_protocol("dx-z").unwrap_err().to_string(), "no protocol dx-z: expected one of dx-a, dx-b");
}
