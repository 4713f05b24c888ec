use serde::Serialize;

/// Interpolation of the image when resampling. None filters against aliasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolator {
    /// Nearest neighbour.
    Nearest,
    /// Trilinear.
    Linear,
    /// Cubic B-spline with mirror boundary.
    BSpline,
    /// Mean under a Gaussian of 0.8 voxels, cut off at 3.2.
    Gaussian,
    /// Most frequent value under a Gaussian of one voxel, cut off there; for label images.
    LabelGaussian,
    /// Sinc function tapered to five voxels on either side.
    WindowedSinc(SincWindow),
}

/// Taper of a windowed sinc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the windows are known by their names")]
pub enum SincWindow {
    Hamming,
    Cosine,
    Welch,
    Lanczos,
    Blackman,
}

impl Interpolator {
    /// Every interpolator under SimpleITK's name, in the order of its numbers from 1.
    pub(crate) const NAMED: [(&'static str, Self); 10] = [
        ("sitkNearestNeighbor", Self::Nearest),
        ("sitkLinear", Self::Linear),
        ("sitkBSpline", Self::BSpline),
        ("sitkGaussian", Self::Gaussian),
        ("sitkLabelGaussian", Self::LabelGaussian),
        ("sitkHammingWindowedSinc", Self::WindowedSinc(SincWindow::Hamming)),
        ("sitkCosineWindowedSinc", Self::WindowedSinc(SincWindow::Cosine)),
        ("sitkWelchWindowedSinc", Self::WindowedSinc(SincWindow::Welch)),
        ("sitkLanczosWindowedSinc", Self::WindowedSinc(SincWindow::Lanczos)),
        ("sitkBlackmanWindowedSinc", Self::WindowedSinc(SincWindow::Blackman)),
    ];
}

impl Serialize for Interpolator {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = Self::NAMED.iter().find(|(_, method)| method == self).map_or("", |(name, _)| name);
        serializer.serialize_str(name)
    }
}

/// What the numbers of a resegmentation range mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResegmentMode {
    /// Intensities.
    Absolute,
    /// Shares of the region's maximum.
    Relative,
    /// Standard deviations (population) around the region's mean.
    Sigma,
}

/// Norm of the distance d that weights a direction by exp(-d²), in mm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightingNorm {
    /// Sum of the absolute components.
    Manhattan,
    /// Length.
    Euclidean,
    /// Largest absolute component.
    Infinity,
    /// Every direction weighs 1.
    NoWeighting,
}

/// An image that features are computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are PyRadiomics' own and explained there")]
pub enum ImageType {
    Original,
    LoG,
    Wavelet,
    Square,
    SquareRoot,
    Logarithm,
    Exponential,
    Gradient,
    LBP2D,
    LBP3D,
}

impl ImageType {
    /// Every image type.
    pub const ALL: [Self; 10] = [
        Self::Original,
        Self::LoG,
        Self::Wavelet,
        Self::Square,
        Self::SquareRoot,
        Self::Logarithm,
        Self::Exponential,
        Self::Gradient,
        Self::LBP2D,
        Self::LBP3D,
    ];

    /// PyRadiomics' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "Original",
            Self::LoG => "LoG",
            Self::Wavelet => "Wavelet",
            Self::Square => "Square",
            Self::SquareRoot => "SquareRoot",
            Self::Logarithm => "Logarithm",
            Self::Exponential => "Exponential",
            Self::Gradient => "Gradient",
            Self::LBP2D => "LBP2D",
            Self::LBP3D => "LBP3D",
        }
    }
}

/// Standard deviation of the Gaussian of a LoG image.
#[derive(Debug, Clone, PartialEq)]
pub struct Sigma {
    /// Millimetres.
    pub mm: f64,
    /// As Python writes it: `1` for a whole number, `1.0` for the same as a decimal. The image's name holds it.
    pub written: String,
}

impl From<f64> for Sigma {
    /// A decimal number: 1 is written `1.0`.
    fn from(mm: f64) -> Self {
        Self { mm, written: format!("{mm:?}") }
    }
}

impl Serialize for Sigma {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.written.parse::<u64>() {
            Ok(whole) => serializer.serialize_u64(whole),
            Err(_) => serializer.serialize_f64(self.mm),
        }
    }
}

/// Type of the image's voxels in its file. A [`Volume`](isoscan_imaging::Volume) is f32 whatever it came from, but
/// PyRadiomics truncates interpolated values toward zero, within the range of the stored integer type, and computes the
/// edges of a fixed bin count in f32 for an f32 image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoredType {
    /// An integer type of unlimited range when every voxel is a whole number, else [`StoredType::Float32`].
    Detect,
    /// Signed 8 bit.
    Int8,
    /// Unsigned 8 bit.
    UInt8,
    /// Signed 16 bit.
    Int16,
    /// Unsigned 16 bit.
    UInt16,
    /// Signed 32 bit.
    Int32,
    /// Unsigned 32 bit.
    UInt32,
    /// 32-bit floating point.
    Float32,
    /// 64-bit floating point.
    Float64,
}

impl StoredType {
    /// Every stored type with its name.
    pub(crate) const NAMED: [(&'static str, Self); 9] = [
        ("detect", Self::Detect),
        ("int8", Self::Int8),
        ("uint8", Self::UInt8),
        ("int16", Self::Int16),
        ("uint16", Self::UInt16),
        ("int32", Self::Int32),
        ("uint32", Self::UInt32),
        ("float32", Self::Float32),
        ("float64", Self::Float64),
    ];
}

/// What a local binary pattern of a slice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LbpMethod {
    /// The pattern's bits as a number.
    Default,
    /// The least number among the pattern's rotations.
    Ror,
    /// The number of set bits of a pattern with at most two changes, one more than all for any other.
    Uniform,
    /// The variance of the samples around the voxel.
    Var,
}
