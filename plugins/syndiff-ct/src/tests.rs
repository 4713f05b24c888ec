use std::path::Path;

use isoscan_learned::testing::{Bundle, Session};
use isoscan_sdk::{ParamValue, harness::Array};
use isoscan_unpaired_diffusion::SynDiff;

use crate::MrToCt;

/// Two slices of a disc moved by the step.
fn patches(step: u64, inside: f32, outside: f32) -> Array {
    let voxels = (0..2 * 256).map(|i| {
        let (y, x) = ((i / 16 % 16) as f32, (i % 16) as f32);
        let centre = 7.5 + (step % 5) as f32 - 2.0;
        if (x - centre).powi(2) + (y - centre).powi(2) < 20.0 { inside } else { outside }
    });
    Array::new([2, 1, 1, 16, 16], &voxels.collect::<Vec<f32>>())
}

fn tiny() -> Vec<(&'static str, ParamValue)> {
    vec![
        ("width", ParamValue::Int(4)),
        ("latent", ParamValue::Int(3)),
        ("critic_width", ParamValue::Int(4)),
        ("learning_rate", ParamValue::Float(4e-3)),
        ("average_decay", ParamValue::Float(0.9)),
    ]
}

#[test]
fn learned_without_pairs_it_makes_air_and_tissue_in_hu() {
    let dir = tempfile::tempdir().unwrap();
    let steps = 200;
    let mut session = Session::<SynDiff<MrToCt>>::begin(&tiny(), 3, steps, None).unwrap();
    for step in 0..steps {
        session.step(step, &patches(step, 0.7, 0.0), &patches(step + 2, 40.0, -1000.0)).unwrap();
    }
    session.save(dir.path(), false).unwrap();
    let mut plugin = Bundle::<SynDiff<MrToCt>>::create_in(dir.path(), 1).unwrap();
    let made = plugin.run(&[&patches(1, 0.7, 0.0)], &[]).unwrap();
    let (air, tissue) = (made.as_slice()[0], made.as_slice()[16 * 7 + 7]);
    assert!((-1400.0..-500.0).contains(&air) && (-500.0..500.0).contains(&tissue), "{air} {tissue}");
    let spread = plugin.run(&[&patches(1, 0.7, 0.0)], &[("result", "spread".into())]).unwrap();
    assert!(spread.as_slice().iter().all(|&hu| hu > 0.0 && hu < 1000.0));
}

#[test]
fn the_shipped_weights_make_a_finite_ct() {
    let mut plugin = Bundle::<SynDiff<MrToCt>>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
    let made = plugin.run(&[&patches(0, 0.7, 0.0)], &[]).unwrap();
    assert!(made.as_slice().iter().all(|value| value.is_finite()));
}
