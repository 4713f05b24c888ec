use std::path::{Path, PathBuf};

use dicom_core::header::Header;
use dicom_core::value::Value;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Geometry, Modality, Unit, Volume};

use super::attributes::{code, number, put, put_decimals, put_items, text, texts, whole};
use super::encode::{Plan, plan};
use super::header::Slice;
use super::module::{anonymous, complete, fresh_study, is_projection, sop_class};
use super::output::{self, Written, ascii, content_hashes, write_slices};
use super::pixels::SampleFormat;
use super::stack::DicomSource;
use super::uid::uid;
use crate::provenance::sha256;
use crate::{Derivation, Error, Source};

/// Coding scheme of this program, declared in each object; DICOM has no code for the translation of images.
const SCHEME: &str = "99ISOSCAN";

/// Writes a volume computed from `source` as a derived series: a folder of slices, `00001.dcm` onwards along the third
/// axis, whole or not at all. Gives the files in slice order.
///
/// Patient, study and frame of reference stay; series and instances are new, with UIDs that follow from the source, the
/// derivation and the pixels, so that the same run gives the same bytes. The objects say that they are derived, by what,
/// from which images, that they are synthetic when they are, and that they are for research. The acquisition's attributes
/// stay when the modality does and are dropped when it changes; private attributes are dropped, and one private block
/// (99ISOSCAN) holds `derivation` as JSON. No date is written that the source does not have.
///
/// Pixels are stored as in the source when that holds every voxel exactly. Otherwise CT in HU is rounded to whole HU
/// (intercept −1024), wide ranges of other modalities to whole numbers, and the rest is spread over 16 bits with a slope.
///
/// A source without patient (NIfTI, computed) gives a new study of a patient `ANON-…`, named after the input's digest.
///
/// # Errors
/// [`Error::NotWritable`] for label maps and for modalities without an image class, [`Error::NotFinite`],
/// [`Error::OutputExists`], [`Error::Io`].
pub fn write_dicom(
    dir: &Path,
    volume: &Volume,
    source: &Source,
    derivation: &Derivation,
) -> Result<Vec<PathBuf>, Error> {
    let origin = match source {
        Source::Dicom(series) => Origin::Series(series),
        other => Origin::Nobody(other.input_sha256()?.unwrap_or_else(|| voxel_hash(volume))),
    };
    origin.require_writable(volume, dir)?;
    let Relation { same_grid, same_kind } = origin.relation(volume);
    let alike = match origin {
        Origin::Series(series) if same_grid && same_kind => Some(series),
        _ => None,
    };
    let plan = plan(volume, alike, dir)?;
    let content = content_hashes(volume, &plan);
    let pipeline = sha256(json(derivation).as_bytes());
    let series_uid = uid(&["derived series", origin.id(), &pipeline, &content.join("")]);
    let shared = Shared { volume, derivation, plan: &plan, series_uid: &series_uid, same_grid, same_kind };
    let sources = origin.source_images(shared.locations());
    write_slices(dir, volume, &plan, |k| {
        let (mut object, padding) = match &origin {
            Origin::Series(series) => shared.kept_of(nearest(series, volume.geometry(), k, same_grid)),
            Origin::Nobody(input) => (fresh_study(&anonymous(input), input), None),
        };
        complete(&mut object, volume.modality());
        if !same_grid {
            shared.put_new_grid(&mut object, k);
        }
        shared.put_identity(&mut object, k, &content[k]);
        shared.put_derivation(&mut object, &sources);
        Written { object, padding }
    })
}

enum Origin<'a> {
    Series(&'a DicomSource),
    /// SHA-256 of an input without patient.
    Nobody(String),
}

struct Relation {
    same_grid: bool,
    /// Modality and unit both stay.
    same_kind: bool,
}

impl Origin<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Series(series) => series.series_uid(),
            Self::Nobody(input) => input,
        }
    }

    fn require_writable(&self, volume: &Volume, path: &Path) -> Result<(), Error> {
        let (modality, unit) = (volume.modality(), volume.unit());
        let as_source = matches!(self, Self::Series(series) if series.modality() == modality);
        let has_class = sop_class(modality).is_some() || (as_source && modality == Modality::Dx);
        let [nx, ny, nz] = volume.geometry().size();
        let sized = nx.max(ny) <= usize::from(u16::MAX) && (nz == 1 || !is_projection(modality));
        if has_class && unit != Unit::Label && sized {
            return Ok(());
        }
        Err(Error::NotWritable { modality, unit, path: path.to_owned() })
    }

    fn relation(&self, volume: &Volume) -> Relation {
        match self {
            Self::Series(series) => Relation {
                same_grid: series.geometry().corner_distance_mm(volume.geometry()) < 1e-6,
                same_kind: (series.modality(), series.unit()) == (volume.modality(), volume.unit()),
            },
            Self::Nobody(_) => Relation { same_grid: false, same_kind: false },
        }
    }

    /// One item per image of the source series.
    fn source_images(&self, locations: &str) -> Vec<InMemDicomObject> {
        let Self::Series(series) = self else { return Vec::new() };
        let item = |slice: &Slice| {
            let mut item = InMemDicomObject::new_empty();
            put(&mut item, tags::REFERENCED_SOP_CLASS_UID, VR::UI, class_of(slice));
            put(&mut item, tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, slice.sop_instance.clone());
            put(&mut item, tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, locations);
            let purpose = code("121322", "DCM", "Source image for image processing operation");
            put_items(&mut item, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![purpose]);
            item
        };
        series.slices().iter().map(item).collect()
    }
}

/// What all slices of one output share.
struct Shared<'a> {
    volume: &'a Volume,
    derivation: &'a Derivation,
    plan: &'a Plan,
    series_uid: &'a str,
    same_grid: bool,
    same_kind: bool,
}

impl Shared<'_> {
    fn locations(&self) -> &'static str {
        if self.same_grid { "YES" } else { "NO" }
    }

    /// The attributes that an output keeps of its source slice, and the intensity that the slice marks as padding.
    fn kept_of(&self, slice: &Slice) -> (InMemDicomObject, Option<f32>) {
        let same_modality = slice.modality() == self.volume.modality();
        let equipment = equipment_history(&slice.object);
        let mut object = if same_modality { same_modality_base(slice) } else { other_modality_base(slice) };
        put_items(&mut object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, equipment);
        let format = SampleFormat::of(slice).ok();
        let inverted = format.is_some_and(|format| format.inverted);
        let padding: Option<i64> = whole(&slice.object, tags::PIXEL_PADDING_VALUE);
        let padding = format.zip(padding).map(|(format, stored)| format.intensity(stored));
        if !matches!(self.plan, Plan::AsSource(_)) || inverted {
            for tag in [tags::PIXEL_PADDING_RANGE_LIMIT, tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE, tags::VOILUT_SEQUENCE]
            {
                object.remove_element(tag);
            }
        }
        if !same_modality || !self.same_kind || inverted {
            self.put_window(&mut object);
        }
        if inverted && object.get(tags::PRESENTATION_LUT_SHAPE).is_some() {
            put(&mut object, tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY");
        }
        (object, padding.filter(|_| self.same_kind))
    }

    /// A window for another unit: the usual soft-tissue one for HU, else the range of the volume.
    fn put_window(&self, object: &mut InMemDicomObject) {
        for tag in [tags::VOILUT_FUNCTION, tags::WINDOW_CENTER_WIDTH_EXPLANATION, tags::VOILUT_SEQUENCE] {
            object.remove_element(tag);
        }
        let (center, width) = match self.volume.unit() {
            Unit::Hounsfield => (40.0, 400.0),
            _ => {
                let voxels = self.volume.as_slice();
                let low = voxels.iter().copied().fold(f32::INFINITY, f32::min);
                let high = voxels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let width = f64::from(high - low).max(1.0);
                (f64::from(low) + width / 2.0, width)
            }
        };
        put_decimals(object, tags::WINDOW_CENTER, &[center]);
        put_decimals(object, tags::WINDOW_WIDTH, &[width]);
    }

    fn put_new_grid(&self, object: &mut InMemDicomObject, k: usize) {
        let had_spacing = object.get(tags::SPACING_BETWEEN_SLICES).is_some();
        for tag in [tags::SLICE_LOCATION, tags::GANTRY_DETECTOR_TILT, tags::PIXEL_ASPECT_RATIO] {
            object.remove_element(tag);
        }
        output::put_grid(object, self.volume, k);
        let step = self.volume.geometry().spacing_mm()[2];
        if had_spacing {
            put_decimals(object, tags::SPACING_BETWEEN_SLICES, &[step]);
        }
        if !is_projection(self.volume.modality()) && number(object, tags::SLICE_THICKNESS).is_none() {
            put_decimals(object, tags::SLICE_THICKNESS, &[step]);
        }
    }

    fn put_identity(&self, object: &mut InMemDicomObject, k: usize, content: &str) {
        let derivation = self.derivation;
        let number: i64 = whole(object, tags::SERIES_NUMBER).unwrap_or(0);
        let kind = if derivation.synthetic { "SYN" } else { "DER" };
        let what = if derivation.description.is_empty() { &derivation.plugin_id } else { &derivation.description };
        put(object, tags::SERIES_INSTANCE_UID, VR::UI, self.series_uid);
        put(object, tags::SERIES_NUMBER, VR::IS, (1000 + number.clamp(0, 1_000_000_000)).to_string());
        put(object, tags::SERIES_DESCRIPTION, VR::LO, ascii(&format!("{kind} {what}"), 64));
        let instance = uid(&["derived image", self.series_uid, &k.to_string(), content]);
        put(object, tags::SOP_INSTANCE_UID, VR::UI, instance);
        if self.volume.modality() == Modality::Pt {
            object.put(DataElement::new(tags::IMAGE_INDEX, VR::US, PrimitiveValue::from((k + 1) as u16)));
            let slices = self.volume.geometry().size()[2] as u16;
            object.put(DataElement::new(tags::NUMBER_OF_SLICES, VR::US, PrimitiveValue::from(slices)));
            let units = if self.volume.unit() == Unit::Suv { "GML" } else { "NONE" };
            if !self.same_kind || text(object, tags::UNITS).is_none() {
                put(object, tags::UNITS, VR::CS, units);
            }
        }
    }

    fn put_derivation(&self, object: &mut InMemDicomObject, sources: &[InMemDicomObject]) {
        let derivation = self.derivation;
        let synthetic = derivation.synthetic;
        put(object, tags::IMAGE_TYPE, VR::CS, self.image_type(object));
        put(object, tags::SYNTHETIC_DATA, VR::CS, if synthetic { "YES" } else { "NO" });
        put(object, tags::CONTENT_QUALIFICATION, VR::CS, "RESEARCH");
        let words = format!(
            "{}: {} by Isoscan plugin {} {}",
            if synthetic { "Synthetic image" } else { "Derived image" },
            derivation.description,
            derivation.plugin_id,
            derivation.plugin_version,
        );
        put(object, tags::DERIVATION_DESCRIPTION, VR::ST, ascii(&words, 1024));
        let mut codes = items_of(object, tags::DERIVATION_CODE_SEQUENCE);
        if !self.same_grid && !sources.is_empty() {
            codes.push(code("113085", "DCM", "Spatial resampling"));
        }
        codes.push(if synthetic {
            code("TRANSLATION", SCHEME, "Translation of the image by a plugin")
        } else {
            code("PROCESSING", SCHEME, "Processing of the image by a plugin")
        });
        put_items(object, tags::DERIVATION_CODE_SEQUENCE, codes);
        if !sources.is_empty() {
            put_items(object, tags::SOURCE_IMAGE_SEQUENCE, sources.to_vec());
        }
        self.put_equipment(object);
        let mut schemes = items_of(object, tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE);
        schemes.retain(|item| text(item, tags::CODING_SCHEME_DESIGNATOR).as_deref() != Some(SCHEME));
        schemes.push(scheme());
        put_items(object, tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE, schemes);
        put(object, Tag(0x0099, 0x0010), VR::LO, SCHEME);
        put(object, Tag(0x0099, 0x1001), VR::UT, json(derivation));
    }

    /// Value 3 as the class asks, value 4 our mark.
    fn image_type(&self, object: &InMemDicomObject) -> String {
        let before = texts(object, tags::IMAGE_TYPE);
        let third = match self.volume.modality() {
            Modality::Ct => "AXIAL",
            Modality::Mr => before.get(2).map_or("OTHER", String::as_str),
            _ => before.get(2).map_or("", String::as_str),
        };
        match (self.derivation.synthetic, self.volume.modality()) {
            (_, Modality::Pt) => "DERIVED\\SECONDARY".to_owned(),
            (true, _) => format!("DERIVED\\SECONDARY\\{third}\\SYNTHETIC"),
            (false, _) => format!("DERIVED\\SECONDARY\\{third}"),
        }
    }

    /// This program as the maker of the object, and as the last contributor behind the source's own equipment.
    fn put_equipment(&self, object: &mut InMemDicomObject) {
        let derivation = self.derivation;
        let version = ascii(&derivation.engine_version, 64);
        let mut ours = InMemDicomObject::new_empty();
        let purpose = if derivation.synthetic {
            code("109100", "DCM", "Synthesizing Equipment")
        } else {
            code("109102", "DCM", "Processing Equipment")
        };
        put_items(&mut ours, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![purpose]);
        for target in [&mut *object, &mut ours] {
            put(target, tags::MANUFACTURER, VR::LO, "Isoscan");
            put(target, tags::MANUFACTURER_MODEL_NAME, VR::LO, "Isoscan");
            put(target, tags::SOFTWARE_VERSIONS, VR::LO, version.clone());
        }
        let weights = derivation.weights_sha256.as_deref().unwrap_or(&derivation.plugin_sha256);
        put(&mut ours, tags::DEVICE_UID, VR::UI, uid(&["device", weights]));
        let parameters = ascii(&derivation.params.to_string(), 700);
        let words = format!("{} {} {parameters}", derivation.plugin_id, derivation.plugin_version);
        put(&mut ours, tags::CONTRIBUTION_DESCRIPTION, VR::ST, ascii(&words, 1024));
        let mut equipment = items_of(object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE);
        equipment.push(ours);
        put_items(object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, equipment);
    }
}

/// The source slice at, or nearest to, output slice `k`.
fn nearest<'a>(series: &'a DicomSource, geometry: &Geometry, k: usize, same_grid: bool) -> &'a Slice {
    let slices = series.slices();
    if same_grid {
        return &slices[k];
    }
    let [nx, ny, _] = geometry.size();
    let centre = [(nx - 1) as f64 / 2.0, (ny - 1) as f64 / 2.0, k as f64];
    let in_source = series.geometry().voxel_from_world().apply(geometry.world_from_voxel().apply(centre));
    &slices[(in_source[2].round().max(0.0) as usize).min(slices.len() - 1)]
}

/// Attributes that speak of the source's instance, series, equipment, time of making or display, not of the image that is
/// derived from it.
const OF_THE_SOURCE_ONLY: [Tag; 36] = [
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
];

/// The source slice without what is only true of itself: acquisition facts stay.
fn same_modality_base(slice: &Slice) -> InMemDicomObject {
    let pet = slice.modality() == Modality::Pt;
    let stays = |tag: Tag| {
        // PET demands the series' date, which is the one its decay correction refers to.
        let pet_date = pet && matches!(tag, tags::SERIES_DATE | tags::SERIES_TIME);
        let overlay = (0x6000..=0x60FF).contains(&tag.group()) || (0x5000..=0x50FF).contains(&tag.group());
        !overlay && (pet_date || !OF_THE_SOURCE_ONLY.contains(&tag))
    };
    let mut object = without_private(&slice.object);
    object.retain(|element| stays(element.tag()));
    object
}

/// Patient, study and place of the source slice; nothing of how it was acquired.
fn other_modality_base(slice: &Slice) -> InMemDicomObject {
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
fn equipment_history(object: &InMemDicomObject) -> Vec<InMemDicomObject> {
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

fn class_of(slice: &Slice) -> String {
    text(&slice.object, tags::SOP_CLASS_UID).unwrap_or_else(|| uids::CT_IMAGE_STORAGE.to_owned())
}

fn scheme() -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::CODING_SCHEME_DESIGNATOR, VR::SH, SCHEME);
    put(&mut item, tags::CODING_SCHEME_NAME, VR::ST, "Isoscan image derivations");
    put(&mut item, tags::CODING_SCHEME_RESPONSIBLE_ORGANIZATION, VR::ST, "Isoscan");
    item
}

fn items_of(object: &InMemDicomObject, tag: Tag) -> Vec<InMemDicomObject> {
    object.get(tag).and_then(|element| element.items()).map(<[_]>::to_vec).unwrap_or_default()
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

/// Pure ASCII JSON, so that it is the same text in every character set.
fn json(derivation: &Derivation) -> String {
    let text = serde_json::to_string(derivation).unwrap_or_default();
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            plain.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| plain.push_str(&format!("\\u{unit:04x}")));
        }
    }
    plain
}

fn voxel_hash(volume: &Volume) -> String {
    sha256(&volume.as_slice().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}
