use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::field::{invalid, unknown};
use super::parse::{MAP_SETTINGS, SETTINGS};
use super::yaml::Document;
use super::{ImageType, Settings};
use crate::{Error, FeatureFamily};

/// Sections of a PyRadiomics parameter file.
const SECTIONS: [&str; 4] = ["setting", "featureClass", "imageType", "voxelSetting"];

/// Image types with their own settings.
type ImageTypes = Vec<(ImageType, Map<String, Value>)>;

/// Adds to a refusal where in the file the keys lead that are given.
type Locate<'a> = &'a dyn Fn(&[&str], Error) -> Error;

impl Settings {
    /// Reads a parameter file, YAML or JSON by its content: JSON when it begins with `{` and is JSON.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml) and [`from_json`](Self::from_json).
    pub fn from_text(text: &str) -> Result<Self, Error> {
        if !text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
            return Self::from_yaml(text);
        }
        match Self::from_json(text) {
            Err(not_json @ Error::InvalidJson { .. }) => match Self::from_yaml(text) {
                Err(Error::InvalidYaml { .. }) => Err(not_json),
                found => found,
            },
            found => found,
        }
    }

    /// Reads a PyRadiomics parameter file: YAML with the sections `setting`, `imageType`, `featureClass` and
    /// `voxelSetting`, or the settings alone. What is not named keeps its default.
    ///
    /// # Errors
    /// [`Error::InvalidYaml`]; [`Error::InFile`] around [`Error::UnknownName`], [`Error::UnknownFeature`] or
    /// [`Error::InvalidSetting`].
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let document = Document::read(text.trim_start_matches('\u{feff}'))?;
        Self::from_value(&document.value, &|path, error| document.locate(path, error))
    }

    /// Reads settings from JSON: the sections of a parameter file as for [`from_yaml`](Self::from_yaml), or one object of
    /// settings by PyRadiomics' names. What is not named keeps its default.
    ///
    /// # Errors
    /// [`Error::InvalidJson`], [`Error::UnknownName`] with the nearest and all known ones, [`Error::UnknownFeature`],
    /// [`Error::InvalidSetting`].
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let value: Value =
            serde_json::from_str(json).map_err(|e| Error::InvalidJson { line: e.line(), column: e.column() })?;
        Self::from_value(&value, &|_, error| error)
    }

    fn from_value(value: &Value, locate: Locate) -> Result<Self, Error> {
        let Value::Object(map) = value else {
            return Err(invalid("(document)", "an object", value));
        };
        let mut settings = Self::default();
        if !SECTIONS.iter().any(|section| map.contains_key(*section)) {
            settings.set_all(map, &[], locate)?;
            return Ok(settings);
        }
        // An image type's own settings are checked on top of those for all.
        let mut sections: Vec<(&str, &Value)> =
            map.iter().map(|(section, content)| (section.as_str(), content)).collect();
        sections.sort_by_key(|(section, _)| *section == "imageType");
        for (section, content) in sections {
            let at_section = |error| locate(&[section], error);
            match (section, content) {
                (known, Value::Null) if SECTIONS.contains(&known) => {}
                ("setting", Value::Object(map)) => settings.set_all(map, &["setting"], locate)?,
                ("voxelSetting", Value::Object(map)) => settings.set_map_settings(map, locate)?,
                ("setting" | "voxelSetting", other) => {
                    return Err(at_section(invalid(section, "an object of settings", other)));
                }
                ("featureClass", content) => {
                    let found = families(content, locate)?;
                    if !found.is_empty() {
                        settings.features = found;
                    }
                }
                ("imageType", content) => {
                    let found = settings.image_types_of(content, locate)?;
                    if !found.is_empty() {
                        settings.image_types = found;
                    }
                }
                _ => return Err(at_section(unknown("section", section, SECTIONS.into_iter()))),
            }
        }
        Ok(settings)
    }

    fn set_all(&mut self, map: &Map<String, Value>, above: &[&str], locate: Locate) -> Result<(), Error> {
        map.iter().try_for_each(|(name, value)| {
            self.set(name, value).map_err(|error| locate(&[above, &[name.as_str()]].concat(), error))
        })
    }

    fn set_map_settings(&mut self, map: &Map<String, Value>, locate: Locate) -> Result<(), Error> {
        if let Some(name) = map.keys().find(|name| !MAP_SETTINGS.contains(&name.as_str())) {
            let refusal = unknown("voxelSetting", name, MAP_SETTINGS.into_iter());
            return Err(locate(&["voxelSetting", name], refusal));
        }
        self.set_all(map, &["voxelSetting"], locate)
    }

    fn image_types_of(&self, content: &Value, locate: Locate) -> Result<ImageTypes, Error> {
        let expected = "image types with their own settings";
        let own_settings = |name: &str, own: &Value| match own {
            Value::Null => Ok(Map::new()),
            Value::Object(own) => Ok(own.clone()),
            other => Err(locate(&["imageType", name], invalid("imageType", expected, other))),
        };
        let named: Vec<_> = match content {
            Value::Object(map) => map
                .iter()
                .map(|(name, own)| Ok((name.as_str(), own_settings(name, own)?)))
                .collect::<Result<_, Error>>()?,
            Value::Array(names) => names
                .iter()
                .map(|name| {
                    let refusal = || locate(&["imageType"], invalid("imageType", expected, name));
                    name.as_str().map(|name| (name, Map::new())).ok_or_else(refusal)
                })
                .collect::<Result<_, _>>()?,
            other => return Err(locate(&["imageType"], invalid("imageType", expected, other))),
        };
        named
            .into_iter()
            .map(|(name, own)| {
                let found = ImageType::ALL.into_iter().find(|kind| kind.name() == name);
                let refusal = || unknown("image type", name, ImageType::ALL.into_iter().map(ImageType::name));
                let kind = found.ok_or_else(|| locate(&["imageType", name], refusal()))?;
                if let Some(other) = own.keys().find(|own| !SETTINGS.contains(&own.as_str())) {
                    let refusal = unknown("setting", other, SETTINGS.into_iter());
                    return Err(locate(&["imageType", name, other], refusal));
                }
                self.clone().set_all(&own, &["imageType", name], locate)?;
                Ok((kind, own))
            })
            .collect()
    }
}

/// Families and feature names: a list of families, or families with null, `"all"` or a list of names.
fn families(content: &Value, locate: Locate) -> Result<BTreeMap<FeatureFamily, Vec<String>>, Error> {
    let expected = "families with null or a list of feature names";
    match content {
        Value::Array(names) => names
            .iter()
            .map(|name| match name {
                Value::String(name) => Ok((name.parse()?, Vec::new())),
                other => Err(invalid("featureClass", expected, other)),
            })
            .map(|family| family.map_err(|error| locate(&["featureClass"], error)))
            .collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, names)| {
                let read = || {
                    let family: FeatureFamily = name.parse()?;
                    let names = feature_names(names, expected)?;
                    names.iter().try_for_each(|name| family.require(name))?;
                    Ok((family, names))
                };
                read().map_err(|error| locate(&["featureClass", name], error))
            })
            .collect(),
        other => Err(locate(&["featureClass"], invalid("featureClass", expected, other))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Interpolator, Sigma};

    #[test]
    fn a_parameter_file_and_a_flat_object_say_the_same() {
        let flat = Settings::from_json(r#"{"binWidth": 7.5, "force2D": true, "weightingNorm": null}"#).unwrap();
        let yaml = "# a comment\nsetting:\n  binWidth: 7.5\n  force2D: true # per slice\n  weightingNorm:\n";
        assert_eq!(Settings::from_yaml(yaml).unwrap(), flat);
        assert_eq!(Settings::from_text(yaml).unwrap(), flat);
        assert_eq!(Settings::from_text(r#"{"setting": {binWidth: 7.5, "force2D": true}}"#).unwrap(), flat);
        let file = Settings::from_json(r#"{"setting": {"binWidth": 7.5, "force2D": true}, "featureClass": {}}"#);
        assert_eq!(file.unwrap(), flat);
        assert_eq!((flat.bin_width, flat.force_2d), (7.5, true));
    }

    #[test]
    fn a_parameter_file_with_every_section() {
        let yaml = "imageType:\n  Original: {}\n  LoG:\n    sigma: [1, 2.5]\n    binWidth: 10\n  Wavelet: {wavelet: db2}\n\
                    featureClass:\n  shape:\n  firstorder: []\n  glcm: ['Contrast', Idm]\n\
                    setting:\n  binWidth: 25\n  interpolator: 2\n  resampledPixelSpacing: [1, 1, 0]\n\
                    voxelSetting:\n  kernelRadius: 2\n  initValue: .nan\n  voxelBatch: 1000\n";
        let settings = Settings::from_yaml(yaml).unwrap();
        assert_eq!(settings.interpolator, Some(Interpolator::Linear));
        assert_eq!((settings.kernel_radius, settings.init_value.is_nan(), settings.voxel_batch), (2, true, Some(1000)));
        let wanted: Vec<(FeatureFamily, usize)> =
            settings.features.iter().map(|(f, names)| (*f, names.len())).collect();
        assert_eq!(wanted, [(FeatureFamily::Shape, 0), (FeatureFamily::FirstOrder, 0), (FeatureFamily::Glcm, 2)]);
        let images = settings.images().unwrap();
        assert_eq!(images.iter().map(|(kind, _)| kind.name()).collect::<Vec<_>>(), ["Original", "LoG", "Wavelet"]);
        assert_eq!(images.iter().map(|(_, own)| own.bin_width).collect::<Vec<_>>(), [25.0, 10.0, 25.0]);
        let sigma = |mm, written: &str| Sigma { mm, written: written.to_owned() };
        assert_eq!(images[1].1.sigma, [sigma(1.0, "1"), sigma(2.5, "2.5")]);
        assert_eq!((images[2].1.wavelet.as_str(), settings.wavelet.as_str()), ("db2", "coif1"));
        assert!(serde_json::to_string(&settings).unwrap().contains(r#""LoG":{"sigma":[1,2.5],"binWidth":10}"#));
    }

    #[test]
    fn families_may_be_a_list_or_name_their_features() {
        let listed = Settings::from_json(r#"{"featureClass": ["firstorder", "ngtdm"]}"#).unwrap();
        let families: Vec<FeatureFamily> = listed.features.keys().copied().collect();
        assert_eq!(families, [FeatureFamily::FirstOrder, FeatureFamily::Ngtdm]);
        let named = Settings::from_json(r#"{"featureClass": {"firstorder": ["Mean"], "glcm": "all"}}"#).unwrap();
        assert_eq!(named.features[&FeatureFamily::FirstOrder], ["Mean"]);
    }

    #[test]
    fn wrong_settings_are_refused_with_the_right_ones() {
        let rows = [
            (r#"{"binwidth": 25}"#, "unknown setting binwidth, did you mean binWidth; known: additionalInfo, binCount"),
            (r#"{"binWidth": 0}"#, "setting binWidth must be a positive number, found 0.0"),
            (r#"{"binWidth": "25"}"#, "setting binWidth must be a number, found \"25\""),
            (r#"{"binCount": 0}"#, "setting binCount must be a whole number from 1, found 0"),
            (r#"{"binCount": 32.0}"#, "setting binCount must be a whole number from 1, found 32.0"),
            (r#"{"force2D": 1}"#, "setting force2D must be true or false, found 1"),
            (
                r#"{"resampledPixelSpacing": [1, 1]}"#,
                "setting resampledPixelSpacing must be three numbers from 0, in mm",
            ),
            (
                r#"{"interpolator": "sitkLinera"}"#,
                "unknown interpolator sitkLinera, did you mean sitkLinear; known: sit",
            ),
            (
                r#"{"interpolator": 11}"#,
                "setting interpolator must be a name, or SimpleITK's number from 1 to 10, found 11",
            ),
            (
                r#"{"resegmentRange": [1, 2, 3]}"#,
                "setting resegmentRange must be one or two numbers, found [1.0,2.0,3.0]",
            ),
            (r#"{"resegmentMode": "percent"}"#, "unknown resegmentMode percent; known: absolute, relative, sigma"),
            (r#"{"force2Ddimension": 3}"#, "setting force2Ddimension must be 0 (z), 1 (y) or 2 (x), found 3"),
            (r#"{"sigma": 2}"#, "setting sigma must be a list of numbers, found 2"),
            (r#"{"sigma": [0]}"#, "setting sigma must be a list of positive numbers, in mm, found [0.0]"),
            (r#"{"wavelet": "coif18"}"#, "unknown wavelet coif18, did you mean coif1"),
            (r#"{"lbp2DMethod": "nri"}"#, "unknown lbp2DMethod nri; known: default, ror, uniform, var"),
            (r#"{"kernelRadius": 0}"#, "setting kernelRadius must be a whole number from 1, found 0"),
            (r#"{"level": 0}"#, "setting level must be a whole number from 1, found 0"),
            (
                r#"{"setting": {}, "features": {}}"#,
                "unknown section features, did you mean featureClass; known: setting",
            ),
            (r#"{"setting": 1}"#, "setting setting must be an object of settings, found 1"),
            (r#"{"voxelSetting": {"binWidth": 2}}"#, "unknown voxelSetting binWidth; known: initValue, kernelRadius"),
            (
                r#"{"imageType": {"Log": {}}}"#,
                "unknown image type Log, did you mean LoG; known: Original, LoG, Wavelet",
            ),
            (r#"{"imageType": {"LoG": {"Sigma": [1]}}}"#, "unknown setting Sigma, did you mean sigma; known"),
            (r#"{"imageType": {"LoG": {"sigma": 1}}}"#, "setting sigma must be a list of numbers, found 1"),
            (
                r#"{"featureClass": ["glcms"]}"#,
                "unknown feature family glcms, did you mean glcm; known: shape, shape2D",
            ),
            (
                r#"{"featureClass": {"glcm": ["Contrst"]}}"#,
                "unknown feature Contrst of glcm, did you mean Contrast; known",
            ),
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

    #[test]
    fn a_refusal_of_yaml_tells_line_and_column() {
        let rows = [
            ("setting:\n  binwidth: 25\n", "line 2, column 3: unknown setting binwidth, did you mean binWidth; known"),
            ("binWidth: 25\n label: 1\n", "settings are not valid YAML at line 2, column "),
            (
                "setting:\n  label: 1\n  label: 2\n",
                "settings are not valid YAML at line 3, column 3: label is given twice",
            ),
            (
                "imageType:\n  LoG: {sigma: [-1]}\n",
                "line 2, column 9: setting sigma must be a list of positive numbers",
            ),
            ("featureClass:\n  glcm:\n  - Mean\n", "line 2, column 3: unknown feature Mean of glcm"),
            ("settings:\n  binWidth: 25\n", "line 1, column 1: unknown setting settings"),
            (
                "setting: {}\nimagetype: {}\n",
                "line 2, column 1: unknown section imagetype, did you mean imageType; known",
            ),
            ("setting: {}\n---\nsetting: {}\n", "settings are not valid YAML at line 2, column 1: a second document"),
            ("", "setting (document) must be an object, found null"),
            ("setting: {binWidth: .inf}\n", "line 1, column 11: setting binWidth must be a number, found \".inf\""),
            (
                "setting: {label: yes}\n",
                "line 1, column 11: setting label must be a whole number from 1, found \"yes\"",
            ),
        ];
        for (yaml, expected) in rows {
            let message = Settings::from_text(yaml).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{yaml}: {message}");
        }
    }
}
