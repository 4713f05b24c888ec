use std::f64::consts::FRAC_PI_2;

use crate::chest::plan::Frame;
use crate::chest::plan::material::{
    CANAL, CORD, DISC, MUSCLE, OTHER_CORTEX, OTHER_MARROW, RIB_CORTEX, RIB_MARROW, SPINE_CORTEX, SPINE_MARROW,
};
use crate::solid::{Shape, Solid};

/// Ribs on each side.
const RIBS: usize = 11;

/// Straight pieces of one rib.
const PIECES: usize = 14;

/// Ribs, spine with its muscles, sternum, clavicles and shoulder blades.
pub(crate) fn cage(frame: &Frame) -> Vec<Solid> {
    let mut solids = spine(frame);
    solids.extend(ribs(frame));
    solids.extend(girdle(frame));
    solids
}

fn whole(shape: Shape, material: u8) -> Solid {
    Solid { shape, material, over: Vec::new(), wobble: 0.0 }
}

fn column(x: f64, y: f64, half: [f64; 2]) -> Shape {
    Shape::Superellipsoid { center: [x, y, 0.0], half: [half[0], half[1], f64::INFINITY], exponent: 2.0 }
}

/// Pairs of ribs around the tapering cage, falling from the spine to the front; the lower ones end earlier.
fn ribs(frame: &Frame) -> Vec<Solid> {
    let mut solids = Vec::new();
    for (radius, material) in [(6.0, RIB_CORTEX), (4.2, RIB_MARROW)] {
        for rib in 0..RIBS {
            let top = 132.0 - 24.0 * rib as f64;
            let end = -52.0 + 22.0 * (rib as f64 - 6.0).max(0.0);
            for side in [-1.0, 1.0] {
                let at = |step: usize| {
                    let share = step as f64 / PIECES as f64;
                    let angle = (78.0 + (end - 78.0) * share).to_radians();
                    let z = top - 58.0 * (share * FRAC_PI_2).sin() * (78.0 - end) / 130.0;
                    let [a, b] = frame.cage_at(z);
                    [side * (a + 6.0) * angle.cos(), (b + 6.0) * angle.sin(), z]
                };
                solids.extend(
                    (0..PIECES)
                        .map(|step| whole(Shape::Capsule { from: at(step), to: at(step + 1), radius }, material)),
                );
            }
        }
    }
    solids
}

/// Paraspinal muscles, and vertebrae with a cortical shell, discs, canal, arch and processes.
fn spine(frame: &Frame) -> Vec<Solid> {
    let y = frame.spine_y;
    let mut solids: Vec<Solid> = [-1.0, 1.0]
        .into_iter()
        .map(|side| Solid { wobble: 0.05, ..whole(column(side * 32.0, frame.inner_depth + 6.0, [26.0, 13.0]), MUSCLE) })
        .collect();
    let levels = (-7..=7).map(|level| 25.0 * f64::from(level));
    for z in levels.clone() {
        for side in [-1.0, 1.0] {
            for (radius, material) in [(4.5, SPINE_CORTEX), (2.9, SPINE_MARROW)] {
                let (from, to) = ([side * 12.0, y + 20.0, z], [side * 30.0, y + 25.0, z + 3.0]);
                solids.push(whole(Shape::Capsule { from, to, radius }, material));
            }
        }
    }
    solids.extend([
        whole(column(0.0, y + 38.0, [3.5, 12.0]), SPINE_CORTEX),
        whole(column(0.0, y + 21.0, [14.0, 11.0]), SPINE_CORTEX),
        whole(column(0.0, y + 20.5, [9.5, 8.0]), CANAL),
        whole(column(0.0, y + 20.5, [5.0, 4.0]), CORD),
        whole(column(0.0, y, [15.5, 13.5]), DISC),
    ]);
    for z in levels {
        let body = |half: [f64; 3]| Shape::Superellipsoid { center: [0.0, y, z], half, exponent: 3.0 };
        solids.push(whole(body([16.5, 14.5, 10.6]), SPINE_CORTEX));
        solids.push(whole(body([15.0, 13.0, 9.3]), SPINE_MARROW));
    }
    solids
}

/// Sternum, clavicles and shoulder blades.
fn girdle(frame: &Frame) -> Vec<Solid> {
    let mut solids = Vec::new();
    for (shell, material) in [(0.0, OTHER_CORTEX), (1.6, OTHER_MARROW)] {
        let front = -(frame.cage_at(30.0)[1] + 7.0);
        let half = [17.0 - shell, 6.0 - shell, 78.0 - shell];
        solids.push(whole(Shape::Superellipsoid { center: [0.0, front, 25.0], half, exponent: 3.0 }, material));
        for side in [-1.0, 1.0] {
            let from = [side * 14.0, -0.72 * frame.inner_depth, 122.0];
            let to = [side * 0.95 * frame.inner_width, -0.2 * frame.inner_depth, 148.0];
            solids.push(whole(Shape::Capsule { from, to, radius: 6.0 - shell }, material));
            let center = [side * 0.77 * (frame.inner_width + 14.0), 0.64 * (frame.inner_depth + 14.0), 70.0];
            let plate = [38.0 - shell, 4.0 - shell, 66.0 - shell];
            solids.push(whole(Shape::Ellipsoid { center, half: plate, turn_rad: -0.87 * side }, material));
        }
    }
    solids
}
