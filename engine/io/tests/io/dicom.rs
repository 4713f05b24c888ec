//! Small DICOM series made here, damaged one way at a time, and read, derived and read again.

use std::fs;
use std::path::PathBuf;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, open_file};
use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{
    Derivation, Error, ReadOptions, Source, Warning, list, read, read_labels, read_mask, read_series, read_with,
    write_dicom, write_nifti,
};

use crate::fixture::{ct_files, derivation, edit, put, small_ct, text};

/// The small CT as files, with their folder.
fn files() -> (tempfile::TempDir, PathBuf, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ct");
    let files = ct_files(&folder, 4);
    (dir, folder, files)
}

#[test]
fn a_new_series_reads_back_as_the_volume_it_was_written_from() {
    let (_dir, folder, files) = files();
    assert_eq!(files.len(), 4);
    let series = read(&folder).unwrap();
    assert_eq!(series.warnings, []);
    assert_eq!(series.volume.as_slice(), small_ct().as_slice());
    assert!(series.volume.geometry().corner_distance_mm(small_ct().geometry()) < 1e-9);
    let object = open_file(&files[0]).unwrap();
    for (tag, expected) in [
        (tags::SYNTHETIC_DATA, "YES"),
        (tags::IMAGE_TYPE, "ORIGINAL\\PRIMARY\\AXIAL"),
        (tags::PATIENT_ID, "PHANTOM-01"),
        (tags::CONVOLUTION_KERNEL, "SHARP"),
        (tags::RESCALE_INTERCEPT, "-1024"),
    ] {
        assert_eq!(text(&object, tag), expected, "{tag}");
    }
}

#[test]
fn slices_are_sorted_by_position_whatever_their_names_and_numbers() {
    let (_dir, folder, files) = files();
    let names = ["zz", "mm", "aa", "qq"];
    for (file, name) in files.iter().zip(names) {
        edit(file, |object| put(object, tags::INSTANCE_NUMBER, VR::IS, "9"));
        fs::rename(file, folder.join(name)).unwrap();
    }
    assert_eq!(read(&folder).unwrap().volume.as_slice(), small_ct().as_slice());
}

#[test]
fn a_missing_slice_and_an_uneven_gap_are_errors() {
    let (_dir, folder, files) = files();
    fs::remove_file(&files[1]).unwrap();
    assert!(matches!(read(&folder), Err(Error::UnevenSlices { slice: 1, missing: 1, .. })));
    let (_dir, folder, files) = self::files();
    edit(&files[3], |object| {
        let moved = text(object, tags::IMAGE_POSITION_PATIENT).replace("3\\", "2.9\\");
        put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &moved);
    });
    let message = read(&folder).unwrap_err().to_string();
    assert!(
        message.starts_with("uneven slices: expected a gap of 2.5000 mm, found 2.6000 mm after slice 3"),
        "{message}"
    );
}

#[test]
fn a_repeated_file_is_dropped_with_a_warning() {
    let (_dir, folder, files) = files();
    let twin = folder.join("twin.dcm");
    fs::copy(&files[2], &twin).unwrap();
    let series = read(&folder).unwrap();
    assert_eq!(series.warnings, [Warning::DuplicateSlice { path: twin }]);
    assert_eq!(series.volume.as_slice(), small_ct().as_slice());
}

#[test]
fn a_damaged_file_beside_a_series_is_told_wherever_it_is_cut() {
    let (_dir, folder, files) = files();
    let damaged = folder.join("damaged.dcm");
    fs::write(folder.join("README.txt"), "not an image").unwrap();
    let whole = fs::read(&files[0]).unwrap();
    // 1 byte into the modality, then on to the last byte of the pixels.
    let modality = whole.windows(6).position(|bytes| bytes == [0x08, 0, 0x60, 0, b'C', b'S']).unwrap();
    for cut in modality + 10..whole.len() {
        fs::write(&damaged, &whole[..cut]).unwrap();
        let warnings = read(&folder).unwrap().warnings;
        let told = matches!(&warnings[..], [Warning::UnreadableFile { path, .. }] if *path == damaged);
        assert!(told, "cut at {cut}: {warnings:?}");
    }
}

#[test]
fn a_slice_beside_the_line_is_an_error() {
    let (_dir, folder, files) = files();
    edit(&files[1], |object| {
        let moved = text(object, tags::IMAGE_POSITION_PATIENT).replace("-20.25", "-19.25");
        put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &moved);
    });
    assert!(matches!(read(&folder), Err(Error::ShiftedSlice { slice: 2, .. })));
}

#[test]
fn two_echoes_of_one_series_are_two_volumes() {
    let (_dir, folder, files) = files();
    for (i, file) in files.iter().enumerate() {
        let second = folder.join(format!("second{i}.dcm"));
        fs::copy(file, &second).unwrap();
        edit(file, |object| put(object, tags::ECHO_NUMBERS, VR::IS, "1"));
        edit(&second, |object| {
            put(object, tags::ECHO_NUMBERS, VR::IS, "2");
            put(object, tags::SOP_INSTANCE_UID, VR::UI, &format!("2.25.{}", 1000 + i));
        });
    }
    let found = list(&folder).unwrap();
    assert_eq!(found.iter().map(|s| s.part.clone().unwrap()).collect::<Vec<_>>(), ["echo 1", "echo 2"]);
    assert!(matches!(read(&folder), Err(Error::SeveralSeries { found, .. }) if found.len() == 2));
    assert_eq!(read_series(&found[1]).unwrap().volume.as_slice(), small_ct().as_slice());
}

#[test]
fn radiographs_take_the_detector_spacing_and_monochrome1_is_inverted() {
    let (_dir, _folder, files) = files();
    edit(&files[0], |object| {
        for tag in [tags::IMAGE_POSITION_PATIENT, tags::IMAGE_ORIENTATION_PATIENT, tags::PIXEL_SPACING] {
            object.remove_element(tag);
        }
        put(object, tags::MODALITY, VR::CS, "CR");
        put(object, tags::IMAGER_PIXEL_SPACING, VR::DS, "0.2\\0.1");
        put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
        put(object, tags::RESCALE_INTERCEPT, VR::DS, "0");
    });
    let series = read(&files[0]).unwrap();
    assert_eq!((series.volume.modality(), series.volume.unit()), (Modality::Cr, Unit::Arbitrary));
    assert_eq!(series.volume.geometry().spacing_mm(), [0.1, 0.2, 1.0]);
    // Stored 24 (−1000 HU + 1024) of 16 bits.
    assert_eq!(series.volume.as_slice()[0], 65535.0 - 24.0);
}

#[test]
fn an_unchanged_volume_derives_the_same_pixels_on_the_same_grid() {
    let (dir, folder, files) = files();
    for file in &files {
        edit(file, |object| put(object, Tag(0x0009, 0x0010), VR::LO, "VENDOR"));
    }
    let source = read(&folder).unwrap();
    let out = dir.path().join("derived");
    let written = write_dicom(&out, &source.volume, &source.source, &derivation()).unwrap().files;
    assert_eq!(read(&out).unwrap().volume, source.volume);
    for (before, after) in files.iter().zip(&written) {
        let (before, after) = (open_file(before).unwrap(), open_file(after).unwrap());
        let pixels =
            |object: &DefaultDicomObject| object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().to_vec();
        assert_eq!(pixels(&before), pixels(&after));
        for tag in [
            tags::PATIENT_ID,
            tags::STUDY_INSTANCE_UID,
            tags::FRAME_OF_REFERENCE_UID,
            tags::IMAGE_POSITION_PATIENT,
            tags::IMAGE_ORIENTATION_PATIENT,
            tags::PIXEL_SPACING,
            tags::SLICE_THICKNESS,
            tags::KVP,
            tags::CONVOLUTION_KERNEL,
            tags::RESCALE_SLOPE,
            tags::RESCALE_INTERCEPT,
        ] {
            assert_eq!(text(&before, tag), text(&after, tag), "{tag}");
        }
        for tag in [tags::SOP_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
            assert_ne!(text(&before, tag), text(&after, tag), "{tag}");
        }
        for (tag, expected) in [
            (tags::IMAGE_TYPE, "DERIVED\\SECONDARY\\AXIAL\\SYNTHETIC"),
            (tags::SYNTHETIC_DATA, "YES"),
            (tags::CONTENT_QUALIFICATION, "RESEARCH"),
            (tags::SERIES_DESCRIPTION, "SYN to soft kernel, na?ve"),
            (tags::SERIES_NUMBER, "1003"),
            (tags::MANUFACTURER, "Isoscan"),
        ] {
            assert_eq!(text(&after, tag), expected, "{tag}");
        }
        let sources = after.element(tags::SOURCE_IMAGE_SEQUENCE).unwrap().items().unwrap();
        assert_eq!(sources.len(), 4);
        let preserved = sources[0].element(tags::SPATIAL_LOCATIONS_PRESERVED).unwrap().to_str().unwrap();
        assert_eq!(preserved, "YES");
        assert_eq!(after.element(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE).unwrap().items().unwrap().len(), 2);
        assert!(after.get(Tag(0x0009, 0x0010)).is_none(), "private attributes of others are dropped");
        let json = text(&after, Tag(0x0099, 0x1001));
        assert_eq!(serde_json::from_str::<Derivation>(&json).unwrap(), derivation());
        assert!(json.is_ascii());
    }
}

#[test]
fn the_same_derivation_gives_the_same_bytes_and_other_pixels_other_uids() {
    let (dir, folder, _) = files();
    let source = read(&folder).unwrap();
    let [first, second, brighter] = ["a", "b", "c"].map(|name| dir.path().join(name));
    let one = write_dicom(&first, &source.volume, &source.source, &derivation()).unwrap().files;
    let two = write_dicom(&second, &source.volume, &source.source, &derivation()).unwrap().files;
    for (a, b) in one.iter().zip(&two) {
        assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{}", a.display());
    }
    let three = write_dicom(&brighter, &source.volume.map(|v| v + 1.0), &source.source, &derivation()).unwrap().files;
    for tag in [tags::SOP_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
        assert_ne!(text(&open_file(&one[0]).unwrap(), tag), text(&open_file(&three[0]).unwrap(), tag));
    }
}

#[test]
fn fractions_of_hu_are_rounded_and_negative_air_is_kept() {
    let (dir, folder, _) = files();
    let source = read(&folder).unwrap();
    let shifted = source.volume.map(|v| v * 3.0 - 0.4);
    let out = dir.path().join("out");
    write_dicom(&out, &shifted, &source.source, &derivation()).unwrap();
    let back = read(&out).unwrap().volume;
    assert_eq!(back.unit(), Unit::Hounsfield);
    assert!(back.as_slice().iter().zip(shifted.as_slice()).all(|(a, b)| (a - b).abs() <= 0.5));
}

#[test]
fn a_translation_to_mr_drops_what_belonged_to_the_ct_acquisition() {
    let (dir, folder, _) = files();
    let source = read(&folder).unwrap();
    let mr = source.volume.map(|v| (v + 1000.0) / 119.0).with_meaning(Modality::Mr, Unit::Normalized);
    let written = write_dicom(&dir.path().join("mr"), &mr, &source.source, &derivation()).unwrap().files;
    let object = open_file(&written[0]).unwrap();
    assert_eq!(text(&object, tags::SOP_CLASS_UID), uids::MR_IMAGE_STORAGE);
    for tag in [tags::KVP, tags::CONVOLUTION_KERNEL, tags::EXPOSURE] {
        assert!(object.get(tag).is_none(), "{tag}");
    }
    let back = read(written[0].parent().unwrap()).unwrap().volume;
    assert_eq!(back.modality(), Modality::Mr);
    assert!(back.as_slice().iter().zip(mr.as_slice()).all(|(a, b)| (a - b).abs() <= 1e-5));
}

#[test]
fn another_grid_is_written_with_its_own_positions() {
    let (dir, folder, _) = files();
    let source = read(&folder).unwrap();
    let fine =
        Geometry::new([12, 10, 7], [0.35, 0.45, 1.25], [10.5, -20.25, 30.125], small_ct().geometry().direction());
    let fine = Volume::filled(5.0, fine.unwrap(), Modality::Ct, Unit::Hounsfield);
    let written = write_dicom(&dir.path().join("fine"), &fine, &source.source, &derivation()).unwrap().files;
    let back = read(written[0].parent().unwrap()).unwrap().volume;
    assert!(back.geometry().corner_distance_mm(fine.geometry()) < 1e-6);
    let object = open_file(&written[6]).unwrap();
    let sources = object.element(tags::SOURCE_IMAGE_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(sources[0].element(tags::SPATIAL_LOCATIONS_PRESERVED).unwrap().to_str().unwrap(), "NO");
    assert_eq!(text(&object, tags::SLICE_THICKNESS), "2.5");
}

#[test]
fn what_dicom_cannot_hold_is_refused() {
    let (dir, folder, _) = files();
    let source = read(&folder).unwrap();
    let out = dir.path().join("out");
    let labels = source.volume.clone().with_meaning(Modality::Seg, Unit::Label);
    let refused = write_dicom(&out, &labels, &source.source, &derivation()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("expected a volume of CT, MR, PT, CR or DX for DICOM, found SEG in label: {}", out.display())
    );
    let holed = source.volume.map(|v| if v == -990.0 { f32::NAN } else { v });
    let refused = write_dicom(&out, &holed, &source.source, &derivation());
    assert!(matches!(refused, Err(Error::NotFinite { count: 1, .. })));
    assert!(matches!(
        write_dicom(&folder, &source.volume, &source.source, &derivation()),
        Err(Error::OutputExists { .. })
    ));
    assert!(!out.exists());
}

#[test]
fn a_nifti_source_gives_a_new_study_of_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scan_ct.nii.gz");
    write_nifti(&path, &small_ct(), None, None).unwrap();
    let source = read(&path).unwrap();
    let written = write_dicom(&dir.path().join("dicom"), &source.volume, &source.source, &derivation()).unwrap().files;
    let object = open_file(&written[0]).unwrap();
    assert!(text(&object, tags::PATIENT_ID).starts_with("ANON-"));
    assert!(object.get(tags::SOURCE_IMAGE_SEQUENCE).is_none());
    let back = read(written[0].parent().unwrap()).unwrap().volume;
    assert_eq!(back.as_slice(), small_ct().as_slice());
    assert!(back.geometry().corner_distance_mm(small_ct().geometry()) < 1e-4);
}

#[test]
fn nifti_keeps_meaning_provenance_and_the_source_s_own_forms() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third] = ["a.1.2.nii", "b.nii.gz", "c.nii"].map(|name| dir.path().join(name));
    let fractions = small_ct().map(|v| v + 0.25);
    write_nifti(&first, &fractions, None, None).unwrap();
    let one = read(&first).unwrap();
    assert_eq!(one.volume.as_slice(), fractions.as_slice());
    assert_eq!((one.volume.modality(), one.volume.unit()), (Modality::Ct, Unit::Hounsfield));
    write_nifti(&second, &one.volume, Some(&one.source), Some(&derivation())).unwrap();
    let two = read(&second).unwrap();
    assert_eq!(two.volume, one.volume);
    let Source::Nifti(source) = &two.source else { panic!("a NIfTI source") };
    assert_eq!(source.derivation(), Some(derivation()));
    let mut unpacked = Vec::new();
    let file = fs::File::open(&second).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut unpacked).unwrap();
    assert!(unpacked[148..].starts_with(b"Isoscan synthetic: identity 0.1.0\0"));
    write_nifti(&third, &one.volume, Some(&one.source), None).unwrap();
    assert!(fs::read(&first).unwrap() == fs::read(&third).unwrap(), "an unchanged file is the same file");
}

#[test]
fn labels_take_the_smallest_type_and_read_as_masks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("organs.nii");
    for (largest, bytes) in [(2.0, 1), (300.0, 2), (70000.0, 4)] {
        let labels = small_ct().map(|v| if v < -950.0 { 0.0 } else { largest });
        let labels = labels.with_meaning(Modality::Seg, Unit::Label);
        write_nifti(&path, &labels, None, None).unwrap();
        let stored = i16::from_le_bytes(fs::read(&path).unwrap()[72..74].try_into().unwrap());
        assert_eq!(stored, 8 * bytes, "{largest}");
        assert_eq!(read_labels(&path).unwrap().as_slice(), labels.as_slice());
        assert_eq!(read_mask(&path, None).unwrap().count(), 70);
        assert_eq!(read_mask(&path, Some(largest as i32)).unwrap().count(), 70);
        assert_eq!(read_mask(&path, Some(1)).unwrap().count(), 0);
    }
    write_nifti(&path, &small_ct().map(|v| v + 0.5), None, None).unwrap();
    assert!(matches!(read_mask(&path, None), Err(Error::NotALabelMap { found: -999.5, .. })));
    let out = write_nifti(&path, &small_ct().map(|v| v + 0.5).with_meaning(Modality::Seg, Unit::Label), None, None);
    assert!(matches!(out, Err(Error::NotALabelMap { .. })));
}

#[test]
fn the_caller_may_say_what_the_numbers_mean() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.nii");
    write_nifti(&path, &small_ct().with_meaning(Modality::Ot, Unit::Arbitrary), None, None).unwrap();
    for (modality, unit, expected) in [
        (None, None, (Modality::Ot, Unit::Arbitrary)),
        (Some(Modality::Ct), None, (Modality::Ct, Unit::Hounsfield)),
        (Some(Modality::Mr), Some(Unit::Normalized), (Modality::Mr, Unit::Normalized)),
    ] {
        let volume = read_with(&path, &ReadOptions { modality, unit, ..ReadOptions::default() }).unwrap().volume;
        assert_eq!((volume.modality(), volume.unit()), expected);
    }
}

#[test]
fn bad_input_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("text.nii"), "hello").unwrap();
    write_nifti(&at("whole.nii"), &small_ct(), None, None).unwrap();
    let whole = fs::read(at("whole.nii")).unwrap();
    fs::write(at("cut.nii"), &whole[..whole.len() - 1]).unwrap();
    fs::write(at("header.nii"), &whole[..200]).unwrap();
    fs::create_dir(at("empty")).unwrap();
    let length = whole.len() as u64;
    for (name, expected) in [
        ("absent.nii", "cannot open: No such file or directory (os error 2): ".to_owned()),
        ("text.nii", "no image of a known format: ".to_owned()),
        ("cut.nii", format!("voxels truncated: expected 480 bytes, found {}: ", 479)),
        ("header.nii", "NIfTI header truncated: expected 348 bytes, found 200: ".to_owned()),
        ("empty", "no image series (0 damaged or unsupported files): ".to_owned()),
    ] {
        let message = read(&at(name)).unwrap_err().to_string();
        let message = message.replace(&format!("expected {}", length - 352), "expected 480");
        assert_eq!(message, format!("{expected}{}", at(name).display()));
    }
    assert!(matches!(write_nifti(&at("x.nia"), &small_ct(), None, None), Err(Error::OutputName { .. })));
}
