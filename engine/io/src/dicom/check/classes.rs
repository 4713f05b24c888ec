//! Image classes of PS3.3 as a table: their modules, modalities and functional groups.

use dicom_dictionary_std::uids;

use super::groups::{
    ANATOMY, CONTENT_OF_FRAME, CT_TYPE, DERIVATION, Group, MAP_TYPE, MEASURES, MR_TYPE, ORIENTATION, PET_TYPE,
    POSITION, REAL_WORLD, SEGMENT_OF_FRAME, VALUES,
};
use super::modules::{
    ACQUISITION_CONTEXT, CONTENT, CR, CT, DIMENSIONS, DX, ENHANCED_EQUIPMENT, ENHANCED_IMAGE, ENHANCED_MR, EQUIPMENT,
    FRAME_OF_REFERENCE, IMAGE, MR, MULTI_FRAME, Module, NUMBERED_SERIES, PARAMETRIC_MAP, PATIENT, PET, PIXELS, PLANE,
    POSITIONED_SERIES, REFERENCES, SECONDARY_CAPTURE, SEGMENTATION, SERIES, SOP_COMMON, STUDY, WINDOWED,
};

/// An image class.
pub(crate) struct Iod {
    pub(crate) class: &'static str,
    /// Legal modalities; empty for any.
    pub(crate) modalities: &'static [&'static str],
    pub(crate) modules: &'static [&'static Module],
    pub(crate) groups: &'static [&'static Group],
}

macro_rules! common {
    ($($more:ident),*) => { &[&PATIENT, &STUDY, &SERIES, &EQUIPMENT, &PIXELS, &SOP_COMMON, $(&$more),*] };
}
const CLASSIC_CT: &[&Module] = common!(POSITIONED_SERIES, FRAME_OF_REFERENCE, IMAGE, PLANE, CT, WINDOWED);
const CLASSIC_MR: &[&Module] = common!(POSITIONED_SERIES, FRAME_OF_REFERENCE, IMAGE, PLANE, MR, WINDOWED);
const CLASSIC_PET: &[&Module] = common!(FRAME_OF_REFERENCE, IMAGE, PLANE, PET, WINDOWED);
const CLASSIC_DX: &[&Module] = common!(IMAGE, DX, WINDOWED);
const ENHANCED: &[&Module] = common!(
    NUMBERED_SERIES,
    FRAME_OF_REFERENCE,
    ENHANCED_EQUIPMENT,
    MULTI_FRAME,
    DIMENSIONS,
    ACQUISITION_CONTEXT,
    ENHANCED_IMAGE,
    REFERENCES
);
const ENHANCED_FOR_MR: &[&Module] = common!(
    NUMBERED_SERIES,
    FRAME_OF_REFERENCE,
    ENHANCED_EQUIPMENT,
    MULTI_FRAME,
    DIMENSIONS,
    ACQUISITION_CONTEXT,
    ENHANCED_IMAGE,
    ENHANCED_MR,
    REFERENCES
);

/// The image classes whose modules are known here.
pub(crate) const IODS: &[Iod] = &[
    Iod { class: uids::CT_IMAGE_STORAGE, modalities: &["CT"], modules: CLASSIC_CT, groups: &[] },
    Iod { class: uids::MR_IMAGE_STORAGE, modalities: &["MR"], modules: CLASSIC_MR, groups: &[] },
    Iod {
        class: uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
        modalities: &["PT"],
        modules: CLASSIC_PET,
        groups: &[],
    },
    Iod {
        class: uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
        modalities: &["CR"],
        modules: common!(IMAGE, CR, WINDOWED),
        groups: &[],
    },
    Iod {
        class: uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
        modalities: &["DX"],
        modules: CLASSIC_DX,
        groups: &[],
    },
    Iod {
        class: uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
        modalities: &["DX"],
        modules: CLASSIC_DX,
        groups: &[],
    },
    Iod {
        class: uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
        modalities: &[],
        modules: &[&PATIENT, &STUDY, &SERIES, &PIXELS, &SOP_COMMON, &IMAGE, &SECONDARY_CAPTURE, &WINDOWED],
        groups: &[],
    },
    Iod {
        class: uids::ENHANCED_CT_IMAGE_STORAGE,
        modalities: &["CT"],
        modules: ENHANCED,
        groups: &[&MEASURES, &CONTENT_OF_FRAME, &POSITION, &ORIENTATION, &ANATOMY, &VALUES, &DERIVATION, &CT_TYPE],
    },
    Iod {
        class: uids::ENHANCED_MR_IMAGE_STORAGE,
        modalities: &["MR"],
        modules: ENHANCED_FOR_MR,
        groups: &[&MEASURES, &CONTENT_OF_FRAME, &POSITION, &ORIENTATION, &ANATOMY, &DERIVATION, &MR_TYPE],
    },
    Iod {
        class: uids::ENHANCED_PET_IMAGE_STORAGE,
        modalities: &["PT"],
        modules: ENHANCED,
        groups: &[&MEASURES, &CONTENT_OF_FRAME, &POSITION, &ORIENTATION, &ANATOMY, &VALUES, &DERIVATION, &PET_TYPE],
    },
    Iod {
        class: uids::SEGMENTATION_STORAGE,
        modalities: &["SEG"],
        modules: common!(
            NUMBERED_SERIES,
            ENHANCED_EQUIPMENT,
            MULTI_FRAME,
            DIMENSIONS,
            CONTENT,
            SEGMENTATION,
            REFERENCES
        ),
        groups: &[&CONTENT_OF_FRAME, &SEGMENT_OF_FRAME],
    },
    Iod {
        class: uids::PARAMETRIC_MAP_STORAGE,
        modalities: &[],
        modules: common!(
            NUMBERED_SERIES,
            FRAME_OF_REFERENCE,
            ENHANCED_EQUIPMENT,
            MULTI_FRAME,
            DIMENSIONS,
            CONTENT,
            PARAMETRIC_MAP,
            REFERENCES
        ),
        groups: &[&MEASURES, &CONTENT_OF_FRAME, &POSITION, &ORIENTATION, &REAL_WORLD, &DERIVATION, &MAP_TYPE],
    },
];
