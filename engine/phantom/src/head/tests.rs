use std::collections::BTreeMap;

use super::*;
use crate::{HEAD_LABELS, pet_uptake};

fn coarse(length_mm: f64, middle_mm: f64, findings: Findings) -> HeadSettings {
    let grid = Grid::new([64, 64], 3.4, length_mm).unwrap().with_truth_spacing(1.7, 1.7).unwrap();
    HeadSettings { findings, middle_mm, ..HeadSettings::new(grid) }
}

fn counts(volume: &Volume) -> BTreeMap<i32, usize> {
    let mut counts = BTreeMap::new();
    for &label in volume.as_slice() {
        *counts.entry(label as i32).or_insert(0) += 1;
    }
    counts
}

const ALL: Findings = Findings {
    periventricular_plaques: 2,
    juxtacortical_plaques: 2,
    cortical_plaques: 2,
    tumours: 1,
    metastases: 1,
    infarcts: 1,
    haemorrhages: 1,
    calcifications: 1,
    hypometabolism: 2,
    silent_hypometabolism: 0,
};

#[test]
fn every_head_has_every_tissue_in_human_proportions() {
    for subject in 0..2 {
        let grid = Grid::new([64, 64], 3.5, 190.0).unwrap().with_truth_spacing(2.1, 2.1).unwrap();
        let head = head(11, subject, &HeadSettings { middle_mm: -12.0, ..HeadSettings::new(grid) }).unwrap();
        let truth = head.truth();
        for (number, name) in HEAD_LABELS.iter().filter(|(number, _)| *number < 19) {
            assert!(truth.volume_mm3.contains_key(name), "subject {subject} has no {name} ({number})");
        }
        let ml = |name: &str| truth.volume_mm3[name] / 1000.0;
        let rows = [
            ("cortical-grey", 300.0, 600.0),
            ("white-matter", 280.0, 600.0),
            ("csf", 80.0, 400.0),
            ("ventricle", 8.0, 60.0),
            ("thalamus", 4.0, 12.0),
            ("cerebellar-grey", 25.0, 110.0),
            ("cortical-bone", 120.0, 600.0),
        ];
        for (name, low, high) in rows {
            assert!((low..high).contains(&ml(name)), "subject {subject}: {} ml of {name}", ml(name));
        }
        let brain: f64 =
            ["cortical-grey", "white-matter", "cerebellar-grey", "cerebellar-white", "brainstem"].map(ml).iter().sum();
        assert!((700.0..1400.0).contains(&brain), "subject {subject}: {brain} ml");
        assert_eq!(truth.region_mm3.len(), HEAD_REGIONS.len());
        assert!(head.findings.is_empty());
    }
}

#[test]
fn cortex_is_folded() {
    // The surface between cortex and fluid is much larger than that of the cavity, which is about 0.06 m².
    let grid = Grid::new([128, 128], 1.6, 8.0).unwrap().with_truth_spacing(0.8, 0.8).unwrap();
    let head = head(2, 0, &HeadSettings { middle_mm: 30.0, ..HeadSettings::new(grid) }).unwrap();
    let labels = head.labels();
    let labels = labels.voxels();
    let (mut pial, mut skull) = (0, 0);
    for ((k, j, i), &a) in labels.indexed_iter().filter(|((_, _, i), _)| *i > 0) {
        let b = labels[[k, j, i - 1]];
        pial += usize::from((a == 10.0 && b == 8.0) || (a == 8.0 && b == 10.0));
        skull += usize::from((a == 4.0 && b == 8.0) || (a == 8.0 && b == 4.0));
    }
    assert!(pial > 3 * skull, "{pial} faces of the cortex for {skull} of the skull");
}

#[test]
fn findings_are_where_they_belong_and_their_volumes_are_counts() {
    let head = head(4, 1, &coarse(80.0, 6.0, ALL)).unwrap();
    assert_eq!(head.findings.len(), 11);
    let labels = head.labels();
    let voxel = head.geometry().voxel_volume_mm3();
    let counted = counts(&labels);
    let mut listed: BTreeMap<&str, f64> = BTreeMap::new();
    for finding in &head.findings {
        for part in &finding.parts {
            *listed.entry(part.label).or_insert(0.0) += part.volume_mm3;
            assert!(part.volume_mm3 > 0.0, "{finding:?}");
        }
        let ball = 4.0 / 3.0 * std::f64::consts::PI * finding.radius_mm.powi(3);
        let inner: f64 = finding.parts.iter().filter(|p| p.label != "oedema").map(|p| p.volume_mm3).sum();
        assert!(inner < 1.6 * ball, "{finding:?}");
    }
    for (name, volume) in listed {
        let number = HEAD_LABELS.iter().find(|(_, n)| *n == name).unwrap().0;
        assert!((counted[&number] as f64 * voxel / volume - 1.0).abs() < 1e-9, "{name}");
    }
    let kinds: Vec<FindingKind> = head.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == FindingKind::CorticalPlaque).count(), 2);
    assert_eq!(head.hypometabolism.len(), 2);
    assert_ne!(head.hypometabolism[0].region, head.hypometabolism[1].region);
}

#[test]
fn findings_leave_the_healthy_anatomy_and_one_another_where_they_are() {
    let healthy = head(4, 1, &coarse(40.0, 6.0, Findings::default())).unwrap();
    let one = head(4, 1, &coarse(40.0, 6.0, Findings { cortical_plaques: 1, ..Findings::default() })).unwrap();
    let two = head(4, 1, &coarse(40.0, 6.0, Findings { cortical_plaques: 2, ..Findings::default() })).unwrap();
    assert_eq!(one.findings[0], two.findings[0]);
    assert_eq!(healthy.biology, two.biology);
    let (a, b) = (healthy.labels(), two.labels());
    let changed = a.as_slice().iter().zip(b.as_slice()).filter(|(a, b)| a != b).count();
    let plaques = b.as_slice().iter().filter(|&&label| label == 19.0).count();
    assert!(plaques > 0);
    assert_eq!(changed, plaques);
}

/// A head of which two regions take up less, and the healthy one.
fn healthy_and_sick(findings: Findings, atrophy: f64) -> [Head; 2] {
    [Findings::default(), findings]
        .map(|findings| head(4, 1, &HeadSettings { atrophy, ..coarse(80.0, 6.0, findings) }).unwrap())
}

#[test]
fn cortex_of_lowered_uptake_loses_its_outer_layer_to_fluid_and_nothing_else_changes() {
    let findings = Findings { hypometabolism: 1, silent_hypometabolism: 1, ..Findings::default() };
    let [healthy, sick] = healthy_and_sick(findings, 0.5);
    let [linked, silent] = sick.hypometabolism[..] else { panic!("{:?}", sick.hypometabolism) };
    assert_eq!((linked.thinning, silent.thinning), (0.5 * (1.0 - linked.factor), 0.0));
    let number = |name| HEAD_REGIONS.iter().find(|(_, n)| *n == name).unwrap().0 as u8;
    let shape = Shape::new(4, 1, &healthy.biology, &Pose::default());
    let world = healthy.geometry().world_from_voxel();
    let [nx, ny, _] = healthy.geometry().size();
    let mut counted = [0, 0];
    for (at, (&before, &after)) in healthy.substance.iter().zip(&sick.substance).enumerate() {
        if before == label::GREY && healthy.region[at] == number(linked.region) {
            let place = [at % nx, at / nx % ny, at / (nx * ny)].map(|i| i as f64);
            let lost = shape.site(world.apply(place)).pial_mm < linked.thinning * healthy.biology.cortex_mm;
            counted[usize::from(lost)] += 1;
            let expected = if lost { (label::CSF, 0) } else { (label::GREY, number(linked.region)) };
            assert_eq!((after, sick.region[at]), expected);
        } else {
            assert_eq!((after, sick.region[at]), (before, healthy.region[at]));
        }
    }
    let [kept, lost] = counted.map(f64::from);
    // The outer layer of a folded sheet is wider than those below it.
    let share = lost / (lost + kept);
    assert!(
        (1.0..1.5).contains(&(share / linked.thinning)),
        "{share} of the volume, {} of the thickness",
        linked.thinning
    );
}

#[test]
fn uptake_of_the_healthy_region_is_that_of_the_kept_cortex_and_of_the_fluid() {
    let [healthy, sick] = healthy_and_sick(Findings { hypometabolism: 1, ..Findings::default() }, 1.0);
    let lowered = sick.hypometabolism[0];
    let region = HEAD_REGIONS.iter().find(|(_, name)| *name == lowered.region).unwrap().0 as u8;
    let inside: Vec<usize> = (0..healthy.region.len()).filter(|&at| healthy.region[at] == region).collect();
    let lost = inside.iter().filter(|&&at| sick.substance[at] == label::CSF).count() as f64 / inside.len() as f64;
    let uptake = pet_uptake(&sick);
    let found = inside.iter().map(|&at| f64::from(uptake.as_slice()[at])).sum::<f64>() / inside.len() as f64;
    let expected = sick.biology.uptake_scale * ((1.0 - lost) * lowered.factor * 8.0 + lost * 0.4);
    assert!(lost > 0.1 && (found / expected - 1.0).abs() < 1e-5, "{found} SUV for {expected}");
}

#[test]
fn silent_hypometabolism_and_that_without_atrophy_leave_the_anatomy_as_it_is() {
    let silent = Findings { silent_hypometabolism: 2, ..Findings::default() };
    let linked = Findings { hypometabolism: 2, ..Findings::default() };
    for (findings, atrophy) in [(silent, 0.5), (linked, 0.0)] {
        let [healthy, sick] = healthy_and_sick(findings, atrophy);
        assert_eq!(healthy.substance, sick.substance);
        assert_eq!(healthy.region, sick.region);
        assert_ne!(pet_uptake(&healthy), pet_uptake(&sick));
    }
    let regions = |findings| healthy_and_sick(findings, 0.5)[1].hypometabolism.clone();
    let planted = |findings| regions(findings).iter().map(|l| (l.region, l.factor)).collect::<Vec<_>>();
    assert_eq!(planted(silent), planted(linked));
}

#[test]
fn a_head_is_the_same_in_every_field_that_looks_at_it() {
    let (short, long) = (head(3, 1, &coarse(17.0, 6.8, ALL)).unwrap(), head(3, 1, &coarse(51.0, 6.8, ALL)).unwrap());
    let labels = long.labels_on(short.geometry()).unwrap();
    assert_eq!(labels, short.labels());
    let places = |head: &Head| head.findings.iter().map(|f| (f.kind, f.center_mm)).collect::<Vec<_>>();
    assert_eq!(places(&short), places(&long));
}

#[test]
fn another_pose_moves_the_head_and_nothing_else() {
    let still = head(3, 1, &coarse(40.0, 6.0, ALL)).unwrap();
    // Four voxels of the truth to the left, one up.
    let step = still.geometry().spacing_mm();
    let pose = Pose { translation_mm: [4.0 * step[0], 0.0, step[2]], rotation_rad: [0.0; 3] };
    let moved = head(3, 1, &HeadSettings { pose, ..coarse(40.0, 6.0, ALL) }).unwrap();
    let (a, b) = (still.labels(), moved.labels());
    let (a, b) = (a.voxels(), b.voxels());
    let (nz, ny, nx) = a.dim();
    let same = (0..(nz - 1) * ny * (nx - 4))
        .filter(|n| {
            let (k, j, i) = (n / (ny * (nx - 4)), n / (nx - 4) % ny, n % (nx - 4));
            a[[k, j, i]] == b[[k + 1, j, i + 4]]
        })
        .count();
    // Rounding may turn single voxels on a surface.
    assert!(same as f64 > 0.9999 * ((nz - 1) * ny * (nx - 4)) as f64);
    for (f, g) in still.findings.iter().zip(&moved.findings) {
        assert!((g.center_mm[0] - f.center_mm[0] - 4.0 * step[0]).abs() < 1e-9 && f.kind == g.kind);
    }
    let turned = Pose { rotation_rad: [0.05, -0.03, 0.1], ..pose };
    let turned = head(3, 1, &HeadSettings { pose: turned, ..coarse(40.0, 6.0, ALL) }).unwrap();
    assert_eq!(turned.biology, still.biology);
    assert_ne!(turned.labels(), moved.labels());
}

#[test]
fn maps_are_zero_in_air_and_follow_field_and_dose() {
    let head = head(4, 1, &coarse(40.0, 6.0, ALL)).unwrap();
    let labels = head.labels();
    let [low, high] = [1.5, 7.0].map(|field| head.map(HeadMap::T1, field, 0.0));
    let agent = head.map(HeadMap::T1, 1.5, 1.0);
    let rows = labels.as_slice().iter().zip(low.as_slice()).zip(high.as_slice()).zip(agent.as_slice());
    for (((&label, &low), &high), &agent) in rows {
        match label as i32 {
            0 | 6 => assert_eq!((low, high), (0.0, 0.0)),
            11 => assert!((1.75..1.85).contains(&(high / low)) && agent > 0.95 * low),
            21 => assert!(agent < 0.6 * low),
            _ => assert!(low > 0.0 && high >= low && agent <= low),
        }
    }
    let share = |number| head.fraction_on(number, head.geometry()).unwrap();
    let sum: f32 = (0..=25).map(|number| share(number).as_slice()[1234]).sum();
    assert_eq!(sum, 1.0);
}

#[test]
fn settings_outside_their_range_are_refused() {
    let settings = coarse(20.0, 6.0, Findings::default());
    let message = |settings: HeadSettings| head(1, 0, &settings).unwrap_err().to_string();
    let findings = Findings { hypometabolism: 2, silent_hypometabolism: 3, ..Findings::default() };
    assert_eq!(message(HeadSettings { findings, ..settings }), "hypometabolism must be 0 to 4 regions, found 5");
    assert_eq!(
        message(HeadSettings { findings_range_mm: [10.0, 0.0], ..settings }),
        "findings_range_mm must be a lower and a higher end, found -10"
    );
    assert_eq!(message(HeadSettings { atrophy: 1.5, ..settings }), "atrophy must be 0 to 1, found 1.5");
    assert_eq!(
        message(HeadSettings { middle_mm: f64::NAN, ..settings }),
        "middle_mm must be -300 to 300 mm, found NaN"
    );
    let many = Findings { cortical_plaques: 4_000_000_000, ..Findings::default() };
    assert_eq!(
        message(HeadSettings { findings: many, ..settings }),
        "findings may have 229 tissues in all, found 4000000000"
    );
    let crowd = Findings { infarcts: 60, ..Findings::default() };
    assert!(message(HeadSettings { findings: crowd, ..settings }).starts_with("found room for "));
}
