//! Modules of PS3.3 as tables: which attribute each needs, and when.

use dicom_core::Tag;
use dicom_dictionary_std::{tags as t, uids};
use dicom_object::InMemDicomObject;

use crate::dicom::attributes::{text, texts};
use crate::dicom::derive::items_of;

/// Whether an attribute must be there (PS3.5 7.4).
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// Type 1: with a value.
    One,
    /// Type 2: may be empty.
    Two,
    /// Type 1C.
    OneIf(Condition),
    /// Type 2C.
    TwoIf(Condition),
}

/// Told from the object, or from the item that holds the attribute.
pub(crate) type Condition = fn(&InMemDicomObject) -> bool;

/// An attribute and its need.
pub(crate) type Row = (Tag, Need);

/// A group of attributes that image classes share.
pub(crate) struct Module {
    pub(crate) reference: &'static str,
    pub(crate) rows: &'static [Row],
}

use Need::{One, OneIf, Two, TwoIf};

fn absent(object: &InMemDicomObject, tag: Tag) -> bool {
    object.get(tag).is_none()
}

fn has_word(object: &InMemDicomObject, tag: Tag, word: &str) -> bool {
    texts(object, tag).iter().any(|value| value == word)
}

fn original(object: &InMemDicomObject) -> bool {
    texts(object, t::IMAGE_TYPE).first().is_some_and(|word| word == "ORIGINAL" || word == "MIXED")
}

fn no_plane(object: &InMemDicomObject) -> bool {
    absent(object, t::IMAGE_ORIENTATION_PATIENT) || absent(object, t::IMAGE_POSITION_PATIENT)
}

fn no_orientation_code(object: &InMemDicomObject) -> bool {
    absent(object, t::PATIENT_ORIENTATION_CODE_SEQUENCE)
}

fn not_echo_planar_alone(object: &InMemDicomObject) -> bool {
    !has_word(object, t::SCANNING_SEQUENCE, "EP") || has_word(object, t::SEQUENCE_VARIANT, "SK")
}

fn inverts(object: &InMemDicomObject) -> bool {
    has_word(object, t::SCANNING_SEQUENCE, "IR")
}

fn gated(object: &InMemDicomObject) -> bool {
    has_word(object, t::SERIES_TYPE, "GATED")
}

fn dynamic(object: &InMemDicomObject) -> bool {
    has_word(object, t::SERIES_TYPE, "DYNAMIC")
}

fn reprojected(object: &InMemDicomObject) -> bool {
    has_word(object, t::SERIES_TYPE, "REPROJECTION")
}

fn decay_corrected(object: &InMemDicomObject) -> bool {
    text(object, t::DECAY_CORRECTION).is_some_and(|word| word != "NONE")
}

fn for_presentation_without_lut(object: &InMemDicomObject) -> bool {
    has_word(object, t::PRESENTATION_INTENT_TYPE, "FOR PRESENTATION") && absent(object, t::VOILUT_SEQUENCE)
}

fn algorithmic(segment: &InMemDicomObject) -> bool {
    text(segment, t::SEGMENT_ALGORITHM_TYPE).is_some_and(|word| word != "MANUAL")
}

fn without_float_pixels(object: &InMemDicomObject) -> bool {
    text(object, t::SOP_CLASS_UID).as_deref() != Some(uids::PARAMETRIC_MAP_STORAGE)
}

fn windowed(object: &InMemDicomObject) -> bool {
    !absent(object, t::WINDOW_CENTER)
}

fn refers_to_images(object: &InMemDicomObject) -> bool {
    let groups = [t::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE];
    groups.iter().flat_map(|&tag| items_of(object, tag)).any(|item| {
        items_of(&item, t::DERIVATION_IMAGE_SEQUENCE).iter().any(|d| !items_of(d, t::SOURCE_IMAGE_SEQUENCE).is_empty())
    })
}

pub(super) const PATIENT: Module = Module {
    reference: "PS3.3 C.7.1.1",
    rows: &[(t::PATIENT_NAME, Two), (t::PATIENT_ID, Two), (t::PATIENT_BIRTH_DATE, Two), (t::PATIENT_SEX, Two)],
};
pub(super) const STUDY: Module = Module {
    reference: "PS3.3 C.7.2.1",
    rows: &[
        (t::STUDY_INSTANCE_UID, One),
        (t::STUDY_DATE, Two),
        (t::STUDY_TIME, Two),
        (t::REFERRING_PHYSICIAN_NAME, Two),
        (t::STUDY_ID, Two),
        (t::ACCESSION_NUMBER, Two),
    ],
};
pub(super) const SERIES: Module = Module {
    reference: "PS3.3 C.7.3.1",
    rows: &[(t::MODALITY, One), (t::SERIES_INSTANCE_UID, One), (t::SERIES_NUMBER, Two)],
};
pub(super) const NUMBERED_SERIES: Module = Module { reference: "PS3.3 C.7.3.1", rows: &[(t::SERIES_NUMBER, One)] };
pub(super) const POSITIONED_SERIES: Module =
    Module { reference: "PS3.3 C.7.3.1", rows: &[(t::PATIENT_POSITION, TwoIf(no_orientation_code))] };
pub(super) const FRAME_OF_REFERENCE: Module = Module {
    reference: "PS3.3 C.7.4.1",
    rows: &[(t::FRAME_OF_REFERENCE_UID, One), (t::POSITION_REFERENCE_INDICATOR, Two)],
};
pub(super) const EQUIPMENT: Module = Module { reference: "PS3.3 C.7.5.1", rows: &[(t::MANUFACTURER, Two)] };
pub(super) const ENHANCED_EQUIPMENT: Module = Module {
    reference: "PS3.3 C.7.5.2",
    rows: &[
        (t::MANUFACTURER, One),
        (t::MANUFACTURER_MODEL_NAME, One),
        (t::DEVICE_SERIAL_NUMBER, One),
        (t::SOFTWARE_VERSIONS, One),
    ],
};
pub(super) const IMAGE: Module = Module {
    reference: "PS3.3 C.7.6.1",
    rows: &[(t::INSTANCE_NUMBER, Two), (t::PATIENT_ORIENTATION, TwoIf(no_plane))],
};
pub(super) const PLANE: Module = Module {
    reference: "PS3.3 C.7.6.2",
    rows: &[
        (t::PIXEL_SPACING, One),
        (t::IMAGE_ORIENTATION_PATIENT, One),
        (t::IMAGE_POSITION_PATIENT, One),
        (t::SLICE_THICKNESS, Two),
    ],
};
pub(super) const PIXELS: Module = Module {
    reference: "PS3.3 C.7.6.3",
    rows: &[
        (t::SAMPLES_PER_PIXEL, One),
        (t::PHOTOMETRIC_INTERPRETATION, One),
        (t::ROWS, One),
        (t::COLUMNS, One),
        (t::BITS_ALLOCATED, One),
        (t::BITS_STORED, OneIf(without_float_pixels)),
        (t::HIGH_BIT, OneIf(without_float_pixels)),
        (t::PIXEL_REPRESENTATION, OneIf(without_float_pixels)),
    ],
};
pub(super) const SOP_COMMON: Module =
    Module { reference: "PS3.3 C.12.1", rows: &[(t::SOP_CLASS_UID, One), (t::SOP_INSTANCE_UID, One)] };
pub(super) const CT: Module = Module {
    reference: "PS3.3 C.8.2.1",
    rows: &[
        (t::IMAGE_TYPE, One),
        (t::RESCALE_INTERCEPT, One),
        (t::RESCALE_SLOPE, One),
        (t::KVP, Two),
        (t::ACQUISITION_NUMBER, Two),
    ],
};
pub(super) const MR: Module = Module {
    reference: "PS3.3 C.8.3.1",
    rows: &[
        (t::IMAGE_TYPE, One),
        (t::SCANNING_SEQUENCE, One),
        (t::SEQUENCE_VARIANT, One),
        (t::SCAN_OPTIONS, Two),
        (t::MR_ACQUISITION_TYPE, Two),
        (t::REPETITION_TIME, TwoIf(not_echo_planar_alone)),
        (t::ECHO_TIME, Two),
        (t::ECHO_TRAIN_LENGTH, Two),
        (t::INVERSION_TIME, TwoIf(inverts)),
    ],
};
pub(super) const PET: Module = Module {
    reference: "PS3.3 C.8.9.1 to C.8.9.4",
    rows: &[
        (t::SERIES_DATE, One),
        (t::SERIES_TIME, One),
        (t::UNITS, One),
        (t::COUNTS_SOURCE, One),
        (t::SERIES_TYPE, One),
        (t::REPROJECTION_METHOD, TwoIf(reprojected)),
        (t::NUMBER_OF_RR_INTERVALS, OneIf(gated)),
        (t::NUMBER_OF_TIME_SLOTS, OneIf(gated)),
        (t::NUMBER_OF_TIME_SLICES, OneIf(dynamic)),
        (t::NUMBER_OF_SLICES, One),
        (t::CORRECTED_IMAGE, Two),
        (t::DECAY_CORRECTION, One),
        (t::COLLIMATOR_TYPE, Two),
        (t::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, Two),
        (t::PATIENT_ORIENTATION_CODE_SEQUENCE, Two),
        (t::PATIENT_GANTRY_RELATIONSHIP_CODE_SEQUENCE, Two),
        (t::IMAGE_TYPE, One),
        (t::RESCALE_INTERCEPT, One),
        (t::RESCALE_SLOPE, One),
        (t::FRAME_REFERENCE_TIME, One),
        (t::ACQUISITION_DATE, Two),
        (t::ACQUISITION_TIME, Two),
        (t::ACTUAL_FRAME_DURATION, One),
        (t::DECAY_FACTOR, OneIf(decay_corrected)),
        (t::IMAGE_INDEX, One),
    ],
};
pub(super) const CR: Module =
    Module { reference: "PS3.3 C.8.1.1", rows: &[(t::BODY_PART_EXAMINED, Two), (t::VIEW_POSITION, Two)] };
pub(super) const DX: Module = Module {
    reference: "PS3.3 C.8.11.1 to C.8.11.4",
    rows: &[
        (t::PRESENTATION_INTENT_TYPE, One),
        (t::IMAGE_TYPE, One),
        (t::IMAGE_LATERALITY, One),
        (t::ANATOMIC_REGION_SEQUENCE, Two),
        (t::PATIENT_ORIENTATION, One),
        (t::PIXEL_INTENSITY_RELATIONSHIP, One),
        (t::PIXEL_INTENSITY_RELATIONSHIP_SIGN, One),
        (t::RESCALE_INTERCEPT, One),
        (t::RESCALE_SLOPE, One),
        (t::RESCALE_TYPE, One),
        (t::PRESENTATION_LUT_SHAPE, One),
        (t::LOSSY_IMAGE_COMPRESSION, One),
        (t::BURNED_IN_ANNOTATION, One),
        (t::WINDOW_CENTER, OneIf(for_presentation_without_lut)),
        (t::IMAGER_PIXEL_SPACING, One),
        (t::DETECTOR_TYPE, Two),
        (t::ACQUISITION_CONTEXT_SEQUENCE, Two),
    ],
};
pub(super) const WINDOWED: Module = Module { reference: "PS3.3 C.11.2", rows: &[(t::WINDOW_WIDTH, OneIf(windowed))] };
pub(super) const SECONDARY_CAPTURE: Module = Module { reference: "PS3.3 C.8.6.1", rows: &[(t::CONVERSION_TYPE, One)] };
pub(super) const MULTI_FRAME: Module = Module {
    reference: "PS3.3 C.7.6.16",
    rows: &[
        (t::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, Two),
        (t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, One),
        (t::INSTANCE_NUMBER, One),
        (t::CONTENT_DATE, One),
        (t::CONTENT_TIME, One),
        (t::NUMBER_OF_FRAMES, One),
    ],
};
pub(super) const DIMENSIONS: Module = Module {
    reference: "PS3.3 C.7.6.17",
    rows: &[(t::DIMENSION_ORGANIZATION_SEQUENCE, One), (t::DIMENSION_INDEX_SEQUENCE, One)],
};
pub(super) const ACQUISITION_CONTEXT: Module =
    Module { reference: "PS3.3 C.7.6.14", rows: &[(t::ACQUISITION_CONTEXT_SEQUENCE, Two)] };
pub(super) const ENHANCED_IMAGE: Module = Module {
    reference: "PS3.3 C.8.13.1, C.8.15.2, C.8.22.2",
    rows: &[
        (t::IMAGE_TYPE, One),
        (t::ACQUISITION_DATE_TIME, OneIf(original)),
        (t::CONTENT_QUALIFICATION, One),
        (t::BURNED_IN_ANNOTATION, One),
        (t::LOSSY_IMAGE_COMPRESSION, One),
        (t::PRESENTATION_LUT_SHAPE, One),
        (t::PIXEL_PRESENTATION, One),
        (t::VOLUMETRIC_PROPERTIES, One),
        (t::VOLUME_BASED_CALCULATION_TECHNIQUE, One),
    ],
};
pub(super) const ENHANCED_MR: Module = Module {
    reference: "PS3.3 C.8.13.3.1",
    rows: &[(t::COMPLEX_IMAGE_COMPONENT, One), (t::ACQUISITION_CONTRAST, One)],
};
pub(super) const CONTENT: Module = Module {
    reference: "PS3.3 10.9",
    rows: &[(t::CONTENT_LABEL, One), (t::CONTENT_DESCRIPTION, Two), (t::CONTENT_CREATOR_NAME, Two)],
};
pub(super) const REFERENCES: Module =
    Module { reference: "PS3.3 C.12.2", rows: &[(t::REFERENCED_SERIES_SEQUENCE, OneIf(refers_to_images))] };
pub(super) const SEGMENTATION: Module = Module {
    reference: "PS3.3 C.8.20.2",
    rows: &[
        (t::IMAGE_TYPE, One),
        (t::SEGMENTATION_TYPE, One),
        (t::SEGMENT_SEQUENCE, One),
        (t::LOSSY_IMAGE_COMPRESSION, One),
    ],
};
/// Each item of Segment Sequence (0062,0002).
pub(crate) const SEGMENT: Module = Module {
    reference: "PS3.3 C.8.20.2",
    rows: &[
        (t::SEGMENT_NUMBER, One),
        (t::SEGMENT_LABEL, One),
        (t::SEGMENT_ALGORITHM_TYPE, One),
        (t::SEGMENT_ALGORITHM_NAME, OneIf(algorithmic)),
        (t::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, One),
        (t::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, One),
    ],
};
pub(super) const PARAMETRIC_MAP: Module = Module {
    reference: "PS3.3 C.8.32.2",
    rows: &[
        (t::IMAGE_TYPE, One),
        (t::CONTENT_QUALIFICATION, One),
        (t::BURNED_IN_ANNOTATION, One),
        (t::LOSSY_IMAGE_COMPRESSION, One),
        (t::RECOGNIZABLE_VISUAL_FEATURES, One),
        (t::PRESENTATION_LUT_SHAPE, One),
    ],
};
