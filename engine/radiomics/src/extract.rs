use std::sync::Arc;

use isoscan_imaging::{Mask, Volume};
use rayon::prelude::*;

use crate::discretise::Discretised;
use crate::families::{Sample, all_features, shape_of};
use crate::image::Image;
use crate::images::{Derived, ORIGINAL, derive, too_small_for};
use crate::prepare::{Number, Prepared, prepare, require_numbers, whole_image};
use crate::roi::Roi;
use crate::settings::ImageType;
use crate::{Diagnostics, Error, Feature, FeatureFamily, FeatureTable, Settings};

/// Features of the region `mask` of `volume`.
///
/// Axis order and units are those of the volume: spacing in mm, shape in mm, mm² and mm³, intensities in the volume's
/// unit. NaN voxels inside the region are left out of first-order statistics and take a grey level beyond the highest
/// bin, as in PyRadiomics. A region whose intensities do not vary has features (MCC 1, correlation 1, entropy 0).
///
/// # Errors
/// [`Error::EmptyMask`], [`Error::GeometryMismatch`] (unless `correctMask`), [`Error::OutsideImage`],
/// [`Error::SingleVoxel`], [`Error::TooFewDimensions`], [`Error::RegionTooSmall`], [`Error::ResegmentedAway`],
/// [`Error::NotFinite`], [`Error::NotFlat`], [`Error::FlatImage`], [`Error::TooManyLevels`]; [`Error::NotImplemented`],
/// [`Error::UnknownFeature`] and [`Error::InvalidSetting`] for settings that cannot be met.
pub fn extract(volume: &Volume, mask: &Mask, settings: &Settings) -> Result<FeatureTable, Error> {
    settings.check()?;
    extract_one(&Arc::new(whole_image(volume, settings)?), mask, settings)
}

/// Features of several regions of one `volume`: as [`extract`] for each of `masks`, in their order.
///
/// What depends on the image alone is computed once. A region that cannot be extracted has its error in its place and
/// changes nothing for the others.
pub fn extract_all(volume: &Volume, masks: &[&Mask], settings: &Settings) -> Vec<Result<FeatureTable, Error>> {
    let whole = match settings.check().and_then(|()| whole_image(volume, settings)) {
        Ok(whole) => Arc::new(whole),
        Err(error) => return masks.iter().map(|_| Err(error.clone())).collect(),
    };
    masks.par_iter().map(|mask| extract_one(&whole, mask, settings)).collect()
}

fn extract_one(whole: &Arc<Image>, mask: &Mask, settings: &Settings) -> Result<FeatureTable, Error> {
    let prepared = prepare(whole, mask, settings)?;
    let spacing_mm = prepared.image.geometry().spacing_mm();
    let shapes = || -> Result<Vec<Vec<Feature>>, Error> {
        let of_family = |(&family, wanted): (&FeatureFamily, &Vec<String>)| {
            shape_of(family, wanted, &prepared.shape, prepared.image.geometry(), settings)
        };
        settings.features.iter().map(of_family).collect()
    };
    let textures = || -> Result<Vec<(Vec<Feature>, u32)>, Error> {
        if settings.features.keys().all(|family| matches!(family, FeatureFamily::Shape | FeatureFamily::Shape2D)) {
            return Ok(Vec::new());
        }
        let images = settings.images()?;
        let derived: Vec<Vec<Derived>> =
            images.par_iter().map(|(kind, own)| derived(*kind, &prepared, own)).collect::<Result<_, _>>()?;
        let mut samples: Vec<(&str, Number, &[f64], &Settings)> = Vec::new();
        for ((kind, own), derived) in images.iter().zip(&derived) {
            if *kind == ImageType::Original {
                samples.push((ORIGINAL, prepared.image.number(), &prepared.values, own));
            }
            samples
                .extend(derived.iter().map(|image| (image.name.as_str(), image.number, image.values.as_slice(), own)));
        }
        samples
            .par_iter()
            .map(|&(name, number, values, own)| {
                features_of_image(name, number, values, &prepared.region, spacing_mm, own)
            })
            .collect::<Result<_, _>>()
    };
    let (shapes, tables) = rayon::join(shapes, textures);
    let mut features = shapes?.concat();
    let tables = tables?;
    let grey_levels = tables.first().map(|(_, levels)| *levels);
    features.extend(tables.into_iter().flat_map(|(found, _)| found));
    let left_out =
        settings.images()?.iter().flat_map(|(kind, own)| too_small_for(*kind, &prepared.image, own)).collect();
    let diagnostics = Diagnostics { stages: prepared.stages, grey_levels, left_out, ..Diagnostics::default() };
    Ok(FeatureTable { features, diagnostics })
}

/// The images of one type, reduced to the region; none for the image as it is.
fn derived(kind: ImageType, prepared: &Prepared, settings: &Settings) -> Result<Vec<Derived>, Error> {
    let Prepared { image, region, .. } = prepared;
    if kind == ImageType::Original {
        return Ok(Vec::new());
    }
    let found = derive(kind, image, region, region, settings)?;
    found.iter().try_for_each(|derived| require_numbers(&derived.values))?;
    Ok(found)
}

/// The features of the image `name` of the region's `values`, and its highest grey level.
fn features_of_image(
    name: &str,
    number: Number,
    values: &[f64],
    region: &Roi,
    spacing_mm: [f64; 3],
    settings: &Settings,
) -> Result<(Vec<Feature>, u32), Error> {
    let levels = Discretised::of(values, settings.discretisation(), number)?;
    let sample = Sample { region, values, levels: &levels, spacing_mm, settings };
    Ok((all_features(name, &sample), levels.highest()))
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
        let json = r#"{"setting": {"normalize": true, "normalizeScale": 100, "resampledPixelSpacing": [1, 1, 1], "binWidth": 5},
                       "imageType": {"Original": {}, "LoG": {"sigma": [1.5]}, "Wavelet": {}, "Gradient": {}, "LBP3D": {}}}"#;
        let settings = Settings::from_json(json).unwrap();
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let table = pool.install(|| extract(&volume, &mask, &settings)).unwrap();
            table.features.iter().map(|feature| feature.value.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(1).len(), 14 + 14 * (18 + 24 + 16 + 16 + 14 + 5));
        assert_eq!(bits(1), bits(4));
    }

    #[test]
    fn whole_numbers_are_filtered_as_the_integers_they_were_stored_as() {
        let (volume, mask) = region();
        let whole = volume.with_voxels(volume.voxels().mapv(f32::floor)).unwrap();
        let of = |stored: &str| {
            let json = format!(
                r#"{{"setting": {{"storedType": "{stored}"}}, "imageType": {{"Wavelet": {{}}, "LBP3D": {{}}}}}}"#
            );
            extract(&whole, &mask, &Settings::from_json(&json).unwrap()).unwrap().features
        };
        let values = |stored| of(stored).iter().map(|feature| feature.value.to_bits()).collect::<Vec<_>>();
        assert_eq!(values("detect"), values("int16"));
        assert_ne!(values("detect"), values("float32"));
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
