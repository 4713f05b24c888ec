use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::TruthRow;
use crate::random::{Purpose, between, keyed, log_between};
use crate::texture::Tissue;

/// One ball-like lesion of the liver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lesion {
    /// Radius before the surface is roughened, mm; less where the liver leaves no room for it.
    pub(crate) radius_mm: f64,
    /// Density and texture.
    pub(crate) tissue: Tissue,
}

/// The numbers of one subject in a portal-venous abdomen: size and tissues. They vary between subjects much more than
/// scans of one subject do under one protocol, as biology does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Biology {
    /// Half of the body's width, mm.
    pub(crate) half_width_mm: f64,
    /// Half of the body's depth, mm.
    pub(crate) half_depth_mm: f64,
    /// Thickness of the subcutaneous fat at the sides, mm.
    pub(crate) fat_mm: f64,
    /// Fat fraction of the liver, 0 to 0.3; it lowers the liver's density.
    pub(crate) steatosis: f64,
    /// Fat fraction of the muscles, 0 to 0.3; it lowers their density and roughens their texture.
    pub(crate) infiltration: f64,
    /// Liver.
    pub(crate) liver: Tissue,
    /// Spleen.
    pub(crate) spleen: Tissue,
    /// Paraspinal and psoas muscles.
    pub(crate) muscle: Tissue,
    /// Subcutaneous and visceral fat.
    pub(crate) fat: Tissue,
    /// Trabecular bone.
    pub(crate) spine: Tissue,
    /// Kidneys.
    pub(crate) kidney: Tissue,
    /// Density of the aorta, HU.
    pub(crate) aorta_hu: f64,
    /// Density of the veins, HU.
    pub(crate) vein_hu: f64,
    /// Two to four lesions of the liver.
    pub(crate) lesions: Vec<Lesion>,
}

/// Density of fat, HU.
const FAT_HU: f64 = -104.0;

impl Biology {
    /// Draws one subject in the portal-venous phase.
    pub(crate) fn draw(seed: u64, subject: u32) -> Self {
        let random = &mut keyed(seed, subject, Purpose::Biology, 0, 0);
        let half_width_mm = between(random, 148.0, 172.0);
        let steatosis = between(random, 0.0, 1.0).powi(2) * 0.3;
        let infiltration = between(random, 0.02, 0.3);
        let liver_hu = mixed(between(random, 98.0, 124.0), steatosis);
        let mut biology = Self {
            half_width_mm,
            half_depth_mm: half_width_mm * between(random, 0.66, 0.72),
            fat_mm: between(random, 9.0, 26.0),
            steatosis,
            infiltration,
            liver: Tissue { mean_hu: liver_hu, ..texture(random, [4.0, 22.0], [5.0, 14.0]) },
            spleen: Tissue { mean_hu: between(random, 95.0, 140.0), ..texture(random, [3.0, 16.0], [5.0, 12.0]) },
            muscle: Tissue {
                mean_hu: mixed(between(random, 58.0, 70.0), infiltration),
                texture_hu: 4.0 + 70.0 * infiltration * between(random, 0.8, 1.2),
                texture_mm: log_between(random, 5.0, 12.0),
            },
            fat: Tissue { mean_hu: FAT_HU + between(random, -8.0, 8.0), ..texture(random, [3.0, 12.0], [5.0, 14.0]) },
            spine: Tissue { mean_hu: between(random, 110.0, 240.0), ..texture(random, [15.0, 45.0], [4.5, 9.0]) },
            kidney: Tissue { mean_hu: between(random, 140.0, 200.0), ..texture(random, [5.0, 18.0], [5.0, 11.0]) },
            aorta_hu: between(random, 130.0, 185.0),
            vein_hu: 0.0,
            lesions: (0..random.random_range(2..=4)).map(|_| lesion(random, liver_hu)).collect(),
        };
        biology.vein_hu = biology.aorta_hu - 8.0;
        biology
    }

    /// The numbers as columns of a truth table.
    pub(crate) fn row(&self) -> TruthRow {
        let mut row = TruthRow::default();
        for (column, value) in [
            ("half_width_mm", self.half_width_mm),
            ("half_depth_mm", self.half_depth_mm),
            ("fat_thickness_mm", self.fat_mm),
            ("steatosis", self.steatosis),
            ("infiltration", self.infiltration),
            ("aorta_hu", self.aorta_hu),
            ("vein_hu", self.vein_hu),
        ] {
            row.set(column, value);
        }
        for (name, tissue) in [
            ("liver", self.liver),
            ("spleen", self.spleen),
            ("muscle", self.muscle),
            ("fat", self.fat),
            ("spine", self.spine),
            ("kidney", self.kidney),
        ] {
            row.set(format!("{name}_mean_hu"), tissue.mean_hu);
            row.set(format!("{name}_texture_hu"), tissue.texture_hu);
            row.set(format!("{name}_texture_mm"), tissue.texture_mm);
        }
        row
    }
}

/// Density of a tissue when the volume fraction `fat` of it is fat.
fn mixed(lean_hu: f64, fat: f64) -> f64 {
    (1.0 - fat) * lean_hu + fat * FAT_HU
}

/// A texture with logarithmically uniform amplitude (HU) and width (mm).
fn texture(random: &mut ChaCha8Rng, amplitude: [f64; 2], width: [f64; 2]) -> Tissue {
    let texture_hu = log_between(random, amplitude[0], amplitude[1]);
    Tissue { mean_hu: 0.0, texture_hu, texture_mm: log_between(random, width[0], width[1]) }
}

fn lesion(random: &mut ChaCha8Rng, liver_hu: f64) -> Lesion {
    let contrast = if random.random_bool(0.6) { -between(random, 35.0, 80.0) } else { between(random, 30.0, 60.0) };
    let tissue = Tissue { mean_hu: liver_hu + contrast, ..texture(random, [4.0, 20.0], [4.5, 9.0]) };
    Lesion { radius_mm: between(random, 8.0, 16.0), tissue }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_fat_lowers_a_tissue_by_a_third_of_the_way_to_fat() {
        assert!((mixed(106.0, 1.0 / 3.0) - (106.0 - 70.0)).abs() < 1e-12);
    }

    #[test]
    fn subjects_differ_more_than_their_common_mean_suggests() {
        let cohort: Vec<Biology> = (0..24).map(|subject| Biology::draw(1, subject)).collect();
        let ratio = |value: fn(&Biology) -> f64| {
            let all = || cohort.iter().map(value);
            all().fold(0.0, f64::max) / all().fold(f64::INFINITY, f64::min)
        };
        assert!(ratio(|b| b.liver.texture_hu) > 3.0);
        assert!(ratio(|b| b.liver.texture_mm) > 2.0);
        assert!(ratio(|b| b.liver.mean_hu) > 1.3);
        assert!(ratio(|b| b.muscle.texture_hu) > 2.0);
        assert!(cohort.iter().all(|b| (2..=4).contains(&b.lesions.len())));
    }
}
