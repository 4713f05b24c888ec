use isoscan_imaging::{Mask, Volume};

use super::prepare::{Prepared, prepare};
use super::settings::Settings;
use super::textures::{Aggregated, textures};
use super::{histogram, local_intensity, morphology, statistics, volume_histogram};
use crate::family::Named;
use crate::table::{NanReason, Outcome, or_nan};
use crate::{Diagnostics, Error, Feature, FeatureFamily, FeatureTable};

/// Features of the region `mask` of `volume` by the definitions of IBSI-1, in the order of its reference values.
///
/// Names are the tags of the reference values, with the aggregation last: `cm_joint_max_3D_avg`, `szm_sze_2_5D`,
/// `stat_mean`. Lengths are in mm, intensities in the volume's unit. NaN voxels belong to the morphological mask and not
/// to the intensity mask.
///
/// # Errors
/// [`Error::EmptyMask`], [`Error::GeometryMismatch`], [`Error::ResegmentedAway`], [`Error::NotFinite`],
/// [`Error::TooManyLevels`], [`Error::InvalidSetting`], [`Error::UnknownName`]; [`Error::Imaging`] for a spacing without
/// a grid.
pub fn extract(volume: &Volume, mask: &Mask, settings: &Settings) -> Result<FeatureTable, Error> {
    settings.check()?;
    let Prepared { region, filtered, diagnostics, stages } = prepare(volume, mask, settings)?;
    let seen = filtered.as_ref().unwrap_or(&region);
    let prefix = settings.filter.map_or(String::new(), |filter| format!("{}_", filter.prefix()));
    let mut features = Vec::new();
    features.extend(
        diagnostics
            .into_iter()
            .map(|(name, value)| feature(FeatureFamily::Diagnostics, name, None, or_nan(value, NanReason::Undefined))),
    );
    let mut add = |family: FeatureFamily, names: &[Named], of: &dyn Fn() -> Vec<Outcome>| {
        if settings.families.contains(&family) {
            let named = names.iter().zip(of());
            let prefix = if family == FeatureFamily::Shape { "" } else { &prefix };
            features
                .extend(named.map(|((tag, ibsi), outcome)| feature(family, format!("{prefix}{tag}"), *ibsi, outcome)));
        }
    };
    add(FeatureFamily::Shape, &morphology::NAMES, &|| morphology::features(&region).into());
    add(FeatureFamily::LocalIntensity, &local_intensity::NAMES, &|| local_intensity::features(seen).into());
    add(FeatureFamily::FirstOrder, &statistics::NAMES, &|| statistics::features(seen).into());
    add(FeatureFamily::IntensityHistogram, &histogram::NAMES, &|| histogram::features(seen).into());
    add(FeatureFamily::IntensityVolumeHistogram, &volume_histogram::NAMES, &|| {
        volume_histogram::features(seen, settings.volume_histogram).into()
    });
    features.extend(textures(seen, settings)?.into_iter().flat_map(|found| texture_rows(&prefix, found)));
    let grey_levels = (!seen.levels.grey.is_empty()).then(|| seen.levels.highest());
    Ok(FeatureTable { features, diagnostics: Diagnostics { stages, grey_levels, ..Diagnostics::default() } })
}

fn feature(family: FeatureFamily, name: String, ibsi: Option<&'static str>, outcome: Outcome) -> Feature {
    Feature { name, family, value: outcome.unwrap_or(f64::NAN), ibsi, reason: outcome.err() }
}

fn texture_rows(prefix: &str, found: Aggregated) -> impl Iterator<Item = Feature> {
    let Aggregated { family, names, suffix, values, empty } = found;
    names.iter().enumerate().map(move |(k, (tag, ibsi))| {
        let outcome = values.get(k).map_or(Err(empty), |&value| or_nan(value, NanReason::Undefined));
        feature(family, format!("{prefix}{tag}_{suffix}"), *ibsi, outcome)
    })
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    /// A textured volume of `slices` slices and an ellipse in each.
    fn region(slices: usize) -> (Volume, Mask) {
        let geometry = Geometry::axis_aligned([24, 20, slices], [0.8, 0.9, 2.5]).unwrap();
        let shape = (slices, 20, 24);
        let texture = |(z, y, x): (usize, usize, usize)| ((x * x * 7 + y * 31 + z * z * 13 + x * y) % 211) as f32;
        let inside = |(z, y, x): (usize, usize, usize)| {
            (x as f64 / 12.0 - 1.0).powi(2) + (y as f64 / 10.0 - 1.0).powi(2) < 0.9 - 0.02 * (z * z) as f64
        };
        let voxels = Array3::from_shape_fn(shape, texture);
        let volume = Volume::new(voxels, geometry.clone(), Modality::Mr, Unit::Arbitrary).unwrap();
        (volume, Mask::new(Array3::from_shape_fn(shape, inside), geometry).unwrap())
    }

    fn settings(text: &str) -> Settings {
        Settings::from_text(text).unwrap()
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (volume, mask) = region(6);
        let settings = settings(
            "
            resampling: {spacing_mm: [1, 1, 2], image: cubic_spline}
            resegmentation: {range: [5, null], outliers_sd: 2}
            discretisation: {fixed_bin_size: 7}",
        );
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let table = pool.install(|| extract(&volume, &mask, &settings)).unwrap();
            table.features.iter().map(|feature| feature.value.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(1).len(), 60 + 79 + 6 * (25 + 16) + 3 * (16 + 16 + 5 + 17));
        assert_eq!(bits(1), bits(3));
    }

    /// In one slice there is nothing to average over slices or to merge; directions out of the slice hold no pair, but runs
    /// of one voxel.
    #[test]
    fn one_slice_is_the_same_averaged_merged_and_in_space() {
        let (volume, mask) = region(1);
        let table = extract(&volume, &mask, &settings("discretisation: {fixed_bin_number: 16}")).unwrap();
        let value = |name: String| table.get(&name).unwrap();
        let same = |tag: &str, suffixes: &[&str]| {
            let first = value(format!("{tag}_{}", suffixes[0]));
            let close = |found: f64| (found - first).abs() <= 1e-12 * first.abs();
            assert!(suffixes.iter().all(|suffix| close(value(format!("{tag}_{suffix}")))), "{tag} {suffixes:?}");
        };
        for (tag, _) in super::super::glcm::NAMES {
            same(tag, &["2D_avg", "2_5D_avg", "3D_avg"]);
            same(tag, &["2D_comb", "2_5D_comb", "3D_comb"]);
        }
        for (tag, _) in super::super::sizes::GLRLM {
            same(tag, &["2D_avg", "2_5D_avg"]);
            same(tag, &["2D_comb", "2_5D_comb"]);
        }
        for (tag, _) in super::super::ngtdm::NAMES.iter().chain(&super::super::sizes::NGLDM) {
            same(tag, &["2D", "2_5D", "3D"]);
        }
        for (tag, _) in super::super::sizes::GLDZM {
            same(tag, &["2D", "2_5D"]);
        }
        let (weighted, plain) = (value("dzm_ldhge_3D".to_owned()), value("dzm_hgze_3D".to_owned()));
        assert!((weighted - plain).abs() <= 1e-12 * plain, "every zone of a slice touches the border");
    }

    #[test]
    fn only_what_is_named_is_computed() {
        let (volume, mask) = region(3);
        let table = extract(
            &volume,
            &mask,
            &settings(
                "{families: [ngtdm, firstorder], aggregations: [2_5D_comb],
            discretisation: {fixed_bin_size: 10}}",
            ),
        );
        let table = table.unwrap();
        assert_eq!(table.features.len(), 18 + 5);
        assert_eq!(table.features[0].name, "stat_mean");
        assert_eq!(table.features[22].name, "ngt_strength_2_5D");
        assert_eq!(table.diagnostics.stages.len(), 1);
    }

    #[test]
    fn a_single_voxel_has_values_or_reasons() {
        let (volume, mask) = region(3);
        let mut inside = mask.inside().to_owned();
        inside.fill(false);
        inside[[1, 10, 12]] = true;
        let one = Mask::new(inside, mask.geometry().clone()).unwrap();
        let table = extract(&volume, &one, &settings("discretisation: {fixed_bin_number: 8}")).unwrap();
        assert!(table.features.iter().all(|feature| feature.value.is_nan() == feature.reason.is_some()));
        let reason = |name: &str| table.features.iter().find(|feature| feature.name == name).unwrap().reason;
        assert_eq!(reason("cm_contrast_3D_avg"), Some(NanReason::NoPairs));
        assert_eq!((table.get("szm_sze_2D"), table.get("rlm_sre_3D_comb")), (Some(1.0), Some(1.0)));
        assert_eq!(table.get("ngt_coarseness_3D"), Some(1e6));
    }
}
