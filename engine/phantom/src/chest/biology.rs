use rand::RngExt;

use crate::random::{Purpose, between, keyed, log_between};
use crate::texture::Tissue;
use crate::{ChestCondition, TruthRow};

/// Which stream of the chest's random numbers draws the biology.
const STREAM: u32 = 0;

/// The numbers of one subject's chest. Those of the body do not depend on the condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChestBiology {
    pub(crate) half_width_mm: f64,
    pub(crate) half_depth_mm: f64,
    pub(crate) fat_mm: f64,
    /// Normal lung in the middle between front and back.
    pub(crate) lung: Tissue,
    pub(crate) muscle: Tissue,
    pub(crate) fat: Tissue,
    pub(crate) marrow: Tissue,
    pub(crate) cortex_hu: f64,
    pub(crate) blood_hu: f64,
    /// Width of the heart over the inner width of the thorax: as it is, of the healthy and of the failing heart.
    pub(crate) cardiothoracic_ratio: f64,
    pub(crate) healthy_ratio: f64,
    pub(crate) failing_ratio: f64,
    /// Factors on the radii of the vessels at the apex and at the base.
    pub(crate) vessel_scale: [f64; 2],
    /// Density that interstitial fluid adds to the lungs, HU.
    pub(crate) haze_hu: f64,
    /// Height of the fluid above the lowest point of the right and the left lung, mm.
    pub(crate) effusion_mm: [f64; 2],
    /// Share of the lungs of each [`Pattern`], in their order.
    pub(crate) extents: [f64; 5],
    pub(crate) patterns: PatternBiology,
    pub(crate) nodules: Vec<NoduleBiology>,
}

/// How the patterns of interstitial disease look in one subject.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PatternBiology {
    pub(crate) ground_glass_hu: f64,
    pub(crate) consolidation_hu: f64,
    pub(crate) line_hu: f64,
    pub(crate) line_mm: f64,
    pub(crate) mesh_mm: f64,
    pub(crate) cyst_mm: f64,
    pub(crate) cyst_wall_mm: f64,
    pub(crate) cyst_wall_hu: f64,
    pub(crate) hole_mm: f64,
}

/// One solid nodule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NoduleBiology {
    pub(crate) radius_mm: f64,
    pub(crate) mean_hu: f64,
}

/// A texture of diseased lung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Honeycombing,
    Reticulation,
    Consolidation,
    GroundGlass,
    Emphysema,
}

impl Pattern {
    /// In the order in which they claim their place.
    pub(crate) const ALL: [Self; 5] =
        [Self::Honeycombing, Self::Reticulation, Self::Consolidation, Self::GroundGlass, Self::Emphysema];

    fn column(self) -> &'static str {
        match self {
            Self::Honeycombing => "honeycombing_extent",
            Self::Reticulation => "reticulation_extent",
            Self::Consolidation => "consolidation_extent",
            Self::GroundGlass => "ground_glass_extent",
            Self::Emphysema => "emphysema_extent",
        }
    }

    /// Range of the extent where the pattern is present.
    fn range(self) -> [f64; 2] {
        match self {
            Self::Honeycombing => [0.02, 0.12],
            Self::Reticulation => [0.03, 0.15],
            Self::Consolidation => [0.01, 0.08],
            Self::GroundGlass => [0.05, 0.25],
            Self::Emphysema => [0.03, 0.2],
        }
    }
}

impl ChestBiology {
    /// Draws one subject: every number of every condition in turn, then keeps those of this one.
    pub(crate) fn draw(seed: u64, subject: u32, condition: ChestCondition) -> Self {
        let random = &mut keyed(seed, subject, Purpose::Chest(STREAM), 0, 0);
        let half_width_mm = between(random, 152.0, 174.0);
        let healthy_ratio = between(random, 0.4, 0.49);
        let failing_ratio = between(random, 0.55, 0.64);
        let mut biology = Self {
            half_width_mm,
            half_depth_mm: half_width_mm * between(random, 0.66, 0.73),
            fat_mm: between(random, 6.0, 20.0),
            lung: Tissue {
                mean_hu: between(random, -885.0, -835.0),
                texture_hu: log_between(random, 8.0, 20.0),
                texture_mm: log_between(random, 4.5, 7.0),
            },
            muscle: Tissue {
                mean_hu: between(random, 42.0, 60.0),
                texture_hu: between(random, 5.0, 14.0),
                texture_mm: 7.0,
            },
            fat: Tissue { mean_hu: between(random, -112.0, -96.0), texture_hu: 6.0, texture_mm: 8.0 },
            marrow: Tissue {
                mean_hu: between(random, 130.0, 250.0),
                texture_hu: between(random, 15.0, 40.0),
                texture_mm: 6.0,
            },
            cortex_hu: between(random, 600.0, 750.0),
            blood_hu: between(random, 38.0, 48.0),
            cardiothoracic_ratio: healthy_ratio,
            healthy_ratio,
            failing_ratio,
            vessel_scale: [0.8, 1.15],
            haze_hu: 0.0,
            effusion_mm: [0.0; 2],
            extents: [0.0; 5],
            patterns: PatternBiology {
                ground_glass_hu: between(random, 150.0, 300.0),
                consolidation_hu: between(random, 15.0, 50.0),
                line_hu: between(random, -300.0, -120.0),
                line_mm: between(random, 1.0, 2.0),
                mesh_mm: between(random, 7.0, 11.0),
                cyst_mm: between(random, 5.0, 8.0),
                cyst_wall_mm: between(random, 1.2, 2.0),
                cyst_wall_hu: between(random, -100.0, 20.0),
                hole_mm: between(random, 6.0, 10.0),
            },
            nodules: Vec::new(),
        };
        let extents = Pattern::ALL.map(|pattern| {
            let [low, high] = pattern.range();
            let extent = between(random, low, high);
            if random.random_bool(0.8) { extent } else { 0.0 }
        });
        let scale = [between(random, 1.3, 1.7), between(random, 0.75, 0.95)];
        let haze_hu = between(random, 40.0, 130.0);
        let effusion_mm = [between(random, 8.0, 55.0), between(random, 0.0, 45.0)];
        match condition {
            ChestCondition::Healthy => (),
            ChestCondition::InterstitialDisease => biology.extents = extents,
            ChestCondition::HeartFailure => {
                biology.cardiothoracic_ratio = failing_ratio;
                biology.vessel_scale = scale;
                biology.haze_hu = haze_hu;
                biology.effusion_mm = effusion_mm;
            }
        }
        biology.nodules = (0..random.random_range(0..=3))
            .map(|_| NoduleBiology { radius_mm: log_between(random, 3.5, 13.0), mean_hu: between(random, 0.0, 70.0) })
            .collect();
        biology
    }

    /// The numbers as columns of a truth table.
    pub(crate) fn row(&self) -> TruthRow {
        let mut row = TruthRow::default();
        let p = &self.patterns;
        for (column, value) in [
            ("half_width_mm", self.half_width_mm),
            ("half_depth_mm", self.half_depth_mm),
            ("fat_thickness_mm", self.fat_mm),
            ("normal_lung_mean_hu", self.lung.mean_hu),
            ("normal_lung_texture_hu", self.lung.texture_hu),
            ("normal_lung_texture_mm", self.lung.texture_mm),
            ("muscle_mean_hu", self.muscle.mean_hu),
            ("fat_mean_hu", self.fat.mean_hu),
            ("marrow_mean_hu", self.marrow.mean_hu),
            ("cortex_hu", self.cortex_hu),
            ("blood_hu", self.blood_hu),
            ("cardiothoracic_ratio", self.cardiothoracic_ratio),
            ("apex_vessel_scale", self.vessel_scale[0]),
            ("base_vessel_scale", self.vessel_scale[1]),
            ("haze_hu", self.haze_hu),
            ("right_effusion_mm", self.effusion_mm[0]),
            ("left_effusion_mm", self.effusion_mm[1]),
            ("ground_glass_rise_hu", p.ground_glass_hu),
            ("consolidation_mean_hu", p.consolidation_hu),
            ("reticulation_line_hu", p.line_hu),
            ("reticulation_line_mm", p.line_mm),
            ("reticulation_mesh_mm", p.mesh_mm),
            ("honeycombing_cyst_mm", p.cyst_mm),
            ("honeycombing_wall_mm", p.cyst_wall_mm),
            ("honeycombing_wall_hu", p.cyst_wall_hu),
            ("emphysema_hole_mm", p.hole_mm),
        ] {
            row.set(column, value);
        }
        for (pattern, extent) in Pattern::ALL.into_iter().zip(self.extents) {
            row.set(pattern.column(), extent);
        }
        row
    }
}
