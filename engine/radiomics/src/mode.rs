use isoscan_imaging::{Mask, Volume};
use serde_json::Value;

use crate::settings::Document;
use crate::{Error, FeatureTable, Settings, extract_all, ibsi};

/// Whose definitions the values follow, with the settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// PyRadiomics 3.1.0: names, settings and values.
    Pyradiomics(Box<Settings>),
    /// The Image Biomarker Standardisation Initiative (IBSI-1).
    Ibsi(Box<ibsi::Settings>),
}

impl Mode {
    /// The definitions' name, with the version where they have one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pyradiomics(_) => "pyradiomics 3.1.0",
            Self::Ibsi(_) => "IBSI",
        }
    }

    /// Multiplies the width of the bins by `factor`; a number of bins stays.
    pub fn widen_bins(&mut self, factor: f64) {
        match self {
            Self::Pyradiomics(settings) => settings.bin_width *= factor,
            Self::Ibsi(settings) => {
                if let ibsi::Discretisation::FixedBinSize(width) = &mut settings.discretisation {
                    *width *= factor;
                }
            }
        }
    }

    /// Features of the region `mask` of `volume`.
    ///
    /// # Errors
    /// Those of [`extract`](crate::extract) or of [`ibsi::extract`].
    pub fn extract(&self, volume: &Volume, mask: &Mask) -> Result<FeatureTable, Error> {
        match self {
            Self::Pyradiomics(settings) => crate::extract(volume, mask, settings),
            Self::Ibsi(settings) => ibsi::extract(volume, mask, settings),
        }
    }

    /// Features of several regions of one volume, in the order of `masks`.
    pub fn extract_all(&self, volume: &Volume, masks: &[&Mask]) -> Vec<Result<FeatureTable, Error>> {
        match self {
            Self::Pyradiomics(settings) => extract_all(volume, masks, settings),
            Self::Ibsi(settings) => masks.iter().map(|mask| ibsi::extract(volume, mask, settings)).collect(),
        }
    }
}

/// Reads a parameter file of either mode as it is written, YAML or JSON; no name in it is checked.
///
/// # Errors
/// [`Error::InvalidYaml`].
pub fn read_parameters(text: &str) -> Result<Value, Error> {
    Ok(Document::read(text.trim_start_matches('\u{feff}'))?.value)
}
