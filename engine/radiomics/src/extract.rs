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
