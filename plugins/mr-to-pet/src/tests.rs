use std::path::Path;

use isoscan_learned::{
    Family,
    testing::{Bundle, Session, resumed_difference},
};
use isoscan_nn::{Random, image, read_recipe, read_tensors};
use isoscan_reversible::Recipe;
use isoscan_sdk::{
    ParamValue, TrainContext,
    harness::{Array, Failure},
};
use tch::no_grad;

use super::*;

type MrPet = RevGan<MrToPet>;

const SHAPE: [usize; 5] = [1, 1, 8, 8, 8];

fn paired() -> TrainContext {
    TrainContext { paired: true, patch: [8; 3], inputs: 2, ..TrainContext::default() }
}

fn tiny() -> Vec<(&'static str, ParamValue)> {
    vec![
        ("width", ParamValue::Int(4)),
        ("depth", ParamValue::Int(2)),
        ("discriminator_width", ParamValue::Int(2)),
        ("pool", ParamValue::Int(2)),
        ("learning_rate", ParamValue::Float(0.002)),
        ("constant_share", ParamValue::Float(1.0)),
        ("average_decay", ParamValue::Float(0.9)),
    ]
}

/// Smooth MR of mean 0 and its negative, and a PET of 5 SUV where it is above 0 and 1 elsewhere.
fn pair(step: u64) -> (Array, Array) {
    let random = Random::new(5, &[step]);
    let [a, b, c] = [0, 1, 2].map(|i| 6.3 * random.uniform(i));
    let signal = |n: usize| {
        let [z, y, x] = [n / 64, n / 8 % 8, n % 8].map(|i| i as f64);
        ((0.8 * x + a).sin() + (0.6 * y + b).sin() + (0.7 * z + c).sin()) as f32
    };
    let mr: Vec<f32> = (0..512).map(signal).collect();
    let pet: Vec<f32> = mr.iter().map(|&v| if v > 0.0 { 5.0 } else { 1.0 }).collect();
    let contrasts: Vec<f32> = mr.iter().copied().chain(mr.iter().map(|v| -v)).collect();
    (Array::new([1, 2, 8, 8, 8], &contrasts), Array::new(SHAPE, &pet))
}

fn contrasts(mr: &Array) -> [Array; 2] {
    let (first, second) = mr.as_slice().split_at(512);
    [first, second].map(|contrast| Array::new(SHAPE, contrast))
}

fn begin(context: &TrainContext) -> Result<Session<MrPet>, Failure> {
    Session::<MrPet>::begin_with(&tiny(), 3, 6, None, context)
}

#[test]
fn a_resumed_training_writes_the_bytes_of_an_uninterrupted_one() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let (differing, _) = resumed_difference::<MrPet>(dir.path(), &tiny(), &paired(), 4, pair).unwrap();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn both_ways_are_learned_and_the_core_is_still_its_own_inverse() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let mut session = Session::<MrPet>::begin_with(&tiny(), 3, 150, None, &paired()).unwrap();
    let losses: Vec<_> = (0..150)
        .map(|step| {
            let (mr, pet) = pair(step);
            session.step(step, &mr, &pet).unwrap()
        })
        .collect();
    for side in ["pet", "mr"] {
        let mean = |part: &[std::collections::BTreeMap<String, f64>]| {
            part.iter().map(|losses| losses[side]).sum::<f64>() / part.len() as f64
        };
        let [first, last] = [mean(&losses[..10]), mean(&losses[140..])];
        assert!(last < 0.7 * first, "{side}: {first} to {last}");
    }
    session.save(dir.path(), false).unwrap();
    let weights = dir.path().join("weights");
    let recipe: Recipe = read_recipe(&weights.join("recipe.json")).unwrap();
    let network = MrPet::load(&recipe, &read_tensors(&weights.join("mr-pet.safetensors")).unwrap()).unwrap();
    let random = Random::new(8, &[]);
    let noise: Vec<f32> = (0..8 * 64).map(|i| random.normal(i) as f32).collect();
    let features = image(&noise, &[1, 8, 4, 4, 4]).unwrap();
    let core = network.core();
    let back = no_grad(|| core.backward(&core.forward(&features).unwrap()).unwrap());
    let off = (back - &features).abs().max().double_value(&[]);
    assert!(off < 1e-5, "{off}");
}

#[test]
fn slices_domains_and_networks_that_reach_too_far_are_refused() {
    let flat = TrainContext { patch: [8, 8, 1], ..paired() };
    assert!(begin(&flat).err().unwrap().message.contains("learns from volumes"));
    let domains = TrainContext { domains: vec!["a".into(), "b".into()], ..paired() };
    assert!(begin(&domains).err().unwrap().message.contains("learns between two sides"));
}

#[test]
fn the_shipped_weights_make_finite_uptake_of_an_mr() {
    let mut plugin = Bundle::<MrPet>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
    let [mr, flair] = contrasts(&pair(0).0);
    let made = plugin.run(&[&mr, &flair], &[]).unwrap();
    assert!(made.as_slice().iter().all(|suv| suv.is_finite()));
    assert_ne!(made.as_slice(), mr.as_slice());
    let alone = plugin.run(&[&mr], &[]).unwrap_err();
    assert_eq!(alone.message, "these weights need 2 MR contrasts, found 1: give flair too");
}
