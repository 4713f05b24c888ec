mod choices;
mod field;
mod file;
mod parse;
mod yaml;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub(crate) use field::{invalid, unknown};
pub(crate) use yaml::Document;

pub use choices::{ImageType, Interpolator, LbpMethod, ResegmentMode, Sigma, SincWindow, StoredType, WeightingNorm};

use crate::discretise::Discretisation;
use crate::roi::Resegmentation;
use crate::{Error, FeatureFamily};

/// How features are extracted, in PyRadiomics' names (camelCase in JSON) and with its defaults.
///
/// Steps act in this order: normalise, resample, resegment, filter, crop, discretise.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    #[serde(rename = "label_channel")]
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
    /// Largest difference of grey levels that still counts as dependent in a GLDM. Default 0.
    #[serde(rename = "gldm_a")]
    pub gldm_a: u32,
    /// Standard deviations of the Gaussian of the LoG images, mm. Default none, which gives no LoG image.
    pub sigma: Vec<Sigma>,
    /// Name of the discrete wavelet, as PyWavelets writes it. Default `coif1`.
    pub wavelet: String,
    /// Number of wavelet decompositions. Default 1.
    pub level: u32,
    /// First wavelet decomposition to report, from 0. Default 0.
    #[serde(rename = "start_level")]
    pub start_level: u32,
    /// Take the spacing into account for the gradient. Default true.
    pub gradient_use_spacing: bool,
    /// Radius of the circle of a local binary pattern in a slice, voxels. Default 1.
    #[serde(rename = "lbp2DRadius")]
    pub lbp_2d_radius: f64,
    /// Samples on that circle. Default 8.
    #[serde(rename = "lbp2DSamples")]
    pub lbp_2d_samples: u32,
    /// What the pattern of a slice is. Default uniform.
    #[serde(rename = "lbp2DMethod")]
    pub lbp_2d_method: LbpMethod,
    /// Bands of spherical harmonics of a local binary pattern in space. Default 2.
    #[serde(rename = "lbp3DLevels")]
    pub lbp_3d_levels: u32,
    /// Radius of the sphere that is sampled, voxels. Default 1.
    #[serde(rename = "lbp3DIcosphereRadius")]
    pub lbp_3d_icosphere_radius: f64,
    /// How often the icosahedron is subdivided to give the samples. Default 1.
    #[serde(rename = "lbp3DIcosphereSubdivision")]
    pub lbp_3d_icosphere_subdivision: u32,
    /// A feature map's kernel reaches this many voxels from its centre along every axis. Default 1.
    pub kernel_radius: u32,
    /// Only voxels of the region count in a kernel. Default true.
    pub masked_kernel: bool,
    /// Value of a feature map outside the region; may be NaN. Default 0.
    pub init_value: f64,
    /// Voxels that PyRadiomics computes at a time; no effect on any value or on memory here. Default none, for all.
    pub voxel_batch: Option<u32>,
    /// Image types in the order of the table, each with the settings that hold for it alone, by PyRadiomics' names. See
    /// [`images`](Self::images). Default [`ImageType::Original`].
    #[serde(serialize_with = "by_name")]
    pub image_types: Vec<(ImageType, Map<String, Value>)>,
    /// Families and the features wanted of each; an empty list means all but the deprecated. Default
    /// [`FeatureFamily::DEFAULT`].
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
            gldm_a: 0,
            sigma: Vec::new(),
            wavelet: "coif1".to_owned(),
            level: 1,
            start_level: 0,
            gradient_use_spacing: true,
            lbp_2d_radius: 1.0,
            lbp_2d_samples: 8,
            lbp_2d_method: LbpMethod::Uniform,
            lbp_3d_levels: 2,
            lbp_3d_icosphere_radius: 1.0,
            lbp_3d_icosphere_subdivision: 1,
            kernel_radius: 1,
            masked_kernel: true,
            init_value: 0.0,
            voxel_batch: None,
            image_types: vec![(ImageType::Original, Map::new())],
            features: FeatureFamily::DEFAULT.map(|family| (family, Vec::new())).into(),
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

    /// The image types in the order of the table, each with the settings for its images: these, changed by its own.
    ///
    /// # Errors
    /// As [`set`](Self::set), for an image type's own settings.
    pub fn images(&self) -> Result<Vec<(ImageType, Self)>, Error> {
        let for_image = |(image_type, own): &(ImageType, Map<String, Value>)| {
            let mut settings = Self { image_types: vec![(*image_type, Map::new())], ..self.clone() };
            own.iter().try_for_each(|(name, value)| settings.set(name, value))?;
            Ok((*image_type, settings))
        };
        self.image_types.iter().map(for_image).collect()
    }

    /// Refuses families and features that cannot be computed, and numbers outside their range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (&family, names) in &self.features {
            if family.named().is_empty() {
                return Err(Error::NotImplemented {
                    kind: "feature family",
                    name: family.name().to_owned(),
                    available: FeatureFamily::ALL.map(FeatureFamily::name).join(", "),
                });
            }
            names.iter().try_for_each(|name| family.require(name))?;
        }
        parse::check_ranges(self)
    }
}

/// Image types as one object, as a parameter file writes them.
fn by_name<S: Serializer>(image_types: &[(ImageType, Map<String, Value>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(image_types.iter().map(|(kind, own)| (kind.name(), own)))
}
