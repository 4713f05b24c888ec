use isoscan_imaging::Volume;
use serde::{Deserialize, Serialize};

use super::IntegerScale;
use crate::Derivation;
use crate::nifti::Meaning;

/// The JSON that Isoscan puts into a picture: what PNG and TIFF have no field for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) isoscan: Meaning,
    /// Intensity of a stored number n is slope · n + intercept.
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
    /// Voxels outside the window that was stored.
    pub(crate) clipped: usize,
    pub(crate) spacing_mm: [f64; 3],
    pub(crate) origin_mm: [f64; 3],
    pub(crate) direction: [[f64; 3]; 3],
}

impl Mark {
    pub(crate) fn json(volume: &Volume, derivation: Option<&Derivation>, scale: &IntegerScale) -> String {
        let geometry = volume.geometry();
        let isoscan = Meaning {
            modality: volume.modality(),
            unit: volume.unit(),
            derivation: derivation.cloned(),
            quantised: None,
        };
        let mark = Self {
            isoscan,
            slope: scale.slope,
            intercept: scale.intercept,
            clipped: scale.clipped,
            spacing_mm: geometry.spacing_mm(),
            origin_mm: geometry.origin_mm(),
            direction: geometry.direction(),
        };
        serde_json::to_string(&mark).unwrap_or_default()
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mark: Self = serde_json::from_str(text.trim_end_matches('\0')).ok()?;
        (mark.slope != 0.0).then_some(mark)
    }
}
