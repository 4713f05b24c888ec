use std::path::Path;

use isoscan_learned::testing::{Bundle, Session, resumed_difference};
use isoscan_nn::Random;
use isoscan_sdk::{ParamValue, TrainContext, harness::Array};

use super::*;

fn paired() -> TrainContext {
    TrainContext { paired: true, ..TrainContext::default() }
}

fn tiny(dimensions: &str, registration: &str) -> Vec<(&'static str, ParamValue)> {
    vec![
        ("dimensions", ParamValue::Choice(dimensions.into())),
        ("registration", ParamValue::Choice(registration.into())),
        ("width", ParamValue::Int(4)),
        ("halvings", ParamValue::Int(1)),
        ("discriminator_width", ParamValue::Int(2)),
        ("pool", ParamValue::Int(2)),
        ("learning_rate", ParamValue::Float(0.005)),
        ("constant_share", ParamValue::Float(1.0)),
        ("average_decay", ParamValue::Float(0.9)),
    ]
}

/// Patches of smooth MR in `shape`, and CT: 300 HU where MR is above 0, else air; moved along x by `shift` of the item.
fn pair(shape: [usize; 5], step: u64, shift: impl Fn(usize) -> isize) -> (Array, Array) {
    let random = Random::new(5, &[step]);
    let [batch, _, z, y, x] = shape;
    let phases: Vec<f64> = (0..batch * 2).map(|i| 6.3 * random.uniform(i as u64)).collect();
    let signal = |item: usize, k: usize, j: usize, i: isize| {
        let [a, b] = [phases[2 * item], phases[2 * item + 1]];
        ((0.7 * i as f64 + 0.3 * k as f64 + a).sin() + (0.6 * j as f64 + b).sin()) as f32
    };
    let mut voxels = [Vec::new(), Vec::new()];
    for item in 0..batch {
        for (k, j, i) in (0..z * y * x).map(|n| (n / (y * x), n / x % y, n % x)) {
            voxels[0].push(signal(item, k, j, i as isize));
            let moved = signal(item, k, j, i as isize + shift(item));
            voxels[1].push(if moved > 0.0 { 300.0 } else { -1000.0 });
        }
    }
    (Array::new(shape, &voxels[0]), Array::new(shape, &voxels[1]))
}

/// The L1 loss of the last 20 of 120 steps on pairs that are off by up to two voxels.
fn last_loss(params: &[(&str, ParamValue)]) -> f64 {
    let steps = 120;
    let mut session = Session::<MrToCt>::begin_with(params, 3, steps, None, &paired()).unwrap();
    let random = Random::new(7, &[]);
    let mut last = 0.0;
    for step in 0..steps {
        let shift = |item: usize| (5.0 * random.uniform(4 * step + item as u64)).floor() as isize - 2;
        let (source, target) = pair([4, 1, 1, 16, 16], step, shift);
        let losses = session.step(step, &source, &target).unwrap();
        last += if step + 20 >= steps { losses["l1"] / 20.0 } else { 0.0 };
    }
    last
}

#[test]
fn a_resumed_training_writes_the_bytes_of_an_uninterrupted_one_in_every_dimension() {
    tch::set_num_threads(1);
    for (dimensions, registration, shape) in
        [("2d", "on", [2, 1, 1, 16, 16]), ("2.5d", "off", [1, 1, 3, 16, 16]), ("3d", "on", [1, 1, 16, 16, 16])]
    {
        let dir = tempfile::tempdir().unwrap();
        let params = tiny(dimensions, registration);
        let patches = |step| pair(shape, step, |_| 0);
        let (differing, mut bundle) = resumed_difference::<MrToCt>(dir.path(), &params, &paired(), 4, patches).unwrap();
        assert!(differing.is_empty(), "{dimensions}: {differing:?}");
        let source = pair(shape, 99, |_| 0).0;
        let made = bundle.run(&[&source], &[]).unwrap();
        assert_eq!(made.shape(), shape);
        assert!(made.as_slice().iter().all(|hu| hu.is_finite()), "{dimensions}");
    }
}

#[test]
fn losses_are_those_that_the_recipe_asks_for() {
    let rows = [
        ("off", 0.01, vec!["adversarial", "discriminator", "l1", "tissue"]),
        ("on", 0.0, vec!["l1", "smoothness", "tissue"]),
    ];
    for (registration, weight, expected) in rows {
        let mut params = tiny("2d", registration);
        params.push(("adversarial_weight", ParamValue::Float(weight)));
        let mut session = Session::<MrToCt>::begin_with(&params, 3, 2, None, &paired()).unwrap();
        let (source, target) = pair([2, 1, 1, 16, 16], 0, |_| 0);
        let losses = session.step(0, &source, &target).unwrap();
        assert_eq!(losses.keys().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn registration_takes_up_what_pairs_are_off_by() {
    tch::set_num_threads(1);
    let [off, on] = ["off", "on"].map(|registration| {
        let mut params = tiny("2d", registration);
        params.push(("adversarial_weight", ParamValue::Float(0.0)));
        params.push(("smoothness_weight", ParamValue::Float(0.05)));
        last_loss(&params)
    });
    assert!(on < 0.8 * off, "{on} with registration, {off} without");
}

fn with_mask(bundle: &mut Bundle<MrToCt>, source: &Array, mask: bool) -> Array {
    bundle.run(&[source], &[("mask", ParamValue::Bool(mask))]).unwrap()
}

#[test]
fn what_is_no_tissue_becomes_air_unless_the_mask_is_off() {
    tch::set_num_threads(1);
    let (dir, shape) = (tempfile::tempdir().unwrap(), [2, 1, 1, 16, 16]);
    let mut params = tiny("2d", "off");
    params.push(("tissue_weight", ParamValue::Float(1.0)));
    let mut session = Session::<MrToCt>::begin_with(&params, 3, 60, None, &paired()).unwrap();
    for step in 0..60 {
        let (source, target) = pair(shape, step, |_| 0);
        session.step(step, &source, &target).unwrap();
    }
    session.save(dir.path(), false).unwrap();
    let mut bundle = Bundle::<MrToCt>::create_in(dir.path(), 1).unwrap();
    let (source, truth) = pair(shape, 99, |_| 0);
    let [masked, free] = [true, false].map(|mask| with_mask(&mut bundle, &source, mask));
    let mut agreeing = 0;
    for ((masked, free), truth) in masked.as_slice().iter().zip(free.as_slice()).zip(truth.as_slice()) {
        assert!(masked == free || *masked == -1000.0, "{masked} {free}");
        agreeing += usize::from((*masked == -1000.0) == (*truth == -1000.0));
    }
    assert_ne!(masked.as_slice(), free.as_slice());
    assert!(agreeing > 400, "{agreeing} of 512 voxels");
}

#[test]
fn the_shipped_weights_read_their_recipe_and_translate() {
    let mut bundle = Bundle::<MrToCt>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
    let source = pair([1, 1, 8, 32, 32], 0, |_| 0).0;
    let made = bundle.run(&[&source], &[]).unwrap();
    assert!(made.as_slice().iter().all(|hu| (-1100.0..4000.0).contains(hu)));
}

#[test]
fn data_and_networks_that_cannot_be_learned_from_are_refused() {
    let refused = |params: &[(&str, ParamValue)], context: TrainContext| {
        Session::<MrToCt>::begin_with(params, 3, 6, None, &context).err().unwrap().message
    };
    let unpaired = refused(&[], TrainContext::default());
    assert_eq!(unpaired, "mr-to-ct learns from pairs: train it with --source, --target and --paired");
    let flat = TrainContext { patch: [64, 64, 1], ..paired() };
    let stack = refused(&tiny("2.5d", "off"), flat);
    assert_eq!(stack, "expected patches of 3 slices or more, found 1: train with --patch 64x64x3");
    let deep = [("halvings", ParamValue::Int(3)), ("blocks", ParamValue::Int(4))];
    let wide = refused(&deep, paired());
    assert!(wide.starts_with("expected a network that reaches 36 voxels at most, found "), "{wide}");
}
