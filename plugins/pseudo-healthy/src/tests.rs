use std::path::Path;

use isoscan_learned::testing::{Bundle, Session, resumed_difference};
use isoscan_sdk::{ParamValue, TrainContext, harness::Array};

use crate::PseudoHealthy;

fn tiny() -> Vec<(&'static str, ParamValue)> {
    vec![
        ("deepest", 0.5.into()),
        ("width", ParamValue::Int(4)),
        ("noise", "gaussian".into()),
        ("noise_steps", ParamValue::Int(50)),
        ("learning_rate", ParamValue::Float(3e-3)),
        ("average_decay", ParamValue::Float(0.9)),
    ]
}

/// Two slices of a disc of 0.8 on 0.1, moved by the step; with `lesion` a square of 1.5 in it.
fn patches(step: u64, lesion: bool) -> Array {
    let voxels = (0..2 * 256).map(|i| {
        let (y, x) = ((i / 16 % 16) as f32, (i % 16) as f32);
        let centre = 7.5 + (step % 3) as f32 - 1.0;
        let inside = (x - centre).powi(2) + (y - centre).powi(2) < 36.0;
        let marked = lesion && (6.0..10.0).contains(&x) && (6.0..10.0).contains(&y);
        if marked {
            1.5
        } else if inside {
            0.8
        } else {
            0.1
        }
    });
    Array::new([2, 1, 1, 16, 16], &voxels.collect::<Vec<f32>>())
}

fn trained(dir: &Path, steps: u64) -> Bundle<PseudoHealthy> {
    let mut session = Session::<PseudoHealthy>::begin(&tiny(), 3, steps, None).unwrap();
    for step in 0..steps {
        session.step(step, &patches(step, false), &patches(step + 1, false)).unwrap();
    }
    session.save(dir, false).unwrap();
    Bundle::create_in(dir, 1).unwrap()
}

fn anomaly() -> (&'static str, ParamValue) {
    ("result", "anomaly".into())
}

#[test]
fn resumed_training_writes_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let context = TrainContext::default();
    let (differing, _) = resumed_difference::<PseudoHealthy>(dir.path(), &tiny(), &context, 4, |step| {
        (patches(step, false), patches(step + 1, false))
    })
    .unwrap();
    assert_eq!(differing, Vec::<String>::new());
}

#[test]
fn a_lesion_never_seen_in_training_stands_out_of_the_map_and_is_healed() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 400);
    let image = patches(1, true);
    let level = ("level", ParamValue::Float(0.5));
    let mean = |array: &Array, lesion: bool| {
        let of_lesion = |i: usize| (6..10).contains(&(i / 16 % 16)) && (6..10).contains(&(i % 16));
        let inside: Vec<f32> = (0..256).filter(|&i| of_lesion(i) == lesion).map(|i| array.as_slice()[i]).collect();
        inside.iter().sum::<f32>() / inside.len() as f32
    };
    let map = plugin.run(&[&image], &[anomaly(), level.clone()]).unwrap();
    assert!(mean(&map, true) > 3.0 * mean(&map, false), "{} {}", mean(&map, true), mean(&map, false));
    let healthy = plugin.run(&[&image], &[level]).unwrap();
    assert!(mean(&healthy, true) < 1.25, "1.5 towards 0.8: {}", mean(&healthy, true));
}

#[test]
fn the_map_is_the_distance_from_the_healthy_image() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 2);
    let image = patches(0, true);
    let (healthy, map) = (plugin.run(&[&image], &[]).unwrap(), plugin.run(&[&image], &[anomaly()]).unwrap());
    for ((x, h), m) in image.as_slice().iter().zip(healthy.as_slice()).zip(map.as_slice()) {
        assert!(((x - h).abs() - m).abs() < 1e-6);
    }
}

#[test]
fn inversion_changes_less_than_noise_and_a_threshold_keeps_what_differs_less() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 60);
    let image = patches(0, true);
    let mut change = |params: &[(&str, ParamValue)]| {
        let all: Vec<(&str, ParamValue)> = params.iter().cloned().chain([anomaly()]).collect();
        plugin.run(&[&image], &all).unwrap().as_slice().iter().sum::<f32>()
    };
    let (eta, strides) = (("eta", ParamValue::Float(0.0)), ("strides", ParamValue::Int(12)));
    let noise = change(&[eta.clone(), strides.clone()]);
    let inverted = change(&[("encode", "inversion".into()), eta, strides]);
    assert!(inverted < 0.5 * noise, "{inverted} of {noise}");
    let kept = change(&[("threshold", ParamValue::Float(1.0))]);
    assert!(kept < 1e-4, "nothing differs by the whole range: {kept}");
}

#[test]
fn a_slice_gives_the_same_bytes_alone_and_in_a_batch_and_another_seed_other_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 2);
    let both = patches(0, true);
    let alone = Array::new([1, 1, 1, 16, 16], &both.as_slice()[..256]);
    let (together, single) = (plugin.run(&[&both], &[]).unwrap(), plugin.run(&[&alone], &[]).unwrap());
    assert_eq!(&together.as_slice()[..256], single.as_slice());
    plugin.context.seed = 1;
    assert_ne!(plugin.run(&[&alone], &[]).unwrap().as_slice(), single.as_slice());
}

#[test]
fn levels_that_were_not_trained_and_paired_data_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 1);
    let refused = plugin.run(&[&patches(0, true)], &[("level", ParamValue::Float(0.55))]).unwrap_err();
    assert_eq!(refused.message, "parameter 'level' must be at most 0.5, what the weights were trained for, found 0.55");
    let paired = TrainContext { paired: true, ..TrainContext::default() };
    let refused = Session::<PseudoHealthy>::begin_with(&tiny(), 3, 6, None, &paired).err().unwrap();
    assert_eq!(refused.message, "it learns from healthy images alone, and needs no pairs");
}
