use crate::abdomen::biology::{Biology, Lesion};
use crate::texture::Tissue;

/// When after the injection of a contrast agent the abdomen is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Without contrast agent.
    NonContrast,
    /// About 30 s: bright arteries, lesions with arterial supply brighter than the liver.
    Arterial,
    /// About 70 s: liver and its veins are brightest.
    PortalVenous,
}

impl Phase {
    /// All phases, in the order of time.
    pub const ALL: [Self; 3] = [Self::NonContrast, Self::Arterial, Self::PortalVenous];

    /// The name that scripts and commands use.
    pub fn id(self) -> &'static str {
        match self {
            Self::NonContrast => "non-contrast",
            Self::Arterial => "arterial",
            Self::PortalVenous => "portal-venous",
        }
    }

    /// What share of its portal-venous enhancement each tissue has.
    fn shares(self) -> Shares {
        match self {
            Self::NonContrast => Shares {
                aorta: 0.0,
                vein: 0.0,
                liver: 0.0,
                spleen: 0.0,
                kidney: 0.0,
                muscle: 0.0,
                lesion: [0.35, -0.2],
            },
            Self::Arterial => {
                Shares { aorta: 2.2, vein: 0.5, liver: 0.2, spleen: 1.15, kidney: 0.9, muscle: 0.5, lesion: [0.5, 1.3] }
            }
            Self::PortalVenous => {
                Shares { aorta: 1.0, vein: 1.0, liver: 1.0, spleen: 1.0, kidney: 1.0, muscle: 1.0, lesion: [1.0, 1.0] }
            }
        }
    }
}

struct Shares {
    aorta: f64,
    vein: f64,
    liver: f64,
    spleen: f64,
    kidney: f64,
    muscle: f64,
    /// Shares of a dark and of a bright lesion's contrast to the liver.
    lesion: [f64; 2],
}

/// Densities without contrast agent, HU, of blood, spleen and kidney.
const BLOOD_HU: f64 = 42.0;
const SPLEEN_HU: f64 = 48.0;
const KIDNEY_HU: f64 = 33.0;

/// Portal-venous enhancement of lean liver and lean muscle, HU; fat takes none.
const LIVER_RISE_HU: f64 = 50.0;
const MUSCLE_RISE_HU: f64 = 8.0;

/// The same subject in another phase. `portal_venous` comes back unchanged for that phase.
pub(crate) fn in_phase(portal_venous: Biology, phase: Phase) -> Biology {
    if phase == Phase::PortalVenous {
        return portal_venous;
    }
    let shares = phase.shares();
    let from = |native: f64, portal: f64, share: f64| native + share * (portal - native);
    let tissue =
        |tissue: Tissue, rise: f64, share: f64| Tissue { mean_hu: tissue.mean_hu - (1.0 - share) * rise, ..tissue };
    let b = portal_venous;
    let liver = tissue(b.liver, LIVER_RISE_HU * (1.0 - b.steatosis), shares.liver);
    let lesions = b
        .lesions
        .iter()
        .map(|lesion| {
            let contrast = lesion.tissue.mean_hu - b.liver.mean_hu;
            let mean_hu = liver.mean_hu + shares.lesion[usize::from(contrast > 0.0)] * contrast;
            Lesion { tissue: Tissue { mean_hu, ..lesion.tissue }, ..*lesion }
        })
        .collect();
    Biology {
        liver,
        lesions,
        spleen: tissue(b.spleen, b.spleen.mean_hu - SPLEEN_HU, shares.spleen),
        kidney: tissue(b.kidney, b.kidney.mean_hu - KIDNEY_HU, shares.kidney),
        muscle: tissue(b.muscle, MUSCLE_RISE_HU * (1.0 - b.infiltration), shares.muscle),
        aorta_hu: from(BLOOD_HU, b.aorta_hu, shares.aorta),
        vein_hu: from(BLOOD_HU, b.vein_hu, shares.vein),
        ..b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_enhance_as_blood_reaches_the_tissues() {
        for subject in 0..8 {
            let [native, arterial, portal] = Phase::ALL.map(|phase| in_phase(Biology::draw(1, subject), phase));
            assert_eq!(portal, Biology::draw(1, subject));
            assert_eq!((native.aorta_hu, native.vein_hu), (42.0, 42.0));
            assert!(arterial.aorta_hu > 1.3 * portal.aorta_hu && arterial.vein_hu < portal.vein_hu);
            assert!(native.liver.mean_hu < arterial.liver.mean_hu && arterial.liver.mean_hu < portal.liver.mean_hu);
            assert!((30.0..50.0).contains(&(portal.liver.mean_hu - native.liver.mean_hu)));
            assert!((native.kidney.mean_hu - 33.0).abs() < 1e-9 && (native.spleen.mean_hu - 48.0).abs() < 1e-9);
            assert_eq!(native.fat, portal.fat);
            for (early, late) in arterial.lesions.iter().zip(&portal.lesions) {
                let late = late.tissue.mean_hu - portal.liver.mean_hu;
                let ratio = (early.tissue.mean_hu - arterial.liver.mean_hu) / late;
                assert!((ratio - if late > 0.0 { 1.3 } else { 0.5 }).abs() < 1e-9);
            }
        }
    }
}
