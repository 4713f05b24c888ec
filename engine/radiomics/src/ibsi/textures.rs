use std::collections::BTreeSet;

use super::aggregate::{Dimension, Fields, Found, Matrix, Part, by_dimension, by_direction};
use super::distance::steps_to_border;
use super::region::Region;
use super::resample::block;
use super::settings::{Aggregation, Settings};
use super::sizes::{self, Sizes};
use super::{glcm, ngtdm};
use crate::directions::directions;
use crate::family::Named;
use crate::neighbourhoods::Neighbourhoods;
use crate::ngtdm::ToneDifferences;
use crate::runs::runs;
use crate::table::NanReason;
use crate::zones::{distance_zones, zones};
use crate::{Error, FeatureFamily};

/// Values of a texture family by one way of aggregation.
pub(super) struct Aggregated {
    pub(super) family: FeatureFamily,
    pub(super) names: &'static [Named],
    /// The end of the features' names.
    pub(super) suffix: &'static str,
    /// In the order of `names`; none when every matrix is empty.
    pub(super) values: Vec<f64>,
    /// Why there is none.
    pub(super) empty: NanReason,
}

/// Every wanted texture family of a region, in the order of the reference values.
///
/// # Errors
/// [`Error::TooManyLevels`].
pub(super) fn textures(region: &Region, settings: &Settings) -> Result<Vec<Aggregated>, Error> {
    let wants = |family: FeatureFamily| settings.families.contains(&family);
    let families = [
        FeatureFamily::Glcm,
        FeatureFamily::Glrlm,
        FeatureFamily::Glszm,
        FeatureFamily::Gldzm,
        FeatureFamily::Ngtdm,
        FeatureFamily::Ngldm,
    ];
    if !families.into_iter().any(wants) {
        return Ok(Vec::new());
    }
    let dimensions: BTreeSet<Dimension> = settings.aggregations.iter().map(|&a| Dimension::of(a)).collect();
    let sliced = dimensions.iter().any(|dimension| *dimension != Dimension::Volume);
    let fields = Fields::of(&region.intensity, &region.levels, sliced)?;
    let mut found = Vec::new();
    if wants(FeatureFamily::Glcm) {
        let values = glcm::features(&fields, region.levels.highest(), settings.glcm_distance, &settings.aggregations);
        found.extend(along(FeatureFamily::Glcm, &glcm::NAMES, values, NanReason::NoPairs));
    }
    if wants(FeatureFamily::Glrlm) {
        let steps = directions([2; 3], &[1], None);
        let values = by_direction(&fields, &steps, &settings.aggregations, |field, step| Sizes {
            matrix: runs(field, step),
            voxels: field.count() as f64,
        });
        found.extend(along(FeatureFamily::Glrlm, &sizes::GLRLM, values, NanReason::Undefined));
    }
    if wants(FeatureFamily::Glszm) {
        let values = by_dimension(&fields, &dimensions, |part| Sizes {
            matrix: zones(&part.field, None),
            voxels: part.field.count() as f64,
        });
        found.extend(around(FeatureFamily::Glszm, &sizes::GLSZM, values));
    }
    if wants(FeatureFamily::Gldzm) {
        found.extend(around(
            FeatureFamily::Gldzm,
            &sizes::GLDZM,
            distance_features(region, &fields, &dimensions, sliced),
        ));
    }
    if wants(FeatureFamily::Ngtdm) || wants(FeatureFamily::Ngldm) {
        let values = by_dimension(&fields, &dimensions, |part| Around::of(part, settings));
        let (tones, dependences) = values
            .into_iter()
            .map(|(dimension, mut values)| {
                let dependences = values.split_off(values.len().min(ngtdm::NAMES.len()));
                ((dimension, values), (dimension, dependences))
            })
            .unzip();
        if wants(FeatureFamily::Ngtdm) {
            found.extend(around(FeatureFamily::Ngtdm, &ngtdm::NAMES, tones));
        }
        if wants(FeatureFamily::Ngldm) {
            found.extend(around(FeatureFamily::Ngldm, &sizes::NGLDM, dependences));
        }
    }
    Ok(found)
}

fn along(
    family: FeatureFamily,
    names: &'static [Named],
    values: Vec<(Aggregation, Vec<f64>)>,
    empty: NanReason,
) -> impl Iterator<Item = Aggregated> {
    values.into_iter().map(move |(aggregation, values)| Aggregated {
        family,
        names,
        suffix: aggregation.suffix(),
        values,
        empty,
    })
}

fn around(
    family: FeatureFamily,
    names: &'static [Named],
    values: Vec<(Dimension, Vec<f64>)>,
) -> impl Iterator<Item = Aggregated> {
    values.into_iter().map(move |(dimension, values)| Aggregated {
        family,
        names,
        suffix: dimension.suffix(),
        values,
        empty: NanReason::Undefined,
    })
}

/// Zones by the distance to the border of the morphological mask.
fn distance_features(
    region: &Region,
    fields: &Fields,
    dimensions: &BTreeSet<Dimension>,
    sliced: bool,
) -> Vec<(Dimension, Vec<f64>)> {
    let whole = &region.morphological;
    let in_slices = if sliced { steps_to_border(whole, true) } else { Vec::new() };
    let in_space = if dimensions.contains(&Dimension::Volume) { steps_to_border(whole, false) } else { Vec::new() };
    by_dimension(fields, dimensions, |part: &Part| {
        let steps = if part.is_slice { &in_slices } else { &in_space };
        let offset = std::array::from_fn(|a| part.region.first[a] - whole.first[a]);
        let distance = block(steps, whole.size, (offset, part.region.size), |step| step);
        Sizes { matrix: distance_zones(&part.field, None, &distance), voxels: part.field.count() as f64 }
    })
}

/// What voxels have around them: differences of tone, and dependences.
struct Around {
    tones: ToneDifferences,
    dependences: Sizes,
}

impl Around {
    fn of(part: &Part, settings: &Settings) -> Self {
        let neighbourhoods = |distance: u32| {
            let longest = part.region.size.into_iter().max().unwrap_or(1) as u32;
            let reach: Vec<u32> = (1..=distance.min(longest)).collect();
            Neighbourhoods::of(&part.field, &directions(part.region.size, &reach, None), settings.ngldm_coarseness)
        };
        let near = neighbourhoods(settings.ngtdm_distance);
        let dependent =
            (settings.ngldm_distance != settings.ngtdm_distance).then(|| neighbourhoods(settings.ngldm_distance));
        let matrix = dependent.as_ref().unwrap_or(&near).dependences();
        Self { tones: near.tone_differences(false), dependences: Sizes { matrix, voxels: part.field.count() as f64 } }
    }
}

impl Matrix for Around {
    fn merged(parts: &[Self]) -> Self {
        let dependences: Vec<&Sizes> = parts.iter().map(|part| &part.dependences).collect();
        Self {
            tones: ToneDifferences::sum_of(parts.iter().map(|part| &part.tones)),
            dependences: Sizes::sum_of(&dependences),
        }
    }

    /// Those of the tone differences, then those of the dependences.
    fn features(&self) -> Found {
        let mut found = ngtdm::in_order(&self.tones.features()).to_vec();
        found.extend(self.dependences.features()?);
        Some(found)
    }
}
