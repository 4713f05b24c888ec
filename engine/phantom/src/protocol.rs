use std::f64::consts::{FRAC_PI_2, PI};

use crate::Error;

/// Attenuation of water at the effective energy of all protocols, 1/mm.
///
/// The beam is taken as monochromatic at 70 keV, near the effective energy of a filtered 120 kVp spectrum behind an
/// abdomen; the mass attenuation of water there is 0.193 cm²/g (NIST, X-ray mass attenuation coefficients, table 4).
pub const MU_WATER_PER_MM: f64 = 0.0193;

/// A reconstruction kernel by its frequency response.
///
/// The transfer function of a scan with this kernel, over spatial frequency f below the cut-off `f_c`, is
///
/// `MTF(f) = (1 + E·h)·(1 - h)`, `h = sin²(π f / 2 f_c)`, and 0 above `f_c`.
///
/// `E = 0` is the Hann window; `E > 1` lifts middle frequencies above one, to `(E + 1)² / 4E`, which is the edge
/// enhancement of a sharp kernel. Filtered backprojection multiplies each view by `|f|·MTF(f)` (Kak & Slaney,
/// *Principles of Computerized Tomographic Imaging*, 1988, chapter 3), so the same curve shapes the noise power:
/// `NPS(f) ∝ |f|·MTF(f)²` (Riederer, Pelc & Chesler, Phys Med Biol 23, 1978).
///
/// Clinical kernels are quoted for pixels of about 0.7 mm. These cut-offs are about half as high, so that their
/// differences lie below the Nyquist frequency of the default 1.5 mm pixel (3.33 line pairs per cm).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Kernel {
    /// Name in the style of a scanner's console, DICOM (0018,1210).
    pub name: &'static str,
    /// `f_c`, line pairs per cm.
    pub cutoff_per_cm: f64,
    /// `E`, without unit; 0 for none.
    pub enhancement: f64,
}

impl Kernel {
    /// `MTF(f)` at a spatial frequency in line pairs per cm.
    pub fn mtf(&self, frequency_per_cm: f64) -> f64 {
        let frequency = frequency_per_cm.abs();
        if frequency >= self.cutoff_per_cm {
            return 0.0;
        }
        let h = (FRAC_PI_2 * frequency / self.cutoff_per_cm).sin().powi(2);
        (1.0 + self.enhancement * h) * (1.0 - h)
    }

    /// The frequency where `MTF = 1/2`, line pairs per cm.
    ///
    /// `1/2 = 1 + (E - 1)·h - E·h²` gives `h = (E - 1 + √((E - 1)² + 2E)) / 2E`, and `h = 1/2` for `E = 0`; then
    /// `f = (2 f_c / π)·asin √h`.
    ///
    /// ```
    /// let hann = isoscan_phantom::Kernel { name: "Hann", cutoff_per_cm: 4.0, enhancement: 0.0 };
    /// assert!((hann.mtf50_per_cm() - 2.0).abs() < 1e-12);
    /// ```
    pub fn mtf50_per_cm(&self) -> f64 {
        let e = self.enhancement;
        let h = if e == 0.0 { 0.5 } else { (e - 1.0 + ((e - 1.0).powi(2) + 2.0 * e).sqrt()) / (2.0 * e) };
        2.0 * self.cutoff_per_cm / PI * h.sqrt().asin()
    }
}

/// How a scanner makes its images: everything that tells one series of a subject from another.
///
/// Manufacturers and models are invented.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Protocol {
    /// Unique short name, e.g. `a-soft`.
    pub id: &'static str,
    /// Invented manufacturer, DICOM (0008,0070).
    pub manufacturer: &'static str,
    /// Invented model, DICOM (0008,1090).
    pub model: &'static str,
    /// One line for people, DICOM (0008,103E).
    pub description: &'static str,
    /// Tube voltage, kV, DICOM (0018,0060). It names the protocol; the physics uses `mu_water_per_mm`.
    pub kvp: f64,
    /// Tube current times time of one rotation, mAs, DICOM (0018,1152).
    pub exposure_mas: f64,
    /// The reconstruction kernel.
    pub kernel: Kernel,
    /// Width of the slice-sensitivity profile at half height, mm, DICOM (0018,0050).
    pub slice_thickness_mm: f64,
    /// Distance between slice centres, mm; not below the thickness, so that slices share no photon.
    pub slice_spacing_mm: f64,
    /// Attenuation of water at the effective energy, 1/mm.
    pub mu_water_per_mm: f64,
    /// Photons that reach one mm² of the detector per mAs without an object, all views together.
    pub photons_per_mas_mm2: f64,
    /// Standard deviation of the detector's additive noise, in photons.
    pub electronic_noise: f64,
    /// Width of a detector element at the isocentre, mm.
    pub detector_mm: f64,
    /// Views over 180°.
    pub views: usize,
}

impl Protocol {
    /// Mean photons of one ray through air: `mAs · flux · element width · slice thickness / views`.
    pub fn photons_per_ray(&self) -> f64 {
        self.exposure_mas * self.photons_per_mas_mm2 * self.detector_mm * self.slice_thickness_mm / self.views as f64
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for the first number that makes no scan.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let positive = [
            ("kernel.cutoff_per_cm", self.kernel.cutoff_per_cm),
            ("exposure_mas", self.exposure_mas),
            ("slice_thickness_mm", self.slice_thickness_mm),
            ("mu_water_per_mm", self.mu_water_per_mm),
            ("photons_per_mas_mm2", self.photons_per_mas_mm2),
            ("detector_mm", self.detector_mm),
            ("views", self.views as f64),
        ];
        for (name, found) in positive {
            if !(found.is_finite() && found > 0.0) {
                return Err(Error::InvalidArgument { name, expected: "positive and finite", found });
            }
        }
        for (name, found) in
            [("kernel.enhancement", self.kernel.enhancement), ("electronic_noise", self.electronic_noise)]
        {
            if !(found.is_finite() && found >= 0.0) {
                return Err(Error::InvalidArgument { name, expected: "zero or more", found });
            }
        }
        if !(self.slice_spacing_mm.is_finite() && self.slice_spacing_mm >= self.slice_thickness_mm) {
            let found = self.slice_spacing_mm;
            return Err(Error::InvalidArgument { name: "slice_spacing_mm", expected: "at least the thickness", found });
        }
        Ok(())
    }
}

const SOFT: Kernel = Kernel { name: "Sf30", cutoff_per_cm: 3.4, enhancement: 0.0 };
const SMOOTH: Kernel = Kernel { name: "SMOOTH", cutoff_per_cm: 3.0, enhancement: 0.0 };
const STANDARD: Kernel = Kernel { name: "STD", cutoff_per_cm: 3.8, enhancement: 0.4 };
const MEDIUM: Kernel = Kernel { name: "Md45", cutoff_per_cm: 4.0, enhancement: 0.8 };
const SHARP: Kernel = Kernel { name: "Sh60", cutoff_per_cm: 4.0, enhancement: 2.0 };
const EDGE: Kernel = Kernel { name: "EDGE+", cutoff_per_cm: 4.2, enhancement: 3.0 };

const ROUTINE: Protocol = Protocol {
    id: "a-soft",
    manufacturer: "Phantom Vendor A",
    model: "A-One",
    description: "Abdomen 5 mm soft, standard dose",
    kvp: 120.0,
    exposure_mas: 200.0,
    kernel: SOFT,
    slice_thickness_mm: 5.0,
    slice_spacing_mm: 5.0,
    mu_water_per_mm: MU_WATER_PER_MM,
    photons_per_mas_mm2: 2.4e5,
    electronic_noise: 8.0,
    detector_mm: 1.0,
    views: 480,
};

const VENDOR_B: Protocol =
    Protocol { manufacturer: "Phantom Vendor B", model: "B-Two", electronic_noise: 12.0, ..ROUTINE };
const VENDOR_C: Protocol =
    Protocol { manufacturer: "Phantom Vendor C", model: "C-Three", electronic_noise: 10.0, ..ROUTINE };
const VENDOR_D: Protocol =
    Protocol { manufacturer: "Phantom Vendor D", model: "D-Four", electronic_noise: 20.0, ..ROUTINE };

static PROTOCOLS: [Protocol; 8] = [
    ROUTINE,
    Protocol { id: "a-sharp", description: "Abdomen 5 mm sharp, standard dose", kernel: SHARP, ..ROUTINE },
    Protocol {
        id: "b-sharp-low",
        description: "Abdomen 5 mm sharp, low dose",
        exposure_mas: 100.0,
        kernel: SHARP,
        ..VENDOR_B
    },
    Protocol {
        id: "b-medium",
        description: "Abdomen 3 mm medium, standard dose",
        kernel: MEDIUM,
        slice_thickness_mm: 3.0,
        slice_spacing_mm: 3.0,
        ..VENDOR_B
    },
    Protocol {
        id: "c-standard",
        description: "Abdomen 5 mm standard, reduced dose",
        exposure_mas: 120.0,
        kernel: STANDARD,
        ..VENDOR_C
    },
    Protocol {
        id: "c-thin",
        description: "Abdomen 2 mm standard, high dose",
        exposure_mas: 280.0,
        kernel: STANDARD,
        slice_thickness_mm: 2.0,
        slice_spacing_mm: 2.0,
        ..VENDOR_C
    },
    Protocol {
        id: "d-smooth-low",
        description: "Abdomen 7.5 mm smooth, low dose",
        exposure_mas: 60.0,
        kernel: SMOOTH,
        slice_thickness_mm: 7.5,
        slice_spacing_mm: 7.5,
        ..VENDOR_D
    },
    Protocol { id: "d-edge", description: "Abdomen 5 mm edge-enhanced, standard dose", kernel: EDGE, ..VENDOR_D },
];

const CHEST_MEDIUM: Kernel = Kernel { name: "Lg50", cutoff_per_cm: 4.2, enhancement: 1.2 };

/// Chest scans share slices of 3 mm, so that groups differ by vendor, dose and kernel alone.
const CHEST: Protocol = Protocol {
    id: "g1",
    description: "Chest 3 mm medium, standard dose",
    exposure_mas: 140.0,
    kernel: CHEST_MEDIUM,
    slice_thickness_mm: 3.0,
    slice_spacing_mm: 3.0,
    ..ROUTINE
};
const CHEST_B: Protocol =
    Protocol { manufacturer: VENDOR_B.manufacturer, model: VENDOR_B.model, electronic_noise: 12.0, ..CHEST };
const CHEST_C: Protocol =
    Protocol { manufacturer: VENDOR_C.manufacturer, model: VENDOR_C.model, electronic_noise: 10.0, ..CHEST };
const CHEST_D: Protocol =
    Protocol { manufacturer: VENDOR_D.manufacturer, model: VENDOR_D.model, electronic_noise: 20.0, ..CHEST };

static CHEST_PROTOCOLS: [Protocol; 7] = [
    CHEST,
    Protocol { id: "g2", description: "Chest 3 mm medium, low dose", exposure_mas: 25.0, ..CHEST },
    Protocol { id: "g3", description: "Chest 3 mm soft, standard dose", kernel: SOFT, ..CHEST_B },
    Protocol { id: "g4", description: "Chest 3 mm sharp, low dose", exposure_mas: 40.0, kernel: SHARP, ..CHEST_B },
    Protocol {
        id: "g5",
        description: "Chest 3 mm smooth, reduced dose",
        exposure_mas: 70.0,
        kernel: SMOOTH,
        ..CHEST_C
    },
    Protocol {
        id: "g6",
        description: "Chest 3 mm standard, low dose",
        exposure_mas: 30.0,
        kernel: STANDARD,
        ..CHEST_C
    },
    Protocol { id: "g7", description: "Chest 3 mm edge-enhanced, standard dose", kernel: EDGE, ..CHEST_D },
];

/// Head scans use more dose and finer detectors than those of the trunk.
const HEAD: Protocol = Protocol {
    id: "h-a-brain",
    description: "Head 5 mm soft, standard dose",
    exposure_mas: 380.0,
    detector_mm: 0.8,
    ..ROUTINE
};
const HEAD_B: Protocol =
    Protocol { manufacturer: VENDOR_B.manufacturer, model: VENDOR_B.model, electronic_noise: 12.0, ..HEAD };
const HEAD_C: Protocol =
    Protocol { manufacturer: VENDOR_C.manufacturer, model: VENDOR_C.model, electronic_noise: 10.0, ..HEAD };

static HEAD_PROTOCOLS: [Protocol; 4] = [
    HEAD,
    Protocol {
        id: "h-a-bone",
        description: "Head 2 mm edge-enhanced, standard dose",
        kernel: EDGE,
        slice_thickness_mm: 2.0,
        slice_spacing_mm: 2.0,
        ..HEAD
    },
    Protocol {
        id: "h-b-medium",
        description: "Head 3 mm medium, standard dose",
        exposure_mas: 300.0,
        kernel: MEDIUM,
        slice_thickness_mm: 3.0,
        slice_spacing_mm: 3.0,
        ..HEAD_B
    },
    Protocol {
        id: "h-c-low",
        description: "Head 5 mm standard, low dose",
        exposure_mas: 140.0,
        kernel: STANDARD,
        ..HEAD_C
    },
];

/// Every table that [`protocol`] looks in.
static TABLES: [&[Protocol]; 3] = [&PROTOCOLS, &CHEST_PROTOCOLS, &HEAD_PROTOCOLS];

/// The abdomen protocols of the four invented vendors; they differ by kernel, dose and slice thickness.
///
/// `b-sharp-low` (source) and `a-soft` (reference) share slice thickness and spacing and differ in the rest: the pair
/// for a translation slice by slice.
pub fn protocols() -> &'static [Protocol] {
    &PROTOCOLS
}

/// The chest protocols: seven groups of vendor, dose and kernel on equal slices; `g1` is the reference.
pub fn chest_protocols() -> &'static [Protocol] {
    &CHEST_PROTOCOLS
}

/// The head protocols of three invented vendors, for [`crate::Head::anatomy`].
pub fn head_protocols() -> &'static [Protocol] {
    &HEAD_PROTOCOLS
}

/// The protocol with this id, of any body part.
///
/// # Errors
/// [`Error::UnknownProtocol`] with the ids that exist.
pub fn protocol(id: &str) -> Result<&'static Protocol, Error> {
    let all = || TABLES.iter().copied().flatten();
    all().find(|protocol| protocol.id == id).ok_or_else(|| Error::UnknownProtocol {
        expected: all().map(|protocol| protocol.id).collect::<Vec<_>>().join(", "),
        found: id.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_falls_to_half_at_the_frequency_of_its_closed_form() {
        for protocol in TABLES.iter().copied().flatten() {
            let kernel = protocol.kernel;
            assert!((kernel.mtf(kernel.mtf50_per_cm()) - 0.5).abs() < 1e-12, "{}", kernel.name);
            assert_eq!(kernel.mtf(0.0), 1.0);
            assert_eq!(kernel.mtf(kernel.cutoff_per_cm), 0.0);
        }
    }

    #[test]
    fn edge_enhancement_of_two_peaks_at_nine_eighths() {
        // h = (E - 1)/2E = 1/4, so f = f_c/3 and MTF = (1 + 1/2)(1 - 1/4) = 9/8.
        let kernel = Kernel { name: "worked", cutoff_per_cm: 3.0, enhancement: 2.0 };
        assert!((kernel.mtf(1.0) - 1.125).abs() < 1e-12);
    }

    #[test]
    fn protocols_are_valid_unique_and_differ_in_kernel_dose_and_thickness() {
        let all: Vec<&Protocol> = TABLES.iter().copied().flatten().collect();
        let mut ids: Vec<_> = all.iter().map(|p| p.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
        for (i, a) in all.iter().enumerate() {
            assert_eq!(a.check(), Ok(()));
            for b in &all[i + 1..] {
                let physics = |p: &Protocol| (p.kernel.mtf50_per_cm(), p.photons_per_ray(), p.slice_thickness_mm);
                assert_ne!(physics(a), physics(b), "{} and {}", a.id, b.id);
            }
        }
    }

    #[test]
    fn unknown_protocol_names_the_known_ones() {
        let message = protocol("z-none").unwrap_err().to_string();
        assert!(message.starts_with("no protocol z-none: expected one of a-soft, a-sharp"), "{message}");
        assert_eq!(protocol("b-sharp-low").map(|p| p.exposure_mas), Ok(100.0));
    }
}
