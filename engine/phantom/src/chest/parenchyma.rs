use rand::RngExt;

use crate::body::BodySlice;
use crate::cells::Cells;
use crate::chest::biology::{ChestBiology, Pattern};
use crate::chest::plan::LUNG_FLOOR_MM;
use crate::chest::plan::Lungs;
use crate::chest::plan::material::{LUNG, LUNG_VESSEL};
use crate::chest::zones::{Place, Zones};
use crate::random::{Purpose, keyed};
use crate::texture::RandomField;

/// Which stream of the chest's random numbers keys the cells.
const STREAM: u32 = 3;

/// Numbers of the random fields.
const FINE_FIELD: u32 = 1120;
const PATCH_FIELD: u32 = 1121;

/// Width of the patches of ground glass, mm.
const PATCH_MM: f64 = 14.0;

/// Labels that lung voxels may get.
const NORMAL: f32 = 2.0;
const EFFUSION: f32 = 21.0;

/// Lumen of a cyst and of a hole, HU.
const LUMEN_HU: f64 = -945.0;

/// Effusion, HU.
const FLUID_HU: f64 = 12.0;

/// Height of an effusion's meniscus at the pleura, over the height of the effusion.
const MENISCUS: f64 = 0.5;

/// Rise of density from front to back of a lying body, HU per mm.
const GRAVITY_HU_PER_MM: f64 = 0.22;

/// The lungs between their vessels: normal texture, patterns of interstitial disease, fluid.
pub(crate) struct Parenchyma {
    biology: ChestBiology,
    lungs: Lungs,
    zones: Zones,
    /// Fine texture and patches of ground glass; none where textures are left out.
    fields: Option<[RandomField; 2]>,
    mesh: Cells,
    cysts: Cells,
    holes: Cells,
}

impl Parenchyma {
    /// The parenchyma of a subject over `range_mm` of the body axis.
    pub(crate) fn new(
        (seed, subject): (u64, u32),
        biology: &ChestBiology,
        lungs: &Lungs,
        range_mm: [f64; 2],
        textured: bool,
    ) -> Self {
        let mut random = keyed(seed, subject, Purpose::Chest(STREAM), 0, 0);
        let p = &biology.patterns;
        let mut cells = |size_mm| Cells::new(random.random(), size_mm);
        Self {
            mesh: cells(p.mesh_mm),
            cysts: cells(p.cyst_mm),
            holes: cells(p.hole_mm),
            zones: Zones::new(seed, subject, biology.extents, lungs),
            fields: textured.then(|| {
                [(FINE_FIELD, biology.lung.texture_mm), (PATCH_FIELD, PATCH_MM)]
                    .map(|(which, width_mm)| RandomField::new(seed, subject, which, range_mm, width_mm))
            }),
            biology: biology.clone(),
            lungs: lungs.clone(),
        }
    }

    /// Fills the lungs of the slice at `z` of a body with these columns and rows, body coordinates, mm.
    pub(crate) fn fill(&self, z: f64, [xs, ys]: [&[f64]; 2], slice: &mut BodySlice) {
        for (j, &y) in ys.iter().enumerate() {
            let row = j * xs.len()..(j + 1) * xs.len();
            let materials = &slice.materials[row.clone()];
            let lung: Vec<usize> = (0..xs.len()).filter(|&i| [LUNG, LUNG_VESSEL].contains(&materials[i])).collect();
            if lung.is_empty() {
                continue;
            }
            let at: Vec<f64> = lung.iter().map(|&i| xs[i]).collect();
            let places = self.places(&at, y, z);
            let fields = self.fields.as_ref().map(|fields| fields.each_ref().map(|field| field.row(&at, y, z)));
            for (n, &i) in lung.iter().enumerate() {
                let voxel = row.start + i;
                let point = [at[n], y, z];
                if self.under_fluid(point, places[n].depth_mm) {
                    (slice.hu[voxel], slice.labels[voxel]) = (FLUID_HU as f32, EFFUSION);
                } else if materials[i] == LUNG {
                    let noise = fields.as_ref().map_or([0.0; 2], |rows| rows.each_ref().map(|row| f64::from(row[n])));
                    slice.hu[voxel] = self.density(places[n].pattern, point, noise) as f32;
                    slice.labels[voxel] = places[n].pattern.map_or(NORMAL, label);
                }
            }
        }
    }

    /// Where the points of a row belong. Only patterns and fluid ask for the distance to the pleura.
    fn places(&self, xs: &[f64], y: f64, z: f64) -> Vec<Place> {
        if self.zones.is_empty() && z >= self.highest_fluid() {
            return vec![Place { pattern: None, depth_mm: 0.0 }; xs.len()];
        }
        self.zones.row(&self.lungs, xs, y, z)
    }

    /// Height above which no effusion climbs, mm.
    fn highest_fluid(&self) -> f64 {
        let [right, left] = self.biology.effusion_mm;
        LUNG_FLOOR_MM + (1.0 + MENISCUS) * right.max(left)
    }

    /// Fluid fills the lungs up to its level; it climbs along the pleura in a meniscus.
    fn under_fluid(&self, [x, _, z]: [f64; 3], depth_mm: f64) -> bool {
        let height = self.biology.effusion_mm[usize::from(x > 0.0)];
        height > 0.0 && z < LUNG_FLOOR_MM + height * (1.0 + MENISCUS * (-depth_mm.max(0.0) / 8.0).exp())
    }

    fn density(&self, pattern: Option<Pattern>, point: [f64; 3], [fine, patch]: [f64; 2]) -> f64 {
        let p = &self.biology.patterns;
        let normal = self.biology.lung.mean_hu
            + self.biology.lung.texture_hu * fine
            + GRAVITY_HU_PER_MM * point[1]
            + self.haze(point);
        match pattern {
            None => normal,
            Some(Pattern::GroundGlass) => normal + p.ground_glass_hu * (1.0 + 0.15 * patch.clamp(-2.0, 2.0)),
            Some(Pattern::Consolidation) => p.consolidation_hu + self.biology.lung.texture_hu * fine,
            Some(Pattern::Reticulation) if self.mesh.at(point).wall_mm < 0.5 * p.line_mm => p.line_hu,
            Some(Pattern::Reticulation) => normal + 50.0,
            Some(Pattern::Honeycombing) if self.cysts.at(point).wall_mm < 0.5 * p.cyst_wall_mm => p.cyst_wall_hu,
            Some(Pattern::Honeycombing) => LUMEN_HU,
            Some(Pattern::Emphysema) => {
                let hole = self.holes.at(point);
                let radius = (0.42 + 0.28 * hole.share) * p.hole_mm;
                if hole.center_mm < radius { LUMEN_HU } else { normal - 15.0 }
            }
        }
    }

    /// Interstitial fluid, densest around the hila.
    fn haze(&self, [x, y, z]: [f64; 3]) -> f64 {
        if self.biology.haze_hu == 0.0 {
            return 0.0;
        }
        let hilar = (((x.abs() - 45.0) / 55.0).powi(2) + (y / 60.0).powi(2) + ((z - 5.0) / 70.0).powi(2)).min(20.0);
        self.biology.haze_hu * (0.5 + (-hilar).exp())
    }
}

/// The pattern's number in the label map.
fn label(pattern: Pattern) -> f32 {
    match pattern {
        Pattern::GroundGlass => 3.0,
        Pattern::Reticulation => 4.0,
        Pattern::Honeycombing => 5.0,
        Pattern::Consolidation => 6.0,
        Pattern::Emphysema => 7.0,
    }
}
