use std::collections::BTreeSet;

use crate::FeatureFamily;
use crate::filters::Filter;

/// How features are extracted by the definitions of IBSI-1, in the order of its processing scheme: interpolate, round,
/// resegment, filter, discretise.
///
/// As JSON or YAML the names are those of the fields; what is not named keeps its default, and unknown names are refused
/// with the known ones.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Interpolation to another spacing. Default none.
    pub resampling: Option<Resampling>,
    /// Which voxels of the region are kept for the intensity mask. Default all.
    pub resegmentation: Resegmentation,
    /// Convolutional filter of IBSI-2 on the interpolated image. All families but shape and diagnostics then speak of its
    /// response in the intensity mask, which still comes from the image; their names begin with [`Filter::prefix`].
    /// Default none.
    pub filter: Option<Filter>,
    /// How intensities become grey levels for the intensity histogram and the textures. Default none.
    pub discretisation: Discretisation,
    /// How intensities are discretised for the intensity-volume histogram. Default none.
    pub volume_histogram: Discretisation,
    /// Distance between the voxels of a GLCM pair, in voxels by the Chebyshev norm. Default 1.
    pub glcm_distance: u32,
    /// Reach of an NGTDM neighbourhood, in voxels by the Chebyshev norm. Default 1.
    pub ngtdm_distance: u32,
    /// Reach of an NGLDM neighbourhood, in voxels by the Chebyshev norm. Default 1.
    pub ngldm_distance: u32,
    /// Coarseness α of the NGLDM: levels that differ by at most this depend on each other. Default 0.
    pub ngldm_coarseness: u32,
    /// Families to compute. Default all.
    pub families: BTreeSet<FeatureFamily>,
    /// Ways to aggregate texture matrices. Default all.
    pub aggregations: BTreeSet<Aggregation>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            resampling: None,
            resegmentation: Resegmentation::default(),
            filter: None,
            discretisation: Discretisation::None,
            volume_histogram: Discretisation::None,
            glcm_distance: 1,
            ngtdm_distance: 1,
            ngldm_distance: 1,
            ngldm_coarseness: 0,
            families: FeatureFamily::IBSI.into(),
            aggregations: Aggregation::ALL.into(),
        }
    }
}

/// Interpolation onto a grid whose centre is the centre of the image.
///
/// An axis of n voxels at spacing s gets ⌈n·s/s'⌉ voxels at the new spacing s'.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resampling {
    /// New spacing, x, y, z in mm; 0 keeps an axis: `[2, 2, 0]` interpolates within slices only.
    pub spacing_mm: [f64; 3],
    /// Interpolation of the image. Default linear.
    pub image: ImageInterpolation,
    /// Round interpolated intensities to whole numbers, halves to even; for images in Hounsfield units. Default false.
    pub round: bool,
    /// Interpolation of the mask. Default linear.
    pub mask: MaskInterpolation,
    /// Share of the region from which on an interpolated voxel belongs to it. Default 0.5.
    pub mask_threshold: f64,
}

impl Default for Resampling {
    /// Keeps every axis.
    fn default() -> Self {
        Self {
            spacing_mm: [0.0; 3],
            image: ImageInterpolation::Linear,
            round: false,
            mask: MaskInterpolation::Linear,
            mask_threshold: 0.5,
        }
    }
}

/// Interpolation of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageInterpolation {
    /// Nearest neighbour.
    Nearest,
    /// Trilinear.
    #[default]
    Linear,
    /// Cubic B-spline.
    CubicSpline,
}

/// Interpolation of the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskInterpolation {
    /// Nearest neighbour.
    Nearest,
    /// Trilinear, then the threshold.
    #[default]
    Linear,
}

/// Which voxels of the region form the intensity mask; the morphological mask keeps all.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resegmentation {
    /// Lowest and highest intensity kept; `None` is open. Default open.
    pub range: [Option<f64>; 2],
    /// Keep intensities within this many population standard deviations of the mean, both taken over what the range
    /// keeps. Default none.
    pub outliers_sd: Option<f64>,
}

/// How intensities become grey levels 1, 2, ...
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discretisation {
    /// The intensities are the levels: whole numbers from 1.
    #[default]
    None,
    /// Bins of this width, ⌊(x - low) / width⌋ + 1, where low is the lower bound of the resegmentation range, or the
    /// region's minimum where that is open.
    FixedBinSize(f64),
    /// This many equal bins from the region's minimum to its maximum, ⌊n (x - min) / (max - min)⌋ + 1, n at the maximum.
    FixedBinNumber(u32),
}

/// How matrices of slices and directions become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Aggregation {
    /// Per slice and direction, averaged; for families without directions per slice, averaged.
    #[serde(rename = "2D_avg")]
    SliceAveraged,
    /// Directions of a slice merged, averaged over slices.
    #[serde(rename = "2D_comb")]
    SliceMerged,
    /// Slices merged per direction, averaged over directions; for families without directions slices merged.
    #[serde(rename = "2_5D_avg")]
    DirectionMerged,
    /// Slices and directions within them merged.
    #[serde(rename = "2_5D_comb")]
    PlanesMerged,
    /// Per direction of space, averaged; for families without directions in space.
    #[serde(rename = "3D_avg")]
    VolumeAveraged,
    /// Directions of space merged.
    #[serde(rename = "3D_comb")]
    VolumeMerged,
}

impl Aggregation {
    /// Every way.
    pub const ALL: [Self; 6] = [
        Self::SliceAveraged,
        Self::SliceMerged,
        Self::DirectionMerged,
        Self::PlanesMerged,
        Self::VolumeAveraged,
        Self::VolumeMerged,
    ];

    /// The end of a feature's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::SliceAveraged => "2D_avg",
            Self::SliceMerged => "2D_comb",
            Self::DirectionMerged => "2_5D_avg",
            Self::PlanesMerged => "2_5D_comb",
            Self::VolumeAveraged => "3D_avg",
            Self::VolumeMerged => "3D_comb",
        }
    }
}
