use super::paint::{BloodLabels, paint, pieces};
use super::tree::{Territory, VesselTree, vessel_tree};
use crate::body::{AIR_HU, Body, BodySlice, Material, body_axes, truth_geometry};
use crate::random::{Purpose, between, keyed};
use crate::solid::{Shape, Solid};
use crate::texture::Tissue;
use crate::{Anatomy, Grid, Kernel, Protocol, TruthRow};

/// The numbers of a neck's label map; 0 is outside the body.
pub const NECK_LABELS: &[(i32, &str)] = &[
    (1, "soft-tissue"),
    (2, "fat"),
    (3, "bone"),
    (4, "airway"),
    (5, "spinal-canal"),
    (6, "vein"),
    (7, "artery"),
    (8, "stenosis"),
    (9, "plaque"),
];

const BLOOD: BloodLabels = BloodLabels { artery: 7, stenosis: 8, aneurysm: 7 };
const PLAQUE: u8 = 9;

/// Random fields of the abdomen begin at 0, of the chest at 1000, of the head at 2000.
const FIRST_FIELD: u32 = 3000;

/// How a neck is scanned: with or without contrast medium in its vessels.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct NeckProtocol {
    /// The scanner, as of every CT.
    pub scanner: Protocol,
    /// Contrast medium, arterial phase.
    pub contrast: bool,
}

const ANGIOGRAPHY: Protocol = Protocol {
    id: "cta-neck",
    manufacturer: "Phantom Vendor A",
    model: "A-One",
    description: "Neck CTA 1.5 mm, arterial",
    kvp: 100.0,
    exposure_mas: 160.0,
    kernel: Kernel { name: "Md45", cutoff_per_cm: 6.0, enhancement: 0.8 },
    slice_thickness_mm: 1.5,
    slice_spacing_mm: 1.5,
    mu_water_per_mm: crate::MU_WATER_PER_MM,
    photons_per_mas_mm2: 2.4e5,
    electronic_noise: 8.0,
    detector_mm: 0.6,
    views: 480,
};

static PROTOCOLS: [NeckProtocol; 4] = [
    NeckProtocol { scanner: ANGIOGRAPHY, contrast: true },
    NeckProtocol {
        scanner: Protocol { id: "ncct-neck", description: "Neck CT 1.5 mm, no contrast medium", ..ANGIOGRAPHY },
        contrast: false,
    },
    NeckProtocol {
        scanner: Protocol {
            id: "cta-neck-b",
            manufacturer: "Phantom Vendor B",
            model: "B-Two",
            description: "Neck CTA 3 mm, low dose, arterial",
            exposure_mas: 60.0,
            kernel: Kernel { name: "Sf30", cutoff_per_cm: 4.5, enhancement: 0.0 },
            slice_thickness_mm: 3.0,
            slice_spacing_mm: 3.0,
            electronic_noise: 12.0,
            ..ANGIOGRAPHY
        },
        contrast: true,
    },
    NeckProtocol {
        scanner: Protocol {
            id: "ncct-neck-b",
            manufacturer: "Phantom Vendor B",
            model: "B-Two",
            description: "Neck CT 3 mm, low dose, no contrast medium",
            exposure_mas: 60.0,
            kernel: Kernel { name: "Sf30", cutoff_per_cm: 4.5, enhancement: 0.0 },
            slice_thickness_mm: 3.0,
            slice_spacing_mm: 3.0,
            electronic_noise: 12.0,
            ..ANGIOGRAPHY
        },
        contrast: false,
    },
];

/// The protocols of a neck: CT angiography and plain CT of two invented vendors.
pub fn neck_protocols() -> &'static [NeckProtocol] {
    &PROTOCOLS
}

/// One subject's neck: muscle around carotid sheaths of fat, airway, vertebral column, veins, and the arteries of
/// [`vessel_tree`], with or without contrast medium in the blood. The same `(seed, subject)` have the same tissues in both.
///
/// Along z, 0 is the mean height of the carotid bifurcations and the middle of what is scanned. A narrowed artery keeps its
/// outer width: soft plaque fills what the blood lost.
pub fn neck(seed: u64, subject: u32, grid: &Grid, contrast: bool) -> (Anatomy, VesselTree) {
    let tree = vessel_tree(seed, subject, Territory::Neck);
    let shape = Build::draw(seed, subject);
    let start_mm = -0.5 * grid.length_mm();
    let geometry = truth_geometry(shape.half_mm[0], shape.half_mm[1], grid, start_mm);
    let blood_hu = if contrast { shape.enhanced_hu } else { PLAIN_BLOOD_HU };
    let body =
        Body::new((seed, subject), FIRST_FIELD, materials(&shape, contrast), solids(&shape), body_axes(&geometry, 0.0));
    let lumen = paint(&pieces(&tree, &BLOOD, |_, _| 1.0), &geometry);
    let walls = paint(&pieces(&healthy(&tree), &BLOOD, |_, _| 1.0), &geometry);
    let origin_z = geometry.origin_mm()[2];
    let step_z = geometry.spacing_mm()[2];
    let with_arteries = |z: f64, slice: &mut BodySlice| {
        let k = ((z - origin_z) / step_z).round() as usize;
        let plane = |array: &ndarray::Array3<f32>| array.index_axis(ndarray::Axis(0), k).iter().copied().collect();
        let [blood, wall, label]: [Vec<f32>; 3] = [plane(&lumen.fraction), plane(&walls.fraction), plane(&lumen.label)];
        for i in 0..slice.hu.len() {
            let wall = wall[i].max(blood[i]);
            slice.hu[i] =
                (1.0 - wall) * slice.hu[i] + (wall - blood[i]) * shape.plaque_hu as f32 + blood[i] * blood_hu as f32;
            if label[i] > 0.0 {
                slice.labels[i] = label[i];
            } else if wall >= 0.5 && wall - blood[i] >= 0.5 {
                slice.labels[i] = f32::from(PLAQUE);
            }
        }
    };
    let (truth, labels) = body.draw(&geometry, with_arteries);
    let mut row = TruthRow::default();
    row.set("enhanced_blood_hu", shape.enhanced_hu);
    row.set("plaque_hu", shape.plaque_hu);
    tree.columns().into_iter().for_each(|(name, value)| row.set(name, value));
    row.set_volumes(&labels, NECK_LABELS);
    let anatomy = Anatomy {
        body_part: "NECK",
        truth,
        labels,
        label_names: NECK_LABELS,
        findings: Vec::new(),
        row,
        grid: *grid,
        start_mm,
    };
    (anatomy, tree)
}

const PLAIN_BLOOD_HU: f64 = 45.0;

/// The tree before it was narrowed.
fn healthy(tree: &VesselTree) -> VesselTree {
    let mut tree = tree.clone();
    tree.vessels.iter_mut().for_each(|vessel| vessel.radii_mm.fill(vessel.radius_mm));
    tree
}

/// Sizes and densities of one neck.
struct Build {
    half_mm: [f64; 2],
    muscle_hu: f64,
    fat_hu: f64,
    enhanced_hu: f64,
    vein_hu: f64,
    plaque_hu: f64,
    vein_mm: [f64; 2],
}

impl Build {
    fn draw(seed: u64, subject: u32) -> Self {
        let random = &mut keyed(seed, subject, Purpose::Vessels(2), 0, 0);
        let half_x_mm = between(random, 58.0, 70.0);
        Self {
            half_mm: [half_x_mm, half_x_mm * between(random, 0.95, 1.08)],
            muscle_hu: between(random, 52.0, 64.0),
            fat_hu: between(random, -112.0, -92.0),
            enhanced_hu: between(random, 300.0, 450.0),
            vein_hu: between(random, 90.0, 160.0),
            plaque_hu: between(random, 20.0, 60.0),
            vein_mm: [between(random, 4.5, 7.0), between(random, 4.5, 7.0)],
        }
    }
}

mod material {
    pub(crate) const MUSCLE: u8 = 1;
    pub(crate) const FAT: u8 = 2;
    pub(crate) const CORTICAL: u8 = 3;
    pub(crate) const MARROW: u8 = 4;
    pub(crate) const DISC: u8 = 5;
    pub(crate) const AIRWAY: u8 = 6;
    pub(crate) const CANAL: u8 = 7;
    pub(crate) const CORD: u8 = 8;
    pub(crate) const VEIN: u8 = 9;
    pub(crate) const CARTILAGE: u8 = 10;
}
use material::{AIRWAY, CANAL, CARTILAGE, CORD, CORTICAL, DISC, FAT, MARROW, MUSCLE, VEIN};

fn materials(shape: &Build, contrast: bool) -> Vec<Material> {
    let of = |label, mean_hu, texture_hu| Material { label, tissue: Tissue { mean_hu, texture_hu, texture_mm: 6.0 } };
    vec![
        of(0, AIR_HU, 0.0),
        of(1, shape.muscle_hu, 8.0),
        of(2, shape.fat_hu, 6.0),
        of(3, 700.0, 60.0),
        of(3, 220.0, 30.0),
        of(1, 85.0, 6.0),
        of(4, AIR_HU, 0.0),
        of(5, 15.0, 2.0),
        of(5, 40.0, 3.0),
        of(6, if contrast { shape.vein_hu } else { PLAIN_BLOOD_HU }, 2.0),
        of(3, 150.0, 20.0),
    ]
}

fn solids(shape: &Build) -> Vec<Solid> {
    let [width, depth] = shape.half_mm;
    let solid = |shape, material| Solid { shape, material, over: Vec::new(), wobble: 0.0 };
    let tube = |x: f64, y: f64, half: [f64; 2]| Shape::Superellipsoid {
        center: [x, y, 0.0],
        half: [half[0], half[1], f64::INFINITY],
        exponent: 2.2,
    };
    let mut solids = vec![
        solid(tube(0.0, 0.0, [width, depth]), MUSCLE),
        solid(tube(0.0, 0.0, [width - 2.0, depth - 2.0]), FAT),
        solid(tube(0.0, 2.0, [width - 7.0, depth - 8.0]), MUSCLE),
        solid(tube(0.0, -24.0, [12.0, 11.0]), CARTILAGE),
        solid(tube(0.0, -24.0, [10.0, 9.0]), AIRWAY),
    ];
    for (side, radius) in [-1.0, 1.0].into_iter().zip(shape.vein_mm) {
        solids.push(solid(tube(side * 29.0, -3.0, [15.0, 13.0]), FAT));
        solids.push(solid(tube(side * 37.0, 3.0, [radius, 0.8 * radius]), VEIN));
    }
    solids.extend([
        solid(tube(0.0, 42.0, [3.0, 12.0]), CORTICAL),
        solid(tube(0.0, 33.0, [14.0, 10.5]), CORTICAL),
        solid(tube(0.0, 33.0, [11.5, 8.0]), CANAL),
        solid(tube(0.0, 33.0, [6.5, 4.5]), CORD),
        solid(tube(0.0, 17.0, [11.5, 8.5]), DISC),
    ]);
    for body in -9..=9 {
        let z = 18.0 * f64::from(body);
        for (inset, material) in [(0.0, CORTICAL), (1.4, MARROW)] {
            let half = [12.0, 9.0, 7.5].map(|h: f64| h - inset);
            solids.push(solid(Shape::Superellipsoid { center: [0.0, 17.0, z], half, exponent: 3.0 }, material));
        }
    }
    solids
}
