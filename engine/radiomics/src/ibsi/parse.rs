use serde_json::{Map, Value};

use super::settings::{Discretisation, Settings};
use crate::settings::{Document, invalid, unknown};
use crate::{Error, FeatureFamily};

/// Settings and what they may be.
const SETTINGS: [(&str, &str); 11] = [
    (
        "resampling",
        "an object with spacing_mm: [x, y, z], image: nearest, linear or cubic_spline, round, mask: nearest or linear, mask_threshold",
    ),
    ("resegmentation", "an object with range: [low, high] and outliers_sd, each a number or null"),
    ("discretisation", "none, or an object with fixed_bin_size: number or fixed_bin_number: whole number"),
    ("volume_histogram", "none, or an object with fixed_bin_size: number or fixed_bin_number: whole number"),
    ("glcm_distance", "a whole number from 1"),
    ("ngtdm_distance", "a whole number from 1"),
    ("ngldm_distance", "a whole number from 1"),
    ("ngldm_coarseness", "a whole number from 0"),
    ("families", "a list of families"),
    ("aggregations", "a list of 2D_avg, 2D_comb, 2_5D_avg, 2_5D_comb, 3D_avg, 3D_comb"),
    (
        "filter",
        "one of mean, laplacian_of_gaussian, laws, gabor, separable_wavelet, non_separable_wavelet, as the key of its parameters",
    ),
];

/// Settings inside others.
const NESTED: [(&str, &[&str]); 2] = [
    ("resampling", &["spacing_mm", "image", "round", "mask", "mask_threshold"]),
    ("resegmentation", &["range", "outliers_sd"]),
];

impl Settings {
    /// Reads settings from YAML, of which JSON is a part, by the names of the fields. What is not named keeps its default.
    ///
    /// # Errors
    /// [`Error::InvalidYaml`]; [`Error::InFile`] around [`Error::UnknownName`] with the nearest and all known names or
    /// around [`Error::InvalidSetting`].
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let document = Document::read(text.trim_start_matches('\u{feff}'))?;
        let map = match &document.value {
            Value::Null => &Map::new(),
            Value::Object(map) => map,
            other => return Err(invalid("(document)", "an object", other)),
        };
        for (name, value) in map {
            check_names(name, value).map_err(|error| document.locate(&[name], error))?;
        }
        let settings: Self = serde_json::from_value(Value::Object(map.clone()))
            .map_err(|_| invalid("(document)", "an object of settings", &document.value))?;
        settings.check()?;
        Ok(settings)
    }

    /// Refuses numbers outside their range, and families that the IBSI mode does not have.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(family) = self.families.iter().find(|family| !FeatureFamily::IBSI.contains(family)) {
            return Err(unknown("IBSI family", family.name(), FeatureFamily::IBSI.iter().map(|family| family.name())));
        }
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let bins = |rule: Discretisation| match rule {
            Discretisation::None => true,
            Discretisation::FixedBinSize(width) => positive(width),
            Discretisation::FixedBinNumber(bins) => bins > 0,
        };
        let resampling = self.resampling.as_ref();
        let range = self.resegmentation.range;
        let legal = [
            resampling.is_none_or(|r| {
                r.spacing_mm.iter().all(|s| s.is_finite() && *s >= 0.0)
                    && r.mask_threshold > 0.0
                    && r.mask_threshold <= 1.0
            }),
            range.iter().flatten().all(|bound| bound.is_finite())
                && range[0].zip(range[1]).is_none_or(|(low, high)| low <= high)
                && self.resegmentation.outliers_sd.is_none_or(positive),
            bins(self.discretisation),
            bins(self.volume_histogram),
            self.glcm_distance > 0,
            self.ngtdm_distance > 0,
            self.ngldm_distance > 0,
        ];
        match SETTINGS.iter().zip(legal).find(|(_, legal)| !legal) {
            Some(((name, expected), _)) => {
                let found = serde_json::to_value(self).ok().and_then(|value| value.get(name).cloned());
                Err(invalid(name, expected, &found.unwrap_or_default()))
            }
            None => Ok(()),
        }
    }
}

/// Refuses a setting that is not known, or whose value is not of its type.
fn check_names(name: &str, value: &Value) -> Result<(), Error> {
    let Some((_, expected)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
        return Err(unknown("setting", name, SETTINGS.iter().map(|(known, _)| *known)));
    };
    if let (Some((_, known)), Value::Object(map)) = (NESTED.iter().find(|(outer, _)| *outer == name), value)
        && let Some(inner) = map.keys().find(|inner| !known.contains(&inner.as_str()))
    {
        return Err(unknown("setting", inner, known.iter().copied()));
    }
    let alone = Value::Object([(name.to_owned(), value.clone())].into_iter().collect());
    serde_json::from_value::<Settings>(alone).map(|_| ()).map_err(|_| invalid(name, expected, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_known() {
        let value =
            serde_json::to_value(Settings { resampling: Some(Default::default()), ..Default::default() }).unwrap();
        let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        let sorted = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            names
        };
        let mut found = keys(&value);
        found.sort();
        assert_eq!(found, sorted(&SETTINGS.map(|(name, _)| name)));
        for (outer, known) in NESTED {
            let mut found = keys(&value[outer]);
            found.sort();
            assert_eq!(found, sorted(known));
        }
    }

    #[test]
    fn settings_read_as_they_are_written() {
        let text = "
            resampling: {spacing_mm: [2, 2, 0], round: true}
            resegmentation: {range: [-500, 400]}
            discretisation: {fixed_bin_number: 32}
            aggregations: [2D_avg, 3D_comb]
            families: [firstorder, glcm, local_intensity]
        ";
        let settings = Settings::from_text(text).unwrap();
        assert_eq!(settings.resegmentation.range, [Some(-500.0), Some(400.0)]);
        assert_eq!(settings.discretisation, Discretisation::FixedBinNumber(32));
        assert_eq!(settings.aggregations.len(), 2);
        assert_eq!(Settings::from_text(&serde_json::to_string(&settings).unwrap()).unwrap(), settings);
        assert_eq!(Settings::from_text("").unwrap(), Settings::default());
    }

    #[test]
    fn slips_are_refused_with_what_is_known() {
        let rows = [
            (
                "discretization: none",
                "unknown setting discretization, did you mean discretisation; known: resampling, ",
            ),
            ("resampling: {spacing: [1, 1, 1]}", "unknown setting spacing"),
            (
                "discretisation: {fixed_bin_size: -1}",
                "setting discretisation must be none, or an object with fixed_bin",
            ),
            ("resegmentation: {range: [3, 2]}", "setting resegmentation must be an object with range"),
            ("glcm_distance: 0", "setting glcm_distance must be a whole number from 1, found 0"),
            ("families: [gldm]", "unknown IBSI family gldm, did you mean glcm; known: shape, firstorder"),
            ("aggregations: [4D]", "setting aggregations must be a list of 2D_avg"),
        ];
        for (text, expected) in rows {
            let refused = Settings::from_text(text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
