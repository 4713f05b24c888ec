//! Series made from nothing: the images of phantoms.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Modality, Unit, Volume};

use super::attributes::{code, put, put_decimals, put_empty, put_items, put_u16};
use super::derive::usual_window;
use super::encode::{Plan, Storage, plan};
use super::module::{complete, fresh_study};
use super::output::{self, Draft};
use super::uid::uid;
use crate::Error;

/// What a series made from nothing says of itself. It is the image of a phantom: no patient, no date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewSeries {
    /// Patient ID and name, such as `PHANTOM-01`.
    pub patient_id: String,
    /// Series Description; 64 characters are kept.
    pub description: String,
    /// Convolution Kernel of a CT.
    pub kernel: String,
    /// Peak voltage of a CT or a radiograph, kV.
    pub kvp: f64,
    /// Exposure of a CT or a radiograph, mAs.
    pub exposure_mas: f64,
    /// Slice thickness, mm; a radiograph has none.
    pub thickness_mm: f64,
    /// Series Number.
    pub number: u32,
    /// The study's UIDs follow from this text, the series' also from the description and the voxels: series with the same
    /// seed share one study and one frame of reference.
    pub uid_seed: String,
    /// Manufacturer; empty when not told.
    pub manufacturer: String,
    /// Manufacturer's Model Name; `Isoscan phantom` when empty.
    pub model: String,
    /// Body Part Examined, such as `BRAIN`; empty when not told.
    pub body_part: String,
    /// Contrast/Bolus Agent; empty when none was given.
    pub contrast_agent: String,
    /// What the modality of the voxels has of its own.
    pub technique: Technique,
}

/// How a new image was acquired, by modality.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Technique {
    /// CT in HU.
    #[default]
    Ct,
    /// MR.
    Mr(MrTechnique),
    /// PET in SUV by body weight.
    Pt(PtTechnique),
    /// A radiograph for presentation, one slice of whole grey values from 0 up.
    Dx(DxTechnique),
}

/// A pulse sequence as the MR image class tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MrTechnique {
    /// Scanning Sequence: `SE`, `IR`, `GR`, `EP` or `RM`, joined by backslashes.
    pub sequence: String,
    /// Sequence Variant, such as `SK`, `SP` or `NONE`, joined by backslashes.
    pub variant: String,
    /// MR Acquisition Type 3D instead of 2D.
    pub volumetric: bool,
    /// Repetition time, ms.
    pub tr_ms: f64,
    /// Echo time, ms.
    pub te_ms: f64,
    /// Inversion time, ms, of an inversion recovery sequence.
    pub ti_ms: Option<f64>,
    /// Flip angle, degrees.
    pub flip_deg: Option<f64>,
    /// Magnetic field strength, T.
    pub field_t: Option<f64>,
    /// Echoes per excitation.
    pub echo_train: Option<u32>,
}

/// Tracer and patient as PET images tell them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PtTechnique {
    /// Radiopharmaceutical, such as `Fluorodeoxyglucose`.
    pub tracer: String,
    /// Injected activity at the start of the scan, Bq.
    pub activity_bq: f64,
    /// Patient's weight, kg.
    pub weight_kg: f64,
    /// Duration of the frame, s.
    pub frame_s: f64,
}

/// The projection of a radiograph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DxTechnique {
    /// View Position, such as `PA`.
    pub view: String,
    /// Patient Orientation of rows and columns, such as `L\F`.
    pub orientation: String,
    /// Large values are bright where few photons arrived, as a film shows it.
    pub bright_is_dense: bool,
}

impl Technique {
    fn modality(&self) -> Modality {
        match self {
            Self::Ct => Modality::Ct,
            Self::Mr(_) => Modality::Mr,
            Self::Pt(_) => Modality::Pt,
            Self::Dx(_) => Modality::Dx,
        }
    }

    /// Whether voxels of `unit` can be the pixels of such an image.
    fn takes(&self, unit: Unit) -> bool {
        match self {
            Self::Ct => unit == Unit::Hounsfield,
            Self::Mr(_) => matches!(unit, Unit::Arbitrary | Unit::Normalized),
            Self::Pt(_) => unit == Unit::Suv,
            Self::Dx(_) => matches!(unit, Unit::Arbitrary | Unit::OpticalDensity),
        }
    }
}

/// Writes the image of a phantom as a folder of slices, `00001.dcm` onwards, whole or not at all: original images of their
/// modality, marked as synthetic data. Gives the files in slice order. The same input gives the same bytes.
///
/// # Errors
/// [`Error::NotWritable`] for voxels of another modality or unit than [`NewSeries::technique`] takes, for a radiograph of
/// several slices and for one that whole numbers from 0 to 65535 cannot hold; [`Error::NotFinite`],
/// [`Error::NotConformant`], [`Error::OutputExists`], [`Error::Io`].
pub fn write_dicom_new(dir: &Path, volume: &Volume, new: &NewSeries) -> Result<Vec<PathBuf>, Error> {
    let (modality, unit) = (volume.modality(), volume.unit());
    let refused = || Error::NotWritable { modality, unit, path: dir.to_owned() };
    if modality != new.technique.modality() || !new.technique.takes(unit) {
        return Err(refused());
    }
    let plan = plan(volume, None, dir)?;
    let slices = volume.geometry().size()[2];
    if modality == Modality::Dx && (slices != 1 || !holds_grey_values(&plan)) {
        return Err(refused());
    }
    let content = output::Content::of(volume, &plan, dir)?.hashes;
    let mut object = fresh_study(&new.patient_id, &new.uid_seed);
    let series = uid(&["series", &new.uid_seed, &new.description, &content.join("")]);
    put_technique(&mut object, new);
    complete(&mut object, modality, &new.uid_seed);
    put_series(&mut object, new, &series);
    let (center, width) = usual_window(unit, plan.range);
    put_decimals(&mut object, tags::WINDOW_CENTER, &[center]);
    put_decimals(&mut object, tags::WINDOW_WIDTH, &[width]);
    output::write_slices(dir, volume, &plan, &[], |k| {
        let mut object = object.clone();
        put(&mut object, tags::SOP_INSTANCE_UID, VR::UI, uid(&["image", &series, &k.to_string(), &content[k]]));
        output::put_grid(&mut object, volume, k);
        if modality == Modality::Pt {
            put_u16(&mut object, tags::IMAGE_INDEX, (k + 1) as u16);
            put_u16(&mut object, tags::NUMBER_OF_SLICES, slices as u16);
        }
        Draft { object, padding: None }
    })
}

/// The class of radiographs knows no other rescaling than none.
fn holds_grey_values(plan: &Plan) -> bool {
    match &plan.storage {
        Storage::Alike(format) => (format.slope, format.intercept, format.signed) == (1.0, 0.0, false),
        Storage::AsSource(_) => false,
    }
}

fn put_series(object: &mut InMemDicomObject, new: &NewSeries, uid: &str) {
    let model = if new.model.is_empty() { "Isoscan phantom" } else { &new.model };
    let kind = match new.technique {
        Technique::Ct => "ORIGINAL\\PRIMARY\\AXIAL",
        Technique::Mr(_) => "ORIGINAL\\PRIMARY\\OTHER",
        Technique::Pt(_) => "ORIGINAL\\PRIMARY",
        Technique::Dx(_) => "ORIGINAL\\PRIMARY\\",
    };
    put(object, tags::SERIES_INSTANCE_UID, VR::UI, uid);
    put(object, tags::SERIES_NUMBER, VR::IS, new.number.to_string());
    put(object, tags::SERIES_DESCRIPTION, VR::LO, output::ascii(&new.description, 64));
    put(object, tags::IMAGE_TYPE, VR::CS, kind);
    put(object, tags::SYNTHETIC_DATA, VR::CS, "YES");
    put(object, tags::CONTENT_QUALIFICATION, VR::CS, "RESEARCH");
    put(object, tags::MANUFACTURER_MODEL_NAME, VR::LO, output::ascii(model, 64));
    if !new.body_part.is_empty() {
        // Type 2C: only for one of two like parts, which the body parts of phantoms are not.
        object.remove_element(tags::LATERALITY);
    }
    for (tag, vr, words, length) in [
        (tags::MANUFACTURER, VR::LO, &new.manufacturer, 64),
        (tags::BODY_PART_EXAMINED, VR::CS, &new.body_part, 16),
        (tags::CONTRAST_BOLUS_AGENT, VR::LO, &new.contrast_agent, 64),
    ] {
        if !words.is_empty() {
            put(object, tag, vr, output::ascii(words, length));
        }
    }
}

fn put_technique(object: &mut InMemDicomObject, new: &NewSeries) {
    match &new.technique {
        Technique::Ct => {
            put(object, tags::CONVOLUTION_KERNEL, VR::SH, output::ascii(&new.kernel, 16));
            put_tube(object, new);
        }
        Technique::Mr(mr) => put_sequence(object, mr),
        Technique::Pt(pet) => put_tracer(object, pet),
        Technique::Dx(projection) => {
            put_projection(object, projection);
            put_tube(object, new);
            return;
        }
    }
    put_decimals(object, tags::SLICE_THICKNESS, &[new.thickness_mm]);
    put(object, tags::PATIENT_POSITION, VR::CS, "HFS");
}

fn put_tube(object: &mut InMemDicomObject, new: &NewSeries) {
    put_decimals(object, tags::KVP, &[new.kvp]);
    put(object, tags::EXPOSURE, VR::IS, format!("{:.0}", new.exposure_mas));
}

fn put_sequence(object: &mut InMemDicomObject, mr: &MrTechnique) {
    put(object, tags::SCANNING_SEQUENCE, VR::CS, mr.sequence.as_str());
    put(object, tags::SEQUENCE_VARIANT, VR::CS, mr.variant.as_str());
    put(object, tags::MR_ACQUISITION_TYPE, VR::CS, if mr.volumetric { "3D" } else { "2D" });
    put_decimals(object, tags::REPETITION_TIME, &[mr.tr_ms]);
    put_decimals(object, tags::ECHO_TIME, &[mr.te_ms]);
    for (tag, value) in
        [(tags::INVERSION_TIME, mr.ti_ms), (tags::FLIP_ANGLE, mr.flip_deg), (tags::MAGNETIC_FIELD_STRENGTH, mr.field_t)]
    {
        if let Some(value) = value {
            put_decimals(object, tag, &[value]);
        }
    }
    if let Some(echoes) = mr.echo_train {
        put(object, tags::ECHO_TRAIN_LENGTH, VR::IS, echoes.to_string());
    }
}

/// Uptake by body weight with the isotope's half-life as every scanner tells it; nothing decays in a phantom.
fn put_tracer(object: &mut InMemDicomObject, pet: &PtTechnique) {
    const FLUORINE_18_HALF_LIFE_S: f64 = 6586.2;
    let mut given = InMemDicomObject::new_empty();
    put(&mut given, tags::RADIOPHARMACEUTICAL, VR::LO, output::ascii(&pet.tracer, 64));
    put_decimals(&mut given, tags::RADIONUCLIDE_TOTAL_DOSE, &[pet.activity_bq]);
    put_decimals(&mut given, tags::RADIONUCLIDE_HALF_LIFE, &[FLUORINE_18_HALF_LIFE_S]);
    put_items(&mut given, tags::RADIONUCLIDE_CODE_SEQUENCE, vec![code("77004003", "SCT", "^18^Fluorine")]);
    put_items(object, tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, vec![given]);
    put(object, tags::UNITS, VR::CS, "GML");
    put(object, tags::SUV_TYPE, VR::CS, "BW");
    put_decimals(object, tags::PATIENT_WEIGHT, &[pet.weight_kg]);
    put(object, tags::ACTUAL_FRAME_DURATION, VR::IS, format!("{:.0}", 1000.0 * pet.frame_s));
}

fn put_projection(object: &mut InMemDicomObject, projection: &DxTechnique) {
    object.remove_element(tags::FRAME_OF_REFERENCE_UID);
    put(object, tags::SOP_CLASS_UID, VR::UI, uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION);
    put(object, tags::PRESENTATION_INTENT_TYPE, VR::CS, "FOR PRESENTATION");
    put(object, tags::VIEW_POSITION, VR::CS, projection.view.as_str());
    put(object, tags::PATIENT_ORIENTATION, VR::CS, projection.orientation.as_str());
    put(object, tags::IMAGE_LATERALITY, VR::CS, "U");
    put_items(object, tags::ANATOMIC_REGION_SEQUENCE, vec![code("816094009", "SCT", "Chest")]);
    put(object, tags::PIXEL_INTENSITY_RELATIONSHIP, VR::CS, "LOG");
    let sign: i16 = if projection.bright_is_dense { -1 } else { 1 };
    object.put(DataElement::new(tags::PIXEL_INTENSITY_RELATIONSHIP_SIGN, VR::SS, PrimitiveValue::from(sign)));
    put(object, tags::RESCALE_INTERCEPT, VR::DS, "0");
    put(object, tags::RESCALE_SLOPE, VR::DS, "1");
    put(object, tags::RESCALE_TYPE, VR::LO, "US");
    put(object, tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY");
    put(object, tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    put(object, tags::BURNED_IN_ANNOTATION, VR::CS, "NO");
    put_empty(object, tags::DETECTOR_TYPE, VR::CS);
    put_empty(object, tags::POSITIONER_TYPE, VR::CS);
    put_items(object, tags::ACQUISITION_CONTEXT_SEQUENCE, Vec::new());
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::Geometry;

    use super::*;
    use crate::{check_dicom, read};

    fn image(size: [usize; 3], modality: Modality, unit: Unit) -> Volume {
        let geometry = Geometry::axis_aligned(size, [1.5, 1.5, 4.0]).unwrap();
        let voxels =
            ndarray::Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| (i + 10 * j + 100 * k) as f32);
        Volume::new(voxels, geometry, modality, unit).unwrap()
    }

    fn techniques() -> Vec<(Volume, NewSeries)> {
        let volume = |modality, unit| image([12, 9, 3], modality, unit);
        let base = NewSeries {
            patient_id: "PHANTOM-7".into(),
            description: "a phantom".into(),
            thickness_mm: 4.0,
            manufacturer: "Phantom Vendor A".into(),
            body_part: "HEAD".into(),
            uid_seed: "seven".into(),
            ..NewSeries::default()
        };
        let mr = MrTechnique {
            sequence: "IR\\SE".into(),
            variant: "SK".into(),
            tr_ms: 9000.0,
            te_ms: 120.0,
            ti_ms: Some(2500.0),
            flip_deg: Some(90.0),
            field_t: Some(3.0),
            ..MrTechnique::default()
        };
        let pet =
            PtTechnique { tracer: "Fluorodeoxyglucose".into(), activity_bq: 2e8, weight_kg: 70.0, frame_s: 600.0 };
        let chest = DxTechnique { view: "PA".into(), orientation: "L\\F".into(), bright_is_dense: true };
        vec![
            (volume(Modality::Ct, Unit::Hounsfield), NewSeries { kernel: "Sf30".into(), kvp: 120.0, ..base.clone() }),
            (volume(Modality::Mr, Unit::Arbitrary), NewSeries { technique: Technique::Mr(mr), ..base.clone() }),
            (volume(Modality::Pt, Unit::Suv), NewSeries { technique: Technique::Pt(pet), ..base.clone() }),
            (
                image([12, 9, 1], Modality::Dx, Unit::Arbitrary),
                NewSeries { technique: Technique::Dx(chest), kvp: 125.0, exposure_mas: 2.0, ..base },
            ),
        ]
    }

    #[test]
    fn a_new_series_of_each_modality_is_conformant_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for (volume, new) in techniques() {
            let dir = folder.path().join(volume.modality().to_string());
            write_dicom_new(&dir, &volume, &new).unwrap();
            assert_eq!(check_dicom(&dir).unwrap(), [], "{}", volume.modality());
            let again = read(&dir).unwrap().volume;
            assert_eq!((again.modality(), again.unit()), (volume.modality(), volume.unit()));
            let worst = again.as_slice().iter().zip(volume.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 0.01, "{}: {worst}", volume.modality());
        }
    }

    #[test]
    fn voxels_of_another_modality_or_unit_than_the_technique_takes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |volume: &Volume, new: &NewSeries| {
            let result = write_dicom_new(&folder.path().join("none"), volume, new);
            assert!(matches!(result, Err(Error::NotWritable { .. })), "{result:?}");
        };
        let [ct, mr, pet, chest] = techniques().try_into().unwrap();
        refused(&ct.0, &mr.1);
        refused(&mr.0, &ct.1);
        refused(&image([4, 4, 1], Modality::Pt, Unit::Arbitrary), &pet.1);
        refused(&image([4, 4, 2], Modality::Dx, Unit::Arbitrary), &chest.1);
        let negative = image([4, 4, 1], Modality::Dx, Unit::Arbitrary);
        refused(&negative.with_voxels(negative.voxels().mapv(|v| v - 7.0)).unwrap(), &chest.1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
