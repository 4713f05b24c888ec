mod parse;

use std::collections::BTreeMap;

use crate::discretise::Discretisation;
use crate::roi::Resegmentation;
use crate::{Error, FeatureFamily};

/// How features are extracted, in PyRadiomics' names (camelCase in JSON) and with its defaults.
///
/// Steps act in this order: normalise, resample, resegment, crop, discretise. Settings of PyRadiomics that touch only
/// derived image types, voxel maps or families not available here are accepted and have no effect, because the thing
/// they act on is refused.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Width of a bin, in the image's unit; edges lie at multiples of it. Default 25.
    pub bin_width: f64,
    /// Number of bins between the region's minimum and maximum; when set, `bin_width` has no effect. Default none.
    pub bin_count: Option<u32>,
    /// Subtract the whole image's mean and divide by its standard deviation (n - 1). Default false.
    pub normalize: bool,
    /// Factor after normalisation. Default 1.
    pub normalize_scale: f64,
    /// Clip the normalised image at this many standard deviations, before the factor. Default none.
    pub remove_outliers: Option<f64>,
    /// Resample to this spacing, x, y, z in mm; 0 keeps an axis. Default none.
    pub resampled_pixel_spacing: Option<[f64; 3]>,
    /// Interpolation of the image when resampling; `None` switches resampling off. Default B-spline.
    pub interpolator: Option<Interpolator>,
    /// Voxels of the new grid kept around the region when resampling. Default 5.
    pub pad_distance: u32,
    /// Crop before filtering; no effect on the original image. Default false.
    pub pre_crop: bool,
    /// Keep only voxels at or above the first and at or below the second number. Default none.
    pub resegment_range: Option<Vec<f64>>,
    /// What the numbers of `resegment_range` mean. Default absolute.
    pub resegment_mode: ResegmentMode,
    /// Compute shape on the resegmented region too. Default false.
    pub resegment_shape: bool,
    /// Label of the region in a label image; the caller makes the mask from it. Default 1.
    pub label: u32,
    /// Channel of a multi-channel mask; the caller selects it. Default 0.
    pub label_channel: u32,
    /// Axes along which the region must be longer than one voxel, 1 to 3. Default 2.
    #[serde(rename = "minimumROIDimensions")]
    pub minimum_roi_dimensions: usize,
    /// The region must have more voxels than this. Default none.
    #[serde(rename = "minimumROISize")]
    pub minimum_roi_size: Option<usize>,
    /// Allowed difference between the grids of image and mask, as a share of the image's x spacing. Default 1e-6.
    pub geometry_tolerance: f64,
    /// Bring a mask on another grid to the image's by nearest neighbour. Default false.
    pub correct_mask: bool,
    /// Distances between the voxels of a GLCM pair, in voxels by the maximum norm. Default 1.
    pub distances: Vec<u32>,
    /// Count each GLCM pair both ways. Default true.
    #[serde(rename = "symmetricalGLCM")]
    pub symmetrical_glcm: bool,
    /// Merge the directions into one GLCM with weights by distance; `None` averages features over directions.
    pub weighting_norm: Option<WeightingNorm>,
    /// Compute textures slice by slice. Default false.
    #[serde(rename = "force2D")]
    pub force_2d: bool,
    /// Axis across the slices: 0 is z, 1 is y, 2 is x. Default 0.
    #[serde(rename = "force2Ddimension")]
    pub force_2d_dimension: usize,
    /// Added to intensities for Energy, TotalEnergy and RootMeanSquared. Default 0.
    pub voxel_array_shift: f64,
    /// Count the region's parts for the diagnostics. Default true.
    pub additional_info: bool,
    /// Image types; only [`ImageType::Original`] is available. Default that one.
    pub image_types: Vec<ImageType>,
    /// Families and the features wanted of each; an empty list means all but the deprecated. Default
    /// [`FeatureFamily::AVAILABLE`].
    pub features: BTreeMap<FeatureFamily, Vec<String>>,
    /// Type of the image as stored, which decides rounding. Default [`StoredType::Detect`]. Not a PyRadiomics setting.
    pub stored_type: StoredType,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bin_width: 25.0,
            bin_count: None,
            normalize: false,
            normalize_scale: 1.0,
            remove_outliers: None,
            resampled_pixel_spacing: None,
            interpolator: Some(Interpolator::BSpline),
            pad_distance: 5,
            pre_crop: false,
            resegment_range: None,
            resegment_mode: ResegmentMode::Absolute,
            resegment_shape: false,
            label: 1,
            label_channel: 0,
            minimum_roi_dimensions: 2,
            minimum_roi_size: None,
            geometry_tolerance: 1e-6,
            correct_mask: false,
            distances: vec![1],
            symmetrical_glcm: true,
            weighting_norm: None,
            force_2d: false,
            force_2d_dimension: 0,
            voxel_array_shift: 0.0,
            additional_info: true,
            image_types: vec![ImageType::Original],
            features: FeatureFamily::AVAILABLE.map(|family| (family, Vec::new())).into(),
            stored_type: StoredType::Detect,
        }
    }
}

impl Settings {
    /// How intensities become grey levels.
    pub fn discretisation(&self) -> Discretisation {
        self.bin_count.map_or(Discretisation::BinWidth(self.bin_width), Discretisation::BinCount)
    }

    /// Which voxels resegmentation keeps.
    pub fn resegmentation(&self) -> Option<Resegmentation> {
        let range = self.resegment_range.as_ref()?;
        let mut range = range.clone();
        range.sort_by(f64::total_cmp);
        Some(Resegmentation { mode: self.resegment_mode, low: *range.first()?, high: range.get(1).copied() })
    }

    /// Refuses image types, families and features that cannot be computed, and numbers outside their range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(other) = self.image_types.iter().find(|kind| **kind != ImageType::Original) {
            return Err(Error::NotImplemented {
                kind: "image type",
                name: other.name().to_owned(),
                available: ImageType::Original.name().to_owned(),
            });
        }
        for (&family, names) in &self.features {
            if family.named().is_empty() {
                return Err(Error::NotImplemented {
                    kind: "feature family",
                    name: family.name().to_owned(),
                    available: FeatureFamily::AVAILABLE.map(FeatureFamily::name).join(", "),
                });
            }
            for name in names {
                let mut known = family.named().iter().chain(family.deprecated());
                if !known.any(|(known, _)| known == name) {
                    let known: Vec<&str> = family.features().collect();
                    return Err(Error::UnknownFeature { family, name: name.clone(), known: known.join(", ") });
                }
            }
        }
        parse::check_ranges(self)
    }
}

/// Interpolation of the image when resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Interpolator {
    /// Nearest neighbour.
    #[serde(rename = "sitkNearestNeighbor")]
    Nearest,
    /// Trilinear.
    #[serde(rename = "sitkLinear")]
    Linear,
    /// Cubic B-spline with mirror boundary.
    #[serde(rename = "sitkBSpline")]
    BSpline,
}

/// What the numbers of a resegmentation range mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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

/// Type of the image's voxels in its file. A [`Volume`](isoscan_imaging::Volume) is f32 whatever it came from, but
/// PyRadiomics truncates interpolated values toward zero, within the range of the stored integer type, and computes the
/// edges of a fixed bin count in f32 for an f32 image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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
