//! Functional groups of multi-frame classes as tables.

use dicom_core::Tag;
use dicom_dictionary_std::tags as t;
use dicom_object::InMemDicomObject;

use super::modules::Need::{One, Two};
use super::modules::{Condition, Row};
use crate::dicom::attributes::text;
use crate::dicom::derive::{SCHEME, items_of};

/// A functional group of a multi-frame class.
pub(crate) struct Group {
    pub(crate) sequence: Tag,
    /// May not be shared by all frames.
    pub(crate) per_frame: bool,
    pub(crate) when: Condition,
    pub(crate) rows: &'static [Row],
}

const fn always(_: &InMemDicomObject) -> bool {
    true
}

pub(super) const MEASURES: Group = Group {
    sequence: t::PIXEL_MEASURES_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::PIXEL_SPACING, One), (t::SLICE_THICKNESS, One)],
};
pub(super) const CONTENT_OF_FRAME: Group = Group {
    sequence: t::FRAME_CONTENT_SEQUENCE,
    per_frame: true,
    when: always,
    rows: &[(t::DIMENSION_INDEX_VALUES, One)],
};
pub(super) const POSITION: Group = Group {
    sequence: t::PLANE_POSITION_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::IMAGE_POSITION_PATIENT, One)],
};
pub(super) const ORIENTATION: Group = Group {
    sequence: t::PLANE_ORIENTATION_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::IMAGE_ORIENTATION_PATIENT, One)],
};
pub(super) const ANATOMY: Group = Group {
    sequence: t::FRAME_ANATOMY_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::FRAME_LATERALITY, One), (t::ANATOMIC_REGION_SEQUENCE, One)],
};
pub(super) const VALUES: Group = Group {
    sequence: t::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::RESCALE_INTERCEPT, One), (t::RESCALE_SLOPE, One), (t::RESCALE_TYPE, One)],
};
pub(super) const DERIVATION: Group = Group {
    sequence: t::DERIVATION_IMAGE_SEQUENCE,
    per_frame: false,
    when: derived_from_images,
    rows: &[(t::DERIVATION_CODE_SEQUENCE, One), (t::SOURCE_IMAGE_SEQUENCE, Two)],
};
pub(super) const CT_TYPE: Group =
    Group { sequence: t::CT_IMAGE_FRAME_TYPE_SEQUENCE, per_frame: false, when: always, rows: FRAME_TYPE };
pub(super) const MR_TYPE: Group = Group {
    sequence: t::MR_IMAGE_FRAME_TYPE_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[
        (t::FRAME_TYPE, One),
        (t::PIXEL_PRESENTATION, One),
        (t::VOLUMETRIC_PROPERTIES, One),
        (t::VOLUME_BASED_CALCULATION_TECHNIQUE, One),
        (t::COMPLEX_IMAGE_COMPONENT, One),
        (t::ACQUISITION_CONTRAST, One),
    ],
};
pub(super) const PET_TYPE: Group =
    Group { sequence: t::PET_FRAME_TYPE_SEQUENCE, per_frame: false, when: always, rows: FRAME_TYPE };
pub(super) const MAP_TYPE: Group = Group {
    sequence: t::PARAMETRIC_MAP_FRAME_TYPE_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::FRAME_TYPE, One)],
};
pub(super) const FRAME_TYPE: &[Row] = &[
    (t::FRAME_TYPE, One),
    (t::PIXEL_PRESENTATION, One),
    (t::VOLUMETRIC_PROPERTIES, One),
    (t::VOLUME_BASED_CALCULATION_TECHNIQUE, One),
];
pub(super) const SEGMENT_OF_FRAME: Group = Group {
    sequence: t::SEGMENT_IDENTIFICATION_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::REFERENCED_SEGMENT_NUMBER, One)],
};
pub(super) const REAL_WORLD: Group = Group {
    sequence: t::REAL_WORLD_VALUE_MAPPING_SEQUENCE,
    per_frame: false,
    when: always,
    rows: &[(t::LUT_LABEL, One), (t::LUT_EXPLANATION, One), (t::MEASUREMENT_UNITS_CODE_SEQUENCE, One)],
};

/// Required when frames are derived from other images: of ours it is known.
fn derived_from_images(object: &InMemDicomObject) -> bool {
    text(object, Tag(0x0099, 0x0010)).as_deref() == Some(SCHEME)
        && !items_of(object, t::REFERENCED_SERIES_SEQUENCE).is_empty()
}
