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
use crate::roi::Roi;
use crate::runs::runs;
use crate::table::NanReason;
use crate::zones::sizes_and_distances;
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
    if wants(FeatureFamily::Glszm) || wants(FeatureFamily::Gldzm) {
        let border = Border::of(region, &dimensions, sliced);
        let values = by_dimension(&fields, &dimensions, |part| Zoned::of(part, &border));
        let (sizes, distances) = split(values, sizes::NUMBERS);
        if wants(FeatureFamily::Glszm) {
            found.extend(around(FeatureFamily::Glszm, &sizes::GLSZM, sizes));
        }
        if wants(FeatureFamily::Gldzm) {
            found.extend(around(FeatureFamily::Gldzm, &sizes::GLDZM, distances));
        }
    }
    if wants(FeatureFamily::Ngtdm) || wants(FeatureFamily::Ngldm) {
        let values = by_dimension(&fields, &dimensions, |part| Around::of(part, settings));
        let (tones, dependences) = split(values, ngtdm::NAMES.len());
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

type Values = Vec<(Dimension, Vec<f64>)>;

/// The first `count` values of each dimension, and the others.
fn split(values: Values, count: usize) -> (Values, Values) {
    let split = |(dimension, mut values): (Dimension, Vec<f64>)| {
        let others = values.split_off(values.len().min(count));
        ((dimension, values), (dimension, others))
    };
    values.into_iter().map(split).unzip()
}

/// Steps from the voxels of the morphological mask to its border.
struct Border<'a> {
    mask: &'a Roi,
    in_slices: Vec<u32>,
    in_space: Vec<u32>,
}

impl<'a> Border<'a> {
    fn of(region: &'a Region, dimensions: &BTreeSet<Dimension>, sliced: bool) -> Self {
        let mask = &region.morphological;
        let steps = |wanted: bool, in_slices: bool| if wanted { steps_to_border(mask, in_slices) } else { Vec::new() };
        Self { mask, in_slices: steps(sliced, true), in_space: steps(dimensions.contains(&Dimension::Volume), false) }
    }

    fn steps(&self, part: &Part) -> Vec<u32> {
        let steps = if part.is_slice { &self.in_slices } else { &self.in_space };
        let offset = std::array::from_fn(|a| part.region.first[a] - self.mask.first[a]);
        block(steps, self.mask.size, (offset, part.region.size), |step| step)
    }
}

/// Zones by size, and by distance to the border.
struct Zoned {
    sizes: Sizes,
    distances: Sizes,
}

impl Zoned {
    fn of(part: &Part, border: &Border) -> Self {
        let voxels = part.field.count() as f64;
        let [sizes, distances] = sizes_and_distances(&part.field, &border.steps(part));
        Self { sizes: Sizes { matrix: sizes, voxels }, distances: Sizes { matrix: distances, voxels } }
    }
}

impl Matrix for Zoned {
    fn merged(parts: &[Self]) -> Self {
        let of = |pick: fn(&Self) -> &Sizes| Sizes::sum_of(&parts.iter().map(pick).collect::<Vec<_>>());
        Self { sizes: of(|part| &part.sizes), distances: of(|part| &part.distances) }
    }

    /// Those by size, then those by distance.
    fn features(&self) -> Found {
        let mut found = self.sizes.features()?;
        found.extend(self.distances.features()?);
        Some(found)
    }
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
