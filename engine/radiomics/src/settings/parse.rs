use serde_json::Value;

use super::Settings;
use super::field::{Field, invalid, unknown};
use crate::Error;

/// Every setting of PyRadiomics.
pub(super) const SETTINGS: [&str; 37] = [
    "additionalInfo",
    "binCount",
    "binWidth",
    "correctMask",
    "distances",
    "force2D",
    "force2Ddimension",
    "geometryTolerance",
    "gldm_a",
    "gradientUseSpacing",
    "interpolator",
    "label",
    "label_channel",
    "lbp2DMethod",
    "lbp2DRadius",
    "lbp2DSamples",
    "lbp3DIcosphereRadius",
    "lbp3DIcosphereSubdivision",
    "lbp3DLevels",
    "level",
    "minimumROIDimensions",
    "minimumROISize",
    "normalize",
    "normalizeScale",
    "padDistance",
    "preCrop",
    "removeOutliers",
    "resampledPixelSpacing",
    "resegmentMode",
    "resegmentRange",
    "resegmentShape",
    "sigma",
    "start_level",
    "symmetricalGLCM",
    "voxelArrayShift",
    "wavelet",
    "weightingNorm",
];

/// Settings of feature maps, PyRadiomics' section `voxelSetting`.
pub(super) const MAP_SETTINGS: [&str; 4] = ["initValue", "kernelRadius", "maskedKernel", "voxelBatch"];

impl Settings {
    /// Sets one setting by PyRadiomics' name; null gives the value that switches it off.
    ///
    /// Beside PyRadiomics' settings there is `storedType`: see [`StoredType`](crate::StoredType).
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the nearest and all known ones, [`Error::InvalidSetting`].
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        let field = Field { name, value };
        match name {
            "additionalInfo" => self.additional_info = field.boolean()?,
            "binCount" => self.bin_count = field.optional(Field::positive_integer)?,
            "binWidth" => self.bin_width = field.number()?,
            "correctMask" => self.correct_mask = field.boolean()?,
            "distances" => self.distances = field.list(Field::positive_integer)?,
            "force2D" => self.force_2d = field.boolean()?,
            "force2Ddimension" => self.force_2d_dimension = field.integer("0 (z), 1 (y) or 2 (x)")? as usize,
            "geometryTolerance" => self.geometry_tolerance = field.optional(Field::number)?.unwrap_or(1e-6),
            "gldm_a" => self.gldm_a = field.whole()?,
            "gradientUseSpacing" => self.gradient_use_spacing = field.boolean()?,
            "initValue" => self.init_value = field.number_or_nan()?,
            "interpolator" => self.interpolator = field.optional(Field::interpolator)?,
            "kernelRadius" => self.kernel_radius = field.positive_integer()?,
            "label" => self.label = field.positive_integer()?,
            "label_channel" => self.label_channel = field.whole()?,
            "lbp2DMethod" => self.lbp_2d_method = field.lbp_method()?,
            "lbp2DRadius" => self.lbp_2d_radius = field.number()?,
            "lbp2DSamples" => self.lbp_2d_samples = field.positive_integer()?,
            "lbp3DIcosphereRadius" => self.lbp_3d_icosphere_radius = field.number()?,
            "lbp3DIcosphereSubdivision" => self.lbp_3d_icosphere_subdivision = field.whole()?,
            "lbp3DLevels" => self.lbp_3d_levels = field.positive_integer()?,
            "level" => self.level = field.positive_integer()?,
            "maskedKernel" => self.masked_kernel = field.boolean()?,
            "minimumROIDimensions" => self.minimum_roi_dimensions = field.integer("1, 2 or 3")? as usize,
            "minimumROISize" => {
                self.minimum_roi_size = field.optional(Field::positive_integer)?.map(|size| size as usize);
            }
            "normalize" => self.normalize = field.boolean()?,
            "normalizeScale" => self.normalize_scale = field.number()?,
            "padDistance" => self.pad_distance = field.whole()?,
            "preCrop" => self.pre_crop = field.boolean()?,
            "removeOutliers" => self.remove_outliers = field.optional(Field::number)?,
            "resampledPixelSpacing" => self.resampled_pixel_spacing = field.optional(Field::spacing)?,
            "resegmentMode" => self.resegment_mode = field.resegment_mode()?,
            "resegmentRange" => self.resegment_range = field.optional(|field| field.list(Field::number))?,
            "resegmentShape" => self.resegment_shape = field.boolean()?,
            "sigma" => self.sigma = field.list(Field::sigma)?,
            "start_level" => self.start_level = field.whole()?,
            "symmetricalGLCM" => self.symmetrical_glcm = field.boolean()?,
            "voxelArrayShift" => self.voxel_array_shift = field.number()?,
            "voxelBatch" => self.voxel_batch = field.voxel_batch()?,
            "wavelet" => self.wavelet = field.wavelet()?,
            "weightingNorm" => self.weighting_norm = field.optional(Field::weighting_norm)?,
            "storedType" => self.stored_type = field.stored_type()?,
            _ => return Err(unknown("setting", name, SETTINGS.into_iter().chain(MAP_SETTINGS).chain(["storedType"]))),
        }
        check_ranges(self)
    }
}

/// Refuses numbers outside their range.
pub(super) fn check_ranges(settings: &Settings) -> Result<(), Error> {
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let rows: [(&str, &'static str, bool, Value); 12] = [
        ("binWidth", "a positive number", positive(settings.bin_width), settings.bin_width.into()),
        ("normalizeScale", "a positive number", positive(settings.normalize_scale), settings.normalize_scale.into()),
        (
            "removeOutliers",
            "a positive number or null",
            settings.remove_outliers.is_none_or(positive),
            settings.remove_outliers.into(),
        ),
        (
            "geometryTolerance",
            "a number from 0",
            settings.geometry_tolerance.is_finite() && settings.geometry_tolerance >= 0.0,
            settings.geometry_tolerance.into(),
        ),
        (
            "resegmentRange",
            "one or two numbers",
            settings.resegment_range.as_ref().is_none_or(|range| matches!(range.len(), 1 | 2)),
            settings.resegment_range.clone().into(),
        ),
        (
            "resampledPixelSpacing",
            "three numbers from 0, in mm",
            settings.resampled_pixel_spacing.is_none_or(|s| s.iter().all(|s| s.is_finite() && *s >= 0.0)),
            settings.resampled_pixel_spacing.map(|s| s.to_vec()).into(),
        ),
        (
            "minimumROIDimensions",
            "1, 2 or 3",
            (1..=3).contains(&settings.minimum_roi_dimensions),
            settings.minimum_roi_dimensions.into(),
        ),
        (
            "force2Ddimension",
            "0 (z), 1 (y) or 2 (x)",
            settings.force_2d_dimension < 3,
            settings.force_2d_dimension.into(),
        ),
        (
            "distances",
            "a list of whole numbers from 1",
            !settings.distances.is_empty(),
            settings.distances.clone().into(),
        ),
        (
            "sigma",
            "a list of positive numbers, in mm",
            settings.sigma.iter().all(|sigma| positive(sigma.mm)),
            settings.sigma.iter().map(|sigma| sigma.mm).collect(),
        ),
        ("lbp2DRadius", "a positive number", positive(settings.lbp_2d_radius), settings.lbp_2d_radius.into()),
        (
            "lbp3DIcosphereRadius",
            "a positive number",
            positive(settings.lbp_3d_icosphere_radius),
            settings.lbp_3d_icosphere_radius.into(),
        ),
    ];
    match rows.into_iter().find(|(_, _, legal, _)| !legal) {
        Some((name, expected, _, found)) => Err(invalid(name, expected, &found)),
        None => Ok(()),
    }
}
