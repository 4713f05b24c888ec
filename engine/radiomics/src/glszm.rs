use crate::directions::slice_axis;
use crate::family::Named;
use crate::field::LevelField;
use crate::first_order::EPSILON;
use crate::settings::Settings;
use crate::size_matrix::{Emphases, SizeMatrix};
use crate::table::{NanReason, Outcome};
use crate::zones::zones;

/// Alphabetical.
pub(crate) const NAMES: [Named; 16] = [
    ("GrayLevelNonUniformity", Some("JNSA")),
    ("GrayLevelNonUniformityNormalized", Some("Y1RO")),
    ("GrayLevelVariance", Some("BYLV")),
    ("HighGrayLevelZoneEmphasis", Some("5GN9")),
    ("LargeAreaEmphasis", Some("48P8")),
    ("LargeAreaHighGrayLevelEmphasis", Some("J17V")),
    ("LargeAreaLowGrayLevelEmphasis", Some("YH51")),
    ("LowGrayLevelZoneEmphasis", Some("XMSY")),
    ("SizeZoneNonUniformity", Some("4JP3")),
    ("SizeZoneNonUniformityNormalized", Some("VB3A")),
    ("SmallAreaEmphasis", Some("5QRC")),
    ("SmallAreaHighGrayLevelEmphasis", Some("HW1V")),
    ("SmallAreaLowGrayLevelEmphasis", Some("5RAI")),
    ("ZoneEntropy", Some("GU8N")),
    ("ZonePercentage", Some("P30P")),
    ("ZoneVariance", Some("3NSA")),
];

/// Features of the grey level size zone matrix of a region; every one has a value.
pub(crate) struct Glszm(Option<Emphases>);

impl Glszm {
    pub(crate) fn of(field: &LevelField, settings: &Settings) -> Self {
        Self::of_matrix(&zones(field, slice_axis(settings)), field.count() as usize)
    }

    /// The features of the matrix of a region of so many voxels.
    pub(crate) fn of_matrix(zones: &SizeMatrix, voxels: usize) -> Self {
        Self(zones.emphases(voxels as f64, EPSILON))
    }

    /// The value of one feature of [`NAMES`].
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        let emphases = self.0.as_ref().ok_or(NanReason::Undefined)?;
        Ok(match name {
            "GrayLevelNonUniformity" => emphases.grey_non_uniformity,
            "GrayLevelNonUniformityNormalized" => emphases.grey_non_uniformity_normalised,
            "GrayLevelVariance" => emphases.grey_variance,
            "HighGrayLevelZoneEmphasis" => emphases.high_grey,
            "LargeAreaEmphasis" => emphases.large,
            "LargeAreaHighGrayLevelEmphasis" => emphases.large_high_grey,
            "LargeAreaLowGrayLevelEmphasis" => emphases.large_low_grey,
            "LowGrayLevelZoneEmphasis" => emphases.low_grey,
            "SizeZoneNonUniformity" => emphases.size_non_uniformity,
            "SizeZoneNonUniformityNormalized" => emphases.size_non_uniformity_normalised,
            "SmallAreaEmphasis" => emphases.small,
            "SmallAreaHighGrayLevelEmphasis" => emphases.small_high_grey,
            "SmallAreaLowGrayLevelEmphasis" => emphases.small_low_grey,
            "ZoneEntropy" => emphases.entropy,
            "ZonePercentage" => emphases.percentage,
            "ZoneVariance" => emphases.size_variance,
            _ => return Err(NanReason::Undefined),
        })
    }
}
