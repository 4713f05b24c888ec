use std::fmt;
use std::str::FromStr;

use crate::{Error, first_order, glcm, gldm, glrlm, glszm, ngtdm, shape, shape2d};

/// A family of features; the order is that of the table.
///
#[doc = include_str!("matrices.md")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureFamily {
    /// Size and form of the region in 3-D.
    Shape,
    /// Size and form of a flat region.
    Shape2D,
    /// Statistics of the intensities, wherever they lie.
    FirstOrder,
    /// Grey level co-occurrence matrix.
    Glcm,
    /// Grey level run length matrix.
    Glrlm,
    /// Grey level size zone matrix.
    Glszm,
    /// Grey level dependence matrix.
    Gldm,
    /// Neighbouring grey tone difference matrix.
    Ngtdm,
    /// Grey level distance zone matrix.
    Gldzm,
    /// Neighbouring grey level dependence matrix.
    Ngldm,
    /// Peak intensities in a sphere of 1 cm³.
    #[serde(rename = "local_intensity")]
    LocalIntensity,
    /// Statistics of the grey levels, wherever they lie.
    #[serde(rename = "intensity_histogram")]
    IntensityHistogram,
    /// Volume at or above an intensity.
    #[serde(rename = "intensity_volume_histogram")]
    IntensityVolumeHistogram,
    /// Image and masks after each step of processing.
    Diagnostics,
}

/// A feature's name and its IBSI code, where IBSI defines the same quantity.
pub(crate) type Named = (&'static str, Option<&'static str>);

impl FeatureFamily {
    /// Every family of PyRadiomics.
    pub const ALL: [Self; 8] =
        [Self::Shape, Self::Shape2D, Self::FirstOrder, Self::Glcm, Self::Glrlm, Self::Glszm, Self::Gldm, Self::Ngtdm];

    /// Every family of the IBSI mode.
    pub const IBSI: [Self; 12] = [
        Self::Shape,
        Self::FirstOrder,
        Self::Glcm,
        Self::Glrlm,
        Self::Glszm,
        Self::Ngtdm,
        Self::Gldzm,
        Self::Ngldm,
        Self::LocalIntensity,
        Self::IntensityHistogram,
        Self::IntensityVolumeHistogram,
        Self::Diagnostics,
    ];

    /// The families of PyRadiomics that are computed when none is named: all but [`Shape2D`](Self::Shape2D).
    pub const DEFAULT: [Self; 7] =
        [Self::Shape, Self::FirstOrder, Self::Glcm, Self::Glrlm, Self::Glszm, Self::Gldm, Self::Ngtdm];

    /// PyRadiomics' name, or that of the IBSI mode.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::Shape2D => "shape2D",
            Self::FirstOrder => "firstorder",
            Self::Glcm => "glcm",
            Self::Glrlm => "glrlm",
            Self::Glszm => "glszm",
            Self::Gldm => "gldm",
            Self::Ngtdm => "ngtdm",
            Self::Gldzm => "gldzm",
            Self::Ngldm => "ngldm",
            Self::LocalIntensity => "local_intensity",
            Self::IntensityHistogram => "intensity_histogram",
            Self::IntensityVolumeHistogram => "intensity_volume_histogram",
            Self::Diagnostics => "diagnostics",
        }
    }

    /// Names of the features in table order; empty for a family that is not available.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        self.named().iter().map(|(name, _)| *name)
    }

    pub(crate) fn named(self) -> &'static [Named] {
        match self {
            Self::Shape => &shape::NAMES,
            Self::Shape2D => &shape2d::NAMES,
            Self::FirstOrder => &first_order::NAMES,
            Self::Glcm => &glcm::NAMES,
            Self::Glrlm => &glrlm::NAMES,
            Self::Glszm => &glszm::NAMES,
            Self::Gldm => &gldm::NAMES,
            Self::Ngtdm => &ngtdm::NAMES,
            _ => &[],
        }
    }

    /// Deprecated features, computed only when named.
    pub(crate) fn deprecated(self) -> &'static [Named] {
        match self {
            Self::Shape => &[("Compactness1", None), ("Compactness2", None), ("SphericalDisproportion", None)],
            Self::Shape2D => &[("SphericalDisproportion", None)],
            Self::FirstOrder => &[("StandardDeviation", None)],
            Self::Glcm => {
                &[("Dissimilarity", None), ("Homogeneity1", None), ("Homogeneity2", None), ("SumVariance", None)]
            }
            Self::Gldm => &[("DependencePercentage", None), ("GrayLevelNonUniformityNormalized", None)],
            _ => &[],
        }
    }

    /// Whether PyRadiomics knows the deprecated feature and gives no value for it: Dissimilarity is DifferenceAverage,
    /// Homogeneity1 Id, Homogeneity2 Idm, SumVariance ClusterTendency, DependencePercentage 1, and
    /// GrayLevelNonUniformityNormalized first-order Uniformity.
    pub(crate) fn is_superseded(self, name: &str) -> bool {
        matches!(self, Self::Glcm | Self::Gldm) && self.deprecated().iter().any(|(known, _)| *known == name)
    }

    /// Refuses a name that is no feature of the family.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`].
    pub(crate) fn require(self, name: &str) -> Result<(), Error> {
        let mut known = self.named().iter().chain(self.deprecated());
        if self.named().is_empty() || known.any(|(known, _)| *known == name) {
            return Ok(());
        }
        let known: Vec<&str> = self.features().collect();
        Err(Error::UnknownFeature { family: self, name: name.to_owned(), known: known.join(", ") })
    }
}

impl fmt::Display for FeatureFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FeatureFamily {
    type Err = Error;

    /// Parses PyRadiomics' name.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|family| family.name() == name).ok_or_else(|| Error::UnknownName {
            kind: "feature family",
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}
