use std::path::Path;

use isoscan_learned::testing::{Bundle, Session, resumed_difference};
use isoscan_sdk::{ParamValue, TrainContext, harness::Array};
use isoscan_unpaired_diffusion::SynDiff;

use crate::MrToMr;

fn tiny() -> Vec<(&'static str, ParamValue)> {
    vec![
        ("width", ParamValue::Int(4)),
        ("latent", ParamValue::Int(3)),
        ("critic_width", ParamValue::Int(4)),
        ("penalty_every", ParamValue::Int(2)),
        ("pool", ParamValue::Int(2)),
        ("learning_rate", ParamValue::Float(4e-3)),
        ("average_decay", ParamValue::Float(0.9)),
    ]
}

/// Two slices of a disc moved by the step; `inside` and `outside` are its contrast.
fn patches(step: u64, inside: f32, outside: f32) -> Array {
    let voxels = (0..2 * 256).map(|i| {
        let (y, x) = ((i / 16 % 16) as f32, (i % 16) as f32);
        let centre = 7.5 + (step % 5) as f32 - 2.0;
        if (x - centre).powi(2) + (y - centre).powi(2) < 20.0 { inside } else { outside }
    });
    Array::new([2, 1, 1, 16, 16], &voxels.collect::<Vec<f32>>())
}

/// A bright disc on dark, and another time a dark one on bright.
fn source(step: u64) -> Array {
    patches(step, 0.9, 0.1)
}

fn target(step: u64) -> Array {
    patches(step + 2, 0.3, 0.7)
}

fn trained(dir: &Path, steps: u64) -> Bundle<SynDiff<MrToMr>> {
    let mut session = Session::<SynDiff<MrToMr>>::begin(&tiny(), 3, steps, None).unwrap();
    for step in 0..steps {
        session.step(step, &source(step), &target(step)).unwrap();
    }
    session.save(dir, false).unwrap();
    Bundle::create_in(dir, 1).unwrap()
}

fn result(word: &str) -> (&'static str, ParamValue) {
    ("result", word.into())
}

#[test]
fn resumed_training_writes_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let context = TrainContext::default();
    let (differing, _) =
        resumed_difference::<SynDiff<MrToMr>>(dir.path(), &tiny(), &context, 4, |step| (source(step), target(step)))
            .unwrap();
    assert_eq!(differing, Vec::<String>::new());
}

#[test]
fn training_moves_images_towards_the_target_contrast() {
    let dir = tempfile::tempdir().unwrap();
    let mean = |array: &Array| array.as_slice().iter().sum::<f32>() / array.as_slice().len() as f32;
    let wanted = mean(&target(0));
    let mut off = [0, 60].map(|steps| {
        let mut plugin = trained(dir.path(), steps);
        let made = plugin.run(&[&source(1)], &[]).unwrap();
        made.as_slice().iter().zip(target(4).as_slice()).map(|(a, b)| (a - b).abs()).sum::<f32>() / 512.0
            + (mean(&made) - wanted).abs()
    });
    off.reverse();
    assert!(off[0] < 0.7 * off[1], "{off:?}");
}

#[test]
fn mean_and_spread_are_those_of_the_draws_and_one_draw_is_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 2);
    let image = source(0);
    let mut run = |word: &str, samples: i64, reach: i64| {
        let params = [result(word), ("samples", ParamValue::Int(samples)), ("reach", ParamValue::Int(reach))];
        plugin.run(&[&image], &params).unwrap().as_slice().to_vec()
    };
    let (first, both, spread) = (run("sample", 2, 0), run("mean", 2, 0), run("spread", 2, 0));
    assert_eq!(run("mean", 1, 0), first);
    for ((first, mean), spread) in first.iter().zip(&both).zip(&spread) {
        // Two draws a and b: the deviation over n - 1 is |a - b| / sqrt 2, and b = 2 mean - a.
        let expected = (2.0 * (mean - first)).abs() / 2.0_f32.sqrt();
        assert!((spread - expected).abs() < 1e-4, "{spread} {expected}");
    }
    let around: Vec<usize> = (4..7).flat_map(|y| (8..11).map(move |x| 16 * y + x)).collect();
    let variance = around.iter().map(|&i| spread[i].powi(2)).sum::<f32>() / 9.0;
    let wide = run("spread", 2, 1)[16 * 5 + 9];
    assert!(wide > 0.0 && (wide - variance.sqrt()).abs() < 1e-5, "{wide} {}", variance.sqrt());
    let refused = plugin.run(&[&image], &[result("spread"), ("samples", ParamValue::Int(1))]).unwrap_err();
    assert_eq!(refused.message, "parameter 'samples' must be at least 2 for a spread, found 1");
}

#[test]
fn mirrored_draws_make_of_a_mirrored_image_the_mirrored_mean() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 60);
    let mirrored = |array: &Array| {
        let rows = array.as_slice().chunks_exact(16).flat_map(|row| row.iter().rev().copied());
        Array::new([2, 1, 1, 16, 16], &rows.collect::<Vec<f32>>())
    };
    let image = source(0);
    let mut unlike = |mirror: bool| {
        let params = [("mirror", ParamValue::Bool(mirror)), ("samples", ParamValue::Int(16))];
        let made = plugin.run(&[&image], &params).unwrap();
        let other = mirrored(&plugin.run(&[&mirrored(&image)], &params).unwrap());
        made.as_slice().iter().zip(other.as_slice()).map(|(a, b)| (a - b).abs()).sum::<f32>()
    };
    let (with, without) = (unlike(true), unlike(false));
    assert!(with < 0.8 * without, "{with} {without}");
}

#[test]
fn a_slice_gives_the_same_bytes_alone_and_in_a_batch_and_both_ways_differ() {
    let dir = tempfile::tempdir().unwrap();
    let mut plugin = trained(dir.path(), 2);
    let both = source(0);
    let alone = Array::new([1, 1, 1, 16, 16], &both.as_slice()[..256]);
    let (together, single) = (plugin.run(&[&both], &[]).unwrap(), plugin.run(&[&alone], &[]).unwrap());
    assert_eq!(&together.as_slice()[..256], single.as_slice());
    let back = plugin.run(&[&both], &[("direction", "backward".into())]).unwrap();
    let rough = plugin.run(&[&both], &[result("rough")]).unwrap();
    assert!(back.as_slice() != together.as_slice() && rough.as_slice() != together.as_slice());
}
