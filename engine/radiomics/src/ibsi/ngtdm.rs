use crate::family::Named;
use crate::ngtdm::ToneFeatures;

/// Tag of the reference values without the aggregation, and code; in the order of the reference values.
pub(crate) const NAMES: [Named; 5] = [
    ("ngt_coarseness", Some("QCDE")),
    ("ngt_contrast", Some("65HE")),
    ("ngt_busyness", Some("NQ30")),
    ("ngt_complexity", Some("HDEZ")),
    ("ngt_strength", Some("1X9X")),
];

/// The features in the order of [`NAMES`].
pub(super) fn in_order(features: &ToneFeatures) -> [f64; NAMES.len()] {
    [features.coarseness, features.contrast, features.busyness, features.complexity, features.strength]
}
