use isoscan_imaging::Geometry;
use rayon::prelude::*;

use crate::Finding;
use crate::body::BodySlice;
use crate::chest::Chest;

/// Step of the rays through the body, mm.
const RAY_STEP_MM: f64 = 1.0;

/// Rays lie at most this far apart; a larger pixel averages several.
const RAY_DISTANCE_MM: f64 = 2.0;

/// Lung that a ray must meet to be in the mask of the lungs, mm.
const LEAST_LUNG_MM: f64 = 10.0;

/// Labels of [`crate::CHEST_LABELS`].
const RIB: f32 = 17.0;
const HEART: f32 = 11.0;
const BONES: std::ops::RangeInclusive<f32> = 17.0..=19.0;
const LUNG: std::ops::RangeInclusive<f32> = 2.0..=8.0;
const NODULE: f32 = 10.0;
const EFFUSION: f32 = 21.0;

/// Density of the soft tissue in bone, g/cm³ of water.
const MATRIX_G_CM3: f64 = 1.04;

/// Density of cortical bone (ICRU-44), g/cm³.
pub(crate) const CORTICAL_G_CM3: f64 = 1.92;

/// HU of cortical bone at the 70 keV of [`crate::MU_WATER_PER_MM`]: 1.92 g/cm³ · 0.2616 cm²/g (NIST, between 60 and 80
/// keV) against 0.193 per cm.
pub(crate) const CORTICAL_HU: f64 = 1603.0;

/// What falls on the detector, per pixel.
pub(crate) struct Shadow {
    /// Areal densities of water and of cortical bone, g/cm².
    pub(crate) water_g_cm2: Vec<f64>,
    pub(crate) bone_g_cm2: Vec<f64>,
    pub(crate) ribs: Vec<f32>,
    pub(crate) lungs: Vec<f32>,
    pub(crate) heart: Vec<f32>,
    pub(crate) nodules: Vec<f32>,
    pub(crate) findings: Vec<Finding>,
}

/// One ray, or the mean of those of a pixel: densities, and the share of rays that meet something.
#[derive(Clone, Default)]
struct Ray {
    water: f64,
    bone: f64,
    rib: f64,
    lung: f64,
    heart: f64,
    nodules: Vec<f64>,
}

impl Shadow {
    /// The shadow of a chest on the pixels of an image.
    pub(crate) fn of_chest(chest: &Chest, image: &Geometry) -> Self {
        let ([columns, rows, _], pixel_mm, origin) = (image.size(), image.spacing_mm()[0], image.origin_mm());
        let parts = (pixel_mm / RAY_DISTANCE_MM).ceil() as usize;
        let step = pixel_mm / parts as f64;
        let first = |center: f64| center - 0.5 * (parts - 1) as f64 * step;
        let xs: Vec<f64> = (0..columns * parts).map(|i| first(origin[0]) + i as f64 * step).collect();
        let bottom = origin[2] - (rows - 1) as f64 * pixel_mm;
        let zs: Vec<f64> = (0..rows * parts).map(|i| first(bottom) + i as f64 * step).collect();
        let half = (chest.biology.half_depth_mm / RAY_STEP_MM).ceil() as i32;
        let ys: Vec<f64> = (-half..=half).map(|j| f64::from(j) * RAY_STEP_MM).collect();
        let depth = [xs.clone(), ys.clone()];
        let (body, parenchyma) = chest.tissues([xs, ys, zs.clone()], false);
        let numbers = chest.nodule_numbers();
        let lines: Vec<Vec<Ray>> = (0..rows)
            .into_par_iter()
            .map(|row| {
                let from_bottom = rows - 1 - row;
                let mut pixels = vec![Ray::default(); columns];
                for &z in &zs[from_bottom * parts..(from_bottom + 1) * parts] {
                    let mut slice = body.slice(z);
                    parenchyma.fill(z, [&depth[0], &depth[1]], &mut slice);
                    cast(&slice, depth[0].len(), &numbers, parts, &mut pixels);
                }
                pixels
            })
            .collect();
        let rays: Vec<Ray> = lines.concat();
        let mask = |share: fn(&Ray) -> f64| rays.iter().map(|ray| f32::from(share(ray) >= 0.5)).collect();
        let nodule = |ray: &Ray| ray.nodules.iter().position(|&share| share >= 0.5).map_or(0.0, |n| (n + 1) as f32);
        Self {
            water_g_cm2: rays.iter().map(|ray| ray.water).collect(),
            bone_g_cm2: rays.iter().map(|ray| ray.bone).collect(),
            ribs: mask(|ray| ray.rib),
            lungs: mask(|ray| ray.lung),
            heart: mask(|ray| ray.heart),
            nodules: rays.iter().map(nodule).collect(),
            findings: chest.findings(0.0),
        }
    }

    /// The masks with their names.
    pub(crate) fn masks(&self) -> [(&'static str, &[f32]); 4] {
        [("rib", &self.ribs), ("lung", &self.lungs), ("heart", &self.heart), ("nodule", &self.nodules)]
    }
}

/// Adds the rays of one slice, along y, to the pixels that hold `parts` x `parts` of them; `numbers[n]` is the material's
/// number of the n-th nodule.
fn cast(slice: &BodySlice, columns: usize, numbers: &[u8], parts: usize, pixels: &mut [Ray]) {
    let share = 1.0 / (parts * parts) as f64;
    let mut rays = vec![Ray { nodules: vec![0.0; numbers.len()], ..Ray::default() }; columns];
    let planes = slice.hu.chunks(columns).zip(slice.labels.chunks(columns)).zip(slice.materials.chunks(columns));
    for ((hu, labels), materials) in planes {
        for (i, ray) in rays.iter_mut().enumerate() {
            if labels[i] == 0.0 {
                continue;
            }
            let [water, bone] = composition(f64::from(hu[i]), BONES.contains(&labels[i]));
            ray.water += water * 0.1 * RAY_STEP_MM;
            ray.bone += bone * 0.1 * RAY_STEP_MM;
            match labels[i] {
                RIB => ray.rib = 1.0,
                HEART => ray.heart = 1.0,
                EFFUSION => ray.lung += RAY_STEP_MM,
                NODULE => {
                    ray.lung += RAY_STEP_MM;
                    numbers.iter().position(|&n| n == materials[i]).into_iter().for_each(|n| ray.nodules[n] = 1.0);
                }
                label if LUNG.contains(&label) => ray.lung += RAY_STEP_MM,
                _ => (),
            }
        }
    }
    for (pixel, rays) in pixels.iter_mut().zip(rays.chunks(parts)) {
        pixel.nodules.resize(numbers.len(), 0.0);
        for ray in rays {
            pixel.water += share * ray.water;
            pixel.bone += share * ray.bone;
            pixel.rib += share * ray.rib;
            pixel.heart += share * ray.heart;
            pixel.lung += share * f64::from(u8::from(ray.lung >= LEAST_LUNG_MM));
            pixel.nodules.iter_mut().zip(&ray.nodules).for_each(|(sum, met)| *sum += share * met);
        }
    }
}

/// Densities of water and of cortical bone, g/cm³, in a voxel: bone is soft tissue with as much cortical bone as its HU
/// tell, anything else is water.
pub(crate) fn composition(hu: f64, bone: bool) -> [f64; 2] {
    let matrix_hu = 1000.0 * (MATRIX_G_CM3 - 1.0);
    if bone && hu > matrix_hu {
        let share = ((hu - matrix_hu) / (CORTICAL_HU - matrix_hu)).min(1.0);
        return [(1.0 - share) * MATRIX_G_CM3, share * CORTICAL_G_CM3];
    }
    [(1.0 + hu / 1000.0).max(0.0), 0.0]
}
