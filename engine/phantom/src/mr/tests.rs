//! What a physicist would measure on the scanner: contrast, fluid suppression, noise, bias, resolution, motion.

use super::*;
use crate::head::substance::label;
use crate::{Findings, Grid, HeadSettings, KspaceWindow, Motion, Receive, Sequence, head, mr_protocol};

/// A coarse whole-head slab, 64 x 64 x 16 of 3 mm.
fn coarse(findings: Findings) -> Head {
    let grid = Grid::new([64, 64], 3.0, 48.0).unwrap().with_truth_spacing(1.5, 1.5).unwrap();
    head(3, 1, &HeadSettings { findings, ..HeadSettings::new(grid) }).unwrap()
}

/// A protocol without noise and bias, on slices of 3 mm.
fn ideal(id: &str) -> MrProtocol {
    let protocol = mr_protocol(id).unwrap().clone().with_slices(3.0).with_noise(0.0);
    MrProtocol { receive: Receive::EVEN, gain: 1000.0, window: KspaceWindow::Rectangular, ..protocol }
}

/// Mean of an image over the voxels that a label fills, with all their neighbours.
fn mean_in(image: &Volume, head: &Head, number: u8) -> f64 {
    let share = head.fraction_on(i32::from(number), image.geometry()).unwrap();
    let (share, image) = (share.voxels(), image.voxels());
    let (nz, ny, nx) = image.dim();
    let mut all = Vec::new();
    for k in 1..nz - 1 {
        for j in 1..ny - 1 {
            for i in 1..nx - 1 {
                let full = |n: usize| share[[k + n / 9 - 1, j + n / 3 % 3 - 1, i + n % 3 - 1]] > 0.999;
                if (0..27).all(full) {
                    all.push(f64::from(image[[k, j, i]]));
                }
            }
        }
    }
    assert!(all.len() >= 3, "{} voxels deep in label {number}", all.len());
    all.iter().sum::<f64>() / all.len() as f64
}

fn mean(values: impl Iterator<Item = f32> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    values.map(f64::from).sum::<f64>() / n
}

#[test]
fn tissues_have_the_signal_of_the_equation() {
    let head = coarse(Findings::default());
    for id in ["a30-t1se", "b15-t2", "c30-pd", "a15-t1ge", "c70-t2s", "b30-flair", "a30-dwi"] {
        let protocol = ideal(id);
        let image = mr_scan(&head, &protocol, 1, 0).unwrap();
        let tissue = head.table[usize::from(label::WHITE)].in_field(protocol.field_tesla, 0.0).relaxation(0.0).unwrap();
        let expected = 1000.0 * protocol.sequence.signal(&tissue).abs();
        let found = mean_in(&image, &head, label::WHITE);
        assert!((found / expected - 1.0).abs() < 0.05, "{id}: {found} for {expected}");
    }
}

#[test]
fn weightings_order_grey_white_and_fluid_as_they_should() {
    let head = coarse(Findings::default());
    let signal = |id: &str, number: u8| {
        let protocol = ideal(id);
        let tissue = head.table[usize::from(number)].in_field(protocol.field_tesla, 0.0).relaxation(0.0).unwrap();
        protocol.sequence.signal(&tissue).abs()
    };
    for scanner in ["a15", "a30", "b15", "b30", "c30", "c70"] {
        let of = |contrast: &str| {
            [label::WHITE, label::GREY, label::CSF, label::PLAQUE].map(|n| signal(&format!("{scanner}-{contrast}"), n))
        };
        let [white, grey, fluid, plaque] = of("t1ge");
        assert!(white > grey && grey > fluid && white > plaque, "{scanner} T1w");
        let [white, grey, fluid, plaque] = of("t2");
        assert!(white < grey && grey < fluid && plaque > grey, "{scanner} T2w");
        let [white, grey, fluid, plaque] = of("flair");
        assert!(fluid < 0.02 * white && white < grey && plaque > 1.2 * grey, "{scanner} FLAIR");
        let [white, grey, fluid, plaque] = of("dir");
        assert!(white < 0.03 * grey && fluid < 0.03 * grey && plaque > grey, "{scanner} DIR");
    }
}

#[test]
fn fluid_is_dark_in_the_flair_image_and_bright_in_the_t2_image() {
    let grid = Grid::new([96, 96], 2.0, 24.0).unwrap().with_truth_spacing(1.0, 1.0).unwrap();
    let head = head(3, 1, &HeadSettings { middle_mm: 14.0, ..HeadSettings::new(grid) }).unwrap();
    let [flair, t2] = ["a30-flair", "a30-t2"].map(|id| mr_scan(&head, &ideal(id).with_slices(2.0), 1, 0).unwrap());
    let ratio = |image: &Volume| mean_in(image, &head, label::VENTRICLE) / mean_in(image, &head, label::WHITE);
    // The ringing of the white matter around is left.
    assert!(ratio(&flair) < 0.1, "{}", ratio(&flair));
    assert!(ratio(&t2) > 2.5, "{}", ratio(&t2));
}

#[test]
fn contrast_agent_brightens_the_rim_and_nothing_else_of_the_brain() {
    let head = coarse(Findings { tumours: 1, ..Findings::default() });
    let labels = head.labels_on(&head.slices(3.0).unwrap()).unwrap();
    let of = |image: &Volume, number: u8| {
        let inside = image.as_slice().iter().zip(labels.as_slice()).filter(|(_, l)| **l == f32::from(number));
        mean(inside.map(|(v, _)| *v))
    };
    let before = mr_scan(&head, &ideal("a30-t1ge"), 1, 0).unwrap();
    let after = mr_scan(&head, &ideal("a30-t1ce"), 1, 0).unwrap();
    let gain = |number| of(&after, number) / of(&before, number);
    assert!(gain(label::ENHANCING) > 1.4, "{}", gain(label::ENHANCING));
    assert!((gain(label::WHITE) - 1.0).abs() < 0.06, "{}", gain(label::WHITE));
}

#[test]
fn air_has_rician_noise_of_the_declared_sigma() {
    let head = coarse(Findings::default());
    let labels = head.labels_on(&head.slices(3.0).unwrap()).unwrap();
    for id in ["a30-t2", "a30-t1ge"] {
        // So strong that the ringing of the head does not count.
        let protocol = ideal(id).with_noise(0.2);
        let image = mr_scan(&head, &protocol, 1, 0).unwrap();
        let air: Vec<f32> = image
            .voxels()
            .indexed_iter()
            .filter(|((k, j, i), _)| labels.voxels()[[*k, *j, *i]] == 0.0 && (*j < 6 || *i < 4))
            .map(|(_, &v)| v)
            .collect();
        let expected = 200.0 * (std::f64::consts::PI / 2.0).sqrt();
        let found = mean(air.iter().copied());
        assert!(air.len() > 3000 && (found / expected - 1.0).abs() < 0.03, "{id}: {found} for {expected}");
    }
}

#[test]
fn a_scan_with_bias_is_the_even_scan_times_the_bias() {
    let head = coarse(Findings::default());
    let even = mr_scan(&head, &ideal("b30-pd"), 1, 0).unwrap();
    let protocol = MrProtocol { receive: mr_protocol("b30-pd").unwrap().receive, ..ideal("b30-pd") };
    let biased = mr_scan(&head, &protocol, 1, 0).unwrap();
    let bias = mr_bias(&protocol, biased.geometry(), 1, 0);
    let brain = head.fraction_on(i32::from(label::WHITE), biased.geometry()).unwrap();
    let rows = biased.as_slice().iter().zip(even.as_slice()).zip(bias.as_slice()).zip(brain.as_slice());
    let mut range = [f32::INFINITY, 0.0f32];
    for (((biased, even), bias), _) in rows.filter(|(_, share)| **share > 0.99) {
        assert!((biased / even / bias - 1.0).abs() < 0.03, "{biased} for {even} times {bias}");
        range = [range[0].min(*bias), range[1].max(*bias)];
    }
    assert!(range[1] / range[0] > 1.15, "{range:?}");
}

#[test]
fn a_coarser_matrix_blurs_and_keeps_the_mean() {
    let head = coarse(Findings::default());
    let sharp = mr_scan(&head, &ideal("a30-t2"), 1, 0).unwrap();
    let soft = mr_scan(&head, &ideal("a30-t2").with_resolution([9.0, 9.0]), 1, 0).unwrap();
    assert_eq!(sharp.geometry(), soft.geometry());
    let edges = |image: &Volume| {
        let v = image.voxels();
        let steps =
            v.indexed_iter().filter(|((_, _, i), _)| *i > 0).map(|((k, j, i), &a)| (a - v[[k, j, i - 1]]).abs());
        steps.map(f64::from).sum::<f64>()
    };
    assert!(edges(&soft) < 0.7 * edges(&sharp), "{} {}", edges(&soft), edges(&sharp));
    let (a, b) = (mean(sharp.as_slice().iter().copied()), mean(soft.as_slice().iter().copied()));
    assert!((a / b - 1.0).abs() < 0.1, "{a} {b}");
}

#[test]
fn thick_slices_average_thin_ones() {
    let head = coarse(Findings::default());
    let rectangular = |mm: f64| MrProtocol {
        encoding: Encoding::Slices { thickness_mm: mm, spacing_mm: mm, profile: SliceProfile::Rectangular },
        ..ideal("b15-t2")
    };
    let thin = mr_scan(&head, &rectangular(3.0), 1, 0).unwrap();
    let thick = mr_scan(&head, &rectangular(12.0), 1, 0).unwrap();
    assert_eq!(thick.geometry().size(), [64, 64, 4]);
    let brain = head.fraction_on(i32::from(label::WHITE), thick.geometry()).unwrap();
    let deep = brain.voxels().indexed_iter().filter(|(_, share)| **share > 0.9).map(|(at, _)| at).collect::<Vec<_>>();
    assert!(deep.len() > 100, "{}", deep.len());
    for (k, j, i) in deep {
        let average = (0..4).map(|n| thin.voxels()[[4 * k + n, j, i]]).sum::<f32>() / 4.0;
        let found = thick.voxels()[[k, j, i]];
        assert!((found / average - 1.0).abs() < 1e-3, "{k} {j} {i}: {found} for {average}");
    }
    assert_eq!(thin.geometry().origin_mm()[2] - 1.5, thick.geometry().origin_mm()[2] - 6.0);
}

#[test]
fn mr_pet_and_ct_of_a_head_lie_on_one_another() {
    let head = coarse(Findings::default());
    let mr = mr_scan(&head, &ideal("a30-pd"), 1, 0).unwrap();
    let pet = crate::pet_scan(&head, &crate::pet_protocol("c-pet").unwrap().clone().with_slices(3.0), 1, 0).unwrap();
    let thin =
        crate::Protocol { slice_thickness_mm: 3.0, slice_spacing_mm: 3.0, ..*crate::protocol("h-a-brain").unwrap() };
    let anatomy = head.anatomy();
    assert_eq!(&anatomy.scan_geometry(&thin).unwrap(), mr.geometry());
    assert_eq!(pet.geometry(), mr.geometry());
    // The middle of the head is the same in all three: weights above half of the most in one slice.
    let ct = crate::labels_on(&anatomy, mr.geometry()).map(|label| f32::from(u8::from(label > 0.0)));
    let middle = |image: &Volume| {
        let slice = image.voxels().index_axis(ndarray::Axis(0), 8).to_owned();
        let most = slice.iter().fold(0.0f32, |a, &b| a.max(b));
        let over: Vec<(usize, usize)> =
            slice.indexed_iter().filter(|(_, v)| **v > 0.25 * most).map(|(at, _)| at).collect();
        let n = over.len() as f64;
        over.iter().fold([0.0, 0.0], |[x, y], (j, i)| [x + *i as f64 / n, y + *j as f64 / n])
    };
    let (a, b, c) = (middle(&mr), middle(&pet), middle(&ct));
    for axis in 0..2 {
        assert!((a[axis] - b[axis]).abs() < 0.7 && (a[axis] - c[axis]).abs() < 0.7, "{a:?} {b:?} {c:?}");
    }
}

#[test]
fn motion_spoils_the_image_and_leaves_its_place() {
    let head = coarse(Findings::default());
    let still = mr_scan(&head, &ideal("a30-t2"), 1, 0).unwrap();
    let motion = Motion { shots: 8, translation_mm: 4.0, rotation_deg: 3.0 };
    let moved = mr_scan(&head, &ideal("a30-t2").with_motion(motion), 1, 0).unwrap();
    let size = mean(still.as_slice().iter().map(|v| v.abs()));
    let change =
        mean(still.as_slice().iter().zip(moved.as_slice()).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>().into_iter());
    assert!(change > 0.08 * size && change < size, "{change} of {size}");
    let centre = |image: &Volume| {
        let (sum, moment) = image
            .voxels()
            .indexed_iter()
            .fold((0.0, 0.0), |(sum, moment), ((_, _, i), &v)| (sum + f64::from(v), moment + i as f64 * f64::from(v)));
        moment / sum
    };
    assert!((centre(&still) - centre(&moved)).abs() < 0.5);
}

#[test]
fn bytes_depend_on_the_key_and_not_on_the_threads() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let head = coarse(Findings { tumours: 1, cortical_plaques: 2, ..Findings::default() });
            let scan = |id: &str| mr_scan(&head, &mr_protocol(id).unwrap().clone().with_slices(3.0), 5, 1).unwrap();
            ([scan("a30-t1ce"), scan("b15-dir")], head.labels())
        })
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(one, three);
    let head = coarse(Findings { tumours: 1, cortical_plaques: 2, ..Findings::default() });
    let protocol = mr_protocol("b15-dir").unwrap().clone().with_slices(3.0);
    assert_ne!(one.0[1], mr_scan(&head, &protocol, 6, 1).unwrap());
}

#[test]
fn what_cannot_be_scanned_is_refused_with_the_numbers() {
    let head = coarse(Findings::default());
    let message = |protocol: MrProtocol| mr_scan(&head, &protocol, 1, 0).unwrap_err().to_string();
    assert_eq!(
        message(MrProtocol { resolution_mm: [0.0, 1.0], ..ideal("a30-t2") }),
        "resolution_mm must be positive and finite, found 0"
    );
    let sequence = Sequence::InversionRecovery { tr_ms: 2000.0, te_ms: 100.0, ti_ms: 2500.0 };
    assert_eq!(
        message(MrProtocol { sequence, ..ideal("a30-flair") }),
        "tr_ms beyond the last pulse must be positive and finite, found -550"
    );
    assert_eq!(message(ideal("a30-t2").with_slices(90.0)), "length_mm must be at least one slice spacing, found 48");
    assert_eq!(message(ideal("a30-t2").with_noise(-1.0)), "noise must be zero or more, found -1");
}
