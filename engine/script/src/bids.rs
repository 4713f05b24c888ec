//! Subjects of a BIDS dataset.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use isoscan_io::{BidsDataset, BidsImage, read_bids};
use rhai::Map;

use crate::{Error, value::argument};

/// Suffixes of images that mark regions and are no scans.
const REGIONS: [&str; 3] = ["dseg", "mask", "probseg"];

/// One scan of a dataset, with what belongs to it.
pub(crate) struct Found {
    pub(crate) image: BidsImage,
    pub(crate) reference: Option<BidsImage>,
    pub(crate) labels: Option<BidsImage>,
}

/// The scans whose entities, `suffix` and `datatype` are as `options` says; without options every scan. The map
/// `reference` of `options` names the entities in which a scan's reference differs from it, such as `#{ ses: "b" }`. Labels
/// are the dataset's `dseg` or `mask` of the same subject and session.
pub(crate) fn scans(folder: &Path, options: &Map) -> Result<(Arc<BidsDataset>, Vec<Found>), Error> {
    let dataset = read_bids(folder)?;
    let wanted = texts(options.iter().filter(|(key, _)| key.as_str() != "reference"))?;
    let differing = match options.get("reference") {
        None => None,
        Some(map) => {
            let map = map.read_lock::<Map>().ok_or_else(|| argument("reference", "a map of entities", map))?;
            Some(texts(map.iter())?)
        }
    };
    let scans = || dataset.images.iter().filter(|image| !REGIONS.contains(&image.suffix.as_str()));
    let found = scans()
        .filter(|image| image.fits(&wanted))
        .filter(|image| differing.as_ref().is_none_or(|differing| !image.fits(differing)))
        .map(|image| Found {
            image: image.clone(),
            reference: differing
                .as_ref()
                .and_then(|differing| scans().find(|other| is_reference(image, other, differing)).cloned()),
            labels: dataset.images.iter().find(|other| marks(other, image)).cloned(),
        })
        .collect();
    Ok((Arc::new(dataset), found))
}

fn texts<'a>(
    entries: impl Iterator<Item = (&'a rhai::Identifier, &'a rhai::Dynamic)>,
) -> Result<BTreeMap<String, String>, Error> {
    let text = |(key, value): (&rhai::Identifier, &rhai::Dynamic)| {
        let value = value.clone().into_string().map_err(|_| argument("entity", "a text", value))?;
        Ok((key.to_string(), value))
    };
    entries.map(text).collect()
}

/// Whether `other` is `image` but for the differing entities.
fn is_reference(image: &BidsImage, other: &BidsImage, differing: &BTreeMap<String, String>) -> bool {
    let rest = |image: &BidsImage| {
        let mut entities: Vec<_> =
            image.entities.iter().filter(|(key, _)| !differing.contains_key(key)).cloned().collect();
        entities.sort();
        entities
    };
    let suffix = differing.contains_key("suffix") || other.suffix == image.suffix;
    other.fits(differing) && suffix && rest(image) == rest(other)
}

fn marks(labels: &BidsImage, image: &BidsImage) -> bool {
    let same = |key| labels.entity(key) == image.entity(key);
    matches!(labels.suffix.as_str(), "dseg" | "mask") && same("sub") && same("ses")
}
