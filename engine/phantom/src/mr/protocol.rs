use crate::mr::kspace::KspaceWindow;
use crate::mr::motion::Motion;
use crate::mr::receive::Receive;
use crate::{Error, Sequence, SliceProfile};

/// How the third axis is resolved.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(tag = "encoding", rename_all = "kebab-case")]
pub enum Encoding {
    /// Slice by slice: the profile of the excitation averages along z.
    Slices {
        /// Width of the profile at half height, mm, DICOM (0018,0050).
        thickness_mm: f64,
        /// Distance between slice centres, mm, DICOM (0018,0088).
        spacing_mm: f64,
        /// Shape of the profile.
        profile: SliceProfile,
    },
    /// As a volume: z is sampled in k-space as x and y are.
    Volume {
        /// Size of a voxel along z, mm.
        partition_mm: f64,
    },
}

/// How an MR scanner makes an image: everything that tells one series of a head from another.
///
/// Manufacturers and models are invented.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MrProtocol {
    /// Unique short name: scanner and contrast, e.g. `a30-flair`.
    pub id: String,
    /// Invented manufacturer, DICOM (0008,0070).
    pub manufacturer: &'static str,
    /// Invented model, DICOM (0008,1090).
    pub model: &'static str,
    /// One line for people, DICOM (0008,103E).
    pub description: String,
    /// Field strength, T, DICOM (0018,0087).
    pub field_tesla: f64,
    /// Pulse sequence and its times.
    pub sequence: Sequence,
    /// Share of the signal of fat and of the skull's marrow that is suppressed, 0 to 1.
    pub fat_suppression: f64,
    /// Contrast agent given before, in standard doses; 0 for none.
    pub contrast_dose: f64,
    /// Acquired in-plane resolution along x and y, mm. The matrix is the field of view over it, and not above that of the
    /// image, which is filled with zeros in k-space.
    pub resolution_mm: [f64; 2],
    /// How z is resolved.
    pub encoding: Encoding,
    /// Weights on k-space.
    pub window: KspaceWindow,
    /// Standard deviation of the noise in the real and in the imaginary image, in units of the fully relaxed signal of
    /// pure water.
    pub noise: f64,
    /// Receive coils.
    pub receive: Receive,
    /// Intensity of the fully relaxed signal of pure water.
    pub gain: f64,
    /// Movement of the head during the scan.
    pub motion: Option<Motion>,
}

/// The facts of an acquisition that a DICOM header tells.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MrFacts {
    /// (0008,0070).
    pub manufacturer: &'static str,
    /// (0008,1090).
    pub model: &'static str,
    /// (0008,103E).
    pub series_description: String,
    /// (0018,1030).
    pub protocol_name: String,
    /// (0018,0087), T.
    pub magnetic_field_strength_tesla: f64,
    /// (0018,0020): SE, IR or GR.
    pub scanning_sequence: &'static str,
    /// (0018,0021): SP for spoiled, NONE.
    pub sequence_variant: &'static str,
    /// (0018,0022): FS for suppressed fat, empty for none.
    pub scan_options: &'static str,
    /// (0018,0023): 2D or 3D.
    pub acquisition_type: &'static str,
    /// (0018,0024).
    pub sequence_name: &'static str,
    /// (0018,0080), ms.
    pub repetition_time_ms: f64,
    /// (0018,0081), ms.
    pub echo_time_ms: f64,
    /// Times from the inversions to the excitation, ms, the longest first; the first is (0018,0082).
    pub inversion_times_ms: Vec<f64>,
    /// (0018,1314), degrees.
    pub flip_angle_deg: f64,
    /// (0018,9087), s/mm².
    pub diffusion_b_s_per_mm2: f64,
    /// (0018,0050), mm.
    pub slice_thickness_mm: f64,
    /// (0018,0088), mm.
    pub spacing_between_slices_mm: f64,
    /// Whether a contrast agent was given, (0018,0010).
    pub contrast_agent: bool,
    /// Acquired in-plane resolution along x and y, mm.
    pub resolution_mm: [f64; 2],
}

impl MrProtocol {
    /// The same with slices (or partitions) of this thickness that touch, mm.
    #[must_use]
    pub fn with_slices(mut self, thickness_mm: f64) -> Self {
        self.encoding = match self.encoding {
            Encoding::Slices { profile, .. } => Encoding::Slices { thickness_mm, spacing_mm: thickness_mm, profile },
            Encoding::Volume { .. } => Encoding::Volume { partition_mm: thickness_mm },
        };
        self
    }

    /// The same with another in-plane resolution along x and y, mm.
    #[must_use]
    pub fn with_resolution(mut self, resolution_mm: [f64; 2]) -> Self {
        self.resolution_mm = resolution_mm;
        self
    }

    /// The same with another standard deviation of the noise; 0 for none.
    #[must_use]
    pub fn with_noise(mut self, noise: f64) -> Self {
        self.noise = noise;
        self
    }

    /// The same while the head moves.
    #[must_use]
    pub fn with_motion(mut self, motion: Motion) -> Self {
        self.motion = Some(motion);
        self
    }

    /// Distance between slice centres, mm.
    pub fn slice_spacing_mm(&self) -> f64 {
        match self.encoding {
            Encoding::Slices { spacing_mm, .. } => spacing_mm,
            Encoding::Volume { partition_mm } => partition_mm,
        }
    }

    /// What a DICOM header tells of the acquisition.
    pub fn facts(&self) -> MrFacts {
        let (scanning_sequence, sequence_variant, sequence_name) = match self.sequence {
            Sequence::SpinEcho { b_s_per_mm2, .. } if b_s_per_mm2 > 0.0 => ("SE", "NONE", "dw2d"),
            Sequence::SpinEcho { .. } => ("SE", "NONE", "se2d"),
            Sequence::InversionRecovery { .. } => ("IR", "NONE", "ir2d"),
            Sequence::DoubleInversion { .. } => ("IR", "NONE", "dir2d"),
            Sequence::SpoiledGradientEcho { .. } => ("GR", "SP", "spgr"),
        };
        let (acquisition_type, slice_thickness_mm) = match self.encoding {
            Encoding::Slices { thickness_mm, .. } => ("2D", thickness_mm),
            Encoding::Volume { partition_mm } => ("3D", partition_mm),
        };
        let diffusion_b_s_per_mm2 =
            if let Sequence::SpinEcho { b_s_per_mm2, .. } = self.sequence { b_s_per_mm2 } else { 0.0 };
        MrFacts {
            manufacturer: self.manufacturer,
            model: self.model,
            series_description: self.description.clone(),
            protocol_name: self.id.clone(),
            magnetic_field_strength_tesla: self.field_tesla,
            scanning_sequence,
            sequence_variant,
            scan_options: if self.fat_suppression > 0.5 { "FS" } else { "" },
            acquisition_type,
            sequence_name,
            repetition_time_ms: self.sequence.tr_ms(),
            echo_time_ms: self.sequence.te_ms(),
            inversion_times_ms: self.sequence.inversion_times_ms(),
            flip_angle_deg: self.sequence.flip_deg(),
            diffusion_b_s_per_mm2,
            slice_thickness_mm,
            spacing_between_slices_mm: self.slice_spacing_mm(),
            contrast_agent: self.contrast_dose > 0.0,
            resolution_mm: self.resolution_mm,
        }
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for the first number that makes no scan.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let times = self.sequence.inversion_times_ms();
        let after = self.sequence.tr_ms() - times.first().copied().unwrap_or(0.0) - 0.5 * self.sequence.te_ms();
        let thickness = match self.encoding {
            Encoding::Slices { thickness_mm, .. } => thickness_mm,
            Encoding::Volume { partition_mm } => partition_mm,
        };
        let positive = [
            ("field_tesla", self.field_tesla),
            ("tr_ms beyond the last pulse", after),
            ("resolution_mm", self.resolution_mm[0]),
            ("resolution_mm", self.resolution_mm[1]),
            ("slice thickness", thickness),
            ("slice spacing", self.slice_spacing_mm()),
            ("gain", self.gain),
            ("receive.elements", self.receive.elements as f64),
            ("receive.ring_mm", self.receive.ring_mm),
            ("receive.loop_mm", self.receive.loop_mm),
        ];
        let mut not_negative = vec![
            ("te_ms", self.sequence.te_ms()),
            ("contrast_dose", self.contrast_dose),
            ("noise", self.noise),
            ("receive.strength", self.receive.strength),
            ("receive.dielectric", self.receive.dielectric),
        ];
        not_negative.extend(times.iter().map(|&ti| ("ti_ms", ti)));
        if let Some(motion) = &self.motion {
            not_negative.push(("motion.translation_mm", motion.translation_mm));
            not_negative.push(("motion.rotation_deg", motion.rotation_deg));
            not_negative.push(("motion.shots", f64::from(motion.shots) - 1.0));
        }
        let shots = self.motion.map_or(1, |motion| motion.shots);
        let limited = [
            ("fat_suppression", self.fat_suppression, 1.0, "0 to 1"),
            ("receive.elements", self.receive.elements as f64, 128.0, "1 to 128"),
            ("motion.shots", f64::from(shots), 1024.0, "1 to 1024"),
        ];
        if let Some(&(name, found, _, expected)) = limited.iter().find(|(_, v, most, _)| !(0.0..=*most).contains(v)) {
            return Err(Error::InvalidArgument { name, expected, found });
        }
        if let Some(&(name, found)) = positive.iter().find(|(_, v)| !(v.is_finite() && *v > 0.0)) {
            return Err(Error::InvalidArgument { name, expected: "positive and finite", found });
        }
        if let Some(&(name, found)) = not_negative.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            return Err(Error::InvalidArgument { name, expected: "zero or more", found });
        }
        Ok(())
    }
}
