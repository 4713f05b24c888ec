use crate::random::{Purpose, between, keyed};

/// The numbers of one head that no scanner changes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct HeadBiology {
    /// Age, years; atrophy grows with it.
    pub age_years: f64,
    /// Size of the head relative to the mean one, along x, y, z.
    pub scale: [f64; 3],
    /// Width of the fluid between skull and brain, mm.
    pub subarachnoid_mm: f64,
    /// Width of a sulcus, mm.
    pub sulcus_mm: f64,
    /// Width of the ventricles relative to the mean adult.
    pub ventricle_scale: f64,
    /// Thickness of the cortex, mm.
    pub cortex_mm: f64,
    /// Mean thickness of the skull, mm.
    pub skull_mm: f64,
    /// Mean thickness of the scalp, mm.
    pub scalp_mm: f64,
    /// Uptake of all tissues relative to the mean subject.
    pub uptake_scale: f64,
}

impl HeadBiology {
    /// Draws one subject.
    pub(crate) fn draw(seed: u64, subject: u32) -> Self {
        let random = &mut keyed(seed, subject, Purpose::Head, 0, 0);
        let age_years = between(random, 22.0, 84.0);
        let atrophy = (age_years - 22.0) / 62.0;
        let common = between(random, 0.955, 1.035);
        let mut side = || common * between(random, 0.985, 1.015);
        let scale = [side(), side(), side()];
        Self {
            age_years,
            scale,
            subarachnoid_mm: 0.8 + 1.0 * atrophy + between(random, 0.0, 0.4),
            sulcus_mm: 0.4 + 0.9 * atrophy + between(random, 0.0, 0.3),
            ventricle_scale: 0.8 + 0.5 * atrophy + between(random, 0.0, 0.25),
            cortex_mm: 3.0 - 0.4 * atrophy + between(random, -0.15, 0.15),
            skull_mm: between(random, 5.6, 7.0),
            scalp_mm: between(random, 4.2, 6.0),
            uptake_scale: between(random, 0.85, 1.15) * (1.0 - 0.1 * atrophy),
        }
    }
}
