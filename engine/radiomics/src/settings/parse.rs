use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ImageType, Interpolator, ResegmentMode, Settings, StoredType, WeightingNorm};
use crate::{Error, FeatureFamily};

/// Every setting that has an effect here.
const SETTINGS: [&str; 25] = [
    "additionalInfo",
    "binCount",
    "binWidth",
    "correctMask",
    "distances",
    "force2D",
    "force2Ddimension",
    "geometryTolerance",
    "interpolator",
    "label",
    "label_channel",
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
    "symmetricalGLCM",
    "voxelArrayShift",
    "weightingNorm",
];

/// Settings that act only on derived images, voxel maps or families that are refused.
const WITHOUT_EFFECT: [&str; 16] = [
    "gldm_a",
    "gradientUseSpacing",
    "initValue",
    "kernelRadius",
    "lbp2DMethod",
    "lbp2DRadius",
    "lbp2DSamples",
    "lbp3DIcosphereRadius",
    "lbp3DIcosphereSubdivision",
    "lbp3DLevels",
    "level",
    "maskedKernel",
    "sigma",
    "start_level",
    "voxelBatch",
    "wavelet",
];

/// Sections of a PyRadiomics parameter file.
const SECTIONS: [&str; 4] = ["setting", "featureClass", "imageType", "voxelSetting"];

impl Settings {
    /// Reads settings from JSON: either one object of settings by PyRadiomics' names, or the sections `setting`,
    /// `featureClass` and `imageType` of a PyRadiomics parameter file. What is not named keeps its default.
    ///
    /// Beside PyRadiomics' settings there is `storedType`: see [`StoredType`].
    ///
    /// # Errors
    /// [`Error::InvalidJson`], [`Error::UnknownName`] with the list of known ones, [`Error::InvalidSetting`].
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let value: Value =
            serde_json::from_str(json).map_err(|e| Error::InvalidJson { line: e.line(), column: e.column() })?;
        let Value::Object(map) = value else {
            return Err(invalid("(document)", "an object", &value));
        };
        let mut settings = Self::default();
        if !SECTIONS.iter().any(|section| map.contains_key(*section)) {
            settings.set_all(&map)?;
            return Ok(settings);
        }
        for (section, content) in &map {
            match (section.as_str(), content) {
                ("setting", Value::Object(map)) => settings.set_all(map)?,
                ("featureClass", content) => settings.features = families(content)?,
                ("imageType", content) => settings.image_types = image_types(content)?,
                ("voxelSetting", _) | (_, Value::Null) if SECTIONS.contains(&section.as_str()) => {}
                ("setting", other) => return Err(invalid("setting", "an object of settings", other)),
                _ => return Err(unknown("section", section, SECTIONS.iter().copied())),
            }
        }
        Ok(settings)
    }

    fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Error> {
        map.iter().try_for_each(|(name, value)| self.set(name, value))
    }

    /// Sets one setting by PyRadiomics' name; null gives the value that switches it off.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the list of known ones, [`Error::InvalidSetting`].
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
            "interpolator" => self.interpolator = field.optional(Field::interpolator)?,
            "label" => self.label = field.positive_integer()?,
            "label_channel" => self.label_channel = field.integer("a whole number from 0")?,
            "minimumROIDimensions" => self.minimum_roi_dimensions = field.integer("1, 2 or 3")? as usize,
            "minimumROISize" => {
                self.minimum_roi_size = field.optional(Field::positive_integer)?.map(|size| size as usize);
            }
            "normalize" => self.normalize = field.boolean()?,
            "normalizeScale" => self.normalize_scale = field.number()?,
            "padDistance" => self.pad_distance = field.integer("a whole number from 0")?,
            "preCrop" => self.pre_crop = field.boolean()?,
            "removeOutliers" => self.remove_outliers = field.optional(Field::number)?,
            "resampledPixelSpacing" => self.resampled_pixel_spacing = field.optional(Field::spacing)?,
            "resegmentMode" => self.resegment_mode = field.resegment_mode()?,
            "resegmentRange" => self.resegment_range = field.optional(|field| field.list(Field::number))?,
            "resegmentShape" => self.resegment_shape = field.boolean()?,
            "symmetricalGLCM" => self.symmetrical_glcm = field.boolean()?,
            "voxelArrayShift" => self.voxel_array_shift = field.number()?,
            "weightingNorm" => self.weighting_norm = field.optional(Field::weighting_norm)?,
            "storedType" => self.stored_type = field.stored_type()?,
            _ if WITHOUT_EFFECT.contains(&name) => {}
            _ => {
                let known = SETTINGS.iter().chain(&WITHOUT_EFFECT).copied().chain(["storedType"]);
                return Err(unknown("setting", name, known));
            }
        }
        check_ranges(self)
    }
}

/// Refuses numbers outside their range.
pub(super) fn check_ranges(settings: &Settings) -> Result<(), Error> {
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let rows: [(&str, &'static str, bool, Value); 9] = [
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
    ];
    match rows.into_iter().find(|(_, _, legal, _)| !legal) {
        Some((name, expected, _, found)) => Err(invalid(name, expected, &found)),
        None => Ok(()),
    }
}

/// A setting's name and the value to read.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    value: &'a Value,
}

impl Field<'_> {
    fn refuse<T>(self, expected: &'static str) -> Result<T, Error> {
        Err(invalid(self.name, expected, self.value))
    }

    fn optional<T>(self, read: impl Fn(Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        if self.value.is_null() { Ok(None) } else { read(self).map(Some) }
    }

    fn boolean(self) -> Result<bool, Error> {
        self.value.as_bool().map_or_else(|| self.refuse("true or false"), Ok)
    }

    fn number(self) -> Result<f64, Error> {
        self.value.as_f64().filter(|x| x.is_finite()).map_or_else(|| self.refuse("a number"), Ok)
    }

    fn integer(self, expected: &'static str) -> Result<u32, Error> {
        let whole = self.value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x));
        whole.map_or_else(|| self.refuse(expected), |x| Ok(x as u32))
    }

    fn positive_integer(self) -> Result<u32, Error> {
        match self.integer("a whole number from 1")? {
            0 => self.refuse("a whole number from 1"),
            number => Ok(number),
        }
    }

    fn list<T>(self, read: impl Fn(Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let Value::Array(values) = self.value else {
            return self.refuse("a list of numbers");
        };
        values.iter().map(|value| read(Field { name: self.name, value })).collect()
    }

    fn spacing(self) -> Result<[f64; 3], Error> {
        let spacing = self.list(Field::number)?;
        spacing.try_into().or_else(|_| self.refuse("three numbers from 0, in mm"))
    }

    fn one_of<T: Copy>(self, kind: &'static str, named: &[(&'static str, T)]) -> Result<T, Error> {
        let Value::String(name) = self.value else {
            return self.refuse("a name");
        };
        let found = named.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        found.ok_or_else(|| unknown(kind, name, named.iter().map(|(known, _)| *known)))
    }

    fn interpolator(self) -> Result<Interpolator, Error> {
        // PyRadiomics also takes SimpleITK's enumeration numbers.
        let by_number = match self.value.as_u64() {
            Some(1) => Some(Interpolator::Nearest),
            Some(2) => Some(Interpolator::Linear),
            Some(3) => Some(Interpolator::BSpline),
            _ => None,
        };
        let named = [
            ("sitkNearestNeighbor", Interpolator::Nearest),
            ("sitkLinear", Interpolator::Linear),
            ("sitkBSpline", Interpolator::BSpline),
        ];
        by_number.map_or_else(|| self.one_of("interpolator", &named), Ok)
    }

    fn resegment_mode(self) -> Result<ResegmentMode, Error> {
        let named = [
            ("absolute", ResegmentMode::Absolute),
            ("relative", ResegmentMode::Relative),
            ("sigma", ResegmentMode::Sigma),
        ];
        self.one_of("resegmentMode", &named)
    }

    fn weighting_norm(self) -> Result<WeightingNorm, Error> {
        let named = [
            ("manhattan", WeightingNorm::Manhattan),
            ("euclidean", WeightingNorm::Euclidean),
            ("infinity", WeightingNorm::Infinity),
            ("no_weighting", WeightingNorm::NoWeighting),
        ];
        self.one_of("weightingNorm", &named)
    }

    fn stored_type(self) -> Result<StoredType, Error> {
        self.one_of("storedType", &StoredType::NAMED)
    }
}

/// Families and feature names: a list of families, or families with null, `"all"` or a list of names.
fn families(content: &Value) -> Result<BTreeMap<FeatureFamily, Vec<String>>, Error> {
    let expected = "families with null or a list of feature names";
    match content {
        Value::Array(names) => names
            .iter()
            .map(|name| match name {
                Value::String(name) => Ok((name.parse()?, Vec::new())),
                other => Err(invalid("featureClass", expected, other)),
            })
            .collect(),
        Value::Object(map) => {
            map.iter().map(|(family, names)| Ok((family.parse()?, feature_names(names, expected)?))).collect()
        }
        other => Err(invalid("featureClass", expected, other)),
    }
}

fn feature_names(names: &Value, expected: &'static str) -> Result<Vec<String>, Error> {
    match names {
        Value::Null => Ok(Vec::new()),
        Value::String(all) if all == "all" => Ok(Vec::new()),
        Value::Array(names) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(|| invalid("featureClass", expected, name)))
            .collect(),
        other => Err(invalid("featureClass", expected, other)),
    }
}

fn image_types(content: &Value) -> Result<Vec<ImageType>, Error> {
    let expected = "image types with their own settings";
    let names: Vec<&str> = match content {
        Value::Object(map) => map.keys().map(String::as_str).collect(),
        Value::Array(names) => names
            .iter()
            .map(|name| name.as_str().ok_or_else(|| invalid("imageType", expected, name)))
            .collect::<Result<_, _>>()?,
        other => return Err(invalid("imageType", expected, other)),
    };
    names
        .into_iter()
        .map(|name| {
            let found = ImageType::ALL.into_iter().find(|kind| kind.name() == name);
            found.ok_or_else(|| unknown("image type", name, ImageType::ALL.into_iter().map(ImageType::name)))
        })
        .collect()
}

fn invalid(name: &str, expected: &'static str, found: &Value) -> Error {
    Error::InvalidSetting { name: name.to_owned(), expected, found: found.to_string() }
}

fn unknown<'a>(kind: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    Error::UnknownName { kind, name: name.to_owned(), known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_file_and_a_flat_object_say_the_same() {
        let flat = Settings::from_json(r#"{"binWidth": 7.5, "force2D": true, "weightingNorm": null}"#).unwrap();
        let file = Settings::from_json(
            r#"{"setting": {"binWidth": 7.5, "force2D": true, "gldm_a": 1}, "imageType": {"Original": {}},
                "featureClass": {"firstorder": null, "shape": [], "glcm": "all"}}"#,
        );
        assert_eq!(file.unwrap(), flat);
        assert_eq!((flat.bin_width, flat.force_2d), (7.5, true));
    }

    #[test]
    fn families_may_be_a_list_or_name_their_features() {
        let listed = Settings::from_json(r#"{"featureClass": ["firstorder", "ngtdm"]}"#).unwrap();
        assert_eq!(
            listed.features.keys().copied().collect::<Vec<_>>(),
            [FeatureFamily::FirstOrder, FeatureFamily::Ngtdm]
        );
        let named = Settings::from_json(r#"{"featureClass": {"firstorder": ["Mean"]}}"#).unwrap();
        assert_eq!(named.features[&FeatureFamily::FirstOrder], ["Mean"]);
    }

    #[test]
    fn wrong_settings_are_refused_with_the_right_ones() {
        let rows = [
            (r#"{"binwidth": 25}"#, "unknown setting binwidth; known: additionalInfo, binCount, binWidth"),
            (r#"{"binWidth": 0}"#, "setting binWidth must be a positive number, found 0.0"),
            (r#"{"binWidth": "25"}"#, "setting binWidth must be a number, found \"25\""),
            (r#"{"binCount": 0}"#, "setting binCount must be a whole number from 1, found 0"),
            (
                r#"{"resampledPixelSpacing": [1, 1]}"#,
                "setting resampledPixelSpacing must be three numbers from 0, in mm",
            ),
            (
                r#"{"interpolator": "sitkGaussian"}"#,
                "unknown interpolator sitkGaussian; known: sitkNearestNeighbor, sit",
            ),
            (
                r#"{"resegmentRange": [1, 2, 3]}"#,
                "setting resegmentRange must be one or two numbers, found [1.0,2.0,3.0]",
            ),
            (r#"{"resegmentMode": "percent"}"#, "unknown resegmentMode percent; known: absolute, relative, sigma"),
            (r#"{"force2Ddimension": 3}"#, "setting force2Ddimension must be 0 (z), 1 (y) or 2 (x), found 3"),
            (r#"{"setting": {}, "features": {}}"#, "unknown section features; known: setting, featureClass, imageType"),
            (r#"{"imageType": {"Log": {}}}"#, "unknown image type Log; known: Original, LoG, Wavelet"),
            (r#"{"featureClass": ["glcms"]}"#, "unknown feature family glcms; known: shape, shape2D, firstorder, glcm"),
            (r#"{"distances": []}"#, "setting distances must be a list of whole numbers from 1, found []"),
            (r#"{"storedType": "half"}"#, "unknown storedType half; known: detect, int8"),
            (r#"[1]"#, "setting (document) must be an object, found [1]"),
            ("{\n  \"binWidth\": }", "settings are not valid JSON at line 2, column 15"),
        ];
        for (json, expected) in rows {
            let message = Settings::from_json(json).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{json}: {message}");
        }
    }
}
