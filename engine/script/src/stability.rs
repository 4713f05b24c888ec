//! How far features stay the same when image and region are perturbed.

use std::collections::BTreeMap;
use std::sync::Arc;

use isoscan_metrics as metrics;
use isoscan_radiomics::{
    Error as Refusal, FeatureTable, Mode, Perturbation, Perturbations, ROBUST, StoredType, perturb,
};
use rhai::{Array, Dynamic, Engine, Map};

use crate::{
    Error, features,
    measure::coefficients,
    scan::{Roi, Scan},
    state::Run,
    value::{argument, json, told},
    verb::Verb,
};

/// Registers `stability(regions, perturbations)` and the same with settings of `radiomics`.
///
/// `regions` is a list of maps with `image` and `mask`, as `perturb` gives; `perturbations` a map of lists such
/// as `angles_deg`, whose every combination is measured in every region. The result is a map for each feature: the
/// coefficients of `icc` over the regions that have a number under every perturbation, `robust`, and how many regions were
/// `left_out`; a feature without coefficients has the `reason`.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("stability", move |regions: Array, how: Map| -> Verb<Map> {
        Ok(stability(&shared, &regions, &how, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("stability", move |regions: Array, how: Map, settings: Map| -> Verb<Map> {
        Ok(stability(&shared, &regions, &how, &settings)?)
    });
}

/// The values of every feature: a list for each region, in the order of the perturbations.
type Ratings = BTreeMap<String, Vec<Vec<f64>>>;

fn stability(run: &Run, regions: &Array, how: &Map, settings: &Map) -> Result<Map, Error> {
    let how = json("perturbations", &Dynamic::from_map(how.clone()))?;
    let how: Perturbations = serde_json::from_value(how)
        .map_err(|error| argument("perturbations", "a map of lists of what is changed", error))?;
    let chain = how.chain();
    if chain.len() < 2 {
        return Err(argument("perturbations", "at least 2", chain.len()));
    }
    let (mut ratings, mut refusal) = (Ratings::new(), None);
    for region in regions {
        let (scan, roi) = scan_and_roi(region)?;
        let _copies = run.budget.lease(8 * scan.volume.geometry().voxel_count() as u64)?;
        let as_read = features::mode(&scan, settings)?;
        let mut of_region: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for perturbation in &chain {
            match perturbed_table(&scan, &roi, &as_read, perturbation, run.seed) {
                Ok(table) => {
                    for feature in table.features {
                        of_region.entry(feature.name).or_default().push(feature.value);
                    }
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        of_region.into_iter().for_each(|(name, values)| ratings.entry(name).or_default().push(values));
    }
    if let (true, Some(error)) = (ratings.is_empty(), refusal) {
        return Err(error.into());
    }
    let row = |(name, values): (String, Vec<Vec<f64>>)| {
        (name.into(), Dynamic::from_map(stability_of(values, chain.len(), regions.len())))
    };
    Ok(ratings.into_iter().map(row).collect())
}

fn scan_and_roi(region: &Dynamic) -> Result<(Scan, Roi), Error> {
    let wanted = || argument("region", "a map with image and mask", told(region));
    let map = region.read_lock::<Map>().ok_or_else(wanted)?;
    let part = |name: &str| map.get(name).cloned().ok_or_else(wanted);
    let scan = part("image")?.try_cast::<Scan>().ok_or_else(wanted)?;
    let roi = part("mask")?.try_cast::<Roi>().ok_or_else(wanted)?;
    Ok((scan, roi))
}

fn perturbed_table(
    scan: &Scan,
    roi: &Roi,
    as_read: &Mode,
    perturbation: &Perturbation,
    seed: u64,
) -> Result<FeatureTable, Refusal> {
    let mut mode = as_read.clone();
    mode.widen_bins(perturbation.bin_width_factor);
    if let (Mode::Pyradiomics(settings), true) = (&mut mode, perturbation.changes_intensities()) {
        settings.stored_type = StoredType::Detect;
    }
    if perturbation.keeps_image_and_region() {
        return mode.extract(&scan.volume, &roi.mask);
    }
    let (volume, mask) = perturb(&scan.volume, &roi.mask, perturbation, seed)?;
    mode.extract(&volume, &mask)
}

/// The coefficients of one feature, whose regions come with as many values as perturbations gave one.
fn stability_of(ratings: Vec<Vec<f64>>, perturbations: usize, regions: usize) -> Map {
    let complete = |values: &Vec<f64>| values.len() == perturbations && values.iter().all(|v| v.is_finite());
    let ratings: Vec<Vec<f64>> = ratings.into_iter().filter(complete).collect();
    let left_out = regions - ratings.len();
    let mut map = match metrics::icc(&ratings) {
        Ok(icc) => {
            let mut map = coefficients(&icc);
            map.insert("robust".into(), (icc.single_one_way_ci95[0] >= ROBUST).into());
            map
        }
        Err(error) => Map::from([("reason".into(), error.to_string().into())]),
    };
    map.insert("left_out".into(), Dynamic::from_int(left_out as i64));
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shrout and Fleiss 1979, table 2: ICC(1,1) is 0.17. A region without a number leaves the table.
    #[test]
    fn perturbations_are_raters_and_regions_subjects() {
        let table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]];
        let mut ratings: Vec<Vec<f64>> = table.iter().map(|row| row.map(f64::from).to_vec()).collect();
        ratings.push(vec![1.0, f64::NAN, 1.0, 1.0]);
        ratings.push(vec![1.0]);
        let found = stability_of(ratings, 4, 9);
        let one_way = found["one_way"].as_float().unwrap();
        assert!((one_way - 0.1657).abs() < 1e-4, "{one_way}");
        assert_eq!((found["left_out"].as_int(), found["robust"].as_bool()), (Ok(3), Ok(false)));
        let steady = stability_of(vec![vec![1.0, 1.0], vec![2.0, 2.0], vec![5.0, 5.0]], 2, 3);
        assert_eq!(steady["robust"].as_bool(), Ok(true));
        let alone = stability_of(vec![vec![1.0, 2.0]], 2, 1);
        assert!(alone.contains_key("reason") && !alone.contains_key("one_way"));
    }
}
