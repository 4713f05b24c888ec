use isoscan_imaging::Geometry;
use rayon::prelude::*;

use crate::directions::{directions, slice_axis};
use crate::discretise::Discretised;
use crate::family::Named;
use crate::field::LevelField;
use crate::first_order::FirstOrder;
use crate::glcm::Glcm;
use crate::gldm::Gldm;
use crate::glrlm::Glrlm;
use crate::glszm::Glszm;
use crate::images::ORIGINAL;
use crate::neighbourhoods::Neighbourhoods;
use crate::ngtdm::Ngtdm;
use crate::roi::Roi;
use crate::shape::Shape;
use crate::shape2d::Shape2D;
use crate::table::{NanReason, Outcome};
use crate::{Error, Feature, FeatureFamily, Settings};

/// What the families of one image are computed from.
pub(crate) struct Sample<'a> {
    /// The region.
    pub(crate) region: &'a Roi,
    /// Intensities of the region, x fastest.
    pub(crate) values: &'a [f64],
    /// Their grey levels.
    pub(crate) levels: &'a Discretised,
    /// Spacing of the grid, x, y, z in mm.
    pub(crate) spacing_mm: [f64; 3],
    /// The settings for this image.
    pub(crate) settings: &'a Settings,
}

/// The value of each feature by its name.
type Values<'a> = Box<dyn Fn(&str) -> Outcome + 'a>;

/// What the texture families share.
struct Textures {
    field: LevelField,
    /// Computed when GLDM or NGTDM is wanted.
    neighbourhoods: Option<Neighbourhoods>,
}

impl Textures {
    /// `None` when no texture family is wanted.
    fn of(sample: &Sample) -> Option<Self> {
        let &Sample { region, levels, settings, .. } = sample;
        let is_wanted = |family: &FeatureFamily| settings.features.contains_key(family);
        let around = [FeatureFamily::Gldm, FeatureFamily::Ngtdm].iter().any(is_wanted);
        let others = [FeatureFamily::Glcm, FeatureFamily::Glrlm, FeatureFamily::Glszm].iter().any(is_wanted);
        (around || others).then(|| {
            let field = LevelField::of(region, levels);
            let neighbourhoods = around.then(|| {
                let steps = directions(region.size, &settings.distances, slice_axis(settings));
                Neighbourhoods::of(&field, &steps, settings.gldm_a)
            });
            Self { field, neighbourhoods }
        })
    }
}

/// The features of a family that are wanted of the image called `image`; none for the shape families.
fn features_of(
    family: FeatureFamily,
    wanted: &[String],
    image: &str,
    sample: &Sample,
    textures: Option<&Textures>,
) -> Vec<Feature> {
    let &Sample { values, levels, spacing_mm, settings, .. } = sample;
    let field = textures.map(|textures| &textures.field);
    let neighbourhoods = textures.and_then(|textures| textures.neighbourhoods.as_ref());
    let value_of: Values = match (family, field, neighbourhoods) {
        (FeatureFamily::FirstOrder, ..) => {
            let voxel_volume_mm3 = spacing_mm.iter().product();
            let statistics = FirstOrder::of(values, levels, settings.voxel_array_shift, voxel_volume_mm3);
            Box::new(move |name| statistics.feature(name))
        }
        (FeatureFamily::Glcm, Some(field), _) => {
            let matrices = Glcm::of(field, spacing_mm, settings);
            Box::new(move |name| matrices.feature(name))
        }
        (FeatureFamily::Glrlm, Some(field), _) => {
            let matrices = Glrlm::of(field, spacing_mm, settings);
            Box::new(move |name| matrices.feature(name))
        }
        (FeatureFamily::Glszm, Some(field), _) => {
            let matrix = Glszm::of(field, settings);
            Box::new(move |name| matrix.feature(name))
        }
        (FeatureFamily::Gldm, _, Some(neighbourhoods)) => {
            let matrix = Gldm::of(neighbourhoods);
            Box::new(move |name| matrix.feature(name))
        }
        (FeatureFamily::Ngtdm, _, Some(neighbourhoods)) => {
            let matrix = Ngtdm::of(neighbourhoods);
            Box::new(move |name| matrix.feature(name))
        }
        _ => return Vec::new(),
    };
    named(family, wanted, image, &value_of)
}

/// The features of a shape family that are wanted; none for the others.
pub(crate) fn shape_of(
    family: FeatureFamily,
    wanted: &[String],
    region: &Roi,
    grid: &Geometry,
    settings: &Settings,
) -> Result<Vec<Feature>, Error> {
    let spacing_mm = grid.spacing_mm();
    let value_of: Values = match family {
        FeatureFamily::Shape => {
            let shape = Shape::of(region, spacing_mm);
            Box::new(move |name| shape.feature(name))
        }
        FeatureFamily::Shape2D => {
            let form = Shape2D::of(region, grid.size(), spacing_mm, settings)?;
            Box::new(move |name| form.as_ref().ok_or(NanReason::NotForcedTo2D).and_then(|form| form.feature(name)))
        }
        _ => return Ok(Vec::new()),
    };
    Ok(named(family, wanted, ORIGINAL, &value_of))
}

/// The features of all families but shape, in the families' order.
pub(crate) fn all_features(image: &str, sample: &Sample) -> Vec<Feature> {
    let families: Vec<(FeatureFamily, &[String])> =
        sample.settings.features.iter().map(|(&family, wanted)| (family, wanted.as_slice())).collect();
    let textures = Textures::of(sample);
    let of_family = |&(family, wanted): &(_, &[String])| features_of(family, wanted, image, sample, textures.as_ref());
    let by_family: Vec<Vec<Feature>> = families.par_iter().with_max_len(1).map(of_family).collect();
    by_family.into_iter().flatten().collect()
}

fn named(family: FeatureFamily, wanted: &[String], image: &str, value_of: &Values) -> Vec<Feature> {
    wanted_features(family, wanted)
        .map(|(name, ibsi)| {
            let outcome = if family.is_superseded(name) { Err(NanReason::Superseded) } else { value_of(name) };
            Feature {
                name: format!("{image}_{family}_{name}"),
                family,
                value: outcome.unwrap_or(f64::NAN),
                ibsi: *ibsi,
                reason: outcome.err(),
            }
        })
        .collect()
}

/// All but the deprecated features of the family, or those wanted, in the family's order.
pub(crate) fn wanted_features(family: FeatureFamily, wanted: &[String]) -> impl Iterator<Item = &'static Named> + '_ {
    let is_wanted = |name: &str| wanted.iter().any(|w| w == name);
    let standard = family.named().iter().filter(move |(name, _)| wanted.is_empty() || is_wanted(name));
    standard.chain(family.deprecated().iter().filter(move |(name, _)| is_wanted(name)))
}
