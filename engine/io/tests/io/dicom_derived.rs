//! The attribute rules of derived images, read back from the files.

use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, InMemDicomObject, open_file};
use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{
    Code, Derivation, Error, Quantity, Segment, Series, Source, check_dicom, list, read, write_dicom,
    write_dicom_enhanced, write_parametric_map, write_segmentation,
};

use crate::fixture::{ct_files, data, derivation, edit, put, text};

/// A folder with the small CT as a series whose files were changed, and the series as read.
fn source(change: impl Fn(&mut DefaultDicomObject)) -> (tempfile::TempDir, Series) {
    let dir = tempfile::tempdir().unwrap();
    let files = ct_files(&dir.path().join("source"), 4);
    files.iter().for_each(|file| edit(file, &change));
    let series = read(&dir.path().join("source")).unwrap();
    (dir, series)
}

fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|e| e.items()).unwrap_or_default()
}

/// The first item down a path of sequences.
fn inner<'a>(object: &'a InMemDicomObject, path: &[Tag]) -> &'a InMemDicomObject {
    path.iter().fold(object, |object, &tag| &items(object, tag)[0])
}

fn derived(dir: &Path, volume: &Volume, source: &Source) -> (Vec<PathBuf>, DefaultDicomObject) {
    let files = write_dicom(&dir.join("derived"), volume, source, &derivation()).unwrap().files;
    let first = open_file(&files[0]).unwrap();
    (files, first)
}

#[test]
fn dates_are_those_that_the_caller_gives_in_the_time_zone_of_the_source() {
    let (dir, series) = source(|o| {
        put(o, tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0200");
        put(o, tags::SERIES_DATE, VR::DA, "19990101");
    });
    let (_, dated) = derived(dir.path(), &series.volume, &series.source);
    for (date, time) in [
        (tags::SERIES_DATE, tags::SERIES_TIME),
        (tags::CONTENT_DATE, tags::CONTENT_TIME),
        (tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME),
    ] {
        assert_eq!((text(&dated, date).as_str(), text(&dated, time).as_str()), ("20010909", "034640"));
    }
    let equipment = items(&dated, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE);
    assert_eq!(text(&equipment[1], tags::CONTRIBUTION_DATE_TIME), "20010909034640");
    let undated = Derivation { made_at: None, ..derivation() };
    let files = write_dicom(&dir.path().join("undated"), &series.volume, &series.source, &undated).unwrap().files;
    let undated = open_file(&files[0]).unwrap();
    assert_eq!((undated.get(tags::SERIES_DATE), undated.get(tags::CONTENT_DATE)), (None, None));
    assert_ne!(text(&dated, tags::SOP_INSTANCE_UID), text(&undated, tags::SOP_INSTANCE_UID));
}

#[test]
fn padding_of_the_source_is_padding_again() {
    let (dir, series) = source(|o| {
        o.put(DataElement::new(tags::PIXEL_PADDING_VALUE, VR::US, PrimitiveValue::from(24u16)));
        o.put(DataElement::new(tags::PIXEL_PADDING_RANGE_LIMIT, VR::US, PrimitiveValue::from(26u16)));
    });
    let brighter = series.volume.map(|v| v + 200.4);
    let (files, first) = derived(dir.path(), &brighter, &series.source);
    // −1000, −999 and −998 HU of the first slice, stored with 1024 added.
    assert_eq!(
        (text(&first, tags::PIXEL_PADDING_VALUE), text(&first, tags::PIXEL_PADDING_RANGE_LIMIT)),
        ("24".into(), "26".into())
    );
    let back = read(files[0].parent().unwrap()).unwrap().volume;
    assert_eq!(back.as_slice()[..4], [-1000.0, -999.0, -998.0, -797.0]);
    let (dir, series) = source(|_| ());
    let (_, first) = derived(dir.path(), &series.volume, &series.source);
    assert!(first.get(tags::PIXEL_PADDING_VALUE).is_none());
}

#[test]
fn the_error_of_storage_is_told_and_only_absurd_hu_are_clamped() {
    let (dir, series) = source(|_| ());
    let first = series.volume.as_slice()[0];
    for (name, volume, max_error, clamped) in [
        ("same", series.volume.clone(), 0.0, 0),
        ("quarters", series.volume.map(|v| v + 0.25), 0.25, 0),
        ("outlier", series.volume.map(|v| if v == first { 70_000.0 } else { v }), 70_000.0 - 64_511.0, 1),
    ] {
        let written = write_dicom(&dir.path().join(name), &volume, &series.source, &derivation()).unwrap();
        assert_eq!((written.max_error, written.clamped), (max_error, clamped), "{name}");
    }
}

#[test]
fn what_stays_of_the_acquisition_depends_on_the_modality() {
    let (dir, series) = source(|o| {
        put(o, tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
        put(o, tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, "12");
        put(o, tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, "ISO_10918_1");
        put(o, tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
        put(o, tags::POSITION_REFERENCE_INDICATOR, VR::LO, "XY");
        put(o, tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100");
    });
    let uptake = series.volume.map(|v| (v + 1000.0) / 50.0);
    for (modality, unit, class, kept, purpose) in [
        (Modality::Ct, Unit::Hounsfield, uids::CT_IMAGE_STORAGE, true, "109102"),
        (Modality::Mr, Unit::Arbitrary, uids::MR_IMAGE_STORAGE, false, "109100"),
        (Modality::Pt, Unit::Suv, uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE, false, "109100"),
    ] {
        let volume = uptake.clone().with_meaning(modality, unit);
        let out = dir.path().join(modality.to_string());
        let written = write_dicom(&out, &volume, &series.source, &derivation()).unwrap();
        let object = open_file(&written.files[0]).unwrap();
        assert_eq!(text(&object, tags::SOP_CLASS_UID), class);
        assert_eq!(object.get(tags::CONVOLUTION_KERNEL).is_some(), kept, "{modality}");
        for (tag, value) in [
            (tags::LOSSY_IMAGE_COMPRESSION, "01"),
            (tags::LOSSY_IMAGE_COMPRESSION_RATIO, "12"),
            (tags::PATIENT_IDENTITY_REMOVED, "YES"),
            (tags::POSITION_REFERENCE_INDICATOR, "XY"),
            (tags::SPECIFIC_CHARACTER_SET, "ISO_IR 100"),
            (tags::CONTENT_QUALIFICATION, "RESEARCH"),
            (tags::SYNTHETIC_DATA, "YES"),
        ] {
            assert_eq!(text(&object, tag), value, "{modality} {tag}");
        }
        let equipment = items(&object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE);
        let purposes = equipment
            .iter()
            .map(|item| text(inner(item, &[tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE]), tags::CODE_VALUE));
        assert_eq!(purposes.collect::<Vec<_>>(), ["109101", purpose]);
        let back = read(&out).unwrap().volume;
        assert_eq!((back.modality(), back.unit()), (modality, unit));
        let off = back.as_slice().iter().zip(volume.as_slice()).map(|(a, b)| f64::from((a - b).abs()));
        assert!(off.fold(0.0, f64::max) <= written.max_error);
    }
}

#[test]
fn uptake_is_written_without_an_intercept_and_mr_with_a_real_world_value() {
    let (dir, series) = source(|_| ());
    let uptake = series.volume.map(|v| (v + 1000.0) / 50.0);
    let pt = uptake.clone().with_meaning(Modality::Pt, Unit::Suv);
    let files = write_dicom(&dir.path().join("pt"), &pt, &series.source, &derivation()).unwrap().files;
    let pt = open_file(&files[3]).unwrap();
    assert_eq!((text(&pt, tags::RESCALE_INTERCEPT), text(&pt, tags::UNITS)), ("0".into(), "GML".into()));
    assert_eq!((text(&pt, tags::IMAGE_INDEX), text(&pt, tags::NUMBER_OF_SLICES)), ("4".into(), "4".into()));
    assert_eq!(text(&pt, tags::IMAGE_TYPE), "DERIVED\\PRIMARY");
    let lying =
        inner(&pt, &[tags::PATIENT_ORIENTATION_CODE_SEQUENCE, tags::PATIENT_ORIENTATION_MODIFIER_CODE_SEQUENCE]);
    assert_eq!(text(lying, tags::CODE_MEANING), "supine");
    let mr = uptake.with_meaning(Modality::Mr, Unit::Normalized);
    let files = write_dicom(&dir.path().join("mr"), &mr, &series.source, &derivation()).unwrap().files;
    let mr = open_file(&files[0]).unwrap();
    let mapping = inner(&mr, &[tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE]);
    let slope = mapping.element(tags::REAL_WORLD_VALUE_SLOPE).unwrap().to_float64().unwrap();
    assert_eq!(slope, text(&mr, tags::RESCALE_SLOPE).parse::<f64>().unwrap());
    assert_eq!(text(&mr, tags::IMAGE_TYPE), "DERIVED\\SECONDARY\\OTHER\\SYNTHETIC");
}

#[test]
fn a_grid_with_its_slices_counted_backwards_is_only_reoriented() {
    let (dir, series) = source(|_| ());
    let grid = series.volume.geometry();
    let [x, y, z] = grid.direction();
    let last = grid.world_from_voxel().apply([0.0, 0.0, 3.0]);
    let turned = Geometry::new(grid.size(), grid.spacing_mm(), last, [x, y, z.map(|c| -c)]).unwrap();
    let shifted = Geometry::new(grid.size(), grid.spacing_mm(), last, [x, y, z]).unwrap();
    for (name, grid, expected) in [("turned", turned, "REORIENTED_ONLY"), ("shifted", shifted, "NO")] {
        let volume = Volume::filled(5.0, grid, Modality::Ct, Unit::Hounsfield);
        let files = write_dicom(&dir.path().join(name), &volume, &series.source, &derivation()).unwrap().files;
        let object = open_file(&files[0]).unwrap();
        assert_eq!(text(inner(&object, &[tags::SOURCE_IMAGE_SEQUENCE]), tags::SPATIAL_LOCATIONS_PRESERVED), expected);
        let codes = items(&object, tags::DERIVATION_CODE_SEQUENCE);
        let resampled = codes.iter().any(|code| text(code, tags::CODE_VALUE) == "113085");
        assert_eq!(resampled, expected == "NO", "{name}");
    }
}

#[test]
fn labels_become_segments_bit_by_bit() {
    let (dir, series) = source(|_| ());
    // Label 7 only in the third slice, label 2 nowhere.
    let labels = series.volume.map(|v| if (-935.0..-925.0).contains(&v) { 7.0 } else { 0.0 });
    let labels = labels.with_meaning(Modality::Seg, Unit::Label);
    let organ = |label, name: &str| Segment {
        label,
        name: name.into(),
        category: Code::new("123037004", "SCT", "Anatomical Structure"),
        property: Code::new("10200004", "SCT", "Liver"),
    };
    let path = dir.path().join("seg.dcm");
    write_segmentation(&path, &labels, &[organ(2, "other"), organ(7, "liver")], &series.source, &derivation()).unwrap();
    let object = open_file(&path).unwrap();
    assert_eq!(text(&object, tags::SOP_CLASS_UID), uids::SEGMENTATION_STORAGE);
    // Four slices for the first segment, one for the second.
    assert_eq!(text(&object, tags::NUMBER_OF_FRAMES), "5");
    let bytes = object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
    assert_eq!(bytes.len(), (5_usize * 30).div_ceil(8).next_multiple_of(2));
    let bits: Vec<usize> = (0..150).filter(|at| bytes[at / 8] >> (at % 8) & 1 == 1).collect();
    let expected: Vec<usize> = (0..30).filter(|&at| labels.as_slice()[60 + at] == 7.0).map(|at| 120 + at).collect();
    assert_eq!(bits, expected);
    let segments = items(&object, tags::SEGMENT_SEQUENCE);
    assert_eq!(
        (text(&segments[1], tags::SEGMENT_LABEL), text(&segments[1], tags::SEGMENT_NUMBER)),
        ("liver".into(), "2".into())
    );
    let algorithm = inner(&segments[1], &[tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE]);
    assert_eq!(
        (text(algorithm, tags::ALGORITHM_NAME), text(algorithm, tags::ALGORITHM_VERSION)),
        ("identity".into(), "0.1.0".into())
    );
    let frame = &items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)[4];
    let position = inner(frame, &[tags::PLANE_POSITION_SEQUENCE]);
    let expected = labels.geometry().world_from_voxel().apply([0.0, 0.0, 2.0]);
    let found = position.element(tags::IMAGE_POSITION_PATIENT).unwrap().to_multi_float64().unwrap();
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
    assert_eq!(check_dicom(&path).unwrap(), []);
    let again = dir.path().join("again.dcm");
    write_segmentation(&again, &labels, &[organ(2, "other"), organ(7, "liver")], &series.source, &derivation())
        .unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(&again).unwrap());
    let none = dir.path().join("none.dcm");
    let empty = labels.map(|_| 0.0);
    assert!(matches!(
        write_segmentation(&none, &empty, &[], &series.source, &derivation()),
        Err(Error::NotWritable { .. })
    ));
    let halves = labels.map(|v| v / 2.0);
    assert!(matches!(
        write_segmentation(&none, &halves, &[], &series.source, &derivation()),
        Err(Error::NotALabelMap { .. })
    ));
    write_segmentation(&none, &labels, &[], &Source::None, &derivation()).unwrap();
    assert_eq!(check_dicom(&none).unwrap(), []);
}

#[test]
fn float_maps_keep_every_bit_and_name_their_quantity() {
    let (dir, series) = source(|_| ());
    let map = series.volume.map(|v| v / 7.0);
    let quantity = Quantity {
        name: "uncertainty".into(),
        quantity: Code::new("386136009", "SCT", "Standard deviation"),
        unit: Code::new("[hnsf'U]", "UCUM", "Hounsfield unit"),
    };
    let path = dir.path().join("map.dcm");
    for source in [&Source::None, &series.source] {
        write_parametric_map(&path, &map, &quantity, source, &derivation()).unwrap();
        assert_eq!(check_dicom(&path).unwrap(), []);
    }
    let object = open_file(&path).unwrap();
    assert_eq!(object.element(tags::FLOAT_PIXEL_DATA).unwrap().to_multi_float32().unwrap(), map.as_slice());
    let shared = [tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE];
    let mapping = inner(&object, &shared);
    assert_eq!(text(inner(mapping, &[tags::MEASUREMENT_UNITS_CODE_SEQUENCE]), tags::CODE_VALUE), "[hnsf'U]");
    let concept = inner(mapping, &[tags::QUANTITY_DEFINITION_SEQUENCE, tags::CONCEPT_CODE_SEQUENCE]);
    assert_eq!(text(concept, tags::CODE_MEANING), "Standard deviation");
    let holed = map.map(|v| if v < -142.0 { f32::NAN } else { v });
    let refused = write_parametric_map(&path, &holed, &quantity, &series.source, &derivation());
    assert!(matches!(refused, Err(Error::NotFinite { .. })));
}

#[test]
fn one_enhanced_file_holds_all_slices_with_their_positions() {
    let (dir, series) = source(|_| ());
    for (modality, unit, class) in [
        (Modality::Ct, Unit::Hounsfield, uids::ENHANCED_CT_IMAGE_STORAGE),
        (Modality::Mr, Unit::Arbitrary, uids::ENHANCED_MR_IMAGE_STORAGE),
    ] {
        let volume = series.volume.clone().with_meaning(modality, unit);
        let path = dir.path().join(format!("{modality}.dcm"));
        let written = write_dicom_enhanced(&path, &volume, &series.source, &derivation()).unwrap();
        let object = open_file(&path).unwrap();
        assert_eq!(text(&object, tags::SOP_CLASS_UID), class);
        assert_eq!(
            (text(&object, tags::NUMBER_OF_FRAMES), text(&object, tags::CONTENT_DATE)),
            ("4".into(), "20010909".into())
        );
        let signed = text(&object, tags::PIXEL_REPRESENTATION) == "1";
        let words = object.element(tags::PIXEL_DATA).unwrap().to_multi_int::<u16>().unwrap();
        let number = |word: &u16| if signed { i32::from(*word as i16) } else { i32::from(*word) };
        let stored: Vec<i32> = words.iter().map(number).collect();
        for (k, frame) in items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).iter().enumerate() {
            let position =
                inner(frame, &[tags::PLANE_POSITION_SEQUENCE]).element(tags::IMAGE_POSITION_PATIENT).unwrap();
            let expected = volume.geometry().world_from_voxel().apply([0.0, 0.0, k as f64]);
            assert!(position.to_multi_float64().unwrap().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9));
            let values = inner(frame, &[tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE]);
            let [slope, intercept] =
                [tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT].map(|tag| text(values, tag).parse::<f64>().unwrap());
            for (&stored, &voxel) in stored[30 * k..].iter().zip(&volume.as_slice()[30 * k..30 * k + 30]) {
                assert!((f64::from(stored) * slope + intercept - f64::from(voxel)).abs() <= written.max_error + 1e-9);
            }
        }
    }
    let uptake = series.volume.map(|v| v + 1000.0).with_meaning(Modality::Pt, Unit::Suv);
    let refused = write_dicom_enhanced(&dir.path().join("pt.dcm"), &uptake, &series.source, &derivation());
    assert!(matches!(refused, Err(Error::NotWritable { modality: Modality::Pt, .. })));
}

#[test]
fn an_enhanced_file_gives_its_grid_and_voxels_back() {
    let (dir, series) = source(|_| ());
    for (modality, unit) in [(Modality::Ct, Unit::Hounsfield), (Modality::Mr, Unit::Arbitrary)] {
        let volume = series.volume.clone().with_meaning(modality, unit);
        let path = dir.path().join(format!("{modality}.dcm"));
        let allowed = write_dicom_enhanced(&path, &volume, &series.source, &derivation()).unwrap().max_error;
        let off = comes_back(&path, &volume);
        assert!(off <= allowed + 1e-4, "{modality}: {off}");
        assert!(modality == Modality::Mr || allowed == 0.0, "whole HU are stored as they are");
    }
    let Some(data) = data() else { return };
    for name in ["sts002_ct", "sts002_mr", "mr_sag_hfdl", "ct_philips_tilt-18.5"] {
        let series = read(&data.join("dicom").join(name)).unwrap();
        let path = dir.path().join(format!("{name}.dcm"));
        write_dicom_enhanced(&path, &series.volume, &series.source, &derivation()).unwrap();
        assert_eq!(comes_back(&path, &series.volume), 0.0, "{name}");
    }
}

/// Reads the one volume of a file with the same meaning on the same grid; its largest difference.
fn comes_back(path: &Path, volume: &Volume) -> f64 {
    assert_eq!(list(path).unwrap().len(), 1);
    let back = read(path).unwrap();
    assert_eq!(back.warnings, []);
    assert_eq!((back.volume.modality(), back.volume.unit()), (volume.modality(), volume.unit()));
    let off = back.volume.geometry().corner_distance_mm(volume.geometry());
    assert!(off < 1e-3, "{}: corners off by {off} mm", path.display());
    let pairs = back.volume.as_slice().iter().zip(volume.as_slice());
    pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}
