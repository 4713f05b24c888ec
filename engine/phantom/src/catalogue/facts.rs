use serde::Serialize;

/// What a header tells of an acquisition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// One line for people.
    pub description: String,
    /// Invented manufacturer.
    pub manufacturer: &'static str,
    /// Invented model.
    pub model: &'static str,
    /// The body part in the words of DICOM.
    pub body_part: &'static str,
    /// Slice thickness, mm.
    pub thickness_mm: f64,
    /// Contrast medium; empty for none.
    pub contrast_agent: &'static str,
    /// Number of the series within the study, one per protocol.
    pub series_number: u32,
    /// Folder and ending that BIDS gives such an image, e.g. `anat` and `T1w`.
    pub bids: [&'static str; 2],
    /// What the modality has of its own.
    pub acquired: Acquired,
}

/// How an image was acquired.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acquired {
    /// CT.
    Ct {
        /// Kernel.
        kernel: &'static str,
        /// Tube voltage, kV.
        kvp: f64,
        /// mAs.
        exposure_mas: f64,
    },
    /// MR.
    Mr {
        /// Scanning sequence in the words of DICOM, such as `SE`.
        sequence: &'static str,
        /// Sequence variant in the words of DICOM, such as `SP`.
        variant: &'static str,
        /// Measured in three dimensions.
        volumetric: bool,
        /// Repetition time, ms.
        tr_ms: f64,
        /// Echo time, ms.
        te_ms: f64,
        /// Inversion time, ms.
        ti_ms: Option<f64>,
        /// Flip angle, degrees.
        flip_deg: f64,
        /// Field strength, T.
        field_tesla: f64,
    },
    /// PET.
    Pt {
        /// Radiopharmaceutical.
        tracer: &'static str,
    },
    /// Radiograph.
    Dx {
        /// Tube voltage, kV.
        kvp: f64,
        /// Whether bone is bright.
        bright_is_dense: bool,
    },
}

impl Facts {
    /// The facts of a CT under a protocol.
    pub(crate) fn ct(protocol: &crate::Protocol, body_part: &'static str, series_number: u32) -> Self {
        Self {
            description: protocol.description.to_owned(),
            manufacturer: protocol.manufacturer,
            model: protocol.model,
            body_part,
            thickness_mm: protocol.slice_thickness_mm,
            contrast_agent: "",
            series_number,
            bids: ["ct", "ct"],
            acquired: Acquired::Ct {
                kernel: protocol.kernel.name,
                kvp: protocol.kvp,
                exposure_mas: protocol.exposure_mas,
            },
        }
    }
}
