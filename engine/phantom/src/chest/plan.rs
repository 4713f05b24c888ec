use rand_chacha::ChaCha8Rng;

use crate::body::{AIR_HU, Material};
use crate::chest::biology::ChestBiology;
use crate::chest::cage::cage;
use crate::chest::tree::tree;
use crate::random::{Purpose, between, keyed};
use crate::solid::{Shape, Solid};
use crate::texture::Tissue;

/// Indices of the materials that every subject has; 0 is the air around, nodules follow.
pub(crate) mod material {
    pub(crate) const WALL: u8 = 1;
    pub(crate) const FAT: u8 = 2;
    pub(crate) const MEDIASTINUM: u8 = 3;
    pub(crate) const LUNG: u8 = 4;
    pub(crate) const MUSCLE: u8 = 5;
    pub(crate) const RIB_CORTEX: u8 = 6;
    pub(crate) const RIB_MARROW: u8 = 7;
    pub(crate) const SPINE_CORTEX: u8 = 8;
    pub(crate) const SPINE_MARROW: u8 = 9;
    pub(crate) const OTHER_CORTEX: u8 = 10;
    pub(crate) const OTHER_MARROW: u8 = 11;
    pub(crate) const HEART: u8 = 12;
    pub(crate) const AORTA: u8 = 13;
    pub(crate) const GREAT_VESSEL: u8 = 14;
    pub(crate) const LUNG_VESSEL: u8 = 15;
    pub(crate) const AIRWAY: u8 = 16;
    pub(crate) const AIRWAY_WALL: u8 = 17;
    pub(crate) const UPPER_ABDOMEN: u8 = 18;
    pub(crate) const GAS: u8 = 19;
    pub(crate) const CANAL: u8 = 20;
    pub(crate) const CORD: u8 = 21;
    pub(crate) const DISC: u8 = 22;
    pub(crate) const SKIN: u8 = 23;
    pub(crate) const FIRST_NODULE: u8 = 24;
}
use material::{
    AIRWAY, AIRWAY_WALL, AORTA, FAT, FIRST_NODULE, GAS, GREAT_VESSEL, HEART, LUNG, LUNG_VESSEL, MEDIASTINUM, SKIN,
    UPPER_ABDOMEN, WALL,
};

/// Which streams of the chest's random numbers place vessels and nodules.
const VESSEL_STREAM: u32 = 2;
const NODULE_STREAM: u32 = 4;

/// Thickness of the chest wall between fat and pleura at the sides and at front and back, mm.
const WALL_MM: [f64; 2] = [20.0, 18.0];

/// Middle height, half height and exponent of the cage, a superellipsoid that tapers to the apex.
const CAGE: [f64; 3] = [-70.0, 225.0, 2.5];

/// Lowest point of the lungs, mm.
pub(crate) const LUNG_FLOOR_MM: f64 = -155.0;

/// Ends of each lung's arterial tree; its veins have as many.
const LEAVES: usize = 230;

/// Lengths that the organs are placed by, mm.
pub(crate) struct Frame {
    width: f64,
    depth: f64,
    pub(crate) inner_width: f64,
    pub(crate) inner_depth: f64,
    /// Posterior position of the vertebral bodies' centre.
    pub(crate) spine_y: f64,
    outer: [f64; 2],
}

impl Frame {
    pub(crate) fn new(biology: &ChestBiology) -> Self {
        let (width, depth) = (biology.half_width_mm, biology.half_depth_mm);
        let outer = [width - biology.fat_mm, depth - 0.8 * biology.fat_mm];
        let [inner_width, inner_depth] = [outer[0] - WALL_MM[0], outer[1] - WALL_MM[1]];
        Self { width, depth, inner_width, inner_depth, spine_y: inner_depth - 32.0, outer }
    }

    /// Half axes of the cage at a height.
    pub(crate) fn cage_at(&self, z: f64) -> [f64; 2] {
        let [middle, half, exponent] = CAGE;
        let share = (1.0 - ((z - middle).abs() / half).powf(exponent)).max(0.03).powf(1.0 / exponent);
        [self.inner_width * share, self.inner_depth * share]
    }

    fn cage(&self) -> Shape {
        let [middle, half, exponent] = CAGE;
        Shape::Superellipsoid { center: [0.0, 0.0, middle], half: [self.inner_width, self.inner_depth, half], exponent }
    }
}

/// The space that lungs fill.
#[derive(Debug, Clone)]
pub(crate) struct Lungs {
    /// Right and left.
    pub(crate) shapes: [Shape; 2],
    cage: Shape,
    /// Right, left and middle of the diaphragm.
    domes: [Shape; 3],
    heart: Shape,
    /// Fat between the lungs.
    fat: Shape,
}

impl Lungs {
    /// Whether a point is in the lungs, with `margin` mm of lung around it, to first order.
    pub(crate) fn contain(&self, point: [f64; 3], margin: f64) -> bool {
        self.depth_mm(point) > margin && [self.heart, self.fat].iter().all(|organ| organ.depth_mm(point) < -margin)
    }

    /// Distance to the pleura of chest wall and diaphragm, mm, to first order; below zero outside.
    pub(crate) fn depth_mm(&self, point: [f64; 3]) -> f64 {
        let lung = self.shapes[usize::from(point[0] > 0.0)].depth_mm(point);
        let floor = point[2] - LUNG_FLOOR_MM;
        let domes = self.domes.iter().map(|dome| -dome.depth_mm(point));
        domes.fold(lung.min(self.cage.depth_mm(point)).min(floor), f64::min)
    }
}

/// One subject's chest, before any grid.
pub(crate) struct Plan {
    pub(crate) materials: Vec<Material>,
    /// In painting order: a later one covers an earlier one.
    pub(crate) solids: Vec<Solid>,
    pub(crate) lungs: Lungs,
    /// Centre (body coordinates) of every nodule that found a place, with its number among the subject's.
    pub(crate) nodules: Vec<(usize, [f64; 3])>,
}

/// Places organs, vessels and nodules. z = 0 is a little below the carina; lungs reach from -155 to 145 mm.
///
/// Vessels spread as around the healthy heart and nodules keep clear of the failing one, so that neither moves with the
/// condition.
pub(crate) fn plan(seed: u64, subject: u32, biology: &ChestBiology) -> Plan {
    let frame = Frame::new(biology);
    let lungs = |ratio: f64| Lungs {
        shapes: lungs(&frame),
        cage: frame.cage(),
        domes: domes(&frame),
        heart: heart(ratio, biology.healthy_ratio, &frame),
        fat: Shape::Ellipsoid { center: [0.0, 6.0, 62.0], half: [31.0, 54.0, 105.0], turn_rad: 0.0 },
    };
    let (healthy, failing) = (lungs(biology.healthy_ratio), lungs(biology.failing_ratio));
    let lungs = lungs(biology.cardiothoracic_ratio);
    let stream = |number| keyed(seed, subject, Purpose::Chest(number), 0, 0);
    let (nodules, balls) = nodules(biology, &failing, &mut stream(NODULE_STREAM));
    let mut solids = trunk(&frame);
    solids.extend(lungs.shapes.map(|shape| solid(shape, LUNG, &[MEDIASTINUM], 0.0)));
    solids.extend(abdomen(&frame));
    solids.push(solid(lungs.fat, MEDIASTINUM, &[LUNG], 0.08));
    solids.extend(lung_vessels(biology, &healthy, &mut stream(VESSEL_STREAM)));
    solids.push(solid(lungs.heart, HEART, &[LUNG, LUNG_VESSEL, MEDIASTINUM], 0.03));
    solids.extend(great_vessels(&frame));
    solids.extend(airways());
    solids.extend(balls);
    solids.extend(cage(&frame));
    Plan { materials: materials(biology), solids, lungs, nodules }
}

fn materials(biology: &ChestBiology) -> Vec<Material> {
    let of = |label, tissue| Material { label, tissue };
    let plain = |label, mean_hu, texture_hu| of(label, Tissue { mean_hu, texture_hu, texture_mm: 6.0 });
    let cortex = |label| plain(label, biology.cortex_hu, 60.0);
    let blood = |label| plain(label, biology.blood_hu, 2.0);
    let mut all = vec![
        plain(0, AIR_HU, 0.0),
        of(15, biology.muscle),
        of(16, biology.fat),
        of(14, Tissue { mean_hu: biology.fat.mean_hu + 20.0, ..biology.fat }),
        plain(2, biology.lung.mean_hu, 0.0),
        of(15, biology.muscle),
        cortex(17),
        of(17, biology.marrow),
        cortex(18),
        of(18, biology.marrow),
        cortex(19),
        of(19, biology.marrow),
        plain(11, biology.blood_hu, 4.0),
        blood(12),
        blood(13),
        blood(8),
        plain(9, AIR_HU, 0.0),
        plain(9, 10.0, 0.0),
        plain(20, 58.0, 6.0),
        plain(22, -950.0, 0.0),
        plain(1, 12.0, 0.0),
        plain(1, 38.0, 0.0),
        plain(1, 80.0, 8.0),
        plain(1, biology.muscle.mean_hu, 0.0),
    ];
    all.extend(biology.nodules.iter().map(|nodule| plain(10, nodule.mean_hu, 8.0)));
    all
}

fn solid(shape: Shape, material: u8, over: &[u8], wobble: f64) -> Solid {
    Solid { shape, material, over: over.to_vec(), wobble }
}

/// Skin, fat under it, the wall and the space inside the cage.
fn trunk(frame: &Frame) -> Vec<Solid> {
    let ring = |half: [f64; 2]| Shape::Superellipsoid {
        center: [0.0; 3],
        half: [half[0], half[1], f64::INFINITY],
        exponent: 2.3,
    };
    vec![
        solid(ring([frame.width, frame.depth]), SKIN, &[], 0.0),
        solid(ring([frame.width - 2.0, frame.depth - 2.0]), FAT, &[], 0.0),
        solid(ring(frame.outer), WALL, &[], 0.02),
        solid(frame.cage(), MEDIASTINUM, &[], 0.0),
    ]
}

fn lungs(frame: &Frame) -> [Shape; 2] {
    [-1.0, 1.0].map(|side| Shape::Superellipsoid {
        center: [side * 0.52 * frame.inner_width, 0.02 * frame.inner_depth, -45.0],
        half: [0.47 * frame.inner_width, 0.96 * frame.inner_depth, 190.0],
        exponent: 2.6,
    })
}

/// Right, left and middle of the diaphragm.
fn domes(frame: &Frame) -> [Shape; 3] {
    let [w, d] = [frame.inner_width, frame.inner_depth];
    [
        ([-0.5 * w, -0.04 * d, -166.0], [0.48 * w, 0.87 * d, 80.0]),
        ([0.5 * w, -0.04 * d, -174.0], [0.48 * w, 0.87 * d, 78.0]),
        ([0.0, -0.05 * d, -170.0], [0.5 * w, 0.8 * d, 72.0]),
    ]
    .map(|(center, half)| Shape::Ellipsoid { center, half, turn_rad: 0.0 })
}

/// What lies under the diaphragm, with gas in the stomach.
fn abdomen(frame: &Frame) -> Vec<Solid> {
    let [w, d] = [frame.inner_width, frame.inner_depth];
    let floor = Shape::Superellipsoid {
        center: [0.0, 0.0, LUNG_FLOOR_MM - 200.0],
        half: [1.2 * w, 1.2 * d, 200.0],
        exponent: 12.0,
    };
    let bubble = Shape::Ellipsoid { center: [62.0, -20.0, -128.0], half: [30.0, 24.0, 15.0], turn_rad: 0.2 };
    let mut solids: Vec<Solid> = domes(frame)
        .into_iter()
        .chain([floor])
        .map(|shape| solid(shape, UPPER_ABDOMEN, &[LUNG, MEDIASTINUM], 0.0))
        .collect();
    solids.push(solid(bubble, GAS, &[UPPER_ABDOMEN], 0.05));
    solids
}

/// The heart, turned towards the left front, as wide as the cardiothoracic ratio says. A heart wider than the healthy
/// one grows half as fast in depth and height.
fn heart(ratio: f64, healthy_ratio: f64, frame: &Frame) -> Shape {
    const TURN_RAD: f64 = 0.45;
    const FLATNESS: f64 = 0.72;
    let (sin, cos) = TURN_RAD.sin_cos();
    let wide = ratio * frame.inner_width;
    let healthy = healthy_ratio * frame.inner_width / cos.hypot(FLATNESS * sin);
    // wide² = (long cos)² + (FLATNESS √(long healthy) sin)², solved for long.
    let linear = 0.5 * healthy * (FLATNESS * sin / cos).powi(2);
    let long = (linear * linear + (wide / cos).powi(2)).sqrt() - linear;
    let thick = (long * healthy).sqrt();
    Shape::Ellipsoid {
        center: [0.17 * frame.inner_width, -0.2 * frame.inner_depth, -50.0],
        half: [long, FLATNESS * thick, 0.92 * thick],
        turn_rad: -TURN_RAD,
    }
}

/// Where vessels and bronchi enter the right and the left lung.
const HILA: [[f64; 3]; 2] = [[-38.0, 8.0, 20.0], [40.0, 12.0, 26.0]];

/// Aorta, pulmonary arteries and superior vena cava.
fn great_vessels(frame: &Frame) -> Vec<Solid> {
    let back = [21.0, frame.spine_y - 14.0];
    let tube = |from, to, radius, material| {
        let over = [LUNG, LUNG_VESSEL, MEDIASTINUM, HEART, UPPER_ABDOMEN];
        solid(Shape::Capsule { from, to, radius }, material, &over, 0.0)
    };
    let trunk = [8.0, -12.0, 26.0];
    vec![
        tube([-14.0, -14.0, -12.0], [-14.0, -16.0, 45.0], 15.0, AORTA),
        tube([-14.0, -16.0, 45.0], [6.0, 4.0, 60.0], 13.5, AORTA),
        tube([6.0, 4.0, 60.0], [back[0], back[1], 46.0], 12.5, AORTA),
        tube([back[0], back[1], 46.0], [back[0] - 8.0, back[1], -400.0], 11.5, AORTA),
        tube([10.0, -26.0, 0.0], trunk, 13.0, GREAT_VESSEL),
        tube(trunk, HILA[0], 9.5, GREAT_VESSEL),
        tube(trunk, HILA[1], 9.5, GREAT_VESSEL),
        tube([-27.0, -6.0, 0.0], [-25.0, -12.0, 120.0], 8.5, GREAT_VESSEL),
    ]
}

/// Trachea, main bronchi and three lobar bronchi on each side, air with a wall.
fn airways() -> Vec<Solid> {
    let carina = [0.0, 14.0, 46.0];
    let mut pieces = vec![([0.0, 6.0, 400.0], carina, 9.0)];
    for (side, hilum) in [-1.0, 1.0].into_iter().zip(HILA) {
        let end = [hilum[0], hilum[1] + 4.0, hilum[2] + 4.0];
        pieces.push((carina, end, 6.5));
        for step in [[16.0, -14.0, 30.0], [24.0, -22.0, -14.0], [14.0, 20.0, -42.0]] {
            pieces.push((end, [end[0] + side * step[0], end[1] + step[1], end[2] + step[2]], 3.2));
        }
    }
    let over = [LUNG, LUNG_VESSEL, MEDIASTINUM, GREAT_VESSEL, AIRWAY_WALL, WALL];
    let drawn = |wall: f64, material: u8| {
        pieces
            .iter()
            .map(|&(from, to, radius)| {
                let radius = radius + wall * (0.6 + 0.1 * radius);
                solid(Shape::Capsule { from, to, radius }, material, &over, 0.0)
            })
            .collect::<Vec<_>>()
    };
    [drawn(1.0, AIRWAY_WALL), drawn(0.0, AIRWAY)].concat()
}

/// An arterial and a venous tree in each lung, wider at the apex or at the base as the subject's blood flow has it.
fn lung_vessels(biology: &ChestBiology, lungs: &Lungs, random: &mut ChaCha8Rng) -> Vec<Solid> {
    let [apex, base] = biology.vessel_scale;
    let scale = |z: f64| base + (apex - base) * ((z + 110.0) / 200.0).clamp(0.0, 1.0);
    let mut solids = Vec::new();
    for (shape, hilum) in lungs.shapes.iter().zip(HILA) {
        let bounds = shape.bounds(1.0);
        for root in [hilum, [0.8 * hilum[0], hilum[1] - 14.0, hilum[2] - 26.0]] {
            let inside = |point: [f64; 3]| lungs.contain(point, 4.0);
            solids.extend(tree(root, LEAVES, bounds, inside, random).into_iter().map(|branch| {
                let radius = branch.radius * scale(0.5 * (branch.from[2] + branch.to[2]));
                solid(Shape::Capsule { from: branch.from, to: branch.to, radius }, LUNG_VESSEL, &[LUNG], 0.0)
            }));
        }
    }
    solids
}

/// Nodules in the lungs, clear of pleura, heart and each other: their centres and their solids. A nodule for which 500
/// places were tried in vain is left out.
fn nodules(biology: &ChestBiology, lungs: &Lungs, random: &mut ChaCha8Rng) -> (Vec<(usize, [f64; 3])>, Vec<Solid>) {
    let mut placed: Vec<(usize, [f64; 3])> = Vec::new();
    let mut solids = Vec::new();
    for (number, nodule) in biology.nodules.iter().enumerate() {
        for _ in 0..500 {
            let bounds = lungs.shapes[usize::from(between(random, 0.0, 1.0) > 0.5)].bounds(1.0);
            let at = bounds.map(|[low, high]| between(random, low, high));
            let apart = placed.iter().all(|(_, other)| (0..3).any(|axis| (other[axis] - at[axis]).abs() > 40.0));
            if apart && lungs.contain(at, nodule.radius_mm + 2.0) {
                placed.push((number, at));
                let ball = Shape::Ellipsoid { center: at, half: [nodule.radius_mm; 3], turn_rad: 0.0 };
                solids.push(solid(ball, FIRST_NODULE + number as u8, &[LUNG, LUNG_VESSEL], 0.12));
                break;
            }
        }
    }
    (placed, solids)
}
