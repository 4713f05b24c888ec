use crate::Error;
use crate::radiograph::processing::{Curve, Processing};

/// One exposure's beam, taken as monochromatic at its effective energy.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Beam {
    /// Tube voltage, kV, DICOM (0018,0060). It names the beam; the physics uses the coefficients.
    pub kvp: f64,
    /// Effective energy, keV.
    pub effective_kev: f64,
    /// Mass attenuation coefficient of water, cm²/g.
    pub water_cm2_per_g: f64,
    /// Mass attenuation coefficient of cortical bone (ICRU-44), cm²/g.
    pub bone_cm2_per_g: f64,
    /// Photons that reach one mm² of the detector without an object and are detected.
    pub photons_per_mm2: f64,
}

/// How a radiography system makes its images. Manufacturers and models are invented.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct RadiographProtocol {
    /// Unique short name, e.g. `dx-a`.
    pub id: &'static str,
    /// Invented manufacturer, DICOM (0008,0070).
    pub manufacturer: &'static str,
    /// Invented model, DICOM (0008,1090).
    pub model: &'static str,
    /// One line for people, DICOM (0008,103E).
    pub description: &'static str,
    /// The beams of high and of low energy.
    pub beams: [Beam; 2],
    /// `k` of the scatter source `k p e⁻ᵖ`, what remains of it behind the grid.
    pub scatter: f64,
    /// Standard deviation of the Gaussian that spreads scatter, mm.
    pub scatter_mm: f64,
    /// Standard deviation of the detector's Gaussian point spread, mm: `MTF(f) = exp(-2 π² σ² f²)`.
    pub blur_mm: f64,
    /// What the workstation makes of the optical density.
    pub processing: Processing,
}

impl RadiographProtocol {
    /// # Errors
    /// [`Error::InvalidArgument`] for the first number that makes no image.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for beam in self.beams {
            for (name, found) in [
                ("water_cm2_per_g", beam.water_cm2_per_g),
                ("bone_cm2_per_g", beam.bone_cm2_per_g),
                ("photons_per_mm2", beam.photons_per_mm2),
            ] {
                if !(found.is_finite() && found > 0.0) {
                    return Err(Error::InvalidArgument { name, expected: "positive and finite", found });
                }
            }
        }
        for (name, found) in [("scatter", self.scatter), ("scatter_mm", self.scatter_mm), ("blur_mm", self.blur_mm)] {
            if !(found.is_finite() && found >= 0.0) {
                return Err(Error::InvalidArgument { name, expected: "zero or more", found });
            }
        }
        self.processing.check()
    }
}

/// Coefficients of NIST, *X-ray mass attenuation coefficients*, table 4: liquid water and cortical bone (ICRU-44).
const HIGH: Beam =
    Beam { kvp: 120.0, effective_kev: 60.0, water_cm2_per_g: 0.2059, bone_cm2_per_g: 0.3148, photons_per_mm2: 1.5e6 };
const LOW: Beam =
    Beam { kvp: 60.0, effective_kev: 40.0, water_cm2_per_g: 0.2683, bone_cm2_per_g: 0.6655, photons_per_mm2: 1.5e6 };

static PROTOCOLS: [RadiographProtocol; 2] = [
    RadiographProtocol {
        id: "dx-a",
        manufacturer: "Phantom Vendor A",
        model: "A-Ray",
        description: "Chest PA, unsharp mask and sigmoid curve",
        beams: [HIGH, LOW],
        scatter: 0.18,
        scatter_mm: 30.0,
        blur_mm: 0.5,
        processing: Processing {
            bands: [(0.0, 1.6), (12.0, 1.0)],
            base: 1.0,
            curve: Curve::Sigmoid { middle_od: 1.15, width_od: 0.28 },
        },
    },
    RadiographProtocol {
        id: "dx-b",
        manufacturer: "Phantom Vendor B",
        model: "B-Ray",
        description: "Chest PA, multi-scale contrast and straight curve",
        beams: [Beam { photons_per_mm2: 0.7e6, ..HIGH }, Beam { photons_per_mm2: 0.7e6, ..LOW }],
        scatter: 0.28,
        scatter_mm: 40.0,
        blur_mm: 0.8,
        processing: Processing {
            bands: [(2.5, 1.25), (25.0, 1.8)],
            base: 0.75,
            curve: Curve::Line { low_od: 0.1, high_od: 1.75 },
        },
    },
];

/// The two invented vendors' chest systems; they differ in dose, scatter, sharpness and processing.
pub fn radiograph_protocols() -> &'static [RadiographProtocol] {
    &PROTOCOLS
}

/// The radiography protocol with this id.
///
/// # Errors
/// [`Error::UnknownProtocol`] with the ids that exist.
pub fn radiograph_protocol(id: &str) -> Result<&'static RadiographProtocol, Error> {
    PROTOCOLS.iter().find(|protocol| protocol.id == id).ok_or_else(|| Error::UnknownProtocol {
        expected: PROTOCOLS.map(|protocol| protocol.id).join(", "),
        found: id.to_owned(),
    })
}
