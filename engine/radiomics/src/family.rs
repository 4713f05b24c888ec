use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A family of features; the order is that of the table.
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
}

/// A feature's name and its IBSI code, where IBSI defines the same quantity.
pub(crate) type Named = (&'static str, Option<&'static str>);

impl FeatureFamily {
    /// Every family.
    pub const ALL: [Self; 8] =
        [Self::Shape, Self::Shape2D, Self::FirstOrder, Self::Glcm, Self::Glrlm, Self::Glszm, Self::Gldm, Self::Ngtdm];

    /// The families that [`extract`](crate::extract) computes.
    pub const AVAILABLE: [Self; 3] = [Self::Shape, Self::FirstOrder, Self::Glcm];

    /// PyRadiomics' name.
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
        }
    }

    /// Names of the features in table order; empty for a family that is not available.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        self.named().iter().map(|(name, _)| *name)
    }

    pub(crate) fn named(self) -> &'static [Named] {
        match self {
            Self::Shape => &SHAPE,
            Self::FirstOrder => &FIRST_ORDER,
            Self::Glcm => &GLCM,
            _ => &[],
        }
    }

    /// Deprecated features, computed only when named.
    pub(crate) fn deprecated(self) -> &'static [Named] {
        match self {
            Self::FirstOrder => &[("StandardDeviation", None)],
            _ => &[],
        }
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

/// Alphabetical, as PyRadiomics reports them.
pub(crate) const FIRST_ORDER: [Named; 18] = [
    ("10Percentile", Some("QG58")),
    ("90Percentile", Some("8DWT")),
    ("Energy", Some("N8CA")),
    ("Entropy", Some("TLU2")),
    ("InterquartileRange", Some("SALO")),
    ("Kurtosis", Some("IPH6")),
    ("Maximum", Some("84IY")),
    ("MeanAbsoluteDeviation", Some("4FUA")),
    ("Mean", Some("Q4LE")),
    ("Median", Some("Y12H")),
    ("Minimum", Some("1GSF")),
    ("Range", Some("2OJQ")),
    ("RobustMeanAbsoluteDeviation", Some("1128")),
    ("RootMeanSquared", Some("5ZWQ")),
    ("Skewness", Some("KE2A")),
    ("TotalEnergy", None),
    ("Uniformity", Some("BJ5W")),
    ("Variance", Some("ECT3")),
];

/// Alphabetical.
pub(crate) const SHAPE: [Named; 14] = [
    ("Elongation", Some("Q3CK")),
    ("Flatness", Some("N17B")),
    ("LeastAxisLength", Some("7J51")),
    ("MajorAxisLength", Some("TDIC")),
    ("Maximum2DDiameterColumn", None),
    ("Maximum2DDiameterRow", None),
    ("Maximum2DDiameterSlice", None),
    ("Maximum3DDiameter", Some("L0JK")),
    ("MeshVolume", Some("RNU0")),
    ("MinorAxisLength", Some("P9VJ")),
    ("Sphericity", Some("QCFX")),
    ("SurfaceArea", Some("C0JK")),
    ("SurfaceVolumeRatio", Some("2PR5")),
    ("VoxelVolume", Some("YEKZ")),
];

/// Alphabetical.
pub(crate) const GLCM: [Named; 24] = [
    ("Autocorrelation", Some("QWB0")),
    ("ClusterProminence", Some("AE86")),
    ("ClusterShade", Some("7NFM")),
    ("ClusterTendency", Some("DG8W")),
    ("Contrast", Some("ACUI")),
    ("Correlation", Some("NI2N")),
    ("DifferenceAverage", Some("TF7R")),
    ("DifferenceEntropy", Some("NTRS")),
    ("DifferenceVariance", Some("D3YU")),
    ("Id", Some("IB1Z")),
    ("Idm", Some("WF0Z")),
    ("Idmn", Some("1QCO")),
    ("Idn", Some("NDRX")),
    ("Imc1", Some("R8DG")),
    ("Imc2", Some("JN9H")),
    ("InverseVariance", Some("E8JP")),
    ("JointAverage", Some("60VM")),
    ("JointEnergy", Some("8ZQL")),
    ("JointEntropy", Some("TU9B")),
    ("MCC", None),
    ("MaximumProbability", Some("GYBY")),
    ("SumAverage", Some("ZGXS")),
    ("SumEntropy", Some("P6QZ")),
    ("SumSquares", Some("UR99")),
];
