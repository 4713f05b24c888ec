//! What a reader would measure on the truth of a chest.

use std::collections::BTreeMap;

use super::*;
use crate::{chest_protocols, labels_on, protocol, scan};

fn coarse(length_mm: f64) -> Grid {
    Grid::new([64, 64], 6.0, length_mm).unwrap().with_truth_spacing(2.0, 2.0).unwrap()
}

/// A truth of both lungs from end to end.
fn whole() -> Grid {
    Grid::new([64, 64], 6.0, 300.0).unwrap().with_truth_spacing(3.0, 3.0).unwrap()
}

/// Densities by name of the label.
fn densities(anatomy: &Anatomy) -> BTreeMap<&'static str, Vec<f64>> {
    let names: BTreeMap<i32, &'static str> = anatomy.label_names.iter().copied().collect();
    let mut by_name: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for (&hu, &label) in anatomy.truth.as_slice().iter().zip(anatomy.labels.as_slice()) {
        by_name.entry(names.get(&(label as i32)).copied().unwrap_or("air")).or_default().push(f64::from(hu));
    }
    by_name
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

const LUNG: [&str; 8] = [
    "normal_lung",
    "ground_glass",
    "reticulation",
    "honeycombing",
    "consolidation",
    "emphysema",
    "lung_vessel",
    "nodule",
];

#[test]
fn patterns_fill_the_share_of_the_lungs_that_was_drawn() {
    for subject in 0..2 {
        let sick = chest(5, subject, &whole(), ChestCondition::InterstitialDisease);
        let number = |column: &str| sick.row.number(column).unwrap();
        let lungs: f64 = LUNG.iter().map(|name| number(&format!("{name}_mm3"))).sum();
        assert!((2.5e6..7.5e6).contains(&lungs), "{lungs} mm³");
        for name in &LUNG[1..6] {
            let (found, drawn) = (number(&format!("{name}_mm3")) / lungs, number(&format!("{name}_extent")));
            assert!((found - drawn).abs() < 0.02 + 0.15 * drawn, "subject {subject}, {name}: {found} for {drawn}");
        }
    }
}

#[test]
fn volumes_of_the_row_are_the_counts_of_the_labels() {
    let sick = chest(5, 0, &coarse(40.0), ChestCondition::InterstitialDisease);
    for (label, name) in CHEST_LABELS {
        let count = sick.labels.as_slice().iter().filter(|&&found| found == *label as f32).count();
        assert_eq!(sick.row.number(&format!("{}_mm3", name.replace('-', "_"))), Some(8.0 * count as f64), "{name}");
    }
}

#[test]
fn every_pattern_has_its_density() {
    let mut all: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for subject in 0..3 {
        for (name, mut values) in densities(&chest(9, subject, &coarse(80.0), ChestCondition::InterstitialDisease)) {
            all.entry(name).or_default().append(&mut values);
        }
    }
    let share = |name: &str, test: fn(f64) -> bool| {
        all[name].iter().filter(|&&hu| test(hu)).count() as f64 / all[name].len() as f64
    };
    let normal = mean(&all["normal-lung"]);
    assert!((-890.0..-820.0).contains(&normal), "{normal}");
    let glass = mean(&all["ground-glass"]) - normal;
    assert!((140.0..310.0).contains(&glass), "{glass}");
    assert!((5.0..60.0).contains(&mean(&all["consolidation"])));
    assert!((-130.0..70.0).contains(&mean(&all["nodule"])));
    // Walls and lumen, and hardly anything between.
    assert!((0.25..0.75).contains(&share("honeycombing", |hu| hu < -900.0)));
    assert!((0.25..0.75).contains(&share("honeycombing", |hu| hu > -150.0)));
    assert!((0.1..0.6).contains(&share("reticulation", |hu| hu > -320.0)));
    assert!((0.25..0.9).contains(&share("emphysema", |hu| hu == -945.0)));
    assert!(share("normal-lung", |hu| hu < -940.0) < 0.02);
}

#[test]
fn heart_failure_widens_the_heart_and_fills_the_lungs_of_the_same_body() {
    let [healthy, failing] =
        [ChestCondition::Healthy, ChestCondition::HeartFailure].map(|condition| chest(2, 3, &whole(), condition));
    let volume = |anatomy: &Anatomy, name: &str| anatomy.row.number(&format!("{name}_mm3")).unwrap();
    assert!(volume(&failing, "heart") > 1.5 * volume(&healthy, "heart"));
    assert_eq!(volume(&healthy, "effusion"), 0.0);
    assert!(volume(&failing, "effusion") > 2e4, "{}", volume(&failing, "effusion"));
    let lung = |anatomy: &Anatomy| mean(&densities(anatomy)["normal-lung"]);
    assert!((20.0..200.0).contains(&(lung(&failing) - lung(&healthy))));
    assert_eq!(volume(&failing, "rib"), volume(&healthy, "rib"));
    for name in ["ground_glass", "reticulation", "honeycombing", "consolidation", "emphysema"] {
        assert_eq!(volume(&healthy, name), 0.0, "{name}");
    }
}

#[test]
fn nodules_lie_where_the_list_says() {
    let mut seen = 0;
    for subject in 0..4 {
        let anatomy = chest(4, subject, &whole(), ChestCondition::Healthy);
        let listed: f64 = anatomy.findings.iter().map(|f| std::f64::consts::PI / 6.0 * f.diameter_mm.powi(3)).sum();
        let found = anatomy.row.number("nodule_mm3").unwrap();
        assert!((found - listed).abs() < 0.3 * listed + 200.0, "subject {subject}: {found} mm³ for {listed} mm³");
        for finding in &anatomy.findings {
            let voxel = anatomy.labels.geometry().voxel_from_world().apply(finding.center_mm);
            let [i, j, k] = voxel.map(|v| v.round() as usize);
            assert_eq!(anatomy.labels.voxels()[[k, j, i]], 10.0, "subject {subject}: {finding:?}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} nodules");
}

#[test]
fn a_chest_is_the_same_in_every_length_that_looks_at_it() {
    let [short, long] = [20.0, 60.0].map(|length| chest(3, 1, &coarse(length), ChestCondition::InterstitialDisease));
    assert_eq!(labels_on(&long, short.labels.geometry()), short.labels);
    let first = ((short.truth.geometry().origin_mm()[2] - long.truth.geometry().origin_mm()[2]) / 2.0) as usize;
    let plane = short.truth.voxels().dim().1 * short.truth.voxels().dim().2;
    assert_eq!(short.truth.as_slice(), &long.truth.as_slice()[first * plane..][..short.truth.as_slice().len()]);
}

#[test]
fn seven_groups_of_four_vendors_see_one_subject_on_one_grid() {
    let groups = chest_protocols();
    assert_eq!(groups.iter().map(|g| g.id).collect::<Vec<_>>(), ["g1", "g2", "g3", "g4", "g5", "g6", "g7"]);
    let mut vendors: Vec<_> = groups.iter().map(|g| g.manufacturer).collect();
    vendors.dedup();
    assert_eq!(vendors.len(), 4);
    let subject = chest(6, 0, &coarse(9.0), ChestCondition::Healthy);
    let labels = labels_on(&subject, &subject.scan_geometry(protocol("g1").unwrap()).unwrap());
    let heart = |volume: &isoscan_imaging::Volume| -> Vec<f64> {
        let pairs = volume.as_slice().iter().zip(labels.as_slice());
        pairs.filter(|(_, label)| **label == 11.0).map(|(&hu, _)| f64::from(hu)).collect()
    };
    let deviation = |id: &str| {
        let [first, second] = [1, 2].map(|seed| scan(&subject, protocol(id).unwrap(), seed, 0).unwrap());
        assert_eq!(first.geometry(), labels.geometry(), "{id}");
        let (first, second) = (heart(&first), heart(&second));
        let square: f64 = first.iter().zip(&second).map(|(a, b)| 0.5 * (a - b).powi(2)).sum();
        (square / first.len() as f64).sqrt()
    };
    // 140 and 25 mAs with the same kernel; few photons add a little electronic noise.
    let ratio = deviation("g2") / deviation("g1") / (140.0f64 / 25.0).sqrt();
    assert!((0.9..1.25).contains(&ratio), "{ratio}");
    assert!(deviation("g7") > 1.3 * deviation("g3"), "edge enhancement against a soft kernel at equal dose");
}
