use isoscan_imaging::{Mask, Volume};

use crate::discretise::Discretised;
use crate::family::Named;
use crate::first_order::FirstOrder;
use crate::glcm::Glcm;
use crate::prepare::{Prepared, prepare};
use crate::shape::Shape;
use crate::table::Outcome;
use crate::{Diagnostics, Error, Feature, FeatureFamily, FeatureTable, Settings};

/// Prefix of features of the image as it is.
const ORIGINAL: &str = "original";

/// Features of the region `mask` of `volume`.
///
/// Axis order and units are those of the volume: spacing in mm, shape in mm, mm² and mm³, intensities in the volume's
/// unit. NaN voxels inside the region are left out of first-order statistics and take a grey level beyond the highest
/// bin, as in PyRadiomics. A region whose intensities do not vary has features (MCC 1, correlation 1, entropy 0).
///
/// # Errors
/// [`Error::EmptyMask`], [`Error::GeometryMismatch`] (unless `correctMask`), [`Error::OutsideImage`],
/// [`Error::SingleVoxel`], [`Error::TooFewDimensions`], [`Error::RegionTooSmall`], [`Error::ResegmentedAway`],
/// [`Error::NotFinite`], [`Error::FlatImage`], [`Error::TooManyLevels`]; [`Error::NotImplemented`],
/// [`Error::UnknownFeature`] and [`Error::InvalidSetting`] for settings that cannot be met.
pub fn extract(volume: &Volume, mask: &Mask, settings: &Settings) -> Result<FeatureTable, Error> {
    settings.check()?;
    let prepared = prepare(volume, mask, settings)?;
    let discretises = settings.features.keys().any(|family| !matches!(family, FeatureFamily::Shape));
    let levels = discretises
        .then(|| Discretised::of(&prepared.values, settings.discretisation(), prepared.number))
        .transpose()?;
    let mut features = Vec::new();
    for (&family, wanted) in &settings.features {
        let value_of: Box<dyn Fn(&str) -> Outcome> = match (family, &levels) {
            (FeatureFamily::Shape, _) => shape(&prepared),
            (FeatureFamily::FirstOrder, Some(levels)) => first_order(&prepared, levels, settings),
            (FeatureFamily::Glcm, Some(levels)) => {
                let glcm = Glcm::of(&prepared.region, levels, prepared.spacing_mm, settings);
                Box::new(move |name| glcm.feature(name))
            }
            _ => continue,
        };
        features.extend(wanted_features(family, wanted).map(|(name, ibsi)| {
            let outcome = value_of(name);
            Feature {
                name: format!("{ORIGINAL}_{family}_{name}"),
                family,
                value: outcome.unwrap_or(f64::NAN),
                ibsi: *ibsi,
                reason: outcome.err(),
            }
        }));
    }
    let grey_levels = levels.map(|levels| levels.highest());
    Ok(FeatureTable { features, diagnostics: Diagnostics { stages: prepared.stages, grey_levels } })
}

/// All but the deprecated features of the family, or those wanted, in the family's order.
fn wanted_features(family: FeatureFamily, wanted: &[String]) -> impl Iterator<Item = &'static Named> + '_ {
    let is_wanted = |name: &str| wanted.iter().any(|w| w == name);
    let standard = family.named().iter().filter(move |(name, _)| wanted.is_empty() || is_wanted(name));
    standard.chain(family.deprecated().iter().filter(move |(name, _)| is_wanted(name)))
}

fn shape(prepared: &Prepared) -> Box<dyn Fn(&str) -> Outcome> {
    let shape = Shape::of(&prepared.shape, prepared.spacing_mm);
    Box::new(move |name| shape.feature(name))
}

fn first_order(prepared: &Prepared, levels: &Discretised, settings: &Settings) -> Box<dyn Fn(&str) -> Outcome> {
    let voxel_volume_mm3 = prepared.spacing_mm.iter().product();
    let statistics = FirstOrder::of(&prepared.values, levels, settings.voxel_array_shift, voxel_volume_mm3);
    Box::new(move |name| statistics.feature(name))
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;
    use crate::NanReason;

    /// A textured volume and an ellipsoid in it.
    fn region() -> (Volume, Mask) {
        let geometry = Geometry::axis_aligned([24, 20, 16], [0.8, 0.8, 2.5]).unwrap();
        let texture =
            |(z, y, x): (usize, usize, usize)| ((x * x * 7 + y * 31 + z * z * 13 + x * y * z) % 211) as f32 + 0.5;
        let inside = |(z, y, x): (usize, usize, usize)| {
            let r = [x as f64 / 24.0, y as f64 / 20.0, z as f64 / 16.0].map(|c| (c - 0.5).powi(2));
            r.iter().sum::<f64>() < 0.16
        };
        let shape = (16, 20, 24);
        let volume =
            Volume::new(Array3::from_shape_fn(shape, texture), geometry.clone(), Modality::Mr, Unit::Arbitrary);
        (volume.unwrap(), Mask::new(Array3::from_shape_fn(shape, inside), geometry).unwrap())
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (volume, mask) = region();
        let json = r#"{"normalize": true, "normalizeScale": 100, "resampledPixelSpacing": [1, 1, 1], "binWidth": 5}"#;
        let settings = Settings::from_json(json).unwrap();
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let table = pool.install(|| extract(&volume, &mask, &settings)).unwrap();
            table.features.iter().map(|feature| feature.value.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(1).len(), 18 + 14 + 24);
        assert_eq!(bits(1), bits(4));
    }

    #[test]
    fn what_is_not_available_is_refused_by_name() {
        let (volume, mask) = region();
        let rows = [
            (
                r#"{"imageType": {"Original": {}, "LoG": {"sigma": [1.0]}}}"#,
                "image type LoG is not available yet; available: Original",
            ),
            (
                r#"{"featureClass": ["firstorder", "ngtdm"]}"#,
                "feature family ngtdm is not available yet; available: shape, firstorder, glcm",
            ),
            (r#"{"featureClass": {"glcm": ["Means"]}}"#, "unknown feature Means of glcm; known: Autocorrelation, Cl"),
        ];
        for (json, expected) in rows {
            let message = extract(&volume, &mask, &Settings::from_json(json).unwrap()).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn only_what_is_named_is_computed() {
        let (volume, mask) = region();
        let json = r#"{"featureClass": {"firstorder": ["Variance", "StandardDeviation", "Mean"]}}"#;
        let table = extract(&volume, &mask, &Settings::from_json(json).unwrap()).unwrap();
        let names: Vec<&str> = table.features.iter().map(|feature| feature.name.as_str()).collect();
        let expected =
            ["original_firstorder_Mean", "original_firstorder_Variance", "original_firstorder_StandardDeviation"];
        assert_eq!(names, expected);
        assert_eq!(table.features.iter().map(|f| f.ibsi).collect::<Vec<_>>(), [Some("Q4LE"), Some("ECT3"), None]);
        let (variance, deviation) = (table.features[1].value, table.features[2].value);
        assert!((deviation * deviation - variance).abs() < 1e-9 * variance);
    }

    #[test]
    fn a_value_that_cannot_be_given_has_its_reason() {
        let (volume, mask) = region();
        let mut inside = mask.inside().to_owned();
        inside.fill(false);
        inside[[8, 10, 11]] = true;
        inside[[8, 10, 12]] = true;
        let two = Mask::new(inside, mask.geometry().clone()).unwrap();
        let settings = Settings::from_json(r#"{"minimumROIDimensions": 1, "distances": [3]}"#).unwrap();
        let table = extract(&volume, &two, &settings).unwrap();
        let reasons = |name: &str| table.features.iter().find(|f| f.name == name).map(|f| (f.value.is_nan(), f.reason));
        assert_eq!(reasons("original_glcm_Contrast"), Some((true, Some(NanReason::NoPairs))));
        let robust = reasons("original_firstorder_RobustMeanAbsoluteDeviation");
        assert_eq!(robust, Some((true, Some(NanReason::NoVoxelBetweenPercentiles))));
        assert_eq!(reasons("original_firstorder_Mean"), Some((false, None)));
    }
}
