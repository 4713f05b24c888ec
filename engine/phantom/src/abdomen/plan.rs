use rand_chacha::ChaCha8Rng;

use crate::abdomen::biology::Biology;
use crate::body::{AIR_HU, Material};
use crate::random::between;
use crate::solid::{Shape, Solid};
use crate::texture::Tissue;

/// A lesion where it was placed, in body coordinates, mm.
pub(crate) struct Ball {
    pub(crate) center: [f64; 3],
    pub(crate) radius: f64,
    pub(crate) mean_hu: f64,
}

/// Indices of the materials that every subject has; 0 is the air around, lesions follow.
mod material {
    pub(crate) const WALL: u8 = 1;
    pub(crate) const LIVER: u8 = 2;
    pub(crate) const SPLEEN: u8 = 3;
    pub(crate) const MUSCLE: u8 = 4;
    pub(crate) const FAT: u8 = 5;
    pub(crate) const VISCERAL_FAT: u8 = 6;
    pub(crate) const SPINE: u8 = 7;
    pub(crate) const CORTICAL: u8 = 8;
    pub(crate) const AORTA: u8 = 9;
    pub(crate) const VESSEL: u8 = 10;
    pub(crate) const KIDNEY: u8 = 11;
    pub(crate) const DISC: u8 = 12;
    pub(crate) const BOWEL: u8 = 13;
    pub(crate) const GAS: u8 = 14;
    pub(crate) const FLUID: u8 = 15;
    pub(crate) const FIRST_LESION: u8 = 16;
}
use material::{
    AORTA, BOWEL, CORTICAL, DISC, FAT, FIRST_LESION, FLUID, GAS, KIDNEY, LIVER, MUSCLE, SPINE, SPLEEN, VESSEL,
    VISCERAL_FAT, WALL,
};

/// Thickness of the abdominal wall, mm.
const WALL_MM: f64 = 13.0;

/// Materials, solids and lesions of one subject, the solids in painting order: a later one covers an earlier one.
pub(crate) fn plan(biology: &Biology, random: &mut ChaCha8Rng) -> (Vec<Material>, Vec<Solid>, Vec<Ball>) {
    let frame = Frame::new(biology);
    let mut solids = trunk(&frame);
    solids.extend(ribs(&frame));
    let liver = liver(&frame, random);
    solids.extend(liver.iter().cloned());
    solids.extend(left_side(&frame, random));
    solids.extend(bowel(&frame, random));
    solids.extend(kidneys(&frame, random));
    solids.extend(back(&frame));
    solids.extend(great_vessels(&frame));
    let hilum = [-18.0, -8.0, between(random, -8.0, 8.0)];
    solids.extend(liver_vessels(&frame, hilum, random));
    let (balls, lesions) = lesions(biology, &liver, &solids, random);
    solids.extend(lesions);
    (materials(biology), solids, balls)
}

fn materials(biology: &Biology) -> Vec<Material> {
    let plain =
        |label, mean_hu, texture_hu| Material { label, tissue: Tissue { mean_hu, texture_hu, texture_mm: 6.0 } };
    let of = |label, tissue| Material { label, tissue };
    let mut all = vec![
        plain(0, AIR_HU, 0.0),
        plain(1, biology.muscle.mean_hu, 6.0),
        of(2, biology.liver),
        of(3, biology.spleen),
        of(4, biology.muscle),
        of(5, biology.fat),
        of(6, biology.fat),
        of(7, biology.spine),
        plain(8, 650.0, 60.0),
        plain(9, biology.aorta_hu, 2.0),
        plain(10, biology.vein_hu, 2.0),
        of(11, biology.kidney),
        plain(1, 80.0, 8.0),
        plain(13, 45.0, 8.0),
        plain(14, -950.0, 0.0),
        plain(15, 12.0, 2.0),
    ];
    all.extend(biology.lesions.iter().map(|lesion| of(12, lesion.tissue)));
    all
}

/// Lengths that the organs are placed by, mm.
struct Frame {
    width: f64,
    depth: f64,
    /// Half axes of the abdominal cavity.
    inner_width: f64,
    inner_depth: f64,
    /// Posterior position of the vertebral bodies' centre.
    spine_y: f64,
}

impl Frame {
    fn new(biology: &Biology) -> Self {
        let (width, depth) = (biology.half_width_mm, biology.half_depth_mm);
        let (inner_width, inner_depth) = (width - biology.fat_mm - WALL_MM, depth - 0.8 * biology.fat_mm - WALL_MM);
        Self { width, depth, inner_width, inner_depth, spine_y: inner_depth - 40.0 }
    }
}

fn solid(shape: Shape, material: u8, over: &[u8], wobble: f64) -> Solid {
    Solid { shape, material, over: over.to_vec(), wobble }
}

fn tube(x: f64, y: f64, half: [f64; 2], exponent: f64) -> Shape {
    Shape::Superellipsoid { center: [x, y, 0.0], half: [half[0], half[1], f64::INFINITY], exponent }
}

fn ellipsoid(center: [f64; 3], half: [f64; 3], turn_rad: f64) -> Shape {
    Shape::Ellipsoid { center, half, turn_rad }
}

/// Fat under the skin, the muscular wall and the cavity.
fn trunk(frame: &Frame) -> Vec<Solid> {
    let ring = |half, material, wobble| solid(tube(0.0, 0.0, half, 2.3), material, &[], wobble);
    vec![
        ring([frame.width, frame.depth], WALL, 0.0),
        ring([frame.width - 2.0, frame.depth - 2.0], FAT, 0.0),
        ring([frame.inner_width + WALL_MM, frame.inner_depth + WALL_MM], WALL, 0.02),
        ring([frame.inner_width, frame.inner_depth], VISCERAL_FAT, 0.02),
    ]
}

/// Five pairs of ribs in the wall, falling from back to front.
fn ribs(frame: &Frame) -> Vec<Solid> {
    let (a, b) = (frame.inner_width + 0.5 * WALL_MM, frame.inner_depth + 0.5 * WALL_MM);
    let mut solids = Vec::new();
    for (radius, material) in [(5.5, CORTICAL), (3.8, SPINE)] {
        for rib in 0..5 {
            for side in [-1.0, 1.0] {
                let at = |step: i32| {
                    let angle = (70.0 - 14.0 * f64::from(step)).to_radians();
                    [side * a * angle.cos(), b * angle.sin(), 26.0 * f64::from(rib) - 40.0 - 7.0 * f64::from(step)]
                };
                solids.extend(
                    (0..6).map(|s| solid(Shape::Capsule { from: at(s), to: at(s + 1), radius }, material, &[], 0.0)),
                );
            }
        }
    }
    solids
}

/// Right and left lobe.
fn liver(frame: &Frame, random: &mut ChaCha8Rng) -> [Solid; 2] {
    let half_width = between(random, 66.0, 76.0);
    let right = Shape::Superellipsoid {
        center: [6.0 + half_width - frame.inner_width, -0.08 * frame.inner_depth, between(random, -6.0, 10.0)],
        half: [half_width, 0.86 * frame.inner_depth, between(random, 82.0, 105.0)],
        exponent: 2.6,
    };
    let left_half = [between(random, 55.0, 80.0), between(random, 26.0, 36.0), between(random, 50.0, 75.0)];
    let left = ellipsoid([-12.0, -0.56 * frame.inner_depth, 14.0], left_half, between(random, -0.25, 0.0));
    [right, left].map(|shape| solid(shape, LIVER, &[VISCERAL_FAT], 0.07))
}

/// Gallbladder, spleen and the stomach with fluid below a bubble of gas.
fn left_side(frame: &Frame, random: &mut ChaCha8Rng) -> Vec<Solid> {
    let spleen_half = [between(random, 25.0, 34.0), between(random, 38.0, 52.0), between(random, 42.0, 60.0)];
    let spleen = [frame.inner_width - spleen_half[0] - 6.0, 0.2 * frame.inner_depth, between(random, 0.0, 12.0)];
    let stomach = [48.0, -0.45 * frame.inner_depth, 8.0];
    let size = between(random, 0.85, 1.1);
    let scaled = |half: [f64; 3]| half.map(|h| h * size);
    let bubble = [stomach[0] - 3.0, stomach[1] - 15.0 * size, stomach[2]];
    vec![
        solid(ellipsoid(stomach, scaled([43.0, 31.0, 48.0]), 0.3), BOWEL, &[VISCERAL_FAT], 0.05),
        solid(ellipsoid(stomach, scaled([38.0, 26.0, 43.0]), 0.3), FLUID, &[BOWEL], 0.05),
        solid(ellipsoid(bubble, scaled([23.0, 9.0, 26.0]), 0.1), GAS, &[FLUID], 0.03),
        solid(ellipsoid(spleen, spleen_half, -0.35), SPLEEN, &[VISCERAL_FAT], 0.06),
        solid(
            ellipsoid([-40.0, -0.55 * frame.inner_depth, -22.0], [12.0, 15.0, 20.0], 0.2),
            FLUID,
            &[VISCERAL_FAT, LIVER],
            0.03,
        ),
    ]
}

/// Loops of bowel in the free fat, some with gas at the front.
fn bowel(frame: &Frame, random: &mut ChaCha8Rng) -> Vec<Solid> {
    (0..7)
        .flat_map(|_| {
            let at = [
                between(random, 0.0, 75.0),
                between(random, -0.25, 0.15) * frame.inner_depth,
                between(random, -45.0, 25.0),
            ];
            let radius = between(random, 11.0, 17.0);
            let turn = between(random, -1.5, 1.5);
            let loop_half = [1.5 * radius, radius, radius];
            let gas = between(random, 0.2, 0.6) * radius;
            [
                solid(ellipsoid(at, loop_half, turn), BOWEL, &[VISCERAL_FAT], 0.08),
                solid(ellipsoid(at, loop_half.map(|h| h - 3.0), turn), FLUID, &[BOWEL], 0.05),
                solid(ellipsoid([at[0], at[1] - 0.4 * radius, at[2]], [gas, 0.5 * gas, gas], 0.0), GAS, &[FLUID], 0.0),
            ]
        })
        .collect()
}

/// Kidneys with their sinus, in a coat of fat.
fn kidneys(frame: &Frame, random: &mut ChaCha8Rng) -> Vec<Solid> {
    let mut solids = Vec::new();
    for side in [-1.0, 1.0] {
        let center =
            [side * between(random, 60.0, 68.0), frame.spine_y + between(random, -6.0, 2.0), side * 6.0 - 14.0];
        let half = [between(random, 24.0, 29.0), between(random, 24.0, 30.0), between(random, 48.0, 58.0)];
        let turn = side * between(random, 0.2, 0.6);
        let sinus = [center[0] - side * 9.0, center[1] - 3.0, center[2]];
        let cavity = [VISCERAL_FAT, LIVER, SPLEEN, BOWEL, FLUID, GAS];
        solids.push(solid(ellipsoid(center, half.map(|h| h + 6.0), turn), VISCERAL_FAT, &cavity, 0.0));
        solids.push(solid(ellipsoid(center, half, turn), KIDNEY, &[VISCERAL_FAT], 0.04));
        solids.push(solid(ellipsoid(sinus, [12.0, 8.0, 28.0], turn), VISCERAL_FAT, &[KIDNEY], 0.04));
    }
    solids
}

/// Paraspinal and psoas muscles, and the spine: bodies with a cortical shell, discs, canal and arch.
fn back(frame: &Frame) -> Vec<Solid> {
    let y = frame.spine_y;
    let mut solids = Vec::new();
    for side in [-1.0, 1.0] {
        solids.push(solid(
            ellipsoid([side * 34.0, y + 34.0, 0.0], [27.0, 21.0, f64::INFINITY], side * 0.15),
            MUSCLE,
            &[],
            0.05,
        ));
        solids.push(solid(
            ellipsoid([side * 33.0, y + 4.0, 0.0], [13.0, 18.0, f64::INFINITY], side * -0.2),
            MUSCLE,
            &[],
            0.05,
        ));
    }
    let back_of =
        |from: [f64; 3], to: [f64; 3], radius, material| solid(Shape::Capsule { from, to, radius }, material, &[], 0.0);
    let tall = 400.0;
    for (radius, material) in [(4.5, CORTICAL), (2.8, SPINE)] {
        for side in [-1.0, 1.0] {
            solids.push(back_of([side * 14.0, y + 16.0, -tall], [side * 14.0, y + 16.0, tall], radius, material));
            for z in [-39.0, 0.0, 39.0] {
                solids.push(back_of([side * 14.0, y + 24.0, z], [side * 38.0, y + 28.0, z + 4.0], radius, material));
            }
        }
    }
    solids.push(solid(tube(0.0, y + 44.0, [3.5, 15.0], 2.0), CORTICAL, &[], 0.0));
    solids.push(solid(tube(0.0, y + 26.0, [15.0, 13.0], 2.0), CORTICAL, &[], 0.0));
    solids.push(solid(tube(0.0, y + 25.0, [11.0, 9.0], 2.0), FLUID, &[], 0.0));
    solids.push(solid(tube(0.0, y + 25.0, [5.0, 4.0], 2.0), WALL, &[], 0.0));
    solids.push(solid(tube(0.0, y, [22.0, 17.0], 2.5), DISC, &[], 0.0));
    for z in [-78.0, -39.0, 0.0, 39.0, 78.0] {
        let body = |half: [f64; 3], material| {
            solid(Shape::Superellipsoid { center: [0.0, y, z], half, exponent: 3.0 }, material, &[], 0.0)
        };
        solids.push(body([23.0, 18.0, 17.0], CORTICAL));
        solids.push(body([21.2, 16.2, 15.2], SPINE));
    }
    solids
}

/// Aorta and inferior vena cava.
fn great_vessels(frame: &Frame) -> [Solid; 2] {
    let y = frame.spine_y;
    [
        solid(tube(9.0, y - 30.0, [11.0, 11.0], 2.0), AORTA, &[], 0.0),
        solid(tube(-19.0, y - 29.0, [13.0, 9.0], 2.0), VESSEL, &[], 0.03),
    ]
}

/// Branches that leave the hilum for the right lobe, thinner outwards.
fn liver_vessels(frame: &Frame, hilum: [f64; 3], random: &mut ChaCha8Rng) -> Vec<Solid> {
    let mut solids = Vec::new();
    for _ in 0..7 {
        let middle = [
            between(random, -0.6, -0.35) * frame.inner_width,
            between(random, -0.4, 0.25) * frame.inner_depth,
            between(random, -25.0, 25.0),
        ];
        let vessel = |from, to, radius| solid(Shape::Capsule { from, to, radius }, VESSEL, &[LIVER], 0.0);
        solids.push(vessel(hilum, middle, between(random, 2.4, 4.0)));
        for _ in 0..2 {
            let end: [f64; 3] = std::array::from_fn(|a| {
                let (low, high) = [(-34.0, -8.0), (-24.0, 24.0), (-22.0, 22.0)][a];
                middle[a] + between(random, low, high)
            });
            solids.push(vessel(middle, end, between(random, 1.3, 2.2)));
        }
    }
    solids
}

/// Lesions inside the liver: clear of its surface, of what is painted over it and of each other.
fn lesions(
    biology: &Biology,
    liver: &[Solid; 2],
    painted: &[Solid],
    random: &mut ChaCha8Rng,
) -> (Vec<Ball>, Vec<Solid>) {
    let obstacles: Vec<&Solid> =
        painted.iter().filter(|s| ![WALL, FAT, VISCERAL_FAT, LIVER, VESSEL].contains(&s.material)).collect();
    let coats: Vec<&Solid> = painted.iter().filter(|s| s.material == VISCERAL_FAT && s.over.contains(&LIVER)).collect();
    let mut placed: Vec<Ball> = Vec::new();
    let mut solids = Vec::new();
    let [box_x, box_y, _] = liver[0].shape.bounds(1.0);
    for (lesion, material) in biology.lesions.iter().zip(FIRST_LESION..) {
        let mut radius = lesion.radius_mm;
        for attempt in 0..2000 {
            if attempt % 100 == 99 {
                radius *= 0.95;
            }
            let at = [box_x, box_y, [-20.0, 20.0]].map(|[low, high]| between(random, low, high));
            let free = sphere(at, radius + 5.0).all(|p| {
                liver[0].shape.level(p) < 0.85 && obstacles.iter().chain(&coats).all(|s| s.shape.level(p) > 1.1)
            });
            let apart = placed.iter().all(|other| {
                at.iter().zip(other.center).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
                    > radius + other.radius + 5.0
            });
            if free && apart {
                placed.push(Ball { center: at, radius, mean_hu: lesion.tissue.mean_hu });
                solids.push(solid(ellipsoid(at, [radius; 3], 0.0), material, &[LIVER, VESSEL], 0.12));
                break;
            }
        }
    }
    (placed, solids)
}

/// Points that stand for a ball: its centre, its six poles and eight diagonals.
fn sphere(center: [f64; 3], radius: f64) -> impl Iterator<Item = [f64; 3]> {
    (-1..=1).flat_map(move |x| {
        (-1..=1).flat_map(move |y| {
            (-1..=1).map(move |z| {
                let step = [x, y, z].map(f64::from);
                let length = step.iter().map(|s| s * s).sum::<f64>().sqrt().max(1.0);
                std::array::from_fn(|a| center[a] + radius * step[a] / length)
            })
        })
    })
}
