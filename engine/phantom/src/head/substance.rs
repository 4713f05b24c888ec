use crate::Relaxation;

/// The numbers of the head's label map and what they mean; 0 is the air around.
pub const HEAD_LABELS: &[(i32, &str)] = &[
    (1, "skin"),
    (2, "fat"),
    (3, "soft-tissue"),
    (4, "cortical-bone"),
    (5, "diploe"),
    (6, "air-sinus"),
    (7, "eye"),
    (8, "csf"),
    (9, "ventricle"),
    (10, "cortical-grey"),
    (11, "white-matter"),
    (12, "caudate"),
    (13, "putamen"),
    (14, "pallidum"),
    (15, "thalamus"),
    (16, "cerebellar-grey"),
    (17, "cerebellar-white"),
    (18, "brainstem"),
    (19, "plaque"),
    (20, "oedema"),
    (21, "enhancing-tumour"),
    (22, "necrosis"),
    (23, "infarct"),
    (24, "haemorrhage"),
    (25, "calcification"),
];

/// Labels by name, as they stand in [`HEAD_LABELS`].
pub(crate) mod label {
    pub(crate) const OUTSIDE: u8 = 0;
    pub(crate) const SKIN: u8 = 1;
    pub(crate) const FAT: u8 = 2;
    pub(crate) const SOFT: u8 = 3;
    pub(crate) const CORTICAL_BONE: u8 = 4;
    pub(crate) const DIPLOE: u8 = 5;
    pub(crate) const AIR_SINUS: u8 = 6;
    pub(crate) const EYE: u8 = 7;
    pub(crate) const CSF: u8 = 8;
    pub(crate) const VENTRICLE: u8 = 9;
    pub(crate) const GREY: u8 = 10;
    pub(crate) const WHITE: u8 = 11;
    pub(crate) const CAUDATE: u8 = 12;
    pub(crate) const PUTAMEN: u8 = 13;
    pub(crate) const PALLIDUM: u8 = 14;
    pub(crate) const THALAMUS: u8 = 15;
    pub(crate) const CEREBELLAR_GREY: u8 = 16;
    pub(crate) const CEREBELLAR_WHITE: u8 = 17;
    pub(crate) const BRAINSTEM: u8 = 18;
    pub(crate) const PLAQUE: u8 = 19;
    pub(crate) const OEDEMA: u8 = 20;
    pub(crate) const ENHANCING: u8 = 21;
    pub(crate) const NECROSIS: u8 = 22;
    pub(crate) const INFARCT: u8 = 23;
    pub(crate) const HAEMORRHAGE: u8 = 24;
    pub(crate) const CALCIFICATION: u8 = 25;
}

/// What a voxel of the head is made of: everything that the three modalities see of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Substance {
    /// Number in [`HEAD_LABELS`].
    pub(crate) label: u8,
    /// `T1 = t1_ms · B₀^t1_power` with B₀ in tesla.
    pub(crate) t1_ms: f64,
    pub(crate) t1_power: f64,
    /// T2 at 3 T, ms; `T2 = t2_ms · (3 / B₀)^0.2`.
    pub(crate) t2_ms: f64,
    /// `1/T2* = 1/T2 + dephasing · B₀`, 1/s per tesla.
    pub(crate) dephasing: f64,
    /// Proton density, pure water 1.
    pub(crate) pd: f64,
    /// Apparent diffusion coefficient, µm²/ms.
    pub(crate) adc: f64,
    /// Gadolinium after a standard dose, mmol/l.
    pub(crate) gadolinium_mm: f64,
    /// Density, HU.
    pub(crate) hu: f64,
    /// Standard deviation of the density's texture, HU.
    pub(crate) texture_hu: f64,
    /// Uptake of FDG, SUV.
    pub(crate) suv: f64,
}

/// Relative change of T1 and T2 per standard deviation of the head's water texture; proton density changes by a third.
const WATER_TEXTURE: f64 = 0.03;

/// Longitudinal relaxivity of gadopentetate in plasma at 37 °C, 1/(s·mmol/l): 4.1 at 1.5 T and 3.7 at 3 T (Rohrer et al.,
/// Invest Radiol 40, 2005, table 2), joined by a power law.
fn relaxivity_1(field_tesla: f64) -> f64 {
    4.1 * (field_tesla / 1.5).powf((3.7f64 / 4.1).ln() / 2f64.ln())
}

/// Transverse relaxivity, as [`relaxivity_1`]: 4.6 at 1.5 T and 5.2 at 3 T.
fn relaxivity_2(field_tesla: f64) -> f64 {
    4.6 * (field_tesla / 1.5).powf((5.2f64 / 4.6).ln() / 2f64.ln())
}

/// A substance at one field strength and contrast dose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SubstanceInField {
    /// T1 and T2 without contrast agent, ms.
    t1_ms: f64,
    t2_ms: f64,
    /// Rates that the contrast agent adds to 1/T1 and 1/T2, and the field's inhomogeneity to 1/T2*, 1/ms.
    agent_1: f64,
    agent_2: f64,
    dephasing: f64,
    pd: f64,
    adc: f64,
}

impl Substance {
    /// The substance at a field strength, after `dose` times the standard dose of contrast agent.
    ///
    /// The agent adds rates: `1/T1' = 1/T1 + r1·C`, `1/T2' = 1/T2 + r2·C`.
    pub(crate) fn in_field(&self, field_tesla: f64, dose: f64) -> SubstanceInField {
        let agent_mm = dose * self.gadolinium_mm;
        SubstanceInField {
            t1_ms: self.t1_ms * field_tesla.powf(self.t1_power),
            t2_ms: self.t2_ms * (3.0 / field_tesla).powf(0.2),
            agent_1: 1e-3 * relaxivity_1(field_tesla) * agent_mm,
            agent_2: 1e-3 * relaxivity_2(field_tesla) * agent_mm,
            dephasing: 1e-3 * self.dephasing * field_tesla,
            pd: self.pd,
            adc: self.adc,
        }
    }
}

impl SubstanceInField {
    /// T1 without contrast agent, ms.
    pub(crate) fn t1_ms(&self) -> f64 {
        self.t1_ms
    }

    /// Relaxation where the water texture has the value `texture`, `None` in air.
    pub(crate) fn relaxation(&self, texture: f64) -> Option<Relaxation> {
        if self.pd == 0.0 {
            return None;
        }
        let water = 1.0 + WATER_TEXTURE * texture.clamp(-4.0, 4.0);
        let t1_ms = 1.0 / (1.0 / (self.t1_ms * water) + self.agent_1);
        let rate_2 = 1.0 / (self.t2_ms * water) + self.agent_2;
        Some(Relaxation {
            t1_ms,
            t2_ms: (1.0 / rate_2).min(t1_ms),
            t2_star_ms: (1.0 / (rate_2 + self.dephasing)).min(t1_ms),
            proton_density: self.pd * (1.0 + (water - 1.0) / 3.0),
            adc_um2_per_ms: self.adc,
        })
    }
}

/// A row of the table: label, T1 and its power, T2, dephasing, PD, ADC, agent, HU and its texture, SUV.
type Row = (u8, [f64; 2], f64, f64, f64, f64, f64, [f64; 2], f64);

/// Substances in the order of their labels: the index of a healthy substance is its label.
///
/// Sources of the brain's relaxation. T1: white matter and deep grey matter follow `0.583 B₀^0.382` and
/// `0.857 B₀^0.376` s (Rooney et al., Magn Reson Med 57, 2007); cortex is a power law through 1.20, 1.61 and 1.94 s at
/// 1.5, 3 and 7 T (Wright et al., MAGMA 21, 2008); CSF is 4.3 s at any field (Rooney et al.). T2 and T2* at 3 T: Stanisz
/// et al. (Magn Reson Med 54, 2005) and Peters et al. (Magn Reson Imaging 25, 2007). Diffusion, density and uptake are
/// the middle of what textbooks give; pathology differs from its tissue in the direction that is seen in patients.
const TABLE: [Row; 26] = [
    (0, [1000.0, 0.0], 50.0, 0.0, 0.0, 0.0, 0.0, [-1000.0, 0.0], 0.0),
    (1, [700.0, 0.3], 35.0, 5.0, 0.60, 1.0, 0.15, [60.0, 8.0], 0.9),
    (2, [240.0, 0.3], 70.0, 4.0, 0.90, 0.05, 0.02, [-95.0, 6.0], 0.3),
    (3, [850.0, 0.3], 38.0, 4.0, 0.75, 1.2, 0.10, [52.0, 8.0], 0.8),
    (4, [200.0, 0.2], 0.5, 100.0, 0.15, 0.1, 0.0, [1350.0, 80.0], 0.4),
    (5, [260.0, 0.3], 50.0, 12.0, 0.55, 0.3, 0.05, [480.0, 90.0], 1.1),
    (6, [1000.0, 0.0], 50.0, 0.0, 0.0, 0.0, 0.0, [-1000.0, 0.0], 0.0),
    (7, [4000.0, 0.0], 900.0, 1.0, 0.98, 2.6, 0.0, [8.0, 2.0], 0.4),
    (8, [4300.0, 0.0], 1800.0, 0.3, 1.00, 3.0, 0.0, [7.0, 2.0], 0.4),
    (9, [4300.0, 0.0], 1800.0, 0.3, 1.00, 3.0, 0.0, [6.0, 2.0], 0.4),
    (10, [1079.0, 0.313], 99.0, 1.7, 0.82, 0.85, 0.01, [37.0, 2.5], 8.0),
    (11, [583.0, 0.382], 69.0, 1.45, 0.70, 0.70, 0.01, [28.0, 2.5], 2.6),
    (12, [857.0, 0.376], 82.0, 2.5, 0.80, 0.75, 0.01, [38.0, 2.5], 8.6),
    (13, [830.0, 0.376], 75.0, 3.5, 0.80, 0.72, 0.01, [38.0, 2.5], 9.0),
    (14, [690.0, 0.376], 52.0, 6.0, 0.75, 0.75, 0.01, [40.0, 2.5], 6.0),
    (15, [780.0, 0.376], 74.0, 2.3, 0.78, 0.76, 0.01, [37.0, 2.5], 7.6),
    (16, [1000.0, 0.313], 92.0, 1.9, 0.82, 0.80, 0.01, [37.0, 2.5], 6.0),
    (17, [600.0, 0.382], 70.0, 1.6, 0.71, 0.70, 0.01, [29.0, 2.5], 2.8),
    (18, [650.0, 0.38], 74.0, 1.8, 0.73, 0.75, 0.01, [30.0, 2.5], 4.4),
    (19, [960.0, 0.36], 150.0, 1.2, 0.86, 1.15, 0.0, [25.0, 2.5], 2.2),
    (20, [1080.0, 0.36], 165.0, 1.0, 0.88, 1.40, 0.01, [19.0, 2.5], 2.0),
    (21, [1000.0, 0.36], 105.0, 2.5, 0.84, 1.05, 0.60, [41.0, 4.0], 9.5),
    (22, [1900.0, 0.2], 320.0, 2.0, 0.93, 2.00, 0.04, [17.0, 3.0], 0.9),
    (23, [1050.0, 0.36], 150.0, 1.0, 0.87, 0.42, 0.01, [21.0, 2.5], 0.8),
    (24, [900.0, 0.36], 45.0, 14.0, 0.80, 0.60, 0.0, [66.0, 4.0], 0.4),
    (25, [500.0, 0.3], 8.0, 40.0, 0.25, 0.30, 0.0, [280.0, 30.0], 0.6),
];

/// The substances of a healthy head and of its findings' tissues.
pub(crate) fn substances() -> Vec<Substance> {
    TABLE
        .iter()
        .map(|&(label, [t1_ms, t1_power], t2_ms, dephasing, pd, adc, gadolinium_mm, [hu, texture_hu], suv)| Substance {
            label,
            t1_ms,
            t1_power,
            t2_ms,
            dephasing,
            pd,
            adc,
            gadolinium_mm,
            hu,
            texture_hu,
            suv,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_name_and_a_substance_each() {
        for (row, substance) in substances().iter().enumerate() {
            assert_eq!(usize::from(substance.label), row);
        }
        for (row, (number, _)) in HEAD_LABELS.iter().enumerate() {
            assert_eq!(*number as usize, row + 1);
        }
        assert_eq!(HEAD_LABELS.len() + 1, substances().len());
    }

    /// Relaxation of a substance without texture.
    fn relaxation(substance: &Substance, field_tesla: f64, dose: f64) -> Relaxation {
        substance.in_field(field_tesla, dose).relaxation(0.0).unwrap()
    }

    #[test]
    fn t1_grows_with_the_field_as_measured() {
        // White matter 0.583·B₀^0.382 s; cortex within 7 % of 1197, 1607, 1939 ms; CSF the same at every field.
        let t1 = |label: u8, field| relaxation(&substances()[usize::from(label)], field, 0.0).t1_ms;
        for (field, cortex) in [(1.5, 1197.0), (3.0, 1607.0), (7.0, 1939.0)] {
            assert!((t1(label::WHITE, field) / (583.0 * field.powf(0.382)) - 1.0).abs() < 1e-12);
            assert!((t1(label::GREY, field) / cortex - 1.0).abs() < 0.07, "{field} T: {}", t1(label::GREY, field));
            assert_eq!(t1(label::CSF, field), 4300.0);
        }
    }

    #[test]
    fn contrast_agent_adds_its_rate() {
        let rim = substances()[usize::from(label::ENHANCING)];
        let (plain, full, double) =
            (relaxation(&rim, 3.0, 0.0), relaxation(&rim, 3.0, 1.0), relaxation(&rim, 3.0, 2.0));
        let added = |after: Relaxation| 1e3 / after.t1_ms - 1e3 / plain.t1_ms;
        assert!((added(full) - 3.7 * 0.6).abs() < 1e-9 && (added(double) - 7.4 * 0.6).abs() < 1e-9);
        assert!((1e3 / full.t2_ms - 1e3 / plain.t2_ms - 5.2 * 0.6).abs() < 1e-9);
        assert!((relaxivity_1(1.5) - 4.1).abs() < 1e-12);
    }

    #[test]
    fn relaxation_is_ordered_in_every_substance_at_every_field() {
        for substance in substances() {
            for field in [1.5, 3.0, 7.0] {
                let Some(r) = substance.in_field(field, 1.0).relaxation(2.0) else {
                    assert!(matches!(substance.label, label::OUTSIDE | label::AIR_SINUS));
                    continue;
                };
                assert!(r.t2_star_ms > 0.0 && r.t2_star_ms <= r.t2_ms && r.t2_ms <= r.t1_ms, "{substance:?}");
                assert!((0.0..=1.05).contains(&r.proton_density));
            }
        }
    }
}
