//! What an output keeps of a source slice.

use dicom_core::header::Header;
use dicom_core::value::Value;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Modality, Slices, Unit};

use super::padding::declared;
use super::{Relation, label::items_of};
use crate::dicom::attributes::{code, number, put, put_decimals, put_items, put_u16, text, texts};
use crate::dicom::encode::{Plan, Storage};
use crate::dicom::header::Slice;
use crate::dicom::module::{is_projection, sop_class};
use crate::dicom::output;
use crate::dicom::pixels::SampleFormat;

/// What decides which attributes of a source slice are still true.
pub(crate) struct Kept<'a> {
    pub(crate) unit: Unit,
    pub(crate) relation: &'a Relation,
    pub(crate) plan: &'a Plan,
}

/// The attributes that an output keeps of its source slice, and the intensities that the slice declares as padding.
pub(crate) fn kept_of(slice: &Slice, kept: &Kept) -> (InMemDicomObject, Option<(f32, f32)>) {
    let Relation { same_modality, same_kind, .. } = *kept.relation;
    let equipment = equipment_history(&slice.object);
    let mut object = if same_modality { same_modality_base(slice) } else { other_modality_base(slice) };
    put_items(&mut object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, equipment);
    put_lossy(&mut object, slice);
    let inverted = SampleFormat::of(slice).is_ok_and(|format| format.inverted);
    if !matches!(kept.plan.storage, Storage::AsSource(_)) || inverted {
        for tag in [tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE, tags::VOILUT_SEQUENCE] {
            object.remove_element(tag);
        }
    }
    if !same_kind || inverted {
        put_window(&mut object, kept.unit, kept.plan.range);
    }
    if inverted && object.get(tags::PRESENTATION_LUT_SHAPE).is_some() {
        put(&mut object, tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY");
    }
    (object, declared(slice).filter(|_| same_kind))
}

/// A window for another unit.
fn put_window(object: &mut InMemDicomObject, unit: Unit, range: (f32, f32)) {
    for tag in [tags::VOILUT_FUNCTION, tags::WINDOW_CENTER_WIDTH_EXPLANATION, tags::VOILUT_SEQUENCE] {
        object.remove_element(tag);
    }
    let (center, width) = usual_window(unit, range);
    put_decimals(object, tags::WINDOW_CENTER, &[center]);
    put_decimals(object, tags::WINDOW_WIDTH, &[width]);
}

/// Centre and width of the window in which intensities between `low` and `high` are usually looked at: that of soft tissue
/// for HU, else the whole range.
pub(crate) fn usual_window(unit: Unit, (low, high): (f32, f32)) -> (f64, f64) {
    if unit == Unit::Hounsfield {
        return (40.0, 400.0);
    }
    let width = (f64::from(high) - f64::from(low)).max(1.0);
    (f64::from(low) + width / 2.0, width)
}

/// Position and distances of slice `k` on a grid that is not the source's.
pub(crate) fn put_new_grid(object: &mut InMemDicomObject, image: &dyn Slices, k: usize) {
    let had_spacing = object.get(tags::SPACING_BETWEEN_SLICES).is_some();
    for tag in [tags::SLICE_LOCATION, tags::GANTRY_DETECTOR_TILT, tags::PIXEL_ASPECT_RATIO] {
        object.remove_element(tag);
    }
    output::put_grid(object, image, k);
    let step = image.geometry().spacing_mm()[2];
    if had_spacing {
        put_decimals(object, tags::SPACING_BETWEEN_SLICES, &[step]);
    }
    if !is_projection(image.modality()) && number(object, tags::SLICE_THICKNESS).is_none() {
        put_decimals(object, tags::SLICE_THICKNESS, &[step]);
    }
}

/// Unit and numbering that the PET class asks for.
pub(crate) fn put_pet_counts(object: &mut InMemDicomObject, image: &dyn Slices, relation: &Relation, k: usize) {
    if image.modality() != Modality::Pt {
        return;
    }
    let slices = image.geometry().size()[2];
    put_u16(object, tags::IMAGE_INDEX, (k + 1) as u16);
    put_u16(object, tags::NUMBER_OF_SLICES, slices as u16);
    for (tag, kind) in [(tags::NUMBER_OF_TIME_SLICES, "DYNAMIC"), (tags::NUMBER_OF_TIME_SLOTS, "GATED")] {
        if texts(object, tags::SERIES_TYPE).first().is_some_and(|word| word == kind) {
            put_u16(object, tag, 1);
        }
    }
    if image.unit() == Unit::Suv {
        put(object, tags::UNITS, VR::CS, "GML");
    } else if !relation.same_kind || text(object, tags::UNITS).is_none() {
        put(object, tags::UNITS, VR::CS, "NONE");
    }
}

/// Pixels that were compressed with loss once stay so marked, also where only their encoding tells it.
fn put_lossy(object: &mut InMemDicomObject, slice: &Slice) {
    let method = match slice.syntax.as_str() {
        uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT => "ISO_10918_1",
        uids::JPEGLS_NEAR_LOSSLESS => "ISO_14495_1",
        _ => return,
    };
    put(object, tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
    if text(object, tags::LOSSY_IMAGE_COMPRESSION_METHOD).is_none() {
        put(object, tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, method);
    }
    let packed = slice.pixels.and_then(|pixels| pixels.length).or_else(|| {
        let file = std::fs::metadata(&slice.path).ok()?.len();
        Some(file.saturating_sub(slice.pixels?.offset))
    });
    let format = SampleFormat::of(slice).ok();
    if let (None, Some(packed), Some(format)) =
        (number(object, tags::LOSSY_IMAGE_COMPRESSION_RATIO), packed.filter(|&length| length > 0), format)
    {
        let whole = (slice.rows * slice.columns * slice.frames() * format.bytes()) as f64;
        put_decimals(object, tags::LOSSY_IMAGE_COMPRESSION_RATIO, &[(whole / packed as f64 * 10.0).round() / 10.0]);
    }
}

/// Attributes that speak of the source's instance, series, equipment, time of making or display, not of the image that is
/// derived from it.
const OF_THE_SOURCE_ONLY: [Tag; 46] = [
    tags::INSTANCE_CREATION_DATE,
    tags::INSTANCE_CREATION_TIME,
    tags::INSTANCE_CREATOR_UID,
    tags::CONTENT_DATE,
    tags::CONTENT_TIME,
    tags::SERIES_DATE,
    tags::SERIES_TIME,
    tags::STATION_NAME,
    tags::INSTITUTIONAL_DEPARTMENT_NAME,
    tags::DEVICE_SERIAL_NUMBER,
    tags::DEVICE_UID,
    tags::SPATIAL_RESOLUTION,
    tags::DATE_OF_LAST_CALIBRATION,
    tags::TIME_OF_LAST_CALIBRATION,
    tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
    tags::PERFORMED_PROCEDURE_STEP_ID,
    tags::PERFORMED_PROCEDURE_STEP_START_DATE,
    tags::PERFORMED_PROCEDURE_STEP_START_TIME,
    tags::PERFORMED_PROCEDURE_STEP_END_DATE,
    tags::PERFORMED_PROCEDURE_STEP_END_TIME,
    tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION,
    tags::PERFORMED_PROTOCOL_CODE_SEQUENCE,
    tags::COMMENTS_ON_THE_PERFORMED_PROCEDURE_STEP,
    tags::SOURCE_IMAGE_SEQUENCE,
    tags::ICON_IMAGE_SEQUENCE,
    tags::SMALLEST_PIXEL_VALUE_IN_SERIES,
    tags::LARGEST_PIXEL_VALUE_IN_SERIES,
    tags::PIXEL_PADDING_VALUE,
    tags::MODALITY_LUT_SEQUENCE,
    tags::NUMBER_OF_FRAMES,
    tags::PLANAR_CONFIGURATION,
    tags::IMAGES_IN_ACQUISITION,
    tags::DIGITAL_SIGNATURES_SEQUENCE,
    tags::MAC_PARAMETERS_SEQUENCE,
    tags::DATA_SET_TRAILING_PADDING,
    tags::STORAGE_MEDIA_FILE_SET_UID,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::DIMENSION_ORGANIZATION_SEQUENCE,
    tags::DIMENSION_INDEX_SEQUENCE,
    tags::DIMENSION_ORGANIZATION_TYPE,
    tags::CONCATENATION_UID,
    tags::IN_CONCATENATION_NUMBER,
    tags::IN_CONCATENATION_TOTAL_NUMBER,
    tags::FRAME_INCREMENT_POINTER,
];

/// Classes whose images become images of the classic class of their modality.
const MULTI_FRAME: [&str; 6] = [
    uids::ENHANCED_CT_IMAGE_STORAGE,
    uids::ENHANCED_MR_IMAGE_STORAGE,
    uids::ENHANCED_PET_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_PET_IMAGE_STORAGE,
];

/// The source slice without what is only true of itself: acquisition facts stay.
pub(crate) fn same_modality_base(slice: &Slice) -> InMemDicomObject {
    let pet = slice.modality() == Modality::Pt;
    let stays = |tag: Tag| {
        // PET demands the series' date, which is the one its decay correction refers to.
        let pet_date = pet && matches!(tag, tags::SERIES_DATE | tags::SERIES_TIME);
        let overlay = (0x6000..=0x60FF).contains(&tag.group()) || (0x5000..=0x50FF).contains(&tag.group());
        !overlay && (pet_date || !OF_THE_SOURCE_ONLY.contains(&tag))
    };
    let mut object = without_private(&slice.object);
    object.retain(|element| stays(element.tag()));
    let class = text(&object, tags::SOP_CLASS_UID).unwrap_or_default();
    if let Some(classic) = sop_class(slice.modality()).filter(|_| MULTI_FRAME.contains(&class.as_str())) {
        put(&mut object, tags::SOP_CLASS_UID, VR::UI, classic);
    }
    object
}

/// Patient, study and place of the source slice; nothing of how it was acquired.
pub(crate) fn other_modality_base(slice: &Slice) -> InMemDicomObject {
    let stays = |tag: Tag| {
        matches!(tag.group(), 0x0010 | 0x0012)
            || matches!(
                tag,
                tags::SPECIFIC_CHARACTER_SET
                    | tags::TIMEZONE_OFFSET_FROM_UTC
                    | tags::STUDY_DATE
                    | tags::STUDY_TIME
                    | tags::ACCESSION_NUMBER
                    | tags::REFERRING_PHYSICIAN_NAME
                    | tags::STUDY_DESCRIPTION
                    | tags::BODY_PART_EXAMINED
                    | tags::PATIENT_POSITION
                    | tags::STUDY_INSTANCE_UID
                    | tags::STUDY_ID
                    | tags::SERIES_NUMBER
                    | tags::FRAME_OF_REFERENCE_UID
                    | tags::POSITION_REFERENCE_INDICATOR
                    | tags::SLICE_THICKNESS
                    | tags::IMAGE_POSITION_PATIENT
                    | tags::IMAGE_ORIENTATION_PATIENT
                    | tags::SLICE_LOCATION
                    | tags::PIXEL_SPACING
                    | tags::LATERALITY
                    | tags::BURNED_IN_ANNOTATION
                    | tags::LOSSY_IMAGE_COMPRESSION
                    | tags::LOSSY_IMAGE_COMPRESSION_RATIO
                    | tags::LOSSY_IMAGE_COMPRESSION_METHOD
                    | tags::IMAGE_TYPE
            )
    };
    let mut object = without_private(&slice.object);
    object.retain(|element| stays(element.tag()));
    // Value 3 belongs to the other modality.
    put(&mut object, tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY");
    object
}

/// The equipment named by the source, with the scanner as acquisition equipment if it is not named yet.
pub(crate) fn equipment_history(object: &InMemDicomObject) -> Vec<InMemDicomObject> {
    let mut equipment = items_of(object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE);
    let derived = texts(object, tags::IMAGE_TYPE).first().is_some_and(|word| word == "DERIVED");
    if derived && !equipment.is_empty() {
        return equipment;
    }
    let mut scanner = InMemDicomObject::new_empty();
    let purpose = code("109101", "DCM", "Acquisition Equipment");
    put_items(&mut scanner, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![purpose]);
    put(&mut scanner, tags::MANUFACTURER, VR::LO, text(object, tags::MANUFACTURER).unwrap_or("unknown".to_owned()));
    for (tag, vr) in [
        (tags::MANUFACTURER_MODEL_NAME, VR::LO),
        (tags::STATION_NAME, VR::SH),
        (tags::DEVICE_SERIAL_NUMBER, VR::LO),
        (tags::SOFTWARE_VERSIONS, VR::LO),
    ] {
        if let Some(words) = text(object, tag) {
            put(&mut scanner, tag, vr, words);
        }
    }
    equipment.push(scanner);
    equipment
}

/// The object without private attributes, in sequences too.
fn without_private(object: &InMemDicomObject) -> InMemDicomObject {
    let standard = object.iter().filter(|element| element.tag().group().is_multiple_of(2));
    InMemDicomObject::from_element_iter(standard.map(|element| match element.value() {
        Value::Sequence(items) => {
            let items: Vec<_> = items.items().iter().map(without_private).collect();
            DataElement::new(element.tag(), VR::SQ, dicom_core::value::DataSetSequence::from(items))
        }
        _ => element.clone(),
    }))
}
